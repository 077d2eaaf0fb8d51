//! What goes to the root directly, outside of links.
//!
//! # Intuition
//!
//! A letter to the town hall. Anybody may write one, nobody gets an answer. The hall takes only letters of townspeople
//! about news of their own, that name the present mayor and the present or the last of his calls; so a copy of an old
//! letter, thrown in again, is waste paper.
//!
//! # Rules
//!
//! - The origin of a message injects it where it is at least 2 links away from the root, in a network of as many nodes as
//!   configured: a message has at most two copies too many thereby, and below 200 nodes that is more than a hundredth of all.
//! - Where losses are seen it is sent twice, 5 ms apart, as it is not acknowledged.
//! - The datagram is OPEN, as the numbering of links is not for it. It is sealed like any other, and never answered, so it
//!   neither proves nor needs an address. The root takes from its sender only messages of that sender's own. Whom it knows as
//!   a member it listens to in the member's present life. With full membership to nobody else; with sampled membership
//!   whoever has the cluster's key may be a member. Without a key anybody may say so, and is listened to [`PER_SECOND`] times
//!   a second for each [`SHARES`]th of all addresses.
//! - It names the root's life and wave; the root takes the present wave and the one before. Together they last less
//!   than the horizon: whoever plays back an old datagram is refused, also where its origin has been forgotten.
//!   So a repeated datagram is a duplicate like any other, or is refused: it changes nothing.
//! - What does not fit beside these names into one datagram is not injected.
//! - With static neighbors nothing is sent outside of links.

use core::net::SocketAddr;
use core::time::Duration;

use super::recent::CardNo;
use super::{Forest, Timer};
use crate::broadcast::copies::{Slots, data};
use crate::pack::Packer;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::wire::{Injected, Kind, WaveRequest};

/// Datagrams of strangers that a root listens to where nobody needs a key (our choice: what one node may submit at most times
/// is less, and one share of the addresses is no large part of all nodes).
const PER_SECOND: u8 = 64;

/// Parts of all addresses that are counted apart.
const SHARES: usize = 16;

/// The least depth at which the way to the root is worth a datagram.
const DEPTH_MIN: u8 = 2;

/// Time between two copies, where losses are seen.
const SECOND_COPY: Duration = Duration::from_millis(5);

/// How often strangers were listened to in this second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strangers {
    since: Instant,
    counts: [u8; SHARES],
}

impl Strangers {
    pub(super) const fn new() -> Self {
        Self { since: Instant::ZERO, counts: [0; SHARES] }
    }

    /// Counts one with an address of this hash. False where there were too many.
    fn count(&mut self, now: Instant, hash: u64) -> bool {
        if now.saturating_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, ..Self::new() };
        }
        let count = &mut self.counts[hash as usize % SHARES];
        let fits = *count < PER_SECOND;
        *count += u8::from(fits);
        fits
    }
}

impl Forest {
    /// Whether the root listens to a stranger at `address`, in a cluster without a key.
    pub(crate) fn admits(&mut self, now: Instant, address: SocketAddr) -> bool {
        let hash = self.recent.hash_address(address);
        self.strangers.count(now, hash)
    }

    /// Whether an own message goes to the root.
    pub(super) fn inject(&mut self, cx: &Cx<'_>, tree: usize, place: CardNo) {
        let state = &self.trees[tree];
        let is_far = state.place.parent.is_some() && state.place.depth >= DEPTH_MIN;
        let reachable = self.ventures && state.wave.is_some_and(|wave| wave.address.is_some());
        if is_far && reachable && cx.size >= self.inject_from {
            self.inject.set(place.into());
            if self.loss.is_careful() {
                self.inject_again.set(place.into());
                self.timers.set(Timer::Inject, cx.now + SECOND_COPY);
            }
        }
    }

    pub(super) fn inject_second_copies(&mut self) {
        while let Some(place) = self.inject_again.first() {
            self.inject_again.clear(place);
            self.inject.set(place);
        }
    }

    /// Whether anything is to go to a root.
    pub(crate) fn owes_roots(&self) -> bool {
        !self.inject.is_empty() || self.trees.iter().any(|state| state.owed.request)
    }

    /// A datagram to a root: where to, and the bytes of frames.
    pub(crate) fn compose_open(&mut self, cx: &mut Cx<'_>, datagram: &mut [u8]) -> Option<(SocketAddr, usize)> {
        if let Some(tree) = self.trees.iter().position(|state| state.owed.request) {
            self.trees[tree].owed.request = false;
            let wave = self.trees[tree].wave?;
            let mut packet = Packer::new(datagram, self.mtu);
            let request = WaveRequest { tree: tree as u8, incarnation: wave.incarnation, number: wave.number };
            packet.frame(Kind::WAVE_REQUEST, &request).ok()?;
            return Some((wave.address?, packet.len()));
        }
        while let Some(place) = self.inject.first() {
            self.inject.clear(place);
            if let Some(datagram) = self.compose_injected(cx, place as CardNo, datagram) {
                return Some(datagram);
            }
        }
        None
    }

    fn compose_injected(&self, cx: &mut Cx<'_>, place: CardNo, datagram: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let card = self.recent.get(place);
        let tree = self.tree_of(card.name);
        let wave = self.trees[tree].wave?;
        let (slot, to) = (card.slot?, wave.address?);
        let message = cx.messages.get(slot)?;
        let mut slots = Slots::default();
        let data = data(cx.now, cx.me.node, message, 0, &mut slots);
        let injected = Injected { tree: tree as u8, incarnation: wave.incarnation, number: wave.number, data };
        let mut packet = Packer::new(datagram, self.mtu);
        packet.frame(Kind::INJECTED, &injected).ok()?;
        cx.messages.sent(cx.now, slot);
        cx.stats.data_sent += 1;
        cx.stats.injected += 1;
        Some((to, packet.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_at_one_address_keeps_few_others_out_and_nobody_for_long() {
        let mut strangers = Strangers::new();
        let now = Instant::from_millis(500);
        assert_eq!((0..1_000).filter(|_| strangers.count(now, 7)).count(), PER_SECOND.into());
        assert!(strangers.count(now, 8), "another share of the addresses");
        assert!(strangers.count(Instant::from_millis(1_000), 7));
    }
}
