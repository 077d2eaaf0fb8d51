//! Links begin and end: the row, the member behind it, and the news to everybody.

use core::net::SocketAddr;

use crate::gossip::Gossip;
use crate::ids::{Incarnation, NodeId};
use crate::peer::PeerIdx;
use crate::protocol::Fact;
use crate::view::PeerState;

impl Gossip {
    /// Makes a link, or begins it anew where there is one.
    pub(crate) fn link(&mut self, node: NodeId, incarnation: Incarnation, address: SocketAddr, number: u64) {
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
        link.greeted = link.greeted.max(number);
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
}
