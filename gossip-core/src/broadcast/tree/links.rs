//! What parent and child say to each other, and what the end of a link means for them.
//!
//! # Messages
//!
//! `Child` asks, `ChildOk` grants (and tells children of a changed place), `NotChild` ends or refuses.
//!
//! # Rules
//!
//! - `children` changes by `Child` and `NotChild` only, and by the end of a link. Tree links are parent, former parent and
//!   children.
//! - Refused is who stands above this node, and everybody while it has no place itself.
//! - With each wave a child says again that it is one. Who has not since the wave before is told `ChildOk` once more, and
//!   says `NotChild` if it is none: its last word may have been lost, or overtaken by an earlier one.
//! - The state of a link that begins anew is forgotten: the far end may have forgotten it too.

use core::time::Duration;

use super::ancestors::Ancestors;
use super::place::{REQUEST_PAUSE, Standing, node_at};
use super::{Forest, Timer, bit, mark, micros, round_trip};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::wire::{self, Blob, Kind};

/// What an answer may take beyond the round trip.
pub(super) const ANSWER_SLACK: Duration = Duration::from_millis(10);

impl Forest {
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
            state.place.renewed |= bit(row);
            state.owed.child_ok |= bit(row);
            state.owed.not_child &= !bit(row);
            self.greet_tree_link(cx, row);
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

    /// Asks the children that have not spoken since the last wave whether they still are.
    pub(super) fn ask_children(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        let quiet = state.place.children & !state.place.renewed;
        state.place.renewed = 0;
        state.owed.child_ok |= quiet;
        mark(cx.peers, quiet);
    }

    // ---- links

    pub(super) fn on_link_up(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        // The far end may have forgotten what this one remembers.
        self.on_link_down(cx, peer);
        for tree in 0..self.trees.len() {
            if self.trees[tree].is_attached(cx) {
                self.trees[tree].owed.wave |= bit(peer.row());
                cx.peers.mark(peer, Due::Broadcast);
            } else if self.trees[tree].wave.is_some() {
                self.timers.set(Timer::Stuck(tree), cx.now + REQUEST_PAUSE);
            }
            self.await_wave(cx, tree);
        }
    }

    pub(super) fn on_link_down(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let row = peer.row();
        self.forget_link(row);
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
                &mut state.rest,
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

    /// The far end of a link may have died: nothing goes there any more, and another parent is looked for. If it lives, it hears
    /// that it has no child or parent here.
    pub(super) fn on_suspicion(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let row = peer.row();
        for tree in 0..self.trees.len() {
            let place = &mut self.trees[tree].place;
            if place.links() & bit(row) == 0 {
                continue;
            }
            place.children &= !bit(row);
            place.former = place.former.filter(|&former| former != row);
            self.dismiss(cx, tree, row);
            if self.trees[tree].place.parent == Some(row) {
                self.lose_parent(cx, tree, row);
            }
        }
    }

    /// Forgets what is owed to a neighbor and known of it, besides its place in the trees.
    fn forget_link(&mut self, row: usize) {
        self.recent.forget_link(row);
        self.digests.forget_link(row);
        self.missing.forget_link(row);
        self.loss.forget_link(row);
        self.acks.forget_link(row);
        self.timers.stop(Timer::Gap(row));
        self.timers.stop(Timer::Resend(row));
    }

    fn lose_parent(&mut self, cx: &mut Cx<'_>, tree: usize, row: usize) {
        self.note_damage(cx.now);
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
