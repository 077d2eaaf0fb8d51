//! Who is behind: roots and pages in, roots and pages out, and what they make this node owe.

use super::Register;
use crate::ids::{Incarnation, NodeId};
use crate::members::{Member, Row};
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::wire::{Kind, Page, PageHead, RegisterFrontier, Root};

/// Rows that fit into about two pages of 1,200 bytes.
const ROWS_FEW: u32 = 64;

impl Register {
    pub(crate) fn on_root(&mut self, cx: &mut Cx<'_>, from: PeerIdx, root: Root) {
        if root.sum != cx.members.root() {
            self.comparison.on_difference(cx.now, cx.peers, from);
        }
    }

    pub(crate) fn on_frontiers(&mut self, cx: &mut Cx<'_>, from: PeerIdx, page: &Page<'_, RegisterFrontier>) {
        if !self.repair {
            return;
        }
        let mut behind = false;
        let mut next = page.head.node;
        for entry in page.entries.iter() {
            self.owe_unlisted(cx, from, next, Some(entry.owner));
            behind |= self.compare(cx, from, &entry);
            let Some(after) = entry.owner.0.checked_add(1) else { break };
            next = NodeId(after);
        }
        if !page.more {
            self.owe_unlisted(cx, from, next, None);
        }
        if behind {
            // Whatever the peer wrote: an owner has one row here, in which life so ever.
            let head = PageHead { node: page.head.node, incarnation: Incarnation(0) };
            self.comparison.reply(cx.now, cx.peers, from, head);
        }
        if page.more {
            self.comparison.owe_root(cx.peers, from);
        }
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
    }

    /// The peer does not know these owners at all.
    fn owe_unlisted(&mut self, cx: &Cx<'_>, to: PeerIdx, from: NodeId, end: Option<NodeId>) {
        for (row, member) in cx.members.from(from) {
            if end.is_some_and(|end| member.node >= end) {
                return;
            }
            if is_listed(member) {
                self.owe_owner(cx, to, row, 0);
                if member.status > 0 {
                    self.statuses.set(to.row(), row as usize);
                }
            }
        }
    }

    /// Compares one entry of a page. True if this node is behind.
    fn compare(&mut self, cx: &mut Cx<'_>, from: PeerIdx, entry: &RegisterFrontier) -> bool {
        let Some(row) = cx.members.find(entry.owner) else { return true };
        let Some(member) = cx.members.get(row) else { return true };
        if entry.incarnation == member.incarnation && entry.status < member.status {
            self.owe_status(from, row, member.is_gone());
        }
        let here = (member.incarnation, member.complete);
        let there = (entry.incarnation, entry.complete);
        if here.0 > there.0 {
            // It may have no registers yet that would tell of its later life.
            self.owe_status(from, row, member.is_gone());
            self.owe_owner(cx, from, row, 0);
        } else if here > there {
            let start = if there.1 < member.floor { 0 } else { there.1 };
            self.owe_owner(cx, from, row, start);
        }
        here < there && entry.owner != cx.me.node
    }

    /// Owes everything of an owner that is newer than `after`.
    fn owe_owner(&mut self, cx: &Cx<'_>, to: PeerIdx, owner: Row, after: u64) {
        let mut last = 0;
        for (slot, register) in self.table.of(cx.members, owner) {
            last = register.version.number;
            if last > after {
                self.owed.set(to.row(), slot as usize);
            }
        }
        let behind_floor = |member: &Member| after < member.floor;
        if cx.members.get(owner).is_some_and(|member| member.complete > last || behind_floor(member)) {
            self.closings.set(to.row(), owner as usize);
        }
    }

    /// Where the pages for a new link begin: at the start, as long as one or two of them hold the whole table.
    pub(super) fn first_page(&mut self, cx: &Cx<'_>) -> PageHead {
        let rows = cx.members.len() as u32;
        let drawn = self.rng.below(rows.max(1));
        let member = cx.members.circle(drawn.into()).next().filter(|_| rows > ROWS_FEW);
        member.map_or(PageHead::START, |(_, member)| PageHead { node: member.node, incarnation: Incarnation(0) })
    }

    pub(super) fn write_comparison(
        &mut self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        while let Some(head) = self.comparison.owed_page(to) {
            let entries = cx.members.from(head.node).filter(|(_, member)| is_listed(member)).map(|(_, member)| {
                let Member { node: owner, incarnation, complete, status, .. } = *member;
                RegisterFrontier { owner, incarnation, complete, status }
            });
            let paged = packet.page(Kind::REGISTER_FRONTIERS, &head, entries)?;
            let last = cx.members.from(head.node).filter(|(_, member)| is_listed(member)).nth(paged.entries.max(1) - 1);
            let next = last.filter(|_| paged.more).and_then(|(_, member)| member.node.0.checked_add(1));
            let next = next.map(|node| PageHead { node: NodeId(node), incarnation: Incarnation(0) });
            self.comparison.page_written(to, next);
        }
        if self.comparison.owes_root(to) {
            packet.frame(Kind::REGISTER_ROOT, &Root { sum: cx.members.root(), rows: cx.members.len() as u32 })?;
            self.comparison.root_written(to);
        }
        Ok(())
    }
}

/// Whether a page lists this row: who stands, and has published something.
const fn is_listed(member: &Member) -> bool {
    member.complete > 0 && !member.is_gone()
}
