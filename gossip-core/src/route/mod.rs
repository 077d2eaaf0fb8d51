//! The foreman: the only place where sub-protocols meet.
//!
//! A datagram comes in, is opened, and its frames go to whom they concern; facts go to everybody. Next door: links begin
//! and end ([`links`]), messages enter the store there and nowhere else ([`accept`]), datagrams go out ([`compose`]).

mod accept;
mod chunks;
mod compose;
mod links;

use core::net::SocketAddr;

use crate::anti_entropy::AntiEntropy;
use crate::auth::{Opened, Reject, Security};
use crate::broadcast::Broadcast;
use crate::failure_detector::FailureDetector;
use crate::gossip::Gossip;
use crate::ids::Incarnation;
use crate::members::{LEFT, Row};
use crate::membership::{Decision, Greeter, Membership, Sampler, is_question};
use crate::peer::PeerIdx;
use crate::protocol::{Cx, Fact, Protocol};
use crate::register::Register;
use crate::view::PeerState;
use crate::wire::{Frame, FrameError, Frames, Header, Injected, Kind, Unlink, WaveRequest};

/// The sub-protocols.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    pub(crate) membership: Membership,
    pub(crate) sampler: Sampler,
    pub(crate) detector: FailureDetector,
    pub(crate) repair: AntiEntropy,
    pub(crate) broadcast: Broadcast,
    pub(crate) registers: Register,
}

impl Protocols {
    /// All of them, in the order in which they hear of facts, tick and write.
    pub(crate) fn all(&mut self) -> [&mut dyn Protocol; 6] {
        [
            &mut self.membership,
            &mut self.sampler,
            &mut self.detector,
            &mut self.repair,
            &mut self.broadcast,
            &mut self.registers,
        ]
    }

    pub(crate) fn each(&self) -> [&dyn Protocol; 6] {
        [&self.membership, &self.sampler, &self.detector, &self.repair, &self.broadcast, &self.registers]
    }
}

impl Gossip {
    /// The bench and the specialists, to be used side by side.
    pub(crate) fn split(&mut self) -> (Cx<'_>, &mut Protocols) {
        let cx = Cx {
            now: self.now,
            me: self.me,
            peers: &mut self.peers,
            size: self.protocols.sampler.size(&self.view).unwrap_or(self.members.alive()),
            members: &mut self.members,
            view: &mut self.view,
            origins: &mut self.origins,
            messages: &mut self.messages,
            stats: &mut self.stats,
            mtus: &self.mtus,
        };
        (cx, &mut self.protocols)
    }

    /// Tells everybody.
    pub(crate) fn tell(&mut self, fact: Fact) {
        let (mut cx, protocols) = self.split();
        for protocol in protocols.all() {
            protocol.on_fact(&mut cx, fact);
        }
    }

    // ---- datagrams in

    pub(crate) fn on_datagram(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let header = match Header::parse(datagram).map_err(Reject::from) {
            Ok(header) => header,
            Err(reject) => return self.count_reject(reject),
        };
        if let Err(reject) = self.auth.check(&header) {
            return self.count_reject(reject);
        }
        let greeter = Greeter {
            node: header.sender,
            incarnation: header.incarnation,
            address: from,
            number: header.number,
            len: datagram.len(),
        };
        let peer = self.peers.find(header.sender).filter(|&peer| {
            let link = self.peers.get(peer);
            !header.open && link.is_some_and(|link| link.incarnation == header.incarnation && link.address == from)
        });
        match peer {
            Some(peer) => self.on_linked(peer, &header, datagram),
            None => self.on_unlinked(&greeter, &header, datagram),
        }
    }

    fn on_linked(&mut self, peer: PeerIdx, header: &Header, datagram: &mut [u8]) {
        let Some(link) = self.peers.get_mut(peer) else { return };
        if !link.window.test(header.number) {
            self.stats.refused_replay += 1;
            return;
        }
        let opened = match self.auth.open(&link.subkey, self.me.node, header, datagram) {
            Ok(opened) => opened,
            Err(reject) => return self.count_reject(reject),
        };
        link.window.mark(header.number);
        link.heard = self.now;
        let (mut cx, protocols) = self.split();
        protocols.detector.on_heard(&mut cx, peer, header.number);
        protocols.broadcast.on_datagram(cx.now, peer, header.number);
        self.each_frame(opened, |gossip, frame| gossip.on_frame(peer, frame));
        if let Some(above) = self.protocols.registers.take_superseded() {
            self.raise_incarnation(above);
        }
        self.settle();
    }

    fn on_unlinked(&mut self, greeter: &Greeter, header: &Header, datagram: &mut [u8]) {
        let subkey = self.auth.subkey(header.sender, header.incarnation);
        let opened = match self.auth.open(&subkey, self.me.node, header, datagram) {
            Ok(opened) => opened,
            Err(reject) => return self.count_reject(reject),
        };
        let (mut cx, protocols) = self.split();
        if (greeter.node, greeter.incarnation) == (cx.me.node, cx.me.incarnation) {
            cx.stats.refused_own_id += 1;
            protocols.membership.on_own_echo(&cx, greeter.address);
        } else if header.open {
            protocols.membership.on_envelope();
            let mut asked = false;
            self.each_frame(opened, |gossip, frame| {
                // However much it asks at once, it gets one answer.
                if is_question(&frame) && core::mem::replace(&mut asked, true) {
                    gossip.stats.refused_work += 1;
                } else {
                    gossip.on_greeting(greeter, frame);
                }
            });
            self.protocols.membership.on_envelope_end();
            self.publish_address();
            self.settle();
        } else if !is_last_word(opened) {
            protocols.membership.on_stranger(&mut cx, greeter);
        }
    }

    /// Reads frame by frame, until the datagram ends or breaks.
    fn each_frame<'d>(&mut self, opened: Opened<'d>, mut handle: impl FnMut(&mut Self, Frame<'d>)) {
        for frame in Frames::new(opened) {
            let Ok((kind, body)) = frame else {
                self.stats.refused_frame += 1;
                return;
            };
            match Frame::parse(kind, body) {
                Ok(frame) => handle(self, frame),
                Err(FrameError::Broken) => self.stats.refused_frame += 1,
                Err(FrameError::Unknown) => self.stats.unknown_frame += 1,
            }
        }
    }

    /// One frame from the far end of a link.
    fn on_frame(&mut self, from: PeerIdx, frame: Frame<'_>) {
        if self.peers.get(from).is_none() {
            return;
        }
        match frame {
            Frame::Data(data) => {
                self.offer(Some(from), &data);
                let (mut cx, protocols) = self.split();
                protocols.broadcast.on_copy(&mut cx, from, data.flags);
            }
            Frame::Unlink(unlink) => self.on_unlink(from, unlink),
            Frame::Statuses(statuses) => self.on_statuses(from, statuses),
            frame => self.hand_over(from, &frame),
        }
    }

    /// A frame that concerns one sub-protocol, or two.
    fn hand_over(&mut self, from: PeerIdx, frame: &Frame<'_>) {
        let (mut cx, protocols) = self.split();
        match *frame {
            Frame::Beat(beat) => {
                if protocols.detector.on_beat(&cx, from, beat) {
                    // The peer has seen all that this node has, its own messages among it.
                    cx.messages.share_all();
                }
            }
            Frame::Ask(ref ask) => protocols.detector.on_ask(&mut cx, from, ask),
            Frame::Vouch(vouch) => protocols.detector.on_vouch(&mut cx, vouch.number),
            Frame::Deny(deny) => protocols.detector.on_deny(&mut cx, from, deny.number),
            Frame::Accusations(statuses) => {
                protocols.registers.on_lives(&mut cx, statuses);
                protocols.detector.on_accusations(&mut cx, statuses);
            }
            Frame::Probe(probe) => protocols.detector.on_probe(&mut cx, from, probe),
            Frame::Ack(ack) => protocols.detector.on_ack(&mut cx, from, ack),
            Frame::Wave(_)
            | Frame::Child(_)
            | Frame::ChildOk(_)
            | Frame::NotChild(_)
            | Frame::DataAck(_)
            | Frame::Announce(_)
            | Frame::Fetch(_)
            | Frame::Heard(_)
            | Frame::Inquiry(_) => protocols.broadcast.on_frame(&mut cx, from, frame),
            Frame::Digest(ref digest) => {
                if protocols.broadcast.on_digest(&mut cx, from, digest) {
                    protocols.repair.on_older_difference(&mut cx, from);
                }
            }
            Frame::Root(root) => protocols.repair.on_root(&mut cx, from, root),
            Frame::Frontiers(ref page) => protocols.repair.on_frontiers(&mut cx, from, page),
            Frame::Pull(pull) => protocols.repair.on_pull(&mut cx, from, pull),
            Frame::Absent(absent) => protocols.repair.on_absent(&mut cx, from, absent),
            Frame::RegisterRoot(root) => protocols.registers.on_root(&mut cx, from, root),
            Frame::RegisterFrontiers(ref page) => {
                protocols.detector.on_table(&mut cx, page);
                protocols.registers.on_frontiers(&mut cx, from, page);
            }
            Frame::Updates(updates) => protocols.registers.on_updates(&mut cx, from, updates),
            Frame::Conflict(ref conflict) => protocols.membership.on_conflict(conflict),
            Frame::Peers(peers) => protocols.membership.on_peers(&mut cx, peers),
            Frame::Vacancy(ref entry) => {
                if let Some(link) = cx.peers.get(from) {
                    protocols.membership.on_vacancy(link.node, entry);
                }
            }
            Frame::Walk(ref walk) => protocols.membership.on_walk(&mut cx, from, walk),
            Frame::Hello(_)
            | Frame::Retry(_)
            | Frame::Welcome(_)
            | Frame::ViewRequest(_)
            | Frame::ViewReply(_)
            | Frame::Sketch(_)
            | Frame::WaveRequest(_)
            | Frame::Injected(_) => cx.stats.refused_unasked += 1,
            Frame::Data(_) | Frame::Unlink(_) | Frame::Statuses(_) => unreachable!("handled above"),
        }
    }

    /// One frame of a datagram that is addressed to anyone: a greeting, or for the root of a tree.
    fn on_greeting(&mut self, greeter: &Greeter, frame: Frame<'_>) {
        let (mut cx, protocols) = self.split();
        let decision = match frame {
            Frame::Hello(hello) => protocols.membership.on_hello(&mut cx, greeter, &hello),
            Frame::Welcome(welcome) => protocols.membership.on_welcome(&mut cx, greeter, &welcome),
            Frame::Retry(retry) => {
                protocols.membership.on_retry(&mut cx, greeter, retry);
                None
            }
            Frame::Probe(probe) => {
                protocols.detector.on_open_probe(&mut cx, greeter.address, probe);
                None
            }
            Frame::Ack(ack) => {
                protocols.detector.on_open_ack(&mut cx, greeter.node, greeter.incarnation, ack);
                None
            }
            // Who answered a greeting of this node, with the nonce of it, is believed; anybody else could write these.
            Frame::Peers(peers) if protocols.membership.is_answered() => {
                protocols.membership.on_peers(&mut cx, peers);
                None
            }
            // Forgotten with this datagram, unless it grants a link.
            Frame::Vacancy(entry) => {
                protocols.membership.on_vacancy(greeter.node, &entry);
                None
            }
            Frame::Conflict(conflict) if protocols.membership.is_answered() => {
                protocols.membership.on_conflict(&conflict);
                None
            }
            Frame::Peers(_) | Frame::Conflict(_) => {
                cx.stats.refused_unasked += 1;
                None
            }
            Frame::ViewRequest(request) => {
                protocols.sampler.on_request(&mut cx, greeter, &request);
                None
            }
            Frame::ViewReply(reply) => {
                protocols.sampler.on_reply(&mut cx, greeter, &reply);
                None
            }
            Frame::Sketch(sketch) => {
                protocols.sampler.on_sketch(&mut cx, &sketch);
                None
            }
            Frame::Injected(injected) => return self.on_injected(greeter, &injected),
            Frame::WaveRequest(request) => return self.on_wave_request(greeter, request),
            _ => {
                cx.stats.refused_stranger += 1;
                None
            }
        };
        if let Some(decision) = decision {
            self.decide(decision);
        }
    }

    /// A message for the root of a tree, by its origin.
    fn on_injected(&mut self, sender: &Greeter, injected: &Injected<'_>) {
        let own = (injected.data.origin, injected.data.incarnation) == (sender.node, sender.incarnation);
        if own && self.is_root_for(sender, injected.tree, injected.incarnation, injected.number) {
            self.offer(None, &injected.data);
        } else {
            self.stats.refused_injected += 1;
        }
    }

    fn on_wave_request(&mut self, sender: &Greeter, request: WaveRequest) {
        if self.is_root_for(sender, request.tree, request.incarnation, request.number) {
            let (mut cx, protocols) = self.split();
            protocols.broadcast.on_wave_request(&mut cx, request.tree, request.number);
        } else {
            self.stats.refused_injected += 1;
        }
    }

    /// Whether somebody without a link may speak to this node as the root of a tree: who means this life of the root, and one
    /// of its last two waves, and is a member in its present life, or may be one where nobody knows all of them.
    fn is_root_for(&mut self, sender: &Greeter, tree: u8, incarnation: Incarnation, number: u32) -> bool {
        let is_open = matches!(self.config.security, Security::Plain);
        let (cx, protocols) = self.split();
        if !protocols.broadcast.is_root(tree, incarnation, number, &cx) {
            return false;
        }
        match cx.members.find(sender.node).and_then(|row| cx.members.get(row)) {
            Some(member) => member.incarnation == sender.incarnation,
            None => cx.view.is_used() && (!is_open || protocols.broadcast.admits(cx.now, sender.address)),
        }
    }

    fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::Admit { link, instead } => {
                if let Some(peer) = instead {
                    self.unlink(peer, PeerState::Known, Some(Unlink::SURPLUS));
                }
                self.link(&link);
            }
            Decision::Drop { peer } => self.unlink(peer, PeerState::Known, None),
            Decision::Raise { above } => self.raise_incarnation(above),
        }
    }

    fn on_unlink(&mut self, from: PeerIdx, unlink: Unlink) {
        let node = self.peers.get(from).map(|link| link.node);
        self.unlink(from, PeerState::Known, None);
        if let Some(node) = node.filter(|_| unlink.reason == Unlink::LEAVING) {
            self.view.forget(node);
            if let Some(row) = self.members.find(node) {
                self.members.raise_status(self.now, row, LEFT);
            }
        }
    }

    fn count_reject(&mut self, reject: Reject) {
        let counter = match reject {
            Reject::TooShort => &mut self.stats.refused_short,
            Reject::Version => &mut self.stats.refused_version,
            Reject::Flags => &mut self.stats.refused_flags,
            Reject::KeyId => &mut self.stats.refused_key,
            Reject::Cluster => &mut self.stats.refused_cluster,
            Reject::Tag => &mut self.stats.refused_tag,
        };
        *counter += 1;
    }

    // ---- ticks

    pub(crate) fn run_timeouts(&mut self) {
        for index in 0..self.protocols.all().len() {
            loop {
                let (mut cx, protocols) = self.split();
                let Some(fact) = protocols.all()[index].on_timeout(&mut cx) else { break };
                self.on_fact(fact);
            }
        }
        self.settle();
    }

    /// Passes on what was found out about members and links. A dead member has no link; one that leaves keeps it until it
    /// has said goodbye.
    fn settle(&mut self) {
        loop {
            let (mut cx, protocols) = self.split();
            protocols.detector.look_into_accusations(&mut cx);
            if let Some(member) = self.members.next_turned() {
                self.on_turned(member);
            } else if let Some(fact) = self.protocols.detector.next_note(&self.peers) {
                self.on_fact(fact);
            } else {
                return;
            }
        }
    }

    fn on_turned(&mut self, member: Row) {
        let Some(row) = self.members.get(member) else { return };
        if !row.is_gone() {
            return self.tell(Fact::Revived { member });
        }
        let link = self.peers.find(row.node).filter(|_| row.status != LEFT);
        self.tell(Fact::Died { member });
        if let Some(peer) = link {
            self.unlink(peer, PeerState::Down, None);
        }
    }

    /// A fact that asks for something only the router can do.
    fn on_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Silent { peer } => {
                self.stats.links_lost += 1;
                let member = self.peers.get(peer).and_then(|link| self.members.find(link.node));
                self.unlink(peer, PeerState::Unreachable, Some(Unlink::SURPLUS));
                let (cx, protocols) = self.split();
                if let Some(member) = member {
                    protocols.membership.on_vanished(&cx, member);
                }
            }
            Fact::Lost { row, upto } => self.lose(row, upto),
            Fact::Accepted { .. }
            | Fact::Duplicate { .. }
            | Fact::Evicted { .. }
            | Fact::Forgotten { .. }
            | Fact::Suspected { .. }
            | Fact::Cleared { .. }
            | Fact::Differs { .. }
            | Fact::Turn { .. }
            | Fact::Asking { .. }
            | Fact::Mute { .. }
            | Fact::Deaf
            | Fact::Hearing
            | Fact::Died { .. }
            | Fact::Unreached { .. }
            | Fact::Revived { .. }
            | Fact::LinkUp { .. }
            | Fact::LinkDown { .. } => self.tell(fact),
        }
    }
}

/// A goodbye wants no answer.
fn is_last_word(opened: Opened<'_>) -> bool {
    Frames::new(opened).flatten().any(|(kind, _)| kind == Kind::UNLINK)
}
