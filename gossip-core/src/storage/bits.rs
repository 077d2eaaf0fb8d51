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
        assert!(bit < self.len, "bit {bit} of {}", self.len);
        set(&mut self.cells, self.len, bit);
    }

    /// Takes `bit` out; no effect where it is no member.
    pub(crate) fn clear(&mut self, bit: usize) {
        assert!(bit < self.len, "bit {bit} of {}", self.len);
        clear(&mut self.cells, self.len, bit);
    }

    /// Adds `bit` or takes it out.
    pub(crate) fn put(&mut self, bit: usize, is_member: bool) {
        if is_member { self.set(bit) } else { self.clear(bit) }
    }

    /// Whether `bit` is a member.
    pub(crate) fn contains(&self, bit: usize) -> bool {
        assert!(bit < self.len, "bit {bit} of {}", self.len);
        self.cells[bit / WORD] & mask(bit) != 0
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
        check(&self.cells, self.len);
    }

    /// The least member at or after `from`.
    fn next(&self, from: usize) -> Option<usize> {
        next_common([&self.cells, &self.cells], self.len, from)
    }

    /// The set, 64 numbers a word, the lowest bit first.
    pub(crate) fn words(&self) -> &[u64] {
        &self.cells[..words(self.len)]
    }

    fn summary(&self) -> &[u64] {
        &self.cells[words(self.len)..]
    }

    /// The words of the set, then those of the summary.
    pub(super) fn cells(&self) -> &[u64] {
        &self.cells
    }
}

// What follows works on the cells of a set: the words of its numbers, then those of the summary.

/// Adds `bit` to a set of numbers below `len`.
pub(super) fn set(cells: &mut [u64], len: usize, bit: usize) {
    let (members, summary) = cells.split_at_mut(words(len));
    members[bit / WORD] |= mask(bit);
    summary[bit / WORD / WORD] |= mask(bit / WORD);
}

/// Takes `bit` out of a set of numbers below `len`.
pub(super) fn clear(cells: &mut [u64], len: usize, bit: usize) {
    let word = &mut cells[bit / WORD];
    // Mostly it is no member, and one look is enough.
    if *word & mask(bit) == 0 {
        return;
    }
    *word &= !mask(bit);
    if *word == 0 {
        cells[words(len) + bit / WORD / WORD] &= !mask(bit / WORD);
    }
}

/// The least number at or after `from` that is in both of two sets of numbers below `len`.
pub(super) fn next_common(sets: [&[u64]; 2], len: usize, from: usize) -> Option<usize> {
    if from >= len {
        return None;
    }
    let common = |place: usize| sets[0][place] & sets[1][place];
    let (members, all) = (words(len), cells(len));
    let mut place = from / WORD;
    let mut bits = common(place) & (u64::MAX << (from % WORD));
    while bits == 0 {
        // The words behind this one, by the summary.
        let (mut at, mut within) = (members + (place + 1) / WORD, u64::MAX << ((place + 1) % WORD));
        let mut places = if at < all { common(at) & within } else { 0 };
        while places == 0 {
            (at, within) = (at + 1, u64::MAX);
            if at >= all {
                return None;
            }
            places = common(at) & within;
        }
        place = (at - members) * WORD + places.trailing_zeros() as usize;
        bits = common(place);
    }
    Some(place * WORD + bits.trailing_zeros() as usize)
}

/// Recomputes the summary of a set of numbers below `len`, and panics where it lies or a bit beyond the length is set.
#[cfg(any(test, feature = "__internals"))]
pub(super) fn check(cells: &[u64], len: usize) {
    let (members, summary) = cells.split_at(words(len));
    for (word, bits) in members.iter().enumerate() {
        assert_eq!(summary[word / WORD] & mask(word) != 0, *bits != 0, "summary of word {word}");
    }
    assert_eq!(next_bit(members, len), None, "bit beyond the length");
    assert_eq!(next_bit(summary, members.len()), None, "summary of no word");
}

/// Words that `len` bits take.
pub(super) const fn words(len: usize) -> usize {
    len.div_ceil(WORD)
}

/// Words that `len` bits and their summary take.
pub(super) const fn cells(len: usize) -> usize {
    words(len) + words(words(len))
}

/// `bit` in its word.
pub(super) const fn mask(bit: usize) -> u64 {
    1 << (bit % WORD)
}

/// The least set bit at or after `from`.
#[cfg(any(test, feature = "__internals"))]
fn next_bit(words: &[u64], from: usize) -> Option<usize> {
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
