//! What was seen of each origin: exact, and bounded.
//!
//! # Intuition
//!
//! A counting clerk for each origin (and each of its lives). The clerk knows a number `top` up to which everything has
//! come or was told as lost, and has a strip of little boxes for the numbers behind it. A message is a duplicate iff its
//! number is at most `top` or its box is ticked: no guess, no false positive. What lies beyond the strip is refused and
//! fetched later, so a clerk never needs more than the strip.
//!
//! The clerk's second number, `known`, is the highest one that anybody has ever mentioned. What is missing between
//! `top` and `known` is what anti-entropy asks for.
//!
//! # Bounds
//!
//! `Limits::origins` rows of [`size_of::<Origin>()`] bytes. A row is forgotten when its origin was silent for 5/4 of the
//! horizon: a message that could still come is older than the horizon then, and is refused for its age (the quarter covers
//! the time on links, which ages do not count). A row that has to stay longer *retires* then: it is left out of what nodes
//! compare, as others have forgotten it. It is back as soon as something new of its origin is seen.

mod origin;

use core::hash::Hasher;
use core::ops::RangeInclusive;

use crate::ids::{Incarnation, NodeId};
use crate::rng::Rng;
use crate::storage::{Index, Order, Slots};
use crate::time::Instant;

use origin::{EMPTY, fingerprint};
pub(crate) use origin::{Freshness, Origin, WINDOW_MAX, Window};

/// A row number of [`Origins`].
pub(crate) type Row = u32;

/// The rows.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    rows: Slots<Origin>,
    index: Index,
    order: Order,
    key: (u64, u64),
    /// Keyed alike on all nodes of the cluster, for comparing.
    root_key: u64,
    root: u64,
    window: u64,
}

impl Origins {
    pub(crate) fn new(capacity: usize, window: u16, root_key: u64, rng: &mut Rng) -> Self {
        Self {
            rows: Slots::new(capacity),
            index: Index::new(capacity),
            order: Order::new(capacity),
            key: (rng.u64(), rng.u64()),
            root_key,
            root: 0,
            window: window.into(),
        }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Origin>::heap_bytes(capacity) + Index::heap_bytes(capacity) + Order::heap_bytes(capacity)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    /// The sum of all rows' fingerprints: equal roots, equal tables.
    pub(crate) const fn root(&self) -> u64 {
        self.root
    }

    /// The root as if these numbers had not been seen: rows and numbers, ascending.
    pub(crate) fn root_without(&self, unseen: &[(Row, u64)]) -> u64 {
        unseen.chunk_by(|one, other| one.0 == other.0).fold(self.root, |root, group| {
            let Some(origin) = self.rows.get(group[0].0).filter(|origin| !origin.retired) else { return root };
            let mut before = origin.clone();
            group.iter().rev().for_each(|&(_, seq)| before.unsee(seq));
            root.wrapping_sub(origin.fingerprint).wrapping_add(fingerprint(self.root_key, &before))
        })
    }

    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn find(&self, node: NodeId, incarnation: Incarnation) -> Option<Row> {
        self.index.find(self.hash(node, incarnation), |row| {
            self.rows.get(row).is_some_and(|origin| (origin.node, origin.incarnation) == (node, incarnation))
        })
    }

    pub(crate) fn get(&self, row: Row) -> Option<&Origin> {
        self.rows.get(row)
    }

    /// For columns that are not part of what was seen.
    pub(crate) fn get_mut(&mut self, row: Row) -> Option<&mut Origin> {
        self.rows.get_mut(row)
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Row, &Origin)> {
        self.rows.iter()
    }

    /// Adds a row for an origin that has none; none where there is no room.
    pub(crate) fn insert(&mut self, now: Instant, node: NodeId, incarnation: Incarnation) -> Option<Row> {
        debug_assert!(self.find(node, incarnation).is_none(), "one row for each life of an origin");
        let row = self.rows.insert(Origin::new(now, node, incarnation)).ok()?;
        self.index.insert(self.hash(node, incarnation), row).expect("the index has room for every row");
        let position = self.position(node, incarnation).unwrap_or_else(|position| position);
        self.order.insert(position, row).expect("the order has room for every row");
        Some(row)
    }

    /// Drops a row that holds nothing.
    pub(crate) fn remove(&mut self, row: Row) {
        let Some(origin) = self.rows.get(row) else { return };
        debug_assert!(origin.held.is_empty() && origin.gap.is_none(), "nothing is lost in silence");
        let (node, incarnation) = (origin.node, origin.incarnation);
        self.root = self.root.wrapping_sub(origin.fingerprint);
        self.index.remove(self.hash(node, incarnation), row);
        let position = self.position(node, incarnation).expect("every row is in the order");
        self.order.remove(position);
        self.rows.remove(row);
    }

    /// Takes a number as seen. It must be [`Freshness::New`].
    pub(crate) fn see(&mut self, now: Instant, row: Row, seq: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        debug_assert_eq!(origin.freshness(seq, WINDOW_MAX), Freshness::New);
        origin.set(seq - origin.top - 1);
        origin.slide();
        origin.progress = now;
        origin.known = origin.known.max(seq);
        origin.date_holes(now);
        origin.retired = false;
        self.refresh(row);
    }

    /// Passes over everything up to `upto`, in a row that was just made.
    pub(crate) fn pass_over(&mut self, now: Instant, row: Row, upto: u64) {
        self.advance(now, row, upto);
        if let Some(origin) = self.rows.get_mut(row) {
            origin.base = origin.base.max(upto);
        }
    }

    /// Takes everything up to `upto` as seen or lost.
    pub(crate) fn advance(&mut self, now: Instant, row: Row, upto: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        let Some(by) = upto.checked_sub(origin.top) else { return };
        if by >= WINDOW_MAX {
            origin.window = EMPTY;
        } else {
            origin.shift(by);
        }
        origin.top = upto;
        origin.slide();
        origin.known = origin.known.max(origin.top);
        origin.date_holes(now);
        origin.retired = false;
        self.refresh(row);
    }

    /// Takes all numbers of a range as seen or lost, as far as the strip reaches; it begins within.
    pub(crate) fn cross_off(&mut self, now: Instant, row: Row, range: RangeInclusive<u64>) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        let last = (*range.end()).min(origin.top + WINDOW_MAX);
        for seq in (*range.start()).max(origin.top + 1)..=last {
            origin.set(seq - origin.top - 1);
        }
        origin.slide();
        origin.known = origin.known.max(last);
        origin.date_holes(now);
        self.refresh(row);
    }

    /// Takes a number that was seen for one that was not: it will be asked for again. It must be
    /// [possible](Origin::could_unsee).
    pub(crate) fn unsee(&mut self, now: Instant, row: Row, seq: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        origin.unset(seq);
        // What was missing beside it stays missing since then, or a message that gives way again and again would never be lost.
        origin.date_holes(now);
        self.refresh(row);
    }

    /// Leaves a row out of what nodes compare, until something new is seen of its origin.
    pub(crate) fn retire(&mut self, row: Row) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        origin.retired = true;
        self.refresh(row);
    }

    /// Somebody has seen no more than `highest` of an origin: a retired row that knows of more is named to others again.
    pub(crate) fn name_again(&mut self, row: Row, highest: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        if origin.retired && highest < origin.known {
            origin.retired = false;
            self.refresh(row);
        }
    }

    /// Restores what a record says.
    pub(crate) fn restore(&mut self, row: Row, top: u64, known: u64, window: Window) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        (origin.top, origin.known, origin.window) = (top, known.max(top), window);
        origin.slide();
        self.refresh(row);
    }

    /// Somebody mentioned `seq`.
    pub(crate) fn mention(&mut self, now: Instant, row: Row, seq: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        origin.known = origin.known.max(seq);
        origin.date_holes(now);
    }

    /// Rows in the order of (node, incarnation), from the first that is not before the given one; without origins that
    /// have not said anything, and without retired ones.
    pub(crate) fn from(&self, node: NodeId, incarnation: Incarnation) -> impl Iterator<Item = (Row, &Origin)> {
        let start = self.position(node, incarnation).unwrap_or_else(|position| position);
        (start..self.order.len())
            .filter_map(|position| {
                let row = self.order.get(position)?;
                Some((row, self.rows.get(row)?))
            })
            .filter(|(_, origin)| origin.known > 0 && !origin.retired)
    }

    fn position(&self, node: NodeId, incarnation: Incarnation) -> Result<usize, usize> {
        self.order.search_by(|row| {
            let origin = self.rows.get(row).expect("the order holds rows in use only");
            (origin.node, origin.incarnation).cmp(&(node, incarnation))
        })
    }

    /// Panics where a row cannot be found, says of itself what cannot be, or the root is not the sum of all rows.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.index.check_invariants();
        let key = |row| self.rows.get(row).map(|origin| (origin.node, origin.incarnation));
        self.order.check_invariants(|one, other| key(one).cmp(&key(other)));
        assert_eq!(self.order.len(), self.rows.len(), "rows in the order");
        assert!(self.order.iter().all(|row| key(row).is_some()), "the order names an empty row");
        let mut root = 0_u64;
        for (row, origin) in self.rows.iter() {
            assert_eq!(self.find(origin.node, origin.incarnation), Some(row), "row {row} is not found by its key");
            assert!(!origin.bit(0), "row {row} has seen the number behind `top`");
            let last = origin.seen_runs().last().map_or(origin.top, |run| *run.end());
            assert!(origin.known >= last, "row {row} has seen more than anybody mentioned");
            assert!(origin.fifo_done <= last, "row {row} released what was not seen");
            assert!(origin.gap.is_none_or(|(first, last)| 0 < first && first <= last), "row {row} has an empty gap");
            assert_eq!(origin.fingerprint, fingerprint(self.root_key, origin), "fingerprint of row {row}");
            root = root.wrapping_add(origin.fingerprint);
        }
        assert_eq!(root, self.root, "the root is the sum of all fingerprints");
    }

    fn refresh(&mut self, row: Row) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        let fingerprint = fingerprint(self.root_key, origin);
        self.root = self.root.wrapping_sub(origin.fingerprint).wrapping_add(fingerprint);
        origin.fingerprint = fingerprint;
    }

    fn hash(&self, node: NodeId, incarnation: Incarnation) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(&node.0.to_le_bytes());
        hasher.write(&incarnation.0.to_le_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
