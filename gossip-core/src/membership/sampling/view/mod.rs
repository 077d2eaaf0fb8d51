//! The view: some nodes, drawn from all, each with its age.
//!
//! # Intuition
//!
//! A hand of cards. Each card names a node, where it lives, and when it last spoke for itself. In an exchange two
//! players show each other a part of their hands, take up what they have not got, and lay down what is too much: the
//! oldest cards, and those that the other one has got now. So cards travel, fresh ones are dealt by the nodes themselves,
//! and the card of a node that plays no more is one day the oldest in every hand.
//!
//! Half of the hand at the most is from one network [`prefix`](crate::membership::prefix), as long as there are others: who has
//! many addresses in one place could else fill all hands. Whatever the rules of the game lay down, beyond its
//! share a prefix lays down its own. An entry that has not been heard of for so long that its node is surely gone is
//! not kept for that.
//!
//! The order of the rows is part of the protocol: what is given away is what a shuffle put at the front.

mod descriptor;
#[cfg(test)]
mod shares;
mod swapping;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::strategy::{COPIES_MAX, Freshness, PeerSelection, Sampling, ViewSelection};
use crate::ids::NodeId;
use crate::membership::prefix::{Prefix, crowd};
use crate::rng::Rng;
use crate::time::Instant;

pub(crate) use descriptor::{Born, Descriptor};

/// Who got an entry from this node, and may keep it in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Nobody.
    No,
    /// The node that was asked, whose answer has not come yet.
    Asked,
    /// The node that asks right now.
    Asking,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    descriptor: Descriptor,
    /// How many entries it stands for; always 1 but with leases.
    copies: u8,
    given: Given,
}

impl Row {
    /// Whether it is in this crowded prefix; all rows are where there is none.
    fn is_in(&self, crowd: Option<Prefix>) -> bool {
        crowd.is_none() || crowd == Prefix::of(self.descriptor.address)
    }

    /// Whether the other side of the exchange may have it in this node's place.
    fn is_given_away(&self, whom: Given) -> bool {
        self.given == whom && self.copies <= 1
    }
}

/// The rows: at most `capacity` between two exchanges, and during one as many more as the other side gives.
#[derive(Clone, Debug)]
pub(crate) struct View {
    rows: Vec<Row>,
    capacity: usize,
    /// None where there are no views.
    sampling: Option<Sampling>,
    /// Of exchanges.
    period: Duration,
    /// Half periods that were counted, where entries age by counting.
    counted: u32,
}

impl View {
    /// Room for `capacity` entries, and for what the other side gives during an exchange.
    pub(in crate::membership::sampling) fn new(sampling: Option<Sampling>, capacity: u16, period: Duration) -> Self {
        let rows = sampling.map_or(0, |sampling| usize::from(capacity) + sampling.given(capacity));
        Self { rows: Vec::with_capacity(rows), capacity: capacity.into(), sampling, period, counted: 0 }
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        (2 * capacity + 1) * size_of::<Row>()
    }

    /// Whether others are known by this view, and not by the table of members.
    pub(crate) const fn is_used(&self) -> bool {
        self.sampling.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the clock shows by which entries age.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        match self.sampling.map(|sampling| sampling.freshness) {
            Some(Freshness::Counted) => Instant::ZERO + self.period / 2 * self.counted,
            Some(Freshness::Time) | None => now,
        }
    }

    /// This node took part in one more exchange: in the form of 2007 entries grow older by that.
    pub(super) fn count_exchange(&mut self) {
        let counts = self.sampling.is_some_and(|sampling| !sampling.gives_whole_view());
        self.counted = self.counted.saturating_add(u32::from(counts));
    }

    /// One more period has passed: in the form of 2004 entries grow older by that.
    pub(super) fn count_turn(&mut self) {
        let counts = self.sampling.is_some_and(|sampling| sampling.gives_whole_view());
        self.counted = self.counted.saturating_add(2 * u32::from(counts));
    }

    /// How much older an entry is for having come here from another node.
    pub(super) fn hop(&self) -> Duration {
        let counts = |sampling: Sampling| sampling.gives_whole_view() && sampling.freshness == Freshness::Counted;
        if self.sampling.is_some_and(counts) { self.period } else { Duration::ZERO }
    }

    /// All entries, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Descriptor> {
        self.rows.iter().map(|row| &row.descriptor)
    }

    /// An entry drawn by chance among those that fit. One word of `rng`.
    pub(crate) fn draw(&self, rng: &mut Rng, fits: impl Fn(&Descriptor) -> bool) -> Option<Descriptor> {
        let count = self.iter().filter(|descriptor| fits(descriptor)).count();
        let chosen = rng.below(count as u32) as usize;
        self.iter().filter(|descriptor| fits(descriptor)).nth(chosen).copied()
    }

    /// Somebody is there: takes it up, or its fresher state, in place of the oldest entry where the view is full. False
    /// where it was no news.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> bool {
        if let Some(known) = self.position(descriptor.node) {
            return self.freshen(known, descriptor, 0);
        }
        if self.sampling.is_none() {
            return false;
        }
        if self.rows.len() >= self.capacity {
            let crowd = crowd(self.addresses().chain(core::iter::once(descriptor.address)));
            let may_go = |row: &Row| row.descriptor.born < descriptor.born && row.is_in(crowd);
            let Some(oldest) = self.oldest(&may_go) else { return false };
            self.rows.remove(oldest);
        }
        self.rows.push(Row { descriptor, copies: 1, given: Given::No });
        true
    }

    /// Drops the entry of `node`.
    pub(crate) fn forget(&mut self, node: NodeId) {
        if let Some(position) = self.position(node) {
            self.rows.remove(position);
        }
    }

    /// A node did not answer: drops its entry, unless the node has spoken for itself since.
    pub(super) fn disprove(&mut self, descriptor: &Descriptor) {
        self.rows.retain(|row| row.descriptor.node != descriptor.node || row.descriptor.born > descriptor.born);
    }

    /// Leases that have run out go, as long as a quarter of the view is left: a node that hears nobody for long keeps
    /// somebody to try.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(ViewSelection::Lease { lifetime, .. }) = self.sampling.map(|sampling| sampling.view_selection) else {
            return;
        };
        let limit = Born::ago(self.clock(now), self.period * lifetime.into());
        while self.rows.len() > self.capacity / 4
            && let Some(oldest) = self.oldest(&|row| row.descriptor.born < limit)
        {
            self.rows.remove(oldest);
        }
    }

    /// The entry with which to exchange.
    pub(super) fn select_peer(&self, rng: &mut Rng, how: PeerSelection) -> Option<Descriptor> {
        let any = rng.below(self.rows.len() as u32) as usize;
        let position = match how {
            PeerSelection::Head => self.youngest(&|_| true),
            PeerSelection::Random => Some(any),
            PeerSelection::Tail => self.oldest(&|_| true),
        };
        Some(self.rows.get(position?)?.descriptor)
    }

    /// The younger of two entries of one node stays, in the place of the one that was there, and stands for both: what was
    /// given away counts as given. False where it is not younger.
    fn freshen(&mut self, known: usize, descriptor: Descriptor, copies: u8) -> bool {
        let is_lease = self.is_lease();
        let row = &mut self.rows[known];
        if is_lease && copies > 0 {
            (row.copies, row.given) = ((row.copies + copies).min(COPIES_MAX), Given::No);
        }
        let news = row.descriptor.born < descriptor.born;
        if news {
            row.descriptor = descriptor;
        }
        news
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> + Clone {
        self.rows.iter().map(|row| row.descriptor.address)
    }

    fn position(&self, node: NodeId) -> Option<usize> {
        self.rows.iter().position(|row| row.descriptor.node == node)
    }

    fn oldest(&self, fits: &dyn Fn(&Row) -> bool) -> Option<usize> {
        let fitting = self.rows.iter().enumerate().filter(|(_, row)| fits(row));
        fitting.min_by_key(|(_, row)| row.descriptor.born).map(|(position, _)| position)
    }

    fn youngest(&self, fits: &dyn Fn(&Row) -> bool) -> Option<usize> {
        let fitting = self.rows.iter().enumerate().filter(|(_, row)| fits(row));
        fitting.max_by_key(|(_, row)| row.descriptor.born).map(|(position, _)| position)
    }

    /// Panics where a node is listed twice, where `me` is listed, or where there are too many rows.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, me: NodeId) {
        assert!(self.rows.len() <= self.capacity, "more entries than the view holds");
        assert!(self.position(me).is_none(), "this node is in its own view");
        for (position, row) in self.rows.iter().enumerate() {
            let node = row.descriptor.node;
            assert_eq!(self.position(node), Some(position), "node {node} is in the view twice");
        }
    }
}
