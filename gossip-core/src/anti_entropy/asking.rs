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
        let turn = self.turns[to.row()] as usize;
        if self.wishes(cx, turn).next().is_some() {
            let written = packet.list(Kind::PULL, self.wishes(cx, turn));
            if written == 0 {
                return Err(Full);
            }
            cx.stats.pulls_sent += self.wishes(cx, turn).take(written).map(|range| range.more + 1).sum::<u64>();
            self.turns[to.row()] = next_turn(turn, written, self.lacking.len_set()) as u32;
        }
        self.asked.clear(to.row());
        Ok(())
    }

    /// What to ask for: holes that are old enough. The first hole of each origin goes before any other, as it is what
    /// verdicts are about. Each link is asked on from where its last pull ended: with one turn for all of them, as many
    /// links as origins would ask each link for the same origin for ever.
    fn wishes<'a>(&'a self, cx: &'a Cx<'_>, turn: usize) -> impl Iterator<Item = Wanted> + 'a {
        let turn = turn % self.lacking.len_set().max(1);
        let rows = move || self.lacking.iter().skip(turn).chain(self.lacking.iter().take(turn));
        let (origins, now, grace) = (&*cx.origins, cx.now, self.grace);
        let ripe = move |row| origins.get(row as Row).filter(|origin| now >= origin.hole_since + grace);
        let lacking = move || rows().filter_map(ripe);
        // What lies beyond all that was seen is probably under way, as long as more comes.
        let holes = move |origin: &'a Origin| {
            let end = if now < origin.progress + grace { origin.highest() } else { u64::MAX };
            origin.holes().take_while(move |hole| *hole.start() <= end)
        };
        let first = lacking().flat_map(move |origin| holes(origin).take(1).map(|hole| wanted(origin, &hole)));
        let others = lacking().flat_map(move |origin| holes(origin).skip(1).map(|hole| wanted(origin, &hole)));
        first.chain(others).take(RANGES_MAX)
    }
}

/// Where the next pull begins, after one that named so many holes: behind the origins whose first hole it named.
const fn next_turn(turn: usize, named: usize, origins: usize) -> usize {
    turn.wrapping_add(if named < origins { named } else { 1 })
}

fn wanted(origin: &Origin, hole: &RangeInclusive<u64>) -> Wanted {
    Wanted {
        origin: origin.node,
        incarnation: origin.incarnation,
        first: *hole.start(),
        more: hole.end() - hole.start(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_is_asked_for_the_first_hole_of_every_origin_in_as_few_pulls_as_hold_them() {
        for origins in 1..200_usize {
            for named in 1..=RANGES_MAX {
                let mut turn = 7;
                let mut asked = alloc::vec![false; origins];
                for _ in 0..origins.div_ceil(named) {
                    (turn..turn + named.min(origins)).for_each(|place| asked[place % origins] = true);
                    turn = next_turn(turn, named, origins);
                }
                assert!(asked.iter().all(|&asked| asked), "{origins} origins, {named} in a pull: {asked:?}");
            }
        }
    }
}
