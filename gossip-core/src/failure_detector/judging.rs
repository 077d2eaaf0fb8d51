//! What is told about members, and what this node makes of it.
//!
//! # Intuition
//!
//! A rumor that somebody died. If it comes as news, from those who have looked, it is believed; but not by somebody who is
//! just talking to the deceased. If it stands in an old letter, one knocks at the door first. And who hears it about
//! himself says loudly that he lives.
//!
//! # Rules
//!
//! - A higher status that says *alive*, or *left*, is true: only the member itself can have said so.
//! - A certificate that comes as news is true, unless this node has a link with the member that is not in doubt.
//! - A death that stands in a table is an accusation. After a split each side holds the other one dead, and tables are
//!   the first thing that crosses.
//! - The accused is probed, with what is said of it. It answers with a status of its own that is higher: it *refutes*. If
//!   the burst is spent, the accusation is believed; if the accused is heard but does not answer, nothing is known.
//! - Who is said to be dead refutes, at once and as often as it is said.

use super::FailureDetector;
use super::suspicion::{Doubt, Stage};
use crate::ids::{Incarnation, NodeId};
use crate::members::{LEFT, Member, Row, is_gone};
use crate::peer::PeerIdx;
use crate::protocol::{Cx, Fact};
use crate::wire::{List, MemberStatus, Page, RegisterFrontier};

/// Higher ones are refused (but [`LEFT`]), so that a liar cannot exhaust the numbers.
const STATUS_MAX: u32 = 1 << 30;

/// Where something about a member was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    News,
    Table,
}

impl FailureDetector {
    pub(crate) fn on_statuses(&mut self, cx: &mut Cx<'_>, statuses: List<'_, MemberStatus>) {
        statuses.iter().for_each(|said| self.judge(cx, &said, Source::News));
    }

    pub(crate) fn on_accusations(&mut self, cx: &mut Cx<'_>, statuses: List<'_, MemberStatus>) {
        statuses.iter().for_each(|said| self.judge(cx, &said, Source::Table));
    }

    /// A page of somebody's table of members.
    pub(crate) fn on_table(&mut self, cx: &mut Cx<'_>, page: &Page<'_, RegisterFrontier>) {
        for entry in page.entries.iter() {
            let said = MemberStatus { node: entry.owner, incarnation: entry.incarnation, status: entry.status };
            self.judge(cx, &said, Source::Table);
        }
    }

    fn judge(&mut self, cx: &mut Cx<'_>, said: &MemberStatus, source: Source) {
        if said.status != LEFT && said.status > STATUS_MAX {
            cx.stats.refused_form += 1;
            return;
        }
        if said.node == cx.me.node {
            return self.answer_for_myself(cx, said.incarnation, said.status);
        }
        let Some(row) = cx.members.find(said.node) else { return };
        let Some(member) = cx.members.get(row) else { return };
        if member.incarnation != said.incarnation || member.status >= said.status {
            return;
        }
        if is_gone(said.status) && said.status != LEFT && (source == Source::Table || self.hears(cx, said.node)) {
            cx.stats.accusations += 1;
            cx.members.accuse(row, said.status);
        } else {
            cx.members.raise_status(cx.now, row, said.status);
        }
    }

    /// Whether there is a link with `node` that is not in doubt.
    fn hears(&self, cx: &Cx<'_>, node: NodeId) -> bool {
        cx.peers.find(node).is_some_and(|peer| self.links[peer.row()].case.is_none())
    }

    /// Somebody says what status this node has.
    pub(super) fn answer_for_myself(&mut self, cx: &mut Cx<'_>, incarnation: Incarnation, status: u32) {
        let Some(me) = cx.members.find(cx.me.node).filter(|_| incarnation == cx.me.incarnation) else { return };
        if status <= STATUS_MAX && cx.members.get(me).is_some_and(|member| member.status < status) {
            cx.stats.refutations += u64::from(is_gone(status));
            cx.members.raise_status(cx.now, me, status + status % 2);
        }
    }

    /// Somebody who is held dead has said something: it shall hear what is said of it.
    pub(crate) fn on_sign_of_life(&mut self, cx: &mut Cx<'_>, node: NodeId, incarnation: Incarnation) {
        let Some(row) = cx.members.find(node) else { return };
        let is_dead = |member: &Member| member.is_gone() && member.status != LEFT;
        let Some(member) = cx.members.get(row).filter(|member| is_dead(member) && member.incarnation == incarnation)
        else {
            return;
        };
        let status = member.status;
        cx.members.accuse(row, status);
    }

    /// Looks into accusations, as many at a time as there is room for.
    pub(crate) fn look_into_accusations(&mut self, cx: &mut Cx<'_>) {
        while self.cases.has_room()
            && let Some(row) = cx.members.next_accused()
        {
            self.look_into(cx, row);
        }
    }

    fn look_into(&mut self, cx: &mut Cx<'_>, row: Row) {
        let Some(member) = cx.members.get(row) else { return };
        let (node, incarnation, accused) = (member.node, member.incarnation, member.accused);
        let Some(address) = member.address else {
            // Nobody can look, so what is said has to do.
            cx.members.raise_status(cx.now, row, accused);
            return;
        };
        let doubt = Doubt { node, incarnation, address, own: false, accused };
        let is_suspect = |case: &super::suspicion::Case| case.node == node && case.stage == Stage::Suspect;
        match self.cases.find(is_suspect) {
            Some(_) => drop(cx.members.raise_status(cx.now, row, accused)),
            None => drop(self.open_case(cx, doubt)),
        }
    }

    /// The burst to an accused member is spent.
    pub(super) fn believe(&mut self, cx: &mut Cx<'_>, row: u32) -> Option<Fact> {
        let case = self.drop_case(cx, row)?;
        let spoke = case.link.and_then(|peer| cx.peers.get(peer)).is_some_and(|link| link.heard > case.began);
        if spoke {
            return None;
        }
        let row = cx.members.find(case.node)?;
        let member = cx.members.get(row).filter(|member| member.incarnation == case.incarnation)?;
        let was_gone = member.is_gone();
        cx.members.raise_status(cx.now, row, case.accused);
        case.link.filter(|_| was_gone).map(|peer| Fact::Silent { peer })
    }

    /// The status of a member has changed: what it answers is settled.
    pub(super) fn on_turned(&mut self, cx: &mut Cx<'_>, member: Row) {
        let Some(member) = cx.members.get(member) else { return };
        let (node, status) = (member.node, member.status);
        let Some(row) = self.cases.find(|case| case.node == node) else { return };
        let Some(case) = self.cases.rows.get_mut(row) else { return };
        if case.accused < status {
            case.accused = 0;
        }
        let (idle, has_link) = (case.accused == 0 && !case.own && case.inquirers.is_empty(), case.link.is_some());
        if idle || is_gone(status) && !has_link && case.accused == 0 {
            self.drop_case(cx, row);
        }
    }

    /// A member has said its own status.
    pub(super) fn on_own_word(&mut self, cx: &mut Cx<'_>, node: NodeId, incarnation: Incarnation, status: u32) {
        let Some(row) = cx.members.find(node) else { return };
        let same_life = cx.members.get(row).is_some_and(|member| member.incarnation == incarnation);
        if same_life && status <= STATUS_MAX && !is_gone(status) {
            cx.members.raise_status(cx.now, row, status);
        }
    }

    /// A link with a member that is held dead: the first thing it hears is that.
    pub(super) fn greet_the_dead(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        if let Some((node, incarnation)) = cx.peers.get(peer).map(|link| (link.node, link.incarnation)) {
            self.on_sign_of_life(cx, node, incarnation);
        }
    }
}
