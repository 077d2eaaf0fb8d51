//! Who is due first.
//!
//! A knock-out tournament in which the earlier deadline wins: the champion at the root is the next wake-up of all rows,
//! always exact, and a changed deadline replays only the matches on its own way up. Asked who is due, one goes down
//! from the root to the leftmost winner, so that rows due at once come in the order of their numbers.
//!
//! A winner tree (D. E. Knuth, *The Art of Computer Programming* 3, section 5.4.1) in an array, `2 n` instants for `n`
//! rows. A timer wheel is no smaller, and its granularity would show in what the node does.

use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;

/// One deadline for each row, `Instant::NEVER` for none, and their minimum.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines {
    /// Node `i` is the earlier of the nodes `2 i` and `2 i + 1`; the root is node 1, the leaves are nodes `rows..`.
    nodes: Box<[Instant]>,
}

impl Deadlines {
    /// No deadline for each of `rows` rows.
    pub(crate) fn new(rows: usize) -> Self {
        Self { nodes: vec![Instant::NEVER; 2 * rows].into_boxed_slice() }
    }

    /// Bytes of heap that the deadlines of `rows` rows take.
    pub(crate) const fn heap_bytes(rows: usize) -> usize {
        rows.saturating_mul(2 * size_of::<Instant>())
    }

    /// Changes the deadline of `row`; `Instant::NEVER` takes it away. Logarithmic in the rows.
    pub(crate) fn set(&mut self, row: usize, at: Instant) {
        let mut node = self.leaf(row);
        self.nodes[node] = at;
        while node > 1 {
            let winner = self.nodes[node].min(self.nodes[node ^ 1]);
            node /= 2;
            if self.nodes[node] == winner {
                return;
            }
            self.nodes[node] = winner;
        }
    }

    /// The deadline of `row`.
    pub(crate) fn get(&self, row: usize) -> Instant {
        self.nodes[self.leaf(row)]
    }

    /// The earliest deadline of all rows.
    pub(crate) fn earliest(&self) -> Instant {
        self.nodes.get(1).copied().unwrap_or(Instant::NEVER)
    }

    /// The first of the rows whose deadline is at or before `now`. Logarithmic in the rows.
    pub(crate) fn expired(&self, now: Instant) -> Option<usize> {
        let is_due = |at: Instant| at <= now && at != Instant::NEVER;
        if !is_due(self.earliest()) {
            return None;
        }
        let mut node = 1;
        while node < self.rows() {
            node *= 2;
            if !is_due(self.nodes[node]) {
                node += 1;
            }
        }
        Some(self.row(node))
    }

    /// Replays every match, and panics where another one won.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for node in 1..self.rows() {
            let winner = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
            assert_eq!(self.nodes[node], winner, "winner of match {node}");
        }
    }

    fn rows(&self) -> usize {
        self.nodes.len() / 2
    }

    /// The leaf of `row`. Where the rows are no power of two, the leaves are on two levels; those on the lower one,
    /// the last in the array, are the leftmost in the tree, so the rows begin there.
    fn leaf(&self, row: usize) -> usize {
        let rows = self.rows();
        assert!(row < rows, "row {row} of {rows}");
        let node = rows.next_power_of_two() + row;
        if node < 2 * rows { node } else { node - rows }
    }

    /// The row of the leaf `node`.
    fn row(&self, node: usize) -> usize {
        let leftmost = self.rows().next_power_of_two();
        if node >= leftmost { node - leftmost } else { node + self.rows() - leftmost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    /// Few different instants, so that ties are common, and both ends of time.
    fn instant() -> impl Strategy<Value = Instant> {
        prop_oneof![
            4 => (0..12_u64).prop_map(Instant::from_micros),
            1 => Just(Instant::NEVER),
            1 => Just(Instant::from_micros(u64::MAX - 1)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_column(
            (rows, ops) in (1..70_usize)
                .prop_flat_map(|rows| (Just(rows), prop::collection::vec((0..rows, instant(), instant()), 0..100)))
        ) {
            let (mut deadlines, mut model) = (Deadlines::new(rows), vec![Instant::NEVER; rows]);
            for (row, at, now) in ops {
                deadlines.set(row, at);
                model[row] = at;
                deadlines.check_invariants();
                let earliest = *model.iter().min().expect("there is a row");
                prop_assert_eq!(deadlines.earliest(), earliest);
                let first = |due: &dyn Fn(Instant) -> bool| {
                    model.iter().position(|at| *at != Instant::NEVER && due(*at))
                };
                prop_assert_eq!(deadlines.expired(now), first(&|at| at <= now));
                prop_assert!((0..rows).all(|row| deadlines.get(row) == model[row]));
            }
        }

        #[test]
        fn takes_the_bytes_it_says(rows in 0..1_000_usize) {
            prop_assert_eq!(Deadlines::heap_bytes(rows), size_of_val(&*Deadlines::new(rows).nodes));
        }
    }

    #[test]
    fn of_no_rows_are_never() {
        let deadlines = Deadlines::new(0);
        deadlines.check_invariants();
        assert_eq!(deadlines.earliest(), Instant::NEVER);
        assert_eq!(deadlines.expired(Instant::NEVER), None);
    }

    #[test]
    #[should_panic(expected = "winner of match 1")]
    fn check_bites_on_a_wrong_winner() {
        let mut deadlines = Deadlines::new(3);
        deadlines.nodes[1] = Instant::ZERO;
        deadlines.check_invariants();
    }
}
