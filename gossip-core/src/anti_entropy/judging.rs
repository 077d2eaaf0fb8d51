//! When a hole is given up.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::AntiEntropy;
use crate::peer::{PeerIdx, bit};
use crate::protocol::{Cx, Fact};
use crate::store::{Origin, Origins, Row};
use crate::wire::{Absence, Absent, Frontier, List};

/// What the links said about the first hole of an origin; void when the hole has moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    /// The `top` below the hole that was asked about.
    top: u64,
    /// Links that had it once: one bit for each row.
    gone: u64,
    /// Links that lack it too.
    lacking: u64,
    /// What they said is true of all of the hole up to here.
    upto: u64,
}

impl Verdict {
    pub(super) const NONE: Self = Self { top: u64::MAX, gone: 0, lacking: 0, upto: 0 };

    fn of(origin: &Origin) -> Self {
        Self { top: origin.top, gone: 0, lacking: 0, upto: u64::MAX }
    }

    fn hear(&mut self, peer: PeerIdx, why: Absence, last: u64) {
        let link = bit(peer.row());
        if why == Absence::Gone {
            self.gone |= link;
            self.lacking &= !link;
        } else if self.gone & link == 0 {
            self.lacking |= link;
        }
        self.upto = self.upto.min(last);
    }

    fn forget(&mut self, peer: PeerIdx) {
        self.gone &= !bit(peer.row());
        self.lacking &= !bit(peer.row());
    }

    /// Up to where the hole is lost, if it is, given the set of links. `patient` up to where it has been missing for so
    /// long that who lacks it now will not get it; 0 for nowhere.
    fn lost_upto(&self, links: u64, patient: u64) -> Option<u64> {
        let all_answered = (self.gone | self.lacking) & links == links;
        if links != 0 && self.gone & links == links {
            Some(self.upto)
        } else if all_answered && self.gone & links != 0 {
            Some(self.upto.min(patient)).filter(|&upto| upto > self.top)
        } else {
            None
        }
    }
}

impl AntiEntropy {
    pub(crate) fn on_absent(&mut self, cx: &mut Cx<'_>, from: PeerIdx, absences: List<'_, Absent>) {
        for absent in absences.iter() {
            let Some(row) = cx.origins.find(absent.origin, absent.incarnation) else { continue };
            let Some(origin) = cx.origins.get(row) else { continue };
            if (absent.first..=absent.last()).contains(&(origin.top + 1)) {
                self.hear(cx, from, row, absent.why, absent.last());
                self.pull_at = self.pull_at.min(cx.now + self.pull_period);
            }
        }
    }

    /// What an entry of a page says about the first hole.
    pub(super) fn judge_entry(&mut self, cx: &Cx<'_>, from: PeerIdx, row: Row, entry: &Frontier<'_>) {
        let Some(origin) = cx.origins.get(row) else { return };
        let first = origin.top + 1;
        if entry.low > first {
            self.hear(cx, from, row, Absence::Gone, entry.low - 1);
        } else if entry.top < first && !entry.runs().any(|run| run.contains(&first)) {
            let last = entry.runs().find(|run| *run.start() > first).map_or(u64::MAX, |run| run.start() - 1);
            self.hear(cx, from, row, Absence::Lacking, last);
        }
    }

    /// Takes an answer about the first hole. What is gone stays so, but who lacks it today may get it tomorrow: that counts
    /// only where it is said when patience has run out.
    fn hear(&mut self, cx: &Cx<'_>, from: PeerIdx, row: Row, why: Absence, last: u64) {
        let Some(origin) = cx.origins.get(row) else { return };
        if why != Absence::Gone && hole_age(cx, origin) < self.patience {
            return;
        }
        let verdict = &mut self.verdicts[row as usize];
        if verdict.top != origin.top {
            *verdict = Verdict::of(origin);
        }
        verdict.hear(from, why, last);
    }

    /// The next hole that is lost, if its loss can be told now.
    pub(super) fn next_lost(&self, cx: &Cx<'_>) -> Option<Fact> {
        let links = cx.peers.mask();
        self.lacking.iter().find_map(|row| {
            let origin = cx.origins.get(row as Row)?;
            let hole = origin.first_hole()?;
            let age = hole_age(cx, origin);
            // What is missing beyond the mark has not been missing for so long.
            let upto = if age >= self.horizon {
                origin.hole_mark
            } else {
                let verdict = Some(self.verdicts[row]).filter(|verdict| verdict.top == origin.top)?;
                verdict.lost_upto(links, if age >= self.patience { origin.hole_mark } else { 0 })?
            };
            let upto = upto.min(*hole.end());
            let begins = cx.messages.loss_begins(cx.origins, row as Row, *hole.start());
            let tellable = origin.gap.is_none_or(|(_, last)| last + 1 == begins);
            (tellable && upto >= *hole.start()).then_some(Fact::Lost { row: row as Row, upto })
        })
    }

    /// Whether the first hole of an origin is among these numbers, and somebody has said that it is gone.
    pub(crate) fn is_on_trial(&self, origins: &Origins, row: Row, range: RangeInclusive<u64>) -> bool {
        let verdict = &self.verdicts[row as usize];
        verdict.gone != 0
            && origins.get(row).is_some_and(|origin| verdict.top == origin.top && range.contains(&(origin.top + 1)))
    }

    /// A row may be another origin's next: what was said about the one before does not count.
    pub(super) fn forget_verdict(&mut self, row: Row) {
        self.verdicts[row as usize] = Verdict::NONE;
        self.lacking.clear(row as usize);
    }

    /// A link began or ended: what was said over it before does not count.
    pub(super) fn forget_link(&mut self, peer: PeerIdx) {
        self.owed.clear_row(peer.row());
        self.asked.clear(peer.row());
        self.comparison.on_link_down(peer);
        if self.enabled {
            for verdict in &mut self.verdicts {
                verdict.forget(peer);
            }
        }
        self.forget_absences(peer);
    }
}

/// For how long the first missing number has been missing, at least.
fn hole_age(cx: &Cx<'_>, origin: &Origin) -> Duration {
    if origin.top < origin.hole_mark { cx.now.saturating_since(origin.hole_since) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_hole_is_lost() {
        // (links that say gone, links that lack it, all links, patient up to): lost up to?
        let table = [
            ((0b11, 0b00, 0b11, 0), Some(9)),
            ((0b01, 0b00, 0b11, 99), None),
            ((0b01, 0b10, 0b11, 0), None),
            ((0b01, 0b10, 0b11, 15), Some(9)),
            ((0b01, 0b10, 0b11, 7), Some(7)),
            ((0b01, 0b10, 0b11, 4), None),
            ((0b00, 0b11, 0b11, 99), None),
            ((0b11, 0b00, 0b00, 99), None),
            ((0b11, 0b00, 0b01, 0), Some(9)),
            ((0b10, 0b01, 0b01, 99), None),
        ];
        for ((gone, lacking, links, patient), lost) in table {
            let verdict = Verdict { top: 4, gone, lacking, upto: 9 };
            assert_eq!(verdict.lost_upto(links, patient), lost, "{gone:b} {lacking:b} {links:b} {patient}");
        }
    }
}
