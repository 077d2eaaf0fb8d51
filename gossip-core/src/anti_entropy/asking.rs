//! What is missing here, and whom to ask for it.

use core::ops::RangeInclusive;

use super::{AntiEntropy, RANGES_MAX};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::store::{Origin, Row};
use crate::wire::{Kind, Wanted};

impl AntiEntropy {
    /// Remembers that an origin has holes, and that they are to be asked for.
    pub(crate) fn note_holes(&mut self, cx: &Cx<'_>, row: Row) {
        if cx.origins.get(row).is_some_and(|origin| origin.first_hole().is_some()) {
            self.lacking.set(row as usize);
            self.pull_at = self.pull_at.min(cx.now + self.grace.max(self.pull_period));
        }
    }

    /// Asks the next link, if there is one.
    pub(super) fn ask_next(&mut self, cx: &mut Cx<'_>) {
        if let Some(peer) = cx.peers.after(self.last).filter(|_| self.enabled) {
            self.last = peer.row();
            self.asked.set(peer.row());
            cx.peers.mark(peer, Due::Repair);
        }
    }

    /// Forgets origins that have no holes any more. True if some have.
    pub(super) fn is_lacking(&mut self, cx: &Cx<'_>) -> bool {
        let mut at = self.lacking.first();
        while let Some(row) = at {
            if cx.origins.get(row as Row).is_none_or(|origin| origin.first_hole().is_none()) {
                self.lacking.clear(row);
            }
            at = self.lacking.next_wrapping(row + 1).filter(|&next| next > row);
        }
        !self.lacking.is_empty()
    }

    pub(super) fn write_pull(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        if !self.asked.contains(to.row()) {
            return Ok(());
        }
        if self.wishes(cx).next().is_some() {
            let written = packet.list(Kind::PULL, self.wishes(cx));
            if written == 0 {
                return Err(Full);
            }
            cx.stats.pulls_sent += self.wishes(cx).take(written).map(|range| range.more + 1).sum::<u64>();
            self.cursor = self.cursor.wrapping_add(1);
        }
        self.asked.clear(to.row());
        Ok(())
    }

    /// What to ask for: holes that are old enough. Another origin comes first in each pull, so that one with many holes does
    /// not keep out the others.
    fn wishes(&self, cx: &Cx<'_>) -> impl Iterator<Item = Wanted> {
        let (origins, now, grace) = (&*cx.origins, cx.now, self.grace);
        let turn = self.cursor % self.lacking.len_set().max(1);
        let rows = self.lacking.iter().skip(turn).chain(self.lacking.iter().take(turn));
        rows.filter_map(|row| origins.get(row as Row))
            .filter(move |origin| now >= origin.hole_since + grace)
            .flat_map(|origin| origin.holes().map(|hole| wanted(origin, &hole)))
            .take(RANGES_MAX)
    }
}

fn wanted(origin: &Origin, hole: &RangeInclusive<u64>) -> Wanted {
    Wanted {
        origin: origin.node,
        incarnation: origin.incarnation,
        first: *hole.start(),
        more: hole.end() - hole.start(),
    }
}
