//! Records out, and records in.

use alloc::vec::Vec;

use crate::config::Redelivery;
use crate::error::RestoreError;
use crate::gossip::Gossip;
use crate::ids::{Incarnation, MessageId, NodeId};
use crate::order;
use crate::persist::{Record, StoredRecord, Table, Value};
use crate::record;
use crate::store::{Freshness, NewMessage, Row, Slot, Stage, WINDOW_MAX};

/// The incarnation on record, if there is one.
pub(crate) fn last_incarnation(records: &[StoredRecord<'_>], id: NodeId) -> Result<Option<Incarnation>, RestoreError> {
    let mut last = None;
    for stored in records.iter().filter(|stored| stored.table == Table::Node) {
        let (node, incarnation) = record::read_node(stored.value)?;
        if node != id {
            return Err(RestoreError::OtherNode { node });
        }
        last = last.max(Some(incarnation));
    }
    Ok(last)
}

/// Where the record of a message is among records that are sorted.
fn position(records: &[StoredRecord<'_>], table: Table, id: MessageId) -> Result<usize, usize> {
    records.binary_search_by_key(&(table, Some(id)), |stored| (stored.table, record::read_message_key(stored.key)))
}

const fn malformed(table: Table) -> RestoreError {
    RestoreError::Malformed { table }
}

impl Gossip {
    // ---- out

    /// The next record. The order makes every prefix consistent: messages come before the frontier that calls them
    /// seen, and that comes before the removal of those that only it still remembers.
    pub(crate) fn next_record(&mut self) -> Option<Record> {
        if self.gate.owes_incarnation() {
            let head = record::node_value(self.me.node, self.me.incarnation);
            let seq = self.gate.number_incarnation();
            let value = Some(Value { head, body: bytes::Bytes::new() });
            return Some(Record { seq, table: Table::Node, key: heapless::Vec::new(), value });
        }
        self.next_message_record()
            .or_else(|| self.next_origin_record())
            .or_else(|| self.next_purge_record())
            .or_else(|| self.next_removal_record())
            .or_else(|| self.next_acknowledgement_record())
            .or_else(|| self.next_register_record())
    }

    fn next_origin_record(&mut self) -> Option<Record> {
        let row = self.unrecorded_origins.first()?;
        self.unrecorded_origins.clear(row);
        let origin = self.origins.get(row as Row)?;
        let key = record::origin_key(origin.node, origin.incarnation);
        let head = record::origin_value(origin, row as Row == self.own_row, self.clock, self.now);
        let mut value = Some(Value { head, body: bytes::Bytes::new() });
        if origin.retired && self.is_forgettable(row as Row) {
            // What is remembered of a member stays on record: its next life begins with that row, and forgets it again.
            let member = self.members.find(origin.node).and_then(|member| self.members.get(member));
            value = value.filter(|_| member.is_some_and(|member| member.incarnation == origin.incarnation));
            self.forget_origin(row as Row);
        }
        let seq = self.gate.number();
        if self.unrecorded_losses.contains(row) {
            self.unrecorded_losses.clear(row);
            self.messages.wait_for(row as Row, seq);
        }
        Some(Record { seq, table: Table::Origins, key, value })
    }

    fn next_message_record(&mut self) -> Option<Record> {
        let slot = self.messages.next_unstored()?;
        let message = self.messages.get(slot)?;
        let seq = self.gate.number();
        let key = record::message_key(message.id);
        let base = self.origins.get(message.row).map_or(0, |origin| origin.base);
        let head = record::message_head(message, base, self.clock, self.now);
        let value = Some(Value { head, body: message.blob().0.clone() });
        self.messages.stored(slot, seq);
        Some(Record { seq, table: Table::Messages, key, value })
    }

    /// Of an acknowledged message two records go: the acknowledgement first.
    fn next_removal_record(&mut self) -> Option<Record> {
        let slot = self.messages.next_unremoved()?;
        let message = self.messages.get_mut(slot)?;
        let (seq, key) = (self.gate.number(), record::message_key(message.id));
        let acknowledged = core::mem::take(&mut message.acknowledged);
        self.unrecorded_acknowledgements.clear(slot as usize);
        if acknowledged {
            return Some(Record { seq, table: Table::Acknowledged, key, value: None });
        }
        self.messages.removed(slot);
        Some(Record { seq, table: Table::Messages, key, value: None })
    }

    fn next_acknowledgement_record(&mut self) -> Option<Record> {
        let slot = self.unrecorded_acknowledgements.first()?;
        self.unrecorded_acknowledgements.clear(slot);
        let id = self.messages.get(slot as Slot)?.id;
        let value = Some(Value { head: heapless::Vec::new(), body: bytes::Bytes::new() });
        Some(Record { seq: self.gate.number(), table: Table::Acknowledged, key: record::message_key(id), value })
    }

    fn next_register_record(&mut self) -> Option<Record> {
        let (key, value) = self.protocols.registers.next_record()?;
        Some(Record { seq: self.gate.number(), table: Table::Registers, key, value })
    }

    // ---- in

    pub(crate) fn restore_records(&mut self, mut records: Vec<StoredRecord<'_>>) -> Result<(), RestoreError> {
        // Origins before messages, and messages by number: keys sort as bytes, numbers are little-endian.
        records.sort_by_key(|stored| (stored.table, record::read_message_key(stored.key)));
        for stored in records.iter().filter(|stored| stored.table == Table::Origins) {
            self.restore_origin(stored, false)?;
        }
        for stored in &records {
            match stored.table {
                Table::Node => {}
                Table::Origins => self.restore_origin(stored, true)?,
                Table::Messages => self.restore_message(stored, &records)?,
                Table::Registers => self.restore_register(stored)?,
                Table::Acknowledged => {}
            }
        }
        self.withdraw_worn();
        // So that it takes what the documentation says, and no more.
        self.purged.shrink_to_fit();
        Ok(())
    }

    /// One that fell silent long ago comes last, and only where there is room: it is remembered for the messages that are
    /// still on record, and forgotten by the first sweep that finds none.
    fn restore_origin(&mut self, stored: &StoredRecord<'_>, silent: bool) -> Result<(), RestoreError> {
        let origin = record::read_origin(stored.key, stored.value, self.clock).ok_or(malformed(Table::Origins))?;
        let kept = core::time::Duration::from_millis(origin.kept_ms.unwrap_or(0).min(origin.idle_ms).into());
        let is_silent = kept >= self.config.timing.forgets_after();
        if is_silent != silent || silent && self.origins.is_full() {
            return Ok(());
        }
        let row = self.restore_row(origin.node, origin.incarnation, origin.idle_ms, origin.kept_ms)?;
        self.origins.restore(row, origin.top, origin.known, origin.window);
        if let Some(row) = self.origins.get_mut(row) {
            row.fifo_done = origin.fifo_done;
            (row.gap, row.last_gap) = (origin.gap, origin.gap);
        }
        if origin.gap.is_some() {
            self.untold_gaps.set(row as usize);
        }
        Ok(())
    }

    /// The row of an origin that spoke `idle_ms` ago, or later: what was seen is recorded now and then, each message at
    /// once. It is kept since `kept_ms` ago; since now where that is not on record.
    fn restore_row(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        idle_ms: u32,
        kept_ms: Option<u32>,
    ) -> Result<Row, RestoreError> {
        let idle = core::time::Duration::from_millis(idle_ms.into());
        if let Some(row) = self.origins.find(node, incarnation) {
            if let Some(origin) = self.origins.get_mut(row) {
                origin.heard = origin.heard.max(self.now.before(idle));
            }
            return Ok(row);
        }
        let max = self.config.limits.origins;
        let row = self
            .split()
            .0
            .insert_origin(node, incarnation, idle)
            .ok_or(RestoreError::TooMany { table: Table::Origins, max })?;
        if let Some(origin) = self.origins.get_mut(row) {
            let kept = core::time::Duration::from_millis(kept_ms.unwrap_or(0).into());
            origin.kept_since = self.now.before(kept);
        }
        if kept_ms.is_none() {
            // The lives to come go on from this one.
            self.unrecorded_origins.set(row as usize);
        }
        Ok(row)
    }

    fn restore_message(&mut self, stored: &StoredRecord<'_>, records: &[StoredRecord<'_>]) -> Result<(), RestoreError> {
        let id = record::read_message_key(stored.key).ok_or(malformed(Table::Messages))?;
        let message = record::read_message(stored.value, self.clock).ok_or(malformed(Table::Messages))?;
        if message.base >= id.seq || u64::from(message.chunk.index) >= id.seq {
            return Err(malformed(Table::Messages));
        }
        let kept_ms = (id.origin != self.me.node).then_some(message.age_ms);
        let row = self.restore_row(id.origin, id.incarnation, message.age_ms, kept_ms)?;
        let acknowledged = position(records, Table::Acknowledged, id).is_ok();
        if self.origins.get(row).is_some_and(|origin| origin.is_told_lost(id.seq)) {
            // It was told as lost, and its removal did not get on record any more.
            self.purged.push((id, acknowledged));
            return Ok(());
        }
        let len = message.path.len() + message.payload.len();
        if !self.make_room_for_restored(len) {
            return Err(RestoreError::TooMany { table: Table::Messages, max: self.config.limits.messages });
        }
        self.origins.pass_over(self.now, row, message.base);
        self.see_restored(row, id.seq)?;
        let new = NewMessage {
            id,
            row,
            order: message.order,
            previous: message.previous,
            chunk: message.chunk,
            hops: message.hops,
            age_ms: message.age_ms,
            path: message.path,
            payload: message.payload,
            unshared: false,
        };
        let slot = self.messages.insert(self.now, &mut self.origins, &new).ok_or(malformed(Table::Messages))?;
        if let Some(message) = self.messages.get_mut(slot) {
            message.acknowledged = acknowledged;
        }
        self.messages.restored(slot);
        if new.chunk.is_whole() {
            self.readmit(slot, acknowledged);
        } else {
            let is_on_record = |id| position(records, Table::Messages, id).is_ok();
            if !self.is_worn(&new, is_on_record) {
                self.readmit_chunk(slot, &new);
            }
        }
        let (cx, protocols) = self.split();
        protocols.repair.note_holes(&cx, row);
        Ok(())
    }

    /// A message on record was seen, whatever the record of its origin says.
    fn see_restored(&mut self, row: Row, seq: u64) -> Result<(), RestoreError> {
        let freshness = self.origins.get(row).map(|origin| origin.freshness(seq, WINDOW_MAX));
        match freshness {
            Some(Freshness::New) => self.origins.see(self.now, row, seq),
            Some(Freshness::Seen) => {}
            // The window had moved on over what was given up, but that was not on record yet.
            Some(Freshness::Ahead) => {
                self.lose_all(row, seq - WINDOW_MAX);
                self.origins.see(self.now, row, seq);
            }
            None => return Err(malformed(Table::Messages)),
        }
        Ok(())
    }

    /// As [`Gossip::make_room`]; but so many may go at once that their removals cannot wait in the store.
    fn make_room_for_restored(&mut self, len: usize) -> bool {
        while !self.messages.has_room(1, len) {
            let oldest = self.messages.oldest_or_incomplete().find(|&slot| self.may_give_up(slot));
            let Some((slot, message)) = oldest.and_then(|slot| Some((slot, self.messages.get(slot)?))) else {
                return false;
            };
            let (row, lost) = (message.row, message.first()..=message.last());
            let delivered = message.stage == Stage::Delivered;
            self.purged.push((message.id, message.acknowledged));
            self.unrecorded_origins.set(row as usize);
            if !delivered {
                self.renounce(row, lost);
            }
            self.messages.remove(&mut self.origins, slot, false);
        }
        true
    }

    /// Whether a chunk of the same message was given up in the earlier life, after it was delivered or told as lost: it was
    /// seen, is not here, and no record of it is still to come.
    fn is_worn(&self, new: &NewMessage<'_>, is_on_record: impl Fn(MessageId) -> bool) -> bool {
        let Some(origin) = self.origins.get(new.row) else { return false };
        let last = new.first() + u64::from(new.chunk.count) - 1;
        (new.first()..=last).any(|seq| {
            let is_gone = || self.messages.find(new.row, seq).is_none() && !is_on_record(MessageId { seq, ..new.id });
            origin.freshness(seq, WINDOW_MAX) == Freshness::Seen && is_gone()
        })
    }

    /// Sends a restored message in again once all chunks of it are here. What was seen of it and is not here had been given up,
    /// after it was delivered or told as lost.
    fn readmit_chunk(&mut self, slot: Slot, new: &NewMessage<'_>) {
        let begins = self.origins.get(new.row).map(|origin| origin.freshness(new.first(), WINDOW_MAX));
        let is_open = new.chunk.index == 0 || self.messages.assembly(new.row, new.first()).is_some();
        if !is_open && begins == Some(Freshness::Seen)
            || !self.messages.reserve_restored(self.now, &mut self.origins, new)
        {
            return;
        }
        if let Some(first) = self.messages.assemble(self.now, &mut self.origins, slot) {
            let acknowledged = self.messages.get(first).is_some_and(|message| message.acknowledged);
            self.readmit(first, acknowledged);
        }
    }

    /// Of a message in chunks some of which were given up since they were seen, no more than these is left.
    fn withdraw_worn(&mut self) {
        let mut next = 0;
        while let Some((at, assembly)) = self.messages.next_assembly(next) {
            next = at + 1;
            let (row, first, last) = (assembly.row, assembly.first, assembly.last);
            let is_worn = self.origins.get(row).is_some_and(|origin| {
                let is_gone = |seq| self.messages.find(row, seq).is_none();
                (first..=last).any(|seq| origin.freshness(seq, WINDOW_MAX) == Freshness::Seen && is_gone(seq))
            });
            if is_worn {
                self.messages.withdraw(&mut self.origins, row, first, last);
            }
        }
    }

    /// What was not taken over from the records of the earlier life is removed from them.
    fn next_purge_record(&mut self) -> Option<Record> {
        let (id, acknowledged) = self.purged.last_mut()?;
        let key = record::message_key(*id);
        if core::mem::take(acknowledged) {
            return Some(Record { seq: self.gate.number(), table: Table::Acknowledged, key, value: None });
        }
        self.purged.pop();
        if self.purged.is_empty() {
            self.purged = Vec::new();
        }
        Some(Record { seq: self.gate.number(), table: Table::Messages, key, value: None })
    }

    /// Sends a restored message in again, if it is to be delivered again or never was.
    fn readmit(&mut self, slot: Slot, acknowledged: bool) {
        let again = self.config.redelivery == Redelivery::UntilAcknowledged && !acknowledged;
        if again || !order::may_enter_now(&self.origins, &self.messages, slot) {
            order::admit_whole(&mut self.origins, &mut self.messages, slot);
        } else {
            self.messages.pass(slot);
            order::pass(&mut self.origins, &self.messages, slot);
        }
    }

    fn restore_register(&mut self, stored: &StoredRecord<'_>) -> Result<(), RestoreError> {
        let key = core::str::from_utf8(stored.key).map_err(|_| malformed(Table::Registers))?;
        let (mut cx, protocols) = self.split();
        let set = protocols.registers.set(&mut cx, key, Some(stored.value));
        let max = self.config.limits.registers;
        set.map(drop).map_err(|_| RestoreError::TooMany { table: Table::Registers, max })
    }
}

#[cfg(test)]
mod tests {
    /// The figure that [`Limits::bytes`](crate::Limits::bytes) and [`Gossip::restore`](crate::Gossip::restore) tell.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn what_is_to_be_purged_takes_the_bytes_that_are_documented() {
        assert_eq!(size_of::<(crate::ids::MessageId, bool)>(), 32);
    }
}
