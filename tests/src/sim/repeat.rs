//! Law 7 on the spot: a repeated datagram changes nothing but counters.
//!
//! A copy of the node that has just handled a datagram, and was drained, is handed the same datagram again.

use gossip_core::auth::Opened;
use gossip_core::wire::{Frames, HEADER_LEN};
use gossip_core::{Gossip, Instant};

use crate::sim::address::address;
use crate::sim::arena::Label;
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

impl<O: Observer> Simulation<O> {
    /// Checks law 7 with a datagram that `node` has just handled.
    pub(super) fn repeat(&mut self, node: u32, label: Label, datagram: &mut [u8]) {
        let (now, state) = (self.now, &self.nodes[node as usize]);
        if !state.is_writable(now) || !state.is_listening(now) {
            return;
        }
        let Some(gossip) = &state.gossip else { return };
        let (mut copy, local) = (gossip.clone(), state.local(now));
        let mut buffer = vec![0; usize::from(state.mtu)];
        let from = address(label.from, label.from_port);
        let kinds = kinds(datagram);
        if let Some(what) = changed(&mut copy, local, from, datagram, &mut buffer) {
            self.step(node, What::NotIdempotent { why: format!("(kinds {kinds}) {what}") });
        }
    }
}

/// The kinds of frames in a datagram, as hexadecimal numbers; nonsense in sealed mode.
fn kinds(datagram: &[u8]) -> String {
    let frames = Frames::new(Opened::forged(datagram.get(HEADER_LEN..).unwrap_or_default()));
    let kinds: Vec<String> = frames.map_while(Result::ok).map(|(kind, _)| format!("{:02x}", kind.0)).collect();
    kinds.join(" ")
}

/// What the second of two equal datagrams changed that it must not change.
fn changed(
    gossip: &mut Gossip,
    now: Instant,
    from: std::net::SocketAddr,
    datagram: &mut [u8],
    buffer: &mut [u8],
) -> Option<&'static str> {
    let (deadline, before, len) = (gossip.poll_timeout(), gossip.stats(), datagram.len());
    gossip.handle_packet(now, from, datagram);
    let known = gossip.stats().refused_replay > before.refused_replay;
    if gossip.poll_event().is_some() {
        return Some("made an event");
    }
    if gossip.poll_persist().is_some() {
        return Some("made a record");
    }
    match gossip.poll_transmit(now, buffer) {
        Some(_) if known => return Some("from a known peer was answered"),
        Some(answer) if answer.len > len => return Some("from a stranger was answered with more bytes"),
        Some(answer) if answer.to != from => return Some("from a stranger made it send to somebody else"),
        _ => {}
    }
    if gossip.poll_transmit(now, buffer).is_some() {
        return Some("was answered twice");
    }
    (known && gossip.poll_timeout() != deadline).then_some("moved the deadline")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::{Config, Durability, NodeId, Order};
    use std::net::SocketAddr;

    const NOW: Instant = Instant::from_millis(5);

    fn node(index: u32) -> Gossip {
        let mut config = Config::local(NodeId(u64::from(index) + 1));
        config.durability = if index == 1 { Durability::Records } else { Durability::None };
        Gossip::new(config, [index as u8; 32], NOW).expect("a preset is in its bounds")
    }

    /// The datagrams that a node wants to send after a tick, and everything else drained.
    fn drain(gossip: &mut Gossip) -> Vec<Vec<u8>> {
        gossip.handle_timeout(NOW);
        while let Some(record) = gossip.poll_persist() {
            gossip.handle_persisted(NOW, record.seq);
        }
        while gossip.poll_event().is_some() {}
        let mut buffer = [0; 1_200];
        std::iter::from_fn(|| gossip.poll_transmit(NOW, &mut buffer).map(|sent| buffer[..sent.len].to_vec())).collect()
    }

    fn at(index: u32) -> SocketAddr {
        address(index, 0)
    }

    /// Two linked nodes, drained.
    fn pair() -> [Gossip; 2] {
        let mut pair = [node(0), node(1)];
        pair[0].join(NOW, at(1)).expect("room for a contact");
        for round in 0..12 {
            let (from, to) = (round % 2, (round + 1) % 2);
            for mut datagram in drain(&mut pair[from]) {
                pair[to].handle_packet(NOW, at(from as u32), &mut datagram);
            }
        }
        for node in &mut pair {
            drain(node);
        }
        pair
    }

    fn judge(gossip: &Gossip, from: u32, datagram: &[u8]) -> Option<&'static str> {
        changed(&mut gossip.clone(), NOW, at(from), &mut datagram.to_vec(), &mut [0; 1_200])
    }

    /// Whoever has not had the datagram yet is a core that takes every repetition for the first.
    #[test]
    fn objects_to_a_datagram_that_is_taken_for_a_new_one() {
        let [mut sender, mut receiver] = pair();
        sender.submit(NOW, Order::Unordered, b"x").expect("room");
        let datagrams = drain(&mut sender);
        let [datagram] = &datagrams[..] else { panic!("one message, one link: {} datagrams", datagrams.len()) };
        assert_eq!(judge(&receiver, 0, datagram), Some("made a record"));
        receiver.handle_packet(NOW, at(0), &mut datagram.clone());
        drain(&mut receiver);
        assert_eq!(judge(&receiver, 0, datagram), None);
        let [receiver, mut sender] = pair();
        sender.submit(NOW, Order::Unordered, b"x").expect("room");
        let datagram = drain(&mut sender).remove(0);
        assert_eq!(judge(&receiver, 1, &datagram), Some("made an event"), "node 0 keeps no records");
    }

    /// What was owed before the datagram came is taken for an answer to it.
    #[test]
    fn objects_to_an_answer_that_goes_elsewhere_or_is_longer() {
        let mut stranger = node(2);
        let mut receiver = node(0);
        stranger.join(NOW, at(0)).expect("room for a contact");
        let hello = drain(&mut stranger).remove(0);
        assert_eq!(judge(&receiver, 2, &hello), None, "one answer, no longer than the greeting");
        receiver.join(NOW, at(1)).expect("room for a contact");
        receiver.handle_timeout(NOW);
        assert_eq!(judge(&receiver, 2, &hello), Some("was answered twice"));
        let other = "from a stranger made it send to somebody else";
        assert_eq!(judge(&receiver, 2, &[0; 1_000]), Some(other), "the garbage itself is not answered");
        assert_eq!(judge(&receiver, 2, &hello[..48]), Some("from a stranger was answered with more bytes"));
    }
}
