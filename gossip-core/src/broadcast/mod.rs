//! How a new message travels.
//!
//! # Intuition
//!
//! News in a village. In a [`flood`] everybody tells all neighbors; a [`rumor`] is told to a few of them, a few times; in
//! [`mongering`] until it is old, or who wants to know asks. In a
//! [`tree`], the default, everybody has agreed beforehand who tells whom, so each hears it once. What any of them
//! misses is found by comparing notes with a neighbor (`anti_entropy`), so each has to be quick and cheap, not perfect.
//!
//! # State
//!
//! One bit for each link and message, "still to be sent there" ([`copies`]); and what the way of spreading keeps for itself.
//!
//! # Messages
//!
//! `Data`, one per message and link, composed when the datagram is, so it always carries the present age. Copies that
//! repair asks for are `Data` too, written by [`write()`] and marked as resent. The other frames are those of [`mongering`] and of the [`tree`].
//!
//! # Large messages
//!
//! A chunk of a larger message is a message like any other here, so it goes on as soon as it comes, before the others
//! do. Of an origin of which much waits, others go first (`ranks`): a short message passes a large one.
//!
//! # Bounds
//!
//! What came from a node with a larger MTU and does not fit into a datagram for some link is kept and delivered, but not
//! passed on there; that is counted. Work per message: see each way of spreading.

mod candidates;
mod copies;
mod flood;
mod mongering;
mod ranks;
mod rumor;
mod tree;

use core::net::SocketAddr;

use alloc::boxed::Box;

use copies::Copies;
use mongering::{Manner, Mongering};
use rumor::Rumor;
use tree::Forest;
pub(crate) use tree::trees_max;

#[cfg(any(test, feature = "__internals"))]
pub(crate) use copies::check_owed;
pub(crate) use copies::{len_max, pass_over, write};

use crate::config::{Broadcast as Mode, Config};
use crate::ids::Incarnation;
use crate::pack::Packer;
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
#[cfg(any(test, feature = "__internals"))]
use crate::store::Messages;
use crate::time::Instant;
use crate::view::{Reason, TreeView};
use crate::wire::{self, Frame};

/// Bytes kept for new messages in each datagram: the head of a message and a short payload.
const SHARE: usize = 300;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    copies: Copies,
    way: Way,
}

/// The way of spreading, and what it keeps.
#[derive(Clone, Debug)]
enum Way {
    Flood { ttl: u8 },
    Rumor(Rumor),
    Mongering(Box<Mongering>),
    Tree(Box<Forest>),
}

impl Way {
    fn deadline(&self) -> Instant {
        match self {
            Self::Flood { .. } => Instant::NEVER,
            Self::Rumor(rumor) => rumor.next_round,
            Self::Mongering(rumors) => rumors.next_round,
            Self::Tree(forest) => forest.deadline(),
        }
    }
}

impl Broadcast {
    /// `id_key` is the same on all nodes of the cluster.
    pub(crate) fn new(config: &Config, id_key: u64, now: Instant, rng: Rng) -> Self {
        let way = match config.broadcast {
            Mode::Flood { ttl } => Way::Flood { ttl },
            Mode::Rumor { fanout, rounds } => Way::Rumor(Rumor::new(config, fanout, rounds, rng)),
            Mode::Mongering { fanout, ttl, spread, stop, feedback } => {
                let manner = Manner { fanout, ttl, spread, stop, feedback };
                Way::Mongering(Box::new(Mongering::new(config, manner, now, rng)))
            }
            Mode::Tree { trees, inject_from } => {
                Way::Tree(Box::new(Forest::new(config, (trees, inject_from), id_key, now, rng)))
            }
        };
        Self { copies: Copies::new(config), way }
    }

    /// Of the way that takes the most: simple rumors take less than mongering.
    pub(crate) const fn heap_bytes(links: usize, messages: usize, origins: usize) -> usize {
        let rumor = Mongering::heap_bytes(links, messages) + size_of::<Mongering>();
        let tree = Forest::heap_bytes(links, messages);
        Copies::heap_bytes(links, messages, origins) + if rumor > tree { rumor } else { tree }
    }

    /// This node can be reached there.
    pub(crate) fn set_address(&mut self, address: Option<SocketAddr>) {
        if let Way::Tree(forest) = &mut self.way {
            forest.set_address(address);
        }
    }

    /// A genuine datagram of this number came over a link.
    pub(crate) fn on_datagram(&mut self, now: Instant, from: PeerIdx, number: u64) {
        if let Way::Tree(forest) = &mut self.way {
            forest.on_datagram(now, from, number);
        }
    }

    /// A copy with these flags came over a link, whatever became of it.
    pub(crate) fn on_copy(&mut self, cx: &mut Cx<'_>, from: PeerIdx, flags: u8) {
        if let Way::Tree(forest) = &mut self.way {
            forest.on_copy(cx, from, flags);
        }
    }

    /// A peer says what it got lately. True if what is older differs.
    pub(crate) fn on_digest(&mut self, cx: &mut Cx<'_>, from: PeerIdx, digest: &wire::Digest<'_>) -> bool {
        let Way::Tree(forest) = &mut self.way else {
            cx.stats.refused_unasked += 1;
            return false;
        };
        forest.on_digest(cx, from, digest)
    }

    /// A frame of this sub-protocol, other than a message or a digest.
    pub(crate) fn on_frame(&mut self, cx: &mut Cx<'_>, from: PeerIdx, frame: &Frame<'_>) {
        match &mut self.way {
            Way::Tree(forest) => forest.on_frame(cx, &mut self.copies, from, frame),
            Way::Mongering(rumors) => rumors.on_frame(cx, &mut self.copies, from, frame),
            Way::Flood { .. } | Way::Rumor(_) => cx.stats.refused_unasked += 1,
        }
        self.copies.start_gathering(cx.now, cx.peers);
    }

    /// Somebody without a link wants something of the root of a tree. Whether this node is that root, and means it still.
    pub(crate) fn is_root(&self, tree: u8, incarnation: Incarnation, number: u32, cx: &Cx<'_>) -> bool {
        matches!(&self.way, Way::Tree(forest) if forest.is_root(tree, incarnation, number, cx))
    }

    /// Whether a root may listen to one more datagram of somebody at `address` whom it does not know.
    pub(crate) fn admits(&mut self, now: Instant, address: SocketAddr) -> bool {
        let Way::Tree(forest) = &mut self.way else { return false };
        forest.admits(now, address)
    }

    /// Somebody lost its place in a tree of which this node is the root.
    pub(crate) fn on_wave_request(&mut self, cx: &mut Cx<'_>, tree: u8, number: u32) {
        if let Way::Tree(forest) = &mut self.way {
            forest.on_wave_request(cx, tree.into(), number);
        }
    }

    /// Whether something is to go to the root of a tree directly.
    pub(crate) fn owes_roots(&self) -> bool {
        matches!(&self.way, Way::Tree(forest) if forest.owes_roots())
    }

    /// A datagram to the root of a tree, outside of links: its address and the bytes of its frames.
    pub(crate) fn compose_open(&mut self, cx: &mut Cx<'_>, datagram: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let Way::Tree(forest) = &mut self.way else { return None };
        forest.compose_open(cx, datagram)
    }

    /// This node's place in each tree.
    pub(crate) fn trees<'a>(&'a self, peers: &'a Peers) -> impl Iterator<Item = TreeView> + 'a {
        let forest = match &self.way {
            Way::Tree(forest) => Some(forest),
            Way::Flood { .. } | Way::Rumor(_) | Way::Mongering(_) => None,
        };
        forest.into_iter().flat_map(|forest| forest.views(peers))
    }

    /// Panics where a copy or a frame is owed of nothing or to nobody, or would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        self.copies.check_invariants(peers, messages);
        match &self.way {
            Way::Flood { .. } => {}
            Way::Rumor(rumor) => rumor.check_invariants(messages),
            Way::Mongering(rumors) => rumors.check_invariants(peers, messages),
            Way::Tree(forest) => forest.check_invariants(peers, messages),
        }
    }
}

impl Protocol for Broadcast {
    fn due(&self) -> Option<Due> {
        Some(Due::Broadcast)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        if let Fact::Accepted { slot, .. } = fact
            && let Some(message) = cx.messages.get(slot)
        {
            self.copies.admit(slot, message.row);
        }
        match fact {
            Fact::Accepted { slot, from, .. } => match &mut self.way {
                Way::Flood { ttl } => flood::start(&mut self.copies, cx, *ttl, slot, from),
                Way::Rumor(rumor) => rumor.start(&mut self.copies, cx, slot, from),
                Way::Mongering(rumors) => rumors.start(cx, slot, from),
                Way::Tree(_) => {}
            },
            Fact::Duplicate { slot, from, flags } => match &mut self.way {
                Way::Mongering(rumors) => rumors.on_duplicate(&mut self.copies, cx, slot, from, flags),
                Way::Flood { .. } | Way::Rumor(_) | Way::Tree(_) => {
                    self.copies.spare(from, slot);
                }
            },
            Fact::Evicted { slot } => {
                self.copies.forget_message(slot);
                match &mut self.way {
                    Way::Rumor(rumor) => rumor.forget_message(slot),
                    Way::Mongering(rumors) => rumors.forget_message(slot),
                    Way::Flood { .. } | Way::Tree(_) => {}
                }
            }
            Fact::LinkUp { peer } | Fact::LinkDown { peer } => {
                self.copies.forget_link(peer);
                if let Way::Mongering(rumors) = &mut self.way {
                    rumors.forget_link(cx.now, peer);
                }
            }
            _ => {}
        }
        if let Way::Tree(forest) = &mut self.way {
            forest.on_fact(cx, &mut self.copies, fact);
        }
        self.copies.start_gathering(cx.now, cx.peers);
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        self.copies.stop_gathering(cx.now, cx.peers);
        let mut note = None;
        match &mut self.way {
            Way::Flood { .. } => {}
            Way::Rumor(rumor) => rumor.on_timeout(&mut self.copies, cx),
            Way::Mongering(rumors) => rumors.on_timeout(&mut self.copies, cx),
            Way::Tree(forest) => {
                forest.on_timeout(cx, &mut self.copies);
                note = forest.next_note(cx.peers);
            }
        }
        self.copies.start_gathering(cx.now, cx.peers);
        note
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let written = match &mut self.way {
            Way::Tree(forest) => forest.on_transmit(cx, &mut self.copies, to, packet),
            Way::Mongering(rumors) => rumors.on_transmit(cx, &mut self.copies, to, packet),
            Way::Flood { .. } | Way::Rumor(_) => self.copies.write_all(cx, to, packet),
        };
        if written.is_ok() {
            cx.peers.done(to, Due::Broadcast);
        }
    }

    fn deadline(&self) -> Instant {
        self.way.deadline().min(self.copies.gathered_at)
    }

    fn reason(&self) -> Reason {
        match &self.way {
            _ if self.copies.gathered_at < self.way.deadline() => Reason::Batch,
            Way::Flood { .. } | Way::Rumor(_) | Way::Mongering(_) => Reason::Round,
            Way::Tree(_) => Reason::Tree,
        }
    }
}
