//! Acknowledgements, where loss has been seen.
//!
//! # Intuition
//!
//! Registered mail, for those who asked for it. The sender keeps a carbon copy until the slip comes back, and sends the
//! letter again when it does not. The slip says of the last 64 letters which have come, so a slip that gets lost is made
//! good by the next one.
//!
//! # Messages
//!
//! `DataAck` is written from the replay window: what has come is known anyway. It also says whether the sender itself
//! wants acknowledgements. Whoever becomes careful (`loss`) says so to its tree links; who ceases to be says so in the
//! acknowledgements that it still owes; and a fresh copy that does not fit the wish repeats it.
//!
//! # Rules
//!
//! - To a link that wants it (and by a node that is careful itself to any: the wish may have been lost) a copy is marked `ACK_ME`, and kept as *under way*. Acknowledged is exactly what is marked,
//!   after at most 5 ms, together.
//! - It is sent again after `srtt + max(4 · rttvar, 5 ms)` (RFC 6298, with a smaller least value), three times so, then after 1.5
//!   times as long as before, 8 times in all; but not if the far end is known to have it meanwhile. Only copies sent once
//!   are timed (Karn and Partridge 1987). Then it is the business of digests and of the failure detector.
//!
//! # Bounds
//!
//! [`FLIGHTS_MAX`] copies under way for each link, fewer where few messages are kept; further ones are sent without. One acknowledgement costs one walk over them.

use core::time::Duration;

use alloc::boxed::Box;

use super::recent::CardNo;
use super::{Forest, Timer, bit, mark, micros};
use crate::broadcast::copies::Copies;
use crate::pack::{Full, Packer};
use crate::peer::{PeerIdx, Peers};
use crate::protocol::Cx;
use crate::time::{Instant, micros as whole_micros};
use crate::wire::{Data, DataAck, Kind};

/// Copies under way for each link: as many as an acknowledgement speaks of, datagrams without copies not counted.
const FLIGHTS_MAX: usize = 64;

/// How long acknowledgements wait for company.
const DELAY: Duration = Duration::from_millis(5);

/// The least time beyond the round trip until a copy is sent again, in microseconds.
const SLACK: u32 = 5_000;

/// How often a copy is sent again; and how often before the pauses grow.
const RESENDS: u8 = 8;
const FLAT: u8 = 3;

/// A copy under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// The lower half of the number of the datagram that carried it last.
    sequence: u32,
    place: CardNo,
    name: u32,
    sent_at: Instant,
    /// When to send it again.
    due: Instant,
    /// In microseconds.
    pause: u32,
    resends: u8,
    /// It is to be sent again now.
    owed: bool,
}

/// Round-trip time of acknowledgements, in microseconds; 0 before the first.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    srtt: u32,
    rttvar: u32,
}

impl Estimate {
    /// RFC 6298 §2.2 and §2.3.
    fn sample(&mut self, round_trip: Duration) {
        let sample = u32::try_from(whole_micros(round_trip)).unwrap_or(u32::MAX).max(1);
        if self.srtt == 0 {
            (self.srtt, self.rttvar) = (sample, sample / 4);
        } else {
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(sample) / 4;
            self.srtt = (self.srtt - self.srtt / 8).saturating_add(sample / 8).max(1);
        }
    }
}

/// Acknowledgements of all links.
#[derive(Clone, Debug)]
pub(super) struct Acks {
    /// Links that want acknowledgements.
    wanted: u64,
    /// Links that are owed one; and those that will be when the delay is over.
    pub(super) owed: u64,
    waiting: u64,
    /// Links with a copy to be sent again.
    pub(super) resends: u64,
    per_link: usize,
    flights: Box<[Option<Flight>]>,
    estimates: Box<[Estimate]>,
}

impl Acks {
    pub(super) fn new(links: usize, messages: usize) -> Self {
        let per_link = per_link(messages);
        Self {
            wanted: 0,
            owed: 0,
            waiting: 0,
            resends: 0,
            per_link,
            flights: (0..links * per_link).map(|_| None).collect(),
            estimates: (0..links).map(|_| Estimate::default()).collect(),
        }
    }

    pub(super) const fn heap_bytes(links: usize, messages: usize) -> usize {
        links * (per_link(messages) * size_of::<Option<Flight>>() + size_of::<Estimate>())
    }

    pub(super) fn forget_link(&mut self, row: usize) {
        for links in [&mut self.wanted, &mut self.owed, &mut self.waiting, &mut self.resends] {
            *links &= !bit(row);
        }
        self.of(row).fill(None);
        self.estimates[row] = Estimate::default();
    }

    fn of(&mut self, row: usize) -> &mut [Option<Flight>] {
        &mut self.flights[row * self.per_link..(row + 1) * self.per_link]
    }

    /// A place for a copy under way, where the far end wants acknowledgements, or is to give some anyway.
    pub(super) fn vacancy(&self, row: usize, anyway: bool) -> Option<usize> {
        let range = row * self.per_link..(row + 1) * self.per_link;
        (anyway || self.wanted & bit(row) != 0).then(|| self.flights[range].iter().position(Option::is_none)).flatten()
    }

    /// How long to wait for an acknowledgement, in microseconds.
    fn pause(&self, peers: &Peers, row: usize, guess: u32) -> u32 {
        let estimate = self.estimates[row];
        if estimate.srtt > 0 {
            return estimate.srtt.saturating_add(SLACK.max(estimate.rttvar.saturating_mul(4)));
        }
        let known = peers.at(row).and_then(|peer| peers.get(peer)).map_or(0, |link| link.round_trip);
        let delay = DELAY.as_micros() as u32;
        if known > 0 { known } else { guess }.saturating_add(delay + SLACK)
    }
}

const fn per_link(messages: usize) -> usize {
    if messages / 16 < FLIGHTS_MAX { messages / 16 + 1 } else { FLIGHTS_MAX }
}

impl Forest {
    /// A copy with these flags came over a link, whatever became of it.
    pub(crate) fn on_copy(&mut self, cx: &mut Cx<'_>, from: PeerIdx, flags: u8) {
        let link = bit(from.row());
        if flags & Data::ACK_ME != 0 {
            self.acks.waiting |= link;
            if !self.timers.runs(Timer::Ack) {
                self.timers.set(Timer::Ack, cx.now + DELAY);
            }
        } else if flags & (Data::RESENT | Data::OFF_TREE) == 0 && self.loss.is_careful() {
            self.acks.owed |= link;
            mark(cx.peers, link);
        }
    }

    /// Tells all tree links that acknowledgements are wanted.
    pub(super) fn ask_for_acks(&mut self, cx: &mut Cx<'_>) {
        let links = self.trees.iter().fold(0, |links, tree| links | tree.place.links());
        self.acks.owed |= links;
        mark(cx.peers, links);
    }

    pub(super) fn on_ack_timer(&mut self, cx: &mut Cx<'_>) {
        self.acks.owed |= core::mem::take(&mut self.acks.waiting);
        mark(cx.peers, self.acks.owed);
    }

    pub(super) fn on_data_ack(&mut self, cx: &mut Cx<'_>, from: PeerIdx, ack: DataAck) {
        let row = from.row();
        let wants = ack.flags & DataAck::WANTED != 0;
        self.acks.wanted = self.acks.wanted & !bit(row) | if wants { bit(row) } else { 0 };
        for at in row * self.acks.per_link..(row + 1) * self.acks.per_link {
            let Some(flight) = self.acks.flights[at] else { continue };
            let has_come = match ack.highest.wrapping_sub(flight.sequence) {
                0 => true,
                back @ 1..=63 => ack.missing >> (back - 1) & 1 == 0,
                _ => false,
            };
            if has_come {
                self.acks.flights[at] = None;
                if flight.resends == 0 {
                    self.acks.estimates[row].sample(cx.now.saturating_since(flight.sent_at));
                }
                if self.recent.get(flight.place).name == flight.name {
                    self.learn(cx, row, flight.place);
                }
            }
        }
    }

    /// Some copy over a link was not acknowledged in time.
    pub(super) fn on_resend_timer(&mut self, cx: &mut Cx<'_>, row: usize) {
        let (recent, acks) = (&self.recent, &mut self.acks);
        let mut next = Instant::NEVER;
        let mut resends = false;
        for place in acks.of(row) {
            let Some(flight) = place else { continue };
            let card = recent.get(flight.place);
            let is_past = card.name != flight.name || card.slot.is_none() || recent.knows(row, flight.place);
            if is_past || flight.due <= cx.now && flight.resends >= RESENDS {
                *place = None;
            } else if flight.due <= cx.now && !flight.owed {
                flight.owed = true;
                resends = true;
            } else if !flight.owed {
                next = next.min(flight.due);
            }
        }
        if resends {
            acks.resends |= bit(row);
            mark(cx.peers, bit(row));
        }
        self.timers.set(Timer::Resend(row), next);
    }

    /// A copy with [`Data::ACK_ME`] was written.
    pub(super) fn take_off(&mut self, cx: &Cx<'_>, to: PeerIdx, at: usize, place: CardNo) {
        let row = to.row();
        let pause = self.acks.pause(cx.peers, row, self.pace.round_trip_guess);
        let flight = Flight {
            sequence: cx.peers.upcoming(to),
            place,
            name: self.recent.get(place).name,
            sent_at: cx.now,
            due: cx.now + micros(pause),
            pause,
            resends: 0,
            owed: false,
        };
        self.acks.of(row)[at] = Some(flight);
        self.timers.hasten(Timer::Resend(row), flight.due);
    }

    pub(super) fn write_acks(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let row = to.row();
        if (self.acks.owed | self.acks.waiting) & bit(row) != 0
            && let Some(window) = cx.peers.get(to).map(|link| link.window)
        {
            let flags = if self.loss.is_careful() { DataAck::WANTED } else { 0 };
            let ack = DataAck { highest: window.highest() as u32, missing: window.missing(), flags };
            packet.frame(Kind::DATA_ACK, &ack)?;
            cx.stats.acks_sent += 1;
            self.acks.owed &= !bit(row);
            self.acks.waiting &= !bit(row);
        }
        if self.acks.resends & bit(row) != 0 {
            self.write_resends(cx, copies, to, packet)?;
        }
        Ok(())
    }

    fn write_resends(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let row = to.row();
        let sequence = cx.peers.upcoming(to);
        for at in 0..self.acks.per_link {
            let Some(mut flight) = self.acks.of(row)[at].filter(|flight| flight.owed) else { continue };
            let card = self.recent.get(flight.place);
            let slot = card.slot.filter(|_| card.name == flight.name && !self.recent.knows(row, flight.place));
            let flags = Data::RESENT | Data::ACK_ME | if card.alarm { Data::ALARM } else { 0 };
            let written = match slot {
                Some(slot) => copies.write_one(cx, to, slot, flags, packet)?,
                None => false,
            };
            flight.resends += 1;
            if flight.resends > FLAT {
                flight.pause = flight.pause.saturating_add(flight.pause / 2);
            }
            (flight.sequence, flight.due, flight.owed) = (sequence, cx.now + micros(flight.pause), false);
            self.acks.of(row)[at] = written.then_some(flight);
            if written {
                cx.stats.resent += 1;
                self.timers.hasten(Timer::Resend(row), flight.due);
            }
        }
        self.acks.resends &= !bit(row);
        Ok(())
    }

    /// A new link of a tree is told that acknowledgements are wanted, if they are.
    pub(super) fn greet_tree_link(&mut self, cx: &mut Cx<'_>, row: usize) {
        if self.loss.is_careful() {
            self.acks.owed |= bit(row);
            mark(cx.peers, bit(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_offered_only_where_it_is_wanted_and_free() {
        let mut acks = Acks::new(2, 1_000);
        assert_eq!(acks.vacancy(1, false), None);
        acks.wanted = bit(1);
        assert_eq!((acks.vacancy(0, false), acks.vacancy(1, false), acks.vacancy(0, true)), (None, Some(0), Some(0)));
        let flight = Flight {
            sequence: 1,
            place: 0,
            name: 0,
            sent_at: Instant::ZERO,
            due: Instant::ZERO,
            pause: 0,
            resends: 0,
            owed: false,
        };
        acks.of(1).fill(Some(flight));
        assert_eq!(acks.vacancy(1, true), None);
        acks.forget_link(1);
        assert_eq!(acks.vacancy(1, true), Some(0));
    }
}
