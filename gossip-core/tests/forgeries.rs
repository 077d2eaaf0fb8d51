//! What somebody who was never let in can write in plain mode, and what comes of it: nothing.

mod common;

use common::{Cluster, secs};
use gossip_core::auth::{Auth, Envelope};
use gossip_core::pack::Packer;
use gossip_core::wire::{Address, Conflict, HEADER_LEN, Kind, PeerEntry, datagram_number};
use gossip_core::{Event, Incarnation, NodeId, Security};

/// A datagram outside of links that a stranger could write in plain mode.
fn forged(fill: impl FnOnce(&mut Packer<'_>)) -> Vec<u8> {
    let auth = Auth::new(&Security::Plain, "gossip");
    let (sender, incarnation) = (NodeId(77), Incarnation(1 << 32));
    let mut datagram = [0; 1_200];
    let mut packer = Packer::new(&mut datagram, 1_200);
    fill(&mut packer);
    let len = HEADER_LEN + packer.len();
    let envelope = Envelope { sender, incarnation, number: datagram_number(1, 1), to: None };
    auth.seal(&auth.subkey(sender, incarnation), &envelope, &mut datagram[..len]);
    datagram[..len].to_vec()
}

#[test]
fn a_stranger_names_no_members_and_no_conflicts() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    let victim = |node: u64| Address(([203, 0, 113, node as u8], 9).into());
    let named = (1..13).map(|node| PeerEntry {
        id: NodeId(1_000 + node),
        incarnation: Incarnation(u64::MAX),
        address: victim(node),
    });
    let mut datagram = forged(|packer| {
        assert!(packer.list(Kind::PEERS, named) > 0);
        let conflict = Conflict { incarnation: Incarnation(9), address: victim(1) };
        packer.frame(Kind::CONFLICT, &conflict).expect("there is room");
    });
    let before = cluster.nodes[0].peers().count();
    cluster.log = Some(vec![]);
    cluster.nodes[0].handle_packet(cluster.now, ([198, 51, 100, 1], 5).into(), &mut datagram);
    cluster.run(secs(10));
    assert_eq!(cluster.nodes[0].peers().count(), before);
    assert_eq!(cluster.nodes[0].stats().refused_unasked, 2, "both are counted");
    assert_eq!(cluster.count(0, |event| matches!(event, Event::IdentityConflict { .. })), 0);
    let log = cluster.log.take().expect("it was wanted");
    assert!(log.iter().all(|(_, packet)| cluster.addresses.contains(&packet.to)), "nothing goes to those it named");
}
