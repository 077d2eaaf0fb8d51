//! Chance that can be replayed.
//!
//! A library of sealed books. The seed chooses the library, the label chooses the book, and one reads page after page;
//! nobody without the seed can guess a page, and whoever has it reads the same words again. Each sub-protocol has a
//! book of its own, so that one that reads more than it did does not turn the pages of the others.
//!
//! Page `i` is HChaCha8 with the seed as the key and (label, `i`) as the input: a pseudorandom function, 8 words a call
//! (D. J. Bernstein, *Extending the Salsa20 nonce*, 2011, with ChaCha's rounds; 8 of them, our choice, because the best
//! known attack breaks 7: J.-P. Aumasson, *Too Much Crypto*, 2019). Every draw takes a fixed number of words, whatever
//! its bounds, so that a changed bound shifts nothing that is drawn later.

use crate::time::micros;
use chacha20::{R8, hchacha};
use core::fmt;
use core::time::Duration;

/// Words in a page.
const WORDS: usize = 8;

/// One stream of random numbers.
#[derive(Clone)]
pub(crate) struct Rng {
    key: [u8; 32],
    /// The page that is being read.
    page: [u32; WORDS],
    /// Words read so far. At a billion a second it lasts 584 years.
    position: u64,
    label: u32,
}

impl Rng {
    /// The stream of `seed` that is named `label`; streams of different labels are independent.
    pub(crate) const fn new(seed: &[u8; 32], label: u32) -> Self {
        Self { key: *seed, page: [0; WORDS], position: 0, label }
    }

    /// Uniform in all of `u32`. One word.
    pub(crate) fn u32(&mut self) -> u32 {
        let word = (self.position % WORDS as u64) as usize;
        if word == 0 {
            self.turn_page();
        }
        self.position += 1;
        self.page[word]
    }

    /// Uniform in all of `u64`. Two words, the lower half first.
    pub(crate) fn u64(&mut self) -> u64 {
        let low = u64::from(self.u32());
        let high = u64::from(self.u32());
        (high << 32) | low
    }

    /// Uniform below `bound`, and 0 for a bound of 0. One word.
    ///
    /// The word is scaled down (D. Lemire, *Fast random integer generation in an interval*, 2019) without his rejection
    /// step, which would make the number of words vary. Hence a bias: the probability of a value is off by at most the
    /// fraction `bound / 2³²` of itself, that is, by one in four million among a thousand peers.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.u32()) * u64::from(bound)) >> 32) as u32
    }

    /// Uniform from `min` to `max`, both included, in microseconds; `min` where `max` is below it. Two words.
    ///
    /// Biased like [`below`](Self::below), by at most the fraction `(max - min + 1) / 2⁶⁴`.
    pub(crate) fn range_micros(&mut self, min: u64, max: u64) -> u64 {
        let count = u128::from(max.saturating_sub(min)) + 1;
        min + ((u128::from(self.u64()) * count) >> 64) as u64
    }

    /// Uniform from `percent` below `duration` to `percent` above it, in whole microseconds. Two words.
    ///
    /// More than 100 percent is taken for 100.
    pub(crate) fn jitter(&mut self, duration: Duration, percent: u32) -> Duration {
        let middle = micros(duration);
        let spread = (u128::from(middle) * u128::from(percent.min(100)) / 100) as u64;
        Duration::from_micros(self.range_micros(middle - spread, middle.saturating_add(spread)))
    }

    /// Computes the page that the position is the beginning of.
    fn turn_page(&mut self) {
        let mut input = [0; 16];
        input[..4].copy_from_slice(&self.label.to_le_bytes());
        input[4..12].copy_from_slice(&(self.position / WORDS as u64).to_le_bytes());
        let output = hchacha::<R8>(&self.key.into(), &input.into());
        let (words, _) = output.as_chunks::<4>();
        for (word, bytes) in self.page.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
    }
}

impl fmt::Debug for Rng {
    /// Without key and page: who reads the log must not be able to foretell the node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").field("label", &self.label).field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};
    use std::vec::Vec;

    const SEED: [u8; 32] = {
        let mut seed = [0; 32];
        let mut place = 0;
        while place < seed.len() {
            seed[place] = place as u8;
            place += 1;
        }
        seed
    };

    fn words(label: u32, count: usize) -> Vec<u32> {
        let mut rng = Rng::new(&SEED, label);
        core::iter::repeat_with(|| rng.u32()).take(count).collect()
    }

    /// The words come from an implementation of HChaCha written apart from this one, after the Internet-Draft
    /// draft-irtf-cfrg-xchacha-03, section 2.2. A change here makes every recorded run worthless.
    #[test]
    fn golden_words() {
        #[rustfmt::skip]
        let golden = [
            0x7d28_397a, 0xe5ae_b8c5, 0x3f9e_6cbd, 0x1ab8_6830, 0xf65d_6aa5, 0x2521_c270, 0x6b6e_449e, 0x5e96_eb70,
            0x165c_f603, 0xc6f8_9511, 0x0937_eb0d, 0xf98a_eca7, 0x9b87_1356, 0xdd5a_ef2a, 0xfe69_a144, 0x609b_512e,
        ];
        assert_eq!(words(7, 16), golden);
        assert_eq!(Rng::new(&SEED, 7).u64(), 0xe5ae_b8c5_7d28_397a);
    }

    #[test]
    fn labels_and_seeds_tell_streams_apart() {
        let streams = [words(0, 64), words(1, 64), words(1 << 31, 64)];
        assert!(streams[0].iter().all(|word| !streams[1].contains(word) && !streams[2].contains(word)));
        assert_ne!(Rng::new(&[1; 32], 0).u32(), Rng::new(&[2; 32], 0).u32());
    }

    #[test]
    fn a_clone_reads_on_from_the_same_word() {
        let mut rng = Rng::new(&SEED, 3);
        rng.u32();
        let mut clone = rng.clone();
        assert!((0..20).all(|_| rng.u32() == clone.u32()));
    }

    #[test]
    fn debug_tells_no_secret() {
        let mut rng = Rng::new(&SEED, 5);
        rng.u32();
        assert_eq!(std::format!("{rng:?}"), "Rng { label: 5, position: 1, .. }");
    }

    /// 6,000 throws of a die; each face should come up 1,000 times, with a standard deviation of 29.
    #[test]
    fn all_faces_are_equally_likely() {
        let mut rng = Rng::new(&SEED, 0);
        let (mut below, mut ranged) = ([0; 6], [0; 6]);
        for _ in 0..6_000 {
            below[rng.below(6) as usize] += 1;
            ranged[rng.range_micros(10, 15) as usize - 10] += 1;
        }
        for counts in [below, ranged] {
            assert!(counts.iter().all(|count| (880..1_120).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn jitter_reaches_both_ends() {
        let mut rng = Rng::new(&SEED, 0);
        let drawn: Vec<Duration> = (0..200).map(|_| rng.jitter(Duration::from_micros(20), 10)).collect();
        assert_eq!(drawn.iter().min(), Some(&Duration::from_micros(18)));
        assert_eq!(drawn.iter().max(), Some(&Duration::from_micros(22)));
    }

    #[test]
    fn bounds_that_leave_no_choice() {
        let mut rng = Rng::new(&SEED, 0);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.range_micros(9, 9), 9);
        assert_eq!(rng.range_micros(9, 3), 9);
        assert_eq!(rng.jitter(Duration::from_millis(3), 0), Duration::from_millis(3));
        assert_eq!(rng.position, 8, "words are taken all the same");
    }

    proptest! {
        #[test]
        fn draws_stay_within_their_bounds(label: u32, bound in 1_u32.., ends: (u64, u64), percent in 0..150_u32) {
            let mut rng = Rng::new(&SEED, label);
            prop_assert!(rng.below(bound) < bound);
            let (min, max) = (ends.0.min(ends.1), ends.0.max(ends.1));
            prop_assert!((min..=max).contains(&rng.range_micros(min, max)));
            let jittered = rng.jitter(Duration::from_micros(min), percent);
            let spread = u128::from(min) * u128::from(percent.min(100)) / 100;
            prop_assert!(jittered.as_micros().abs_diff(min.into()) <= spread);
            rng.range_micros(0, u64::MAX);
        }
    }
}
