//! Who lacks what: 0x60 to 0x7f.
//!
//! ```text
//! 0x60 Root        sum 8 · rows varint
//! 0x61 Frontiers   more 1 · from origin 8 · from incarnation 8 · frontier…
//! 0x62 Pull        ( origin 8 · incarnation 8 · first varint · more varint )…
//! 0x63 Absent      ( origin 8 · incarnation 8 · first varint · more varint · state 1 )…
//!
//! frontier         origin 8 · incarnation 8 · low varint · top varint · idle varint · runs blob
//! runs             ( gap varint · length varint )…
//! ```

use serde::{Deserialize, Serialize};

use super::field::{Blob, fixed};
use super::list::{Entry, PageHead};
use super::runs::Runs;
use crate::ids::{Incarnation, NodeId};

/// A fingerprint of a whole table: equal roots, equal tables (but for an accident of 1 in 2⁶⁴).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// A sum of the hashes of all rows.
    #[serde(with = "fixed")]
    pub sum: u64,
    /// How many rows.
    pub rows: u32,
}

/// What the sender has of one origin's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier<'a> {
    /// Whose messages.
    #[serde(with = "fixed")]
    pub origin: NodeId,
    /// Of which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// All below this number the sender does not hold, and never will.
    pub low: u64,
    /// All up to here the sender has seen, or was told that they are lost.
    pub top: u64,
    /// Time since the origin was last heard of, in milliseconds, as far as the sender knows.
    pub idle_ms: u32,
    /// What the sender has seen above `top`: read it with [`Frontier::runs`], make it with
    /// [`RunsBuffer`](super::RunsBuffer).
    #[serde(borrow)]
    pub runs: Blob<'a>,
}

impl Entry for Frontier<'_> {
    fn key(&self) -> PageHead {
        PageHead { node: self.origin, incarnation: self.incarnation }
    }
}

impl<'a> Frontier<'a> {
    /// The numbers seen above `top`, as ascending ranges that do not touch.
    pub const fn runs(&self) -> Runs<'a> {
        Runs::new(self.top, self.runs.0)
    }
}

/// "Send me these": an entry of [`Kind::PULL`](super::Kind::PULL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose messages.
    #[serde(with = "fixed")]
    pub origin: NodeId,
    /// Of which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The first number that is wanted.
    pub first: u64,
    /// How many more behind it.
    pub more: u64,
}

impl Wanted {
    /// The last number that is wanted.
    pub const fn last(&self) -> u64 {
        self.first.saturating_add(self.more)
    }
}

/// "Of what you wanted I cannot send these": an entry of [`Kind::ABSENT`](super::Kind::ABSENT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Whose messages.
    #[serde(with = "fixed")]
    pub origin: NodeId,
    /// Of which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The first number that is absent.
    pub first: u64,
    /// How many more behind it.
    pub more: u64,
    /// Why.
    pub why: Absence,
}

impl Absent {
    /// The last number that is absent.
    pub const fn last(&self) -> u64 {
        self.first.saturating_add(self.more)
    }
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Absence {
    /// 0: the sender had it, or was told that it is lost, and does not hold it any more; or it holds it, and it does not
    /// fit into any datagram on this way.
    Gone,
    /// 1: the sender lacks it too, and may get it yet.
    Lacking,
    /// What a later version defines; to be read as [`Absence::Lacking`].
    Other(u8),
}

impl From<u8> for Absence {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Gone,
            1 => Self::Lacking,
            other => Self::Other(other),
        }
    }
}

impl From<Absence> for u8 {
    fn from(why: Absence) -> Self {
        match why {
            Absence::Gone => 0,
            Absence::Lacking => 1,
            Absence::Other(other) => other,
        }
    }
}
