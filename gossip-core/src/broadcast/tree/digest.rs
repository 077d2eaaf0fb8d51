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
//! - While messages are about (and for six periods after the last), one link per period gets the names of the recent
//!   ones, in a random round: each once before any twice. The period is two of repair, half of it after damage.
//! - Names younger than `max(150 ms, 5 × median round trip)` are left out: what is under way is never asked for.
//! - The answer names what the asker did not, as far as it is twice that old.
//! - A digest with the number 0 names the youngest too, and so does its answer: one that goes with a new parent's request.
//! - No answer after a round trip and [`ANSWER_SLACK`]: all other links get the digest at once (a *sweep*), once in
//!   three periods.
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
use super::recent::{Card, CardNo};
use super::{Forest, Timer, bit, mark, micros, round_trip};
use crate::broadcast::candidates::draw_bit;
use crate::config::Timing;
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::wire::{self, Blob, HEADER_LEN, Kind};

/// Names in one frame, at most.
pub(super) const NAMES_MAX: usize = 256;

/// Digest periods for which a message is recent.
const RECENT: u32 = 6;

/// The least age at which a message is named.
const AGE_MIN: Duration = Duration::from_millis(150);

/// Digest periods between two sweeps, and for which damage is remembered.
const SWEEP_PAUSE: u32 = 3;
const DAMAGE: u32 = 5;

/// The number of a digest that names even the youngest messages, and is answered likewise; of an alarm too.
const FRESH: u32 = 0;

/// Names, four bytes each.
pub(super) type Names = heapless::Vec<u8, { 4 * NAMES_MAX }>;

/// What is owed and asked.
#[derive(Clone, Debug)]
pub(super) struct Digests {
    period: Duration,
    /// Links that are owed a digest, or an answer; and which number they are to answer to.
    pub(super) owed: u64,
    pub(super) answers: u64,
    numbers: Box<[u32]>,
    /// Links that are owed a digest of even the youngest names.
    fresh: u64,
    /// The number of the last digest, and the link that it is due to be answered by.
    number: u32,
    asked: Option<usize>,
    /// Links that had their turn in this round.
    visited: u64,
    /// No sweep before.
    sweep_at: Instant,
    /// Something was lost or broken until then.
    damaged_until: Instant,
    /// Names younger than this are left out.
    age: Duration,
}

impl Digests {
    pub(super) fn new(links: usize, timing: &Timing) -> Self {
        Self {
            period: 2 * timing.repair_period,
            owed: 0,
            answers: 0,
            numbers: (0..links).map(|_| 0).collect(),
            fresh: 0,
            number: 0,
            asked: None,
            visited: 0,
            sweep_at: Instant::ZERO,
            damaged_until: Instant::ZERO,
            age: AGE_MIN,
        }
    }

    pub(super) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<u32>()
    }

    pub(super) fn forget_link(&mut self, row: usize) {
        for links in [&mut self.owed, &mut self.answers, &mut self.fresh, &mut self.visited] {
            *links &= !bit(row);
        }
        self.asked = self.asked.filter(|&asked| asked != row);
    }

    /// Whether a message of this age is named.
    fn is_named(&self, now: Instant, card: &Card, ages: u32) -> bool {
        card.at + self.age * ages <= now && !self.is_past(now, card)
    }

    fn is_past(&self, now: Instant, card: &Card) -> bool {
        card.at + self.period * RECENT < now
    }
}

impl Forest {
    /// There is something to talk about.
    pub(super) fn await_digest(&mut self, now: Instant) {
        if !self.timers.runs(Timer::Digest) {
            let wait = self.rng.range_micros(0, crate::time::micros(self.digests.period));
            self.timers.set(Timer::Digest, now + Duration::from_micros(wait));
        }
    }

    /// Something was lost or broke: digests go out more often for a while.
    pub(super) fn note_damage(&mut self, now: Instant) {
        self.digests.damaged_until = now + self.digests.period * DAMAGE;
    }

    pub(super) fn on_digest_timer(&mut self, cx: &mut Cx<'_>) {
        let Some(newest) = self.recent.newest() else { return };
        if self.digests.is_past(cx.now, &newest) {
            return;
        }
        self.digests.age = AGE_MIN.max(micros(self.median_round_trip(cx.peers)) * 5);
        let linked = cx.peers.mask();
        if linked & !self.digests.visited == 0 {
            self.digests.visited = 0;
        }
        if let Some(row) = draw_bit(&mut self.rng, linked & !self.digests.visited) {
            self.digests.visited |= bit(row as usize);
            self.digests.number = self.digests.number.wrapping_add(1).max(1);
            self.digests.asked = Some(row as usize);
            self.digests.owed |= bit(row as usize);
            mark(cx.peers, bit(row as usize));
        }
        let hurries = self.digests.damaged_until > cx.now;
        let period = if hurries { self.digests.period / 2 } else { self.digests.period };
        self.timers.set(Timer::Digest, cx.now + period);
        self.look_for_roots(cx);
    }

    /// The neighbor that was asked did not answer.
    pub(super) fn on_answer_timer(&mut self, cx: &mut Cx<'_>) {
        let Some(asked) = self.digests.asked.take() else { return };
        if self.digests.sweep_at > cx.now {
            return;
        }
        self.digests.sweep_at = cx.now + self.digests.period * SWEEP_PAUSE;
        let others = cx.peers.mask() & !bit(asked);
        self.digests.owed |= others;
        mark(cx.peers, others);
    }

    /// A link has become one of the tree while there was none in its place: what came meanwhile is compared at once.
    pub(super) fn catch_up(&mut self, cx: &mut Cx<'_>, row: usize) {
        if self.recent.newest().is_some_and(|newest| !self.digests.is_past(cx.now, &newest)) {
            self.digests.asked = self.digests.asked.filter(|&asked| asked != row);
            self.digests.owed |= bit(row);
            self.digests.fresh |= bit(row);
            mark(cx.peers, bit(row));
        }
    }

    pub(super) fn on_digest(&mut self, cx: &mut Cx<'_>, from: PeerIdx, digest: &wire::Digest<'_>) {
        self.hear_names(cx, from, digest.ids.0, patience(digest.number));
        self.digests.numbers[from.row()] = digest.number;
        self.digests.answers |= bit(from.row());
        mark(cx.peers, bit(from.row()));
    }

    /// An answer to a digest, or news by alarm.
    pub(super) fn on_announce(&mut self, cx: &mut Cx<'_>, from: PeerIdx, announce: &wire::Announce<'_>) {
        if announce.number != 0 && announce.number == self.digests.number && self.digests.asked == Some(from.row()) {
            self.digests.asked = None;
            self.timers.stop(Timer::Answer);
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

    /// Names of recent messages, the latest first, for which `fits` holds, as many as `room` takes.
    fn names(&self, now: Instant, ages: u32, room: usize, fits: impl Fn(CardNo) -> bool) -> Names {
        let room = (room.saturating_sub(FRAME_MAX) / 4).min(NAMES_MAX);
        let digests = &self.digests;
        // What is half a wheel back here may have left the wheel of the reader.
        let recent = self.recent.latest().take(self.recent.len() / 2 + 1);
        let recent = recent.take_while(|(_, card)| card.at != Instant::NEVER && !digests.is_past(now, card));
        let named = recent.filter(|&(place, card)| digests.is_named(now, &card, ages) && fits(place));
        named.take(room).flat_map(|(_, card)| card.name.to_le_bytes()).collect()
    }

    pub(super) fn write_digest(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let (row, link) = (to.row(), bit(to.row()));
        if self.digests.answers & link != 0 {
            let number = self.digests.numbers[row];
            let ages = if number == FRESH { 0 } else { 2 };
            let names = self.names(cx.now, ages, packet.room(), |place| !self.recent.knows(row, place));
            let frame = wire::Announce { number, ids: Blob(&names) };
            packet.frame(Kind::ANNOUNCE, &frame)?;
            self.digests.answers &= !link;
        }
        if self.digests.owed & link != 0 {
            let is_fresh = self.digests.fresh & link != 0;
            let (number, ages) = if is_fresh { (FRESH, 0) } else { (self.digests.number, 1) };
            let names = self.names(cx.now, ages, packet.room(), |_| true);
            packet.frame(Kind::DIGEST, &wire::Digest { number, ids: Blob(&names) })?;
            self.digests.owed &= !link;
            self.digests.fresh &= !link;
            cx.stats.digests_sent += 1;
            if self.digests.asked == Some(row) {
                let trip = micros(round_trip(cx.peers, row, &self.pace));
                self.timers.set(Timer::Answer, cx.now + trip + trip / 4 + ANSWER_SLACK);
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
const FRAME_MAX: usize = 3 + 5 + 2;

const _: () = assert!(FRAME_MAX < HEADER_LEN, "an empty list of names fits into the smallest datagram");
