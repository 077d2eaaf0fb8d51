//! Messages into the store, and out of it.
//!
//! The cloakroom's counter. Whatever wants in passes here, submitted, spread or repaired: is it known, is there room, may
//! something older go for it? Whatever goes before the application had it, or never came, is written on the slip that the
//! application gets: a gap.

use crate::anti_entropy::SEQ_MAX;
use crate::event::{Order, Path};
use crate::gossip::Gossip;
use crate::ids::MessageId;
use crate::order;
use crate::peer::PeerIdx;
use crate::protocol::Fact;
use crate::store::{Freshness, NewMessage, Origin, Row, Slot, Stage};
use crate::wire::{Chunk, Data};

use super::chunks::Admission;

/// How many messages are looked at, at most, for one that may make room.
const VICTIMS_MAX: usize = 16;

impl Gossip {
    /// A message came, over a link or injected.
    pub(super) fn offer(&mut self, from: Option<PeerIdx>, data: &Data<'_>) {
        self.stats.data_received += 1;
        let order = match data.order {
            0 => Order::Unordered,
            1 => Order::Fifo,
            _ => return self.stats.refused_form += 1,
        };
        let id = MessageId { origin: data.origin, incarnation: data.incarnation, seq: data.seq };
        let known = data.predecessors.0.is_empty() && data.path.0.len() <= Path::MAX * 8;
        let chunk = Chunk::parse(data.chunk.0).filter(|chunk| u64::from(chunk.index) < id.seq);
        let Some(chunk) = chunk.filter(|_| known && id.seq < SEQ_MAX) else {
            return self.stats.refused_form += 1;
        };
        if u128::from(data.age_ms) >= self.config.timing.horizon.as_millis() {
            return self.stats.refused_old += 1;
        }
        let Some(row) = self.row_of(id, data.age_ms) else { return self.stats.refused_origin += 1 };
        match self.origins.get(row).map(|origin| origin.freshness(id.seq, self.origins.window())) {
            Some(Freshness::New) => {}
            Some(Freshness::Ahead) => return self.on_ahead(row, id),
            Some(Freshness::Seen) | None => return self.on_duplicate(from, row, id, data.flags),
        }
        if self.is_own(id) {
            return self.stats.refused_forged += 1;
        }
        let len = data.path.0.len() + data.payload.0.len();
        if len > self.config.limits.payload_bytes as usize {
            self.stats.refused_store += 1;
            return self.forgo(row, id.seq);
        }
        let new = NewMessage {
            id,
            row,
            order,
            previous: data.previous,
            chunk,
            hops: data.hops,
            age_ms: data.age_ms,
            path: data.path.0,
            payload: data.payload.0,
            unshared: false,
        };
        let admission = self.admission(&new);
        if admission == Admission::Refuse {
            return;
        }
        if !self.make_room(1, len) {
            self.stats.refused_store += 1;
            return self.messages.release_unused(&mut self.origins, row, new.first());
        }
        self.stats.accepted += 1;
        self.stats.chunks_accepted += u64::from(!chunk.is_whole());
        self.accept(&new, from, data.flags, admission == Admission::Deliver);
    }

    /// The way of every message into the store.
    pub(crate) fn accept(
        &mut self,
        new: &NewMessage<'_>,
        from: Option<PeerIdx>,
        flags: u8,
        deliver: bool,
    ) -> Option<Slot> {
        self.origins.see(self.now, new.row, new.id.seq);
        let slot = self.messages.insert(self.now, &mut self.origins, new)?;
        if let Some(origin) = self.origins.get_mut(new.row) {
            let age = core::time::Duration::from_millis(new.age_ms.into());
            origin.heard = origin.heard.max(self.now.before(age));
        }
        if self.gate.is_enabled() {
            self.messages.want_record(slot);
        }
        if deliver {
            order::admit(self.now, &mut self.origins, &mut self.messages, slot);
        } else {
            order::release(&mut self.origins, &mut self.messages, new.row);
        }
        self.tell(Fact::Accepted { slot, from, flags });
        Some(slot)
    }

    /// The row of a message's origin; made where there is none.
    fn row_of(&mut self, id: MessageId, age_ms: u32) -> Option<Row> {
        match self.origins.find(id.origin, id.incarnation) {
            Some(row) => Some(row),
            None if self.is_own(id) => None,
            None => {
                let age = core::time::Duration::from_millis(age_ms.into());
                self.split().0.insert_origin(id.origin, id.incarnation, age)
            }
        }
    }

    fn is_own(&self, id: MessageId) -> bool {
        (id.origin, id.incarnation) == (self.me.node, self.me.incarnation)
    }

    fn on_ahead(&mut self, row: Row, id: MessageId) {
        if self.is_own(id) {
            return self.stats.refused_forged += 1;
        }
        self.stats.refused_ahead += 1;
        let (cx, protocols) = self.split();
        cx.origins.mention(cx.now, row, id.seq);
        protocols.repair.note_holes(&cx, row);
    }

    fn on_duplicate(&mut self, from: Option<PeerIdx>, row: Row, id: MessageId, flags: u8) {
        if self.origins.get(row).is_some_and(|origin| origin.is_told_lost(id.seq)) {
            self.stats.refused_gapped += 1;
        } else {
            self.stats.duplicates += 1;
        }
        if let Some(slot) = self.messages.find(row, id.seq) {
            self.messages.share(slot);
            if let Some(from) = from {
                self.tell(Fact::Duplicate { slot, from, flags });
            }
        }
    }

    /// Makes room for so many messages of `len` bytes together, at most those of the store, by giving up the oldest messages
    /// that may be given up.
    pub(crate) fn make_room(&mut self, count: u32, len: usize) -> bool {
        while !self.messages.has_room(count, len) {
            // Who waits for its removal to be recorded has made room already.
            if self.messages.waits_for_records(count) {
                return false;
            }
            let victim = self.messages.oldest().take(VICTIMS_MAX).find(|&slot| self.may_give_up(slot));
            let Some(slot) = victim else { return false };
            self.give_up(slot);
        }
        true
    }

    /// Whether the loss of a message could be told, if it was not delivered yet.
    pub(crate) fn may_give_up(&self, slot: Slot) -> bool {
        let Some(message) = self.messages.get(slot) else { return false };
        message.stage == Stage::Delivered || self.may_tell_gap(message.row, message.first(), message.last())
    }

    /// Whether a loss joins those of which the application is still to be told: they are one range.
    pub(super) fn may_tell_gap(&self, row: Row, first: u64, last: u64) -> bool {
        let Some(origin) = self.origins.get(row) else { return false };
        origin.gap.is_none_or(|(start, end)| end + 1 == first || start == last + 1)
    }

    /// A message is larger than all the room for payloads: it counts as lost, or it would be asked for again and again.
    pub(super) fn forgo(&mut self, row: Row, seq: u64) {
        if self.may_tell_gap(row, seq, seq) {
            self.origins.see(self.now, row, seq);
            self.note_gap(row, seq, seq);
            order::release(&mut self.origins, &mut self.messages, row);
        }
    }

    /// Takes a message out of the store for good, and with a chunk that was not delivered its whole message from the
    /// application.
    pub(crate) fn give_up(&mut self, slot: Slot) {
        let Some(message) = self.messages.get(slot) else { return };
        let (row, delivered) = (message.row, message.stage == Stage::Delivered);
        if !delivered {
            self.renounce(row, message.first()..=message.last());
        }
        self.take_down(slot);
        self.unrecorded_origins.set(row as usize);
    }

    /// Drops the row of an origin that holds nothing.
    pub(crate) fn forget_origin(&mut self, row: Row) {
        self.unrecorded_origins.clear(row as usize);
        self.unrecorded_losses.clear(row as usize);
        self.split().0.remove_origin(row);
        self.tell(Fact::Forgotten { row });
    }

    /// The application is to be told that these will not come.
    pub(crate) fn note_gap(&mut self, row: Row, first: u64, last: u64) {
        self.stats.gapped += last - first + 1;
        if let Some(origin) = self.origins.get_mut(row) {
            let (start, end) = origin.gap.unwrap_or((first, last));
            origin.gap = Some((start.min(first), end.max(last)));
            origin.last_gap = origin.gap;
            origin.kept_since = self.now;
            self.untold_gaps.set(row as usize);
            self.unrecorded_origins.set(row as usize);
            if self.gate.is_enabled() {
                self.unrecorded_losses.set(row as usize);
            }
        }
    }

    /// Gives up everything up to a number, seen or not, for what is known to have been given up before.
    pub(crate) fn lose_all(&mut self, row: Row, upto: u64) {
        if let Some(first) = self.origins.get(row).map(|origin| origin.top + 1).filter(|&first| first <= upto) {
            self.lose_range(row, first..=upto, upto);
        }
    }

    /// Nobody has what is missing of an origin up to a number.
    pub(super) fn lose(&mut self, row: Row, upto: u64) {
        let Some(hole) = self.origins.get(row).and_then(|origin| origin.first_hole()) else { return };
        let upto = upto.min(*hole.end());
        self.lose_range(row, hole, upto);
        order::release(&mut self.origins, &mut self.messages, row);
    }

    /// Gives up what is older than the horizon, and forgets origins that were silent for long.
    pub(crate) fn sweep(&mut self) {
        let horizon = self.config.timing.horizon;
        self.sweep_at = self.now + horizon / 8;
        let limit = u32::try_from(horizon.as_millis()).unwrap_or(u32::MAX);
        let mut next = 0;
        while let Some(slot) = self.messages.next_older(next, self.now, limit) {
            next = slot + 1;
            if self.may_give_up(slot) {
                self.give_up(slot);
            }
        }
        self.sweep_assemblies();
        self.sweep_origins();
    }

    fn sweep_origins(&mut self) {
        // A record of what was seen must outlive the records of the messages that it calls seen: rows wait for the next
        // sweep.
        if self.messages.next_unremoved().is_some() || !self.purged.is_empty() {
            return;
        }
        for row in 0..self.config.limits.origins {
            if !self.is_silent(row) {
                continue;
            }
            self.origins.retire(row);
            if !self.is_forgettable(row) {
                continue;
            }
            if self.gate.is_enabled() {
                // The row goes when its removal is handed out.
                self.unrecorded_origins.set(row as usize);
            } else {
                self.forget_origin(row);
            }
        }
    }

    /// Whether nothing holds the row of an origin any more, and its origin has been silent for 5/4 of the horizon.
    fn is_silent(&self, row: Row) -> bool {
        let patience = self.config.timing.forgets_after();
        self.origins.get(row).is_some_and(|origin| {
            origin.held.is_empty()
                && origin.gap.is_none()
                && origin.first_hole().is_none()
                && self.now.saturating_since(origin.heard) >= patience
        })
    }

    /// Whether an origin is silent, and what was told of it does not bind any more.
    pub(crate) fn is_forgettable(&self, row: Row) -> bool {
        let patience = self.config.timing.forgets_after();
        let binds = |origin: &Origin| self.now.saturating_since(origin.kept_since) < patience;
        row != self.own_row && self.is_silent(row) && !self.origins.get(row).is_some_and(binds)
    }
}
