//! The foreman: the only place where sub-protocols meet.
//!
//! A datagram comes in, is opened, and its frames go to whom they concern; facts go to everybody; a message enters the
//! store here and nowhere else, whether it was submitted, spread or repaired. A datagram goes out: each sub-protocol
//! that owes the peer something writes in the order of urgency, within what is kept for those behind it; who could place
//! nothing goes first in the next datagram, with all the room.

use core::net::SocketAddr;

use crate::anti_entropy::{AntiEntropy, SEQ_MAX};
use crate::auth::{Opened, Reject};
use crate::broadcast::Broadcast;
use crate::event::{Order, Path};
use crate::failure_detector::FailureDetector;
use crate::gossip::Gossip;
use crate::ids::{Incarnation, MessageId};
use crate::membership::{Decision, Greeter, Membership};
use crate::order;
use crate::pack::Packer;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol};
use crate::register::Register;
use crate::store::{Freshness, NewMessage, Row, Slot, Stage};
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::{Data, Frame, FrameError, Frames, HEADER_LEN, Header, Kind, Unlink};

/// The sub-protocols.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    pub(crate) membership: Membership,
    pub(crate) detector: FailureDetector,
    pub(crate) repair: AntiEntropy,
    pub(crate) broadcast: Broadcast,
    pub(crate) registers: Register,
}

impl Protocols {
    /// All of them, in the order in which they hear of facts, tick and write.
    pub(crate) fn all(&mut self) -> [&mut dyn Protocol; 5] {
        [&mut self.membership, &mut self.detector, &mut self.repair, &mut self.broadcast, &mut self.registers]
    }

    pub(crate) fn each(&self) -> [&dyn Protocol; 5] {
        [&self.membership, &self.detector, &self.repair, &self.broadcast, &self.registers]
    }
}

/// How many messages are looked at, at most, for one that may make room.
const VICTIMS_MAX: usize = 16;

impl Gossip {
    /// The bench and the specialists, to be used side by side.
    pub(crate) fn split(&mut self) -> (Cx<'_>, &mut Protocols) {
        let cx = Cx {
            now: self.now,
            me: self.me,
            peers: &mut self.peers,
            members: &mut self.members,
            origins: &mut self.origins,
            messages: &mut self.messages,
            stats: &mut self.stats,
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
        self.protocols.detector.on_heard(self.now, peer);
        self.each_frame(opened, |gossip, frame| gossip.on_frame(peer, frame));
        if let Some(above) = self.protocols.registers.take_superseded() {
            self.raise_incarnation(above);
        }
    }

    fn on_unlinked(&mut self, greeter: &Greeter, header: &Header, datagram: &mut [u8]) {
        let subkey = self.auth.subkey(header.sender, header.incarnation);
        let opened = match self.auth.open(&subkey, self.me.node, header, datagram) {
            Ok(opened) => opened,
            Err(reject) => return self.count_reject(reject),
        };
        let (mut cx, protocols) = self.split();
        if greeter.node == cx.me.node {
            protocols.membership.on_own_id(&mut cx, greeter);
        } else if header.open {
            self.each_frame(opened, |gossip, frame| gossip.on_greeting(greeter, frame));
            self.publish_address();
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
        if let Frame::Data(data) = frame {
            return self.offer(from, &data);
        }
        if let Frame::Unlink(unlink) = frame {
            return self.on_unlink(from, unlink);
        }
        let (mut cx, protocols) = self.split();
        match frame {
            Frame::Probe(probe) => protocols.detector.on_probe(&mut cx, from, probe),
            Frame::Ack(ack) => protocols.detector.on_ack(&mut cx, from, ack),
            Frame::Root(root) => protocols.repair.on_root(&mut cx, from, root),
            Frame::Frontiers(page) => protocols.repair.on_frontiers(&mut cx, from, &page),
            Frame::Pull(pull) => protocols.repair.on_pull(&mut cx, from, pull),
            Frame::Absent(absent) => protocols.repair.on_absent(&mut cx, from, absent),
            Frame::RegisterRoot(root) => protocols.registers.on_root(&mut cx, from, root),
            Frame::RegisterFrontiers(page) => protocols.registers.on_frontiers(&mut cx, from, &page),
            Frame::Updates(updates) => protocols.registers.on_updates(&mut cx, from, updates),
            Frame::Conflict(conflict) => protocols.membership.on_conflict(&conflict),
            Frame::Peers(peers) => protocols.membership.on_peers(&mut cx, peers),
            Frame::Hello(_) | Frame::Retry(_) | Frame::Welcome(_) => cx.stats.refused_unasked += 1,
            Frame::Data(_) | Frame::Unlink(_) => unreachable!("handled above"),
        }
    }

    /// One frame of a greeting.
    fn on_greeting(&mut self, greeter: &Greeter, frame: Frame<'_>) {
        let (mut cx, protocols) = self.split();
        let decision = match frame {
            Frame::Hello(hello) => protocols.membership.on_hello(&mut cx, greeter, &hello),
            Frame::Welcome(welcome) => protocols.membership.on_welcome(&mut cx, greeter, &welcome),
            Frame::Retry(retry) => {
                protocols.membership.on_retry(&mut cx, greeter, retry);
                None
            }
            // Members are believed from whoever is linked now; the answer that made the link comes before them.
            Frame::Peers(peers) => {
                protocols.membership.on_peers(&mut cx, peers);
                None
            }
            _ => {
                cx.stats.refused_stranger += 1;
                None
            }
        };
        if let Some(decision) = decision {
            self.decide(decision);
        }
    }

    fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::Admit { node, incarnation, address, nonce, instead } => {
                if let Some(peer) = instead {
                    self.unlink(peer, PeerState::Known, Some(Unlink::SURPLUS));
                }
                self.link(node, incarnation, address, nonce);
            }
            Decision::Drop { peer } => self.unlink(peer, PeerState::Known, None),
            Decision::Raise { above } => self.raise_incarnation(above),
        }
    }

    fn on_unlink(&mut self, from: PeerIdx, unlink: Unlink) {
        let state = if unlink.reason == Unlink::LEAVING { PeerState::Left } else { PeerState::Known };
        self.unlink(from, state, None);
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

    // ---- links

    /// Makes a link, or begins it anew where there is one.
    fn link(&mut self, node: crate::ids::NodeId, incarnation: Incarnation, address: SocketAddr, nonce: u64) {
        let old = self.peers.find(node);
        if let Some(old) = old.filter(|&old| self.peers.get(old).is_some_and(|link| link.incarnation != incarnation)) {
            self.unlink(old, PeerState::Known, None);
        }
        let Some(member) = self.members.find_or_insert(self.now, node, incarnation) else {
            self.stats.refused_full += 1;
            return;
        };
        let subkey = || self.auth.subkey(node, incarnation);
        let peer = self.peers.find(node).or_else(|| self.peers.insert(node, incarnation, address, subkey(), self.now));
        let Some((peer, link)) = peer.and_then(|peer| Some((peer, self.peers.get_mut(peer)?))) else {
            self.stats.refused_full += 1;
            return;
        };
        link.address = address;
        link.heard = self.now;
        if nonce != 0 {
            link.greeted = nonce;
        }
        if let Some(member) = self.members.get_mut(member) {
            member.address = Some(address);
        }
        self.stats.links_made += 1;
        self.tell(Fact::LinkUp { peer });
        self.members.set_state(self.now, member, PeerState::Linked);
    }

    /// Ends a link; the far end hears of it where a reason is given.
    pub(crate) fn unlink(&mut self, peer: PeerIdx, state: PeerState, reason: Option<u8>) {
        let Some((node, address)) = self.peers.get(peer).map(|link| (link.node, link.address)) else { return };
        self.tell(Fact::LinkDown { peer });
        self.peers.remove(peer);
        if let Some(member) = self.members.find(node) {
            self.members.set_state(self.now, member, state);
        }
        if let Some(reason) = reason {
            self.protocols.membership.say_unlink(node, address, reason);
        }
    }

    // ---- messages in

    /// A peer sent a message.
    fn offer(&mut self, from: PeerIdx, data: &Data<'_>) {
        self.stats.data_received += 1;
        let order = match data.order {
            0 => Order::Unordered,
            1 => Order::Fifo,
            _ => return self.stats.refused_form += 1,
        };
        let id = MessageId { origin: data.origin, incarnation: data.incarnation, seq: data.seq };
        let whole = data.chunk.0.is_empty() && data.predecessors.0.is_empty() && data.path.0.len() <= Path::MAX * 8;
        if !whole || id.seq == 0 || id.seq >= SEQ_MAX {
            return self.stats.refused_form += 1;
        }
        if u128::from(data.age_ms) >= self.config.timing.horizon.as_millis() {
            return self.stats.refused_old += 1;
        }
        let Some(row) = self.row_of(id) else { return self.stats.refused_origin += 1 };
        match self.origins.get(row).map(|origin| origin.freshness(id.seq, self.origins.window())) {
            Some(Freshness::New) => {}
            Some(Freshness::Ahead) => return self.on_ahead(row, id),
            Some(Freshness::Seen) | None => return self.on_duplicate(from, row, id),
        }
        if self.is_own(id) {
            return self.stats.refused_forged += 1;
        }
        if !self.make_room(data.path.0.len() + data.payload.0.len()) {
            return self.stats.refused_store += 1;
        }
        let new = NewMessage {
            id,
            row,
            order,
            previous: data.previous,
            hops: data.hops,
            age_ms: data.age_ms,
            path: data.path.0,
            payload: data.payload.0,
            unshared: false,
        };
        self.stats.accepted += 1;
        self.accept(&new, Some(from), true);
    }

    /// The way of every message into the store.
    pub(crate) fn accept(&mut self, new: &NewMessage<'_>, from: Option<PeerIdx>, deliver: bool) -> Option<Slot> {
        self.origins.see(self.now, new.row, new.id.seq);
        let slot = self.messages.insert(self.now, &mut self.origins, new)?;
        if let Some(origin) = self.origins.get_mut(new.row) {
            let age = core::time::Duration::from_millis(new.age_ms.into());
            let born = Instant::from_micros(self.now.as_micros().saturating_sub(crate::time::micros(age)));
            origin.heard = origin.heard.max(born);
        }
        if self.gate.is_enabled() {
            self.messages.want_record(slot);
        }
        if deliver {
            order::admit(&mut self.origins, &mut self.messages, slot);
        } else {
            order::release(&mut self.origins, &mut self.messages, new.row);
        }
        self.tell(Fact::Accepted { slot, from });
        Some(slot)
    }

    /// The row of a message's origin; made where there is none.
    fn row_of(&mut self, id: MessageId) -> Option<Row> {
        match self.origins.find(id.origin, id.incarnation) {
            Some(row) => Some(row),
            None if self.is_own(id) => None,
            None => self.origins.insert(self.now, id.origin, id.incarnation),
        }
    }

    fn is_own(&self, id: MessageId) -> bool {
        (id.origin, id.incarnation) == (self.me.node, self.me.incarnation)
    }

    fn on_ahead(&mut self, row: Row, id: MessageId) {
        if self.is_own(id) {
            return self.stats.refused_forged += 1;
        }
        self.stats.refused_ahead += 1;
        let (cx, protocols) = self.split();
        cx.origins.mention(cx.now, row, id.seq);
        protocols.repair.note_holes(&cx, row);
    }

    fn on_duplicate(&mut self, from: PeerIdx, row: Row, id: MessageId) {
        self.stats.duplicates += 1;
        if let Some(slot) = self.messages.find(row, id.seq) {
            self.messages.share(slot);
            self.tell(Fact::Duplicate { slot, from });
        }
    }

    /// Makes room for `len` bytes, by giving up the oldest messages that may be given up.
    pub(crate) fn make_room(&mut self, len: usize) -> bool {
        while !self.messages.has_room(len) {
            let victim = self.messages.oldest().take(VICTIMS_MAX).find(|&slot| self.may_give_up(slot));
            let Some(slot) = victim else { return false };
            self.give_up(slot);
        }
        true
    }

    /// Whether the loss of a message could be told, if it was not delivered yet.
    pub(crate) fn may_give_up(&self, slot: Slot) -> bool {
        let Some(message) = self.messages.get(slot) else { return false };
        let Some(origin) = self.origins.get(message.row) else { return false };
        let seq = message.id.seq;
        message.stage == Stage::Delivered || origin.gap.is_none_or(|(first, last)| last + 1 == seq || first == seq + 1)
    }

    /// Takes a message out of the store for good.
    pub(crate) fn give_up(&mut self, slot: Slot) {
        let Some(message) = self.messages.get(slot) else { return };
        let (row, seq, delivered) = (message.row, message.id.seq, message.stage == Stage::Delivered);
        self.stats.evicted += 1;
        self.tell(Fact::Evicted { slot });
        self.messages.remove(&mut self.origins, slot, self.gate.is_enabled());
        if self.messages.get(slot).is_none() {
            // It was never recorded, so nothing about it is.
            self.unrecorded_acknowledgements.clear(slot as usize);
        }
        self.unrecorded_origins.set(row as usize);
        if !delivered {
            self.note_gap(row, seq, seq);
        }
    }

    /// The application is to be told that these will not come.
    fn note_gap(&mut self, row: Row, first: u64, last: u64) {
        self.stats.gapped += last - first + 1;
        if let Some(origin) = self.origins.get_mut(row) {
            let (start, end) = origin.gap.unwrap_or((first, last));
            origin.gap = Some((start.min(first), end.max(last)));
            self.untold_gaps.set(row as usize);
        }
    }

    /// Nobody has what is missing of an origin up to a number.
    fn lose(&mut self, row: Row, upto: u64) {
        let Some(hole) = self.origins.get(row).and_then(|origin| origin.first_hole()) else { return };
        let last = upto.min(*hole.end());
        self.note_gap(row, *hole.start(), last);
        self.origins.advance(self.now, row, last);
        self.unrecorded_origins.set(row as usize);
        order::release(&mut self.origins, &mut self.messages, row);
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
    }

    /// A fact that asks for something only the router can do.
    fn on_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Silent { peer } => {
                self.stats.links_lost += 1;
                self.unlink(peer, PeerState::Down, None);
            }
            Fact::Lost { row, upto } => self.lose(row, upto),
            Fact::Accepted { .. }
            | Fact::Duplicate { .. }
            | Fact::Evicted { .. }
            | Fact::LinkUp { .. }
            | Fact::LinkDown { .. } => self.tell(fact),
        }
    }

    // ---- datagrams out

    /// Fills `datagram` with what is owed to `to`. Returns the bytes of frames.
    pub(crate) fn compose(&mut self, to: PeerIdx, datagram: &mut [u8]) -> usize {
        let turns = self.peers.get(to).map_or(0, |link| link.turns);
        let mtu = self.config.mtu.into();
        let (mut cx, protocols) = self.split();
        let mut packet = Packer::new(datagram, mtu);
        let mut next_turns = 0;
        for first in [true, false] {
            for due in Due::ALL {
                let has_turn = turns & bit(due) != 0;
                if has_turn != first || !cx.peers.is_due(to, due) {
                    continue;
                }
                let kept = if first { 0 } else { kept_behind(protocols, &cx, to, due, turns) };
                packet.keep(kept);
                let before = packet.len();
                let Some(writer) = protocols.all().into_iter().find(|protocol| protocol.due() == Some(due)) else {
                    continue;
                };
                writer.on_transmit(&mut cx, to, &mut packet);
                // Who can place nothing in a whole datagram never will: no turn would help.
                let is_hopeless = first && before == 0 && packet.room() + HEADER_LEN >= mtu;
                if packet.len() == before && cx.peers.is_due(to, due) && !is_hopeless {
                    next_turns |= bit(due);
                }
            }
        }
        if let Some(link) = self.peers.get_mut(to) {
            link.turns = next_turns;
        }
        packet.len()
    }
}

const fn bit(due: Due) -> u8 {
    1 << due as u8
}

/// What is kept for the less urgent writers that have something to say, and have not had their turn already.
fn kept_behind(protocols: &Protocols, cx: &Cx<'_>, to: PeerIdx, writer: Due, turns: u8) -> usize {
    let behind = |due: Due| (due as u8) > (writer as u8) && turns & bit(due) == 0 && cx.peers.is_due(to, due);
    protocols.each().iter().filter(|protocol| protocol.due().is_some_and(behind)).map(|protocol| protocol.share()).sum()
}

/// A goodbye wants no answer.
fn is_last_word(opened: Opened<'_>) -> bool {
    Frames::new(opened).flatten().any(|(kind, _)| kind == Kind::UNLINK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ids::NodeId;
    use crate::wire::Probe;

    /// In the shortest datagrams, what is kept for other writers is more than there is; and they have nothing to say.
    #[test]
    fn the_shares_of_others_silence_nobody() {
        let mut config = Config::local(NodeId(1));
        config.mtu = crate::config::MTU_MIN;
        let mut gossip = Gossip::new(config, [1; 32], Instant::ZERO).expect("a preset is in its bounds");
        gossip.link(NodeId(2), Incarnation(1), ([10, 0, 0, 2], 7_000).into(), 0);
        let mut buffer = [0; crate::config::MTU_MIN as usize];
        while gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some() {}

        let peer = gossip.peers.find(NodeId(2)).expect("it was linked");
        let (mut cx, protocols) = gossip.split();
        protocols.detector.on_probe(&mut cx, peer, Probe { number: 7 });
        for due in Due::ALL {
            gossip.peers.mark(peer, due);
        }
        assert!(gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some(), "the probe is answered");
        while gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some() {}
        assert!(!gossip.peers.is_anything_due(peer));
        gossip.check_invariants();
    }
}
