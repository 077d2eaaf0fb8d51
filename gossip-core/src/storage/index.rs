//! From a key to its row.
//!
//! A cloakroom with numbered hooks: the hash of a key names a hook, and where that is taken, the coat hangs on the next
//! free one. To find a coat one walks from its hook to the first free one. When a coat leaves, those behind it that
//! hang too far from home move up, so that the walk stays short and no "was here once" signs pile up.
//!
//! Linear probing with backward-shift deletion: D. E. Knuth, *The Art of Computer Programming* 3, section 6.4,
//! Algorithm R. At most two of three cells are taken (our choice, because a search for an absent key then looks at five
//! cells on average, Theorem K there). The keys live with the caller, who also hashes them; with a secret key, or else
//! a stranger can choose keys that share a cell.

use super::{Full, NONE, at, rows};
use alloc::boxed::Box;
use alloc::vec;

/// One place of the table; free where `row` is `NONE`.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The folded hash: home position and fingerprint in one, so that few probes look at a key.
    tag: u32,
    row: u32,
}

const FREE: Cell = Cell { tag: 0, row: NONE };

/// A multimap from hashes to rows.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// A power of two of them, so that a position is a mask away, and never all taken, so that every search ends.
    cells: Box<[Cell]>,
    capacity: u32,
    len: u32,
}

impl Index {
    /// An empty index for `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { cells: vec![FREE; cells(capacity)].into_boxed_slice(), capacity: rows(capacity), len: 0 }
    }

    /// Bytes of heap that an index for `capacity` entries takes.
    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        cells(capacity).saturating_mul(size_of::<Cell>())
    }

    /// The row filed under `hash` that `is_it` confirms to be the one.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.position(hash, is_it).map(|position| self.cells[position].row)
    }

    /// Files `row` under `hash`. The caller has made sure that it is not there.
    pub(crate) fn insert(&mut self, hash: u64, row: u32) -> Result<(), Full> {
        debug_assert!(row != NONE && self.find(hash, |other| other == row).is_none(), "row {row} filed twice");
        if self.len == self.capacity {
            return Err(Full);
        }
        let tag = fold(hash);
        let mut position = self.home(tag);
        while self.cells[position].row != NONE {
            position = self.after(position);
        }
        self.cells[position] = Cell { tag, row };
        self.len += 1;
        Ok(())
    }

    /// Takes out `row`, filed under `hash`, and says whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, row: u32) -> bool {
        let Some(position) = self.position(hash, |other| other == row) else { return false };
        self.close(position);
        self.len -= 1;
        true
    }

    /// The position of the row filed under `hash` that `is_it` confirms to be the one.
    fn position(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<usize> {
        let tag = fold(hash);
        let mut position = self.home(tag);
        loop {
            let cell = self.cells[position];
            if cell.row == NONE {
                return None;
            }
            if cell.tag == tag && is_it(cell.row) {
                return Some(position);
            }
            position = self.after(position);
        }
    }

    /// Frees the cell at `hole`, after filling it from behind as long as a later entry may not be reached otherwise.
    fn close(&mut self, mut hole: usize) {
        let mut position = self.after(hole);
        while self.cells[position].row != NONE {
            let cell = self.cells[position];
            if self.distance(self.home(cell.tag), position) >= self.distance(hole, position) {
                self.cells[hole] = cell;
                hole = position;
            }
            position = self.after(position);
        }
        self.cells[hole] = FREE;
    }

    /// Where the search for `tag` starts.
    fn home(&self, tag: u32) -> usize {
        at(tag) & (self.cells.len() - 1)
    }

    /// The cell behind `position`; the table is a ring.
    fn after(&self, position: usize) -> usize {
        (position + 1) & (self.cells.len() - 1)
    }

    /// Steps from one position forward to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.cells.len() - 1)
    }

    /// Panics where an entry cannot be reached from its home, or the length is wrong.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        let taken = self.cells.iter().filter(|cell| cell.row != NONE).count();
        assert_eq!(taken, at(self.len), "length");
        assert!(self.len <= self.capacity && taken * 3 <= self.cells.len() * 2, "load");
        for (position, cell) in self.cells.iter().enumerate().filter(|(_, cell)| cell.row != NONE) {
            let mut probe = self.home(cell.tag);
            while probe != position {
                assert_ne!(self.cells[probe].row, NONE, "row {} is cut off from its home", cell.row);
                probe = self.after(probe);
            }
        }
    }
}

/// Cells of the table for `capacity` entries.
const fn cells(capacity: usize) -> usize {
    match capacity.saturating_add(capacity.div_ceil(2)).checked_next_power_of_two() {
        Some(cells) => cells,
        None => usize::MAX,
    }
}

/// 64 bits of hash in 32; both halves count, whichever is the better one.
const fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const CAPACITY: usize = 11;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64, u32),
        Remove(u64, u32),
    }

    /// Hashes that collide often, in home, in tag, and around the end of the table.
    fn hash() -> impl Strategy<Value = u64> {
        prop_oneof![0..4_u64, 13..16_u64, (0..3_u64).prop_map(|high| high << 4), any::<u64>()]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (hash(), 0..20_u32).prop_map(|(hash, row)| Op::Insert(hash, row)),
            (hash(), 0..20_u32).prop_map(|(hash, row)| Op::Remove(hash, row)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_pairs(ops in prop::collection::vec(op(), 0..200)) {
            let (mut index, mut model) = (Index::new(CAPACITY), Vec::<(u64, u32)>::new());
            for op in ops {
                match op {
                    Op::Insert(hash, row) if model.contains(&(hash, row)) => {
                        prop_assert_eq!(index.find(hash, |other| other == row), Some(row));
                    }
                    // Two hashes that fold alike are the same hash to the index.
                    Op::Insert(hash, row) if model.iter().any(|pair| fold(pair.0) == fold(hash) && pair.1 == row) => {}
                    Op::Insert(hash, row) => {
                        let expected = if model.len() < CAPACITY { Ok(()) } else { Err(Full) };
                        prop_assert_eq!(index.insert(hash, row), expected);
                        if expected.is_ok() {
                            model.push((hash, row));
                        }
                    }
                    Op::Remove(hash, row) => {
                        let there = model.iter().position(|pair| fold(pair.0) == fold(hash) && pair.1 == row);
                        prop_assert_eq!(index.remove(hash, row), there.is_some());
                        there.map(|position| model.remove(position));
                    }
                }
                index.check_invariants();
                for (hash, row) in &model {
                    prop_assert_eq!(index.find(*hash, |other| other == *row), Some(*row));
                }
                prop_assert_eq!(index.find(7, |_| false), None);
            }
        }

        #[test]
        fn takes_the_bytes_it_says_and_stays_below_two_thirds(capacity in 0..3_000_usize) {
            let index = Index::new(capacity);
            prop_assert_eq!(Index::heap_bytes(capacity), size_of_val(&*index.cells));
            prop_assert!(capacity * 3 <= index.cells.len() * 2 && capacity < index.cells.len());
        }
    }

    #[test]
    fn asks_only_about_rows_of_the_same_hash() {
        let mut index = Index::new(8);
        index.insert(1, 10).unwrap();
        index.insert(1 + 16, 11).unwrap();
        let mut asked = Vec::new();
        assert_eq!(
            index.find(1 + 16, |row| {
                asked.push(row);
                true
            }),
            Some(11)
        );
        assert_eq!(asked, [11], "the table has 16 cells, so both share a home");
    }

    #[test]
    #[should_panic(expected = "row 2 is cut off from its home")]
    fn check_bites_on_a_hole() {
        let mut index = Index::new(8);
        index.insert(1, 1).unwrap();
        index.insert(1, 2).unwrap();
        index.cells[1] = FREE;
        index.len -= 1;
        index.check_invariants();
    }
}
