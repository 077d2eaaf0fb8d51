//! Who lives, who is silent, and who is dead for everybody.
//!
//! # Intuition
//!
//! Night watchmen who make their rounds (`beat`). Each passes his neighbors' doors one after the other and knocks; whoever
//! does not hear a knock in time calls a few times (`burst`). If nobody answers, he first asks himself whether he has gone
//! deaf (`deaf`). If he hears others, he has a suspicion (`suspicion`), and keeps it to himself; but he asks others
//! whether *they* hear the missing one (`witness`). Only if for a good while nobody does, and again nobody at a last look
//! that all take together, a death is certified (`certificate`) and made known (`judging`). One who reads of his own death
//! says that he lives, and is believed.
//!
//! # Why this way
//!
//! In SWIM an accusation goes to everybody, and the accused has to outrun a timer with its defense: one slow node that hears
//! nobody accuses the healthy ones, and slow ones are condemned. Here nobody is condemned on hearsay. A certificate takes
//! *answers* of others, which only a node with working ears and voice can get; the defense travels one hop; and a one-way
//! beat proves as much to its reader as a question and an answer, at half the price.
//!
//! # The way of a case
//!
//! ```text
//!           beat late, or asked, or accused, or spot check
//!                 │
//! Quiet ──────▶ Probing ──m probes unanswered──▶ Suspect ──window──▶ last round ──2 deny──▶ dead, for all
//!   ▲             │   └─ heard nobody: Deaf ──▶    │                     │
//!   └──any sign of life, of the subject or by a witness─────────────────┘
//!                                                  └── no verdict in 3 windows more ──▶ unreachable, here
//! ```
//!
//! # Three kinds of membership
//!
//! - *Full*: deaths concern members, and everybody hears of them.
//! - *Static*: nothing goes to anybody but the configured neighbors, so nobody can be asked: who is silent for a window is
//!   unreachable.
//!
//! # Messages
//!
//! `Beat`, `Probe` and `Ack`, `Ask`, `Vouch` and `Deny`, and the lists `Statuses` (news) and `Accusations` (what a table
//! says). What is said about members is spread and repaired with the registers ([`register`](crate::register)), since
//! members and their status are what that table compares.
//!
//! # Bounds
//!
//! - One beat per `beat_period` from each node, whatever its links and members, and two datagrams for the spot check every
//!   30 beats. Nothing else from an idle node.
//! - A death is suspected by somebody within `beat_period + (1 + m) × timeout`, in the mean half a period sooner, where `m`
//!   is 3 to 16 by the loss seen, and timeout is the greater of `probe_timeout` and `srtt + 4 · rttvar`.
//! - It is certified after `suspicion_window` and a last round of `m` timeouts and a round trip.
//! - Cases: one for each link and twice as many for others; questions: four for each case and quarter of a window.
//! - A live node is certified dead only if it is silent towards its accuser and two more for a window and two bursts of
//!   each. A stall that is longer than the window has that effect, and no detector that is faster than the stall can
//!   tell; what there is against it is damping.
//! - Of a cluster of two neither certifies. A minority of two never calls the rest dead.
//!
//! # Nothing here grows with the number of nodes
//!
//! SWIM multiplies its suspicion time-out and the number of times that it repeats news by log n, because accusation and defense
//! race each other through the whole cluster, and because what was not repeated often enough is lost. Here a suspicion is
//! private and its defense travels one hop, from the subject or a witness to whoever asked, so the window has to cover a
//! pause and not a dissemination; and news goes over each link once, and what is lost on the way comes with the comparison of
//! tables, so there is no number of repetitions to choose. What a larger cluster changes is how often an accident happens somewhere; bursts grow with the loss
//! that is seen, and a certificate takes two denials and a last round.
//!
//! # Sources, and where this differs
//!
//! Indirect probes: SWIM (Das, Gupta and Motivala 2002). Self-suspicion: Lifeguard (Dadgar, Phillips and Currey 2017), which
//! slows a node down that misses answers, where this one stops accusing. Several observers that agree: Rapid (Suresh et al.
//! 2018). Refutation by a number of the accused's own: SWIM's incarnation. The composition and all constants without a
//! source are our choice, from simulations.

mod beat;
mod burst;
mod case;
mod certificate;
mod deaf;
mod judging;
mod loss;
mod open;
mod rtt;
mod suspicion;
#[cfg(test)]
mod tests;
mod witness;

use core::time::Duration;

use alloc::boxed::Box;

use crate::config::{Config, Membership};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol, Table};
use crate::rng::Rng;
use crate::storage::{Bits, Deadlines, Slots};
use crate::time::{Instant, micros};
use crate::view::Reason;
use crate::wire::{Ack, Kind, Probe};

use beat::{Link, Rhythm};
use burst::Burst;
use case::Cases;
use deaf::Deafness;
use loss::Share;
use witness::Reply;

/// Bytes of an answer, a probe and a beat, with their heads.
const SHARE: usize = 2 * (3 + 10) + 3 + 13;

/// Whom deaths concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All members.
    Members,
    /// Configured neighbors, and nobody else is asked.
    Neighbors,
}

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct FailureDetector {
    scope: Scope,
    links: Box<[Link]>,
    /// When the next datagram of a link is late.
    late: Deadlines,
    rhythm: Rhythm,
    cases: Cases,
    replies: Slots<Reply>,
    answers: open::Answers,
    deafness: Deafness,
    /// It has ended, which is to be reported.
    hears_again: bool,
    /// When something genuine last came from anybody.
    heard: Instant,
    /// What is lost of what comes in, over all links.
    incoming: Share,
    /// Which probes were not answered by those who live.
    failing: Share,
    /// Of the last probe or question.
    number: u32,
    /// Links that are to be reported: cleared of a suspicion, with another table of each kind, not to be heard from here.
    cleared: Bits,
    differing: [Bits; 2],
    broken: Bits,
    rng: Rng,
    beat_period: Duration,
    timeout: Duration,
    window: Duration,
}

impl FailureDetector {
    pub(crate) fn new(config: &Config, mut rng: Rng) -> Self {
        let links = usize::from(config.limits.links);
        let timing = &config.timing;
        Self {
            scope: match config.membership {
                Membership::Full | Membership::Sampled { .. } => Scope::Members,
                Membership::Static { .. } => Scope::Neighbors,
            },
            links: (0..links).map(|_| Link::NONE).collect(),
            late: Deadlines::new(links),
            rhythm: Rhythm::new(rng.u32()),
            cases: Cases::new(links),
            replies: Slots::new(4 * links),
            answers: open::Answers::new(),
            deafness: Deafness::none(timing.probe_timeout),
            hears_again: false,
            heard: Instant::ZERO,
            incoming: Share::NEW,
            failing: Share::NEW,
            number: rng.u32(),
            cleared: Bits::new(links),
            differing: [Bits::new(links), Bits::new(links)],
            broken: Bits::new(links),
            rng,
            beat_period: timing.beat_period,
            timeout: timing.probe_timeout,
            window: timing.suspicion_window,
        }
    }

    pub(crate) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<Link>()
            + Deadlines::heap_bytes(links)
            + Cases::heap_bytes(links)
            + Slots::<Reply>::heap_bytes(4 * links)
            + 4 * Bits::heap_bytes(links)
    }

    /// The smoothed round-trip time of a link, if it was measured.
    pub(crate) fn round_trip(&self, peer: PeerIdx) -> Option<Duration> {
        self.links[peer.row()].rtt.smoothed()
    }

    /// The share of datagrams from a link that get lost, in 1/1024.
    pub(crate) fn loss(&self, peer: PeerIdx) -> u32 {
        self.links[peer.row()].incoming.lost.per_1024()
    }

    /// Something genuine came from `peer`, in a datagram of this number.
    pub(crate) fn on_heard(&mut self, cx: &mut Cx<'_>, peer: PeerIdx, number: u64) {
        let link = &mut self.links[peer.row()];
        link.incoming.count(number, &mut self.incoming);
        link.vouched = 0;
        let case = link.case;
        self.on_hearing(cx);
        // The accused has to say more than that.
        if let Some(row) = case.filter(|&row| self.cases.rows.get(row).is_some_and(|case| case.accused == 0)) {
            self.close_case(cx, row);
        }
    }

    pub(crate) fn on_probe(&mut self, cx: &mut Cx<'_>, from: PeerIdx, probe: Probe) {
        self.answer_for_myself(cx, cx.me.incarnation, probe.status);
        self.links[from.row()].ack = Some(probe.number);
        cx.peers.mark(from, Due::Detector);
    }

    pub(crate) fn on_ack(&mut self, cx: &mut Cx<'_>, from: PeerIdx, ack: Ack) {
        let case = self.links[from.row()].case;
        let of_case =
            case.and_then(|row| self.cases.rows.get(row)).and_then(|it| it.burst.answered(cx.now, ack.number));
        let poke = &mut self.links[from.row()].poke;
        let of_poke = poke.answered(cx.now, ack.number);
        if of_poke.is_some() {
            *poke = Burst::IDLE;
        }
        if let Some(round_trip) = of_case.or(of_poke) {
            self.links[from.row()].rtt.sample(round_trip);
            let smoothed = self.links[from.row()].rtt.smoothed();
            if let (Some(smoothed), Some(link)) = (smoothed, cx.peers.get_mut(from)) {
                link.round_trip = u32::try_from(micros(smoothed)).unwrap_or(u32::MAX);
            }
        }
        if let Some((node, incarnation)) = cx.peers.get(from).map(|link| (link.node, link.incarnation)) {
            self.on_own_word(cx, node, incarnation, ack.status);
        }
        if let Some(row) = case {
            self.close_case(cx, row);
        }
    }

    /// The next thing to report that is no matter of time.
    pub(crate) fn next_note(&mut self, peers: &Peers) -> Option<Fact> {
        let next = |bits: &mut Bits| {
            let row = bits.first()?;
            bits.clear(row);
            peers.at(row)
        };
        if let Some(peer) = next(&mut self.broken) {
            return Some(Fact::Silent { peer });
        }
        if let Some(peer) = next(&mut self.cleared) {
            return Some(Fact::Cleared { peer });
        }
        for table in [Table::Messages, Table::Registers] {
            if let Some(peer) = next(&mut self.differing[table as usize]) {
                return Some(Fact::Differs { peer, table });
            }
        }
        core::mem::take(&mut self.hears_again).then_some(Fact::Hearing)
    }

    const fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// A link has ended, and with it what was owed to it and what was doubted about it.
    fn end_link(&mut self, cx: &Cx<'_>, peer: PeerIdx) {
        if let Some(row) = self.links[peer.row()].case {
            self.drop_case(cx, row);
        }
        self.links[peer.row()] = Link::NONE;
        self.late.set(peer.row(), Instant::NEVER);
        let [messages, registers] = &mut self.differing;
        for bits in [&mut self.cleared, messages, registers, &mut self.broken] {
            bits.clear(peer.row());
        }
        while let Some((row, _)) = self.next_reply(peer) {
            self.replies.remove(row);
        }
    }

    fn write_probe(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let Some((node, case)) = cx.peers.get(to).map(|link| (link.node, self.links[to.row()].case)) else {
            return Ok(());
        };
        if let Some(row) = case
            && let Some(case) = self.cases.rows.get_mut(row)
            && let Some(number) = case.burst.owed()
        {
            packet.frame(Kind::PROBE, &Probe { number, status: open::said_of(cx, node, case.accused) })?;
            case.burst.composed(cx.now);
            cx.stats.probes_sent += 1;
            self.arm(cx, row);
        }
        let poke = &mut self.links[to.row()].poke;
        if let Some(number) = poke.owed() {
            packet.frame(Kind::PROBE, &Probe { number, status: open::said_of(cx, node, 0) })?;
            poke.composed(cx.now);
            cx.stats.probes_sent += 1;
        }
        Ok(())
    }

    fn write(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        if let Some(number) = self.links[to.row()].ack {
            packet.frame(Kind::ACK, &Ack { number, status: open::own_status(cx) })?;
            self.links[to.row()].ack = None;
        }
        self.write_probe(cx, to, packet)?;
        if self.links[to.row()].beat_owed {
            let beat = self.promise(cx, to);
            packet.frame(Kind::BEAT, &beat)?;
            self.links[to.row()].beat_owed = false;
            cx.stats.beats_sent += 1;
        }
        self.write_replies(to, packet)?;
        self.write_asks(cx, to, packet)
    }

    /// Panics where a link is not watched, or something is owed and would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers) {
        self.late.check_invariants();
        self.cases.check_invariants();
        self.replies.check_invariants();
        self.check_turns(peers);
        for (index, link) in self.links.iter().enumerate() {
            let waits = self.late.get(index) != Instant::NEVER;
            let Some(peer) = peers.at(index) else {
                assert!(!waits && link.case.is_none(), "an ended link is watched, {link:?}");
                continue;
            };
            assert!(waits != link.case.is_some(), "a link is either waited for or in doubt, {link:?}");
            let case = link.case.map(|row| self.cases.rows.get(row).expect("the case of a link is there"));
            assert!(case.is_none_or(|case| case.link == Some(peer)), "the case of another link, {case:?}");
            let owes = link.beat_owed
                || link.ack.is_some()
                || link.poke.owed().is_some()
                || case.is_some_and(|case| case.burst.owed().is_some())
                || self.replies.iter().any(|(_, reply)| reply.to == peer);
            assert!(!owes || peers.is_due(peer, Due::Detector), "something is owed without a mark, {link:?}");
        }
    }
}

impl Protocol for FailureDetector {
    fn due(&self) -> Option<Due> {
        Some(Due::Detector)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::LinkUp { peer } => {
                let node = cx.peers.get(peer).map(|link| link.node);
                while let Some(row) = self.cases.find(|case| Some(case.node) == node) {
                    self.close_case(cx, row);
                }
                self.on_hearing(cx);
                self.begin_link(cx, peer);
                self.greet_the_dead(cx, peer);
            }
            Fact::LinkDown { peer } => self.end_link(cx, peer),
            Fact::Died { member } => {
                self.rhythm.on_death();
                self.on_turned(cx, member);
            }
            Fact::Revived { member } => self.on_turned(cx, member),
            Fact::Asking { peer } => self.poke(cx, peer),
            Fact::Mute { peer } if !self.deafness.is_on() => self.doubt_link(cx, peer),
            _ => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        if self.rhythm.next_at <= cx.now
            && let Some(peer) = self.beat(cx)
        {
            return Some(Fact::Turn { peer });
        }
        while let Some(row) = self.late.expired(cx.now) {
            self.on_late(cx, row);
        }
        while let Some(row) = self.cases.deadlines.expired(cx.now) {
            if let Some(fact) = self.on_case(cx, row as u32) {
                return Some(fact);
            }
        }
        if self.deafness.deadline() <= cx.now
            && let Some(fact) = self.on_deaf(cx)
        {
            return Some(fact);
        }
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        if self.write(cx, to, packet).is_ok() {
            cx.peers.done(to, Due::Detector);
        }
    }

    fn deadline(&self) -> Instant {
        let cases = self.cases.deadlines.earliest();
        self.rhythm.next_at.min(self.late.earliest()).min(cases).min(self.deafness.deadline())
    }

    fn reason(&self) -> Reason {
        Reason::Probe
    }
}
