//! Links begin and end: the row, the member behind it, and the news to everybody. And news of members comes.

use crate::gossip::Gossip;
use crate::membership::NewLink;
use crate::peer::PeerIdx;
use crate::protocol::Fact;
use crate::view::PeerState;
use crate::wire::{List, MemberStatus};

impl Gossip {
    /// Makes a link, or begins it anew where there is one.
    pub(crate) fn link(&mut self, new: &NewLink) {
        let NewLink { node, incarnation, address, number, near, round_trip } = *new;
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
        link.near = near;
        link.suspected = false;
        if round_trip > 0 {
            link.round_trip = round_trip;
        }
        link.greeted = link.greeted.max(number);
        if let Some(member) = self.members.get_mut(member) {
            member.address = Some(address);
        }
        self.stats.links_made += 1;
        self.tell(Fact::LinkUp { peer });
        self.members.set_state(self.now, member, PeerState::Linked);
    }

    /// News of members: in which life they are, then whether they live, then whom to tell.
    pub(super) fn on_statuses(&mut self, from: PeerIdx, statuses: List<'_, MemberStatus>) {
        let (mut cx, protocols) = self.split();
        protocols.registers.on_lives(&mut cx, statuses);
        protocols.detector.on_statuses(&mut cx, statuses);
        self.settle();
        let (cx, protocols) = self.split();
        protocols.registers.on_statuses(&cx, from, statuses);
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
}
