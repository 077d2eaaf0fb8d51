//! What is said at the door, and what becomes of it.
//!
//! Who comes without a cookie gets one and is forgotten; who brings it back is judged: linked, refused with a reason, or
//! shown to others. The other way round, an answer to a greeting of this node settles the attempt behind it. Who gives way
//! for whom is decided in [`giving_way`](super::giving_way).

use core::net::SocketAddr;

use super::answers::{Answer, Beside, Say};
use super::attempts::{Attempt, Notice, Purpose};
use super::cookie::Bearer;
use super::giving_way::{Applicant, Place};
use super::sampling::Descriptor;
use super::{Membership, PEERS_MAX, is_usable};
use crate::ids::{Incarnation, NodeId};
use crate::members::Member;
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::{Address, Conflict, Hello, List, PeerEntry, Retry, Unlink, Verdict, Welcome};

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
        if greeter.node == cx.me.node {
            self.on_own_id(cx, greeter);
            return None;
        }
        if hello.cookie == 0 {
            self.challenge(cx, greeter, hello.nonce);
            return None;
        }
        if !self.cookies.is_good(cx.now, &greeter.bearer(), hello.cookie) {
            cx.stats.refused_cookie += 1;
            self.challenge(cx, greeter, hello.nonce);
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
            self.introduce(cx, PeerEntry { id: greeter.node, incarnation: greeter.incarnation, address });
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

    /// A datagram with this node's id: its own echo, or another node that uses the id.
    pub(crate) fn on_own_id(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_own_id += 1;
        if greeter.incarnation != cx.me.incarnation {
            self.conflict = Some((greeter.address, greeter.incarnation));
        } else if let Some(row) = self.attempts.find(|attempt| attempt.address == greeter.address) {
            // Greet oneself seldom: somebody else may live there one day.
            if let Some(attempt) = self.attempts.get_mut(row) {
                attempt.node = Some(cx.me.node);
            }
            self.attempts.rest(row, cx.now + self.attempts.pace().retry_cap);
        }
    }

    /// Somebody whom this node greets says that another live node has its id.
    pub(crate) fn on_twin(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, conflict: &Conflict) {
        if self.attempts.find(|attempt| attempt.address == greeter.address).is_some() {
            self.on_conflict(conflict);
        } else {
            cx.stats.refused_unasked += 1;
        }
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
        let Some(attempt) = self.attempts.get_mut(row) else { return };
        let timed = (attempt.cookie == 0 && attempt.tries > 0).then(|| cx.now.saturating_since(attempt.sent_at));
        // There is a sign of life: patience begins anew.
        (attempt.cookie, attempt.tries) = (retry.cookie, 0);
        let goes_on = timed.is_none_or(|round_trip| self.on_echo(cx, row, greeter.node, round_trip));
        let nonce = self.rng.u64().max(1);
        if !goes_on {
            self.attempts.remove(row);
        } else if !self.attempts.owe(row, nonce) {
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
        let attempt = *self.attempts.get(row)?;
        if attempt.node.is_some_and(|node| node != greeter.node) || greeter.node == cx.me.node {
            return self.on_other_inhabitant(cx, greeter, row);
        }
        self.learn_address(welcome.observed.0, true);
        let granted = welcome.verdict == Verdict::Linked && !self.closed;
        let admission = granted.then(|| self.take_up(cx, greeter, &attempt)).flatten();
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

    /// The link that this node asked for is granted. By now it may have enough.
    fn take_up(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, attempt: &Attempt) -> Option<Decision> {
        let near = attempt.purpose == Purpose::Near;
        let applicant = Applicant {
            address: greeter.address,
            in_need: matches!(attempt.purpose, Purpose::Heal | Purpose::Splice),
            near: near.then_some(attempt.round_trip),
        };
        if self.is_sampled {
            cx.members.drop_hearsay(cx.me.node);
        }
        let exists = cx.peers.find(greeter.node).is_some();
        let instead = match if exists { Place::Free } else { self.place(cx.peers, &applicant) } {
            Place::Free => None,
            Place::Of(peer) => Some(peer),
            Place::None => {
                self.say_unlink(greeter.node, greeter.address, Unlink::SURPLUS);
                return None;
            }
        };
        if instead.is_some() {
            // The one that gives way here may link with the one that gave way there, or with the newcomer.
            let vacant = self.vacancy.take_if(|(from, _)| *from == greeter.node).map(|(_, entry)| entry);
            let address = Address(greeter.address);
            let newcomer = PeerEntry { id: greeter.node, incarnation: greeter.incarnation, address };
            self.passed_on = if attempt.purpose == Purpose::Splice { Some(newcomer) } else { vacant };
        }
        let (node, incarnation, address) = (greeter.node, greeter.incarnation, greeter.address);
        let link = NewLink { node, incarnation, address, number: 0, near, round_trip: attempt.round_trip };
        Some(Decision::Admit { link, instead })
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

    /// A member that did not answer has answered. (One that is dead for all others refutes that itself.)
    fn revive(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        if let Some(row) = cx.members.find(greeter.node)
            && cx.members.get(row).is_some_and(|member| member.state == PeerState::Unreachable)
        {
            cx.members.set_state(cx.now, row, PeerState::Known);
            self.lost.forget(greeter.node);
        }
    }

    /// Somebody else lives where a member was thought to live, or this node itself does.
    fn on_other_inhabitant(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, row: u32) -> Option<Decision> {
        let attempt = *self.attempts.get(row)?;
        match attempt.purpose {
            Purpose::Contact => {
                if let Some(attempt) = self.attempts.get_mut(row) {
                    attempt.node = Some(greeter.node);
                }
                self.attempts.rest(row, cx.now + self.attempts.pace().retry_cap);
            }
            Purpose::Neighbor => self.attempts.rest(row, cx.now + self.attempts.pace().retry_cap),
            _ => self.give_up(cx, row),
        }
        None
    }

    /// An attempt was answered.
    fn settle(&mut self, cx: &Cx<'_>, row: u32, node: NodeId, verdict: Verdict) {
        let pace = self.attempts.pace();
        let Some(attempt) = self.attempts.get_mut(row) else { return };
        let purpose = attempt.purpose;
        match purpose {
            Purpose::Contact | Purpose::Neighbor => {
                attempt.node = Some(node);
                attempt.warning = match (verdict, attempt.warning) {
                    (Verdict::NotNeighbor, Notice::None) => Notice::Due,
                    (Verdict::NotNeighbor, notice) => notice,
                    _ => Notice::None,
                };
                // A linked neighbor rests until its link ends, and a contact as long as there are links at all.
                let at = match attempt.purpose {
                    _ if verdict == Verdict::Linked => Instant::NEVER,
                    Purpose::Contact if cx.peers.len() > 0 => Instant::NEVER,
                    Purpose::Contact => cx.now + pace.retry_first,
                    _ => cx.now + pace.retry_cap,
                };
                self.attempts.rest(row, at);
            }
            _ => self.attempts.remove(row),
        }
        if verdict == Verdict::Full && purpose == Purpose::Candidate {
            self.refusals = self.refusals.saturating_add(1);
        }
        if purpose == Purpose::Contact && self.is_sampled {
            // Others are about to greet this node.
            self.introduced_until = cx.now + pace.retry_first * 2;
        }
        self.plan_refill(cx);
    }

    /// Members that somebody named.
    pub(crate) fn on_peers(&mut self, cx: &mut Cx<'_>, peers: List<'_, PeerEntry>) {
        for entry in peers.iter().take(PEERS_MAX) {
            self.learn_member(cx, &entry);
        }
        self.plan_refill(cx);
    }

    pub(super) fn learn_member(&self, cx: &mut Cx<'_>, entry: &PeerEntry) {
        if entry.id == cx.me.node || !is_usable(entry.address.0) {
            return;
        }
        if self.is_sampled {
            cx.view.insert(Descriptor::fresh(cx.now, entry.id, entry.address.0));
            return;
        }
        let Some(row) = cx.members.find_or_insert(cx.now, entry.id, entry.incarnation) else { return };
        let Some(member) = cx.members.get_mut(row) else { return };
        if member.address.is_none() && member.incarnation <= entry.incarnation {
            member.address = Some(entry.address.0);
        }
    }

    /// The node that speaks has given up its link with another one, which has room therefore. It counts when the link
    /// with the speaker begins or ends.
    pub(crate) fn on_vacancy(&mut self, from: NodeId, entry: &PeerEntry) {
        if is_usable(entry.address.0) {
            self.vacancy = Some((from, *entry));
        }
    }

    fn learn_address(&mut self, observed: SocketAddr, better: bool) {
        if !self.advertised && is_usable(observed) && (better || self.address.is_none()) {
            self.address = Some(observed);
        }
    }
}

/// The node whose link gives way, as the others are told of it.
fn vacancy(cx: &Cx<'_>, instead: Option<PeerIdx>) -> Option<PeerEntry> {
    let link = cx.peers.get(instead?)?;
    Some(PeerEntry { id: link.node, incarnation: link.incarnation, address: Address(link.address) })
}
