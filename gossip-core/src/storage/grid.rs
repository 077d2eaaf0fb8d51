//! Who still owes what to whom: one bit for each pair.
//!
//! A sheet of squared paper with, say, a line for each neighbor and a column for each message. One crosses a square
//! out on sending, and a whole column when the message goes; a line is read from where one stopped last time.

use super::Bits;
use super::bits::{self, WORD, cells, mask, next_common};
use alloc::boxed::Box;
use alloc::vec;

/// A relation between rows and columns, as a matrix of bits. Each row has a summary, as [`Bits`] have: a search passes 4,096
/// columns without a pair in one step.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// Row by row, each the cells of a set.
    cells: Box<[u64]>,
    rows: usize,
    columns: usize,
}

impl Grid {
    /// The empty relation.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        Self { cells: vec![0; rows * cells(columns)].into_boxed_slice(), rows, columns }
    }

    /// Bytes of heap that a relation of this size takes.
    pub(crate) const fn heap_bytes(rows: usize, columns: usize) -> usize {
        rows.saturating_mul(cells(columns)).saturating_mul(size_of::<u64>())
    }

    /// Adds the pair; no effect where it is there.
    pub(crate) fn set(&mut self, row: usize, column: usize) {
        let range = self.range_of(row, column);
        bits::set(&mut self.cells[range], self.columns, column);
    }

    /// Takes the pair out; no effect where it is not there.
    pub(crate) fn clear(&mut self, row: usize, column: usize) {
        let range = self.range_of(row, column);
        bits::clear(&mut self.cells[range], self.columns, column);
    }

    /// Whether the pair is there.
    pub(crate) fn contains(&self, row: usize, column: usize) -> bool {
        self.cells[self.range_of(row, column)][column / WORD] & mask(column) != 0
    }

    /// Takes every pair of `row` out.
    pub(crate) fn clear_row(&mut self, row: usize) {
        let range = self.range(row);
        self.cells[range].fill(0);
    }

    /// Takes every pair of `column` out. Linear in the rows.
    pub(crate) fn clear_column(&mut self, column: usize) {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        for row in self.cells.chunks_exact_mut(cells(self.columns)) {
            bits::clear(row, self.columns, column);
        }
    }

    /// Whether `row` has no pair.
    pub(crate) fn row_is_empty(&self, row: usize) -> bool {
        self.next(row, 0).is_none()
    }

    /// The least column of `row` at or after `from`, and if there is none, the least of all.
    pub(crate) fn next_in_row(&self, row: usize, from: usize) -> Option<usize> {
        self.next(row, from).or_else(|| self.next(row, 0))
    }

    /// The same among the columns in `set`, which has as many places as there are columns.
    pub(crate) fn next_in_row_among(&self, row: usize, set: &Bits, from: usize) -> Option<usize> {
        let next = |from| next_common([self.row(row), set.cells()], self.columns, from);
        next(from).or_else(|| next(0))
    }

    /// Whether no row has a pair with `column`. Linear in the rows.
    pub(crate) fn column_is_empty(&self, column: usize) -> bool {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        self.cells.chunks_exact(cells(self.columns)).all(|row| row[column / WORD] & mask(column) == 0)
    }

    /// The columns of `row`, ascending.
    pub(crate) fn columns_of(&self, row: usize) -> impl Iterator<Item = usize> {
        core::iter::successors(self.next(row, 0), move |column| self.next(row, column + 1))
    }

    /// Panics where a summary lies, or a bit beyond the last column is set.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for row in 0..self.rows {
            bits::check(self.row(row), self.columns);
        }
    }

    /// The least column of `row` at or after `from`.
    fn next(&self, row: usize, from: usize) -> Option<usize> {
        next_common([self.row(row), self.row(row)], self.columns, from)
    }

    fn row(&self, row: usize) -> &[u64] {
        &self.cells[self.range(row)]
    }

    fn range(&self, row: usize) -> core::ops::Range<usize> {
        let width = cells(self.columns);
        assert!(row < self.rows, "row {row} of {}", self.rows);
        row * width..(row + 1) * width
    }

    /// Where the row of a pair lies.
    fn range_of(&self, row: usize, column: usize) -> core::ops::Range<usize> {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        self.range(row)
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
            (rows, columns, ops, from) in (1..9_usize, prop_oneof![1..150_usize, 4_000..9_000_usize]).prop_flat_map(|(rows, columns)| {
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
                let mut odd = Bits::new(columns);
                (1..columns).step_by(2).for_each(|column| odd.set(column));
                let mut of_odd = of_row.range(from..).chain(&of_row).filter(|column| *column % 2 == 1);
                prop_assert_eq!(grid.next_in_row_among(row, &odd, from), of_odd.next().copied());
            }
            for column in 0..columns {
                prop_assert_eq!(grid.column_is_empty(column), model.iter().all(|pair| pair.1 != column));
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
    #[should_panic(expected = "bit beyond the length")]
    fn check_bites_on_a_bit_in_the_padding() {
        let mut grid = Grid::new(2, 70);
        (grid.cells[4], grid.cells[5]) = (mask(70), mask(1));
        grid.check_invariants();
    }

    #[test]
    #[should_panic(expected = "summary of word 1")]
    fn check_bites_on_a_summary_that_lies() {
        let mut grid = Grid::new(2, 70);
        grid.cells[4] = mask(69);
        grid.check_invariants();
    }
}
