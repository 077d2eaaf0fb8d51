//! Whether every message stands in the lines that its stage says, and in no other.

use super::{Message, Messages, Slot, Stage};
use crate::store::origins::{Freshness, Origin, Origins, Row};

impl Messages {
    /// Whether there is a message, and it is not being removed.
    pub(crate) fn is_kept(&self, slot: Slot) -> bool {
        self.slots.get(slot).is_some_and(|message| message.stage != Stage::Removing)
    }

    /// Panics where a message stands in another line than its stage says, or a sum is wrong.
    pub(crate) fn check_invariants(&self, origins: &Origins) {
        self.slots.check_invariants();
        self.index.check_invariants();
        for links in [&self.arrival_links, &self.held_links, &self.order_links, &self.record_links] {
            links.check_invariants();
        }
        for (list, links) in [
            (self.arrival, &self.arrival_links),
            (self.unshared, &self.arrival_links),
            (self.assembling, &self.arrival_links),
            (self.ready, &self.order_links),
            (self.unstored, &self.record_links),
            (self.unremoved, &self.record_links),
        ] {
            list.check_invariants(links);
        }
        let count = |fits: fn(&Message) -> bool| self.slots.iter().filter(|(_, message)| fits(message)).count();
        let is_kept = |message: &Message| message.stage != Stage::Removing;
        assert_eq!(count(|message| message.unshared), self.unshared.len(), "how many messages are unshared");
        assert_eq!(count(|message| message.stage != Stage::Removing), self.kept as usize, "how many messages are kept");
        assert!(self.kept <= self.kept_max, "more messages than the limit");
        assert_eq!(count(|message| message.stage == Stage::Ready), self.ready.len(), "the line of those ready");
        assert_eq!(count(|message| message.stage == Stage::Removing), self.unremoved.len(), "the line of removals");
        let assembling = count(|message| message.assembling);
        assert_eq!(assembling, self.assembling.len(), "the line of those that assemble");
        let here: usize = self.assemblies.rows.iter().map(|(_, assembly)| usize::from(assembly.here)).sum();
        assert_eq!(here, assembling, "chunks of messages that are incomplete");
        assert_eq!(count(|message| message.unseen), self.unseen as usize, "chunks that were taken for unseen");
        let arrived = count(|message| message.stage != Stage::Removing && !message.unshared && !message.assembling);
        assert_eq!(arrived, self.arrival.len(), "the line of arrival");
        let bytes: usize = self.slots.iter().map(|(_, message)| message.blob.len()).sum();
        assert_eq!(bytes, self.bytes as usize, "the bytes of all messages");
        assert!(self.bytes <= self.bytes_max, "more bytes than the limit");
        for (slot, message) in self.slots.iter().filter(|(_, message)| is_kept(message)) {
            self.check_message(origins, slot, message);
        }
        let kept = self.slots.iter().filter(|(_, message)| is_kept(message)).count();
        self.check_assemblies(origins);
        let held: usize = origins.iter().map(|(row, origin)| self.check_lines(row, origin)).sum();
        assert_eq!(held, kept, "messages in the lines of their origins");
    }

    /// What is set aside is what the messages take that are incomplete, and each of them lacks something.
    fn check_assemblies(&self, origins: &Origins) {
        self.assemblies.check_invariants();
        let mut reserved = 0;
        for (_, assembly) in self.assemblies.rows.iter() {
            let (row, first) = (assembly.row, assembly.first);
            let here = (first..=assembly.last).filter(|&seq| {
                let message = self.find(row, seq).and_then(|slot| self.slots.get(slot));
                message.is_some_and(|message| message.assembling && assembly.has(message))
            });
            assert_eq!(here.count(), usize::from(assembly.here), "chunks of message {first} of row {row}");
            assert!(u64::from(assembly.here) <= assembly.last - first, "message {first} of row {row} is complete");
            assert!(assembly.here > 0, "no chunk of message {first} of row {row} is here");
            reserved += u64::from(assembly.reserved);
        }
        assert_eq!(reserved, self.assemblies.reserved, "bytes set aside");
        let shares: u64 = origins.iter().map(|(_, origin)| u64::from(origin.assembling)).sum();
        assert_eq!(shares, reserved, "bytes set aside for all origins");
    }

    fn check_message(&self, origins: &Origins, slot: Slot, message: &Message) {
        let id = message.id;
        assert_eq!(self.find(message.row, id.seq), Some(slot), "{id} is not found under its number");
        let origin = origins.get(message.row).expect("a message has the row of its origin");
        assert_eq!(
            (origin.node, origin.incarnation),
            (id.origin, id.incarnation),
            "{id} has the row of another origin"
        );
        assert_eq!(origin.freshness(id.seq, u64::MAX), Freshness::Seen, "{id} is held but was not seen");
        assert!(self.held_links.is_linked(slot) || origin.held.len() == 1, "{id} is in no line of its origin");
        let is_part = message.stage == Stage::Part && !message.assembling;
        let first = self.find(message.row, message.first()).and_then(|slot| self.slots.get(slot));
        let leads =
            |first: &Message| matches!(first.stage, Stage::Ready | Stage::Waiting) && first.last() == message.last();
        assert!(!is_part || first.is_some_and(leads), "{id} is a part of a message that is in no line");
        let is_in_line = matches!(message.stage, Stage::Ready | Stage::Waiting);
        assert!(!is_in_line || self.view(slot).is_some(), "{id} is in a line, and a chunk of it is missing");
        assert!(is_in_line || !self.order_links.is_linked(slot), "{id} was delivered but stands in a line");
    }

    /// The lines of one origin ascend, and hold only what belongs there. Returns how many messages are held.
    fn check_lines(&self, row: Row, origin: &Origin) -> usize {
        for (list, links) in [(origin.held, &self.held_links), (origin.waiting, &self.order_links)] {
            list.check_invariants(links);
            let seqs = || list.iter(links).filter_map(|slot| self.slots.get(slot)).map(|message| message.id.seq);
            assert!(seqs().zip(seqs().skip(1)).all(|(one, next)| one < next), "a line of row {row} does not ascend");
            assert_eq!(seqs().count(), list.len(), "a line of row {row} leads through an empty slot");
        }
        let waits = |slot: Slot| {
            let message = self.slots.get(slot);
            message.is_some_and(|message| message.row == row && message.stage == Stage::Waiting)
        };
        assert!(origin.waiting.iter(&self.order_links).all(waits), "one on the bench of row {row} does not wait");
        let waiting = self.held(origin.held).filter(|(_, message)| message.stage == Stage::Waiting).count();
        assert_eq!(waiting, origin.waiting.len(), "the bench of row {row}");
        assert!(self.held(origin.held).all(|(_, message)| message.row == row), "row {row} holds what is another's");
        origin.held.len()
    }
}
