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
//! - Who has no place in the tree sends over all links, marked as off the tree.

use super::super::copies::Copies;
use super::{Forest, bit, mark, rows};
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::store::Slot;
use crate::wire::Data;

impl Forest {
    /// A new message starts its way here, or goes on.
    pub(super) fn start(&mut self, cx: &mut Cx<'_>, copies: &mut Copies, slot: Slot, from: Option<PeerIdx>, flags: u8) {
        let Some(id) = cx.messages.get(slot).map(|message| message.id) else { return };
        let name = self.recent.name(id);
        let place = self.recent.add(cx.now, slot, name);
        let tree = self.tree_of(name);
        if let Some(from) = from {
            self.recent.know(from.row(), place);
            self.judge_link(cx, tree, from, flags);
        }
        let state = &self.trees[tree];
        let links = if state.is_attached(cx) { state.place.links() } else { cx.peers.mask() };
        for row in rows(links).filter(|&row| !self.recent.knows(row, place)) {
            copies.owe(cx.peers, row, slot);
        }
        if from.is_none() && (id.origin, id.incarnation) == (cx.me.node, cx.me.incarnation) {
            self.inject(cx, tree, place);
        }
    }

    pub(super) fn on_duplicate(&mut self, cx: &mut Cx<'_>, slot: Slot, from: PeerIdx, flags: u8) {
        let Some(place) = self.recent.place(slot) else { return };
        self.recent.know(from.row(), place);
        let tree = self.tree_of(self.recent.get(place).name);
        self.judge_link(cx, tree, from, flags);
    }

    /// Which tree a message goes over.
    pub(super) fn tree_of(&self, name: u32) -> usize {
        name as usize % self.trees.len()
    }

    /// A copy came over a link: does the far end take it for a link of the tree, and wrongly so?
    fn judge_link(&mut self, cx: &mut Cx<'_>, tree: usize, from: PeerIdx, flags: u8) {
        let state = &mut self.trees[tree];
        let fresh = flags & (Data::RESENT | Data::OFF_TREE) == 0;
        if fresh && state.is_attached(cx) && state.place.links() & bit(from.row()) == 0 {
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
        let mut attached = 0;
        for (tree, state) in self.trees.iter().enumerate() {
            attached |= u64::from(state.is_attached(cx)) << tree;
        }
        let recent = &self.recent;
        let trees = self.trees.len();
        let flags = |slot| {
            let card = recent.place(slot).map(|place| recent.get(place));
            card.map_or(0, |card| {
                let off_tree = attached >> (card.name as usize % trees) & 1 == 0;
                if off_tree { Data::OFF_TREE } else { 0 }
            })
        };
        copies.write_all(cx, to, packet, flags, |_, _| ())
    }
}
