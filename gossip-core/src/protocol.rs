//! What every sub-protocol looks like from outside, and what it may touch.
//!
//! # Intuition
//!
//! A workshop with a bench in the middle. On the bench lie the tables that all may use: the links, the members, the
//! store, the counters ([`Cx`]). Around it sit specialists who never talk to each other. The foreman (`route`) hands
//! each one what concerns it and passes on the small notes ([`Fact`]) that they give back. So each specialist can be
//! understood alone, and the foreman's page is the only place that says how they work together.
//!
//! Every specialist keeps its own columns, by the row of a peer or the slot of a message, and its own random stream.
//! Consequences of a fact are marks in one's own rows: they come out at the next datagram or tick, never as a cascade.

use core::time::Duration;

use crate::ids::{Incarnation, NodeId};
use crate::members::Members;
use crate::membership::View;
use crate::mtu::Mtus;
use crate::pack::Packer;
use crate::peer::{Due, PeerIdx, Peers};
use crate::stats::Stats;
use crate::store::{Messages, Origins, Row, Slot};
use crate::time::Instant;
use crate::view::Reason;
use crate::wire::HEADER_LEN;

/// What lies on the bench.
pub(crate) struct Cx<'a> {
    pub(crate) now: Instant,
    pub(crate) me: Me,
    pub(crate) peers: &'a mut Peers,
    pub(crate) members: &'a mut Members,
    /// How many members there are, this node included: counted, or estimated where nobody knows all.
    pub(crate) size: u32,
    pub(crate) view: &'a mut View,
    pub(crate) origins: &'a mut Origins,
    pub(crate) messages: &'a mut Messages,
    pub(crate) stats: &'a mut Stats,
    pub(crate) mtus: &'a Mtus,
}

impl Cx<'_> {
    /// Bytes of frames that a datagram to `peer` holds; none where there is no such link any more.
    pub(crate) fn room(&self, peer: PeerIdx) -> usize {
        let mtu = self.peers.get(peer).map(|link| self.mtus.of(self.now, link.address));
        mtu.map_or(0, |mtu| mtu - HEADER_LEN)
    }

    /// Adds a row for an origin that has none and last spoke `idle` ago; none where there is no room. What was seen of it
    /// before it was forgotten is remembered where the origin is a member.
    pub(crate) fn insert_origin(&mut self, node: NodeId, incarnation: Incarnation, idle: Duration) -> Option<Row> {
        let row = self.origins.insert(self.now, node, incarnation)?;
        if let Some(origin) = self.origins.get_mut(row) {
            (origin.heard, origin.kept_since) = (self.now.before(idle), self.now.before(idle));
        }
        if let Some(top) = self.forgotten(node, incarnation) {
            self.origins.pass_over(self.now, row, top);
        }
        Some(row)
    }

    /// What was seen of an origin before it was forgotten, if anything was and it is a member.
    pub(crate) fn forgotten(&self, node: NodeId, incarnation: Incarnation) -> Option<u64> {
        let member = self.members.find(node).and_then(|member| self.members.get(member))?;
        (member.incarnation == incarnation && member.forgotten > 0).then_some(member.forgotten)
    }

    /// Drops the row of an origin that holds nothing.
    pub(crate) fn remove_origin(&mut self, row: Row) {
        let Some(origin) = self.origins.get(row) else { return };
        let member = self.members.find(origin.node).and_then(|member| self.members.get_mut(member));
        if let Some(member) = member.filter(|member| member.incarnation == origin.incarnation) {
            member.forgotten = origin.top;
        }
        self.origins.remove(row);
        self.stats.origins_forgotten += 1;
    }
}

/// Who this node is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
}

/// A note from one specialist to the others, by way of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A message was accepted, from a peer with these flags of `Data`, or else from this node's own application, or
    /// injected by its origin.
    Accepted { slot: Slot, from: Option<PeerIdx>, flags: u8 },
    /// A peer sent a message that is here already: it needs no copy.
    Duplicate { slot: Slot, from: PeerIdx, flags: u8 },
    /// A message is given up; its slot may be used again.
    Evicted { slot: Slot },
    /// There is a link, or the one that there was begins anew.
    LinkUp { peer: PeerIdx },
    /// A link has ended. The row is still there, for the last time.
    LinkDown { peer: PeerIdx },
    /// A peer did not answer a burst of probes, and this node hears others: look for another link.
    Suspected { peer: PeerIdx },
    /// A suspected peer lives.
    Cleared { peer: PeerIdx },
    /// A link is of no use: it ends.
    Silent { peer: PeerIdx },
    /// An origin is forgotten; its row may be another one's next.
    Forgotten { row: Row },
    /// A member is dead, or has left.
    Died { member: crate::members::Row },
    /// A member cannot be reached from here, and it is no death for all.
    Unreached { member: crate::members::Row },
    /// A member lives: in a new life, or it refuted its death. It need not have been dead here.
    Revived { member: crate::members::Row },
    /// This node has asked several peers in vain, and heard nobody else meanwhile.
    Deaf,
    /// A deaf node hears again.
    Hearing,
    /// A table of a peer differs from this node's.
    Differs { peer: PeerIdx, table: Table },
    /// It is a peer's turn to get a sign of life: what else it is to be told now and then rides on it.
    Turn { peer: PeerIdx },
    /// A peer is asked something, and that it answers is a sign of life.
    Asking { peer: PeerIdx },
    /// A peer did not answer in time: it may have died.
    Mute { peer: PeerIdx },
    /// Nobody has the messages of an origin up to a number, as far as they were not seen.
    Lost { row: Row, upto: u64 },
}

/// What links compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Messages = 0,
    Registers = 1,
}

/// A sub-protocol.
pub(crate) trait Protocol {
    /// Which debts to peers are its own; none where it writes no frames to links.
    fn due(&self) -> Option<Due> {
        None
    }

    /// Something happened elsewhere.
    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact);

    /// Does one thing that is due by now, and may report it. Called until it answers `None`, so that no list of facts
    /// is needed.
    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact>;

    /// Bytes of each datagram that are kept for this sub-protocol where it owes `to` something.
    fn share(&self) -> usize {
        0
    }

    /// Writes what is owed to `to`, as much as fits, and clears the mark when nothing is left.
    fn on_transmit(&mut self, _cx: &mut Cx<'_>, _to: PeerIdx, _packet: &mut Packer<'_>) {}

    /// When [`Protocol::on_timeout`] has something to do.
    fn deadline(&self) -> Instant;

    /// What that would be.
    fn reason(&self) -> Reason;
}
