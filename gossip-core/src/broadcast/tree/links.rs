//! Parent and children: made before broken, without loops.
//!
//! # Intuition
//!
//! Climbers on a rope. One lets go of the old hold only when the new one bears, so nobody falls in between; for that
//! moment one hangs on both. And one does not hold on to somebody who hangs on oneself: everyone carries the names of
//! those above (`ancestors`), tells them to those below, and looks at them before reaching out.
//!
//! # States of the way up, per tree
//!
//! ```text
//! none ──adopt──▶ asked (Child owed, former parent kept) ──ChildOk──▶ held (NotChild to the former one)
//!   ▲                │ 8 times unanswered, NotChild, link down, loop       │ link down, loop, better wave
//!   └──nobody fits───┴─────────────▶ the next best neighbor ◀──────────────┘
//! ```
//!
//! Without a parent (`none`), a node sends to all links, marked as off the tree, and asks the root for a wave.
//!
//! # Rules
//!
//! - The best parent is the neighbor with the least cost + latency whose ancestors do not name this node.
//! - `children` changes by `Child` and `NotChild` only. Tree links are parent, former parent and children.
//! - A changed place is told to all children at once, so old names do not linger; whoever finds itself among its own
//!   ancestors that way looks for another parent. So a loop ends after one turn.
//!
//! # Bounds
//!
//! A change of place costs one frame for each node below. `Child` is repeated 8 times, a request for a wave each 700 ms,
//! five times; then the node becomes a root itself.

use core::time::Duration;

use super::ancestors::Ancestors;
use super::{Forest, Timer, bit, mark, micros, round_trip, rows};
use crate::ids::NodeId;
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::wire::{self, Blob, Kind};

/// How often a parent is asked.
const CHILD_ATTEMPTS: u8 = 8;

/// How often a wave is asked for.
const REQUEST_ATTEMPTS: u8 = 5;

/// The pause between two requests.
const REQUEST_PAUSE: Duration = Duration::from_millis(700);

/// What an answer may take beyond the round trip.
const ANSWER_SLACK: Duration = Duration::from_millis(10);

/// Where a neighbor stands, as it last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) cost: u32,
    pub(super) depth: u8,
    pub(super) ancestors: Ancestors,
}

/// Where this node stands, and between whom. Neighbors are rows, sets of them bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) parent: Option<usize>,
    /// The parent has said so.
    confirmed: bool,
    /// The parent before, until the new one has confirmed.
    pub(super) former: Option<usize>,
    pub(super) children: u64,
    /// Who refused to be the parent, since the last wave.
    pub(super) refused: u64,
    /// How often the parent, or the root, was asked.
    attempts: u8,
    pub(super) cost: u32,
    pub(super) depth: u8,
    pub(super) ancestors: Ancestors,
}

impl Place {
    pub(super) const NONE: Self = Self {
        parent: None,
        confirmed: false,
        former: None,
        children: 0,
        refused: 0,
        attempts: 0,
        cost: 0,
        depth: 0,
        ancestors: Ancestors::NONE,
    };

    /// The tree links.
    pub(super) fn links(&self) -> u64 {
        let parents = self.parent.into_iter().chain(self.former);
        parents.fold(self.children, |links, row| links | bit(row))
    }
}

impl Forest {
    pub(super) fn standing(&self, tree: usize, row: usize) -> Option<Standing> {
        self.hearsay[tree * self.links() + row]
    }

    /// A neighbor says where it stands.
    pub(super) fn hear(&mut self, tree: usize, row: usize, standing: Standing) {
        let at = tree * self.links() + row;
        self.hearsay[at] = Some(standing);
    }

    /// Takes the neighbor in `row` for the parent; the former one is kept until this one confirms.
    pub(super) fn adopt(&mut self, cx: &mut Cx<'_>, tree: usize, row: usize) {
        let place = &mut self.trees[tree].place;
        self.timers.stop(Timer::Stuck(tree));
        if place.parent != Some(row) {
            cx.stats.parents_changed += 1;
            if let Some(parent) = place.parent.take() {
                if place.confirmed && place.former.is_none() {
                    place.former = Some(parent);
                } else {
                    self.dismiss(cx, tree, parent);
                }
            }
            let place = &mut self.trees[tree].place;
            place.former = place.former.filter(|&former| former != row);
            place.parent = Some(row);
            place.children &= !bit(row);
            (place.confirmed, place.attempts) = (false, 0);
            self.owe_child(cx, tree);
        }
        self.settle(cx, tree);
    }

    /// Says that this node is nobody's child here any more.
    pub(super) fn leave_parents(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let place = &mut self.trees[tree].place;
        let former = [place.parent.take(), place.former.take()];
        (place.cost, place.depth, place.ancestors) = (0, 0, Ancestors::NONE);
        for row in former.into_iter().flatten() {
            self.dismiss(cx, tree, row);
        }
        self.timers.stop(Timer::Child(tree));
        self.timers.stop(Timer::Stuck(tree));
    }

    fn dismiss(&mut self, cx: &mut Cx<'_>, tree: usize, row: usize) {
        let owed = &mut self.trees[tree].owed;
        owed.child &= !bit(row);
        owed.not_child |= bit(row);
        mark(cx.peers, bit(row));
    }

    fn owe_child(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        let Some(parent) = state.place.parent else { return };
        state.owed.child = bit(parent);
        state.owed.not_child &= !bit(parent);
        mark(cx.peers, bit(parent));
    }

    /// Derives this node's place from the parent's. What changed for those below is told to them.
    fn settle(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let Some(parent) = self.trees[tree].place.parent else { return };
        let Some(above) = self.standing(tree, parent) else { return };
        let Some(node) = node_at(cx, parent) else { return };
        let trip = round_trip(cx.peers, parent, &self.pace);
        let place = &mut self.trees[tree].place;
        let before = (place.depth, place.ancestors);
        place.cost = above.cost.saturating_add(trip / 2);
        place.depth = above.depth.saturating_add(1);
        place.ancestors = above.ancestors.and(node);
        if (place.depth, place.ancestors) != before {
            let children = place.children;
            self.trees[tree].owed.child_ok |= children;
            mark(cx.peers, children);
        }
    }

    /// Takes the best neighbor that fits for the parent, none of `except`; or asks the root for a wave.
    pub(super) fn look_for_parent(&mut self, cx: &mut Cx<'_>, tree: usize, except: u64) {
        if self.trees[tree].is_rooted_at(cx) {
            return;
        }
        let place = &self.trees[tree].place;
        let except = except | place.refused | place.children;
        let best = rows(cx.peers.mask() & !except)
            .filter_map(|row| Some((row, self.standing(tree, row)?)))
            .filter(|(_, standing)| !standing.ancestors.contains(cx.me.node))
            .min_by_key(|&(row, standing)| {
                u64::from(standing.cost) + u64::from(round_trip(cx.peers, row, &self.pace) / 2)
            });
        match best {
            Some((row, _)) => self.adopt(cx, tree, row),
            None => self.get_stuck(cx, tree),
        }
    }

    /// All neighbors are below this node, or say nothing.
    fn get_stuck(&mut self, cx: &mut Cx<'_>, tree: usize) {
        self.timers.stop(Timer::Child(tree));
        let state = &mut self.trees[tree];
        if let Some(parent) = state.place.parent.take() {
            state.place.attempts = 0;
            self.dismiss(cx, tree, parent);
        }
        let state = &mut self.trees[tree];
        state.place.parent = state.place.former.take();
        if state.place.parent.is_some() {
            state.place.confirmed = true;
            return self.settle(cx, tree);
        }
        state.owed.request = self.ventures && state.wave.is_some_and(|wave| wave.address.is_some());
        self.timers.set(Timer::Stuck(tree), cx.now + REQUEST_PAUSE);
    }

    pub(super) fn on_stuck_timer(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        state.place.attempts += 1;
        state.place.refused = 0;
        if cx.peers.len() == 0 {
            return;
        }
        if state.place.attempts > REQUEST_ATTEMPTS {
            state.silent = true;
            return self.on_claim_timer(cx, tree);
        }
        self.look_for_parent(cx, tree, 0);
    }

    pub(super) fn on_child_timer(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let place = &mut self.trees[tree].place;
        if place.confirmed {
            return;
        }
        place.attempts += 1;
        match place.parent {
            Some(parent) if place.attempts >= CHILD_ATTEMPTS => {
                place.refused |= bit(parent);
                self.look_for_parent(cx, tree, bit(parent));
            }
            Some(_) => self.owe_child(cx, tree),
            None => {}
        }
    }

    // ---- frames

    pub(super) fn on_child(&mut self, cx: &mut Cx<'_>, from: PeerIdx, frame: &wire::Child) {
        let (tree, row) = (usize::from(frame.tree), from.row());
        if tree >= self.trees.len() {
            return cx.stats.refused_form += 1;
        }
        let Some(node) = node_at(cx, row) else { return };
        let attached = self.trees[tree].is_attached(cx);
        let state = &mut self.trees[tree];
        state.place.former = state.place.former.filter(|&former| former != row);
        if !attached || state.place.parent == Some(row) || state.place.ancestors.contains(node) {
            state.owed.not_child |= bit(row);
        } else {
            state.place.children |= bit(row);
            state.owed.child_ok |= bit(row);
            state.owed.not_child &= !bit(row);
        }
        cx.peers.mark(from, Due::Broadcast);
    }

    pub(super) fn on_child_ok(&mut self, cx: &mut Cx<'_>, from: PeerIdx, frame: &wire::ChildOk<'_>) {
        let (tree, row) = (usize::from(frame.tree), from.row());
        if tree >= self.trees.len() {
            return cx.stats.refused_form += 1;
        }
        let ancestors = Ancestors::read(frame.path.0);
        self.hear(tree, row, Standing { cost: frame.cost, depth: frame.depth, ancestors });
        let place = &mut self.trees[tree].place;
        if place.parent != Some(row) {
            if place.former != Some(row) {
                self.dismiss(cx, tree, row);
            }
            return;
        }
        if ancestors.contains(cx.me.node) {
            // A loop: the parent hangs on this node.
            place.refused |= bit(row);
            place.former = None;
            return self.look_for_parent(cx, tree, bit(row));
        }
        (place.confirmed, place.attempts) = (true, 0);
        self.timers.stop(Timer::Child(tree));
        if let Some(former) = self.trees[tree].place.former.take() {
            self.dismiss(cx, tree, former);
        }
        self.settle(cx, tree);
    }

    pub(super) fn on_not_child(&mut self, cx: &mut Cx<'_>, from: PeerIdx, frame: &wire::NotChild) {
        let (tree, row) = (usize::from(frame.tree), from.row());
        if tree >= self.trees.len() {
            return cx.stats.refused_form += 1;
        }
        let place = &mut self.trees[tree].place;
        place.children &= !bit(row);
        place.former = place.former.filter(|&former| former != row);
        if place.parent == Some(row) {
            place.refused |= bit(row);
            self.look_for_parent(cx, tree, bit(row));
        }
    }

    // ---- links

    pub(super) fn on_link_up(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        // The far end may have forgotten what this one remembers.
        self.on_link_down(cx, peer);
        for tree in 0..self.trees.len() {
            if self.trees[tree].is_attached(cx) {
                self.trees[tree].owed.wave |= bit(peer.row());
                cx.peers.mark(peer, Due::Broadcast);
            }
            self.await_wave(cx, tree);
        }
    }

    pub(super) fn on_link_down(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let row = peer.row();
        self.recent.forget_link(row);
        for tree in 0..self.trees.len() {
            let at = tree * self.links() + row;
            self.hearsay[at] = None;
            let state = &mut self.trees[tree];
            for owed in [
                &mut state.owed.wave,
                &mut state.owed.child,
                &mut state.owed.child_ok,
                &mut state.owed.not_child,
                &mut state.arrived,
                &mut state.place.children,
                &mut state.place.refused,
            ] {
                *owed &= !bit(row);
            }
            state.place.former = state.place.former.filter(|&former| former != row);
            if state.place.parent == Some(row) {
                self.lose_parent(cx, tree, row);
            }
        }
    }

    fn lose_parent(&mut self, cx: &mut Cx<'_>, tree: usize, row: usize) {
        let state = &mut self.trees[tree];
        // Perhaps the root has died: that is known a moment later.
        if state.place.depth == 1 {
            self.claim_later(cx.now, tree, self.pace.claim);
        }
        let place = &mut self.trees[tree].place;
        place.parent = place.former.take();
        (place.confirmed, place.attempts) = (place.parent.is_some(), 0);
        self.timers.stop(Timer::Child(tree));
        if place.parent.is_some() {
            self.settle(cx, tree);
        } else {
            self.look_for_parent(cx, tree, bit(row));
        }
    }

    pub(super) fn write_links(
        &mut self,
        cx: &mut Cx<'_>,
        tree: usize,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let (link, id) = (bit(to.row()), tree as u8);
        let state = &mut self.trees[tree];
        let number = state.wave.map_or(0, |wave| wave.number);
        if state.owed.not_child & link != 0 {
            packet.frame(Kind::NOT_CHILD, &wire::NotChild { tree: id })?;
            state.owed.not_child &= !link;
            cx.stats.unparented += 1;
        }
        if state.owed.child & link != 0 {
            packet.frame(Kind::CHILD, &wire::Child { tree: id, number })?;
            state.owed.child &= !link;
            let patience = micros(round_trip(cx.peers, to.row(), &self.pace)) + ANSWER_SLACK;
            self.timers.set(Timer::Child(tree), cx.now + patience);
        }
        let state = &mut self.trees[tree];
        if state.owed.child_ok & link != 0 {
            let mut path = [0; Ancestors::BYTES];
            let place = &state.place;
            let path = Blob(place.ancestors.write(&mut path));
            let frame = wire::ChildOk { tree: id, number, cost: place.cost, depth: place.depth, path };
            packet.frame(Kind::CHILD_OK, &frame)?;
            state.owed.child_ok &= !link;
        }
        Ok(())
    }
}

/// Who is at the far end of the link in `row`.
fn node_at(cx: &Cx<'_>, row: usize) -> Option<NodeId> {
    Some(cx.peers.get(cx.peers.at(row)?)?.node)
}
