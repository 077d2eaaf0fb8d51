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
use crate::store::{Freshness, NewMessage, Row, Slot, Stage};
use crate::time::Instant;
use crate::wire::Data;

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
        let whole = data.chunk.0.is_empty() && data.predecessors.0.is_empty() && data.path.0.len() <= Path::MAX * 8;
        if !whole || id.seq == 0 || id.seq >= SEQ_MAX {
            return self.stats.refused_form += 1;
        }
        if u128::from(data.age_ms) >= self.config.timing.horizon.as_millis() {
            return self.stats.refused_old += 1;
        }
        let Some(row) = self.row_of(id) else { return self.stats.refused_origin += 1 };
        match self.origins.get(row).map(|origin| origin.freshness(id.seq, self.origins.window())) {
            Some(Freshness::New) => {}
            Some(Freshness::Ahead) => return self.on_ahead(row, id),
            Some(Freshness::Seen) | None => return self.on_duplicate(from, row, id, data.flags),
        }
        if self.is_own(id) {
            return self.stats.refused_forged += 1;
        }
        if !self.make_room(data.path.0.len() + data.payload.0.len()) {
            return self.stats.refused_store += 1;
        }
        let new = NewMessage {
            id,
            row,
            order,
            previous: data.previous,
            hops: data.hops,
            age_ms: data.age_ms,
            path: data.path.0,
            payload: data.payload.0,
            unshared: false,
        };
        self.stats.accepted += 1;
        self.accept(&new, from, data.flags, true);
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
            let born = Instant::from_micros(self.now.as_micros().saturating_sub(crate::time::micros(age)));
            origin.heard = origin.heard.max(born);
        }
        if self.gate.is_enabled() {
            self.messages.want_record(slot);
        }
        if deliver {
            order::admit(&mut self.origins, &mut self.messages, slot);
        } else {
            order::release(&mut self.origins, &mut self.messages, new.row);
        }
        self.tell(Fact::Accepted { slot, from, flags });
        Some(slot)
    }

    /// The row of a message's origin; made where there is none.
    fn row_of(&mut self, id: MessageId) -> Option<Row> {
        match self.origins.find(id.origin, id.incarnation) {
            Some(row) => Some(row),
            None if self.is_own(id) => None,
            None => self.origins.insert(self.now, id.origin, id.incarnation),
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
        self.stats.duplicates += 1;
        if let Some(slot) = self.messages.find(row, id.seq) {
            self.messages.share(slot);
            if let Some(from) = from {
                self.tell(Fact::Duplicate { slot, from, flags });
            }
        }
    }

    /// Makes room for `len` bytes, by giving up the oldest messages that may be given up.
    pub(crate) fn make_room(&mut self, len: usize) -> bool {
        while !self.messages.has_room(len) {
            // Who waits for its removal to be recorded has made room already.
            if self.messages.waits_for_records() {
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
        let Some(origin) = self.origins.get(message.row) else { return false };
        let seq = message.id.seq;
        message.stage == Stage::Delivered || origin.gap.is_none_or(|(first, last)| last + 1 == seq || first == seq + 1)
    }

    /// Takes a message out of the store for good.
    pub(crate) fn give_up(&mut self, slot: Slot) {
        let Some(message) = self.messages.get(slot) else { return };
        let (row, seq, delivered) = (message.row, message.id.seq, message.stage == Stage::Delivered);
        self.stats.evicted += 1;
        self.tell(Fact::Evicted { slot });
        self.messages.remove(&mut self.origins, slot, self.gate.is_enabled());
        if self.messages.get(slot).is_none() {
            // It was never recorded, so nothing about it is.
            self.unrecorded_acknowledgements.clear(slot as usize);
        }
        self.unrecorded_origins.set(row as usize);
        if !delivered {
            self.note_gap(row, seq, seq);
        }
    }

    /// The application is to be told that these will not come.
    pub(crate) fn note_gap(&mut self, row: Row, first: u64, last: u64) {
        self.stats.gapped += last - first + 1;
        if let Some(origin) = self.origins.get_mut(row) {
            let (start, end) = origin.gap.unwrap_or((first, last));
            origin.gap = Some((start.min(first), end.max(last)));
            origin.last_gap = origin.gap;
            self.untold_gaps.set(row as usize);
        }
    }

    /// Gives up everything up to a number, seen or not, for what is known to have been given up before.
    pub(crate) fn lose_all(&mut self, row: Row, upto: u64) {
        let Some(first) = self.origins.get(row).map(|origin| origin.top + 1).filter(|&first| first <= upto) else {
            return;
        };
        self.note_gap(row, first, upto);
        self.origins.advance(self.now, row, upto);
    }

    /// Nobody has what is missing of an origin up to a number.
    pub(super) fn lose(&mut self, row: Row, upto: u64) {
        let Some(hole) = self.origins.get(row).and_then(|origin| origin.first_hole()) else { return };
        let last = upto.min(*hole.end());
        self.note_gap(row, *hole.start(), last);
        self.origins.advance(self.now, row, last);
        self.unrecorded_origins.set(row as usize);
        order::release(&mut self.origins, &mut self.messages, row);
    }
}
