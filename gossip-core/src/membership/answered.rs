//! What others answer at their doors.
//!
//! An answer to a greeting of this node settles the attempt behind it: a token to come back with, a link, or the names
//! of others. A link that is granted may be one too many by now, or take the place of another one.

use super::attempts::{Attempt, Notice, Purpose};
use super::giving_way::{Applicant, Place};
use super::greeting::{Decision, Greeter, NewLink};
use super::sampling::Descriptor;
use super::{Membership, PEERS_MAX, is_usable};
use crate::ids::{Incarnation, NodeId};
use crate::protocol::Cx;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::{Address, List, PeerEntry, Retry, Unlink, Verdict, Welcome};

impl Membership {
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
        if self.is_sampled {
            cx.view.insert(Descriptor::fresh(cx.now, greeter.node, greeter.address));
        }
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
    /// for which it has to make room. Not for a node that the contact introduces to others: or the only neighbors of a door that
    /// all come to were those who came last, and all walks began in their midst.
    fn bridge(&mut self, cx: &Cx<'_>, greeter: &Greeter, purpose: Purpose) {
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let is_member = known.is_some_and(|member| matches!(member.state, PeerState::Known | PeerState::Linked));
        let is_introduced = self.is_sampled && self.missing(cx) > 1;
        if purpose == Purpose::Contact && !is_member && !is_introduced && !self.closed {
            self.attempts.add(greeter.address, Some(greeter.node), Purpose::Heal, cx.now);
        }
    }

    /// A member that did not answer, or was dead for all, has proven that it lives. The latter has to hear what is said of
    /// it, and to refute it.
    pub(super) fn revive(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        let Some(row) = cx.members.find(greeter.node) else { return };
        let member = cx.members.get(row).filter(|member| member.incarnation == greeter.incarnation);
        match member.map(|member| (member.state, member.status)) {
            Some((PeerState::Unreachable, _)) => {
                cx.members.set_state(cx.now, row, PeerState::Known);
                self.lost.forget(greeter.node);
            }
            Some((PeerState::Down, status)) => cx.members.accuse(row, status),
            _ => {}
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
        // Its life it will tell itself: believing others, a lie would lock it out.
        let Some(row) = cx.members.find_or_insert(cx.now, entry.id, Incarnation(0)) else { return };
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
}
