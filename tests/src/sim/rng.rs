//! Chance, from a seed.
//!
//! Two ways to draw, for two purposes. A *hash* of what is decided (seed, sender, number of the datagram) for everything
//! that happens on the network: the fate of a datagram then does not depend on what else was drawn before, so that two
//! runs which differ in their drain order see the same faults. A *generator* for scripts, which are made in one go.
//!
//! Both are SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", §3): eight bytes of
//! state, passes BigCrush, and is quick enough to be called for every datagram.

/// The finalizer of SplitMix64: every input bit changes every output bit with a probability of about one half.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that depends on all `parts` and on their order.
#[must_use]
pub const fn hash<const N: usize>(parts: [u64; N]) -> u64 {
    let mut state = STEP;
    let mut i = 0;
    while i < N {
        state = mix(state.wrapping_add(STEP) ^ parts[i]);
        i += 1;
    }
    state
}

/// A number that depends on all of `bytes`, their order and `start`.
#[must_use]
pub fn hash_bytes(start: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(start ^ bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
    }
    let mut last = [0_u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state ^ u64::from_le_bytes(last))
}

/// Where hash `h` falls in `low..=high`, evenly.
#[must_use]
pub const fn within(h: u64, low: u64, high: u64) -> u64 {
    let span = high.saturating_sub(low).saturating_add(1) as u128;
    low + ((h as u128 * span) >> 64) as u64
}

/// A probability, in units of 2⁻³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);

    /// The chance that is nearest to `probability`, which is cut to 0..=1.
    #[must_use]
    pub fn of(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * (1_u64 << 32) as f64).round() as u64)
    }

    /// Whether it happens, for an evenly distributed `h`.
    #[must_use]
    pub const fn hit(self, h: u64) -> bool {
        (h >> 32) < self.0
    }

    /// The probability.
    #[must_use]
    pub fn probability(self) -> f64 {
        self.0 as f64 / (1_u64 << 32) as f64
    }
}

/// A generator for scripts.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream `label` of `seed`: streams of one seed are independent of each other.
    #[must_use]
    pub const fn new(seed: u64, label: u64) -> Self {
        Self(hash([seed, label]))
    }

    /// 64 even bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Evenly in `low..=high`.
    pub const fn range(&mut self, low: u64, high: u64) -> u64 {
        within(self.next(), low, high)
    }

    /// Evenly in `0..n`; 0 for an empty range.
    pub const fn below(&mut self, n: u64) -> u64 {
        within(self.next(), 0, n.saturating_sub(1))
    }

    /// Evenly in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// Where there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// 32 even bytes, such as a core's seed.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = self.next().to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_out_as_often_as_asked() {
        let chance = Chance::of(0.3);
        let hits = (0..100_000).filter(|&i| chance.hit(hash([7, i]))).count();
        assert!((29_000..31_000).contains(&hits), "{hits} of 100,000 at 30 %");
        assert!(!Chance::NEVER.hit(0));
        assert!(Chance::of(1.0).hit(u64::MAX));
    }

    #[test]
    fn ranges_reach_both_ends_and_nothing_else() {
        let mut rng = Rng::new(1, 2);
        let drawn: std::collections::BTreeSet<u64> = (0..1_000).map(|_| rng.range(3, 6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(within(u64::MAX, 0, u64::MAX - 1), u64::MAX - 1);
    }

    #[test]
    fn every_byte_and_its_place_count() {
        let hashes: std::collections::BTreeSet<u64> =
            [&b""[..], b"a", b"b", b"ab", b"ba", b"a\0", b"abcdefgh", b"abcdefghi", b"bbcdefghi"]
                .map(|bytes| hash_bytes(0, bytes))
                .into();
        assert_eq!(hashes.len(), 9);
    }
}
