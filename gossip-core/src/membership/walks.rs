//! A newcomer is introduced by walks.
//!
//! # Intuition
//!
//! Somebody knocks at the only door he knows. If that house took in everybody who knocks, its street would fill with
//! newcomers who know each other and nobody else. So it sends out some messengers instead, each of whom goes from neighbor
//! to neighbor, turning where chance tells him and never straight back, and after a few houses says: here. Whoever lives there
//! asks the newcomer in, and gives up one of his own neighbors for him, who takes the newcomer as well
//! ([`giving_way`](super::giving_way)). So the newcomer is spliced into edges drawn from the whole town, and the door that all
//! come to has no other neighbors than any other.
//!
//! # Rules
//!
//! - With sampled membership, a greeting of a contact by a node that lacks several links starts as many walks as give it half of
//!   its links: each ends in two.
//! - A walk has [`HOPS`] steps, each to a link drawn by chance, not to the one that it came from: after `log n / log (d − 1)`
//!   steps such a walk is nearly anywhere in a random graph of degree `d` (Alon et al. 2007, *Non-backtracking random walks
//!   mix faster*).
//! - Who still lacks several links when it has called out to its whole view sends walks of two steps for itself: its neighbors'
//!   neighbors are candidates as well (our choice).
//! - A walk that ends at somebody who knows the newcomer already is over, and so is one that is lost: the newcomer, who lacks
//!   links then, finds candidates in its view.
//!
//! # Bounds
//!
//! [`WALKS_MAX`] walks wait for their datagram; beyond, they are lost. A walk costs `HOPS` frames of at most 39 bytes.
//!
//! # Source
//!
//! Forward-join walks of HyParView (Leitao, Pereira and Rodrigues 2007, §4.2: 6 steps, the contact itself takes the newcomer);
//! splicing instead of replacing is our choice, because it keeps all degrees.

use super::Membership;
use super::attempts::Purpose;
use crate::ids::NodeId;
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::Cx;
use crate::storage::Slots;
use crate::wire::{Address, PeerEntry, Walk};

/// Steps of a walk (our choice: two more than a graph of a million nodes with 10 links needs; HyParView has 6).
const HOPS: u8 = 8;

/// Walks that wait for their datagram (our choice: those of six newcomers at once).
const WALKS_MAX: usize = 32;

/// A walk that goes on over a link.
#[derive(Clone, Copy, Debug)]
struct Step {
    to: PeerIdx,
    walk: Walk,
}

/// Greetings remembered whose walks were sent out (our choice: all that come within the delay of a copy, but for a crowd).
const INTRODUCED_MAX: usize = 32;

/// Walks under way through this node.
#[derive(Clone, Debug)]
pub(super) struct Walks {
    steps: Slots<Step>,
    /// Which greetings of whom were followed by walks: a copy of one is not.
    introduced: heapless::HistoryBuf<(NodeId, u64), INTRODUCED_MAX>,
}

impl Walks {
    pub(super) fn new() -> Self {
        Self { steps: Slots::new(WALKS_MAX), introduced: heapless::HistoryBuf::new() }
    }

    pub(super) const fn heap_bytes() -> usize {
        Slots::<Step>::heap_bytes(WALKS_MAX)
    }

    /// Whether walks are due for a greeting of this number. They are once.
    fn is_new(&mut self, newcomer: NodeId, number: u64) -> bool {
        let is_new = !self.introduced.as_ref().contains(&(newcomer, number));
        if is_new {
            self.introduced.write((newcomer, number));
        }
        is_new
    }

    fn add(&mut self, peers: &mut Peers, step: Step) {
        if self.steps.insert(step).is_ok() {
            peers.mark(step.to, Due::Membership);
        }
    }

    /// The next walk that goes on over this link.
    pub(super) fn next(&self, to: PeerIdx) -> Option<(u32, Walk)> {
        self.steps.iter().find(|(_, step)| step.to == to).map(|(row, step)| (row, step.walk))
    }

    pub(super) fn done(&mut self, row: u32) {
        self.steps.remove(row);
    }

    /// A link has ended.
    pub(super) fn end_link(&mut self, to: PeerIdx) {
        while let Some((row, _)) = self.next(to) {
            self.done(row);
        }
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, peers: &Peers) {
        self.steps.check_invariants();
        let owed = self.steps.iter().all(|(_, step)| peers.is_due(step.to, Due::Membership));
        assert!(owed, "a walk goes on over no link, or without a mark");
    }
}

impl Membership {
    /// Sends out walks for a newcomer whose greeting has this number.
    pub(super) fn introduce(&mut self, cx: &mut Cx<'_>, newcomer: PeerEntry, number: u64) {
        if !self.walks.is_new(newcomer.id, number) {
            return;
        }
        let walk = Walk { newcomer, hops: HOPS - 1 };
        for _ in 0..self.wanted / 2 {
            let known = cx.peers.find(newcomer.id);
            if let Some(to) = self.pick_link(cx.peers, known) {
                self.walks.add(cx.peers, Step { to, walk });
            }
        }
    }

    /// The whole view was called out to, and several links are still lacking: the neighbors' neighbors are asked, by walks of two
    /// steps for this node itself. Each walk that ends well gives it two links.
    pub(super) fn ask_around(&mut self, cx: &mut Cx<'_>) {
        let Some(address) = self.address else { return };
        let newcomer = PeerEntry { id: cx.me.node, incarnation: cx.me.incarnation, address: Address(address) };
        let walk = Walk { newcomer, hops: 1 };
        for _ in 0..self.missing(cx) / 2 {
            if let Some(to) = self.pick_link(cx.peers, None) {
                self.walks.add(cx.peers, Step { to, walk });
            }
        }
    }

    /// A walk has come to this node.
    pub(crate) fn on_walk(&mut self, cx: &mut Cx<'_>, from: PeerIdx, walk: &Walk) {
        if self.closed || !self.is_sampled || !super::is_usable(walk.newcomer.address.0) {
            return cx.stats.refused_unasked += 1;
        }
        if let Some(hops) = walk.hops.min(HOPS).checked_sub(1)
            && let Some(to) = self.pick_link(cx.peers, Some(from))
        {
            return self.walks.add(cx.peers, Step { to, walk: Walk { hops, ..*walk } });
        }
        let PeerEntry { id, address, .. } = walk.newcomer;
        let known = id == cx.me.node
            || cx.peers.find(id).is_some()
            || self.attempts.find(|attempt| attempt.node == Some(id)).is_some();
        if !known {
            self.attempts.add(address.0, Some(id), Purpose::Splice, cx.now);
        }
    }

    /// A link drawn by chance, but not this one.
    fn pick_link(&mut self, peers: &Peers, but: Option<PeerIdx>) -> Option<PeerIdx> {
        let others = || peers.iter().filter(|(peer, link)| Some(*peer) != but && !link.suspected);
        let place = self.rng.below(others().count() as u32) as usize;
        others().nth(place).map(|(peer, _)| peer)
    }
}
