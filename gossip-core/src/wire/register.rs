//! Registers: 0x80 to 0x9f.
//!
//! ```text
//! 0x80 Root        sum 8 · rows varint
//! 0x81 Frontiers   more 1 · from owner 8 · from incarnation 8 · ( owner 8 · incarnation 8 · complete varint · status varint )…
//! 0x82 Updates     ( owner 8 · incarnation 8 · after varint · version varint · ahead varint · state 1
//!                  · age varint · key blob · value blob )…
//! ```

use serde::{Deserialize, Serialize};

use super::field::{Blob, fixed};
use super::frames::FRAME_HEAD_LEN;
use super::list::{Entry, PageHead};
use crate::ids::{Incarnation, NodeId};

/// How far the sender knows one owner's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterFrontier {
    /// Whose registers.
    #[serde(with = "fixed")]
    pub owner: NodeId,
    /// Of which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// The sender knows each live register of the owner up to this version.
    pub complete: u64,
    /// The owner's status as a member, see [`MemberStatus`](super::MemberStatus): even, as pages list who stands.
    pub status: u32,
}

/// One row for each owner, so its life is no part of the key.
impl Entry for RegisterFrontier {
    fn key(&self) -> PageHead {
        PageHead { node: self.owner, incarnation: Incarnation(0) }
    }
}

/// One register, and what lies between it and the one before: no live register of the owner has a version strictly
/// between `after` and `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update<'a> {
    /// Whose register.
    #[serde(with = "fixed")]
    pub owner: NodeId,
    /// Of which life.
    #[serde(with = "fixed")]
    pub incarnation: Incarnation,
    /// See the type.
    pub after: u64,
    /// The version of the register, as a number within the incarnation.
    pub version: u64,
    /// What is said of the versions between is true as of this many versions later: what was there may have been replaced
    /// by one of those, which the reader may not know yet.
    pub ahead: u64,
    /// What the register holds.
    pub state: RegisterState,
    /// Time since the register was changed, in milliseconds, as far as it was spent in nodes.
    pub age_ms: u32,
    /// The key; empty for [`RegisterState::Nothing`].
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// The value; empty unless the state is [`RegisterState::Value`].
    #[serde(borrow)]
    pub value: Blob<'a>,
}

impl Update<'_> {
    /// The most bytes that a frame with one update takes besides key and value: the frame's head, two ids, three
    /// varints of 64 bits, one of 32, the state, two lengths below 2²¹.
    pub const OVERHEAD_MAX: usize = FRAME_HEAD_LEN + 2 * 8 + 3 * 10 + 5 + 1 + 2 * 3;
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum RegisterState {
    /// 0: the value.
    Value,
    /// 1: it was removed.
    Removed,
    /// 2: there is no such register: no live one in `(after, version]`.
    Nothing,
    /// What a later version defines; a reader must not act on the update.
    Other(u8),
}

impl From<u8> for RegisterState {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Value,
            1 => Self::Removed,
            2 => Self::Nothing,
            other => Self::Other(other),
        }
    }
}

impl From<RegisterState> for u8 {
    fn from(state: RegisterState) -> Self {
        match state {
            RegisterState::Value => 0,
            RegisterState::Removed => 1,
            RegisterState::Nothing => 2,
            RegisterState::Other(other) => other,
        }
    }
}
