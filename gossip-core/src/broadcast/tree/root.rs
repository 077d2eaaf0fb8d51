//! Who is the root, and when it sends a wave.
//!
//! # Intuition
//!
//! A village without a mayor: everybody waits for a moment, by chance a longer or a shorter one, whether somebody takes the office;
//! whoever has waited in vain takes it. A mayor who is alive keeps it, and calls ever more seldom as long as nobody asks for
//! a call.
//!
//! # Rules
//!
//! - A node without a wave claims after one and a half to three probe timeouts ([`Pace::claim`](super::pace::Pace::claim));
//!   where the root does not answer any more the same, at its former children. Where no wave came for three refreshes, each
//!   waits up to 10 s more by chance, so that hardly two claim.
//! - The root sends a wave again after twice the time it waited before, from two repair periods to 10 minutes; when asked
//!   ([`WaveRequest`](crate::wire::WaveRequest)) at once, but not twice within three repair periods, and then waits as long
//!   again as it would have.
//! - Who finds out that a wave bears its own name, and knows nothing of it, outdoes it.

use core::time::Duration;

use super::wave::{Wave, is_later};
use super::{Forest, Timer};
use crate::ids::Incarnation;
use crate::members::Member;
use crate::protocol::Cx;
use crate::time::{Instant, micros as whole_micros};
use crate::view::PeerState;

/// How much longer the root waits each time.
const REFRESH_GROWTH: u32 = 2;

impl Forest {
    /// A wave of this node's own that it does not know of: only a liar has that. It is outdone.
    pub(super) fn on_own_wave(&mut self, cx: &mut Cx<'_>, tree: usize, wave: &Wave) {
        let state = &self.trees[tree];
        let is_news = state.wave.is_none_or(|known| is_later(wave.number, known.number));
        if is_news && cx.now >= state.waved_at + self.pace.gap {
            self.claim(cx, tree, wave.number);
        }
    }

    /// There is a link: if nobody has a wave, somebody has to begin.
    pub(super) fn await_wave(&mut self, cx: &Cx<'_>, tree: usize) {
        if self.trees[tree].wave.is_none() && !self.timers.runs(Timer::Claim(tree)) {
            self.claim_later(cx.now, tree, self.pace.claim);
        }
    }

    /// Looks again after one to two times `least`, whether there has to be another root.
    pub(super) fn claim_later(&mut self, now: Instant, tree: usize, least: Duration) {
        let least = whole_micros(least);
        let wait = self.rng.range_micros(least, 2 * least);
        self.timers.set(Timer::Claim(tree), now + Duration::from_micros(wait));
    }

    /// Sees to it that roots that have died are replaced, also where none of their children is left to do so.
    pub(super) fn look_for_roots(&mut self, cx: &Cx<'_>) {
        for tree in 0..self.trees.len() {
            let wave = self.trees[tree].wave;
            if wave.is_some_and(|wave| is_gone(cx, &wave)) && !self.timers.runs(Timer::Claim(tree)) {
                self.claim_later(cx.now, tree, self.pace.claim * 8);
            }
        }
    }

    pub(super) fn on_claim_timer(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let Some(wave) = self.trees[tree].wave else {
            if cx.peers.len() > 0 {
                self.claim(cx, tree, 0);
            }
            return;
        };
        if !wave.is_of(cx.me) && (self.trees[tree].silent || is_gone(cx, &wave) || is_mute(cx, &wave)) {
            self.claim(cx, tree, wave.number);
        }
    }

    /// This node is the root from now on.
    fn claim(&mut self, cx: &mut Cx<'_>, tree: usize, after: u32) {
        let seconds = cx.now.saturating_since(self.born).as_secs();
        let wave = Wave {
            root: cx.me.node,
            incarnation: cx.me.incarnation,
            address: self.address,
            priority: (u64::BITS - seconds.leading_zeros()) as u8,
            number: after,
            refresh_s: 0,
        };
        self.leave_parents(cx, tree);
        let state = &mut self.trees[tree];
        state.wave = Some(wave);
        (state.held, state.silent) = (false, false);
        self.timers.stop(Timer::Relay(tree));
        self.timers.stop(Timer::Claim(tree));
        self.wave(cx, tree, self.pace.refresh_min);
    }

    /// Sends the next wave, and says when the one after it will come.
    fn wave(&mut self, cx: &mut Cx<'_>, tree: usize, refresh: Duration) {
        let refresh = refresh.clamp(self.pace.refresh_min, self.pace.refresh_max);
        let address = self.address;
        let state = &mut self.trees[tree];
        let Some(wave) = &mut state.wave else { return };
        wave.number = wave.number.wrapping_add(1);
        wave.refresh_s = u16::try_from(refresh.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
        wave.address = address;
        (state.arrived, state.waved_at) = (0, cx.now);
        self.pass_on(cx, tree);
        self.ask_children(cx, tree);
        self.timers.set(Timer::Wave(tree), cx.now + refresh);
    }

    pub(super) fn on_wave_timer(&mut self, cx: &mut Cx<'_>, tree: usize) {
        let state = &mut self.trees[tree];
        let Some(wave) = state.wave else { return };
        if wave.is_of(cx.me) {
            let (waited, refresh) = (cx.now.saturating_since(state.waved_at), wave.refresh());
            // Who was asked for this one waits as long again.
            return self.wave(cx, tree, if waited < refresh { refresh } else { waited * REFRESH_GROWTH });
        }
        state.silent = true;
        let wait = self.rng.range_micros(0, 10_000_000);
        self.timers.set(Timer::Claim(tree), cx.now + Duration::from_micros(wait));
    }

    /// Whether this node is the root, and what was said of its wave is not long past.
    pub(crate) fn is_root(&self, tree: u8, incarnation: Incarnation, number: u32, cx: &Cx<'_>) -> bool {
        let wave = self.trees.get(usize::from(tree)).and_then(|state| state.wave);
        wave.is_some_and(|wave| {
            wave.is_of(cx.me) && incarnation == cx.me.incarnation && wave.number.wrapping_sub(number) <= 1
        })
    }

    /// Somebody has lost its place and knows no later wave than this one.
    pub(crate) fn on_wave_request(&mut self, cx: &mut Cx<'_>, tree: usize, number: u32) {
        if self.trees[tree].wave.is_none_or(|wave| wave.number != number) {
            return;
        }
        let waved_at = self.trees[tree].waved_at;
        if waved_at + self.pace.gap <= cx.now {
            self.on_wave_timer(cx, tree);
        } else {
            self.timers.hasten(Timer::Wave(tree), waved_at + self.pace.gap);
        }
    }
}

/// Whether the root of a wave is known to have died, left, or begun another life.
fn is_gone(cx: &Cx<'_>, wave: &Wave) -> bool {
    let member: Option<&Member> = cx.members.find(wave.root).and_then(|row| cx.members.get(row));
    member.is_some_and(|member| {
        member.incarnation > wave.incarnation || matches!(member.state, PeerState::Down | PeerState::Left)
    })
}

/// Whether the root of a wave is linked with this node, and does not answer it.
fn is_mute(cx: &Cx<'_>, wave: &Wave) -> bool {
    cx.peers.find(wave.root).and_then(|peer| cx.peers.get(peer)).is_some_and(|link| link.suspected)
}
