//! Datagrams out: who writes what, and the seal.
//!
//! Each sub-protocol that owes the peer something writes in the order of urgency, within what is kept for those behind
//! it; who could place nothing goes first in the next datagram, with all the room.

use super::Protocols;
use crate::auth::Envelope;
use crate::gossip::Gossip;
use crate::ids::NodeId;
use crate::io::Transmit;
use crate::pack::Packer;
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::wire::HEADER_LEN;

impl Gossip {
    /// A datagram to an address without a link.
    pub(crate) fn compose_greeting(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let may_inject = self.pacer.is_open(self.now);
        loop {
            let mtu = self.config.mtu.into();
            let (mut cx, protocols) = self.split();
            let open = protocols.detector.compose_open(&mut cx, buffer, mtu).map(|(to, len)| (to, None, len));
            let greeting = open.or_else(|| protocols.membership.compose(&mut cx, buffer));
            let mut inject = || protocols.broadcast.compose_open(&mut cx, buffer).map(|(to, len)| (to, None, len));
            let injected = greeting.or_else(|| if may_inject { inject() } else { None });
            let exchange = || protocols.sampler.compose(cx.now, buffer).map(|(to, len)| (to, None, len));
            let (to, node, len) = injected.or_else(exchange)?;
            if len == 0 {
                continue;
            }
            let len = HEADER_LEN + len;
            let number = match node {
                None => self.peers.next_open_number()?,
                Some(node) => match self.peers.find(node) {
                    Some(peer) => self.peers.next_number(peer)?,
                    None => self.peers.next_last_number()?,
                },
            };
            self.seal_numbered(number, node, &mut buffer[..len]);
            return Some(Transmit { to, len, segment_size: None });
        }
    }

    /// More datagrams for the same peer, while they have the length of the first one. Returns the length of all.
    pub(crate) fn compose_more(&mut self, peer: PeerIdx, buffer: &mut [u8], segment: usize) -> usize {
        let mut len = segment;
        // Short datagrams are the end of what is owed; and a short segment has no room for the frames of the next one.
        // And who gives room for one datagram of the whole length alone expects one, also where the way is narrow.
        let worthwhile = 2 * segment > self.mtu_of(peer) && buffer.len() > self.config.mtu.into();
        while worthwhile
            && len + segment <= buffer.len()
            && self.peers.is_anything_due(peer)
            && self.pacer.is_open(self.now)
        {
            let room = &mut buffer[len..len + segment];
            let written = self.compose(peer, room);
            if written == 0 {
                break;
            }
            len += self.seal(peer, &mut buffer[len..len + HEADER_LEN + written]);
            if HEADER_LEN + written < segment {
                break;
            }
        }
        len
    }

    /// A datagram for a peer to which something is owed. Where nobody could write for the sake of others, those who wanted
    /// to have their turn at once, with all the room. If that fills nothing either, the marks have nothing behind them,
    /// and go, or the loop would not end. What waits for the budget stays owed.
    pub(crate) fn compose_owed(&mut self, peer: PeerIdx, datagram: &mut [u8]) -> usize {
        for _ in 0..2 {
            let len = self.compose(peer, datagram);
            if len > 0 {
                return len;
            }
        }
        self.stats.empty_turns += 1;
        let open = self.pacer.is_open(self.now);
        for due in Due::ALL.into_iter().filter(|due| due.may_leave(open)) {
            self.peers.done(peer, due);
        }
        0
    }

    /// Fills `datagram` with what is owed to `to` and may leave. Returns the bytes of frames.
    pub(crate) fn compose(&mut self, to: PeerIdx, datagram: &mut [u8]) -> usize {
        let turns = self.peers.get(to).map_or(0, |link| link.turns);
        let open = self.pacer.is_open(self.now);
        let mtu = self.mtu_of(to);
        let (mut cx, protocols) = self.split();
        let mut packet = Packer::new(datagram, mtu);
        // Who may not write now keeps its turn.
        let held = Due::ALL.into_iter().filter(|due| !due.may_leave(open)).fold(0, |held, due| held | bit(due));
        let mut next_turns = turns & held;
        for first in [true, false] {
            for due in Due::ALL {
                let has_turn = turns & bit(due) != 0;
                if has_turn != first || !due.may_leave(open) || !cx.peers.is_due(to, due) {
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

    /// The longest datagram that may be sent over a link.
    fn mtu_of(&self, peer: PeerIdx) -> usize {
        self.peers.get(peer).map_or(0, |link| self.mtus.of(self.now, link.address))
    }

    /// Returns the length of the datagram; 0 where the link has no number left for it.
    pub(crate) fn seal(&mut self, peer: PeerIdx, datagram: &mut [u8]) -> usize {
        let to = self.peers.get_mut(peer).map(|link| {
            link.sent = self.now;
            link.node
        });
        let Some(number) = self.peers.next_number(peer) else { return 0 };
        self.seal_numbered(number, to, datagram)
    }

    fn seal_numbered(&mut self, number: u64, to: Option<NodeId>, datagram: &mut [u8]) -> usize {
        let envelope = Envelope { sender: self.me.node, incarnation: self.me.incarnation, number, to };
        self.auth.seal(&self.subkey, &envelope, datagram);
        self.pacer.spend(self.now, datagram.len());
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += datagram.len() as u64;
        datagram.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ids::Incarnation;
    use crate::membership::NewLink;
    use crate::time::Instant;
    use crate::wire::Probe;

    /// In the shortest datagrams, what is kept for other writers is more than there is; and they have nothing to say.
    #[test]
    fn the_shares_of_others_silence_nobody() {
        let mut config = Config::local(NodeId(1));
        config.mtu = crate::config::MTU_MIN;
        let mut gossip = Gossip::new(config, [1; 32], Instant::ZERO).expect("a preset is in its bounds");
        let address = ([10, 0, 0, 2], 7_000).into();
        let (node, incarnation) = (NodeId(2), Incarnation(1));
        gossip.link(&NewLink { node, incarnation, address, number: 0, near: false, round_trip: 0 });
        let mut buffer = [0; crate::config::MTU_MIN as usize];
        while gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some() {}

        let peer = gossip.peers.find(NodeId(2)).expect("it was linked");
        let (mut cx, protocols) = gossip.split();
        protocols.detector.on_probe(&mut cx, peer, Probe { number: 7, status: 0 });
        for due in Due::ALL {
            gossip.peers.mark(peer, due);
        }
        assert!(gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some(), "the probe is answered");
        while gossip.poll_transmit(Instant::ZERO, &mut buffer).is_some() {}
        assert!(!gossip.peers.is_anything_due(peer));
        gossip.check_invariants();
    }
}
