//! Links drawn by chance, none twice.

use crate::limits::LINKS_MAX;
use crate::peer::Peers;
use crate::rng::Rng;

const WORD: usize = u64::BITS as usize;

/// Links that can still be drawn: names in a hat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    words: [u64; LINKS_MAX as usize / WORD],
    /// Words in use: one where there are at most 64 links.
    len: usize,
}

impl Candidates {
    /// All links.
    pub(super) fn of(peers: &Peers) -> Self {
        let (mut words, linked) = ([0; LINKS_MAX as usize / WORD], peers.linked().words());
        words[..linked.len()].copy_from_slice(linked);
        Self { words, len: linked.len() }
    }

    /// This one is not to be drawn.
    pub(super) const fn remove(&mut self, row: usize) {
        self.words[row / WORD] &= !(1 << (row % WORD));
    }

    /// Draws a link, and takes it out.
    pub(super) fn draw(&mut self, rng: &mut Rng) -> Option<usize> {
        let words = &mut self.words[..self.len];
        let mut skip = rng.below(words.iter().map(|word| word.count_ones()).sum());
        for (place, word) in words.iter_mut().enumerate() {
            if skip < word.count_ones() {
                let bit = nth(*word, skip)?;
                *word &= !(1 << bit);
                return Some(place * WORD + bit as usize);
            }
            skip -= word.count_ones();
        }
        None
    }
}

/// A set bit of `bits`, drawn by chance.
pub(super) fn draw_bit(rng: &mut Rng, bits: u64) -> Option<u32> {
    nth(bits, rng.below(bits.count_ones()))
}

/// The set bit of `bits` that has `below` set bits below it.
fn nth(bits: u64, below: u32) -> Option<u32> {
    let rest = (0..below).fold(bits, |rest, _| rest & rest.wrapping_sub(1));
    (rest != 0).then(|| rest.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_bit_is_drawn_and_no_other() {
        let mut rng = Rng::new(&[3; 32], 0);
        let bits = 1 << 63 | 1 << 5 | 1;
        let drawn = (0..200).fold(0, |drawn, _| drawn | 1_u64 << draw_bit(&mut rng, bits).expect("three bits"));
        assert_eq!(drawn, bits);
        assert_eq!(draw_bit(&mut rng, 0), None);
    }

    #[test]
    fn all_are_drawn_once_and_equally_often_first() {
        let mut rng = Rng::new(&[4; 32], 0);
        let rows = [0_usize, 63, 64, 200, 1_023];
        let mut full = Candidates { words: [0; 16], len: 16 };
        for row in rows {
            full.words[row / WORD] |= 1 << (row % WORD);
        }
        let mut firsts = [0_u32; 5];
        for _ in 0..5_000 {
            let mut hat = full;
            let drawn: std::vec::Vec<usize> = core::iter::from_fn(|| hat.draw(&mut rng)).collect();
            assert_eq!((drawn.len(), drawn.iter().copied().collect::<BTreeSet<_>>()), (5, BTreeSet::from(rows)));
            firsts[rows.iter().position(|&row| row == drawn[0]).expect("one of them")] += 1;
        }
        assert!(firsts.iter().all(|count| (850..1_150).contains(count)), "{firsts:?}");
        full.remove(64);
        assert!(core::iter::from_fn(|| full.draw(&mut rng)).all(|row| row != 64));
    }
}
