//! Messages on their way: 0x40 to 0x5f.
//!
//! ```text
//! 0x40 Data         origin 8 · incarnation 8 · seq varint · order 1 · flags 1 · previous varint · total varint
//!                   · age varint · hops 1 · predecessors blob · chunk blob · signature blob · path blob · payload blob
//! 0x41 Wave         tree 1 · root 8 · incarnation 8 · address · priority 1 · number varint · refresh varint
//!                   · cost varint · depth 1 · path blob
//! 0x42 Child        tree 1 · number varint
//! 0x43 ChildOk      tree 1 · number varint · cost varint · depth 1 · path blob
//! 0x44 NotChild     tree 1
//! 0x45 WaveRequest  tree 1 · incarnation 8 · number varint
//! 0x46 Injected     tree 1 · incarnation 8 · number varint · the fields of Data
//! 0x47 DataAck      highest varint · missing varint · flags 1
//! 0x48 Digest       number varint · ids blob · span varint · older 8
//! 0x49 Announce     number varint · ids blob
//! 0x4a Fetch        ids blob
//! 0x4b Heard        entries: origin 8 · incarnation 8 · seq varint
//! 0x4c Inquiry      entries: as in Heard; may be none
//!
//! blob              length varint · bytes
//! ids               4 bytes for each message: see [`Digest`]
//! path              2 bytes for each ancestor: see [`Wave`]
//! ```
//!
//! A chunk blob holds index varint · count varint, see [`Chunk`], and is empty in a whole message. The slots for
//! predecessors and signature are reserved for later versions and empty today.

use serde::{Deserialize, Serialize};

use super::field::{Address, Blob, fixed};
use super::frames::FRAME_HEAD_LEN;
use crate::ids::{Incarnation, NodeId};

/// A message of an origin, on one hop of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data<'a> {
    /// Who submitted the message.
    #[serde(with = "fixed")]
    pub origin: NodeId,
    /// In which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The place among all messages of the origin in this life, from 1.
    pub seq: u64,
    /// 0 unordered, 1 fifo, 2 causal, 3 total.
    pub order: u8,
    /// [`Data::RESENT`], [`Data::ALARM`], [`Data::ACK_ME`], [`Data::OFF_TREE`], and bits that a later version defines.
    pub flags: u8,
    /// How far back the previous fifo message of the origin is, in sequence numbers; 0 for none.
    pub previous: u64,
    /// The place in the total order; 0 for none.
    pub total: u64,
    /// Time since the message was submitted, in milliseconds, as far as it was spent in nodes.
    pub age_ms: u32,
    /// Links that the message has come over, this one included.
    pub hops: u8,
    /// Reserved: what a causal message depends on.
    #[serde(borrow)]
    pub predecessors: Blob<'a>,
    /// Which part of a larger message this is, as [`Chunk::parse`] reads it; empty for a whole one.
    #[serde(borrow)]
    pub chunk: Blob<'a>,
    /// Reserved: the origin's signature.
    #[serde(borrow)]
    pub signature: Blob<'a>,
    /// The nodes that the message has come through, origin first, 8 bytes each; empty where it is not recorded.
    #[serde(borrow)]
    pub path: Blob<'a>,
    /// What the application submitted.
    #[serde(borrow)]
    pub payload: Blob<'a>,
}

impl Data<'_> {
    /// The frame is a repair, so it says nothing about how fast fresh messages spread, nor about who is whose child.
    pub const RESENT: u8 = 1;
    /// The message had to be fetched on its way: whoever gets it first announces it to all neighbors.
    pub const ALARM: u8 = 2;
    /// The datagram wants a [`DataAck`].
    pub const ACK_ME: u8 = 4;
    /// The sender has no place in the tree and sends to all its links: this says nothing about who is whose child.
    pub const OFF_TREE: u8 = 8;

    /// The most bytes that a frame takes besides chunk, payload and path, with the reserved slots empty: the frame's head,
    /// two ids, three varints of 64 bits, one of 32, three single bytes, three empty slots, two lengths below 2²¹.
    pub const OVERHEAD_MAX: usize = FRAME_HEAD_LEN + 2 * 8 + 3 * 10 + 5 + 3 + 3 + 2 * 3;
}

/// Which part of a larger message: its `index`-th chunk of `count`. A chunk has a sequence number of its own, and those of one
/// message are consecutive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Which one, from 0.
    pub index: u16,
    /// How many there are: at least 1, and at most [`Chunk::COUNT_MAX`].
    pub count: u16,
}

impl Chunk {
    /// A message that is no part of a larger one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The most chunks of one message (our choice: 1 MiB in datagrams of 1,200 bytes).
    pub const COUNT_MAX: u16 = 1_024;

    /// The most bytes that the slot takes: two numbers below 2¹⁴.
    pub const LEN_MAX: usize = 4;

    /// Reads the slot of a frame; none where it says what cannot be.
    pub fn parse(slot: &[u8]) -> Option<Self> {
        if slot.is_empty() {
            return Some(Self::WHOLE);
        }
        let (chunk, rest) = postcard::take_from_bytes::<Self>(slot).ok()?;
        let fits = 1 < chunk.count && chunk.count <= Self::COUNT_MAX && chunk.index < chunk.count;
        (fits && rest.is_empty()).then_some(chunk)
    }

    /// What goes into the slot.
    pub fn write(self, buffer: &mut [u8; Self::LEN_MAX]) -> &[u8] {
        if self.is_whole() {
            return &[];
        }
        postcard::to_slice(&self, buffer).expect("two numbers below 2¹⁴ take two bytes each")
    }

    /// Whether this is all of its message.
    pub const fn is_whole(self) -> bool {
        self.count == 1
    }
}

/// "The tree grows from this root, and here is where I stand in it."
///
/// Goes over every link once for each number, and to whoever shows that it has an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave<'a> {
    /// Which tree, from 0.
    pub tree: u8,
    /// The root.
    #[serde(with = "fixed")]
    pub root: NodeId,
    /// The life of the root.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// Where messages are injected; with port 0, nowhere.
    pub address: Address,
    /// Which of two roots with equal numbers wins: the higher one, then the id with the higher hash.
    pub priority: u8,
    /// Which wave; compared in a circle (RFC 1982).
    pub number: u32,
    /// When the next wave is to be expected at the latest, in seconds.
    pub refresh_s: u16,
    /// Estimated latency from the root to the sender with the hold of each hop, in microseconds.
    pub cost: u32,
    /// Links between the root and the sender.
    pub depth: u8,
    /// The ancestors of the sender, root first, as 2 bytes of a hash each, little-endian; the nearest 16 at most.
    #[serde(borrow)]
    pub path: Blob<'a>,
}

/// "You are my parent."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Which tree.
    pub tree: u8,
    /// The wave that the sender has.
    pub number: u32,
}

/// "You are my child, and here is where I stand." The answer to [`Child`], and news for children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildOk<'a> {
    /// Which tree.
    pub tree: u8,
    /// The wave that the sender has.
    pub number: u32,
    /// As in [`Wave`].
    pub cost: u32,
    /// As in [`Wave`].
    pub depth: u8,
    /// As in [`Wave`].
    #[serde(borrow)]
    pub path: Blob<'a>,
}

/// "I am not your child." Or: "You cannot be mine."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotChild {
    /// Which tree.
    pub tree: u8,
}

/// "I have lost my place and find none: send a wave." To the root, outside of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveRequest {
    /// Which tree.
    pub tree: u8,
    /// The life of the root.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The wave that does not help; a later one is on its way already.
    pub number: u32,
}

/// A message for the root, from its origin, outside of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected<'a> {
    /// Which tree.
    pub tree: u8,
    /// The life of the root: a copy that was recorded earlier is void.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The wave that the sender has: a copy that was recorded some waves ago is void.
    pub number: u32,
    /// The message.
    #[serde(borrow)]
    pub data: Data<'a>,
}

/// Which datagrams of the receiver have come over this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAck {
    /// The lower half of the highest datagram number that has come.
    pub highest: u32,
    /// Bit `i`: `highest - 1 - i` has not come.
    pub missing: u64,
    /// [`DataAck::WANTED`], and bits that a later version defines.
    pub flags: u8,
}

impl DataAck {
    /// The sender wants its messages over this link acknowledged from now on; without this bit it does not.
    pub const WANTED: u8 = 1;
}

/// "These messages I have got lately." Answered by an [`Announce`] of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest<'a> {
    /// Comes back in the answer; not 0.
    pub number: u32,
    /// Four bytes for each message: a hash of origin, incarnation and number, keyed alike in the whole cluster.
    #[serde(borrow)]
    pub ids: Blob<'a>,
    /// The messages that are named were accepted by the sender within so many milliseconds, and only such as were accepted
    /// just now are left out.
    pub span_ms: u32,
    /// What the sum of [`Root`](super::Root) would be without the messages that are neither named nor as old as half of the span; 0
    /// where that is not known.
    #[serde(with = "fixed")]
    pub older: u64,
}

/// "These messages can be had from me."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce<'a> {
    /// The [`Digest`] that this answers; 0 for none.
    pub number: u32,
    /// As in [`Digest`].
    #[serde(borrow)]
    pub ids: Blob<'a>,
}

/// "Send me these messages."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch<'a> {
    /// As in [`Digest`].
    #[serde(borrow)]
    pub ids: Blob<'a>,
}

/// One message, in a list of those that the sender has heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// As in [`Data`].
    #[serde(with = "fixed")]
    pub origin: NodeId,
    /// As in [`Data`].
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// As in [`Data`].
    pub seq: u64,
}
