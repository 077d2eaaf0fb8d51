//! Digests: every neighbor in turn is told what was got lately.
//!
//! # Intuition
//!
//! Neighbors who chat over the fence, with another one each time: "lately I heard this and that, and you?" Whoever has missed
//! something says so at once. And if a neighbor does not answer although he is home, something is wrong in the village: one
//! asks all the others right away.
//!
//! # Rules
//!
//! - While messages are about, and for a while after the last ([`Timing::digested`]), whoever is due a beat of the failure
//!   detector gets the names of the recent ones instead, with a probe: one datagram for both, and one for both answers.
//!   After damage a link drawn by chance gets them between two beats also.
//! - Names younger than `max(150 ms, 5 × median round trip)` are left out: what is under way is never asked for.
//! - A digest also says what the table of frontiers would be without the recent ones ([`older`](super::older)).
//! - The answer names what the asker did not, as far as it is twice that old.
//! - A digest with the number 0 names the youngest too, and so does its answer: one that goes with a new parent's request.
//! - No answer after a round trip and [`ANSWER_SLACK`]: all other links get the digest at once (a *sweep*), once in
//!   three beats. And the failure detector is told of it; where losses are seen, only of the second one in a row.
//!
//! # Bounds
//!
//! A digest names at most [`NAMES_MAX`] messages, a datagram's worth; per received one as many look-ups. When nothing happens
//! nothing is said.
//!
//! # Sources, and where this differs
//!
//! Bimodal multicast (Birman et al. 1999) sends such digests to members drawn by chance; here they go over links, as
//! names instead of ranges, and the answer makes each count twice.

use core::time::Duration;

use alloc::boxed::Box;

use super::links::ANSWER_SLACK;
use super::older::Named;
use super::recent::{Card, CardNo};
use super::{Forest, Timer, bit, mark, micros, round_trip, rows, sound};
use crate::broadcast::candidates::draw_bit;
use crate::config::Timing;
use crate::pack::{Full, Packer};
use crate::peer::{PeerIdx, Peers};
use crate::protocol::{Cx, Fact};
use crate::time::Instant;
use crate::wire::{self, Blob, HEADER_LEN, Kind};

/// Names in one frame, at most.
pub(super) const NAMES_MAX: usize = 256;

/// The least age at which a message is named.
pub(super) const AGE_MIN: Duration = Duration::from_millis(150);

/// Beats between two sweeps, and for which damage is remembered.
const SWEEP_PAUSE: u32 = 3;
const DAMAGE: u32 = 5;

/// The number of a digest that names even the youngest messages, and is answered likewise; of an alarm too.
const FRESH: u32 = 0;

/// Names, four bytes each.
pub(super) type Names = heapless::Vec<u8, { 4 * NAMES_MAX }>;

/// What is owed and asked.
#[derive(Clone, Debug)]
pub(super) struct Digests {
    /// Of beats.
    period: Duration,
    /// For how long a message is recent.
    recent: Duration,
    /// Links that are owed a digest, or an answer; and which number they are to answer to.
    pub(super) owed: u64,
    /// Those of them that are still to be probed.
    probes: u64,
    pub(super) answers: u64,
    numbers: Box<[u32]>,
    /// Links that are owed a digest of even the youngest names.
    fresh: u64,
    /// The number of the last digest, the links that owe an answer, and those that owed one in vain the last time.
    number: u32,
    asked: u64,
    late: u64,
    /// Links of which the failure detector is to be told.
    mute: u64,
    /// Links that had their turn in this round.
    visited: u64,
    /// No sweep before.
    sweep_at: Instant,
    /// Something was lost or broken until then.
    damaged_until: Instant,
    /// Names younger than this are left out.
    age: Duration,
    /// So many digests in a row said that what is older differs.
    pub(super) odd: u8,
}

impl Digests {
    pub(super) fn new(links: usize, timing: &Timing) -> Self {
        Self {
            period: timing.beat_period,
            recent: timing.digested(),
            owed: 0,
            probes: 0,
            answers: 0,
            numbers: (0..links).map(|_| 0).collect(),
            fresh: 0,
            number: 0,
            asked: 0,
            late: 0,
            mute: 0,
            visited: 0,
            sweep_at: Instant::ZERO,
            damaged_until: Instant::ZERO,
            age: AGE_MIN,
            odd: 0,
        }
    }

    pub(super) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<u32>()
    }

    pub(super) fn forget_link(&mut self, row: usize) {
        for links in [
            &mut self.owed,
            &mut self.probes,
            &mut self.answers,
            &mut self.fresh,
            &mut self.asked,
            &mut self.late,
            &mut self.mute,
            &mut self.visited,
        ] {
            *links &= !bit(row);
        }
    }

    /// Whether the failure detector is to be told something.
    pub(super) const fn has_notes(&self) -> bool {
        self.probes | self.mute != 0
    }

    /// These links did not answer.
    pub(super) const fn note_mute(&mut self, links: u64) {
        self.mute |= links;
    }

    /// Whether a message of this age is named.
    fn is_named(&self, now: Instant, card: &Card, ages: u32) -> bool {
        card.at + self.age * ages <= now && !self.is_past(now, card)
    }

    fn is_past(&self, now: Instant, card: &Card) -> bool {
        card.at + self.recent < now
    }
}

impl Forest {
    /// Something was lost or broke: digests go out more often for a while.
    pub(super) fn note_damage(&mut self, now: Instant) {
        self.digests.damaged_until = now + self.digests.period * DAMAGE;
        if !self.timers.runs(Timer::Digest) {
            self.timers.set(Timer::Digest, now + self.digests.period / 2);
        }
    }

    /// It is the turn of a link: if there is something to talk about, it gets a digest.
    pub(super) fn on_turn(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        if self.is_busy(cx.now) {
            self.ask(cx, peer.row());
            self.look_for_roots(cx);
        }
    }

    /// Between two turns, after damage.
    pub(super) fn on_digest_timer(&mut self, cx: &mut Cx<'_>) {
        if !self.is_busy(cx.now) || self.digests.damaged_until <= cx.now {
            return;
        }
        self.timers.set(Timer::Digest, cx.now + self.digests.period / 2);
        let linked = sound(cx.peers);
        if linked & !self.digests.visited == 0 {
            self.digests.visited = 0;
        }
        if let Some(row) = draw_bit(&mut self.rng, linked & !self.digests.visited) {
            self.ask(cx, row as usize);
        }
    }

    /// Whether there are recent messages.
    fn is_busy(&self, now: Instant) -> bool {
        self.recent.newest().is_some_and(|newest| !self.digests.is_past(now, &newest))
    }

    /// A link is to get a digest, and to answer it.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, row: usize) {
        self.digests.visited |= bit(row);
        self.ask_all(cx, bit(row));
    }

    fn ask_all(&mut self, cx: &mut Cx<'_>, links: u64) {
        self.digests.age = self.announce_age(cx);
        self.digests.number = self.digests.number.wrapping_add(1).max(1);
        self.digests.owed |= links;
        self.digests.asked |= links;
        self.digests.probes |= links;
        mark(cx.peers, links);
    }

    /// What the failure detector is to be told next.
    pub(crate) fn next_note(&mut self, peers: &Peers) -> Option<Fact> {
        let digests = &mut self.digests;
        let next = |links: &mut u64| {
            let row = rows(*links).next()?;
            *links &= !bit(row);
            peers.at(row)
        };
        let asking = next(&mut digests.probes).map(|peer| Fact::Asking { peer });
        asking.or_else(|| next(&mut digests.mute).map(|peer| Fact::Mute { peer }))
    }

    /// Some neighbor that was asked did not answer.
    pub(super) fn on_answer_timer(&mut self, cx: &mut Cx<'_>) {
        let digests = &mut self.digests;
        let silent = core::mem::take(&mut digests.asked) & !digests.owed;
        if silent == 0 {
            return;
        }
        digests.note_mute(if self.loss.is_careful() { silent & digests.late } else { silent });
        digests.late |= silent;
        if digests.sweep_at <= cx.now {
            digests.sweep_at = cx.now + digests.period * SWEEP_PAUSE;
            self.ask_all(cx, sound(cx.peers) & !silent);
        }
    }

    /// A link has become one of the tree while there was none in its place: what came meanwhile is compared at once.
    pub(super) fn catch_up(&mut self, cx: &mut Cx<'_>, row: usize) {
        if self.is_busy(cx.now) {
            self.digests.asked &= !bit(row);
            self.digests.owed |= bit(row);
            self.digests.fresh |= bit(row);
            mark(cx.peers, bit(row));
        }
    }

    /// True if what is older than the names differs.
    pub(crate) fn on_digest(&mut self, cx: &mut Cx<'_>, from: PeerIdx, digest: &wire::Digest<'_>) -> bool {
        let differs = digest.number != FRESH && self.judge_older(cx, digest);
        self.hear_names(cx, from, digest.ids.0, patience(digest.number));
        self.digests.numbers[from.row()] = digest.number;
        self.digests.answers |= bit(from.row());
        mark(cx.peers, bit(from.row()));
        differs
    }

    /// An answer to a digest, or news by alarm.
    pub(super) fn on_announce(&mut self, cx: &mut Cx<'_>, from: PeerIdx, announce: &wire::Announce<'_>) {
        if announce.number != FRESH {
            self.digests.asked &= !bit(from.row());
            self.digests.late &= !bit(from.row());
        }
        self.hear_names(cx, from, announce.ids.0, patience(announce.number));
    }

    /// A neighbor has these; what is missing here is fetched after `patience`.
    fn hear_names(&mut self, cx: &mut Cx<'_>, from: PeerIdx, ids: &[u8], patience: Duration) {
        for id in ids.as_chunks::<4>().0.iter().take(NAMES_MAX) {
            let name = u32::from_le_bytes(*id);
            match self.recent.find(name) {
                Some(place) => self.learn(cx, from.row(), place),
                None => self.lack(cx, name, from.row(), patience),
            }
        }
    }

    fn lack(&mut self, cx: &mut Cx<'_>, name: u32, holder: usize, patience: Duration) {
        match self.missing.announce(name, holder) {
            Some(lack) if patience.is_zero() => self.on_lack_timer(cx, lack),
            Some(lack) => self.timers.set(Timer::Lack(lack), cx.now + patience),
            None => {}
        }
    }

    /// Names of recent messages, the latest first, for which `fits` holds, as many as `room` takes; their cards; and for how long
    /// back all are named.
    fn names(&self, now: Instant, ages: u32, room: usize, fits: impl Fn(CardNo) -> bool) -> (Names, Named, Duration) {
        let room = (room.saturating_sub(FRAME_MAX) / 4).min(NAMES_MAX);
        let digests = &self.digests;
        let (mut names, mut named) = (Names::new(), Named::NONE);
        // What is half a wheel back here may have left the wheel of the reader.
        for (place, card) in self.recent.latest().take(self.recent.len() / 2 + 1) {
            if card.at == Instant::NEVER || digests.is_past(now, &card) {
                return (names, named, digests.recent);
            }
            if names.len() / 4 >= room {
                return (names, named, now.saturating_since(card.at));
            }
            if digests.is_named(now, &card, ages) && fits(place) {
                // As many names fit as there may be.
                let _fits = names.extend_from_slice(&card.name.to_le_bytes());
                named.insert(place);
            }
        }
        let span = self.recent.latest().nth(self.recent.len() / 2).map(|(_, card)| now.saturating_since(card.at));
        (names, named, span.unwrap_or(digests.recent))
    }

    pub(super) fn write_digest(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let (row, link) = (to.row(), bit(to.row()));
        if self.digests.answers & link != 0 {
            let number = self.digests.numbers[row];
            let ages = if number == FRESH { 0 } else { 2 };
            let (names, ..) = self.names(cx.now, ages, packet.room(), |place| !self.recent.knows(row, place));
            let frame = wire::Announce { number, ids: Blob(&names) };
            packet.frame(Kind::ANNOUNCE, &frame)?;
            self.digests.answers &= !link;
        }
        if self.digests.owed & link != 0 {
            let is_fresh = self.digests.fresh & link != 0;
            let (number, ages) = if is_fresh { (FRESH, 0) } else { (self.digests.number, 1) };
            let (names, named, span) = self.names(cx.now, ages, packet.room(), |_| true);
            let span_ms = span.as_millis() as u32;
            let older = self.older(cx, &named, Duration::from_millis(span_ms.into()));
            packet.frame(Kind::DIGEST, &wire::Digest { number, ids: Blob(&names), span_ms, older })?;
            self.digests.owed &= !link;
            self.digests.fresh &= !link;
            cx.stats.digests_sent += 1;
            if self.digests.asked & link != 0 {
                let trip = micros(round_trip(cx.peers, row, &self.pace));
                self.timers.postpone(Timer::Answer, cx.now + trip + trip / 4 + ANSWER_SLACK);
            }
        }
        Ok(())
    }
}

/// How long what was named may still come by itself.
const fn patience(number: u32) -> Duration {
    if number == FRESH { super::alarm::PATIENCE } else { Duration::ZERO }
}

/// The most bytes that a frame with names takes besides the names.
const FRAME_MAX: usize = 3 + 5 + 2 + 5 + 8;

const _: () = assert!(FRAME_MAX < HEADER_LEN, "an empty list of names fits into the smallest datagram");
