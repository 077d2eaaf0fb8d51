//! The hooks of the cloakroom.

mod assembly;
#[cfg(any(test, feature = "__internals"))]
mod check;
mod chunks;
mod message;

use core::hash::Hasher;

use bytes::Bytes;

use super::origins::{Origins, Row};
use crate::limits::Limits;
use crate::persist::{PersistSeq, RESTORED};
use crate::rng::Rng;
use crate::storage::{Index, Links, List, Slots};
use crate::time::Instant;

use assembly::Assemblies;
pub(crate) use assembly::{Assembly, Reserved};
pub(crate) use message::{Message, NewMessage, Stage};

/// A slot number of [`Messages`].
pub(crate) type Slot = u32;

/// All messages, and the lines that they stand in.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    slots: Slots<Message>,
    index: Index,
    key: (u64, u64),
    /// By arrival, without what is unshared or being removed.
    arrival: List,
    arrival_links: Links,
    /// By number, one list for each origin.
    held_links: Links,
    /// `ready` here, and one `waiting` list for each origin.
    order_links: Links,
    ready: List,
    /// Messages whose record was not handed out yet, and such whose removal was not; both unused without records.
    unstored: List,
    unremoved: List,
    record_links: Links,
    /// Own messages that nobody else is known to hold; through the links of arrival.
    unshared: List,
    /// Bytes of own messages that have not left this node.
    unsent: u32,
    /// Chunks of messages of which others are missing; through the links of arrival.
    assembling: List,
    assemblies: Assemblies,
    /// Removals to be recorded of chunks that were taken for unseen.
    unseen: u32,
    /// Messages that are not being removed, and the most of them.
    kept: u32,
    kept_max: u32,
    bytes: u32,
    bytes_max: u32,
}

impl Messages {
    pub(crate) fn new(limits: &Limits, rng: &mut Rng) -> Self {
        let capacity = limits.message_slots();
        let key = (rng.u64(), rng.u64());
        Self {
            slots: Slots::new(capacity),
            index: Index::new(capacity),
            key,
            arrival: List::default(),
            arrival_links: Links::new(capacity),
            held_links: Links::new(capacity),
            order_links: Links::new(capacity),
            ready: List::default(),
            unstored: List::default(),
            unremoved: List::default(),
            record_links: Links::new(capacity),
            unshared: List::default(),
            unsent: 0,
            assembling: List::default(),
            assemblies: Assemblies::new(limits, key),
            unseen: 0,
            kept: 0,
            kept_max: limits.messages,
            bytes: 0,
            bytes_max: limits.payload_bytes,
        }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Message>::heap_bytes(capacity)
            + Index::heap_bytes(capacity)
            + 4 * Links::heap_bytes(capacity)
            + Assemblies::heap_bytes(capacity)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Message> {
        self.slots.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Message> {
        self.slots.get_mut(slot)
    }

    /// The message with this number of an origin, unless it is being removed.
    pub(crate) fn find(&self, row: Row, seq: u64) -> Option<Slot> {
        self.index.find(self.hash(row, seq), |slot| {
            self.slots.get(slot).is_some_and(|message| message.row == row && message.id.seq == seq)
        })
    }

    /// How many own messages nobody else is known to hold.
    pub(crate) fn unshared(&self) -> u32 {
        self.unshared.len() as u32
    }

    /// Bytes of own messages of which no copy has left this node, and which nobody was told of.
    pub(crate) const fn unsent(&self) -> u32 {
        self.unsent
    }

    /// Whether a larger own message of so many chunks and bytes leaves the room that the chunks of others may take: half of the
    /// store. If all nodes filled theirs with what nobody else holds yet, none could take in what another one has.
    pub(crate) fn leaves_room(&self, count: u32, len: usize) -> bool {
        let unshared = self.unshared.iter(&self.arrival_links).filter_map(|slot| self.slots.get(slot));
        let bytes: usize = unshared.map(|message| message.blob.len()).sum();
        bytes + len <= self.bytes_max as usize / 2 && self.unshared() + count <= self.kept_max / 2
    }

    /// The lowest number of an origin that is held.
    pub(crate) fn lowest(&self, held: List) -> Option<u64> {
        Some(self.slots.get(held.front()?)?.id.seq)
    }

    /// The held messages of an origin, by number.
    pub(crate) fn held(&self, held: List) -> impl Iterator<Item = (Slot, &Message)> {
        core::iter::successors(held.front(), move |&slot| held.next(&self.held_links, slot))
            .filter_map(|slot| Some((slot, self.slots.get(slot)?)))
    }

    /// The one after `slot` among the held messages of an origin.
    pub(crate) fn next_held(&self, held: List, slot: Slot) -> Option<Slot> {
        held.next(&self.held_links, slot)
    }

    /// Everything that is kept, in the order in which it was accepted; what is incomplete or unshared comes last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Message)> {
        let lines = [self.arrival, self.assembling, self.unshared];
        let slots = lines.into_iter().flat_map(move |line| {
            core::iter::successors(line.front(), move |&slot| line.next(&self.arrival_links, slot))
        });
        slots.filter_map(|slot| Some((slot, self.slots.get(slot)?)))
    }

    /// The next kept message, from a slot on, that is at least `age_ms` old.
    pub(crate) fn next_older(&self, from: Slot, now: Instant, age_ms: u32) -> Option<Slot> {
        let mut kept = self.slots.iter_from(from).filter(|(_, message)| message.stage != Stage::Removing);
        kept.find(|(_, message)| message.age_ms(now) >= age_ms).map(|(slot, _)| slot)
    }

    /// Whether so many messages of `len` bytes together could be hung up without taking one down.
    pub(crate) fn has_room(&self, count: u32, len: usize) -> bool {
        let fits = u64::from(self.bytes) + len as u64 <= u64::from(self.bytes_max);
        let free = self.slots.capacity() - self.slots.len();
        self.kept_max - self.kept >= count && free >= count as usize && fits
    }

    /// Whether only records stand in the way: to take more messages down would help nobody.
    pub(crate) fn waits_for_records(&self, count: u32) -> bool {
        self.slots.capacity() - self.slots.len() < count as usize && !self.unremoved.is_empty()
    }

    /// The messages that may be taken down, oldest first.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = Slot> + '_ {
        self.arrival.iter(&self.arrival_links)
    }

    /// As [`Self::oldest`]; behind them the chunks of messages of which others are missing.
    pub(crate) fn oldest_or_incomplete(&self) -> impl Iterator<Item = Slot> + '_ {
        self.oldest().chain(self.assembling.iter(&self.arrival_links))
    }

    /// Hangs a message up. There must be room.
    pub(crate) fn insert(&mut self, now: Instant, origins: &mut Origins, new: &NewMessage<'_>) -> Option<Slot> {
        let message = Message::new(now, new);
        self.bytes += message.blob.len() as u32;
        self.unsent += message.unsent() as u32;
        let slot = self.slots.insert(message).ok()?;
        self.kept += 1;
        self.index.insert(self.hash(new.row, new.id.seq), slot).expect("the index has room for every slot");
        if new.unshared {
            self.unshared.push_back(&mut self.arrival_links, slot);
        } else {
            self.arrival.push_back(&mut self.arrival_links, slot);
        }
        let behind = self.find(new.row, new.id.seq + 1);
        let origin = origins.get_mut(new.row)?;
        match behind {
            Some(behind) => origin.held.insert_before(&mut self.held_links, behind, slot),
            None => insert_by_seq(&mut origin.held, &mut self.held_links, &self.slots, slot),
        }
        Some(slot)
    }

    /// Takes a message down: out of all lines, and off the hook unless its removal must be recorded first.
    pub(crate) fn remove(&mut self, origins: &mut Origins, slot: Slot, record: bool) {
        let Some(message) = self.slots.get_mut(slot) else { return };
        let (row, seq, stage) = (message.row, message.id.seq, message.stage);
        if message.unshared {
            self.unshared.remove(&mut self.arrival_links, slot);
            message.unshared = false;
        } else if message.assembling {
            self.assembling.remove(&mut self.arrival_links, slot);
            message.assembling = false;
        } else {
            self.arrival.remove(&mut self.arrival_links, slot);
        }
        message.stage = Stage::Removing;
        self.unsent -= message.unsent() as u32;
        self.kept -= 1;
        self.bytes -= message.blob.len() as u32;
        message.blob = Bytes::new();
        message.path_len = 0;
        self.index.remove(self.hash(row, seq), slot);
        if let Some(origin) = origins.get_mut(row) {
            origin.held.remove(&mut self.held_links, slot);
            if stage == Stage::Waiting {
                origin.waiting.remove(&mut self.order_links, slot);
            }
        }
        if stage == Stage::Ready {
            self.ready.remove(&mut self.order_links, slot);
        }
        if self.record_links.is_linked(slot) {
            self.unstored.remove(&mut self.record_links, slot);
            self.slots.remove(slot);
        } else if record {
            self.unremoved.push_back(&mut self.record_links, slot);
        } else {
            self.slots.remove(slot);
        }
    }

    /// A copy goes out: from now on somebody may have it.
    pub(crate) fn sent(&mut self, now: Instant, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot) {
            self.unsent -= message.unsent() as u32;
            message.aging_since = message.aging_since.min(now);
        }
    }

    /// All own numbers were mentioned: from now on somebody may miss them, and not for longer than they are young.
    pub(crate) fn mentioned(&mut self, now: Instant) {
        let mut at = self.unshared.front();
        while let Some(slot) = at {
            self.sent(now, slot);
            at = self.unshared.next(&self.arrival_links, slot);
        }
    }

    /// Somebody else holds all own messages.
    pub(crate) fn share_all(&mut self) {
        while let Some(slot) = self.unshared.front() {
            self.hand_over(slot);
        }
    }

    /// Somebody else holds this own message. A chunk alone is no use to anybody, and who lacks others may drop it: see
    /// [`Self::share_chunks`].
    pub(crate) fn share(&mut self, slot: Slot) {
        if self.slots.get(slot).is_some_and(|message| message.chunk.is_whole()) {
            self.hand_over(slot);
        }
    }

    /// Somebody else holds all chunks of this own message.
    pub(crate) fn share_chunks(&mut self, row: Row, first: u64, last: u64) {
        for seq in first..=last {
            if let Some(slot) = self.find(row, seq) {
                self.hand_over(slot);
            }
        }
    }

    fn hand_over(&mut self, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot)
            && message.unshared
        {
            message.unshared = false;
            self.unshared.remove(&mut self.arrival_links, slot);
            self.arrival.push_back(&mut self.arrival_links, slot);
        }
    }

    /// Puts a message in the line of those ready.
    pub(crate) fn make_ready(&mut self, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot) {
            message.stage = Stage::Ready;
            self.ready.push_back(&mut self.order_links, slot);
        }
    }

    /// Puts a message in its origin's line of those that wait.
    pub(crate) fn make_wait(&mut self, waiting: &mut List, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot) {
            message.stage = Stage::Waiting;
            insert_by_seq(waiting, &mut self.order_links, &self.slots, slot);
        }
    }

    /// Takes the first of those that wait out of the line.
    pub(crate) fn stop_waiting(&mut self, waiting: &mut List) -> Option<Slot> {
        waiting.pop_front(&mut self.order_links)
    }

    /// The message is to be recorded.
    pub(crate) fn want_record(&mut self, slot: Slot) {
        self.unstored.push_back(&mut self.record_links, slot);
    }

    /// Whatever of an origin is not delivered yet waits for this record too.
    pub(crate) fn wait_for(&mut self, row: Row, record: PersistSeq) {
        for slot in self.ready.iter(&self.order_links) {
            if let Some(message) = self.slots.get_mut(slot).filter(|message| message.row == row) {
                message.record = record;
            }
        }
    }

    /// The message came from a record of an earlier life.
    pub(crate) fn restored(&mut self, slot: Slot) {
        if let Some(message) = self.slots.get_mut(slot) {
            message.record = RESTORED;
        }
    }

    /// The next message to record.
    pub(crate) fn next_unstored(&self) -> Option<Slot> {
        self.unstored.front()
    }

    /// The record of a message was handed out under this number.
    pub(crate) fn stored(&mut self, slot: Slot, record: PersistSeq) {
        self.unstored.remove(&mut self.record_links, slot);
        if let Some(message) = self.slots.get_mut(slot) {
            message.record = record;
        }
    }

    /// The next message whose removal is to be recorded.
    pub(crate) fn next_unremoved(&self) -> Option<Slot> {
        self.unremoved.front()
    }

    /// The removal of a message was handed out: its slot is free.
    pub(crate) fn removed(&mut self, slot: Slot) {
        self.unremoved.remove(&mut self.record_links, slot);
        if self.slots.remove(slot).is_some_and(|message| message.unseen) {
            self.unseen -= 1;
        }
    }

    fn hash(&self, row: Row, seq: u64) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(u64::from(row));
        hasher.write_u64(seq);
        hasher.finish()
    }
}

/// Inserts by number. Nearly always it is the highest, so the walk starts at the end.
fn insert_by_seq(list: &mut List, links: &mut Links, slots: &Slots<Message>, slot: Slot) {
    let seq = |slot| slots.get(slot).map_or(0, |message: &Message| message.id.seq);
    let mut behind = None;
    let mut at = list.back();
    while let Some(other) = at.filter(|&other| seq(other) > seq(slot)) {
        behind = Some(other);
        at = list.previous(links, other);
    }
    match behind {
        Some(other) => list.insert_before(links, other, slot),
        None => list.push_back(links, slot),
    }
}
