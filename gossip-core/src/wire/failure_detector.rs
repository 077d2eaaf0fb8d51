//! Is it alive: 0x20 to 0x3f.
//!
//! ```text
//! 0x20 Probe        number varint · status varint
//! 0x21 Ack          number varint · status varint
//! 0x22 Beat         next varint · tables 8
//! 0x23 Ask          number varint · subject 8 · incarnation 8 · address · age varint · flags 1
//! 0x24 Vouch        number varint
//! 0x25 Deny         number varint
//! 0x26 Statuses     ( node 8 · incarnation 8 · status varint )…
//! 0x27 Accusations  ( node 8 · incarnation 8 · status varint )…
//! ```

use serde::{Deserialize, Serialize};

use super::field::{Address, fixed};
use crate::ids::{Incarnation, NodeId};

/// "Answer this." Over a link, or OPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Comes back in the [`Ack`].
    pub number: u32,
    /// The status that is said of the receiver: if it is odd, the receiver is said to be dead, and may refute it.
    pub status: u32,
}

/// The answer to a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// That of the [`Probe`].
    pub number: u32,
    /// The status that the sender knows itself to have: always even.
    pub status: u32,
}

/// "I am here." Wants no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Something will follow on this link within so many milliseconds, and in as many after that, until another beat says
    /// otherwise.
    pub next_ms: u32,
    /// What the roots of the sender's tables would say: the lower 32 bits of each, that of messages in the upper half.
    #[serde(with = "fixed")]
    pub tables: u64,
}

/// "Do you hear this node?" Answered by [`Vouch`] or [`Deny`], or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Comes back in the answer.
    pub number: u32,
    /// Which node.
    #[serde(with = "fixed")]
    pub subject: NodeId,
    /// In which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// Where it was last seen.
    pub address: Address,
    /// The sender has missed it for so many milliseconds: what the receiver heard of it since is an answer.
    pub age_ms: u32,
    /// [`Ask::LAST`], and bits that a later version defines.
    pub flags: u8,
}

impl Ask {
    /// The subject's death is about to be certified: look again, whatever was found before.
    pub const LAST: u8 = 1;
}

/// "I hear it."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouch {
    /// That of the [`Ask`].
    pub number: u32,
}

/// "I do not hear it either."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deny {
    /// That of the [`Ask`].
    pub number: u32,
}

/// What is said about a member: an entry of [`Kind::STATUSES`](super::Kind::STATUSES), which is news, and of
/// [`Kind::ACCUSATIONS`](super::Kind::ACCUSATIONS), which the reader looks into before it believes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Which node.
    #[serde(with = "fixed")]
    pub node: NodeId,
    /// In which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// Even: alive; odd: dead; the highest of all: it left. Of two statuses of one life the higher one is true.
    pub status: u32,
}
