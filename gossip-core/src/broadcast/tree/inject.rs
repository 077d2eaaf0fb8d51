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
//! - The origin of a message injects it where it is at least 2 links away from the root, in a network of 200 nodes or
//!   more: a message has at most two copies too many thereby, and below 200 nodes that is more than a hundredth of all.
//! - Where losses are seen it is sent twice, 5 ms apart, as it is not acknowledged.
//! - The datagram is OPEN, as the numbering of links is not for it. It is sealed like any other, and never answered, so it
//!   neither proves nor needs an address. The root takes it from a member, in that member's present life, and only messages of
//!   that member's own; a repeated one is a duplicate like any other.
//! - It names the root's life and wave; the root takes the present wave and the one before. Together they last less
//!   than the horizon: whoever plays back an old datagram is refused, also where its origin has been forgotten.
//! - What does not fit beside these names into one datagram is not injected.
//! - With static neighbors nothing is sent outside of links.

use core::net::SocketAddr;
use core::time::Duration;

use super::recent::CardNo;
use super::{Forest, Timer};
use crate::broadcast::copies::{Slots, data};
use crate::pack::Packer;
use crate::protocol::Cx;
use crate::wire::{Injected, Kind, WaveRequest};

/// Members from which on injection is worth its copies.
const MEMBERS_MIN: u32 = 200;

/// The least depth at which the way to the root is worth a datagram.
const DEPTH_MIN: u8 = 2;

/// Time between two copies, where losses are seen.
const SECOND_COPY: Duration = Duration::from_millis(5);

impl Forest {
    /// Whether an own message goes to the root.
    pub(super) fn inject(&mut self, cx: &Cx<'_>, tree: usize, place: CardNo) {
        let state = &self.trees[tree];
        let is_far = state.place.parent.is_some() && state.place.depth >= DEPTH_MIN;
        let reachable = self.ventures && state.wave.is_some_and(|wave| wave.address.is_some());
        if is_far && reachable && cx.size >= MEMBERS_MIN {
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
