//! Messages in chunks: from the first chunk that comes until all are handed out as one.
//!
//! # Intuition
//!
//! A letter that is too long for one envelope goes in several, each with its own number and the note "part 3 of 7". To
//! everybody on the way they are envelopes like any other: seen, passed on, asked for and kept one by one. Only who reads the
//! letter waits until all parts are there, and puts them together then, once.
//!
//! # Why a chunk is a message of its own
//!
//! Duplicate suppression, spreading, trees, digests, frontiers, pulls, gaps and records know numbers of an origin and need no
//! second kind of name. The alternative, one number for all and a strip of boxes for the chunks, would need all of them
//! twice; and a window over numbers is at the same time the flow control of chunks.
//!
//! # Rules
//!
//! - The chunks of a message have consecutive numbers; its id is that of the first.
//! - A chunk of a message that is incomplete stands in the line of those that *assemble*, not in that of arrival: what
//!   bounds them is the shelf ([`Assemblies`](super::assembly)), not who came since.
//! - Once all are there, the first one stands in line for all of them.
//! - A message of which a chunk is lost, or was given up undelivered, is lost as a whole. What else comes of it is kept for
//!   others.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Assembly, Message, Messages, NewMessage, Reserved, Slot, Stage};
use crate::event::Delivery;
use crate::persist::PersistSeq;
use crate::store::{Freshness, Origins, Row, WINDOW_MAX};
use crate::time::Instant;
use crate::view::MessageView;

impl Messages {
    /// The message that a number belongs to, if some of its chunks are here and others are missing.
    pub(crate) fn assembly(&self, row: Row, first: u64) -> Option<Assembly> {
        self.assemblies.rows.get(self.assemblies.find(row, first)?).copied()
    }

    /// All messages of which chunks are missing, from a row of their table on.
    pub(crate) fn next_assembly(&self, from: u32) -> Option<(u32, Assembly)> {
        self.assemblies.rows.iter_from(from).next().map(|(at, assembly)| (at, *assembly))
    }

    /// Sets room aside for the message of a chunk.
    pub(crate) fn reserve(&mut self, now: Instant, origins: &mut Origins, new: &NewMessage<'_>) -> Reserved {
        // Its last removal would remove the next record.
        if self.unseen > 0 { Reserved::NotNow } else { self.assemblies.set_aside(now, origins, new, true) }
    }

    /// The same for a chunk on record, whatever is set aside for others. Whether that could be.
    pub(crate) fn reserve_restored(&mut self, now: Instant, origins: &mut Origins, new: &NewMessage<'_>) -> bool {
        self.assemblies.set_aside(now, origins, new, false) == Reserved::Yes
    }

    /// The message that gives way to another one for which there is no room, if one does.
    pub(crate) fn victim(
        &self,
        now: Instant,
        origins: &Origins,
        new: &NewMessage<'_>,
        patience: Duration,
        may_wait: impl Fn(&Assembly) -> bool,
    ) -> Option<Assembly> {
        self.assemblies.victim(now, origins, new, patience, may_wait)
    }

    /// No chunk of it was taken in after all: the room is free again.
    pub(crate) fn release_unused(&mut self, origins: &mut Origins, row: Row, first: u64) {
        let at = self.assemblies.find(row, first);
        if let Some(at) = at.filter(|&at| self.assemblies.rows.get(at).is_some_and(|assembly| assembly.here == 0)) {
            self.assemblies.remove(origins, at);
        }
    }

    /// A chunk was taken in. The first one of its message, if that is complete now.
    pub(crate) fn assemble(&mut self, now: Instant, origins: &mut Origins, slot: Slot) -> Option<Slot> {
        let message = self.slots.get_mut(slot)?;
        let (row, first) = (message.row, message.first());
        let at = self.assemblies.find(row, first)?;
        message.stage = Stage::Part;
        message.assembling = true;
        self.arrival.remove(&mut self.arrival_links, slot);
        self.assembling.push_back(&mut self.arrival_links, slot);
        if !self.assemblies.count(now, at) {
            return None;
        }
        self.assemblies.remove(origins, at);
        let first = self.find(row, first)?;
        self.gather(first);
        Some(first)
    }

    /// All chunks of a message are there: they wait for the first one, and may be given up like any other message.
    pub(crate) fn gather(&mut self, first: Slot) {
        let Some((row, from, to)) = self.slots.get(first).map(|message| (message.row, message.first(), message.last()))
        else {
            return;
        };
        for seq in from..=to {
            let Some(slot) = self.find(row, seq) else { continue };
            self.settle(slot);
            if let Some(message) = self.slots.get_mut(slot) {
                message.stage = Stage::Part;
            }
        }
    }

    /// A message counts as delivered, with all its chunks.
    pub(crate) fn pass(&mut self, first: Slot) {
        let Some(message) = self.slots.get(first) else { return };
        let (row, from, to) = (message.row, message.first(), message.last());
        for seq in from..=to {
            let slot = if from == to { Some(first) } else { self.find(row, seq) };
            if let Some(message) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                message.stage = Stage::Delivered;
            }
        }
    }

    /// Puts a chunk from the line of those that assemble into that of arrival.
    fn settle(&mut self, slot: Slot) {
        let Some(message) = self.slots.get_mut(slot).filter(|message| message.assembling) else { return };
        message.assembling = false;
        self.assembling.remove(&mut self.arrival_links, slot);
        self.arrival.push_back(&mut self.arrival_links, slot);
    }

    /// The message that a chunk or message belongs to is not for the application any more: all that is here of it is kept for
    /// others.
    pub(crate) fn withdraw(&mut self, origins: &mut Origins, row: Row, first: u64, last: u64) {
        for seq in first..=last {
            let Some(slot) = self.find(row, seq) else { continue };
            let is_part = |message: &&Message| (message.first(), message.last()) == (first, last);
            let Some(message) = self.slots.get(slot).filter(is_part) else { continue };
            match (message.stage, origins.get_mut(row)) {
                (Stage::Ready, _) => self.ready.remove(&mut self.order_links, slot),
                (Stage::Waiting, Some(origin)) => origin.waiting.remove(&mut self.order_links, slot),
                _ => {}
            }
            self.settle(slot);
            if let Some(message) = self.slots.get_mut(slot) {
                message.stage = Stage::Delivered;
            }
        }
        if let Some(at) = self.assemblies.find(row, first) {
            self.assemblies.remove(origins, at);
        }
    }

    /// The next chunk that is here of an incomplete message.
    pub(crate) fn next_part(&self, assembly: &Assembly, from: u64) -> Option<(u64, Slot)> {
        (from..=assembly.last).find_map(|seq| {
            let slot = self.find(assembly.row, seq)?;
            self.slots.get(slot).is_some_and(|message| assembly.has(message)).then_some((seq, slot))
        })
    }

    /// A chunk that is being removed was taken for unseen: until that is on record, no chunk comes in again.
    pub(crate) fn mark_unseen(&mut self, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot).filter(|message| message.stage == Stage::Removing) {
            message.unseen = true;
            self.unseen += 1;
        }
    }

    /// The first and the last number of the undelivered message that a number which was seen belongs to.
    pub(crate) fn undelivered(&self, row: Row, seq: u64) -> Option<(u64, u64)> {
        let message = self.slots.get(self.find(row, seq)?)?;
        (message.stage != Stage::Delivered).then(|| (message.first(), message.last()))
    }

    /// Whether all that was seen of some numbers is chunks of the message that has them, and nothing else.
    pub(crate) fn is_sound(&self, origins: &Origins, row: Row, first: u64, last: u64) -> bool {
        let Some(origin) = origins.get(row) else { return false };
        (first..=last).all(|seq| {
            origin.freshness(seq, WINDOW_MAX) != Freshness::Seen || self.undelivered(row, seq) == Some((first, last))
        })
    }

    /// Where the loss of a hole's first number begins: with the first number of the message that it is a chunk of, if chunks
    /// before it are here.
    pub(crate) fn loss_begins(&self, origins: &Origins, row: Row, hole: u64) -> u64 {
        let before = self.undelivered(row, hole - 1).filter(|&(_, last)| last >= hole);
        before.filter(|&(first, last)| self.is_sound(origins, row, first, last)).map_or(hole, |(first, _)| first)
    }

    /// All chunks of the message that begins in `first`; nothing where one is missing.
    fn chunks(&self, first: Slot) -> Option<impl DoubleEndedIterator<Item = &Message> + Clone> {
        let message = self.slots.get(first).filter(|message| message.chunk.index == 0)?;
        let (row, from, to) = (message.row, message.id.seq, message.last());
        let get = move |seq| if from == to { Some(message) } else { self.slots.get(self.find(row, seq)?) };
        let belongs = move |message: &Message| message.first() == from && message.last() == to;
        let all = (from..=to).all(|seq| get(seq).is_some_and(belongs));
        all.then(|| (from..=to).filter_map(get))
    }

    /// The chunk that came last, and the payload of all, put together.
    fn whole(&self, first: Slot) -> Option<(&Message, Bytes)> {
        let chunks = self.chunks(first)?;
        let latest = chunks.clone().max_by_key(|chunk| (chunk.accepted_at, chunk.age_ms, chunk.hops))?;
        if latest.chunk.is_whole() {
            return Some((latest, latest.owned_payload()));
        }
        let mut payload = Vec::with_capacity(chunks.clone().map(|chunk| chunk.payload().len()).sum());
        chunks.for_each(|chunk| payload.extend_from_slice(chunk.payload()));
        Some((latest, Bytes::from(payload)))
    }

    /// A message as it is shown, unless a part of it is missing.
    pub(crate) fn view(&self, first: Slot) -> Option<MessageView> {
        let (latest, payload) = self.whole(first)?;
        Some(latest.view(self.slots.get(first)?, payload))
    }

    /// Whether all of a message that begins in `first` is durable.
    pub(crate) fn are_records(&self, first: Slot, durable: impl Fn(PersistSeq) -> bool) -> bool {
        self.chunks(first).is_some_and(|chunks| chunks.rev().all(|chunk| durable(chunk.record)))
    }

    /// The next message for the application, if it is durable, and of how many chunks it was put together.
    pub(crate) fn next_ready(&mut self, may_go: impl Fn(Row, PersistSeq) -> bool) -> Option<(Delivery, u16)> {
        let slot = self.ready.front()?;
        let message = self.slots.get(slot)?;
        let (row, count) = (message.row, message.chunk.count);
        // Mostly the last chunk came last, and the first is asked for what was told as lost before.
        if !may_go(row, message.record) || !self.are_records(slot, |record| may_go(row, record)) {
            return None;
        }
        let (latest, payload) = self.whole(slot)?;
        let delivery = latest.delivery(self.slots.get(slot)?, payload);
        self.ready.pop_front(&mut self.order_links);
        self.pass(slot);
        Some((delivery, count))
    }
}
