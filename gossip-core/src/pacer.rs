//! When the next datagram may leave.
//!
//! # Intuition
//!
//! Two tanks that fill at a steady rate, one with bytes, one with datagrams, each up to a mark. A datagram may leave while
//! there is something in both, and takes what it is long, be it more than there is: then the tank is in debt, and the
//! next one waits until it is paid. So a datagram of any length passes a tank of any size, and over any longer time no
//! more leaves than flows in.
//!
//! What keeps a node a member (greetings, beats, probes) does not ask, but takes as well. The debt ends at what flows in
//! within a second: however much of that there is, the others get something.
//!
//! # Bounds
//!
//! Over `t` seconds at most `rate × t` and the mark leave, and one datagram; plus what does not ask, beyond the rate.
//!
//! # Sources
//!
//! The token bucket with debt is that of Linux's `sch_tbf` and of QUIC pacers (RFC 9002 §7.7 asks for pacing, not for a way);
//! the marks (20 ms, ten datagrams as in RFC 6928) are our choice.

use core::time::Duration;

use crate::config::Budget;
use crate::time::Instant;

/// What the headers of IPv4 and UDP take.
const HEADERS: u64 = 28;

/// For how long unused budget is kept.
const KEPT: Duration = Duration::from_millis(20);

/// The least mark, in datagrams of full length.
const BURST_MIN: u64 = 10;

/// Both tanks; none where a node may send as much as it likes.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    tanks: Option<[Tank; 2]>,
}

impl Pacer {
    pub(crate) fn new(budget: Option<Budget>, mtu: u16, now: Instant) -> Self {
        let tanks = budget.map(|budget| {
            let full = u64::from(mtu) + HEADERS;
            [
                Tank::new(budget.bytes_per_second, BURST_MIN * full, now),
                Tank::new(budget.datagrams_per_second, BURST_MIN, now),
            ]
        });
        Self { tanks }
    }

    /// Whether something that can wait may leave.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.tanks.iter().flatten().all(|tank| tank.level_at(now) > 0)
    }

    /// A datagram leaves.
    pub(crate) fn spend(&mut self, now: Instant, len: usize) {
        if let Some([bytes, datagrams]) = &mut self.tanks {
            bytes.take(now, len as u64 + HEADERS);
            datagrams.take(now, 1);
        }
    }

    /// Since when, or from when on, the next one may leave.
    pub(crate) fn opens_at(&self) -> Instant {
        self.tanks.iter().flatten().map(Tank::opens_at).max().unwrap_or(Instant::ZERO)
    }
}

/// One tank. Levels are in millionths, so that what flows in within a microsecond is the rate itself.
#[derive(Clone, Debug)]
struct Tank {
    rate: i64,
    mark: i64,
    level: i64,
    at: Instant,
}

const MILLION: i64 = 1_000_000;

impl Tank {
    fn new(rate: u32, mark_min: u64, now: Instant) -> Self {
        let kept = u64::from(rate) * KEPT.as_millis() as u64 / 1_000;
        let mark = MILLION * kept.max(mark_min) as i64;
        Self { rate: rate.into(), mark, level: mark, at: now }
    }

    fn level_at(&self, now: Instant) -> i64 {
        let elapsed = i64::try_from(crate::time::micros(now.saturating_since(self.at))).unwrap_or(i64::MAX);
        self.level.saturating_add(self.rate.saturating_mul(elapsed)).min(self.mark)
    }

    fn take(&mut self, now: Instant, amount: u64) {
        let debt_max = self.rate * MILLION;
        self.level = (self.level_at(now) - amount as i64 * MILLION).max(-debt_max);
        self.at = now;
    }

    fn opens_at(&self) -> Instant {
        let missing = u64::try_from(1 - self.level).unwrap_or(0);
        self.at + Duration::from_micros(missing.div_ceil(self.rate as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(bytes_per_second: u32, datagrams_per_second: u32) -> Option<Budget> {
        Some(Budget { bytes_per_second, datagrams_per_second })
    }

    #[test]
    fn without_a_budget_it_is_always_open() {
        let mut pacer = Pacer::new(None, 1_200, Instant::ZERO);
        for _ in 0..1_000 {
            pacer.spend(Instant::ZERO, 65_507);
        }
        assert!(pacer.is_open(Instant::ZERO));
        assert_eq!(pacer.opens_at(), Instant::ZERO);
    }

    #[test]
    fn ten_datagrams_leave_at_once_and_the_next_when_the_debt_is_paid() {
        let mut pacer = Pacer::new(budget(122_800, 1_000_000), 1_200, Instant::ZERO);
        for _ in 0..10 {
            assert!(pacer.is_open(Instant::ZERO));
            pacer.spend(Instant::ZERO, 1_200);
        }
        assert!(!pacer.is_open(Instant::ZERO));
        let opens = pacer.opens_at();
        assert_eq!(opens, Instant::from_micros(1), "the tank is empty, not in debt");
        pacer.spend(opens, 1_200);
        assert_eq!(pacer.opens_at().as_micros(), 10_001, "1,228 bytes at 122,800 a second");
    }

    #[test]
    fn the_tighter_of_both_counts() {
        let mut pacer = Pacer::new(budget(1_000_000, 10), 1_200, Instant::ZERO);
        for _ in 0..11 {
            pacer.spend(Instant::ZERO, 1);
        }
        assert_eq!(pacer.opens_at(), Instant::from_micros(100_001));
    }

    #[test]
    fn the_debt_ends_at_a_second() {
        let mut pacer = Pacer::new(budget(1_000, 10), 1_200, Instant::ZERO);
        for _ in 0..1_000 {
            pacer.spend(Instant::ZERO, 1_200);
        }
        assert_eq!(pacer.opens_at(), Instant::from_micros(1_000_001));
    }

    proptest! {
        /// Whatever is asked when: no more leaves than the rates and the marks allow, and one datagram; and it opens when it said.
        #[test]
        fn no_more_leaves_than_flows_in(
            bytes in 1_000_u32..100_000,
            datagrams in 10_u32..1_000,
            steps in proptest::collection::vec((0_u64..200_000, 1_usize..1_200), 1..200),
        ) {
            let mut pacer = Pacer::new(budget(bytes, datagrams), 1_200, Instant::ZERO);
            let (mut now, mut sent, mut count) = (0_u64, 0_u64, 0_u64);
            for (wait, len) in steps {
                now += wait;
                let at = Instant::from_micros(now);
                prop_assert_eq!(pacer.is_open(at), pacer.opens_at() <= at);
                if pacer.is_open(at) {
                    pacer.spend(at, len);
                    sent += len as u64 + HEADERS;
                    count += 1;
                }
                let mark = (10 * 1_228_u64).max(u64::from(bytes) / 50);
                prop_assert!(sent <= now * u64::from(bytes) / 1_000_000 + mark + 1_228);
                prop_assert!(count <= now * u64::from(datagrams) / 1_000_000 + 10_u64.max(u64::from(datagrams) / 50) + 1);
            }
        }

        /// How often one looks does not matter.
        #[test]
        fn looking_changes_nothing(waits in proptest::collection::vec(0_u64..50_000, 1..50)) {
            let mut pacer = Pacer::new(budget(5_000, 50), 1_200, Instant::ZERO);
            pacer.spend(Instant::ZERO, 20_000);
            let mut looked = pacer.clone();
            let mut now = 0;
            for wait in waits {
                now += wait;
                looked.spend_nothing(Instant::from_micros(now));
            }
            let end = Instant::from_micros(now);
            prop_assert_eq!(pacer.is_open(end), looked.is_open(end));
            prop_assert!(looked.is_open(end) || looked.opens_at() == pacer.opens_at());
        }
    }

    impl Pacer {
        /// Takes the levels over, and nothing else.
        fn spend_nothing(&mut self, now: Instant) {
            for tank in self.tanks.iter_mut().flatten() {
                tank.take(now, 0);
            }
        }
    }
}
