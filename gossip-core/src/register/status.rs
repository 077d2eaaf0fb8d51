//! What is said about members, on its way: certificates of death, refutations, and who has left.
//!
//! What status a member has is judged by the [`failure detector`](crate::failure_detector); here it only travels. News goes to
//! every link, gathered like changes of registers, and what gets lost is found by the comparison of tables: a peer that lists
//! a member with a lower status, or in an earlier life, is told the higher one. A death that is told so late is an *accusation*: the reader
//! looks for itself before it believes it. (After a split has healed, the tables of either side hold the other side's
//! members dead.)

use core::time::Duration;

use super::Register;
use crate::members::Row;
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::storage::Grid;
use crate::time::micros;
use crate::wire::{Kind, List, MemberStatus};

impl Register {
    /// The status of a member has changed here: everybody shall know.
    ///
    /// It goes out after a while that is drawn by chance. So who waits longer hears it meanwhile from most of its links and
    /// need not tell them, and deaths that come together travel together.
    pub(super) fn spread_status(&mut self, cx: &Cx<'_>, member: Row) {
        for (peer, _) in cx.peers.iter() {
            self.statuses.set(peer.row(), member as usize);
            self.accusations.clear(peer.row(), member as usize);
        }
        let delay = Duration::from_micros(self.rng.range_micros(0, micros(self.status_delay)));
        self.flush_at = self.flush_at.min(cx.now + delay);
        self.comparison.note_news(cx.now);
    }

    /// A peer tells of members. A later life voids what the earlier one wrote.
    pub(crate) fn on_lives(&mut self, cx: &mut Cx<'_>, statuses: List<'_, MemberStatus>) {
        for said in statuses.iter() {
            if said.node == cx.me.node {
                self.note_own_life(cx.me, said.incarnation);
            } else if let Some(row) = cx.members.find(said.node) {
                self.adopt(cx, row, said.incarnation);
            }
        }
    }

    /// A link has begun: the later life of its far end counts here, or is told to it if it does not know of it.
    pub(super) fn compare_life(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let link = cx.peers.get(peer).map(|link| (link.node, link.incarnation));
        let Some((node, incarnation)) = link else { return };
        let Some(row) = cx.members.find(node) else { return };
        self.adopt(cx, row, incarnation);
        if let Some(member) = cx.members.get(row).filter(|member| member.incarnation > incarnation) {
            self.owe_status(peer, row, member.is_gone());
            self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
        }
    }

    /// A peer told statuses, which were judged by now: what it knows it need not hear, and what it should know it hears.
    pub(crate) fn on_statuses(&mut self, cx: &Cx<'_>, from: PeerIdx, statuses: List<'_, MemberStatus>) {
        for said in statuses.iter() {
            let Some(row) = cx.members.find(said.node) else { continue };
            let Some(member) = cx.members.get(row).filter(|member| member.incarnation == said.incarnation) else {
                continue;
            };
            if said.status >= member.status {
                self.statuses.clear(from.row(), row as usize);
                self.accusations.clear(from.row(), row as usize);
            } else {
                self.owe_status(from, row, member.is_gone());
            }
        }
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
    }

    /// A peer writes of a member as of one that stands, and it is gone.
    pub(super) fn accuse(&mut self, cx: &Cx<'_>, to: PeerIdx, member: Row) {
        self.owe_status(to, member, true);
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
    }

    pub(super) fn owe_status(&mut self, to: PeerIdx, member: Row, accuses: bool) {
        let grid = if accuses { &mut self.accusations } else { &mut self.statuses };
        grid.set(to.row(), member as usize);
    }

    pub(super) fn write_statuses(&mut self, cx: &Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        write(&mut self.statuses, Kind::STATUSES, cx, to, packet)?;
        write(&mut self.accusations, Kind::ACCUSATIONS, cx, to, packet)
    }
}

fn write(owed: &mut Grid, kind: Kind, cx: &Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
    while !owed.row_is_empty(to.row()) {
        let status = |row: usize| {
            let member = cx.members.get(row as Row)?;
            Some(MemberStatus { node: member.node, incarnation: member.incarnation, status: member.status })
        };
        let written = packet.list(kind, owed.columns_of(to.row()).filter_map(status));
        if written == 0 {
            return Err(Full);
        }
        for _ in 0..written {
            if let Some(row) = owed.next_in_row(to.row(), 0) {
                owed.clear(to.row(), row);
            }
        }
    }
    Ok(())
}
