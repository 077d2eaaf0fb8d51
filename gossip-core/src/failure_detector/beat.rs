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
//! - Once a `beat_period` it is the turn of the link on which this node's promise runs out first. A beat goes there, unless
//!   something was sent there within the last period, which serves as well.
//! - A beat promises the next one after as many periods as the sender has links. A link that is made later waits for its
//!   turn, so the promises to the others hold.
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
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::time::{Instant, micros};
use crate::wire::Beat;

/// Beats from one spot check to the next (our choice: a tenth of the idle traffic; all members together check each one
/// about once in this time).
pub(super) const SPOT: u32 = 24;

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
    /// From turn to turn of this node, as it promised.
    promised: Duration,
    /// The last turn.
    served: Instant,
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
        promised: Duration::ZERO,
        served: Instant::ZERO,
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
    count: u32,
    /// Deaths since the last spot check.
    deaths: u32,
    spots: u32,
}

impl Rhythm {
    /// `phase` spreads the spot checks of nodes that were started together.
    pub(super) const fn new(phase: u32) -> Self {
        Self { next_at: Instant::NEVER, count: phase % SPOT, deaths: 0, spots: 0 }
    }

    pub(super) const fn on_death(&mut self) {
        self.deaths += 1;
        if self.deaths == DEATHS {
            self.spots = SPOTS_MORE;
        }
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
            promised: period * (cx.peers.len() as u32 + 1),
            served: cx.now,
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

    /// The next turn.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        let period = self.beat_period;
        self.rhythm.next_at = if cx.peers.len() == 0 { Instant::NEVER } else { cx.now + period };
        let links = &mut self.links;
        let turn = |(peer, _): &(PeerIdx, Instant)| links[peer.row()].served + links[peer.row()].promised;
        let next = cx.peers.iter().map(|(peer, link)| (peer, link.sent)).min_by_key(turn);
        if let Some((peer, sent)) = next {
            let link = &mut links[peer.row()];
            link.served = cx.now;
            let promise_holds = link.promised == period * cx.peers.len() as u32;
            if !promise_holds || cx.now.saturating_since(sent) >= period {
                link.beat_owed = true;
                cx.peers.mark(peer, Due::Detector);
            }
        }
        if self.rhythm.step() {
            self.spot_check(cx);
        }
    }

    /// What is written when a beat is composed.
    pub(super) fn promise(&mut self, cx: &Cx<'_>, to: PeerIdx) -> Beat {
        let link = &mut self.links[to.row()];
        link.promised = self.beat_period * cx.peers.len() as u32;
        let next_ms = u32::try_from(link.promised.as_millis()).unwrap_or(PATIENCE_MAX) + 1;
        Beat { next_ms, tables: tables(cx) }
    }

    /// True if the far end knows what this node knows.
    pub(crate) fn on_beat(&mut self, cx: &Cx<'_>, from: PeerIdx, beat: Beat) -> bool {
        let link = &mut self.links[from.row()];
        link.patience = Duration::from_millis(beat.next_ms.clamp(1, PATIENCE_MAX).into());
        link.expects = cx.now + link.patience;
        self.await_beat(cx, from);
        let same = beat.tables == tables(cx);
        if !same {
            self.differing.set(from.row());
        }
        same
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

/// The fingerprint of everything that links compare.
fn tables(cx: &Cx<'_>) -> u64 {
    cx.origins.root().wrapping_add(cx.members.root())
}

#[cfg(test)]
mod tests {
    use super::*;

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
