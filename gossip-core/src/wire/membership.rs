//! Who is there: 0x01 to 0x1f.
//!
//! ```text
//! 0x01 Hello     nonce 8 · cookie 8 · flags 1 · to address · round trip varint
//! 0x02 Retry     echo 8 · cookie 8
//! 0x03 Welcome   nonce 8 · observed address · verdict 1 · incarnation 8
//! 0x04 Peers     ( id 8 · incarnation 8 · address )…
//! 0x05 Unlink    reason 1
//! 0x06 Conflict  incarnation 8 · address
//! 0x07 Vacancy   id 8 · incarnation 8 · address
//! 0x08 Walk      id 8 · incarnation 8 · address · hops 1
//! 0x10 ViewRequest  nonce 8 · flags 1 · ( id 8 · age ·v32 · address )…
//! 0x11 ViewReply    nonce 8 · flags 1 · ( id 8 · age ·v32 · address )…
//!
//! address        4 · ip 4 · port 2   or   6 · ip 16 · port 2
//! ```

use serde::{Deserialize, Serialize};

use super::field::{Address, fixed};
use super::list::List;
use crate::ids::{Incarnation, NodeId};

/// "I am here, do you hear me?" Opens the acquaintance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Comes back in the [`Welcome`]: a proof that the answer is to this question.
    #[serde(with = "fixed")]
    pub nonce: u64,
    /// What a [`Retry`] gave: a proof that the sender receives at its address. 0 for none.
    #[serde(with = "fixed")]
    pub cookie: u64,
    /// [`Hello::LINK`], and bits that a later version defines.
    pub flags: u8,
    /// The address that the sender greets: tells a node that joins nobody itself where it can be reached.
    pub to: Address,
    /// The round-trip time to the receiver in microseconds, as the sender has measured it; 0 where it has not.
    pub round_trip: u32,
}

impl Hello {
    /// The sender asks for a link.
    pub const LINK: u8 = 1;
    /// The sender needs the link: it has too few, or thought that the receiver was dead, so that the link may join what was
    /// split. A receiver that has enough gives up another link for it.
    pub const ROOM: u8 = 2;
    /// The sender wants the link for its low latency.
    pub const NEAR: u8 = 4;
    /// The sender is new, and asks to be introduced to others by walks.
    pub const WALK: u8 = 8;
}

/// "Say that again, with this." The stateless answer to a stranger, no longer than its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// What this answers: the nonce of a [`Hello`], or the number of any other datagram. So a repeated answer is void.
    #[serde(with = "fixed")]
    pub echo: u64,
    /// To be sent back in a [`Hello`].
    #[serde(with = "fixed")]
    pub cookie: u64,
}

/// "I hear you." The answer to a [`Hello`] with a good cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// That of the [`Hello`].
    #[serde(with = "fixed")]
    pub nonce: u64,
    /// The address from which the [`Hello`] came.
    pub observed: Address,
    /// What became of the wish for a link.
    pub verdict: Verdict,
    /// The highest incarnation of the receiver that the sender knows; 0 for none.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
}

/// What became of the wish for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Verdict {
    /// 0: there is a link now.
    Linked,
    /// 1: no, the sender has as many links as it may.
    Full,
    /// 2: no, the receiver is not among the configured neighbors of the sender.
    NotNeighbor,
    /// 3: no, a later incarnation of the receiver is alive.
    Superseded,
    /// No, for a reason that a later version defines.
    Other(u8),
}

impl From<u8> for Verdict {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Linked,
            1 => Self::Full,
            2 => Self::NotNeighbor,
            3 => Self::Superseded,
            other => Self::Other(other),
        }
    }
}

impl From<Verdict> for u8 {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Linked => 0,
            Verdict::Full => 1,
            Verdict::NotNeighbor => 2,
            Verdict::Superseded => 3,
            Verdict::Other(other) => other,
        }
    }
}

/// A node that the sender knows: an entry of [`Kind::PEERS`](super::Kind::PEERS), and the body of
/// [`Kind::VACANCY`](super::Kind::VACANCY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Who.
    #[serde(with = "fixed")]
    pub id: NodeId,
    /// In which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// Where.
    pub address: Address,
}

/// "Somebody is new: take it to somebody drawn by chance."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Who is new.
    pub newcomer: PeerEntry,
    /// How many links there are still to go.
    pub hops: u8,
}

/// "We are no longer linked."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlink {
    /// [`Unlink::SURPLUS`], [`Unlink::LEAVING`], or what a later version defines, to be read as the former.
    pub reason: u8,
}

impl Unlink {
    /// The sender has links enough, and stays.
    pub const SURPLUS: u8 = 0;
    /// The sender leaves the cluster.
    pub const LEAVING: u8 = 1;
}

/// "There is another live node with your id."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The incarnation of the other one.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// Where the other one is.
    pub address: Address,
}

/// Entries of the sender's view: the body of [`Kind::VIEW_REQUEST`](super::Kind::VIEW_REQUEST) and
/// [`Kind::VIEW_REPLY`](super::Kind::VIEW_REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// The head.
    pub head: ExchangeHead,
    /// Some nodes, each at most once.
    pub entries: List<'a, ViewEntry>,
}

/// What is in front of the entries of an [`Exchange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeHead {
    /// Chosen by the one who asks; comes back in the reply, and proves that it is one.
    #[serde(with = "fixed")]
    pub nonce: u64,
    /// [`ExchangeHead::PUSH`], [`ExchangeHead::PULL`], and bits that a later version defines.
    pub flags: u8,
}

impl ExchangeHead {
    /// The entries are to be taken up.
    pub const PUSH: u8 = 1;
    /// Entries are asked for.
    pub const PULL: u8 = 2;
}

impl<'a> Exchange<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = postcard::take_from_bytes(body).ok()?;
        Some(Self { head, entries: List::new(rest) })
    }
}

/// A node that is in the sender's view, or the sender itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// Who.
    #[serde(with = "fixed")]
    pub id: NodeId,
    /// How long ago the node spoke for itself, in tenths of a second.
    pub age_ds: u32,
    /// Where. Unspecified in the sender's own entry: where this datagram comes from.
    pub address: Address,
}

impl ViewEntry {
    /// Bytes of an entry with an IPv4 address and an age from 12.8 seconds to half an hour: the usual case.
    pub const USUAL_LEN: usize = 17;
    /// Bytes of an entry at most.
    pub const MAX_LEN: usize = 32;
}
