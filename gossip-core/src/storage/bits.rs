//! A set of small numbers that finds its next member fast.
//!
//! Picture a row of flags with a balcony above it: each flag on the balcony says whether any of the 64 flags below is
//! up. A search looks at one word of flags, then walks the balcony, and so passes 4,096 idle rows per word. Whoever
//! serves members in turn starts the next search after the one just served: fairness costs one number.

use alloc::boxed::Box;
use alloc::vec;

/// Bits in a word.
pub(super) const WORD: usize = u64::BITS as usize;

/// A set of the numbers below a fixed length, as a bitmap with a summary.
#[derive(Clone, Debug)]
pub(crate) struct Bits {
    /// The words of the set, then those of the summary: one bit for each word that is not zero.
    cells: Box<[u64]>,
    len: usize,
}

impl Bits {
    /// The empty set of numbers below `len`.
    pub(crate) fn new(len: usize) -> Self {
        Self { cells: vec![0; cells(len)].into_boxed_slice(), len }
    }

    /// Bytes of heap that a set of numbers below `len` takes.
    pub(crate) const fn heap_bytes(len: usize) -> usize {
        cells(len).saturating_mul(size_of::<u64>())
    }

    /// Adds `bit`; no effect where it is a member.
    pub(crate) fn set(&mut self, bit: usize) {
        let word = self.word(bit);
        let (words, summary) = self.cells.split_at_mut(words(self.len));
        words[word] |= mask(bit);
        summary[word / WORD] |= mask(word);
    }

    /// Takes `bit` out; no effect where it is no member.
    pub(crate) fn clear(&mut self, bit: usize) {
        let word = self.word(bit);
        let (words, summary) = self.cells.split_at_mut(words(self.len));
        words[word] &= !mask(bit);
        if words[word] == 0 {
            summary[word / WORD] &= !mask(word);
        }
    }

    /// Adds `bit` or takes it out.
    pub(crate) fn put(&mut self, bit: usize, is_member: bool) {
        if is_member { self.set(bit) } else { self.clear(bit) }
    }

    /// Whether `bit` is a member.
    pub(crate) fn contains(&self, bit: usize) -> bool {
        self.cells[self.word(bit)] & mask(bit) != 0
    }

    /// Whether there is no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.summary().iter().all(|word| *word == 0)
    }

    /// The number of members.
    pub(crate) fn len_set(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The least member.
    pub(crate) fn first(&self) -> Option<usize> {
        self.next(0)
    }

    /// The least member at or after `from`, and if there is none, the least of all.
    pub(crate) fn next_wrapping(&self, from: usize) -> Option<usize> {
        self.next(from).or_else(|| self.first())
    }

    /// The members, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        core::iter::successors(self.first(), |bit| self.next(bit + 1))
    }

    /// Recomputes the summary, and panics where it lies or a bit beyond the length is set.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for (word, bits) in self.words().iter().enumerate() {
            assert_eq!(self.summary()[word / WORD] & mask(word) != 0, *bits != 0, "summary of word {word}");
        }
        assert_eq!(next_bit(self.words(), self.len), None, "bit beyond the length");
        assert_eq!(next_bit(self.summary(), self.words().len()), None, "summary of no word");
    }

    /// The least member at or after `from`.
    fn next(&self, from: usize) -> Option<usize> {
        if from >= self.len {
            return None;
        }
        let mut place = from / WORD;
        let mut bits = self.cells[place] & (u64::MAX << (from % WORD));
        while bits == 0 {
            place = next_bit(self.summary(), place + 1)?;
            bits = self.cells[place];
        }
        Some(place * WORD + bits.trailing_zeros() as usize)
    }

    /// The set, 64 numbers a word, the lowest bit first.
    pub(crate) fn words(&self) -> &[u64] {
        &self.cells[..words(self.len)]
    }

    fn summary(&self) -> &[u64] {
        &self.cells[words(self.len)..]
    }

    /// The place of the word that `bit` is in.
    fn word(&self, bit: usize) -> usize {
        assert!(bit < self.len, "bit {bit} of {}", self.len);
        bit / WORD
    }
}

/// Words that `len` bits take.
pub(super) const fn words(len: usize) -> usize {
    len.div_ceil(WORD)
}

/// Words that `len` bits and their summary take.
const fn cells(len: usize) -> usize {
    words(len) + words(words(len))
}

/// `bit` in its word.
pub(super) const fn mask(bit: usize) -> u64 {
    1 << (bit % WORD)
}

/// The least set bit at or after `from`.
pub(super) fn next_bit(words: &[u64], from: usize) -> Option<usize> {
    let mut place = from / WORD;
    let mut bits = words.get(place)? & (u64::MAX << (from % WORD));
    while bits == 0 {
        place += 1;
        bits = *words.get(place)?;
    }
    Some(place * WORD + bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[derive(Clone, Debug)]
    enum Op {
        Set(usize),
        Clear(usize),
    }

    /// Lengths on both sides of one word, of one word of summary, and in between.
    fn lengths() -> impl Strategy<Value = usize> {
        prop_oneof![Just(1), Just(64), Just(65), 1..200_usize, Just(4_096), Just(4_097), Just(9_000)]
    }

    fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            8 => (0..len).prop_map(Op::Set),
            6 => (0..len).prop_map(Op::Clear),
        ];
        prop::collection::vec(op, 0..80)
    }

    fn run(len: usize, ops: &[Op]) -> (Bits, BTreeSet<usize>) {
        let (mut bits, mut model) = (Bits::new(len), BTreeSet::new());
        for op in ops {
            match *op {
                Op::Set(bit) => {
                    bits.set(bit);
                    model.insert(bit);
                }
                Op::Clear(bit) => {
                    bits.clear(bit);
                    model.remove(&bit);
                }
            }
            bits.check_invariants();
        }
        (bits, model)
    }

    fn next_wrapping(model: &BTreeSet<usize>, from: usize) -> Option<usize> {
        model.range(from..).next().or_else(|| model.first()).copied()
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(
            (len, ops, from) in lengths().prop_flat_map(|len| (Just(len), ops(len), 0..len + 70))
        ) {
            let (bits, model) = run(len, &ops);
            prop_assert!(bits.iter().eq(model.iter().copied()));
            prop_assert_eq!(bits.len_set(), model.len());
            prop_assert_eq!(bits.is_empty(), model.is_empty());
            prop_assert_eq!(bits.first(), model.first().copied());
            prop_assert_eq!(bits.next_wrapping(from), next_wrapping(&model, from));
            prop_assert_eq!(bits.contains(from % len), model.contains(&(from % len)));
        }

        #[test]
        fn takes_the_bytes_it_says(len in 0..10_000_usize) {
            prop_assert_eq!(Bits::heap_bytes(len), size_of_val(&*Bits::new(len).cells));
        }
    }

    #[test]
    fn of_nothing_is_empty() {
        let bits = Bits::new(0);
        bits.check_invariants();
        assert!(bits.is_empty());
        assert_eq!(bits.next_wrapping(0), None);
    }

    #[test]
    #[should_panic(expected = "bit 3 of 3")]
    fn refuses_a_bit_beyond_its_length() {
        Bits::new(3).set(3);
    }

    #[test]
    #[should_panic(expected = "summary of word 1")]
    fn check_bites_on_a_wrong_summary() {
        let mut bits = Bits::new(100);
        bits.cells[1] = 1;
        bits.check_invariants();
    }
}
