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
    /// The number of its last chunk: that of the id, where it went in one datagram.
    pub last: u64,
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
    /// Which part of the datagrams of its link gets lost on the way here, in 1/1024, where there is a link. Estimated over
    /// the last hundred or two, beginning with 1/32.
    pub loss: Option<u16>,
}

/// What a node knows of another one's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// Linked, and answers.
    Linked,
    /// Known by hearsay, not linked. With full membership taken for alive, as its neighbors would tell of its death.
    Known,
    /// Does not answer this node, which cannot tell whether it is dead: nobody else could be asked, or not enough of them
    /// agreed.
    Unreachable,
    /// Dead: nodes that hear each other agree that none of them hears it.
    Down,
    /// Said that it leaves.
    Left,
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linked => "linked",
            Self::Known => "known",
            Self::Unreachable => "unreachable",
            Self::Down => "down",
            Self::Left => "left",
        })
    }
}

/// A link of this node: an entry of its active view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkView {
    /// The neighbor.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Where it is.
    pub address: SocketAddr,
    /// Chosen for its low latency; otherwise drawn by chance, or configured.
    pub near: bool,
    /// It does not answer at present, and is being replaced.
    pub suspected: bool,
    /// How long ago something last came from it.
    pub silent: Duration,
    /// The smoothed round-trip time, where it was measured.
    pub round_trip: Option<Duration>,
}

impl fmt::Display for LinkView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.near { "near" } else { "random" };
        let doubt = if self.suspected { ", suspected" } else { "" };
        write!(f, "{} at {}, {kind}{doubt}, heard {:.1} s ago", self.node, self.address, self.silent.as_secs_f32())
    }
}

/// A node in the view of this one, with sampled membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewEntry {
    /// The node.
    pub node: NodeId,
    /// Where it is said to be.
    pub address: SocketAddr,
    /// How long ago it spoke for itself, as told by the nodes that passed it on.
    pub age: Duration,
}

impl fmt::Display for ViewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, {:.1} s old", self.node, self.address, self.age.as_secs_f32())
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
    /// The budget allows another datagram.
    Pace,
    /// A link is to be probed, or a probe was not answered.
    Probe,
    /// What was seen is to be compared with a link.
    Repair,
    /// The next round of a rumor.
    Round,
    /// Views are to be exchanged, or a reply did not come.
    Sample,
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
            Self::Pace => "pace",
            Self::Probe => "probe",
            Self::Repair => "repair",
            Self::Round => "round",
            Self::Sample => "sample",
            Self::Tree => "tree",
        })
    }
}
