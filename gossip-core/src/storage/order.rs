//! Rows in the order of their keys.
//!
//! The index cards of a library: the books stay where they are, the cards are sorted, each with the number of a shelf.
//! The order is the caller's (by id, by age); it hands the comparison in when it searches. To search takes a
//! logarithmic number of comparisons, to insert moves four bytes for each card behind, which for some thousand rows is
//! faster than any tree.

use super::Full;
use alloc::boxed::Box;
use alloc::vec;
use core::cmp::Ordering;

/// A sequence of rows that the caller keeps sorted.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    rows: Box<[u32]>,
    len: usize,
}

impl Order {
    /// An empty sequence for `capacity` rows.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { rows: vec![0; capacity].into_boxed_slice(), len: 0 }
    }

    /// Bytes of heap that a sequence for `capacity` rows takes.
    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        capacity.saturating_mul(size_of::<u32>())
    }

    /// The position of the first row that compares equal to what is sought, or else the position to insert it at.
    /// `compare` says how a row compares *to* what is sought.
    pub(crate) fn search_by(&self, mut compare: impl FnMut(u32) -> Ordering) -> Result<usize, usize> {
        // Not `binary_search_by`, which may answer any one of several equal rows, another one in each Rust version.
        let position = self.as_slice().partition_point(|row| compare(*row) == Ordering::Less);
        match self.get(position).map(compare) {
            Some(Ordering::Equal) => Ok(position),
            _ => Err(position),
        }
    }

    /// Puts `row` at `position`, which is at most the length; the rows from there on move up.
    pub(crate) fn insert(&mut self, position: usize, row: u32) -> Result<(), Full> {
        assert!(position <= self.len, "position {position} of {}", self.len);
        if self.len == self.rows.len() {
            return Err(Full);
        }
        self.rows.copy_within(position..self.len, position + 1);
        self.rows[position] = row;
        self.len += 1;
        Ok(())
    }

    /// Takes out and answers the row at `position`, which is below the length; the rows behind it move down.
    pub(crate) fn remove(&mut self, position: usize) -> u32 {
        let row = self.as_slice()[position];
        self.rows.copy_within(position + 1..self.len, position);
        self.len -= 1;
        row
    }

    /// The row at `position`.
    pub(crate) fn get(&self, position: usize) -> Option<u32> {
        self.as_slice().get(position).copied()
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The rows in order.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.as_slice().iter().copied()
    }

    /// Panics where two neighbors are not in the order that `compare` says, or a row is there twice in succession.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, mut compare: impl FnMut(u32, u32) -> Ordering) {
        for pair in self.as_slice().windows(2) {
            assert_ne!(compare(pair[0], pair[1]), Ordering::Greater, "rows {} and {} out of order", pair[0], pair[1]);
            assert_ne!(pair[0], pair[1], "row twice");
        }
    }

    fn as_slice(&self) -> &[u32] {
        &self.rows[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const CAPACITY: usize = 12;

    /// The key of a row; three rows share one.
    fn key(row: u32) -> u32 {
        row / 3
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_vector(ops in prop::collection::vec((any::<bool>(), 0..40_u32), 0..120)) {
            let (mut order, mut model) = (Order::new(CAPACITY), Vec::new());
            for (insert, row) in ops {
                let first = model.iter().position(|other| key(*other) >= key(row)).unwrap_or(model.len());
                let equal = model.get(first).is_some_and(|other| key(*other) == key(row));
                let found = order.search_by(|other| key(other).cmp(&key(row)));
                prop_assert_eq!(found, if equal { Ok(first) } else { Err(first) });
                if insert && !model.contains(&row) {
                    let expected = if model.len() < CAPACITY { Ok(()) } else { Err(Full) };
                    prop_assert_eq!(order.insert(first, row), expected);
                    if expected.is_ok() {
                        model.insert(first, row);
                    }
                } else if equal {
                    prop_assert_eq!(order.remove(first), model.remove(first));
                }
                order.check_invariants(|one, other| key(one).cmp(&key(other)));
                prop_assert!(order.iter().eq(model.iter().copied()));
                prop_assert_eq!(order.len(), model.len());
                prop_assert_eq!(order.get(first), model.get(first).copied());
            }
        }

        #[test]
        fn takes_the_bytes_it_says(capacity in 0..500_usize) {
            prop_assert_eq!(Order::heap_bytes(capacity), size_of_val(&*Order::new(capacity).rows));
        }
    }

    #[test]
    #[should_panic(expected = "rows 4 and 1 out of order")]
    fn check_bites_on_a_wrong_order() {
        let mut order = Order::new(2);
        order.insert(0, 1).unwrap();
        order.insert(0, 4).unwrap();
        order.check_invariants(|one, other| one.cmp(&other));
    }
}
