//! How long a datagram may be, and to whom.
//!
//! # Intuition
//!
//! A driver who knows the one height that all bridges have. Where the load bumps into a bridge nevertheless, he notes
//! the bridge and loads one size less for that road. After a while he tries the full height again: roads are rebuilt.
//!
//! # Rules
//!
//! Every datagram may be as long as [`Config::mtu`](crate::Config::mtu) says, until the system refuses one for its length. Then
//! datagrams to that address are at most as long as the next one of [`STEPS`] below it, and never shorter than [`MTU_MIN`]. That
//! holds for links and greetings alike, as it is the address that is remembered. After [`HOLDS_FOR`] the whole length is
//! tried again, which costs one lost datagram where the path is still narrow.
//!
//! # Bounds
//!
//! As many addresses as there may be links and contacts; where all places are taken, the one noted longest ago goes. What is
//! forgotten too early is found out again by one more lost datagram.
//!
//! # Sources, and where this differs
//!
//! The plateaus of RFC 1191 §7.1, and the pause of RFC 8899 §5.1.1 (`PMTU_RAISE_TIMER`). Nothing is probed: the configured
//! length is safe on nearly all paths, so only what the system says itself is heard.

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::time::Duration;

use crate::config::MTU_MIN;
use crate::time::Instant;

/// Lengths of datagrams in bytes of UDP payload, longest first: the plateaus of RFC 1191 §7.1, the IPv6 minimum among them,
/// without the 48 bytes that the heads of IPv6 and UDP take.
const STEPS: [u16; 10] = [31_952, 17_866, 8_118, 4_304, 1_954, 1_444, 1_232, 958, 460, MTU_MIN];

/// How long an address counts as narrow (RFC 8899 §5.1.1).
const HOLDS_FOR: Duration = Duration::from_secs(600);

/// An address where datagrams of the whole length do not get through.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    to: SocketAddr,
    mtu: u16,
    until: Instant,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Mtus {
    whole: u16,
    narrow: Box<[Option<Narrow>]>,
    /// The row that is given up next.
    next: usize,
    /// No address is narrow from here on.
    all_until: Instant,
}

impl Mtus {
    pub(crate) fn new(whole: u16, capacity: usize) -> Self {
        Self { whole, narrow: (0..capacity).map(|_| None).collect(), next: 0, all_until: Instant::ZERO }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        capacity * size_of::<Option<Narrow>>()
    }

    /// The longest datagram that may be sent to an address, in bytes of UDP payload.
    pub(crate) fn of(&self, now: Instant, to: SocketAddr) -> usize {
        if now >= self.all_until {
            return self.whole.into();
        }
        let narrow = self.narrow.iter().flatten().find(|narrow| narrow.to == to && now < narrow.until);
        narrow.map_or(self.whole, |narrow| narrow.mtu).into()
    }

    /// A datagram of `len` bytes was too long for an address. Says nothing new where shorter ones are sent by now.
    pub(crate) fn lower(&mut self, now: Instant, to: SocketAddr, len: usize) {
        if len > self.of(now, to) {
            return;
        }
        let mtu = STEPS.into_iter().find(|&step| usize::from(step) < len).unwrap_or(MTU_MIN);
        let row = self.row_for(now, to);
        self.narrow[row] = Some(Narrow { to, mtu, until: now + HOLDS_FOR });
        self.all_until = now + HOLDS_FOR;
    }

    /// The row of an address, or one for it.
    fn row_for(&mut self, now: Instant, to: SocketAddr) -> usize {
        let known = self.narrow.iter().position(|row| row.is_some_and(|narrow| narrow.to == to));
        let free = || self.narrow.iter().position(|row| row.is_none_or(|narrow| now >= narrow.until));
        known.or_else(free).unwrap_or_else(|| {
            let row = self.next;
            self.next = (row + 1) % self.narrow.len();
            row
        })
    }

    /// Panics where an address has two rows, or a length that may not be.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for narrow in self.narrow.iter().flatten() {
            let rows = self.narrow.iter().flatten().filter(|other| other.to == narrow.to).count();
            assert_eq!(rows, 1, "{} is noted twice", narrow.to);
            assert!((MTU_MIN..=self.whole).contains(&narrow.mtu), "{} bytes to {}", narrow.mtu, narrow.to);
            assert!(narrow.until <= self.all_until, "{} is narrow for longer than all are", narrow.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MTU_MAX;

    fn address(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    /// The lengths that are tried one after the other, where none gets through.
    fn lengths(whole: u16) -> std::vec::Vec<usize> {
        let mut mtus = Mtus::new(whole, 2);
        let mut lengths = std::vec![];
        for _ in 0..20 {
            let mtu = mtus.of(Instant::ZERO, address(1));
            lengths.push(mtu);
            mtus.lower(Instant::ZERO, address(1), mtu);
            mtus.check_invariants();
        }
        lengths.dedup();
        lengths
    }

    #[test]
    fn each_length_that_is_too_long_leads_to_the_next_step_down_to_the_least() {
        assert_eq!(lengths(1_200), [1_200, 958, 460, 256]);
        assert_eq!(lengths(MTU_MIN), [256]);
        assert_eq!(lengths(MTU_MAX)[..3], [65_507, 31_952, 17_866]);
        assert!(STEPS.is_sorted_by(|one, next| one > next), "longest first");
    }

    #[test]
    fn a_shorter_one_that_was_refused_leads_below_itself() {
        let mut mtus = Mtus::new(1_200, 2);
        mtus.lower(Instant::ZERO, address(1), 400);
        assert_eq!([1, 2].map(|port| mtus.of(Instant::ZERO, address(port))), [256, 1_200]);
    }

    /// Datagrams that were on their way to the system already say nothing new.
    #[test]
    fn an_old_complaint_changes_nothing() {
        let mut mtus = Mtus::new(9_000, 2);
        for _ in 0..5 {
            mtus.lower(Instant::ZERO, address(1), 9_000);
        }
        assert_eq!(mtus.of(Instant::ZERO, address(1)), 8_118);
        mtus.lower(Instant::ZERO, address(1), usize::MAX);
        assert_eq!(mtus.of(Instant::ZERO, address(1)), 8_118);
    }

    #[test]
    fn the_whole_length_is_tried_again_in_time() {
        let mut mtus = Mtus::new(1_200, 2);
        mtus.lower(Instant::ZERO, address(1), 1_200);
        let end = Instant::ZERO + HOLDS_FOR;
        let before = Instant::from_micros(end.as_micros() - 1);
        assert_eq!([before, end].map(|now| mtus.of(now, address(1))), [958, 1_200]);
        mtus.lower(end, address(2), 1_200);
        assert_eq!([1, 2].map(|port| mtus.of(end, address(port))), [1_200, 958]);
        mtus.check_invariants();
    }

    #[test]
    fn where_there_is_no_room_the_oldest_goes() {
        let mut mtus = Mtus::new(1_200, 2);
        for port in 1..=3 {
            mtus.lower(Instant::ZERO, address(port), 1_200);
            mtus.check_invariants();
        }
        assert_eq!([1, 2, 3].map(|port| mtus.of(Instant::ZERO, address(port))), [1_200, 958, 958]);
    }

    #[test]
    #[should_panic(expected = "is noted twice")]
    fn check_bites() {
        let mut mtus = Mtus::new(1_200, 2);
        mtus.lower(Instant::ZERO, address(1), 1_200);
        mtus.narrow[1] = mtus.narrow[0];
        mtus.check_invariants();
    }
}
