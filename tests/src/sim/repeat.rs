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
