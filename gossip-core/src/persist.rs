//! Records: what a node must find again in its next life.
//!
//! A record is a table, a key and a value, or a key whose value is to be removed: any key-value store can keep it. Later
//! records of a key replace earlier ones. Records come out of [`Gossip::poll_persist`](crate::Gossip::poll_persist) in
//! an order in which every prefix is consistent: a store may lose its tail, but must not lose a record and keep a later
//! one. They are numbered when they are polled; [`Gossip::handle_persisted`](crate::Gossip::handle_persisted) says how
//! far the store has got.

use core::fmt;

use bytes::Bytes;

use crate::config::KEY_MAX;

/// The number of a record: rises by one with every record polled, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistSeq(pub u64);

/// The tables that records belong to. The numbers are part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Table {
    /// One record: this node and its incarnation.
    Node = 0,
    /// What was seen of each origin.
    Origins = 1,
    /// Stored messages.
    Messages = 2,
    /// This node's own registers.
    Registers = 3,
    /// Which stored messages the application acknowledged.
    Acknowledged = 4,
}

impl Table {
    /// All tables.
    pub const ALL: &[Self] = &[Self::Node, Self::Origins, Self::Messages, Self::Registers, Self::Acknowledged];
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Origins => "origins",
            Self::Messages => "messages",
            Self::Registers => "registers",
            Self::Acknowledged => "acknowledged",
        })
    }
}

/// The longest key of a record, in bytes.
pub const RECORD_KEY_MAX: usize = if KEY_MAX > 24 { KEY_MAX } else { 24 };

/// The longest head of a value, in bytes.
pub(crate) const HEAD_MAX: usize = 192;

/// One thing to make durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the record.
    pub seq: PersistSeq,
    /// The table.
    pub table: Table,
    pub(crate) key: heapless::Vec<u8, RECORD_KEY_MAX>,
    pub(crate) value: Option<Value>,
}

impl Record {
    /// The key, unique within its table, at most [`RECORD_KEY_MAX`] bytes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value, or none where the key is to be removed.
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }
}

/// The value of a record, in two parts, so that handing it out copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub(crate) head: heapless::Vec<u8, HEAD_MAX>,
    pub(crate) body: Bytes,
}

impl Value {
    /// The parts, to be stored one after the other.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }

    /// The length of the parts together, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether the value has no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parts in one vector.
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        self.parts().concat()
    }
}

/// A record as it comes back from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: &'a [u8],
    /// The value: the two parts of [`Value::parts`], one after the other.
    pub value: &'a [u8],
}

/// In place of a number: a record of an earlier life.
pub(crate) const RESTORED: PersistSeq = PersistSeq(u64::MAX);

/// What waits until it is durable, and what does not.
///
/// Records are numbered when they are handed out. Without records everything is durable at once, so that nobody has two
/// paths.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    enabled: bool,
    last: u64,
    durable: u64,
    /// The record that names this incarnation; 0 until it was handed out.
    incarnation: u64,
}

impl Gate {
    pub(crate) const fn new(enabled: bool) -> Self {
        Self { enabled, last: 0, durable: 0, incarnation: 0 }
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether datagrams may go out: not before this incarnation is on record, or the next life might use it again.
    pub(crate) const fn may_speak(&self) -> bool {
        !self.enabled || self.incarnation != 0 && self.incarnation <= self.durable
    }

    pub(crate) const fn is_durable(&self, record: PersistSeq) -> bool {
        !self.enabled || record.0 != 0 && record.0 <= self.durable || record.0 == RESTORED.0
    }

    /// Whether the incarnation is still to be recorded.
    pub(crate) const fn owes_incarnation(&self) -> bool {
        self.enabled && self.incarnation == 0
    }

    /// The incarnation has changed: nothing goes out until the new one is on record.
    pub(crate) const fn void_incarnation(&mut self) {
        self.incarnation = 0;
    }

    pub(crate) const fn number(&mut self) -> PersistSeq {
        self.last += 1;
        PersistSeq(self.last)
    }

    pub(crate) const fn number_incarnation(&mut self) -> PersistSeq {
        let number = self.number();
        self.incarnation = number.0;
        number
    }

    /// What was never handed out cannot be durable.
    pub(crate) fn confirm(&mut self, upto: PersistSeq) {
        self.durable = self.durable.max(upto.0.min(self.last));
    }
}
