//! Signs of life: sending them evenly, and noticing that one is missing.
//!
//! # Intuition
//!
//! A night watchman who walks past one door after the other and knocks, without waiting for an answer. Whoever lives there
//! knows when the next knock is due, because the last one said so. As the knocks are evenly spaced, somebody misses the
//! watchman within one step of his walk, however many doors there are.
//!
//! # Rules
//!
//! - Once a `beat_period` it is the turn of one link, and of no two: each holds the number of a beat to come. A beat goes
//!   there, unless the next turn is as far away as this one was, and something was sent there within the last period,
//!   which serves as well.
//! - A beat promises the next one on the first turn that no other link holds: after as many periods as the sender has links,
//!   where none came or went. The turn of a link that has ended goes to the next one that is served, so that somebody
//!   waits for every step of the walk again one step later; a new link gets the turn behind all others. (With promises
//!   counted from when each link was made, every link that came or went left steps that nobody waited for: in the
//!   simulator the first suspicion came 0.2 s later after a death, which makes many links.)
//! - Any datagram that is found genuine counts, but not for longer than a beat would: what comes in the period before the
//!   promised time stands for the beat, and what comes earlier does not postpone it. Otherwise a message to all
//!   links would put off all turns at once, and nobody would miss the sender for a whole round.
//! - A link is late when neither came within the time of an answer.
//! - Every [`SPOT`] beats a member is probed that was drawn by chance, linked or not: for its round-trip time, and because a
//!   member that died together with all its neighbors is missed by nobody. After three deaths in a row four more
//!   follow soon.

use core::time::Duration;

use super::burst::Burst;
use super::loss::{Incoming, probes};
use super::rtt::Rtt;
use super::{FailureDetector, Scope};
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Table};
use crate::time::{Instant, micros};
use crate::wire::Beat;

/// Beats from one spot check to the next (our choice: a sixteenth of the idle traffic; all members together check each one
/// about once in this time).
pub(super) const SPOT: u32 = 30;

/// So many deaths within [`SPOT`] beats call for as many additional spot checks as [`SPOTS_MORE`].
const DEATHS: u32 = 3;
const SPOTS_MORE: u32 = 4;

/// The longest promise that is believed.
const PATIENCE_MAX: u32 = 3_600_000;

/// What the detector knows of one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// From turn to turn of the far end, as it promised.
    patience: Duration,
    /// When the next turn is.
    expects: Instant,
    /// The number of the beat that is the next turn of this node.
    turn: u64,
    /// How many beats it was from the last turn to this one; 0 where there was none.
    round: u64,
    pub(super) beat_owed: bool,
    /// A lone probe, for the round-trip time or because the node hears nobody.
    pub(super) poke: Burst,
    /// A probe to answer.
    pub(super) ack: Option<u32>,
    /// The far end is in doubt.
    pub(super) case: Option<u32>,
    /// How often in a row others heard it while this node did not.
    pub(super) vouched: u8,
    pub(super) rtt: Rtt,
    pub(super) incoming: Incoming,
}

impl Link {
    pub(super) const NONE: Self = Self {
        patience: Duration::ZERO,
        expects: Instant::NEVER,
        turn: 0,
        round: 0,
        beat_owed: false,
        poke: Burst::IDLE,
        ack: None,
        case: None,
        vouched: 0,
        rtt: Rtt::NONE,
        incoming: Incoming::NEW,
    };
}

/// When to beat next, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) next_at: Instant,
    /// The number of the last beat.
    beat: u64,
    /// Beats since the last spot check.
    count: u32,
    /// Deaths since the last spot check.
    deaths: u32,
    spots: u32,
}

impl Rhythm {
    /// `phase` spreads the spot checks of nodes that were started together.
    pub(super) const fn new(phase: u32) -> Self {
        Self { next_at: Instant::NEVER, beat: 0, count: phase % SPOT, deaths: 0, spots: 0 }
    }

    pub(super) const fn on_death(&mut self) {
        self.deaths += 1;
        if self.deaths == DEATHS {
            self.spots = SPOTS_MORE;
        }
    }

    /// When the beat of this number is.
    fn at(&self, beat: u64, period: Duration) -> Instant {
        let more = u32::try_from(beat.saturating_sub(self.beat + 1)).unwrap_or(PATIENCE_MAX);
        self.next_at + period * more
    }

    /// One more beat. True if it is time for a spot check.
    const fn step(&mut self) -> bool {
        self.count = (self.count + 1) % SPOT;
        if self.count == 0 {
            self.deaths = 0;
        }
        let more = self.spots > 0;
        self.spots = self.spots.saturating_sub(1);
        more || self.count == 0
    }
}

impl FailureDetector {
    pub(super) fn begin_link(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let period = self.beat_period;
        let known = self.links[peer.row()].rtt;
        // Until the first beat says more, the far end may have as many links as this node may.
        let patience = period * cx.peers.capacity() as u32;
        self.links[peer.row()] = Link {
            patience,
            expects: cx.now + patience,
            turn: self.free_turn(cx, peer),
            beat_owed: true,
            rtt: known,
            ..Link::NONE
        };
        if self.rhythm.next_at == Instant::NEVER {
            self.rhythm.next_at = cx.now + Duration::from_micros(self.rng.range_micros(0, micros(period)));
        }
        self.poke(cx, peer);
        self.await_beat(cx, peer);
    }

    /// The next turn: whose it is.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) -> Option<PeerIdx> {
        let period = self.beat_period;
        // A host that was late now and then keeps its promises all the same.
        let next_at = Some(self.rhythm.next_at + period).filter(|&at| at > cx.now).unwrap_or(cx.now + period);
        self.rhythm.next_at = if cx.peers.len() == 0 { Instant::NEVER } else { next_at };
        self.rhythm.beat += 1;
        let links = cx.peers.iter().map(|(peer, link)| (peer, link.sent));
        let next = links.min_by_key(|(peer, _)| self.links[peer.row()].turn);
        if let Some((peer, sent)) = next {
            let (beat, turn) = (self.rhythm.beat, self.free_turn(cx, peer));
            let link = &mut self.links[peer.row()];
            let round = turn - beat;
            // Of a single link every turn is the next beat, and what was sent last is the beat before.
            let as_promised = link.turn == beat && link.round == round && round > 1;
            (link.turn, link.round) = (turn, round);
            if !as_promised || cx.now.saturating_since(sent) >= period {
                link.beat_owed = true;
                cx.peers.mark(peer, Due::Detector);
            }
        }
        if self.rhythm.step() {
            self.spot_check(cx);
        }
        next.map(|(peer, _)| peer)
    }

    /// The number of the next beat that is the turn of no other link.
    fn free_turn(&self, cx: &Cx<'_>, of: PeerIdx) -> u64 {
        let is_taken = |turn| cx.peers.iter().any(|(peer, _)| peer != of && self.links[peer.row()].turn == turn);
        let first = self.rhythm.beat + 1;
        let last = first + cx.peers.len() as u64;
        (first..last).find(|&turn| !is_taken(turn)).unwrap_or(last)
    }

    /// What is written when a beat is composed.
    pub(super) fn promise(&self, cx: &Cx<'_>, to: PeerIdx) -> Beat {
        let at = self.rhythm.at(self.links[to.row()].turn, self.beat_period);
        let next_ms = u32::try_from(at.saturating_since(cx.now).as_millis()).unwrap_or(PATIENCE_MAX - 1) + 1;
        Beat { next_ms, tables: tables(cx) }
    }

    /// True if the far end has seen the messages that this node has.
    pub(crate) fn on_beat(&mut self, cx: &Cx<'_>, from: PeerIdx, beat: Beat) -> bool {
        let link = &mut self.links[from.row()];
        link.patience = Duration::from_millis(beat.next_ms.clamp(1, PATIENCE_MAX).into());
        link.expects = cx.now + link.patience;
        self.await_beat(cx, from);
        let differing = beat.tables ^ tables(cx);
        let (messages, registers) = (differing >> 32 != 0, differing << 32 != 0);
        for (table, differs) in [(Table::Messages, messages), (Table::Registers, registers)] {
            if differs {
                self.differing[table as usize].set(from.row());
            }
        }
        !messages
    }

    /// Panics where a beat is the turn of two links.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_turns(&self, peers: &Peers) {
        let turn = |peer: PeerIdx| self.links[peer.row()].turn;
        for (peer, _) in peers.iter() {
            let same = peers.iter().filter(|&(other, _)| turn(other) == turn(peer));
            assert_eq!(same.count(), 1, "beat {} is the turn of two links", turn(peer));
        }
    }

    /// Sets the timer of a link that is not in doubt, for its next turn.
    pub(super) fn await_beat(&mut self, cx: &Cx<'_>, peer: PeerIdx) {
        let link = &mut self.links[peer.row()];
        if link.expects + link.rtt.timeout(self.timeout) <= cx.now {
            let missed = micros(cx.now.saturating_since(link.expects)) / micros(link.patience).max(1);
            link.expects = link.expects + link.patience * (u32::try_from(missed).unwrap_or(PATIENCE_MAX) + 1);
        }
        let at = link.expects + link.rtt.timeout(self.timeout);
        self.late.set(peer.row(), if link.case.is_none() { at } else { Instant::NEVER });
    }

    /// A turn is over.
    pub(super) fn on_late(&mut self, cx: &mut Cx<'_>, row: usize) {
        self.late.set(row, Instant::NEVER);
        let Some(peer) = cx.peers.at(row) else { return };
        let heard = cx.peers.get(peer).map_or(cx.now, |peer| peer.heard);
        if heard + self.beat_period >= self.links[row].expects {
            self.await_beat(cx, peer);
        } else if self.deafness.is_on() {
            self.late.set(row, cx.now + self.timeout);
        } else {
            self.doubt_link(cx, peer);
        }
    }

    /// Sends one probe, whose answer is worth its round-trip time.
    pub(super) fn poke(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        self.links[peer.row()].poke = Burst::begin(self.next_number(), 1);
        cx.peers.mark(peer, Due::Detector);
    }

    /// Probes somebody drawn by chance.
    fn spot_check(&mut self, cx: &mut Cx<'_>) {
        if self.scope == Scope::Neighbors {
            if let Some(peer) = cx.peers.after(self.rng.below(cx.peers.capacity() as u32) as usize) {
                self.poke(cx, peer);
            }
            return;
        }
        let me = cx.me.node;
        let drawn =
            cx.members.draw(&mut self.rng, |member| member.node != me && !member.is_gone() && member.address.is_some());
        let Some(member) = drawn.and_then(|row| cx.members.get(row)) else { return };
        match cx.peers.find(member.node) {
            Some(peer) => self.poke(cx, peer),
            None => self.doubt_member(cx, member.node),
        }
    }

    /// How many probes it takes to be sure about a link, or about a node without one.
    pub(super) fn probes(&self, link: Option<PeerIdx>) -> u8 {
        let all = self.incoming.per_1024();
        let here = link.map_or(0, |peer| self.links[peer.row()].incoming.lost.per_1024());
        probes(all.max(here), self.failing.per_1024())
    }
}

/// The fingerprints of what links compare: 32 bits of each table, messages in the upper half. Which of them differs is told, as
/// one does at all times while messages are under way.
fn tables(cx: &Cx<'_>) -> u64 {
    cx.origins.root() << 32 | cx.members.root() & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_as_many_periods_away_as_beats_come_before_it() {
        let period = Duration::from_secs(1);
        let rhythm = Rhythm { next_at: Instant::from_millis(500), beat: 7, ..Rhythm::new(0) };
        assert_eq!([7, 8, 9, 17].map(|beat| rhythm.at(beat, period).as_micros() / 1_000), [500, 500, 1_500, 9_500]);
    }

    #[test]
    fn spot_checks_come_in_turn_and_more_of_them_after_many_deaths() {
        let mut rhythm = Rhythm::new(3);
        let spots = |rhythm: &mut Rhythm| (0..SPOT).filter(|_| rhythm.step()).count() as u32;
        assert_eq!(spots(&mut rhythm), 1);
        (1..DEATHS).for_each(|_| rhythm.on_death());
        assert_eq!(spots(&mut rhythm), 1);
        (0..DEATHS + 2).for_each(|_| rhythm.on_death());
        assert_eq!(spots(&mut rhythm), 1 + SPOTS_MORE);
        assert_eq!(spots(&mut rhythm), 1);
    }
}
