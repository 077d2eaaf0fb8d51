//! What to answer to a pull.

use super::{AntiEntropy, WORK_MAX, mark_if_owed};
use crate::broadcast::{len_max, pass_over};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::store::{Freshness, Row, Slot, WINDOW_MAX};
use crate::wire::{Absence, Absent, Kind, List, Wanted};

/// An answer that waits for its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwedAbsent {
    pub(super) to: PeerIdx,
    absent: Absent,
}

impl AntiEntropy {
    pub(crate) fn on_pull(&mut self, cx: &mut Cx<'_>, from: PeerIdx, pull: List<'_, Wanted>) {
        if !self.enabled {
            return;
        }
        let mut work = WORK_MAX;
        for wanted in pull.iter() {
            let row = cx.origins.find(wanted.origin, wanted.incarnation);
            let (mut first, last) = (wanted.first.max(1), wanted.last());
            while first <= last {
                let Some(left) = work.checked_sub(1) else {
                    cx.stats.refused_work += 1;
                    mark_if_owed(&self.owed, cx.peers, from);
                    return;
                };
                work = left;
                let end = match row {
                    Some(row) => self.answer_from(cx, from, row, &wanted, first..=last, &mut work),
                    None => self.cannot_send(cx, from, &wanted, first, last, Absence::Lacking),
                };
                let Some(next) = end.checked_add(1) else { break };
                first = next;
            }
        }
        mark_if_owed(&self.owed, cx.peers, from);
    }

    /// Answers the beginning of a range, as far as one answer reaches. Returns where that is.
    fn answer_from(
        &mut self,
        cx: &mut Cx<'_>,
        from: PeerIdx,
        row: Row,
        wanted: &Wanted,
        range: core::ops::RangeInclusive<u64>,
        work: &mut u32,
    ) -> u64 {
        let (first, last) = range.into_inner();
        let room = cx.room(from);
        match cx.messages.find(row, first) {
            Some(slot) if fits(cx, slot, room) => {
                self.owed.set(from.row(), slot as usize);
                return first;
            }
            Some(slot) => pass_over(cx, slot),
            None => {}
        }
        let Some(origin) = cx.origins.get(row) else { return last };
        // What is held and does not fit into any datagram on this way cannot be had here, as if it were gone.
        let cannot = |seq| match cx.messages.find(row, seq) {
            Some(slot) => (!fits(cx, slot, room)).then_some(Absence::Gone),
            None if origin.freshness(seq, WINDOW_MAX) == Freshness::Seen => Some(Absence::Gone),
            None => Some(Absence::Lacking),
        };
        let why = cannot(first).unwrap_or(Absence::Lacking);
        // Below the lowest held message, and beyond the highest known one, whole stretches have one answer.
        let lowest = cx.messages.lowest(origin.held).unwrap_or(u64::MAX);
        let mut end = match why {
            Absence::Gone if first <= origin.top => (lowest.saturating_sub(1)).min(origin.top).max(first),
            Absence::Lacking if first > origin.known => u64::MAX,
            _ => first,
        }
        .min(last);
        while end < last && *work > 0 && cannot(end + 1) == Some(why) {
            end += 1;
            *work -= 1;
        }
        self.cannot_send(cx, from, wanted, first, end, why)
    }

    fn cannot_send(
        &mut self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        wanted: &Wanted,
        first: u64,
        last: u64,
        why: Absence,
    ) -> u64 {
        let absent = Absent { origin: wanted.origin, incarnation: wanted.incarnation, first, more: last - first, why };
        // Without room the answer is dropped; the asker asks again.
        if self.has_room_for(to) && self.absences.insert(OwedAbsent { to, absent }).is_ok() {
            cx.peers.mark(to, Due::Repair);
        }
        last
    }

    /// A link has no more places than are free, so that there are always some for the others: those who ask at the wrong time
    /// would never be answered (dynamic thresholds; Choudhury and Hahne 1998).
    fn has_room_for(&self, to: PeerIdx) -> bool {
        let taken = self.absences.iter().filter(|(_, owed)| owed.to.row() == to.row()).count();
        taken < self.absences.capacity() - self.absences.len()
    }

    pub(super) fn write_absences(&mut self, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        while let Some((slot, absent)) = self.next_absence(|owed| owed.to == to) {
            if packet.list(Kind::ABSENT, [absent]) == 0 {
                return Err(Full);
            }
            self.absences.remove(slot);
        }
        Ok(())
    }

    pub(super) fn forget_absences(&mut self, peer: PeerIdx) {
        while let Some((slot, _)) = self.next_absence(|owed| owed.to.row() == peer.row()) {
            self.absences.remove(slot);
        }
    }

    fn next_absence(&self, fits: impl Fn(&OwedAbsent) -> bool) -> Option<(u32, Absent)> {
        self.absences.iter().find(|(_, owed)| fits(owed)).map(|(slot, owed)| (slot, owed.absent))
    }
}

/// Whether a message fits into a datagram with room for so many bytes of frames.
fn fits(cx: &Cx<'_>, slot: Slot, room: usize) -> bool {
    cx.messages.get(slot).is_some_and(|message| len_max(message) <= room)
}
