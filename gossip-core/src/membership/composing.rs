//! Datagrams outside of links: notes first, then greetings.

use core::net::SocketAddr;

use super::answers::{Answer, Say};
use super::attempts::Purpose;
use super::{Membership, PEERS_MAX};
use crate::ids::NodeId;
use crate::members::Members;
use crate::pack::Packer;
use crate::protocol::Cx;
use crate::view::PeerState;
use crate::wire::{Address, Conflict, HEADER_LEN, Hello, Kind, PeerEntry, Retry, Unlink, Verdict, Welcome};

/// A greeting with a cookie is padded to this many bytes of datagram (or to the MTU of that address), so that the answer may name
/// members: our choice, room for about twelve.
const GREETING_LEN: usize = 512;

impl Membership {
    /// Composes one datagram to an address without a link: its receiver, if it is not for anyone.
    pub(crate) fn compose(
        &mut self,
        cx: &mut Cx<'_>,
        datagram: &mut [u8],
    ) -> Option<(SocketAddr, Option<NodeId>, usize)> {
        if let Some(answer) = self.answers.pop() {
            let mut packet = Packer::new(datagram, answer.room.min(cx.mtus.of(cx.now, answer.to)));
            let node = compose_answer(cx, &answer, &mut packet);
            return Some((answer.to, node, packet.len()));
        }
        let row = self.attempts.next_owed()?;
        let attempt = *self.attempts.get(row)?;
        self.attempts.sent(cx.now, row, cx.peers.len() > 0);
        let heal = if attempt.purpose == Purpose::Heal { Hello::HEAL } else { 0 };
        let wants = cx.peers.len() < self.wanted || self.neighbors.is_some() || cx.peers.find_at(attempt.address);
        let link = if wants || heal != 0 { Hello::LINK } else { 0 };
        let hello =
            Hello { nonce: attempt.nonce, cookie: attempt.cookie, flags: heal | link, to: Address(attempt.address) };
        let mut packet = Packer::new(datagram, cx.mtus.of(cx.now, attempt.address));
        packet.frame(Kind::HELLO, &hello).ok()?;
        if hello.cookie != 0 {
            packet.pad(GREETING_LEN - HEADER_LEN);
        }
        Some((attempt.address, None, packet.len()))
    }
}

/// Writes what a note says. The receiver's id, where the datagram is for it alone.
fn compose_answer(cx: &mut Cx<'_>, answer: &Answer, packet: &mut Packer<'_>) -> Option<NodeId> {
    // A frame that does not fit into what an unproven address may get is left out: no answer then.
    let (written, node) = match answer.say {
        Say::Retry { echo, cookie } => {
            cx.stats.retries_sent += 1;
            (packet.frame(Kind::RETRY, &Retry { echo, cookie }), None)
        }
        Say::Welcome { nonce, verdict, incarnation, other } => {
            let welcome = Welcome { nonce, observed: Address(answer.to), verdict, incarnation };
            let written = packet.frame(Kind::WELCOME, &welcome);
            if let Some((incarnation, address)) = other {
                // The greeting was padded, so this fits as well.
                let _fits = packet.frame(Kind::CONFLICT, &Conflict { incarnation, address: Address(address) });
            }
            // Who is no neighbor has no business with anybody here.
            if verdict != Verdict::NotNeighbor {
                packet.list(Kind::PEERS, some_members(cx.members, nonce));
            }
            (written, None)
        }
        Say::Unlink { node, reason } => (packet.frame(Kind::UNLINK, &Unlink { reason }), Some(node)),
        Say::Conflict { node, incarnation, address } => {
            (packet.frame(Kind::CONFLICT, &Conflict { incarnation, address: Address(address) }), Some(node))
        }
    };
    debug_assert!(written.is_ok() || packet.is_empty());
    node
}

/// Living members from a place on that the greeter's nonce chose by chance.
fn some_members(members: &Members, nonce: u64) -> impl Iterator<Item = PeerEntry> + '_ {
    members
        .circle(nonce)
        .filter(|(_, member)| matches!(member.state, PeerState::Known | PeerState::Linked))
        .filter_map(|(_, member)| {
            Some(PeerEntry { id: member.node, incarnation: member.incarnation, address: Address(member.address?) })
        })
        .take(PEERS_MAX)
}
