//! What was split grows together again.
//!
//! # Intuition
//!
//! A lighthouse keeper's crew. Boats that have vanished are remembered for ever, and about twice a second *somebody* of
//! the crew calls out to one of them, whatever the size of the crew: everybody throws a die with as many faces as there are
//! people, and who throws a one calls. So a million cost no more than ten, and still hardly a moment passes
//! without a call. A die, and no roster: after a split all rosters would begin at the same time, everybody would call at
//! once, and then nobody for minutes (measured in a prototype: a fixed period left 1,000 nodes apart for over a minute).
//!
//! # Rules
//!
//! - In each round (half a beat period) a node has its turn with probability 1/n, `n` the members that it takes
//!   for alive. The number of rounds until then is drawn at once.
//! - Whose turn it is greets one address, once: a contact that is no living member (one time in four), or a member taken for
//!   dead, or one of the [`Lost`]. Of two members drawn, the one that died later: a group that vanished
//!   together is worth more than a single old death.
//! - An answer makes a link for which both ends make room ([`Hello::ROOM`](crate::wire::Hello::ROOM)). What else the
//!   two sides have to tell each other runs over it.
//! - A member that comes back is asked for such a link with probability 2/n, so that about two do for each that comes
//!   back: the two graphs are mixed, not only bridged.
//! - Whom a node cannot reach while it is no death for all concerns this node alone, so it calls by itself, one such member
//!   every second beat period.
//!
//! # Bound
//!
//! Two sides that can reach each other again, with a share `h` of living nodes among the remembered ones of the side that
//! remembers better and a loss of `p` per datagram, have their first bridge after `1 / (4 h (1 − p)²)` beat periods in
//! the mean while both probe. It is longer than `8 / (4 h (1 − p)²)` of them in one case of 3,000 (the project's own
//! simulations: detection, §4.5). In `lan`, without loss and old deaths: 0.2 s in the mean, below 1.6 s
//! always but once in 3,000; to this come two round trips for the link and a dissemination for the news.

use core::net::SocketAddr;
use core::time::Duration;

use super::Membership;
use super::attempts::{Attempt, Attempts, Purpose};
use crate::ids::NodeId;
use crate::members::{Member, Row};
use crate::protocol::Cx;
use crate::rng::Rng;
use crate::storage::Slots;
use crate::time::Instant;
use crate::view::PeerState;

/// Nodes remembered beyond the table of members (16 entries at 28 bytes were enough for every split that was simulated;
/// our choice).
const LOST_MAX: usize = 16;

/// Rounds that are drawn at once at most. After these without a turn the draw begins anew, which changes no odds.
const ROUNDS_MAX: u32 = 64;

/// Rounds between two calls of a node to those that it alone cannot reach (our choice: each costs one datagram).
const OWN_ROUNDS: u32 = 4;

/// With sampled membership the odds are not below one in so many: a turn in ten seconds, in `lan` (the project's own
/// simulations: detection, §3).
const SAMPLED_FACES_MAX: u32 = 25;

/// One time in so many it is a contact's turn (our choice: the user knew why to name it).
const CONTACTS_ONE_IN: u32 = 4;

/// Links asked for, in the mean, of each member that comes back.
const MIXING: u32 = 2;

/// A node that answered once, and then did not.
#[derive(Clone, Copy, Debug)]
struct Vanished {
    node: NodeId,
    address: SocketAddr,
}

/// Nodes that vanished, remembered for ever: when all places are taken, a new one replaces one drawn by chance.
#[derive(Clone, Debug)]
pub(super) struct Lost(Slots<Vanished>);

impl Lost {
    pub(super) fn new() -> Self {
        Self(Slots::new(LOST_MAX))
    }

    pub(super) const fn heap_bytes() -> usize {
        Slots::<Vanished>::heap_bytes(LOST_MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    pub(super) fn remember(&mut self, rng: &mut Rng, node: NodeId, address: SocketAddr) {
        self.forget(node);
        if self.0.is_full() {
            self.0.remove(rng.below(LOST_MAX as u32));
        }
        let _always_fits = self.0.insert(Vanished { node, address });
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        let row = self.0.iter().find(|(_, vanished)| vanished.node == node).map(|(row, _)| row);
        if let Some(row) = row {
            self.0.remove(row);
        }
    }

    fn draw(&self, rng: &mut Rng) -> Option<Vanished> {
        let place = rng.below(self.0.iter().count() as u32) as usize;
        self.0.iter().nth(place).map(|(_, vanished)| *vanished)
    }
}

/// When it is this node's turn.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    round: Duration,
    at: Instant,
    /// At `at` it is really the turn, and not just the end of a long draw.
    drawn: bool,
    /// How many were alive when it was drawn.
    alive: u32,
}

impl Turns {
    pub(super) fn new(beat_period: Duration) -> Self {
        Self { round: beat_period / 2, at: Instant::NEVER, drawn: false, alive: 0 }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.at
    }

    pub(super) const fn stop(&mut self) {
        self.at = Instant::NEVER;
    }

    /// Whether the turn is drawn already, with odds that still hold by and large.
    const fn is_planned(&self, alive: u32) -> bool {
        self.at.as_micros() != Instant::NEVER.as_micros() && alive >= self.alive / 2
    }

    /// Looks again after so many rounds at the latest. A later turn is then drawn anew, which changes no odds.
    fn hurry(&mut self, now: Instant, rounds: u32) {
        let latest = now + self.round * (rounds + 1);
        if self.at != Instant::NEVER && self.at > latest {
            (self.at, self.drawn) = (latest, false);
        }
    }

    /// Draws when the next turn is, with odds of one in `alive` in each round.
    fn plan(&mut self, now: Instant, rng: &mut Rng, alive: u32, rounds_max: u32) {
        let rounds = (1..=rounds_max).find(|_| rng.below(alive) == 0);
        (self.drawn, self.alive) = (rounds.is_some(), alive);
        // Anywhere within the round, so that no two nodes keep step.
        let early = rng.range_micros(0, crate::time::micros(self.round));
        self.at = now + (self.round * (rounds.unwrap_or(rounds_max) + 1) - Duration::from_micros(early));
    }
}

impl Membership {
    /// Somebody may have to be called back: draws when it is this node's turn.
    pub(super) fn plan_healing(&mut self, cx: &Cx<'_>) {
        let alive = self.faces(cx);
        if self.closed || self.is_static() || !self.misses_somebody(cx) {
            self.turns.stop();
            return;
        }
        let unreachable = cx.members.standing() > cx.members.alive();
        let rounds_max = if unreachable { OWN_ROUNDS } else { ROUNDS_MAX };
        if self.turns.is_planned(alive) {
            self.turns.hurry(cx.now, rounds_max);
        } else {
            self.turns.plan(cx.now, &mut self.rng, alive, rounds_max);
        }
    }

    /// The faces of the die: how many nodes there are. With sampled membership nobody knows, but from some dozens on it does not
    /// matter: enough calls come together from all if each node calls every ten seconds.
    fn faces(&self, cx: &Cx<'_>) -> u32 {
        if self.is_sampled {
            SAMPLED_FACES_MAX.min((cx.view.len() + cx.peers.len()) as u32 + 1)
        } else {
            cx.members.alive()
        }
    }

    fn misses_somebody(&self, cx: &Cx<'_>) -> bool {
        (cx.members.alive() as usize) < cx.members.len() || !self.lost.is_empty() || self.resting_contact(cx).is_some()
    }

    pub(super) fn heal(&mut self, cx: &mut Cx<'_>) {
        if self.turns.drawn {
            let contact_first = self.rng.below(CONTACTS_ONE_IN) == 0;
            let _anybody = contact_first && self.call_contact(cx)
                || self.call_dead(cx)
                || self.call_lost(cx)
                || self.call_contact(cx);
        } else {
            self.call_unreachable(cx);
        }
        self.turns.stop();
        self.plan_healing(cx);
    }

    fn call_contact(&mut self, cx: &Cx<'_>) -> bool {
        let row = self.resting_contact(cx);
        if let Some(row) = row {
            self.attempts.rouse(row, cx.now);
        }
        row.is_some()
    }

    /// A contact that is no living member, and is not greeted anyway. With sampled membership nobody knows whether it is
    /// one, and all may have the same: it is called by whom something has happened to.
    fn resting_contact(&self, cx: &Cx<'_>) -> Option<u32> {
        if self.is_sampled && self.lost.is_empty() && self.missing(cx) <= 1 {
            return None;
        }
        let contacts = self.attempts.iter().filter(|(_, attempt)| attempt.purpose == Purpose::Contact);
        let missing = contacts
            .filter(|(row, attempt)| !attempt.node.is_some_and(|node| lives(cx, node)) && self.attempts.rests(*row));
        missing.min_by_key(|(_, attempt)| attempt.sent_at).map(|(row, _)| row)
    }

    fn call_dead(&mut self, cx: &Cx<'_>) -> bool {
        let draws = [self.draw_silent(cx), self.draw_silent(cx)];
        let since = |row: &Row| cx.members.get(*row).map(|member| member.since);
        let latest = draws.into_iter().flatten().max_by_key(since);
        latest.is_some_and(|row| self.call_member(cx, row, Purpose::Heal))
    }

    fn draw_silent(&mut self, cx: &Cx<'_>) -> Option<Row> {
        let attempts = &self.attempts;
        cx.members.draw_silent(&mut self.rng, |member| can_be_called(attempts, cx, member))
    }

    fn call_unreachable(&mut self, cx: &Cx<'_>) -> bool {
        let attempts = &self.attempts;
        let drawn = cx.members.draw_unreachable(&mut self.rng, |member| can_be_called(attempts, cx, member));
        drawn.is_some_and(|row| self.call_member(cx, row, Purpose::Check))
    }

    /// A member in such a state, drawn by chance, who is not greeted at present.
    pub(super) fn draw_member(&mut self, cx: &Cx<'_>, wanted: impl Fn(PeerState) -> bool) -> Option<Row> {
        let attempts = &self.attempts;
        cx.members.draw(&mut self.rng, |member| wanted(member.state) && can_be_called(attempts, cx, member))
    }

    fn call_member(&mut self, cx: &Cx<'_>, row: Row, purpose: Purpose) -> bool {
        let address = cx.members.get(row).and_then(|member| Some((member.node, member.address?)));
        address.is_some_and(|(node, address)| self.attempts.add(address, Some(node), purpose, cx.now))
    }

    fn call_lost(&mut self, cx: &Cx<'_>) -> bool {
        let drawn = self.lost.draw(&mut self.rng);
        // It has been heard of meanwhile, and not by this sub-protocol.
        if let Some(vanished) = drawn.filter(|vanished| lives(cx, vanished.node)) {
            self.lost.forget(vanished.node);
            return false;
        }
        drawn.is_some_and(|Vanished { node, address }| {
            // It may have moved since.
            let told = cx.members.find(node).and_then(|row| cx.members.get(row)?.address);
            self.attempts.add(told.unwrap_or(address), Some(node), Purpose::Heal, cx.now)
        })
    }

    /// A member is dead, or does not answer this node: it is remembered, unless it has left.
    pub(crate) fn on_vanished(&mut self, cx: &Cx<'_>, row: Row) {
        if let Some(member) = cx.members.get(row) {
            if cx.peers.find(member.node).is_some() {
                self.soundings.on_loss();
            }
            match member.address {
                Some(address) if member.state != PeerState::Left => {
                    self.lost.remember(&mut self.rng, member.node, address);
                }
                _ => self.lost.forget(member.node),
            }
        }
        self.plan_healing(cx);
    }

    /// This node was deaf, and hears again: whoever it did not reach meanwhile may live.
    pub(super) fn doubt_own_verdicts(&mut self, cx: &mut Cx<'_>) {
        for row in 0..cx.members.capacity() {
            if let Some(member) = cx.members.get(row).filter(|member| member.state == PeerState::Unreachable) {
                self.lost.forget(member.node);
                cx.members.set_state(cx.now, row, PeerState::Known);
            }
        }
    }

    /// A member lives after all.
    pub(super) fn on_revived(&mut self, cx: &Cx<'_>, row: Row) {
        let Some(member) = cx.members.get(row) else { return };
        self.lost.forget(member.node);
        let mixes = self.rng.below(self.faces(cx)) < MIXING && !self.closed && !self.is_static();
        if mixes && cx.peers.find(member.node).is_none() && member.node != cx.me.node {
            self.call_member(cx, row, Purpose::Heal);
        }
    }
}

/// Whether it is known where a member lives, and it is not greeted at present.
fn can_be_called(attempts: &Attempts, cx: &Cx<'_>, member: &Member) -> bool {
    // A contact may name an address that the member has left long ago.
    let there = |attempt: &Attempt| attempt.node == Some(member.node) && Some(attempt.address) == member.address;
    member.address.is_some() && member.node != cx.me.node && attempts.find(there).is_none()
}

/// Whether a node is a member that is taken for alive.
fn lives(cx: &Cx<'_>, node: NodeId) -> bool {
    let member = cx.members.find(node).and_then(|row| cx.members.get(row));
    member.is_some_and(|member| matches!(member.state, PeerState::Known | PeerState::Linked))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the size of a component, about two of its nodes have their turn in each beat period.
    #[test]
    fn the_rate_is_the_components() {
        for alive in [1_u32, 3, 10, 100, 1_000] {
            let mut rng = Rng::new(&[7; 32], alive);
            let seconds = 200;
            let turns: u32 = (0..alive)
                .map(|_| {
                    let mut turns = Turns::new(Duration::from_secs(1));
                    let mut count = 0;
                    turns.plan(Instant::ZERO, &mut rng, alive, ROUNDS_MAX);
                    while turns.at <= Instant::from_micros(seconds * 1_000_000) {
                        count += u32::from(turns.drawn);
                        turns.plan(turns.at, &mut rng, alive, ROUNDS_MAX);
                    }
                    count
                })
                .sum();
            let rate = f64::from(turns) / seconds as f64;
            assert!((1.0..=3.0).contains(&rate), "{alive} nodes: {rate} in a period");
        }
    }

    /// Whoever waits for the turn of a large component does not keep those waiting that it alone cannot reach.
    #[test]
    fn a_far_turn_is_no_reason_to_wait() {
        let (mut turns, mut rng) = (Turns::new(Duration::from_secs(1)), Rng::new(&[7; 32], 0));
        turns.plan(Instant::ZERO, &mut rng, 1_000_000, ROUNDS_MAX);
        turns.hurry(Instant::ZERO, OWN_ROUNDS);
        assert_eq!((turns.at, turns.drawn), (Instant::from_millis(2_500), false));
        turns.plan(Instant::ZERO, &mut rng, 1, ROUNDS_MAX);
        let soon = turns.at;
        turns.hurry(Instant::ZERO, OWN_ROUNDS);
        assert_eq!((turns.at, turns.drawn), (soon, true), "a turn that comes soon stays");
        turns.stop();
        turns.hurry(Instant::ZERO, OWN_ROUNDS);
        assert_eq!(turns.at, Instant::NEVER);
    }

    #[test]
    fn the_lost_are_replaced_by_chance_and_forgotten_when_they_are_back() {
        let mut rng = Rng::new(&[1; 32], 0);
        let mut lost = Lost::new();
        let address = |node: u64| SocketAddr::from(([10, 0, 0, 1], node as u16));
        for node in 1..=100 {
            lost.remember(&mut rng, NodeId(node), address(node));
        }
        let kept: std::vec::Vec<u64> = lost.0.iter().map(|(_, vanished)| vanished.node.0).collect();
        assert_eq!(kept.len(), LOST_MAX);
        assert!(kept.iter().any(|&node| node <= 84), "not only the last ones are kept: {kept:?}");
        for &node in &kept {
            lost.forget(NodeId(node));
        }
        assert!(lost.is_empty() && lost.draw(&mut rng).is_none());
    }
}
