//! Half of the links are with those who are near.
//!
//! # Intuition
//!
//! Now and then one calls out to some member and listens how long the echo takes. Whoever is clearly nearer than the
//! neighbors that one has is asked to become one. As every call goes to somebody else, after some forty of them the near half of
//! the neighbors is near indeed, and then calls become rare. The other half stays as chance drew it: near ones
//! alone would fall apart into villages.
//!
//! # The call
//!
//! A greeting without a cookie (`Hello`): its answer (`Retry`) needs no state at the far end, and comes whether there is
//! room or not. If it shows that the member is near, the greeting just goes on with the cookie, and asks for a link
//! with [`Hello::NEAR`](crate::wire::Hello::NEAR) and the measured time; the far end decides by it as this node does
//! ([`giving_way`](super::giving_way)). Whoever has to give way on this side is told who had to on the other one
//! (`Vacancy`), so the two may link with each other: the exchange of four nodes of X-BOT (Leitao et al. 2010, §3) without its
//! messages.
//!
//! # The sweep
//!
//! With sampled membership, when two links at once are in doubt, many nodes may have died together. Then the whole view is called
//! out to once, the entry not heard of for longest first: the dead go from it, and who has no links any more is
//! found. So it does when it hears nobody. Who answers while several links are lacking is asked for one at once.
//! If several are lacking even then, the neighbors' neighbors are asked ([`walks`](super::walks)). (In a model nobody of 2,000
//! survivors of 10,000 stays outside so: ARCHITECTURE.md, "What was measured".)
//!
//! # Price
//!
//! [`EAGER`] calls, one a beat period, when a node comes, [`EAGER_PER_LOSS`] for each neighbor that dies (at most [`EAGER`] in
//! all; with full membership everybody hears of every death, which is no reason for everybody to call), then one each
//! [`SELDOM`] beat periods. A call is two datagrams of about 100 bytes with headers, and a new link now and then: 3 bytes a
//! second in `lan`.
//!
//! # Source
//!
//! Our choice, from a model (ARCHITECTURE.md, "What was measured"): with five of ten links the fastest of about 40 candidates,
//! all latencies of a broadcast shrink by a quarter at the same number of hops.

use core::time::Duration;

use super::Membership;
use super::attempts::Purpose;
use super::giving_way::{Applicant, Place};
use crate::ids::NodeId;
use crate::protocol::Cx;
use crate::rng::Rng;
use crate::time::Instant;

/// Calls of a node that has just come.
const EAGER: u8 = 40;

/// Calls for each neighbor that died (our choice). Not for links given up to others: such a call may make others give up links.
const EAGER_PER_LOSS: u8 = 4;

/// Beat periods between two calls when all is calm (our choice).
const SELDOM: u32 = 120;

/// Between two calls of a sweep, in hundredths of a probe timeout (60 ms in `lan`, as simulated).
const SWEEP_PERCENT: u32 = 40;

/// When to call out.
#[derive(Clone, Debug)]
pub(super) struct Soundings {
    period: Duration,
    sweep_period: Duration,
    /// Calls that a sweep has still to make.
    sweep: usize,
    /// When the last sweep began; another one begins ten beat periods later at the earliest.
    swept_at: Instant,
    at: Instant,
    /// Calls that follow each other soon.
    eager: u8,
}

impl Soundings {
    pub(super) fn new(period: Duration, probe_timeout: Duration) -> Self {
        let sweep_period = probe_timeout * SWEEP_PERCENT / 100;
        Self { period, sweep_period, sweep: 0, swept_at: Instant::ZERO, at: Instant::NEVER, eager: EAGER }
    }

    /// Many may have died: call out to as many entries of the view.
    pub(super) fn begin_sweep(&mut self, now: Instant, entries: usize) {
        if self.sweep == 0 && now.saturating_since(self.swept_at) >= self.period * 10 {
            (self.sweep, self.swept_at, self.at) = (entries, now, now);
        }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.at
    }

    pub(super) const fn stop(&mut self) {
        self.at = Instant::NEVER;
    }

    /// A link was made: call out, if not yet.
    pub(super) fn start(&mut self, now: Instant, rng: &mut Rng) {
        if self.at == Instant::NEVER {
            self.plan(now, rng);
        }
    }

    pub(super) const fn on_loss(&mut self) {
        let eager = self.eager + EAGER_PER_LOSS;
        self.eager = if eager < EAGER { eager } else { EAGER };
    }

    fn plan(&mut self, now: Instant, rng: &mut Rng) {
        if self.sweep > 0 {
            self.sweep -= 1;
            self.at = now + rng.jitter(self.sweep_period, 25);
            return;
        }
        let pause = if self.eager > 0 { self.period } else { self.period * SELDOM };
        self.eager = self.eager.saturating_sub(1);
        self.at = now + rng.jitter(pause, 25);
    }
}

impl Membership {
    /// Calls out to a member drawn by chance, if all wanted links are there.
    pub(super) fn sound(&mut self, cx: &mut Cx<'_>) {
        let sweeps = self.soundings.sweep > 0;
        self.soundings.plan(cx.now, &mut self.rng);
        if sweeps && self.soundings.sweep == 0 && !self.closed && self.missing(cx) > 1 {
            self.ask_around(cx);
        }
        if self.closed || cx.peers.len() == 0 && !sweeps {
            self.soundings.stop();
        } else if sweeps {
            let unheard = cx.view.iter().filter(|known| {
                cx.peers.find(known.node).is_none()
                    && self.attempts.find(|attempt| attempt.node == Some(known.node)).is_none()
            });
            let oldest = unheard.min_by_key(|known| known.born).copied();
            if let Some(known) = oldest {
                self.attempts.add(known.address, Some(known.node), Purpose::Sound, cx.now);
            }
        } else if cx.peers.sound() >= self.wanted
            && let Some((node, address)) = self.draw_candidate(cx)
        {
            self.attempts.add(address, Some(node), Purpose::Sound, cx.now);
        }
    }

    /// Links came into doubt.
    pub(super) fn on_doubt(&mut self, cx: &Cx<'_>) {
        if self.is_sampled && !self.closed && cx.peers.len() - cx.peers.sound() >= 2 {
            self.soundings.begin_sweep(cx.now, cx.view.len());
        }
    }

    /// The answer to a greeting without cookie took `round_trip`. False if nothing comes of the attempt.
    pub(super) fn on_echo(&mut self, cx: &Cx<'_>, row: u32, node: NodeId, round_trip: Duration) -> bool {
        let round_trip = u32::try_from(crate::time::micros(round_trip)).unwrap_or(u32::MAX).max(1);
        let greeted =
            self.attempts.count(|attempt| attempt.purpose == Purpose::Candidate && attempt.cookie != 0).max(1);
        let missing = self.missing(cx);
        let Some(attempt) = self.attempts.get_mut(row) else { return false };
        attempt.round_trip = round_trip;
        if attempt.purpose != Purpose::Sound {
            return true;
        }
        if missing > greeted {
            attempt.purpose = Purpose::Candidate;
            return cx.peers.find(node).is_none();
        }
        attempt.purpose = Purpose::Near;
        let applicant = Applicant { address: attempt.address, in_need: false, near: Some(round_trip) };
        cx.peers.find(node).is_none() && self.place(cx.peers, &applicant) != Place::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(800);

    fn soundings() -> (Soundings, Rng) {
        (Soundings::new(PERIOD, Duration::from_millis(150)), Rng::new(&[5; 32], 0))
    }

    /// The pauses until the next calls.
    fn pauses(soundings: &mut Soundings, rng: &mut Rng, calls: usize) -> std::vec::Vec<Duration> {
        let mut now = soundings.deadline();
        let next = |_| {
            soundings.plan(now, rng);
            let pause = soundings.deadline().saturating_since(now);
            now = soundings.deadline();
            pause
        };
        (0..calls).map(next).collect()
    }

    #[test]
    fn a_newcomer_calls_often_and_then_seldom_and_again_after_a_loss() {
        let (mut soundings, mut rng) = soundings();
        soundings.start(Instant::ZERO, &mut rng);
        let pauses_of = pauses(&mut soundings, &mut rng, usize::from(EAGER) + 5);
        let often = |pause: &&Duration| **pause < PERIOD * 2;
        assert_eq!(
            pauses_of.iter().filter(often).count(),
            usize::from(EAGER) - 1,
            "the first pause was drawn at the start"
        );
        assert!(pauses_of.last().is_some_and(|&pause| pause > PERIOD * SELDOM / 2));
        soundings.on_loss();
        let pauses_of = pauses(&mut soundings, &mut rng, 20);
        assert_eq!(pauses_of.iter().filter(often).count(), usize::from(EAGER_PER_LOSS));
        (0..100).for_each(|_| soundings.on_loss());
        assert_eq!(soundings.eager, EAGER);
    }

    #[test]
    fn a_sweep_calls_each_entry_once_and_not_again_for_a_while() {
        let (mut soundings, mut rng) = soundings();
        let begin = Instant::from_millis(60_000);
        soundings.begin_sweep(begin, 30);
        assert_eq!(soundings.deadline(), begin);
        let swept = pauses(&mut soundings, &mut rng, 30);
        assert!(swept.iter().all(|&pause| pause <= Duration::from_millis(75)), "{swept:?}");
        assert_eq!(soundings.sweep, 0);
        soundings.begin_sweep(begin + PERIOD * 9, 30);
        assert_eq!(soundings.sweep, 0, "too soon after the last one");
        soundings.begin_sweep(begin + PERIOD * 10, 30);
        assert_eq!(soundings.sweep, 30);
    }
}
