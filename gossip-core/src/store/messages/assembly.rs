//! Larger messages of which chunks are missing, and what they may take.
//!
//! # Intuition
//!
//! A shelf for half-finished puzzles. Pieces hang on the hooks of the cloakroom like everything else; the shelf only says how
//! many of which puzzle are there, and how much room it will take when it is finished. That room is set aside with the
//! first piece, so that what was begun can be finished. When no room is left, a puzzle at which nobody has worked for a
//! while has to go; or, where there is none, the latest one of the house that has set most aside for several, but only for a
//! house that would still have less than it. It does not go for good: its pieces are taken for never seen, and asked for again.
//!
//! # Bounds
//!
//! [`Limits::reassembly_bytes`] of payload, set aside for all of a message with its first chunk, and [`rows()`] messages. Each
//! chunk counts as the mean message that the limits allow for, if it is shorter, so that short ones do not take all places. Finding
//! a victim costs one walk over the rows, and only where the shelf is full.

use core::hash::Hasher;
use core::time::Duration;

use super::message::{Message, NewMessage};
use crate::limits::Limits;
use crate::storage::{Index, Slots};
use crate::store::{Origins, Row};
use crate::time::Instant;

/// A message of which chunks are missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assembly {
    pub(crate) row: Row,
    /// The numbers of its chunks.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How many of them are here.
    pub(super) here: u16,
    order: crate::event::Order,
    /// The number of the fifo message before it.
    predecessor: Option<u64>,
    /// Bytes set aside for all of it.
    pub(super) reserved: u32,
    /// When the first and the last of those that are here came.
    since: Instant,
    progress: Instant,
}

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// There is room for all of its message.
    Yes,
    /// Not now.
    NotNow,
    /// Never.
    Never,
    /// It contradicts the chunks that are here.
    Contradiction,
}

/// The shelf.
#[derive(Clone, Debug)]
pub(super) struct Assemblies {
    pub(super) rows: Slots<Assembly>,
    index: Index,
    key: (u64, u64),
    /// What is set aside, and may be.
    pub(super) reserved: u64,
    budget: u64,
    /// What a chunk counts at least.
    least: u32,
}

/// Messages that may be incomplete at once (our choice: so that each can have sixteen chunks on average).
const fn rows(messages: usize) -> usize {
    messages / 16 + 4
}

impl Assemblies {
    pub(super) fn new(limits: &Limits, key: (u64, u64)) -> Self {
        let capacity = rows(limits.message_slots());
        Self {
            rows: Slots::new(capacity),
            index: Index::new(capacity),
            key,
            reserved: 0,
            budget: limits.reassembly_bytes() as u64,
            least: limits.payload_bytes / limits.messages,
        }
    }

    pub(super) const fn heap_bytes(messages: usize) -> usize {
        Slots::<Assembly>::heap_bytes(rows(messages)) + Index::heap_bytes(rows(messages))
    }

    pub(super) fn find(&self, row: Row, first: u64) -> Option<u32> {
        self.index.find(self.hash(row, first), |at| {
            self.rows.get(at).is_some_and(|assembly| (assembly.row, assembly.first) == (row, first))
        })
    }

    /// Sets room aside for the message of a chunk; where that is not `bounded`, also beyond the budget.
    pub(super) fn set_aside(
        &mut self,
        now: Instant,
        origins: &mut Origins,
        new: &NewMessage<'_>,
        bounded: bool,
    ) -> Reserved {
        let (first, last) = (new.first(), new.first() + u64::from(new.chunk.count) - 1);
        let predecessor = (new.previous > 0).then(|| new.id.seq.saturating_sub(new.previous));
        let wanted = self.charge(new);
        let known = self.find(new.row, first);
        let before = known.and_then(|at| self.rows.get(at)).copied();
        let differs = |known: Assembly| (known.last, known.order, known.predecessor) != (last, new.order, predecessor);
        if before.is_some_and(differs) {
            return Reserved::Contradiction;
        }
        if wanted > self.budget && bounded {
            return Reserved::Never;
        }
        let held = before.map_or(0, |known| known.reserved.into());
        let more = wanted.saturating_sub(held);
        if self.reserved + more > self.budget && bounded || known.is_none() && self.rows.is_full() {
            return Reserved::NotNow;
        }
        self.reserved += more;
        if let Some(origin) = origins.get_mut(new.row) {
            origin.assembling += more as u32;
        }
        match known.and_then(|at| self.rows.get_mut(at)) {
            Some(known) => known.reserved += more as u32,
            None => self.add(Assembly {
                row: new.row,
                first,
                last,
                here: 0,
                order: new.order,
                predecessor,
                reserved: more as u32,
                since: now,
                progress: now,
            }),
        }
        Reserved::Yes
    }

    fn add(&mut self, assembly: Assembly) {
        let hash = self.hash(assembly.row, assembly.first);
        if let Ok(at) = self.rows.insert(assembly) {
            self.index.insert(hash, at).expect("the index has room for every row");
        }
    }

    /// A chunk has come. Whether it was the last one.
    pub(super) fn count(&mut self, now: Instant, at: u32) -> bool {
        let Some(assembly) = self.rows.get_mut(at) else { return false };
        assembly.here += 1;
        assembly.progress = now;
        u64::from(assembly.here) > assembly.last - assembly.first
    }

    /// Its message is complete, or given up.
    pub(super) fn remove(&mut self, origins: &mut Origins, at: u32) {
        let Some(assembly) = self.rows.remove(at) else { return };
        self.index.remove(self.hash(assembly.row, assembly.first), at);
        self.reserved -= u64::from(assembly.reserved);
        if let Some(origin) = origins.get_mut(assembly.row) {
            origin.assembling -= assembly.reserved;
        }
    }

    /// Which message gives way to another one, for which there is no room: one at which nobody has worked for `patience`,
    /// or the latest of the origin that has most set aside for several, where that is more than the origin of the new one would
    /// have with it. The first one of an origin stays as long as it grows, or none would ever be finished; and none goes that
    /// may not.
    pub(super) fn victim(
        &self,
        now: Instant,
        origins: &Origins,
        new: &NewMessage<'_>,
        patience: Duration,
        may_wait: impl Fn(&Assembly) -> bool,
    ) -> Option<Assembly> {
        let (row, first, len) = (new.row, new.first(), self.charge(new));
        let others = |assembly: &Assembly| (assembly.row, assembly.first) != (row, first);
        let all = || self.rows.iter().map(|(_, assembly)| *assembly).filter(others).filter(&may_wait);
        let share = |row| origins.get(row).map_or(0, |origin| u64::from(origin.assembling));
        let stalled = all().filter(|assembly| now.saturating_since(assembly.progress) >= patience);
        stalled.min_by_key(|assembly| assembly.progress).or_else(|| {
            let has_others = |assembly: &Assembly| share(assembly.row) > assembly.reserved.into();
            let greedy = all().filter(|assembly| has_others(assembly) && share(assembly.row) > share(row) + len);
            greedy.max_by_key(|assembly| (share(assembly.row), assembly.since))
        })
    }

    /// What the message of a chunk takes, if all are as long.
    fn charge(&self, message: &NewMessage<'_>) -> u64 {
        let len = (message.path.len() + message.payload.len()) as u64;
        u64::from(message.chunk.count) * len.max(self.least.into())
    }

    /// Panics where a row is not found by its key.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.index.check_invariants();
        for (at, assembly) in self.rows.iter() {
            assert_eq!(self.find(assembly.row, assembly.first), Some(at), "an incomplete message is not found");
        }
    }

    fn hash(&self, row: Row, first: u64) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(u64::from(row));
        hasher.write_u64(first);
        hasher.finish()
    }
}

impl Assembly {
    /// Whether a message is one of its chunks.
    pub(super) fn has(&self, message: &Message) -> bool {
        message.row == self.row
            && message.chunk.count > 1
            && message.first() == self.first
            && message.last() == self.last
    }
}
