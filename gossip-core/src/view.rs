//! What can be looked at without changing anything.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::event::{Key, Order, Path};
use crate::ids::{Incarnation, MessageId, NodeId, Version};
use crate::time::Instant;

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageView {
    /// Which message.
    pub id: MessageId,
    /// The order that its submitter asked for.
    pub order: Order,
    /// What was submitted.
    pub payload: Bytes,
    /// The links that the first copy crossed.
    pub hops: u8,
    /// The nodes that the first copy passed, where the origin asked for it.
    pub path: Path,
    /// When it was accepted here.
    pub accepted_at: Instant,
    /// Whether the application has taken it.
    pub delivered: bool,
}

/// A node that this one knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerView {
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Where it is.
    pub address: SocketAddr,
    /// What is known of its health.
    pub state: PeerState,
    /// The smoothed round-trip time, where there is a link and it was measured.
    pub round_trip: Option<Duration>,
}

/// What a node knows of another one's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// Linked, and answers.
    Linked,
    /// Known by hearsay, not linked.
    Known,
    /// Was linked, and did not answer 3 to 32 probes in a row: so many as the estimated loss asks for.
    Down,
    /// Said that it leaves.
    Left,
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linked => "linked",
            Self::Known => "known",
            Self::Down => "down",
            Self::Left => "left",
        })
    }
}

/// A register with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterView {
    /// The owner.
    pub node: NodeId,
    /// The key.
    pub key: Key,
    /// The version of the value.
    pub version: Version,
    /// The value.
    pub value: Bytes,
}

/// A node's place in one of the trees of [`Broadcast::Tree`](crate::Broadcast::Tree).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeView {
    /// The root, once there is one.
    pub root: Option<NodeId>,
    /// The number of the last wave.
    pub wave: u32,
    /// Links between the root and this node.
    pub depth: u8,
    /// Whom this node hears from first; none at the root, and without a place.
    pub parent: Option<NodeId>,
    /// Who hears from this node first.
    pub children: Vec<NodeId>,
}

/// Why the next tick is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Register changes have waited long enough for company.
    Batch,
    /// Stored messages or tables reach the horizon.
    Expiry,
    /// A contact or member is to be greeted, or a greeting was not answered.
    Join,
    /// The patience of leaving runs out.
    Leave,
    /// A link is to be probed, or a probe was not answered.
    Probe,
    /// What was seen is to be compared with a link.
    Repair,
    /// The next round of a rumor.
    Round,
    /// A wave, a parent or a copy of the tree is to be sent, or was not answered.
    Tree,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "batch",
            Self::Expiry => "expiry",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Probe => "probe",
            Self::Repair => "repair",
            Self::Round => "round",
            Self::Tree => "tree",
        })
    }
}
