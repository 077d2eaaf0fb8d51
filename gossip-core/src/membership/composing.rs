//! Datagrams outside of links: notes first, then greetings.

use core::net::SocketAddr;

use super::answers::{Answer, Beside, Say};
use super::attempts::{Attempt, Purpose};
use super::{Membership, PEERS_MAX};
use crate::ids::NodeId;
use crate::members::Members;
use crate::pack::Packer;
use crate::protocol::Cx;
use crate::view::PeerState;
use crate::wire::{
    Address, Conflict, FRAME_HEAD_LEN, HEADER_LEN, Hello, Kind, PeerEntry, Retry, Unlink, Verdict, Welcome,
};

/// A greeting with a cookie is padded to this many bytes of datagram (or to the MTU of that address), so that the answer may name
/// members: our choice, room for about twelve.
const GREETING_LEN: usize = 512;

/// The longest frame that answers a greeting: nonce, address, verdict, incarnation.
const WELCOME_LEN: usize = FRAME_HEAD_LEN + 8 + 19 + 1 + 8;

impl Membership {
    /// Composes one datagram to an address without a link: its receiver, if it is not for anyone.
    pub(crate) fn compose(
        &mut self,
        cx: &mut Cx<'_>,
        datagram: &mut [u8],
    ) -> Option<(SocketAddr, Option<NodeId>, usize)> {
        if let Some(answer) = self.answers.pop() {
            let mut packet = Packer::new(datagram, answer.room.min(cx.mtus.of(cx.now, answer.to)));
            let node = self.compose_answer(cx, &answer, &mut packet);
            return Some((answer.to, node, packet.len()));
        }
        let row = self.attempts.find(|attempt| attempt.owed)?;
        let attempt = *self.attempts.get(row)?;
        self.attempts.sent(cx.now, row, cx.peers.len() > 0);
        let hello = Hello {
            nonce: attempt.nonce,
            cookie: attempt.cookie,
            flags: self.wishes(cx, &attempt),
            to: Address(attempt.address),
            round_trip: attempt.round_trip,
        };
        let mut packet = Packer::new(datagram, cx.mtus.of(cx.now, attempt.address));
        packet.frame(Kind::HELLO, &hello).ok()?;
        if hello.cookie != 0 {
            packet.pad(GREETING_LEN - HEADER_LEN);
        }
        Some((attempt.address, None, packet.len()))
    }
}

impl Membership {
    /// What a greeting asks for.
    fn wishes(&self, cx: &Cx<'_>, attempt: &Attempt) -> u8 {
        let missing = self.missing(cx);
        let link = if missing > 0 || cx.peers.find_at(attempt.address) { Hello::LINK } else { 0 };
        match attempt.purpose {
            Purpose::Neighbor | Purpose::Splice => Hello::LINK,
            Purpose::Heal => Hello::LINK | Hello::ROOM,
            Purpose::Near => Hello::LINK | Hello::NEAR,
            Purpose::Sound => 0,
            Purpose::Candidate if missing > 1 => link | Hello::ROOM,
            Purpose::Contact if self.is_sampled && missing > 1 => link | Hello::WALK,
            // It shows others to those who come, and makes room only for who knows nobody else.
            Purpose::Contact if cx.peers.len() == 0 && cx.members.alive() <= 1 => link | Hello::ROOM,
            Purpose::Candidate | Purpose::Contact | Purpose::Check => link,
        }
    }

    /// Writes what a note says. The receiver's id, where the datagram is for it alone.
    fn compose_answer(&self, cx: &mut Cx<'_>, answer: &Answer, packet: &mut Packer<'_>) -> Option<NodeId> {
        // A frame that does not fit into what an unproven address may get is left out: no answer then.
        let (written, node) = match answer.say {
            Say::Retry { echo, cookie } => {
                cx.stats.retries_sent += 1;
                (packet.frame(Kind::RETRY, &Retry { echo, cookie }), None)
            }
            Say::Welcome { nonce, verdict, incarnation, beside } => {
                let welcome = Welcome { nonce, observed: Address(answer.to), verdict, incarnation };
                // The greeting was padded, so one more fits. Who has room is said first, as it is heard of with the link; that
                // there is a twin is believed of one who has answered.
                if let Beside::Vacant(entry) = beside {
                    packet.keep(WELCOME_LEN);
                    let _fits = packet.frame(Kind::VACANCY, &entry);
                    packet.keep(0);
                }
                let written = packet.frame(Kind::WELCOME, &welcome);
                if let Beside::Twin { incarnation, address } = beside {
                    let _fits = packet.frame(Kind::CONFLICT, &Conflict { incarnation, address: Address(address) });
                }
                // Who is no neighbor has no business with anybody here. And who becomes one shall find its other links elsewhere
                // where it draws them from a view: neighbors of neighbors would make a cluster.
                let finds_others = self.is_sampled && verdict == Verdict::Linked;
                if verdict != Verdict::NotNeighbor && !finds_others {
                    packet.list(Kind::PEERS, some_members(cx.members, nonce, self.is_sampled));
                }
                (written, None)
            }
            Say::Unlink { node, reason, vacant } => {
                let vacant = vacant.map_or(Ok(()), |entry| packet.frame(Kind::VACANCY, &entry));
                (vacant.and_then(|()| packet.frame(Kind::UNLINK, &Unlink { reason })), Some(node))
            }
            Say::Conflict { node, incarnation, address } => {
                (packet.frame(Kind::CONFLICT, &Conflict { incarnation, address: Address(address) }), Some(node))
            }
        };
        debug_assert!(written.is_ok() || packet.is_empty());
        node
    }
}

/// Living members from all over the table, beginning at a place that the greeter's nonce chose by chance: neighbors in
/// the table may have come together, and a newcomer that links with them would add to a cluster. Only those with a link where others are known by hearsay.
fn some_members(members: &Members, nonce: u64, linked: bool) -> impl Iterator<Item = PeerEntry> + '_ {
    members
        .circle(nonce)
        .step_by((members.len() / (2 * PEERS_MAX)).max(1))
        .filter(move |(_, member)| member.state == PeerState::Linked || !linked && member.state == PeerState::Known)
        .filter_map(|(_, member)| {
            Some(PeerEntry { id: member.node, incarnation: member.incarnation, address: Address(member.address?) })
        })
        .take(PEERS_MAX)
}
