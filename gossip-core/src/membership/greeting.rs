//! What is said at the door, and what becomes of it.
//!
//! Who comes without a cookie gets one and is forgotten; who brings it back is judged: linked, refused with a reason, or
//! shown to others. The other way round, an answer to a greeting of this node settles the attempt behind it.

use core::net::SocketAddr;

use super::answers::{Answer, Say};
use super::attempts::{Attempt, Notice, Purpose};
use super::cookie::Bearer;
use super::{Membership, PEERS_MAX, is_usable};
use crate::ids::{Incarnation, NodeId};
use crate::members::Member;
use crate::peer::{PeerIdx, Peers};
use crate::protocol::Cx;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::{Conflict, Hello, List, PeerEntry, Retry, Unlink, Verdict, Welcome};

/// Who greets, as far as its datagram proves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeter {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) address: SocketAddr,
    /// Of its datagram.
    pub(crate) number: u64,
    /// Bytes of its datagram.
    pub(crate) len: usize,
}

impl Greeter {
    const fn bearer(&self) -> Bearer {
        Bearer { node: self.node, incarnation: self.incarnation, address: self.address }
    }
}

/// What the router has to do about a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Make a link, in place of the one with this node if there is one, and of `instead` if given.
    Admit {
        node: NodeId,
        incarnation: Incarnation,
        address: SocketAddr,
        /// Of the datagram, where the other one greeted.
        number: u64,
        instead: Option<PeerIdx>,
    },
    /// Take a higher incarnation than this one, if that is still possible.
    Raise { above: Incarnation },
    /// The far end does not want the link that this node thought it had.
    Drop { peer: PeerIdx },
}

impl Membership {
    /// Somebody without a link sent something: it has to prove its address first.
    pub(crate) fn on_stranger(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_stranger += 1;
        self.challenge(cx, greeter, greeter.number);
    }

    fn challenge(&mut self, cx: &Cx<'_>, greeter: &Greeter, echo: u64) {
        let cookie = self.cookies.bake(cx.now, &greeter.bearer());
        self.answer(greeter, Say::Retry { echo, cookie });
    }

    fn answer(&mut self, greeter: &Greeter, say: Say) {
        self.answers.push(Answer { to: greeter.address, room: greeter.len, say });
    }

    pub(crate) fn on_hello(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, hello: &Hello) -> Option<Decision> {
        if hello.cookie == 0 {
            self.challenge(cx, greeter, hello.nonce);
            return None;
        }
        if !self.cookies.is_good(cx.now, &greeter.bearer(), hello.cookie) {
            cx.stats.refused_cookie += 1;
            self.challenge(cx, greeter, hello.nonce);
            return None;
        }
        if greeter.node == cx.me.node {
            self.on_own_id(cx, greeter);
            let superseded = Say::Welcome {
                nonce: hello.nonce,
                verdict: Verdict::Superseded,
                incarnation: Incarnation(0),
                other: None,
            };
            self.answer(greeter, superseded);
            return None;
        }
        self.learn_address(hello.to.0, false);
        let link = cx.peers.find(greeter.node);
        if link.and_then(|peer| cx.peers.get(peer)).is_some_and(|peer| greeter.number <= peer.greeted) {
            cx.stats.refused_replay += 1;
            return None;
        }
        let (verdict, instead) = self.judge(cx, greeter, hello, link);
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let incarnation = known.map_or(Incarnation(0), |member| member.incarnation);
        let twin = link.and_then(|peer| cx.peers.get(peer)).filter(|twin| twin.address != greeter.address);
        let other = twin.filter(|_| verdict == Verdict::Superseded).map(|twin| (twin.incarnation, twin.address));
        self.answer(greeter, Say::Welcome { nonce: hello.nonce, verdict, incarnation, other });
        (verdict == Verdict::Linked).then_some(Decision::Admit {
            node: greeter.node,
            incarnation: greeter.incarnation,
            address: greeter.address,
            number: greeter.number,
            instead,
        })
    }

    /// What becomes of a proven greeting, and which link has to give way.
    fn judge(
        &mut self,
        cx: &mut Cx<'_>,
        greeter: &Greeter,
        hello: &Hello,
        link: Option<PeerIdx>,
    ) -> (Verdict, Option<PeerIdx>) {
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        if known.is_some_and(|member| member.incarnation > greeter.incarnation) {
            cx.stats.refused_stale += 1;
            self.tell_conflict(cx, greeter, link);
            return (Verdict::Superseded, None);
        }
        if let Some(neighbors) = &self.neighbors
            && !neighbors.iter().any(|neighbor| neighbor.node == greeter.node)
        {
            cx.stats.refused_not_neighbor += 1;
            return (Verdict::NotNeighbor, None);
        }
        if link.is_some() && !self.closed {
            return (Verdict::Linked, None);
        }
        let same_life = |member: &Member| member.incarnation == greeter.incarnation;
        let has_left = known.is_some_and(|member| member.state == PeerState::Left && same_life(member));
        let has_row = known.is_some_and(|_| !has_left) || known.is_none() && !cx.members.is_full();
        if hello.flags & Hello::LINK != 0 && has_row && !self.closed {
            if !cx.peers.is_full() {
                return (Verdict::Linked, None);
            }
            if hello.flags & Hello::HEAL != 0 {
                return (Verdict::Linked, self.draw_link(cx.peers));
            }
        }
        cx.stats.refused_full += 1;
        (Verdict::Full, None)
    }

    /// Somebody with an earlier incarnation is alive beside a linked later one: the later one hears of it.
    fn tell_conflict(&mut self, cx: &Cx<'_>, greeter: &Greeter, link: Option<PeerIdx>) {
        if let Some(later) = link.and_then(|peer| cx.peers.get(peer)).filter(|peer| peer.address != greeter.address) {
            self.answers.push(Answer {
                to: later.address,
                room: self.mtu,
                say: Say::Conflict { node: later.node, incarnation: greeter.incarnation, address: greeter.address },
            });
        }
    }

    /// Another node proves that it lives and has this node's id.
    fn on_own_id(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_own_id += 1;
        self.conflict = Some((greeter.address, greeter.incarnation));
    }

    /// A datagram outside of links begins, which nobody has asked for as far as is known.
    pub(crate) fn on_envelope(&mut self) {
        self.answered = false;
    }

    /// Whether the datagram that is being read has answered a greeting of this node.
    pub(crate) const fn is_answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn on_conflict(&mut self, conflict: &Conflict) {
        self.conflict = Some((conflict.address.0, conflict.incarnation));
    }

    /// A `Retry` counts as the answer to the last greeting, or to a datagram over a link, which then begins anew. Each
    /// one counts once.
    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, retry: Retry) {
        let greeted = |attempt: &Attempt| {
            attempt.nonce != 0
                && attempt.nonce == retry.echo
                && attempt.address == greeter.address
                && attempt.node.is_none_or(|node| node == greeter.node)
        };
        let row = self.attempts.find(greeted).or_else(|| self.relink(cx, greeter, retry.echo));
        let Some(row) = row else {
            cx.stats.refused_unasked += 1;
            return;
        };
        if let Some(attempt) = self.attempts.get_mut(row) {
            attempt.cookie = retry.cookie;
        }
        let nonce = self.rng.u64().max(1);
        if !self.attempts.owe(row, nonce) {
            self.give_up(cx, row);
        }
    }

    /// The far end of a link does not know the link: the attempt that begins it anew.
    fn relink(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, echo: u64) -> Option<u32> {
        let link = cx.peers.find(greeter.node).and_then(|peer| cx.peers.get_mut(peer))?;
        if link.address != greeter.address || self.closed || !link.is_news(echo) {
            return None;
        }
        let there = |attempt: &Attempt| attempt.address == greeter.address && attempt.node == Some(greeter.node);
        self.attempts.find(there).or_else(|| {
            self.attempts.add(greeter.address, Some(greeter.node), Purpose::Candidate, Instant::NEVER);
            self.attempts.find(there)
        })
    }

    pub(crate) fn on_welcome(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, welcome: &Welcome) -> Option<Decision> {
        let asked = |attempt: &Attempt| attempt.nonce != 0 && attempt.nonce == welcome.nonce;
        let Some(row) = self.attempts.find(asked) else {
            cx.stats.refused_unasked += 1;
            return None;
        };
        self.answered = true;
        let attempt = *self.attempts.get(row)?;
        if greeter.node == cx.me.node {
            self.on_own_id(cx, greeter);
        }
        if attempt.node.is_some_and(|node| node != greeter.node) || greeter.node == cx.me.node {
            return self.on_other_inhabitant(cx, greeter, row);
        }
        self.learn_address(welcome.observed.0, true);
        let granted = welcome.verdict == Verdict::Linked && !self.closed;
        let admission = granted.then(|| self.take_up(cx, greeter, attempt.purpose)).flatten();
        // A link that is not taken up is none, and will have to be asked for again.
        let verdict = if granted && admission.is_none() { Verdict::Full } else { welcome.verdict };
        self.settle(cx, row, greeter.node, verdict);
        match verdict {
            Verdict::Linked => admission,
            Verdict::Superseded => Some(Decision::Raise { above: welcome.incarnation }),
            _ => {
                self.bridge(cx, greeter, attempt.purpose);
                self.revive(cx, greeter);
                cx.peers.find(greeter.node).map(|peer| Decision::Drop { peer })
            }
        }
    }

    /// The link that this node asked for is granted. By now it may have enough, unless it is one that heals.
    fn take_up(&mut self, cx: &Cx<'_>, greeter: &Greeter, purpose: Purpose) -> Option<Decision> {
        let mut instead = None;
        if cx.peers.is_full() && cx.peers.find(greeter.node).is_none() {
            if purpose != Purpose::Heal {
                self.say_unlink(greeter.node, greeter.address, Unlink::SURPLUS);
                return None;
            }
            instead = self.draw_link(cx.peers);
        }
        let (node, incarnation, address) = (greeter.node, greeter.incarnation, greeter.address);
        Some(Decision::Admit { node, incarnation, address, number: 0, instead })
    }

    /// A contact lives that this node's members do not include: that is the other side of a split. Ask it for a link
    /// for which it has to make room.
    fn bridge(&mut self, cx: &Cx<'_>, greeter: &Greeter, purpose: Purpose) {
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let is_member = known.is_some_and(|member| matches!(member.state, PeerState::Known | PeerState::Linked));
        if purpose == Purpose::Contact && !is_member && !self.closed {
            self.attempts.add(greeter.address, Some(greeter.node), Purpose::Heal, cx.now);
        }
    }

    /// A member taken for dead has answered.
    fn revive(&self, cx: &mut Cx<'_>, greeter: &Greeter) {
        if let Some(row) = cx.members.find(greeter.node)
            && cx.members.get(row).is_some_and(|member| member.state == PeerState::Down)
        {
            cx.members.set_state(cx.now, row, PeerState::Known);
        }
    }

    /// A link drawn by chance, to give way.
    fn draw_link(&mut self, peers: &Peers) -> Option<PeerIdx> {
        peers.after(self.rng.below(peers.capacity() as u32) as usize)
    }

    /// Somebody else lives where a member was thought to live, or this node itself does.
    fn on_other_inhabitant(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, row: u32) -> Option<Decision> {
        let attempt = *self.attempts.get(row)?;
        match attempt.purpose {
            // A contact that is this node itself: greet it seldom, somebody else may live there one day.
            Purpose::Contact => {
                if let Some(attempt) = self.attempts.get_mut(row) {
                    attempt.node = (greeter.node != cx.me.node).then_some(greeter.node);
                }
                self.attempts.rest(row, cx.now + self.attempts.retry_cap());
            }
            Purpose::Neighbor => self.attempts.rest(row, cx.now + self.attempts.retry_cap()),
            Purpose::Candidate | Purpose::Check | Purpose::Heal => self.give_up(cx, row),
        }
        None
    }

    /// An attempt was answered.
    fn settle(&mut self, cx: &Cx<'_>, row: u32, node: NodeId, verdict: Verdict) {
        let again = cx.now + self.attempts.retry_cap();
        let Some(attempt) = self.attempts.get_mut(row) else { return };
        match attempt.purpose {
            Purpose::Contact | Purpose::Neighbor => {
                attempt.node = Some(node);
                attempt.warning = match (verdict, attempt.warning) {
                    (Verdict::NotNeighbor, Notice::None) => Notice::Due,
                    (Verdict::NotNeighbor, notice) => notice,
                    _ => Notice::None,
                };
                self.warns |= attempt.warning == Notice::Due;
                // A linked contact rests until its link ends; one that had no room, for a while.
                let at = if verdict == Verdict::Linked { Instant::NEVER } else { again };
                self.attempts.rest(row, at);
            }
            Purpose::Candidate | Purpose::Check | Purpose::Heal => self.attempts.remove(row),
        }
        if verdict == Verdict::Full {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.refill_at = self.refill_at.min(cx.now + self.refill_pause());
    }

    /// Members that somebody named.
    pub(crate) fn on_peers(&mut self, cx: &mut Cx<'_>, peers: List<'_, PeerEntry>) {
        for entry in peers.iter().take(PEERS_MAX) {
            if entry.id == cx.me.node || !is_usable(entry.address.0) {
                continue;
            }
            // Its life it will tell itself: believing others, a lie would lock it out.
            let Some(row) = cx.members.find_or_insert(cx.now, entry.id, Incarnation(0)) else { return };
            let Some(member) = cx.members.get_mut(row) else { continue };
            if member.address.is_none() && member.incarnation <= entry.incarnation {
                member.address = Some(entry.address.0);
            }
        }
        self.refill_at = self.refill_at.min(cx.now + self.refill_pause());
    }

    fn learn_address(&mut self, observed: SocketAddr, better: bool) {
        if !self.advertised && is_usable(observed) && (better || self.address.is_none()) {
            self.address = Some(observed);
        }
    }
}
