//! The way of a message along the tree.
//!
//! # Intuition
//!
//! A fire brigade with buckets: what comes from one side goes on to all others. Whoever has lost his place in the line
//! shouts to everybody in reach.
//!
//! # Rules
//!
//! - What is new goes over all tree links but the one it came over, and those whose far end has it.
//! - A fresh copy over a link that is no link of the tree is answered by `NotChild`, whether it is the first or a
//!   repeated one: the far end believes in a tree link that is none. Nothing else follows from a copy, ever.
//! - Nobody sends a message back, so the origin learns from digests that others have it; where it submits so quickly that
//!   it cannot wait for them, from acknowledgements.
//! - Who has no place in the tree sends over all links, marked as off the tree.

use super::alarm::YOUNG_MS;
use super::recent::CardNo;
use super::{Forest, bit, mark, rows, sound};
use crate::broadcast::copies::Copies;
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::store::Slot;
use crate::wire::Data;

/// Own messages of which nobody is known to have them yet; beyond, they are acknowledged, as `submit` is refused when
/// they are too many.
const UNSHARED_MAX: u32 = 16;

impl Forest {
    /// A new message starts its way here, or goes on.
    pub(super) fn start(&mut self, cx: &mut Cx<'_>, copies: &mut Copies, slot: Slot, from: Option<PeerIdx>, flags: u8) {
        let Some(message) = cx.messages.get(slot) else { return };
        // Chunks of larger messages come at the pace of lines: what is fetched earlier says nothing about the tree.
        let (id, is_whole) = (message.id, message.chunk.is_whole());
        let is_young = message.age_ms(cx.now) < YOUNG_MS && is_whole;
        let name = self.recent.name(id);
        self.forget_card(self.recent.upcoming());
        let place = self.recent.add(cx.now, slot, name);
        let tree = self.tree_of(name);
        let state = &self.trees[tree];
        let links = if state.is_attached(cx) { state.place.links() } else { sound(cx.peers) };
        if let Some(from) = from {
            self.recent.know(from.row(), place);
            self.judge_link(cx, tree, from, flags);
            let fetched = flags & Data::RESENT != 0 && links & bit(from.row()) == 0;
            if is_young && (fetched || flags & Data::ALARM != 0) {
                self.raise_alarm(cx, place, links);
            }
            if is_young && fetched {
                self.note_miss(cx, tree);
            }
        }
        for row in rows(links).filter(|&row| !self.recent.knows(row, place)) {
            copies.owe(cx.peers, row, slot);
        }
        // A large message takes as long as its line is slow, whichever way the first chunk goes: its chunks are not injected.
        if is_whole && from.is_none() && (id.origin, id.incarnation) == (cx.me.node, cx.me.incarnation) {
            self.inject(cx, tree, place);
        }
    }

    pub(super) fn on_duplicate(&mut self, cx: &mut Cx<'_>, slot: Slot, from: PeerIdx, flags: u8) {
        let Some(place) = self.recent.place(slot) else { return };
        self.recent.know(from.row(), place);
        let tree = self.tree_of(self.recent.get(place).name);
        self.judge_link(cx, tree, from, flags);
    }

    /// A neighbor says that it has a message.
    pub(super) fn learn(&mut self, cx: &mut Cx<'_>, row: usize, place: CardNo) {
        self.recent.know(row, place);
        if let Some(slot) = self.recent.get(place).slot {
            cx.messages.share(slot);
        }
    }

    /// A card is used anew, or its message is gone.
    pub(super) fn forget_card(&mut self, place: CardNo) {
        self.inject.clear(place.into());
        self.inject_again.clear(place.into());
        self.missing.forget_card(place);
    }

    /// Which tree a message goes over.
    pub(super) fn tree_of(&self, name: u32) -> usize {
        name as usize % self.trees.len()
    }

    /// A copy came over a link: does the far end take it for a link of the tree, and wrongly so?
    fn judge_link(&mut self, cx: &mut Cx<'_>, tree: usize, from: PeerIdx, flags: u8) {
        if flags & (Data::RESENT | Data::OFF_TREE) != 0 {
            return;
        }
        let state = &mut self.trees[tree];
        if state.place.parent == Some(from.row()) {
            state.place.misses = 0;
        }
        if state.is_attached(cx) && state.place.links() & bit(from.row()) == 0 {
            state.owed.not_child |= bit(from.row());
            mark(cx.peers, bit(from.row()));
        }
    }

    pub(super) fn write_copies(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &mut Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let row = to.row();
        while let Some(slot) = copies.next(row) {
            let place = self.recent.place(slot);
            let card = place.map(|place| self.recent.get(place));
            if place.is_some_and(|place| self.recent.knows(row, place)) {
                copies.done(row, slot);
                continue;
            }
            let unshared = cx.messages.get(slot).is_some_and(|message| message.unshared);
            let anyway = self.loss.is_careful() || unshared && cx.messages.unshared() > UNSHARED_MAX;
            let flight = place.and_then(|place| Some((place, self.acks.vacancy(row, anyway)?)));
            let off_tree = card.is_some_and(|card| !self.trees[self.tree_of(card.name)].is_attached(cx));
            let flag = |set, flag| if set { flag } else { 0 };
            let flags = flag(off_tree, Data::OFF_TREE)
                | flag(card.is_some_and(|card| card.alarm), Data::ALARM)
                | flag(flight.is_some(), Data::ACK_ME);
            if copies.write_one(cx, to, slot, flags, packet)?
                && let Some((place, at)) = flight
            {
                self.take_off(cx, to, at, place);
            }
            copies.done(row, slot);
        }
        Ok(())
    }
}
