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
//! the time on links, which ages do not count).

use core::hash::Hasher;
use core::ops::RangeInclusive;

use crate::ids::{Incarnation, NodeId};
use crate::rng::Rng;
use crate::storage::{Index, List, Order, Slots};
use crate::time::Instant;

/// A row number of [`Origins`].
pub(crate) type Row = u32;

/// The widest strip, in sequence numbers.
pub(crate) const WINDOW_MAX: u64 = 256;

/// What happens to a message with a certain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Not seen yet, and near enough.
    New,
    /// Seen, or told as lost.
    Seen,
    /// Beyond the strip.
    Ahead,
}

/// What was seen of one origin in one of its lives.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Everything up to here was seen, or was told as lost.
    pub(crate) top: u64,
    /// The highest number that anybody has mentioned.
    pub(crate) known: u64,
    /// Bit `i`: `top + 1 + i` was seen.
    window: [u64; (WINDOW_MAX / 64) as usize],
    /// When the origin last gave a sign of life: a message, told age taken off.
    pub(crate) heard: Instant,
    /// Everything missing up to `hole_mark` has been missing since `hole_since` at least.
    pub(crate) hole_since: Instant,
    pub(crate) hole_mark: u64,
    /// The last fifo message that was released to the application, or told as lost.
    pub(crate) fifo_done: u64,
    /// Fifo messages that wait for earlier ones, in the order of their numbers.
    pub(crate) waiting: List,
    /// Held messages, in the order of their numbers.
    pub(crate) held: List,
    /// Told as lost, and not yet told to the application.
    pub(crate) gap: Option<(u64, u64)>,
    /// The last `gap`, told or not: what records say must not depend on when events are polled, and a gap on record as
    /// told might not have been heard. So it is told again by each life that starts from the record.
    pub(crate) last_gap: Option<(u64, u64)>,
    /// The share of this row in the root.
    fingerprint: u64,
}

impl Origin {
    pub(crate) fn freshness(&self, seq: u64, window: u64) -> Freshness {
        match seq.checked_sub(self.top + 1) {
            None => Freshness::Seen,
            Some(offset) if offset >= window => Freshness::Ahead,
            Some(offset) if self.bit(offset) => Freshness::Seen,
            Some(_) => Freshness::New,
        }
    }

    /// The first run of numbers that are missing, up to `known`.
    pub(crate) fn first_hole(&self) -> Option<RangeInclusive<u64>> {
        self.holes().next()
    }

    /// All runs of missing numbers within the strip, ascending.
    pub(crate) fn holes(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        Strip { origin: self, at: 0, end: (self.known.saturating_sub(self.top)).min(WINDOW_MAX), seen: false }
    }

    /// All runs of seen numbers above `top`, ascending.
    pub(crate) fn seen_runs(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        Strip { origin: self, at: 0, end: WINDOW_MAX, seen: true }
    }

    /// The runs of seen numbers as words, for records: bit `i` of word `w` is `top + 1 + 64 w + i`.
    pub(crate) const fn window(&self) -> &[u64; (WINDOW_MAX / 64) as usize] {
        &self.window
    }

    /// Once all that was dated is here, what is missing now is dated.
    fn date_holes(&mut self, now: Instant) {
        if self.top >= self.hole_mark {
            (self.hole_since, self.hole_mark) = (now, self.known);
        }
    }

    fn bit(&self, offset: u64) -> bool {
        self.window[(offset / 64) as usize] >> (offset % 64) & 1 == 1
    }

    fn set(&mut self, offset: u64) {
        self.window[(offset / 64) as usize] |= 1 << (offset % 64);
    }

    /// Moves `top` over everything that was seen without a gap behind it.
    fn slide(&mut self) {
        let run = self.window.iter().try_fold(0, |run, word| {
            let ones = u64::from(word.trailing_ones());
            if ones == 64 { Ok(run + 64) } else { Err(run + ones) }
        });
        let run = run.unwrap_or_else(|run| run);
        self.shift(run);
        self.top += run;
    }

    fn shift(&mut self, by: u64) {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let count = self.window.len();
        for i in 0..count {
            let low = self.window.get(i + words).copied().unwrap_or(0);
            let high = self.window.get(i + words + 1).copied().unwrap_or(0);
            self.window[i] = if bits == 0 { low } else { low >> bits | high << (64 - bits) };
        }
    }
}

/// Walks the strip in runs of ticked or of empty boxes.
struct Strip<'a> {
    origin: &'a Origin,
    at: u64,
    end: u64,
    seen: bool,
}

impl Iterator for Strip<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        let first = self.next_box(self.seen)?;
        self.at = first;
        let end = self.next_box(!self.seen).unwrap_or(self.end);
        self.at = end;
        let base = self.origin.top.saturating_add(1);
        Some(base.saturating_add(first)..=base.saturating_add(end - 1))
    }
}

impl Strip<'_> {
    /// The first box at or behind `at` that is ticked (or empty), a word at a time.
    fn next_box(&self, ticked: bool) -> Option<u64> {
        let mut at = self.at;
        while at < self.end {
            let word = self.origin.window[(at / 64) as usize];
            let word = (if ticked { word } else { !word }) >> (at % 64);
            if word != 0 {
                let found = at + u64::from(word.trailing_zeros());
                return (found < self.end).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}

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
        let row = self
            .rows
            .insert(Origin {
                node,
                incarnation,
                top: 0,
                known: 0,
                window: [0; (WINDOW_MAX / 64) as usize],
                heard: now,
                hole_since: now,
                hole_mark: 0,
                fifo_done: 0,
                waiting: List::default(),
                held: List::default(),
                gap: None,
                last_gap: None,
                fingerprint: 0,
            })
            .ok()?;
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
        origin.known = origin.known.max(seq);
        origin.date_holes(now);
        self.refresh(row);
    }

    /// Takes everything up to `upto` as seen or lost.
    pub(crate) fn advance(&mut self, now: Instant, row: Row, upto: u64) {
        let Some(origin) = self.rows.get_mut(row) else { return };
        let Some(by) = upto.checked_sub(origin.top) else { return };
        if by >= WINDOW_MAX {
            origin.window = [0; (WINDOW_MAX / 64) as usize];
        } else {
            origin.shift(by);
        }
        origin.top = upto;
        origin.slide();
        origin.known = origin.known.max(origin.top);
        origin.date_holes(now);
        self.refresh(row);
    }

    /// Restores what a record says.
    pub(crate) fn restore(&mut self, row: Row, top: u64, known: u64, window: [u64; (WINDOW_MAX / 64) as usize]) {
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
    /// have not said anything.
    pub(crate) fn from(&self, node: NodeId, incarnation: Incarnation) -> impl Iterator<Item = (Row, &Origin)> {
        let start = self.position(node, incarnation).unwrap_or_else(|position| position);
        (start..self.order.len())
            .filter_map(|position| {
                let row = self.order.get(position)?;
                Some((row, self.rows.get(row)?))
            })
            .filter(|(_, origin)| origin.known > 0)
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

/// The share of one row in the root; nothing where nothing was seen, as another node may have no row for it.
fn fingerprint(root_key: u64, origin: &Origin) -> u64 {
    if origin.top == 0 && origin.window.iter().all(|&word| word == 0) {
        return 0;
    }
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(root_key, 1);
    for number in [origin.node.0, origin.incarnation.0, origin.top] {
        hasher.write(&number.to_le_bytes());
    }
    for word in origin.window {
        hasher.write(&word.to_le_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn origins() -> (Origins, Row) {
        let mut origins = Origins::new(4, 256, 7, &mut Rng::new(&[1; 32], 0));
        let row = origins.insert(Instant::ZERO, NodeId(1), Incarnation(1)).expect("room for four");
        (origins, row)
    }

    /// The numbers of some runs.
    fn flat(runs: impl Iterator<Item = RangeInclusive<u64>>) -> Vec<u64> {
        runs.flatten().collect()
    }

    proptest! {
        /// Against a set of all numbers that were seen or given up.
        #[test]
        fn remembers_exactly(steps in proptest::collection::vec((1..600_u64, any::<bool>()), 1..300)) {
            let (mut origins, row) = origins();
            let mut model = BTreeSet::new();
            for (seq, give_up) in steps {
                let origin = origins.get(row).expect("the row exists");
                let top = (1..).take_while(|seq| model.contains(seq)).last().unwrap_or(0);
                prop_assert_eq!(origin.top, top);
                let known = model.last().copied().unwrap_or(0);
                prop_assert_eq!(flat(origin.holes()), (top + 1..=known).filter(|seq| !model.contains(seq)).collect::<Vec<_>>());
                prop_assert_eq!(flat(origin.seen_runs()), model.range(top + 1..).copied().collect::<Vec<_>>());
                let freshness = origin.freshness(seq, 256);
                let expected = match () {
                    () if model.contains(&seq) => Freshness::Seen,
                    () if seq > top + 256 => Freshness::Ahead,
                    () => Freshness::New,
                };
                prop_assert_eq!(freshness, expected);
                if give_up && seq < top + 40 {
                    origins.advance(Instant::ZERO, row, seq);
                    model.extend(1..=seq);
                } else if freshness == Freshness::New {
                    origins.see(Instant::ZERO, row, seq);
                    model.insert(seq);
                }
            }
        }

        /// The root depends on what was seen, not on the way there.
        #[test]
        fn equal_tables_have_equal_roots(mut seqs in proptest::collection::btree_set(1..200_u64, 1..50)) {
            let (mut up, row) = origins();
            let (mut down, _) = origins();
            seqs.insert(1);
            for &seq in &seqs {
                up.see(Instant::ZERO, row, seq);
            }
            for &seq in seqs.iter().rev() {
                down.see(Instant::ZERO, row, seq);
            }
            prop_assert_eq!(up.root(), down.root());
            down.advance(Instant::ZERO, row, 201);
            proptest::prop_assert_ne!(up.root(), down.root());
            down.remove(row);
            prop_assert_eq!(down.root(), 0);
        }
    }

    /// Equal to having no row.
    #[test]
    fn a_row_of_which_nothing_was_seen_is_not_in_the_root() {
        let (mut origins, row) = origins();
        origins.mention(Instant::ZERO, row, 9);
        origins.advance(Instant::ZERO, row, 0);
        assert_eq!(origins.root(), 0);
        origins.restore(row, 0, 9, [0; (WINDOW_MAX / 64) as usize]);
        assert_eq!(origins.root(), 0);
        origins.see(Instant::ZERO, row, 1);
        assert_ne!(origins.root(), 0);
    }

    #[test]
    fn rows_come_in_the_order_of_keys() {
        let (mut origins, first) = origins();
        let second = origins.insert(Instant::ZERO, NodeId(1), Incarnation(9)).expect("room");
        let zeroth = origins.insert(Instant::ZERO, NodeId(0), Incarnation(5)).expect("room");
        let _silent = origins.insert(Instant::ZERO, NodeId(2), Incarnation(5)).expect("room");
        for row in [first, second, zeroth] {
            origins.see(Instant::ZERO, row, 1);
        }
        let order = |node, incarnation| {
            origins.from(NodeId(node), Incarnation(incarnation)).map(|(row, _)| row).collect::<Vec<_>>()
        };
        assert_eq!(order(0, 0), [zeroth, first, second]);
        assert_eq!(order(1, 2), [second]);
    }
}
