//! Lists: entries one behind the other, without a count.
//!
//! A writer puts as many entries as fit and a reader stops where the body ends, so nobody has to know the number
//! beforehand. A *page* is a part of a sorted table that also speaks about what it does not list: "from this key on, up
//! to my last entry, there is nothing else".

use core::fmt;
use core::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::field::fixed;
use crate::ids::{Incarnation, NodeId};

/// The most entries that a list may have, so that the work for one datagram is bounded.
///
/// Our choice: the smallest entry takes 17 bytes, so a datagram has to exceed 8 kB before this cuts.
pub const LIST_MAX: usize = 512;

/// Entries of one type as the bytes that hold them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    entry: PhantomData<fn() -> T>,
}

impl<'a, T> List<'a, T> {
    /// The entries in the body of a frame.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, entry: PhantomData }
    }

    /// The entries from the first on. Ends at the first broken one, and after [`LIST_MAX`].
    pub const fn iter(&self) -> Entries<'a, T> {
        Entries { rest: self.bytes, left: LIST_MAX, entry: PhantomData }
    }
}

impl<T> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} bytes)", self.bytes.len())
    }
}

impl<'a, T: Deserialize<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Entries<'a, T>;

    fn into_iter(self) -> Entries<'a, T> {
        self.iter()
    }
}

/// Reads the entries of a [`List`].
#[derive(Clone, Debug)]
pub struct Entries<'a, T> {
    rest: &'a [u8],
    left: usize,
    entry: PhantomData<fn() -> T>,
}

impl<'a, T: Deserialize<'a>> Iterator for Entries<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let (entry, rest) = postcard::take_from_bytes(self.rest).ok()?;
        self.rest = rest;
        Some(entry)
    }
}

/// A part of a table that is sorted by (node, incarnation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a, T> {
    /// The page ends because it was full. Otherwise it covers the table to its end.
    pub more: bool,
    /// Where the page begins.
    pub head: PageHead,
    /// All rows of the sender from `head` on, in the order of keys, up to the last entry or to the end of the table.
    pub entries: List<'a, T>,
}

/// Reads the body of a page. A page with a broken entry, or with too many, is no page: what it says about the rest would
/// be a lie. Nor is one whose keys do not rise, so that a page makes its reader look at each row of its table once.
pub(super) fn page<'a, T: Deserialize<'a> + Entry>(body: &'a [u8]) -> Option<Page<'a, T>> {
    let (&more, rest) = body.split_first()?;
    let (head, rest): (PageHead, _) = postcard::take_from_bytes(rest).ok()?;
    let entries: List<'a, T> = List::new(rest);
    let mut walk = entries.iter();
    let mut last = None;
    for entry in walk.by_ref() {
        let key = entry.key();
        if key < head || last.is_some_and(|last| key <= last) {
            return None;
        }
        last = Some(key);
    }
    walk.rest.is_empty().then_some(Page { more: more != 0, head, entries })
}

/// A row of a sorted table.
pub(super) trait Entry {
    /// What the table is sorted by.
    fn key(&self) -> PageHead;
}

/// The key from which on a page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PageHead {
    /// The smallest origin, or owner, that the page speaks about.
    #[serde(with = "fixed")]
    pub node: NodeId,
    /// The smallest incarnation of that node that the page speaks about.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
}

impl PageHead {
    /// The beginning of every table.
    pub const START: Self = Self { node: NodeId(0), incarnation: Incarnation(0) };
}
