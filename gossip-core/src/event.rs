//! What the application is told.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::ids::{Incarnation, MessageId, NodeId, Version};
use crate::membership::Unsafe;

/// What the application is told, pulled by [`Gossip::poll_event`](crate::Gossip::poll_event).
///
/// Events are not queued one by one: deliveries wait in the store, the others are marks on what they are about. So two
/// changes of one peer or register between two polls come out as the last one, and nothing overflows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Deliver(Delivery),
    /// These messages of an origin will never be delivered here: nobody who can be asked holds them any more, or they
    /// were pushed out of the store before the application took them. Final: a late copy is dropped.
    ///
    /// A message in chunks, which has as many numbers, is lost if its first number is, which is that of its id; the others
    /// are told with it as far as they are known.
    ///
    /// A restored node tells the last gap of each origin on record again, as it cannot know whether it was heard.
    Gap {
        /// The origin of the messages.
        origin: NodeId,
        /// The life of the origin.
        incarnation: Incarnation,
        /// The first sequence number that is missing.
        first: u64,
        /// The last one that is missing.
        last: u64,
    },
    /// Two live nodes use this node's id: there is another one at `address`.
    IdentityConflict {
        /// Where the other one was seen.
        address: SocketAddr,
        /// Its incarnation. The later incarnation is the one that peers keep.
        incarnation: Incarnation,
    },
    /// Nothing was heard from anybody for a while, and there is somebody to be heard from: a contact, or a member that has not
    /// left. The node goes on looking for them by itself, and says [`Event::Rejoined`] when it has found one.
    Isolated,
    /// An isolated node hears others again, or for the first time.
    Rejoined,
    /// The node has left: everything owed was sent, or the patience of leaving ran out. It sends nothing any more.
    Left,
    /// A node that was told as up is dead, as nodes that hear each other agree, or has left. If it lives after all, it says so,
    /// and is told as up again. With sampled membership also: there is no link with it any more.
    PeerDown {
        /// The node.
        node: NodeId,
    },
    /// A node does not answer, and whether it is dead, or the path to it is broken, or this node itself is cut off, cannot
    /// be told: of two nodes neither can, configured neighbors ask nobody else, and a minority of two does not call the
    /// rest dead.
    PeerUnreachable {
        /// The node.
        node: NodeId,
    },
    /// A node is linked with this one, or linked again after it restarted or moved. With full membership also: it is a
    /// member, linked or not, and is taken for alive; told once for each of its lives, and again when it comes back.
    PeerUp {
        /// The node.
        node: NodeId,
        /// Where it is.
        address: SocketAddr,
    },
    /// A register has a new value, or was removed.
    Register {
        /// The owner of the register.
        node: NodeId,
        /// Whether it is the owner's own or shared.
        scope: Scope,
        /// The key.
        key: Key,
        /// The version of the value; of a removed one, the version as of which it is known to be gone.
        version: Version,
        /// The value, or none where the register was removed.
        value: Option<Bytes>,
    },
    /// Something is configured in a way that cannot work well.
    Warning(Warning),
}

/// One delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Which message.
    pub id: MessageId,
    /// The order that its submitter asked for.
    pub order: Order,
    /// What was submitted.
    pub payload: Bytes,
    /// The links that the first copy crossed; 0 for an own message. Of a message in chunks, this and what follows are those
    /// of the chunk that came last.
    pub hops: u8,
    /// The time since it was submitted, as told by the nodes on its way: link latencies are not in it.
    pub age: Duration,
    /// The nodes that the first copy passed, origin first, where the origin asked for it.
    pub path: Path,
}

/// In which order messages of one class are delivered, relative to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// As they come.
    Unordered,
    /// Messages of one origin and incarnation in the order of submission.
    Fifo,
}

/// Who may write a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Scope {
    /// Its owner alone; the newest version wins.
    Own,
    /// Everybody. Answers [`SubmitError::NotYet`](crate::SubmitError::NotYet) today.
    Shared,
}

/// Something that cannot work well, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A configured neighbor does not name this node as its neighbor: the link cannot be used.
    NotNeighbor {
        /// The neighbor.
        node: NodeId,
    },
    /// The configured peer sampling protocol is known to be unsafe.
    Sampling {
        /// Why.
        risk: Unsafe,
    },
}

/// The key of a register: UTF-8, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    /// `bytes` must be UTF-8; anything else reads as the empty key.
    pub(crate) fn new(bytes: Bytes) -> Self {
        debug_assert!(core::str::from_utf8(&bytes).is_ok());
        Self(bytes)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl core::ops::Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The nodes that a message passed, origin first, at most 16; empty where its origin did not ask for it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Path(Bytes);

impl Path {
    /// The most nodes that a path names: our choice, above the longest way in a random graph of 10⁶ nodes with ten links
    /// each (about ten hops). Later nodes are left out.
    pub const MAX: usize = 16;

    /// Eight bytes per node, little-endian; a remainder is ignored.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The nodes, origin first.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.0.chunks_exact(8).map(|id| NodeId(u64::from_le_bytes(id.try_into().expect("chunks are 8 bytes long"))))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes()).finish()
    }
}
