//! Containers that never grow.
//!
//! Think of a node as a board with its memory soldered on: every table gets its size in `new`, in one flat allocation,
//! and nothing is asked of the allocator afterwards. So the heap of a node is a sum that can be computed beforehand
//! (`heap_bytes`, which saturates where the limits are absurd), "full" is an ordinary answer instead of a failure, and
//! a clone has the capacity of its original (that of a `Vec` has not, which is why there is none here).
//!
//! Things are named by their row, a `u32`; relations between things are bits, links and orders over rows, kept beside
//! the things rather than inside them:
//!
//! | container | answers |
//! |---|---|
//! | [`Slots`] | where does a thing live? |
//! | [`Index`] | which row has this key? |
//! | [`Bits`] | which rows have something due, and which of them is next in turn? |
//! | [`Grid`] | which row has something due with which column? |
//! | [`Deadlines`] | which row is due first, and when? |
//! | [`Links`] and [`List`] | in which sequence do rows follow one another? |
//! | [`Order`] | which row is at, before or after this key? |
//!
//! Everything is deterministic: no iteration order depends on an address, a hasher of the process or the pointer width.
//! A row or bit beyond the capacity is a mistake of the caller and panics; rows never come from the network unchecked.

mod bits;
mod deadlines;
mod grid;
mod index;
mod links;
mod order;
mod slots;

pub(crate) use bits::Bits;
pub(crate) use deadlines::Deadlines;
pub(crate) use grid::Grid;
pub(crate) use index::Index;
pub(crate) use links::{Links, List};
pub(crate) use order::Order;
pub(crate) use slots::Slots;

/// The container holds as many entries as it was made for; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Stands for "no row" where an `Option<u32>` would take twice the room.
const NONE: u32 = u32::MAX;

/// `capacity` as the type of a row, all of whose values below it are rows.
fn rows(capacity: usize) -> u32 {
    u32::try_from(capacity).expect("limits are counts of 32 bits, so that rows are the same on every target")
}

/// The row as a position in an array.
const fn at(row: u32) -> usize {
    row as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    /// The clone of an empty container must take as many entries as the original.
    #[test]
    fn clones_keep_their_capacity() {
        const CAPACITY: usize = 5;
        let mut slots = Slots::new(CAPACITY).clone();
        let mut index = Index::new(CAPACITY).clone();
        let mut bits = Bits::new(CAPACITY).clone();
        let mut grid = Grid::new(CAPACITY, CAPACITY).clone();
        let mut deadlines = Deadlines::new(CAPACITY).clone();
        let mut links = Links::new(CAPACITY).clone();
        let mut list = List::default();
        let mut order = Order::new(CAPACITY).clone();
        for row in 0..CAPACITY as u32 {
            assert_eq!(slots.insert(row), Ok(row));
            assert_eq!(index.insert(row.into(), row), Ok(()));
            bits.set(at(row));
            grid.set(at(row), at(row));
            deadlines.set(at(row), Instant::ZERO);
            list.push_back(&mut links, row);
            assert_eq!(order.insert(at(row), row), Ok(()));
        }
        assert_eq!(slots.insert(9), Err(9));
        assert_eq!(index.insert(9, 9), Err(Full));
        assert_eq!(order.insert(0, 9), Err(Full));
        assert!(list.iter(&links).eq(bits.iter().map(|bit| bit as u32)));
    }
}
