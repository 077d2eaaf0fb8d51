//! What is said at the door, and what becomes of it.
//!
//! Who comes without a cookie gets one and is forgotten; who brings it back is judged: linked, refused with a reason, or
//! shown to others. Who gives way for whom is decided in [`giving_way`](super::giving_way).

use core::net::SocketAddr;

use super::answers::{Answer, Beside, Say};
use super::cookie::Bearer;
use super::giving_way::{Applicant, Place};
use super::{Membership, is_usable};
use crate::ids::{Incarnation, NodeId};
use crate::members::Member;
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::view::PeerState;
use crate::wire::{Address, Conflict, Frame, Hello, PeerEntry, Verdict};

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
    Admit { link: NewLink, instead: Option<PeerIdx> },
    /// Take a higher incarnation than this one, if that is still possible.
    Raise { above: Incarnation },
    /// The far end does not want the link that this node thought it had.
    Drop { peer: PeerIdx },
}

/// A link to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewLink {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) address: SocketAddr,
    /// Of the datagram, where the other one greeted.
    pub(crate) number: u64,
    /// It is made for its low latency.
    pub(crate) near: bool,
    /// In microseconds, as far as the greeting has shown it; 0 otherwise.
    pub(crate) round_trip: u32,
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
                beside: Beside::Nobody,
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
        if self.is_sampled && hello.flags & Hello::WALK != 0 && matches!(verdict, Verdict::Linked | Verdict::Full) {
            let address = Address(greeter.address);
            let newcomer = PeerEntry { id: greeter.node, incarnation: greeter.incarnation, address };
            self.introduce(cx, newcomer, greeter.number);
        }
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let incarnation = known.map_or(Incarnation(0), |member| member.incarnation);
        let twin = link.and_then(|peer| cx.peers.get(peer)).filter(|twin| twin.address != greeter.address);
        let beside = if let Some(twin) = twin.filter(|_| verdict == Verdict::Superseded) {
            Beside::Twin { incarnation: twin.incarnation, address: twin.address }
        } else {
            vacancy(cx, instead).map_or(Beside::Nobody, Beside::Vacant)
        };
        self.answer(greeter, Say::Welcome { nonce: hello.nonce, verdict, incarnation, beside });
        self.revive(cx, greeter);
        let link = NewLink {
            node: greeter.node,
            incarnation: greeter.incarnation,
            address: greeter.address,
            number: greeter.number,
            near: hello.flags & Hello::NEAR != 0,
            round_trip: hello.round_trip,
        };
        (verdict == Verdict::Linked).then_some(Decision::Admit { link, instead })
    }

    /// What becomes of a proven greeting, and which link has to give way.
    fn judge(
        &mut self,
        cx: &mut Cx<'_>,
        greeter: &Greeter,
        hello: &Hello,
        link: Option<PeerIdx>,
    ) -> (Verdict, Option<PeerIdx>) {
        if self.is_sampled {
            cx.members.drop_hearsay(cx.me.node);
        }
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
        let mut place = Place::None;
        if hello.flags & Hello::LINK != 0 && has_row && !self.closed {
            let applicant = Applicant {
                address: greeter.address,
                in_need: hello.flags & Hello::ROOM != 0,
                near: (hello.flags & Hello::NEAR != 0).then_some(hello.round_trip),
            };
            place = self.place(cx.peers, &applicant);
        }
        match place {
            Place::Free => (Verdict::Linked, None),
            Place::Of(peer) => (Verdict::Linked, Some(peer)),
            Place::None => {
                cx.stats.refused_full += 1;
                (Verdict::Full, None)
            }
        }
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
    pub(super) fn on_own_id(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_own_id += 1;
        self.conflict = Some((greeter.address, greeter.incarnation));
    }

    /// A datagram of this node has come back to it: a contact is this node itself. It is greeted seldom: somebody else may
    /// live there one day.
    pub(crate) fn on_own_echo(&mut self, cx: &Cx<'_>, from: SocketAddr) {
        let Some(row) = self.attempts.find(|attempt| attempt.address == from) else { return };
        if let Some(attempt) = self.attempts.get_mut(row) {
            attempt.node = Some(cx.me.node);
        }
        self.attempts.rest(row, cx.now + self.attempts.pace().retry_cap);
    }

    /// A datagram outside of links begins, which nobody has asked for as far as is known.
    pub(crate) fn on_envelope(&mut self) {
        self.answered = false;
        self.vacancy = None;
    }

    /// It has ended. What it said of who has room counted with the link that it granted, if it did.
    pub(crate) fn on_envelope_end(&mut self) {
        self.vacancy = None;
    }

    /// Whether the datagram that is being read has answered a greeting of this node.
    pub(crate) const fn is_answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn on_conflict(&mut self, conflict: &Conflict) {
        self.conflict = Some((conflict.address.0, conflict.incarnation));
    }

    pub(super) fn learn_address(&mut self, observed: SocketAddr, better: bool) {
        if !self.advertised && is_usable(observed) && (better || self.address.is_none()) {
            self.address = Some(observed);
        }
    }
}

/// Whether a frame outside of links wants an answer. Those who keep the rules ask one thing in a datagram.
pub(crate) const fn is_question(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Hello(_) | Frame::Probe(_) | Frame::ViewRequest(_))
}

/// The node whose link gives way, as the others are told of it.
fn vacancy(cx: &Cx<'_>, instead: Option<PeerIdx>) -> Option<PeerEntry> {
    let link = cx.peers.get(instead?)?;
    Some(PeerEntry { id: link.node, incarnation: link.incarnation, address: Address(link.address) })
}
