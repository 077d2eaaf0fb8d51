//! Who still owes what to whom: one bit for each pair.
//!
//! A sheet of squared paper with, say, a line for each neighbor and a column for each message. One crosses a square
//! out on sending, and a whole column when the message goes; a line is read from where one stopped last time.

use super::Bits;
use super::bits::{WORD, mask, next_bit, words};
use alloc::boxed::Box;
use alloc::vec;

/// A relation between rows and columns, as a matrix of bits. Finding a bit in a row costs one step for 64 columns.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// Row by row, each a whole number of words.
    cells: Box<[u64]>,
    rows: usize,
    columns: usize,
}

impl Grid {
    /// The empty relation.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        Self { cells: vec![0; rows * words(columns)].into_boxed_slice(), rows, columns }
    }

    /// Bytes of heap that a relation of this size takes.
    pub(crate) const fn heap_bytes(rows: usize, columns: usize) -> usize {
        rows.saturating_mul(words(columns)).saturating_mul(size_of::<u64>())
    }

    /// Adds the pair; no effect where it is there.
    pub(crate) fn set(&mut self, row: usize, column: usize) {
        let place = self.place(row, column);
        self.cells[place] |= mask(column);
    }

    /// Takes the pair out; no effect where it is not there.
    pub(crate) fn clear(&mut self, row: usize, column: usize) {
        let place = self.place(row, column);
        self.cells[place] &= !mask(column);
    }

    /// Whether the pair is there.
    pub(crate) fn contains(&self, row: usize, column: usize) -> bool {
        self.cells[self.place(row, column)] & mask(column) != 0
    }

    /// Takes every pair of `row` out.
    pub(crate) fn clear_row(&mut self, row: usize) {
        let range = self.range(row);
        self.cells[range].fill(0);
    }

    /// Takes every pair of `column` out. Linear in the rows.
    pub(crate) fn clear_column(&mut self, column: usize) {
        for row in 0..self.rows {
            self.clear(row, column);
        }
    }

    /// Whether `row` has no pair.
    pub(crate) fn row_is_empty(&self, row: usize) -> bool {
        self.row(row).iter().all(|word| *word == 0)
    }

    /// The least column of `row` at or after `from`, and if there is none, the least of all.
    pub(crate) fn next_in_row(&self, row: usize, from: usize) -> Option<usize> {
        next_bit(self.row(row), from).or_else(|| next_bit(self.row(row), 0))
    }

    /// The same among the columns in `set`, which has as many places as there are columns.
    pub(crate) fn next_in_row_among(&self, row: usize, set: &Bits, from: usize) -> Option<usize> {
        let next = |from: usize| {
            let mut at = from / WORD;
            let mut within = u64::MAX << (from % WORD);
            let (row, set) = (self.row(row), set.words());
            while at < row.len() {
                let bits = row[at] & set[at] & within;
                if bits != 0 {
                    return Some(at * WORD + bits.trailing_zeros() as usize);
                }
                (at, within) = (at + 1, u64::MAX);
            }
            None
        };
        next(from).or_else(|| next(0))
    }

    /// Whether no row has a pair with `column`. Linear in the rows.
    pub(crate) fn column_is_empty(&self, column: usize) -> bool {
        (0..self.rows).all(|row| !self.contains(row, column))
    }

    /// The columns of `row`, ascending.
    pub(crate) fn columns_of(&self, row: usize) -> impl Iterator<Item = usize> {
        let next = move |from| next_bit(self.row(row), from);
        core::iter::successors(next(0), move |column| next(column + 1))
    }

    /// Panics where a bit beyond the last column is set.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for row in 0..self.rows {
            assert_eq!(next_bit(self.row(row), self.columns), None, "column beyond the last in row {row}");
        }
    }

    fn row(&self, row: usize) -> &[u64] {
        &self.cells[self.range(row)]
    }

    fn range(&self, row: usize) -> core::ops::Range<usize> {
        let width = words(self.columns);
        assert!(row < self.rows, "row {row} of {}", self.rows);
        row * width..(row + 1) * width
    }

    /// The place of the word that the pair is in.
    fn place(&self, row: usize, column: usize) -> usize {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        self.range(row).start + column / WORD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Set(usize, usize),
        Clear(usize, usize),
        ClearRow(usize),
        ClearColumn(usize),
    }

    fn op(rows: usize, columns: usize) -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0..rows, 0..columns).prop_map(|(row, column)| Op::Set(row, column)),
            2 => (0..rows, 0..columns).prop_map(|(row, column)| Op::Clear(row, column)),
            1 => (0..rows).prop_map(Op::ClearRow),
            1 => (0..columns).prop_map(Op::ClearColumn),
        ]
    }

    fn run(rows: usize, columns: usize, ops: &[Op]) -> (Grid, BTreeSet<(usize, usize)>) {
        let (mut grid, mut model) = (Grid::new(rows, columns), BTreeSet::new());
        for op in ops {
            match *op {
                Op::Set(row, column) => {
                    grid.set(row, column);
                    model.insert((row, column));
                }
                Op::Clear(row, column) => {
                    grid.clear(row, column);
                    model.remove(&(row, column));
                }
                Op::ClearRow(row) => {
                    grid.clear_row(row);
                    model.retain(|pair| pair.0 != row);
                }
                Op::ClearColumn(column) => {
                    grid.clear_column(column);
                    model.retain(|pair| pair.1 != column);
                }
            }
            grid.check_invariants();
        }
        (grid, model)
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_pairs(
            (rows, columns, ops, from) in (1..9_usize, 1..150_usize).prop_flat_map(|(rows, columns)| {
                (Just(rows), Just(columns), prop::collection::vec(op(rows, columns), 0..120), 0..columns + 70)
            })
        ) {
            let (grid, model) = run(rows, columns, &ops);
            for row in 0..rows {
                let of_row: BTreeSet<usize> = model.iter().filter(|pair| pair.0 == row).map(|pair| pair.1).collect();
                prop_assert!((0..columns).filter(|column| grid.contains(row, *column)).eq(of_row.iter().copied()));
                prop_assert!(grid.columns_of(row).eq(of_row.iter().copied()));
                prop_assert_eq!(grid.row_is_empty(row), of_row.is_empty());
                let next = of_row.range(from..).next().or_else(|| of_row.first()).copied();
                prop_assert_eq!(grid.next_in_row(row, from), next);
            }
        }

        #[test]
        fn takes_the_bytes_it_says(rows in 0..50_usize, columns in 0..300_usize) {
            prop_assert_eq!(Grid::heap_bytes(rows, columns), size_of_val(&*Grid::new(rows, columns).cells));
        }
    }

    #[test]
    #[should_panic(expected = "column 70 of 70")]
    fn refuses_a_column_beyond_the_last() {
        Grid::new(2, 70).set(0, 70);
    }

    #[test]
    #[should_panic(expected = "column beyond the last in row 1")]
    fn check_bites_on_a_bit_in_the_padding() {
        let mut grid = Grid::new(2, 70);
        grid.cells[3] = mask(70);
        grid.check_invariants();
    }
}
