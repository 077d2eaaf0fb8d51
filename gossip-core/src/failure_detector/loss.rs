//! How much gets lost, and how many probes that calls for.
//!
//! # Intuition
//!
//! The datagrams of a link are numbered without gaps, so their reader counts what is missing: that is the loss of one
//! direction, measured on all traffic and without a question. Of the other direction only probes tell: how many it took
//! until an answer came. The worse of the two decides.
//!
//! # Sources
//!
//! `m` probes miss a living node with the probability `qᵐ`, where `q` is the share of round trips that fail. `m` is the
//! least number with `qᵐ ≤ 10⁻³`, from 3 to 16 (our choice, from simulations: what follows a burst are witnesses who
//! look for themselves, so that one link may err now and then).

/// A share is taken over about this many, as older ones count half.
const MEMORY: u32 = 128;

/// A gap that is longer says that numbers were skipped, not that all of it was lost.
const GAP_MAX: u32 = 64;

/// Probes by the share of round trips that fail, in sixteenths: `⌈ln 10⁻³ / ln(q / 16)⌉` within the bounds, as no float is
/// the same everywhere.
const PROBES: [u8; 17] = [3, 3, 4, 5, 5, 6, 8, 9, 10, 13, 15, 16, 16, 16, 16, 16, 16];

/// What part of something went wrong, of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    of: u32,
    wrong: u32,
}

impl Share {
    /// A share that begins as if one of 32 had gone wrong.
    pub(super) const NEW: Self = Self { of: 32, wrong: 1 };

    pub(super) fn add(&mut self, of: u32, wrong: u32) {
        (self.of, self.wrong) = (self.of + of, self.wrong + wrong.min(of));
        while self.of > 2 * MEMORY {
            (self.of, self.wrong) = (self.of / 2, self.wrong / 2);
        }
    }

    /// One that counted as wrong turned out to be right.
    const fn redeem(&mut self) {
        self.wrong = self.wrong.saturating_sub(1);
    }

    /// In 1/1024.
    pub(super) const fn per_1024(self) -> u32 {
        self.wrong * 1_024 / self.of
    }
}

/// What comes in on one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    /// The highest number so far.
    top: u64,
    pub(super) lost: Share,
}

impl Incoming {
    pub(super) const NEW: Self = Self { top: 0, lost: Share::NEW };

    /// A datagram of this number has come; `all` counts for all links together.
    pub(super) fn count(&mut self, number: u64, all: &mut Share) {
        let same_epoch = self.top >> 32 == number >> 32;
        if same_epoch && number <= self.top {
            self.lost.redeem();
            all.redeem();
            return;
        }
        let gap = if same_epoch { u32::try_from(number - self.top - 1).unwrap_or(u32::MAX) } else { 0 };
        let gap = if gap > GAP_MAX { 0 } else { gap };
        self.top = number;
        self.lost.add(gap + 1, gap);
        all.add(gap + 1, gap);
    }
}

/// How many probes it takes to be sure, where this much is lost of what comes in, and these round trips fail (in 1/1024).
pub(super) fn probes(incoming: u32, failing: u32) -> u8 {
    let arrives = 1_024 - incoming.min(1_024);
    let both_ways = 1_024 - arrives * arrives / 1_024;
    let sixteenths = (both_ways.max(failing).min(1_024) + 32) / 64;
    PROBES[sixteenths as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_the_formula() {
        for (sixteenths, &probes) in PROBES.iter().enumerate() {
            let exact = (1e-3_f64.ln() / (sixteenths as f64 / 16.0).ln()).ceil();
            let expected = if sixteenths == 16 { 16.0 } else { exact.clamp(3.0, 16.0) };
            assert_eq!(f64::from(probes), expected, "{sixteenths} of 16 fail");
        }
    }

    #[test]
    fn loss_of_either_direction_calls_for_more() {
        assert_eq!([0, 102, 307, 512, 1_024].map(|loss| probes(loss, 0)), [3, 5, 10, 16, 16]);
        assert_eq!([0, 512, 9_999].map(|failing| probes(0, failing)), [3, 10, 16]);
    }

    proptest! {
        /// Whatever is lost, repeated in time, or overtaken: the estimate comes near to the truth.
        #[test]
        fn missing_numbers_are_counted(lost in 0..8_u64, swap: bool) {
            let (mut incoming, mut all) = (Incoming::NEW, Share::NEW);
            let mut numbers: std::vec::Vec<u64> = (0..4_000).filter(|n| n % 10 >= lost).map(|n| 7 << 32 | n).collect();
            if swap {
                numbers.chunks_exact_mut(2).for_each(<[u64]>::reverse);
            }
            for number in numbers {
                incoming.count(number, &mut all);
            }
            let truth = lost as u32 * 1_024 / 10;
            prop_assert!(incoming.lost.per_1024().abs_diff(truth) < 60, "{:?}", incoming);
            prop_assert_eq!(incoming.lost.per_1024(), all.per_1024());
        }
    }

    #[test]
    fn a_new_epoch_and_a_leap_are_no_loss() {
        let (mut incoming, mut all) = (Incoming::NEW, Share::NEW);
        for number in [1, 2, 1 << 40, (1 << 40) + 1, (1 << 40) + 1_000_000] {
            incoming.count(number, &mut all);
        }
        assert_eq!(incoming.lost.wrong, 1, "only what it began with");
    }
}
