//! Messages on their way: 0x40 to 0x5f.
//!
//! ```text
//! 0x40 Data   origin 8 · incarnation 8 · seq varint · order 1 · flags 1 · previous varint · total varint
//!             · age varint · hops 1 · predecessors blob · chunk blob · signature blob · path blob · payload blob
//!
//! blob        length varint · bytes
//! ```
//!
//! The slots for predecessors, chunk and signature are reserved for later versions and empty today.

use serde::{Deserialize, Serialize};

use super::field::{Blob, fixed};
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
    /// [`Data::RESENT`], and bits that a later version defines.
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
    /// Reserved: which part of a larger message this is. A reader that does not know chunks must refuse a frame whose
    /// slot is not empty, or it would deliver a part as the whole.
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
    /// The frame is a repair, so it says nothing about how fast fresh messages spread.
    pub const RESENT: u8 = 1;

    /// The most bytes that a frame takes besides payload and path, with the reserved slots empty: the frame's head, two
    /// ids, three varints of 64 bits, one of 32, three single bytes, three empty slots, two lengths below 2²¹.
    pub const OVERHEAD_MAX: usize = FRAME_HEAD_LEN + 2 * 8 + 3 * 10 + 5 + 3 + 3 + 2 * 3;
}
