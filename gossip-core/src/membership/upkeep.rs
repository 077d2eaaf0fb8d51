//! Enough links, and none to the dead.
//!
//! Whom to greet next: a member drawn by chance where links are wanted, one taken for dead now and then, and the contact
//! or neighbor whose link has ended. Who does not answer for long is taken for dead.

use super::Membership;
use super::attempts::{Attempt, Purpose};
use crate::members::Member;
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::view::PeerState;

/// Greetings under way at once to get more links (HyParView's implementations do one; three save round trips).
const PARALLEL: usize = 3;

/// How many nodes of a component, on average, ask a member taken for dead for a link in each round (our choice, from
/// simulations: one already heals, four make it likely in the first round).
const HEALERS: u32 = 4;

impl Membership {
    /// Nobody answers there.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, row: u32) {
        let node = self.attempts.get(row).and_then(|attempt| attempt.node);
        self.attempts.remove(row);
        self.refill_at = self.refill_at.min(cx.now + self.refill_pause());
        let member = node.and_then(|node| cx.members.find(node));
        if let Some(member) = member
            && cx.members.get(member).is_some_and(|member| member.state == PeerState::Known)
        {
            cx.members.set_state(cx.now, member, PeerState::Down);
            self.heal_at = self.heal_at.min(cx.now + self.heal_period);
        }
    }

    pub(super) fn refill(&mut self, cx: &mut Cx<'_>) {
        self.refill_at = Instant::NEVER;
        let under_way = self.attempts.count(|attempt| attempt.purpose == Purpose::Candidate);
        if cx.peers.len() + under_way >= self.wanted || self.closed {
            return;
        }
        for _ in under_way..PARALLEL {
            if !self.greet_member(cx, Purpose::Candidate, PeerState::Known) {
                break;
            }
        }
        let pause = self.refill_pause().max(self.attempts.retry_first());
        self.refill_at = cx.now + self.rng.jitter(pause, 20);
    }

    pub(super) fn heal(&mut self, cx: &mut Cx<'_>) {
        self.heal_at = Instant::NEVER;
        if self.closed || cx.members.alive() as usize == cx.members.len() {
            return;
        }
        let under_way = |attempt: &Attempt| matches!(attempt.purpose, Purpose::Check | Purpose::Heal);
        if self.neighbors.is_none() && self.attempts.count(under_way) < PARALLEL {
            // Four a round from the whole component, whatever its size, ask for a link.
            let heals = self.rng.below(cx.members.alive()) < HEALERS;
            self.greet_member(cx, if heals { Purpose::Heal } else { Purpose::Check }, PeerState::Down);
        }
        self.heal_at = cx.now + self.rng.jitter(self.heal_period, 50);
    }

    /// Starts to greet a member in this state, drawn by chance. False where there is none.
    fn greet_member(&mut self, cx: &mut Cx<'_>, purpose: Purpose, state: PeerState) -> bool {
        let attempts = &self.attempts;
        // A contact may name an address that the member has left long ago.
        let greeted = |member: &Member| {
            attempts.find(|attempt| attempt.node == Some(member.node) && Some(attempt.address) == member.address)
        };
        let fits = |member: &Member| member.state == state && member.address.is_some() && greeted(member).is_none();
        let Some(member) = cx.members.draw(&mut self.rng, fits).and_then(|row| cx.members.get(row)) else {
            return false;
        };
        let Some(address) = member.address else { return false };
        self.attempts.add(address, Some(member.node), purpose, cx.now)
    }

    /// A link has ended: its contact or neighbor is greeted again, and if it was the last one, all contacts are.
    pub(super) fn on_link_down(&mut self, cx: &Cx<'_>, peer: PeerIdx) {
        let node = cx.peers.get(peer).map(|peer| peer.node);
        let lonely = cx.peers.len() <= 1;
        let again = cx.now + self.attempts.retry_first();
        for row in 0..self.attempts.capacity() {
            let fits = |attempt: &Attempt| attempt.node == node || lonely;
            if !self.attempts.is_owed(row) && self.attempts.get(row).is_some_and(fits) {
                self.attempts.rest(row, again);
            }
        }
        self.refill_at = self.refill_at.min(cx.now);
        self.heal_at = self.heal_at.min(cx.now + self.rng.jitter(self.heal_period, 50));
    }
}
