//! Does the far end of a link still answer?
//!
//! # Intuition
//!
//! Two people with lamps on two hills. Each now and then asks "are you there?" and expects an answer; any other light
//! from the far hill does as well. So many questions in a row into the dark, and the other one is taken for gone.
//!
//! How many depends on the weather. In clear air three are enough. In fog, where half of the lights get lost, three misses
//! in a row happen every few minutes to the healthiest of neighbors; so the number of questions, 3 to 32, grows with the loss
//! that this node has seen.
//!
//! # States, per link
//!
//! ```text
//! Quiet ──period over──▶ Owed ──composed──▶ Asked ──answer, or any datagram──▶ Quiet
//!                          ▲                  │
//!                          └──no answer in time, fewer than `attempts`──┤
//!                                                                       └──`attempts` reached──▶ Silent (a fact)
//! ```
//!
//! The timer of an answer starts when the probe is *composed*: a socket that is full for a minute must not kill links.
//!
//! # Messages
//!
//! `Probe { number }`, `Ack { number }`. Only the answer to the last probe is timed, so a late answer to an earlier one is
//! a sign of life but no sample (Karn and Partridge 1987).
//!
//! # Bounds
//!
//! One probe per link and period, and at most 32 more while it is not answered; one answer per probe received. The time
//! until `Silent` is at most `probe_period × 1.1 + attempts × timeout`, where timeout is `max(probe_timeout, srtt + 4 ·
//! rttvar)` (RFC 6298 §2, without its granularity).
//!
//! # Sources, and where this differs
//!
//! Attempts are `m = max(3, ln 10⁻⁵ / ln(1 − (1 − p)²))`, at most 32, with `p` the estimated loss per datagram: the chance
//! that a living peer misses all `m` is then at most 10⁻⁵ (640 links probed each second see a false one in 2.6 minutes). The estimate is an average over the last 64 or so probes, of
//! all links together, as one link alone learns too slowly (our choice).

use core::time::Duration;

use alloc::boxed::Box;

use crate::config::Timing;
use crate::pack::Packer;
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::storage::Deadlines;
use crate::time::{Instant, micros};
use crate::view::Reason;
use crate::wire::{Ack, Kind, Probe};

/// Bytes of a probe and an answer together, with their heads.
const SHARE: usize = 2 * (3 + 5);

/// The most probes without an answer, whatever the loss.
const ATTEMPTS_MAX: u8 = 32;

/// What is assumed of the share of unanswered probes until this node has seen some, in sixteenths.
const UNANSWERED_FIRST: u32 = 2;

/// Attempts by the share of probes that were not answered, in sixteenths: the formula above, as no float is the same
/// everywhere. With `q` of 16 unanswered, `m = ⌈ln 10⁻⁵ / ln(q / 16)⌉`.
const ATTEMPTS: [u8; 17] = [3, 5, 6, 7, 9, 10, 12, 14, 17, 21, 25, 31, 32, 32, 32, 32, 32];

/// What is known of one link.
#[derive(Clone, Copy, Debug)]
struct Row {
    state: State,
    /// The number of the last probe.
    number: u32,
    /// When the last probe was composed.
    asked_at: Instant,
    /// Probes in a row without an answer.
    unanswered: u8,
    /// Something to answer.
    answer: Option<u32>,
    /// Smoothed round-trip time and its variance, in microseconds; zero before the first sample.
    srtt: u32,
    rttvar: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Quiet,
    Owed,
    Asked,
}

impl Row {
    const FREE: Self = Self {
        state: State::Free,
        number: 0,
        asked_at: Instant::ZERO,
        unanswered: 0,
        answer: None,
        srtt: 0,
        rttvar: 0,
    };

    /// RFC 6298 §2.2 and §2.3.
    fn sample(&mut self, round_trip: Duration) {
        let sample = u32::try_from(micros(round_trip)).unwrap_or(u32::MAX).max(1);
        if self.srtt == 0 {
            (self.srtt, self.rttvar) = (sample, sample / 2);
        } else {
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(sample) / 4;
            self.srtt = (self.srtt - self.srtt / 8).saturating_add(sample / 8).max(1);
        }
    }
}

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct FailureDetector {
    rows: Box<[Row]>,
    deadlines: Deadlines,
    rng: Rng,
    period: Duration,
    timeout: Duration,
    /// Share of probes that were not answered, in 1/65536, over all links.
    unanswered: u32,
}

impl FailureDetector {
    pub(crate) fn new(links: usize, timing: &Timing, rng: Rng) -> Self {
        Self {
            rows: (0..links).map(|_| Row::FREE).collect(),
            deadlines: Deadlines::new(links),
            rng,
            period: timing.probe_period,
            timeout: timing.probe_timeout,
            unanswered: UNANSWERED_FIRST << 12,
        }
    }

    pub(crate) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<Row>() + Deadlines::heap_bytes(links)
    }

    /// The smoothed round-trip time of a link, if it was measured.
    pub(crate) fn round_trip(&self, peer: PeerIdx) -> Option<Duration> {
        let srtt = self.rows[peer.row()].srtt;
        (srtt > 0).then(|| Duration::from_micros(srtt.into()))
    }

    /// Something genuine came from `peer`.
    pub(crate) fn on_heard(&mut self, now: Instant, peer: PeerIdx) {
        let row = &mut self.rows[peer.row()];
        if row.state == State::Asked && row.unanswered > 0 || row.state == State::Owed {
            self.settle(now, peer);
        }
    }

    pub(crate) fn on_probe(&mut self, cx: &mut Cx<'_>, from: PeerIdx, probe: Probe) {
        self.rows[from.row()].answer = Some(probe.number);
        cx.peers.mark(from, Due::Detector);
    }

    pub(crate) fn on_ack(&mut self, cx: &mut Cx<'_>, from: PeerIdx, ack: Ack) {
        let row = &mut self.rows[from.row()];
        if row.state != State::Asked || row.number != ack.number {
            cx.stats.refused_unasked += 1;
            return;
        }
        row.sample(cx.now.saturating_since(row.asked_at));
        if let Some(link) = cx.peers.get_mut(from) {
            link.round_trip = row.srtt;
        }
        self.count(true);
        self.settle(cx.now, from);
    }

    /// The peer is alive: ask again in a period.
    fn settle(&mut self, now: Instant, peer: PeerIdx) {
        let row = &mut self.rows[peer.row()];
        row.state = State::Quiet;
        row.unanswered = 0;
        let next = now + self.rng.jitter(self.period, 10);
        self.deadlines.set(peer.row(), next);
    }

    /// One more probe was answered, or was not: an exponential average with weight 1/64.
    fn count(&mut self, answered: bool) {
        let target = if answered { 0 } else { 1 << 16 };
        self.unanswered = self.unanswered - self.unanswered / 64 + target / 64;
    }

    fn attempts(&self) -> u8 {
        ATTEMPTS[(self.unanswered >> 12).min(16) as usize].min(ATTEMPTS_MAX)
    }

    fn timeout(&self, row: &Row) -> Duration {
        self.timeout.max(Duration::from_micros(u64::from(row.srtt) + 4 * u64::from(row.rttvar)))
    }

    /// No answer came in time.
    fn miss(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) -> Option<Fact> {
        self.count(false);
        let attempts = self.attempts();
        let row = &mut self.rows[peer.row()];
        let heard = cx.peers.get(peer).is_some_and(|link| link.heard > row.asked_at);
        if heard {
            self.settle(cx.now, peer);
            return None;
        }
        row.unanswered += 1;
        if row.unanswered >= attempts {
            row.state = State::Quiet;
            return Some(Fact::Silent { peer });
        }
        self.ask(cx, peer);
        None
    }

    /// Panics where a link would never be probed again, or one that has ended still is.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers) {
        self.deadlines.check_invariants();
        for (index, row) in self.rows.iter().enumerate() {
            let has_deadline = self.deadlines.get(index) != Instant::NEVER;
            let Some(peer) = peers.at(index) else {
                assert!(row.state == State::Free && !has_deadline, "an ended link is probed, {row:?}");
                continue;
            };
            match row.state {
                State::Free => panic!("a link is never probed"),
                State::Quiet | State::Asked => assert!(has_deadline, "nothing is waited for, {row:?}"),
                State::Owed => assert!(peers.is_due(peer, Due::Detector), "a probe is owed without a mark"),
            }
            assert!(row.answer.is_none() || peers.is_due(peer, Due::Detector), "an answer is owed without a mark");
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        self.rows[peer.row()].state = State::Owed;
        cx.peers.mark(peer, Due::Detector);
    }
}

impl Protocol for FailureDetector {
    fn due(&self) -> Option<Due> {
        Some(Due::Detector)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::LinkUp { peer } => {
                let rest = self.rows[peer.row()];
                self.rows[peer.row()] = Row { state: State::Quiet, srtt: rest.srtt, rttvar: rest.rttvar, ..Row::FREE };
                // Spread out, so that links made together are not probed together; the first one soon, for its time.
                let wait = self.rng.range_micros(0, micros(self.period));
                self.deadlines.set(peer.row(), cx.now + Duration::from_micros(wait));
            }
            Fact::LinkDown { peer } => {
                self.rows[peer.row()] = Row::FREE;
                self.deadlines.set(peer.row(), Instant::NEVER);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        while let Some(index) = self.deadlines.expired(cx.now) {
            self.deadlines.set(index, Instant::NEVER);
            let Some(peer) = cx.peers.at(index) else { continue };
            match self.rows[index].state {
                State::Quiet => self.ask(cx, peer),
                State::Asked => {
                    if let Some(fact) = self.miss(cx, peer) {
                        return Some(fact);
                    }
                }
                State::Free | State::Owed => {}
            }
        }
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let row = &mut self.rows[to.row()];
        if let Some(number) = row.answer {
            if packet.frame(Kind::ACK, &Ack { number }).is_err() {
                return;
            }
            row.answer = None;
        }
        if row.state == State::Owed {
            let number = row.number.wrapping_add(1);
            if packet.frame(Kind::PROBE, &Probe { number }).is_err() {
                return;
            }
            cx.stats.probes_sent += 1;
            row.number = number;
            row.asked_at = cx.now;
            row.state = State::Asked;
            let timeout = self.timeout(&self.rows[to.row()]);
            self.deadlines.set(to.row(), cx.now + timeout);
        }
        cx.peers.done(to, Due::Detector);
    }

    fn deadline(&self) -> Instant {
        self.deadlines.earliest()
    }

    fn reason(&self) -> Reason {
        Reason::Probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_attempts_is_the_formula() {
        for (sixteenths, &attempts) in ATTEMPTS.iter().enumerate() {
            let unanswered = sixteenths as f64 / 16.0;
            let exact = (1e-5_f64.ln() / unanswered.ln()).ceil();
            let expected = if exact.is_finite() { exact.clamp(3.0, ATTEMPTS_MAX.into()) } else { 3.0 };
            let expected = if sixteenths == 16 { f64::from(ATTEMPTS_MAX) } else { expected };
            assert_eq!(f64::from(attempts), expected, "{sixteenths} of 16 unanswered");
        }
    }

    #[test]
    fn round_trips_are_smoothed_as_rfc_6298_says() {
        let mut row = Row::FREE;
        row.sample(Duration::from_millis(100));
        assert_eq!((row.srtt, row.rttvar), (100_000, 50_000));
        row.sample(Duration::from_millis(180));
        assert_eq!((row.srtt, row.rttvar), (110_000, 57_500));
    }
}
