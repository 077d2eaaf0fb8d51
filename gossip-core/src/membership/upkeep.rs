//! Enough links.
//!
//! Whom to greet next: somebody who is known to have room, or else a member drawn by chance; and the contact or neighbor whose
//! link has ended. A link in doubt counts as none, so that its replacement is there before the verdict. Who does not answer for
//! long is unreachable.

use core::net::SocketAddr;
use core::time::Duration;

use super::Membership;
use super::attempts::{Attempt, Purpose};
use super::sampling::Descriptor;
use crate::ids::NodeId;
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::PeerEntry;

/// Greetings under way at once to get more links (HyParView's implementations do one; three save round trips, and at 80 %
/// dead the first living one is found in a third of the time: ARCHITECTURE.md, "What was measured").
const PARALLEL: usize = 3;

/// Who lacks a single link waits for so many beat periods: a node that comes back finds its old places free, and who was
/// spliced apart for a newcomer is about to get a link from it (our choice: 4 s in `lan`).
const PATIENCE: u32 = 5;

/// Who hears nobody asks the links that it has for so many probe timeouts before it looks for others: so long the detector
/// takes silence for a pause.
const REST: u32 = 4;

impl Membership {
    /// How many links are wanted beyond those that are there and not in doubt.
    pub(super) fn missing(&self, cx: &Cx<'_>) -> usize {
        self.wanted.saturating_sub(if self.deaf { 0 } else { cx.peers.sound() })
    }

    /// This node hears nobody. If it is not only at rest, it looks for others.
    pub(super) fn on_deaf(&mut self, cx: &Cx<'_>) {
        self.deaf = true;
        self.isolation.begin(cx.now);
        if !self.is_static() {
            self.refill_at = self.refill_at.min(cx.now + self.attempts.pace().answer * REST);
        }
    }

    /// Looks for more links as soon as it is right to.
    pub(super) fn plan_refill(&mut self, cx: &Cx<'_>) {
        let pause = match self.missing(cx) {
            0 => return,
            _ if cx.peers.sound() == 0 => Duration::ZERO,
            1 => self.beat_period * PATIENCE,
            _ => self.refill_pause(),
        };
        self.refill_at = self.refill_at.min((cx.now + pause).max(self.introduced_until));
    }

    /// How soon to look for another link: at first after a fraction of the retry pause, but where everybody is full not
    /// more often than contacts are greeted.
    fn refill_pause(&self) -> Duration {
        let pace = self.attempts.pace();
        let pause = pace.retry_first / 8 * (1 << self.refusals.min(16));
        pause.min(pace.retry_cap)
    }

    /// Nobody answers there.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, row: u32) {
        let Some(attempt) = self.attempts.get(row).copied() else { return };
        self.attempts.remove(row);
        if let Some(node) = attempt.node.filter(|_| matches!(attempt.purpose, Purpose::Candidate | Purpose::Sound)) {
            cx.view.forget(node);
        }
        let member = attempt.node.and_then(|node| cx.members.find(node));
        if let Some(member) = member.filter(|_| attempt.purpose == Purpose::Candidate)
            && cx.members.get(member).is_some_and(|member| member.state == PeerState::Known)
        {
            cx.members.set_state(cx.now, member, PeerState::Unreachable);
            self.on_vanished(cx, member);
        }
        self.plan_refill(cx);
    }

    pub(super) fn refill(&mut self, cx: &Cx<'_>) {
        self.refill_at = Instant::NEVER;
        // Many neighbors dead at once are replaced as fast as can be. Who hears nobody for longer is not among the dead, but cut
        // off, and nobody will answer sooner if more are asked.
        let isolated = self.isolation.is_on();
        let pursued = |attempt: &Attempt| attempt.purpose == Purpose::Candidate && (isolated || attempt.is_fresh());
        let under_way = self.attempts.count(pursued);
        let missing = self.missing(cx);
        if missing == 0 || self.closed || self.is_static() {
            return;
        }
        if self.deaf && self.is_sampled {
            self.soundings.begin_sweep(cx.now, cx.view.len());
        }
        let more = missing.saturating_sub(under_way).min(PARALLEL.saturating_sub(under_way));
        let pace = self.attempts.pace();
        let mut pause = pace.answer;
        for _ in 0..more {
            let Some((node, address)) = self.draw_candidate(cx) else {
                pause = pace.retry_first;
                break;
            };
            self.attempts.add(address, Some(node), Purpose::Candidate, cx.now);
        }
        let pause = self.refill_pause().max(pause);
        self.refill_at = cx.now + self.rng.jitter(pause, 20);
    }

    /// Somebody without a link who is taken for alive, drawn by chance, and is not greeted at present.
    pub(super) fn draw_candidate(&mut self, cx: &Cx<'_>) -> Option<(NodeId, SocketAddr)> {
        if self.is_sampled {
            let (attempts, peers) = (&self.attempts, &cx.peers);
            let fits = |known: &Descriptor| {
                peers.find(known.node).is_none() && attempts.find(|attempt| attempt.node == Some(known.node)).is_none()
            };
            return cx.view.draw(&mut self.rng, fits).map(|candidate| (candidate.node, candidate.address));
        }
        let row = self.draw_member(cx, |state| state == PeerState::Known)?;
        cx.members.get(row).and_then(|member| Some((member.node, member.address?)))
    }

    /// Somebody has lost a link just now, and has room.
    pub(super) fn greet_vacant(&mut self, cx: &mut Cx<'_>, entry: &PeerEntry) {
        let known = entry.id == cx.me.node
            || cx.peers.find(entry.id).is_some()
            || self.attempts.find(|attempt| attempt.node == Some(entry.id)).is_some();
        if known || self.closed || self.is_static() || self.missing(cx) == 0 {
            return;
        }
        self.learn_member(cx, entry);
        self.attempts.add(entry.address.0, Some(entry.id), Purpose::Candidate, cx.now);
    }

    /// A link has ended: its contact or neighbor is greeted again, and if it was the last one, all contacts are.
    pub(super) fn on_link_down(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let Some(link) = cx.peers.get_mut(peer) else { return };
        // The row is there for the last time, and counts no more.
        link.suspected = true;
        let node = link.node;
        let lonely = cx.peers.len() <= 1;
        if lonely && !self.closed {
            self.isolation.begin(cx.now);
        }
        let again = cx.now + self.attempts.pace().retry_first;
        for row in 0..self.attempts.capacity() {
            if self.attempts.get(row).is_some_and(|attempt| !attempt.owed && (attempt.node == Some(node) || lonely)) {
                self.attempts.rest(row, again);
            }
        }
        self.walks.end_link(peer);
        self.plan_refill(cx);
        if let Some((_, entry)) = self.vacancy.take_if(|(from, _)| *from == node) {
            self.greet_vacant(cx, &entry);
        }
    }
}
