//! Probes to nodes without a link, and answers to such probes.
//!
//! They are OPEN datagrams, as greetings are: nothing is kept for a stranger, and an answer is not longer than its
//! question. The answer is sealed by its sender and names the number of the question, so it proves that the sender
//! lives at the address that was asked.

use core::net::SocketAddr;

use super::FailureDetector;
use super::case::Case;
use crate::ids::{Incarnation, NodeId};
use crate::pack::Packer;
use crate::protocol::Cx;
use crate::view::PeerState;
use crate::wire::{Ack, Kind, Probe};

/// Answers that wait at most; beyond, who waits for one asks again.
const ANSWERS_MAX: usize = 16;

/// Answers to strangers, oldest first.
pub(super) type Answers = heapless::Deque<(SocketAddr, u32), ANSWERS_MAX>;

impl FailureDetector {
    /// A stranger probes this node.
    pub(crate) fn on_open_probe(&mut self, cx: &mut Cx<'_>, from: SocketAddr, probe: Probe) {
        self.answer_for_myself(cx, cx.me.incarnation, probe.status);
        // One that finds no place is asked for again.
        let _full = self.answers.push_back((from, probe.number));
    }

    /// A node without a link answers a probe.
    pub(crate) fn on_open_ack(&mut self, cx: &mut Cx<'_>, node: NodeId, incarnation: Incarnation, ack: Ack) {
        let asked = |case: &Case| {
            case.node == node && case.link.is_none() && case.incarnation <= incarnation && case.burst.knows(ack.number)
        };
        let Some(row) = self.cases.find(asked) else {
            cx.stats.refused_unasked += 1;
            return;
        };
        self.on_own_word(cx, node, incarnation, ack.status);
        if let Some(member) = cx.members.find(node)
            && cx.members.get(member).is_some_and(|member| member.state == PeerState::Unreachable)
        {
            cx.members.set_state(cx.now, member, PeerState::Known);
        }
        self.on_hearing(cx);
        self.close_case(cx, row);
    }

    /// Composes one datagram to an address without a link: where to, and its bytes of frames.
    pub(crate) fn compose_open(
        &mut self,
        cx: &mut Cx<'_>,
        datagram: &mut [u8],
        mtu: usize,
    ) -> Option<(SocketAddr, usize)> {
        let mut packet = Packer::new(datagram, mtu);
        if let Some((to, number)) = self.answers.pop_front() {
            let status = own_status(cx);
            packet.frame(Kind::ACK, &Ack { number, status }).ok()?;
            return Some((to, packet.len()));
        }
        while let Some(row) = self.cases.open.first() {
            self.cases.open.clear(row);
            let Some(case) = self.cases.rows.get_mut(row as u32) else { continue };
            let Some(number) = case.burst.owed() else { continue };
            let (node, accused, to) = (case.node, case.accused, case.address);
            case.burst.composed(cx.now);
            self.arm(cx, row as u32);
            cx.stats.probes_sent += 1;
            packet.frame(Kind::PROBE, &Probe { number, status: said_of(cx, node, accused) }).ok()?;
            return Some((to, packet.len()));
        }
        None
    }
}

/// The status that this node has given itself.
pub(super) fn own_status(cx: &Cx<'_>) -> u32 {
    cx.members.find(cx.me.node).and_then(|row| cx.members.get(row)).map_or(0, |me| me.status)
}

/// What is to be told to a node about its own status: the worst that is said.
pub(super) fn said_of(cx: &Cx<'_>, node: NodeId, accused: u32) -> u32 {
    cx.members.find(node).and_then(|row| cx.members.get(row)).map_or(accused, |member| member.status.max(accused))
}
