//! Roots and pages in, roots and pages out, and the copies that they make this node owe.

use core::time::Duration;

use super::{AntiEntropy, SEQ_MAX, mark_if_owed};
use crate::ids::{Incarnation, NodeId};
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::storage::Grid;
use crate::store::{Messages, Origin, Row};
use crate::time::Instant;
use crate::wire::{Blob, Frontier, Kind, Page, PageHead, Root, RunsBuffer};

impl AntiEntropy {
    pub(crate) fn on_root(&mut self, cx: &mut Cx<'_>, from: PeerIdx, root: Root) {
        if root.sum == cx.origins.root() {
            // The peer has seen all that this node has, its own messages among it.
            cx.messages.share_all();
        } else if self.comparison.is_settled(cx.now) {
            self.comparison.on_difference(cx.now, cx.peers, from);
        } else {
            self.comparison.on_expected_difference(cx.peers, from);
        }
    }

    /// By its digest a peer differs in what is older than what digests name.
    pub(crate) fn on_older_difference(&mut self, cx: &mut Cx<'_>, from: PeerIdx) {
        if self.enabled {
            self.comparison.reply(cx.now, cx.peers, from, PageHead::START);
        }
    }

    pub(crate) fn on_frontiers(&mut self, cx: &mut Cx<'_>, from: PeerIdx, page: &Page<'_, Frontier<'_>>) {
        if !self.enabled {
            return;
        }
        let mut next = Some((page.head.node, page.head.incarnation));
        for entry in page.entries.iter() {
            let key = (entry.origin, entry.incarnation);
            if let Some(start) = next {
                self.owe_unlisted(cx, from, start, Some(key));
            }
            self.compare(cx, from, &entry);
            next = successor(key);
        }
        if page.more {
            self.comparison.owe_root(cx.peers, from);
        } else if let Some(start) = next {
            self.owe_unlisted(cx, from, start, None);
        }
    }

    /// The peer has no row for these origins.
    fn owe_unlisted(
        &mut self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        start: (NodeId, Incarnation),
        end: Option<(NodeId, Incarnation)>,
    ) {
        let newest = self.newest_to_push(cx.now);
        for (_, origin) in cx.origins.from(start.0, start.1) {
            if end.is_some_and(|end| (origin.node, origin.incarnation) >= end) {
                return;
            }
            let held = |_| true;
            if owe_held(&mut self.owed, cx.messages, origin, to, newest, held) {
                let head = PageHead { node: origin.node, incarnation: origin.incarnation };
                self.comparison.reply(cx.now, cx.peers, to, head);
            }
        }
        mark_if_owed(&self.owed, cx.peers, to);
    }

    /// Compares one entry of a page.
    fn compare(&mut self, cx: &mut Cx<'_>, from: PeerIdx, entry: &Frontier<'_>) {
        let highest = entry.runs().last().map_or(entry.top, |run| *run.end());
        if highest >= SEQ_MAX || entry.low > entry.top + 1 {
            cx.stats.refused_form += 1;
            return;
        }
        let Some(row) = self.row_for(cx, entry, highest) else { return };
        cx.origins.name_again(row, highest);
        let own = (entry.origin, entry.incarnation) == (cx.me.node, cx.me.incarnation);
        if own {
            share_own(cx, row, entry);
        } else {
            cx.origins.mention(cx.now, row, highest);
            self.note_holes(cx, row);
            self.judge_entry(cx, from, row, entry);
        }
        let Some(origin) = cx.origins.get(row) else { return };
        let lacks = |seq| seq > entry.top && !entry.runs().any(|run| run.contains(&seq));
        let newest = self.newest_to_push(cx.now);
        if owe_held(&mut self.owed, cx.messages, origin, from, newest, lacks) && highest < origin.highest() {
            let head = PageHead { node: origin.node, incarnation: origin.incarnation };
            self.comparison.reply(cx.now, cx.peers, from, head);
        }
        mark_if_owed(&self.owed, cx.peers, from);
    }

    /// The row of an origin that a page names; made where there is none, unless it would be forgotten at once.
    fn row_for(&self, cx: &mut Cx<'_>, entry: &Frontier<'_>, highest: u64) -> Option<Row> {
        if let Some(row) = cx.origins.find(entry.origin, entry.incarnation) {
            return Some(row);
        }
        let idle = Duration::from_millis(entry.idle_ms.into());
        let own = (entry.origin, entry.incarnation) == (cx.me.node, cx.me.incarnation);
        // Where both have seen of it, but not the same, who has seen less is told so, even if it is too late for the rest.
        let forgotten = cx.forgotten(entry.origin, entry.incarnation);
        let is_late = idle >= self.horizon && forgotten.is_none_or(|top| top == highest);
        if own || is_late {
            return None;
        }
        let Some(row) = cx.insert_origin(entry.origin, entry.incarnation, idle) else {
            cx.stats.refused_origin += 1;
            return None;
        };
        let is_new = cx.origins.get(row).is_some_and(|origin| origin.top == 0);
        if idle >= self.horizon / 2 && is_new {
            cx.origins.pass_over(cx.now, row, entry.low.saturating_sub(1));
        }
        Some(row)
    }

    /// What was accepted later is not sent unasked.
    fn newest_to_push(&self, now: Instant) -> Instant {
        now.before(self.grace)
    }

    pub(super) fn write_comparison(
        &mut self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        if let Some(head) = self.comparison.owed_page(to) {
            let paged = write_page(cx, &head, packet)?;
            self.comparison.page_written(to, paged);
        }
        if self.comparison.owes_root(to) {
            packet.frame(Kind::ROOT, &Root { sum: cx.origins.root(), rows: cx.origins.len() as u32 })?;
            self.comparison.root_written(to);
        }
        Ok(())
    }
}

/// A page of frontiers from `head` on. Where the next one begins, if there is one.
fn write_page(cx: &mut Cx<'_>, head: &PageHead, packet: &mut Packer<'_>) -> Result<Option<PageHead>, Full> {
    let (origins, me) = (&*cx.origins, cx.me);
    let rows = || origins.from(head.node, head.incarnation).map(|(_, origin)| origin);
    let paged = packet.page(Kind::FRONTIERS, head, rows().map(|origin| Entry { cx, origin }))?;
    if rows().take(paged.entries).any(|origin| (origin.node, origin.incarnation) == (me.node, me.incarnation)) {
        cx.messages.mentioned(cx.now);
    }
    let last = rows().nth(paged.entries.max(1) - 1).filter(|_| paged.more);
    let next = last.and_then(|origin| successor((origin.node, origin.incarnation)));
    Ok(next.map(|(node, incarnation)| PageHead { node, incarnation }))
}

/// An origin, to be written as a [`Frontier`]: the runs are made when it is.
struct Entry<'a> {
    cx: &'a Cx<'a>,
    origin: &'a Origin,
}

impl serde::Serialize for Entry<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, origin) = (self.cx, self.origin);
        let runs = RunsBuffer::new(origin.top, origin.seen_runs());
        let idle = cx.now.saturating_since(origin.heard).as_millis();
        let frontier = Frontier {
            origin: origin.node,
            incarnation: origin.incarnation,
            low: low(cx, origin),
            top: origin.top,
            idle_ms: u32::try_from(idle).unwrap_or(u32::MAX),
            runs: Blob(runs.as_bytes()),
        };
        frontier.serialize(serializer)
    }
}

/// Everything below this number is not held, and never will be.
fn low(cx: &Cx<'_>, origin: &Origin) -> u64 {
    let end = origin.top + 1;
    cx.messages.lowest(origin.held).map_or(end, |lowest| lowest.min(end))
}

/// Owes the held messages of an origin that the peer lacks, unless they are too young. Whether there are others: of a larger
/// message the first chunk alone is sent unasked, as several neighbors would send all of it; who has begun with it asks for
/// the others, once no more of it comes by itself.
fn owe_held(
    owed: &mut Grid,
    messages: &Messages,
    origin: &Origin,
    to: PeerIdx,
    newest: Instant,
    lacks: impl Fn(u64) -> bool,
) -> bool {
    let mut others = false;
    for (slot, message) in messages.held(origin.held) {
        if message.accepted_at > newest || !lacks(message.id.seq) {
            continue;
        }
        if message.chunk.index == 0 {
            owed.set(to.row(), slot as usize);
        } else {
            others = true;
        }
    }
    others
}

/// What a peer has of this node's own messages is not this node's alone any more.
fn share_own(cx: &mut Cx<'_>, row: Row, entry: &Frontier<'_>) {
    let Some(origin) = cx.origins.get(row) else { return };
    let mut at = origin.held.front();
    while let Some(slot) = at {
        at = cx.messages.next_held(origin.held, slot);
        let has = |seq| seq <= entry.top || entry.runs().any(|run| run.contains(&seq));
        let Some(message) = cx.messages.get(slot).filter(|message| message.unshared && message.chunk.index == 0) else {
            continue;
        };
        let (first, last) = (message.first(), message.last());
        if (first..=last).all(has) {
            cx.messages.share_chunks(row, first, last);
        }
    }
}

/// The key after `key`; none after the last.
fn successor((node, incarnation): (NodeId, Incarnation)) -> Option<(NodeId, Incarnation)> {
    match incarnation.0.checked_add(1) {
        Some(incarnation) => Some((node, Incarnation(incarnation))),
        None => Some((NodeId(node.0.checked_add(1)?), Incarnation(0))),
    }
}
