//! Where a node stands: its parent, and how it comes to another one.
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
//!   ▲                │ not answered,       NotChild, link down, loop       │ link down, loop, better wave
//!   └──nobody fits───┴─────────────▶ the next best neighbor ◀──────────────┘
//! ```
//!
//! Without a parent (`none`), a node sends to all links, marked as off the tree, and asks the root for a wave.
//!
//! # Rules
//!
//! - The best parent is the neighbor with the least cost (latencies, and the hold for each hop) whose ancestors do not name this node.
//! - Who takes a parent while nothing else holds has missed what passed meanwhile: with the request goes a digest of even
//!   the youngest messages (`digest`), answered likewise, so both ends fetch at once what they lack.
//! - Where no neighbor fits, two round trips are waited for the far end of a new link before the root is asked for a wave.
//! - A changed place is told to all children at once, so old names do not linger; whoever finds itself among its own
//!   ancestors that way looks for another parent. So a loop ends after one turn.
//!
//! # Bounds
//!
//! A change of place costs one frame for each node below. `Child` is sent twice, where losses are seen four times; a request
//! for a wave each 700 ms, three times; then the node becomes a root itself.

use core::time::Duration;

use super::ancestors::Ancestors;
use super::wave::HOLD_PART;
use super::{Forest, Timer, bit, mark, micros, round_trip, rows, sound};
use crate::ids::NodeId;
use crate::protocol::Cx;

/// How often a parent is asked; and where losses are seen.
const CHILD_ATTEMPTS: u8 = 2;
const CAREFUL_ATTEMPTS: u8 = 4;

/// How often a wave is asked for.
const REQUEST_ATTEMPTS: u8 = 3;

/// How many round trips the first request is put off.
const REQUEST_TRIPS: u32 = 2;

/// The pause between two requests.
pub(super) const REQUEST_PAUSE: Duration = Duration::from_millis(700);

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
    pub(super) confirmed: bool,
    /// The parent before, until the new one has confirmed.
    pub(super) former: Option<usize>,
    pub(super) children: u64,
    /// Who has said since the last wave that it is a child.
    pub(super) renewed: u64,
    /// Who refused to be the parent, since the last wave.
    pub(super) refused: u64,
    /// How often the parent, or the root, was asked.
    pub(super) attempts: u8,
    /// Messages in a row that had to be fetched.
    pub(super) misses: u8,
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
        renewed: 0,
        refused: 0,
        attempts: 0,
        misses: 0,
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
            let hung = place.former.is_some() || place.parent.is_some() && place.confirmed;
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
            self.greet_tree_link(cx, row);
            if !hung {
                self.catch_up(cx, row);
            }
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

    pub(super) fn dismiss(&mut self, cx: &mut Cx<'_>, tree: usize, row: usize) {
        let owed = &mut self.trees[tree].owed;
        owed.child &= !bit(row);
        owed.not_child |= bit(row);
        mark(cx.peers, bit(row));
    }

    pub(super) fn owe_child(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        let Some(parent) = state.place.parent else { return };
        state.owed.child = bit(parent);
        state.owed.not_child &= !bit(parent);
        mark(cx.peers, bit(parent));
    }

    /// Derives this node's place from the parent's. What changed for those below is told to them.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let Some(parent) = self.trees[tree].place.parent else { return };
        let Some(above) = self.standing(tree, parent) else { return };
        let Some(node) = node_at(cx, parent) else { return };
        let trip = round_trip(cx.peers, parent, &self.pace);
        let place = &mut self.trees[tree].place;
        let before = (place.depth, place.ancestors);
        place.cost = above.cost.saturating_add(trip / 2).saturating_add(self.median / HOLD_PART);
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
        match self.best_parent(cx, tree, except) {
            Some(row) => self.adopt(cx, tree, row),
            None => self.get_stuck(cx, tree),
        }
    }

    /// The neighbor with the least cost that fits, none of `except`.
    pub(super) fn best_parent(&self, cx: &Cx<'_>, tree: usize, except: u64) -> Option<usize> {
        let place = &self.trees[tree].place;
        let except = except | place.refused | place.children;
        rows(sound(cx.peers) & !except)
            .filter_map(|row| Some((row, self.standing(tree, row)?)))
            .filter(|(_, standing)| !standing.ancestors.contains(cx.me.node))
            .min_by_key(|&(row, standing)| {
                u64::from(standing.cost) + u64::from(round_trip(cx.peers, row, &self.pace) / 2)
            })
            .map(|(row, _)| row)
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
        // A link that gave way to another one is soon replaced: perhaps its far end fits.
        self.timers.set(Timer::Stuck(tree), cx.now + micros(self.median) * REQUEST_TRIPS);
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
        let state = &mut self.trees[tree];
        if state.place.parent.is_none() {
            let has_address = state.wave.is_some_and(|wave| wave.address.is_some() && wave.root != cx.me.node);
            state.owed.request = self.ventures && has_address;
            self.timers.set(Timer::Stuck(tree), cx.now + REQUEST_PAUSE);
        }
    }

    pub(super) fn on_child_timer(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let attempts = if self.loss.is_careful() { CAREFUL_ATTEMPTS } else { CHILD_ATTEMPTS };
        let place = &mut self.trees[tree].place;
        if place.confirmed {
            return;
        }
        place.attempts += 1;
        match place.parent {
            Some(parent) if place.attempts >= attempts => {
                place.refused |= bit(parent);
                self.digests.note_mute(bit(parent));
                self.look_for_parent(cx, tree, bit(parent));
            }
            Some(_) => self.owe_child(cx, tree),
            None => {}
        }
    }
}

/// Who is at the far end of the link in `row`.
pub(super) fn node_at(cx: &Cx<'_>, row: usize) -> Option<NodeId> {
    Some(cx.peers.get(cx.peers.at(row)?)?.node)
}
