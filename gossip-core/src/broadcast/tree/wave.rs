//! The numbered waves of a root, and what a node makes of them.
//!
//! # Intuition
//!
//! A stone thrown into a pond. The root throws one; the ring runs outwards over all links, and each node knows by the side
//! from which the ring came which way the root is. Each stone has a number, so that a late ripple of an earlier one is
//! recognized. A node does not pass the ring on at once but holds it for a moment: then a ring that took fewer hops
//! overtakes one that took faster ones, and the tree is flatter.
//!
//! # States of a node, per tree
//!
//! ```text
//! no wave ──a neighbor's──▶ below a root ──3 refreshes without one──▶ silent ──nobody else does──▶ root
//!    │                         │    ▲                                                              │
//!    │                         │    └──────────────────a better wave──────────────────────────────┘
//!    └──nobody has one─────────┴──the root is dead──▶ claims to be the root
//! ```
//!
//! # Rules
//!
//! - Of two waves the one with the later number is better; of two roots with equal numbers the one with the higher priority
//!   (the length of its life so far, in doublings of a second), then the higher hash of its id. A live root is replaced in
//!   no other way: where parts of a network meet, the root that has sent more waves wins.
//! - The parent is who brought the wave first. Who brings it within a quarter of the hold after that is as good: the one
//!   with the least depth is taken, and of several the parent that there is, so the tree does not flutter.
//! - With each wave the parent is told anew that it is the parent, and also when it sends the same wave again: its end of the
//!   link may have begun anew. So a mistake lasts until the next wave at most, whether there is traffic or not.
//! - The wave goes to every link over which it has not come. A neighbor with an older wave is sent this one.
//! - Several trees share the load of those who forward, which is that of the one with most children in all of them: who has a
//!   half more children than trees sends the wave to all others a while later, so these find another parent if they can (cf.
//!   SplitStream, Castro et al. 2003, where the inner nodes of trees are different ones). And of the same two nodes not always
//!   the same one is the root.
//! - When there is a root, and when it sends a wave: [`root`](super::root).
//!
//! # Sources, and where this differs
//!
//! First arrival makes the parent in the reverse path trees of Dalal and Metcalfe (1978); numbers as in DSDV (Perkins
//! and Bhagwat 1994). The hold, and that data changes nothing, are our own: the measurements are those of this project.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::ancestors::{Ancestors, mix};
use super::place::Standing;
use super::{Forest, Timer, Tree, bit, mark, micros, rows};
use crate::ids::{Incarnation, NodeId};
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::{Cx, Me};
use crate::wire::{self, Address, Blob, Kind};

/// Below this depth the hold is doubled, for a flatter tree.
const DEPTH_WANTED: u8 = 9;

/// The hold is this part of the median round trip of the links (our choice: a fifth of the one-way latency; with a third
/// trees of 500 nodes are slower by a tenth, and those of 10,000 hardly flatter).
pub(super) const HOLD_PART: u32 = 10;

/// Of several trees, for how many children a node has a place in each, on average and in hundredths (our choice: each node has one
/// parent in each, so one is the mean; a half more lets nearly everybody find one in time).
const CHILDREN_PERCENT: usize = 150;

/// How many median round trips later the others get the wave (our choice: by then another neighbor's has come).
const REST_TRIPS: u32 = 2;

/// This part of the hold makes no difference between two neighbors.
const TIE: u32 = 4;

/// What all nodes of a tree agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wave {
    pub(super) root: NodeId,
    pub(super) incarnation: Incarnation,
    /// Where messages are injected, if anywhere.
    pub(super) address: Option<SocketAddr>,
    pub(super) priority: u8,
    pub(super) number: u32,
    pub(super) refresh_s: u16,
}

impl Wave {
    fn read(frame: &wire::Wave<'_>) -> Self {
        Self {
            root: frame.root,
            incarnation: frame.incarnation,
            address: Some(frame.address.0).filter(|&address| crate::membership::is_usable(address)),
            priority: frame.priority,
            number: frame.number,
            refresh_s: frame.refresh_s,
        }
    }

    /// Whether this node is the root.
    pub(super) fn is_of(&self, me: Me) -> bool {
        (self.root, self.incarnation) == (me.node, me.incarnation)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.root, self.incarnation, self.number) == (other.root, other.incarnation, other.number)
    }

    /// Whether this wave is better in such a tree: the roots of several trees shall be several nodes.
    fn beats(&self, other: &Self, tree: usize) -> bool {
        let rank = |wave: &Self| (wave.priority, mix(wave.root.0.wrapping_add(tree as u64)), wave.incarnation);
        is_later(self.number, other.number) || self.number == other.number && rank(self) > rank(other)
    }

    /// When the root sends the next one, in whole seconds.
    pub(super) fn refresh(&self) -> Duration {
        Duration::from_secs(u64::from(self.refresh_s))
    }

    /// How long to wait for the next one.
    fn patience(&self) -> Duration {
        (self.refresh() * 3).max(Duration::from_secs(3))
    }
}

/// RFC 1982: later by less than half of the circle.
pub(super) const fn is_later(number: u32, than: u32) -> bool {
    0 < (number.wrapping_sub(than) as i32)
}

impl Forest {
    pub(super) fn on_wave(&mut self, cx: &mut Cx<'_>, from: PeerIdx, frame: &wire::Wave<'_>) {
        let (tree, row) = (usize::from(frame.tree), from.row());
        if tree >= self.trees.len() {
            return cx.stats.refused_form += 1;
        }
        let standing = Standing { cost: frame.cost, depth: frame.depth, ancestors: Ancestors::read(frame.path.0) };
        self.hear(tree, row, standing);
        let wave = Wave::read(frame);
        if wave.is_of(cx.me) {
            return self.on_own_wave(cx, tree, &wave);
        }
        if standing.ancestors.contains(cx.me.node) {
            return;
        }
        let state = &mut self.trees[tree];
        match &state.wave {
            Some(known) if known.is_same(&wave) => {
                let again = state.arrived & bit(row) != 0;
                state.arrived |= bit(row);
                state.owed.wave &= !bit(row);
                if cx.now <= state.tied_until {
                    state.tied |= bit(row);
                }
                if !state.held && state.place.parent.is_none() {
                    self.look_for_parent(cx, tree, 0);
                } else if again && state.place.parent == Some(row) {
                    self.owe_child(cx, tree);
                }
            }
            Some(known) if !wave.beats(known, tree) => {
                if state.is_attached(cx) {
                    state.owed.wave |= bit(row);
                    mark(cx.peers, bit(row));
                }
            }
            _ => self.take(cx, tree, from, wave),
        }
    }

    /// A better wave than any before.
    fn take(&mut self, cx: &mut Cx<'_>, tree: usize, from: PeerIdx, wave: Wave) {
        let hold = self.hold(cx, tree);
        let state = &mut self.trees[tree];
        state.wave = Some(wave);
        (state.arrived, state.first) = (bit(from.row()), from.row());
        (state.tied, state.tied_until) = (bit(from.row()), cx.now + hold / TIE);
        (state.held, state.silent) = (true, false);
        (state.owed.wave, state.rest) = (0, 0);
        state.place.refused = 0;
        let late = Duration::from_micros(self.rng.range_micros(0, 1_000_000));
        self.timers.set(Timer::Wave(tree), cx.now + wave.patience() + late);
        self.timers.stop(Timer::Claim(tree));
        if self.trees[tree].place.parent.is_none() {
            self.adopt(cx, tree, from.row());
        }
        if hold.is_zero() {
            self.relay(cx, tree);
        } else {
            self.timers.set(Timer::Relay(tree), cx.now + hold);
        }
    }

    /// A fifth of the median one-way latency of the links: so much shorter may a way with one hop more be.
    fn hold(&mut self, cx: &Cx<'_>, tree: usize) -> Duration {
        self.median = self.median_round_trip(cx.peers);
        let hold = self.median / HOLD_PART;
        micros(if self.trees[tree].place.depth > DEPTH_WANTED { 2 * hold } else { hold })
    }

    /// The hold is over: decides on the parent, and passes the wave on.
    pub(super) fn relay(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &self.trees[tree];
        let tied = rows(state.tied & cx.peers.mask()).filter_map(|row| Some((row, self.standing(tree, row)?)));
        let parent = tied
            .filter(|(_, standing)| !standing.ancestors.contains(cx.me.node))
            .min_by_key(|&(row, standing)| (standing.depth, state.place.parent != Some(row), state.first != row))
            .map(|(row, _)| row);
        self.trees[tree].held = false;
        match parent {
            Some(row) => self.adopt(cx, tree, row),
            None => self.look_for_parent(cx, tree, 0),
        }
        self.owe_child(cx, tree);
        self.ask_children(cx, tree);
        if self.trees[tree].is_attached(cx) {
            self.pass_on(cx, tree);
        }
    }

    /// The wave goes to every link over which it has not come: where trees share the load, to the children and to as many others
    /// as may become some at once, and to the rest a while later.
    pub(super) fn pass_on(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let most = self.children_max(tree);
        let state = &mut self.trees[tree];
        let all = cx.peers.mask() & !state.arrived;
        let children = rows(all & state.place.children);
        state.owed.wave =
            children.chain(rows(all & !state.place.children)).take(most).fold(0, |set, row| set | bit(row));
        state.rest = all & !state.owed.wave;
        mark(cx.peers, state.owed.wave);
        if state.rest != 0 {
            self.timers.set(Timer::Rest(tree), cx.now + micros(self.median) * REST_TRIPS);
        }
    }

    pub(super) fn pass_on_to_rest(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        if state.is_attached(cx) {
            let rest = state.rest & cx.peers.mask() & !state.arrived;
            state.owed.wave |= rest;
            mark(cx.peers, rest);
        }
        state.rest = 0;
    }

    /// How many children this node wants in a tree: any number in a single one; of several trees, together a half more than there
    /// are trees.
    fn children_max(&self, tree: usize) -> usize {
        let count = self.trees.len();
        if count == 1 {
            return u64::BITS as usize;
        }
        let others = self.trees.iter().enumerate().filter(|(other, _)| *other != tree);
        let taken: u32 = others.map(|(_, state)| state.place.children.count_ones()).sum();
        (count * CHILDREN_PERCENT / 100).saturating_sub(taken as usize).max(1)
    }

    pub(super) fn write_wave(
        &mut self,
        cx: &mut Cx<'_>,
        tree: usize,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let state = &mut self.trees[tree];
        if state.owed.wave & bit(to.row()) == 0 {
            return Ok(());
        }
        if let Some(wave) = state.wave {
            let mut path = [0; Ancestors::BYTES];
            let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let frame = wire::Wave {
                tree: tree as u8,
                root: wave.root,
                incarnation: wave.incarnation,
                address: Address(wave.address.unwrap_or(nowhere)),
                priority: wave.priority,
                number: wave.number,
                refresh_s: wave.refresh_s,
                cost: state.place.cost,
                depth: state.place.depth,
                path: Blob(state.place.ancestors.write(&mut path)),
            };
            packet.frame(Kind::WAVE, &frame)?;
            cx.stats.waves_sent += 1;
        }
        state.owed.wave &= !bit(to.row());
        Ok(())
    }
}

impl Tree {
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, peers: &crate::peer::Peers) {
        let linked = peers.mask();
        let place = &self.place;
        let parents = place.parent.into_iter().chain(place.former);
        for row in parents {
            assert!(linked & bit(row) != 0, "a parent without a link");
            assert!(place.children & bit(row) == 0, "a parent is a child too");
        }
        assert!(place.children & !linked == 0, "a child without a link");
        assert!(self.wave.is_some() || place.parent.is_none(), "a parent in a tree without a wave");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(root: u64, number: u32, priority: u8) -> Wave {
        Wave { root: NodeId(root), incarnation: Incarnation(1), address: None, priority, number, refresh_s: 2 }
    }

    #[test]
    fn later_waves_win_also_around_the_circle_and_then_the_better_root() {
        assert!(wave(1, 2, 0).beats(&wave(2, 1, 9), 0));
        assert!(wave(1, 3, 0).beats(&wave(2, u32::MAX - 5, 9), 0));
        assert!(wave(1, 3, 1).beats(&wave(2, 3, 0), 0) && !wave(2, 3, 0).beats(&wave(1, 3, 1), 0));
        assert!(wave(1, 3, 1).beats(&wave(2, 3, 1), 0) != wave(2, 3, 1).beats(&wave(1, 3, 1), 0), "one of the two");
        assert!(!wave(1, 3, 1).beats(&wave(1, 3, 1), 0));
    }
}
