//! The way of a case: a node of which this one does not know whether it lives.
//!
//! # Intuition
//!
//! A file on somebody who was not seen where he should have been. It is opened when a sign of life is late, when somebody
//! asks, or when a table says that somebody is dead who is thought alive. A few probes go out. One word from the missing
//! person closes the file. If nobody answers it becomes a *suspicion*: a private opinion, told to nobody but those who
//! asked, and no reason to act but to look for another link.
//!
//! # States
//!
//! ```text
//! (late, asked, accused, spot check)
//!        │
//!        ▼          ┌─ somebody else was heard ─▶ Suspect ──▶ certificate, or given up
//!     Probing ─spent┤                                ▲
//!        ▲          └─ nobody was heard ──▶ Deaf ────┤ heard at once
//!        └──────────────────────────────────┴────────┘ heard later: ask again from the start
//! ```
//!
//! A second suspect among the links makes all those be probed that were not heard since the first one was missed: when most
//! of a network dies at once, that is known after two late beats instead of a whole round of them.
//!
//! Any sign of life, from the subject itself or by a witness, closes the case. A suspect is probed now and then. A case
//! about an accusation closes with the subject's own answer, which carries its status, or the accusation is believed. Where
//! a later life of the subject is known, the link ends with the suspicion: witnesses would hear that one.
//!
//! # Bounds
//!
//! One case for each link and twice as many for others. A suspicion lasts three windows longer than its own, which is one to
//! four, or one in all where no certificate can come of it; then the link ends and the member is *unreachable* here.

use core::net::SocketAddr;
use core::time::Duration;

use super::burst::Burst;
use super::case::{Case, Stage};
use super::{FailureDetector, Scope};
use crate::ids::{Incarnation, NodeId};
use crate::members::Member;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact};
use crate::time::Instant;
use crate::view::PeerState;

/// How many windows a suspicion lasts beyond its own, where no certificate comes of it. (Counted from its end: the window
/// of a member that has refuted twice of late is four times as long, and the last round comes only then.)
const PATIENCE: u32 = 3;

/// Vouched for so often in a row, and not heard in between: the path is broken, not the node.
const VOUCHES_MAX: u8 = 6;

/// Why a case is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) address: SocketAddr,
    pub(super) own: bool,
    pub(super) accused: u32,
}

impl FailureDetector {
    /// A link is late.
    pub(super) fn doubt_link(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let Some(link) = cx.peers.get(peer) else { return };
        let (node, incarnation, address) = (link.node, link.incarnation, link.address);
        self.open_case(cx, Doubt { node, incarnation, address, own: true, accused: 0 });
    }

    /// A member without a link is looked at.
    pub(super) fn doubt_member(&mut self, cx: &mut Cx<'_>, node: NodeId) {
        let Some(member) = cx.members.find(node).and_then(|row| cx.members.get(row)) else { return };
        let (incarnation, Some(address)) = (member.incarnation, member.address) else { return };
        self.open_case(cx, Doubt { node, incarnation, address, own: true, accused: 0 });
    }

    /// The case of a node, opened where there is none and where there is room.
    pub(super) fn open_case(&mut self, cx: &mut Cx<'_>, doubt: Doubt) -> Option<u32> {
        if let Some(row) = self.cases.find(|case| case.node == doubt.node) {
            let case = self.cases.rows.get_mut(row)?;
            case.own |= doubt.own;
            case.accused = case.accused.max(doubt.accused);
            return Some(row);
        }
        let link = cx.peers.find(doubt.node);
        let row = self.cases.insert(Case {
            node: doubt.node,
            incarnation: doubt.incarnation,
            address: doubt.address,
            link,
            own: doubt.own,
            accused: doubt.accused,
            stage: Stage::Probing,
            burst: Burst::IDLE,
            began: cx.now,
            since: Instant::NEVER,
            probe_at: Instant::NEVER,
            asked_at: Instant::NEVER,
            inquirers: heapless::Vec::new(),
            lead: None,
        })?;
        if let Some(peer) = link {
            self.links[peer.row()].case = Some(row);
            self.late.set(peer.row(), Instant::NEVER);
        }
        self.begin_burst(cx, row);
        Some(row)
    }

    /// Asks the subject from the start.
    pub(super) fn begin_burst(&mut self, cx: &mut Cx<'_>, row: u32) {
        let number = self.next_number();
        let Some(link) = self.cases.rows.get(row).map(|case| case.link) else { return };
        let probes = self.probes(link);
        let Some(case) = self.cases.rows.get_mut(row) else { return };
        (case.stage, case.began, case.burst) = (Stage::Probing, cx.now, Burst::begin(number, probes));
        self.owe_probe(cx, row);
    }

    /// A probe of this case is owed: over the link, or to the address.
    fn owe_probe(&mut self, cx: &mut Cx<'_>, row: u32) {
        match self.cases.rows.get(row).map(|case| case.link) {
            Some(Some(peer)) => cx.peers.mark(peer, Due::Detector),
            Some(None) => self.cases.open.set(row as usize),
            None => {}
        }
        self.arm(cx, row);
    }

    /// Ends a case without a verdict.
    pub(super) fn drop_case(&mut self, cx: &Cx<'_>, row: u32) -> Option<Case> {
        let case = self.cases.remove(row)?;
        if let Some(peer) = case.link {
            self.links[peer.row()].case = None;
            self.await_beat(cx, peer);
        }
        Some(case)
    }

    /// The subject lives.
    pub(super) fn close_case(&mut self, cx: &mut Cx<'_>, row: u32) {
        let Some(case) = self.drop_case(cx, row) else { return };
        if case.burst.sent() > 0 {
            self.failing.add(case.burst.sent().into(), u32::from(case.burst.sent()) - 1);
        }
        if let Some(peer) = case.link.filter(|_| case.since != Instant::NEVER) {
            self.cleared.set(peer.row());
        }
        for inquirer in case.inquirers {
            self.reply(cx, inquirer.peer, inquirer.number, true);
        }
    }

    /// Others hear the subject of a link, and this node does not.
    pub(super) fn on_vouched(&mut self, cx: &mut Cx<'_>, row: u32) {
        let link = self.cases.rows.get(row).and_then(|case| case.link);
        self.close_case(cx, row);
        if let Some(peer) = link {
            let link = &mut self.links[peer.row()];
            link.vouched += 1;
            if link.vouched >= VOUCHES_MAX {
                self.broken.set(peer.row());
            }
        }
    }

    // ---- time

    /// How long an answer of the subject is waited for.
    fn answer_time(&self, case: &Case) -> Duration {
        case.link.map_or(self.timeout, |peer| self.links[peer.row()].rtt.timeout(self.timeout))
    }

    /// Sets the timer of a case.
    pub(super) fn arm(&mut self, cx: &Cx<'_>, row: u32) {
        let Some(case) = self.cases.rows.get(row) else { return };
        let burst = case.burst.deadline(self.answer_time(case));
        let at = match case.stage {
            Stage::Probing => burst.min(case.lead.as_ref().map_or(Instant::NEVER, |lead| lead.ask_at)),
            Stage::Deaf if self.deafness.is_on() => Instant::NEVER,
            Stage::Deaf => cx.now,
            Stage::Suspect => {
                burst.min(case.probe_at).min(self.gives_up_at(cx, case)).min(self.lead_deadline(cx, case))
            }
        };
        self.cases.deadlines.set(row as usize, at);
    }

    fn gives_up_at(&self, cx: &Cx<'_>, case: &Case) -> Instant {
        let hopeless = self.scope == Scope::Neighbors || super::certificate::quorum(cx.members.standing()) == 0;
        if hopeless { case.since + self.window } else { self.window_ends_at(cx, case) + self.window * PATIENCE }
    }

    /// The timer of a case has run out.
    pub(super) fn on_case(&mut self, cx: &mut Cx<'_>, row: u32) -> Option<Fact> {
        let case = self.cases.rows.get(row)?;
        let burst_over = case.burst.deadline(self.answer_time(case)) <= cx.now;
        match case.stage {
            Stage::Probing if burst_over => {
                let number = self.next_number();
                if self.cases.rows.get_mut(row)?.burst.again(number) {
                    self.owe_probe(cx, row);
                    None
                } else {
                    self.on_spent(cx, row)
                }
            }
            Stage::Probing => {
                self.lead(cx, row);
                None
            }
            Stage::Deaf if self.deafness.is_on() => {
                self.arm(cx, row);
                None
            }
            Stage::Deaf if self.deafness.was_a_pause() => self.suspect(cx, row),
            Stage::Deaf => {
                self.begin_burst(cx, row);
                None
            }
            Stage::Suspect if self.gives_up_at(cx, case) <= cx.now => self.give_up(cx, row),
            Stage::Suspect => {
                self.watch(cx, row, burst_over);
                self.lead(cx, row);
                None
            }
        }
    }

    /// Probes a suspect now and then.
    fn watch(&mut self, cx: &mut Cx<'_>, row: u32, burst_over: bool) {
        let number = self.next_number();
        let pause = self.window / 3;
        let Some(case) = self.cases.rows.get_mut(row) else { return };
        if burst_over {
            case.burst = Burst::IDLE;
        }
        if case.probe_at <= cx.now {
            (case.probe_at, case.burst) = (cx.now + pause, Burst::begin(number, 1));
            self.owe_probe(cx, row);
        }
    }

    /// No probe was answered.
    fn on_spent(&mut self, cx: &mut Cx<'_>, row: u32) -> Option<Fact> {
        let heard = self.heard;
        let case = self.cases.rows.get_mut(row)?;
        if heard <= case.began {
            case.stage = Stage::Deaf;
            let begins = self.deafness.begin(cx.now);
            cx.stats.deafnesses += u64::from(begins);
            self.arm(cx, row);
            return begins.then_some(Fact::Deaf);
        }
        self.suspect(cx, row)
    }

    /// The subject is silent, and this node hears others.
    fn suspect(&mut self, cx: &mut Cx<'_>, row: u32) -> Option<Fact> {
        let pause = self.window / 3;
        let case = self.cases.rows.get_mut(row)?;
        if case.accused > 0 {
            return self.believe(cx, row);
        }
        case.own |= case.link.is_some();
        case.stage = Stage::Suspect;
        case.probe_at = cx.now + pause;
        let first = case.since == Instant::NEVER;
        if first {
            case.since = cx.now;
            cx.stats.suspicions += 1;
        }
        let (node, incarnation, link) = (case.node, case.incarnation, case.link);
        self.deny(cx, row);
        self.lead(cx, row);
        if first && link.is_some() {
            self.doubt_the_others(cx);
        }
        // Others hear a later life of the node, and would vouch for it again and again.
        let is_over = |member: &Member| member.is_gone() || member.incarnation > incarnation;
        let is_over = cx.members.find(node).and_then(|row| cx.members.get(row)).is_some_and(is_over);
        match link {
            Some(peer) if is_over => Some(Fact::Silent { peer }),
            Some(peer) if first => Some(Fact::Suspected { peer }),
            _ => None,
        }
    }

    /// Two suspects at once among the links: many may have died together. Whoever was not heard since the first of them was
    /// missed is asked now, and not only when its turn is over.
    fn doubt_the_others(&mut self, cx: &mut Cx<'_>) {
        let suspects =
            || self.cases.rows.iter().filter(|(_, case)| case.link.is_some() && case.stage == Stage::Suspect);
        let Some(missed) = suspects().map(|(_, case)| case.began).min().filter(|_| suspects().count() > 1) else {
            return;
        };
        for row in 0..cx.peers.capacity() {
            let silent = |peer: &PeerIdx| cx.peers.get(*peer).is_some_and(|link| link.heard < missed);
            if let Some(peer) = cx.peers.at(row).filter(silent)
                && self.links[row].case.is_none()
            {
                self.doubt_link(cx, peer);
            }
        }
    }

    /// No verdict can be had: the member is unreachable, as far as this node is concerned.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, row: u32) -> Option<Fact> {
        let case = self.drop_case(cx, row)?;
        if let Some(peer) = case.link {
            return Some(Fact::Silent { peer });
        }
        let member = cx.members.find(case.node).filter(|_| case.own);
        if let Some(row) = member
            && cx.members.get(row).is_some_and(|member| member.state == PeerState::Known)
        {
            cx.members.set_state(cx.now, row, PeerState::Unreachable);
            return Some(Fact::Unreached { member: row });
        }
        None
    }

    // ---- hearing nobody

    /// Probes another link, or gives up those that have been silent for a window.
    pub(super) fn on_deaf(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        let window = self.window;
        let is_over = |case: &Case| case.stage == Stage::Deaf && case.link.is_some() && case.began + window <= cx.now;
        if let Some(row) = self.cases.find(is_over) {
            return self.give_up(cx, row);
        }
        if self.deafness.probes_now(cx.now) {
            let count = cx.peers.capacity();
            let start = self.rng.below(count as u32) as usize;
            let rows = (0..count).map(|step| (start + step) % count);
            let mut links = rows.filter_map(|row| cx.peers.at(row));
            let fresh = |peer: &PeerIdx| self.links[peer.row()].case.is_none();
            let peer = links.clone().find(fresh).or_else(|| links.next());
            if let Some(peer) = peer {
                self.poke(cx, peer);
            }
        }
        None
    }

    /// Something genuine came.
    pub(super) fn on_hearing(&mut self, cx: &Cx<'_>) {
        self.heard = cx.now;
        if self.deafness.end(cx.now) {
            self.hears_again = true;
            for row in 0..self.cases.rows.capacity() as u32 {
                self.arm(cx, row);
            }
        }
    }
}
