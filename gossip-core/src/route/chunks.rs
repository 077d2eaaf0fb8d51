//! Chunks of larger messages: which are let in, what goes for them, and what is lost with one of them.
//!
//! The clerk beside the counter who looks after half-finished letters. Before a part is let in, room for the whole letter is
//! set aside. When there is none, a letter at which nobody has worked for a while is sent back, to be asked for again; it is
//! not lost. Only where somebody has said already that a part is gone, the letter stays until all have spoken, or it would
//! begin anew, and the inquiry with it, again and again. And when a part is lost, the letter is: the application is told once, of all of it.

use core::ops::RangeInclusive;

use crate::gossip::Gossip;
use crate::order;
use crate::protocol::Fact;
use crate::store::{Assembly, Freshness, NewMessage, Origin, Reserved, Row, Slot, WINDOW_MAX};

/// For how many repair periods nobody works at a message before it may give way (our choice: some round trips of pulls).
const PATIENCE: u32 = 4;

/// What becomes of a message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is for the application, now or with others.
    Deliver,
    /// A chunk of a message that is lost here: others may want it.
    Keep,
    /// It is not let in.
    Refuse,
}

impl Gossip {
    /// Whether a message is let in, as far as its other chunks matter.
    pub(super) fn admission(&mut self, new: &NewMessage<'_>) -> Admission {
        let (row, first) = (new.row, new.first());
        if new.chunk.is_whole() {
            return Admission::Deliver;
        }
        let last = first + u64::from(new.chunk.count) - 1;
        let is_open = self.messages.assembly(row, first).is_some();
        if !is_open && !self.origins.get(row).is_some_and(|origin| origin.is_unseen(first..=last)) {
            return Admission::Keep;
        }
        let mut reserved = self.messages.reserve(self.now, &mut self.origins, new);
        if reserved == Reserved::NotNow {
            let patience = PATIENCE * self.config.timing.repair_period;
            let (origins, repair) = (&self.origins, &self.protocols.repair);
            let may_wait = |other: &Assembly| !repair.is_on_trial(origins, other.row, other.first..=other.last);
            if let Some(victim) = self.messages.victim(self.now, origins, new, patience, may_wait) {
                self.expire(&victim);
                reserved = self.messages.reserve(self.now, &mut self.origins, new);
            }
        }
        match reserved {
            Reserved::Yes => return Admission::Deliver,
            Reserved::NotNow => self.stats.refused_reassembly += 1,
            Reserved::Contradiction => self.stats.refused_form += 1,
            Reserved::Never => {
                self.stats.refused_store += 1;
                match self.messages.assembly(row, first) {
                    Some(assembly) => self.renounce(row, assembly.first..=assembly.last),
                    None => self.forgo(row, new.id.seq),
                }
            }
        }
        Admission::Refuse
    }

    /// Drops what is here of an incomplete message: it is asked for again. Where that cannot be, it is lost.
    fn expire(&mut self, assembly: &Assembly) {
        let (row, range) = (assembly.row, assembly.first..=assembly.last);
        let lowest = self.messages.next_part(assembly, assembly.first).map(|(seq, _)| seq);
        let could = |seq| self.origins.get(row).is_some_and(|origin| origin.could_unsee(seq));
        if !lowest.is_some_and(could) {
            return self.renounce(row, range);
        }
        self.stats.expired += 1;
        let mut from = assembly.first;
        while let Some((seq, slot)) = self.messages.next_part(assembly, from) {
            from = seq + 1;
            self.take_down(slot);
            self.messages.mark_unseen(slot);
            self.origins.unsee(self.now, row, seq);
        }
        self.messages.withdraw(&mut self.origins, row, assembly.first, assembly.last);
        self.unrecorded_origins.set(row as usize);
        let (cx, protocols) = self.split();
        protocols.repair.note_holes(&cx, row);
    }

    /// A message counts as lost, with all chunks that did not come, if that can be told now. Where some of its numbers are
    /// other messages, its first number alone: chunks that contradict others came from a liar.
    pub(crate) fn renounce(&mut self, row: Row, range: RangeInclusive<u64>) {
        let (first, last) = range.into_inner();
        if !self.may_tell_gap(row, first, last) {
            return;
        }
        let is_sound = self.messages.is_sound(&self.origins, row, first, last);
        let is_owed = is_sound || self.messages.undelivered(row, first) == Some((first, last));
        self.messages.withdraw(&mut self.origins, row, first, last);
        let last = if is_sound { last } else { first };
        if !is_owed || !self.may_tell_gap(row, first, last) {
            return;
        }
        self.origins.cross_off(self.now, row, first..=last);
        self.note_gap(row, first, last);
        order::release(&mut self.origins, &mut self.messages, row);
    }

    /// Numbers behind `top` are lost, and with them all messages of which they are chunks.
    pub(super) fn lose_range(&mut self, row: Row, hole: RangeInclusive<u64>, upto: u64) {
        let (first, mut last) = (self.messages.loss_begins(&self.origins, row, *hole.start()), upto);
        let behind = hole.end().checked_add(1).and_then(|seq| self.messages.undelivered(row, seq));
        for seq in [Some(first), behind.map(|(first, _)| first).filter(|&first| first <= upto)].into_iter().flatten() {
            let known = self.messages.assembly(row, seq).map(|assembly| (assembly.first, assembly.last));
            if let Some((from, to)) = known.filter(|&(from, to)| self.messages.is_sound(&self.origins, row, from, to)) {
                self.messages.withdraw(&mut self.origins, row, from, to);
                last = last.max(to);
            }
        }
        self.note_gap(row, first, last);
        self.origins.advance(self.now, row, last);
    }

    /// Messages whose chunks contradict others are never complete, and nothing of them is missing: they are lost.
    pub(super) fn sweep_assemblies(&mut self) {
        let mut next = 0;
        while let Some((at, assembly)) = self.messages.next_assembly(next) {
            next = at + 1;
            let is_seen = |origin: &Origin| {
                (assembly.first..=assembly.last).all(|seq| origin.freshness(seq, WINDOW_MAX) == Freshness::Seen)
            };
            if self.origins.get(assembly.row).is_some_and(is_seen) {
                self.renounce(assembly.row, assembly.first..=assembly.last);
            }
        }
    }

    /// Takes a message out of the store.
    pub(super) fn take_down(&mut self, slot: Slot) {
        self.stats.evicted += 1;
        self.tell(Fact::Evicted { slot });
        self.messages.remove(&mut self.origins, slot, self.gate.is_enabled());
        if self.messages.get(slot).is_none() {
            // It was never recorded, so nothing about it is.
            self.unrecorded_acknowledgements.clear(slot as usize);
        }
    }
}
