//! Static neighbors: 16 nodes with three each.

mod common;

use std::collections::BTreeSet;

use common::{Cluster, Packet, address, id, secs};
use gossip_core::{
    Broadcast, Config, ConfigError, Event, Gossip, Instant, JoinError, Membership, Neighbor, Order, PeerState, Scope,
    Warning,
};

const COUNT: usize = 16;

/// The Möbius ladder of 16 rungs' ends: a ring, and everybody with who is opposite.
fn neighbors_of(index: usize) -> [usize; 3] {
    [(index + 1) % COUNT, (index + COUNT - 1) % COUNT, (index + COUNT / 2) % COUNT]
}

fn neighbor(index: usize) -> Neighbor {
    Neighbor { node: id(index), address: address(index) }
}

fn configure(index: usize, config: &mut Config) {
    config.membership = Membership::Static { neighbors: neighbors_of(index).map(neighbor).to_vec() };
    config.broadcast = Broadcast::Flood { ttl: 16 };
}

fn ladder() -> Cluster {
    let mut cluster = Cluster::new(COUNT, configure);
    cluster.run(secs(3));
    cluster
}

#[test]
fn everybody_is_linked_with_exactly_its_neighbors() {
    let cluster = ladder();
    for index in 0..COUNT {
        let links: BTreeSet<_> = cluster.links(index).into_iter().collect();
        assert_eq!(links, neighbors_of(index).map(id).into());
        let ups = cluster.count(index, |event| matches!(event, Event::PeerUp { .. }));
        assert_eq!((ups, cluster.events[index].len()), (3, 3), "node {index} is told of its neighbors alone");
    }
}

/// Each node passes it to all its links but the one it came by: 3 copies of the origin, 2 of everybody else.
#[test]
fn a_flood_is_passed_on_to_all_links_but_the_one_it_came_by() {
    let mut cluster = ladder();
    cluster.log = Some(vec![]);
    let text = "a text that stands out in any datagram";
    cluster.submit(5, Order::Unordered, text);
    cluster.run(secs(5));
    assert!((0..COUNT).all(|index| cluster.texts(index) == [text]));
    // Every datagram takes equally long, so who sent first was heard first.
    let carries = |packet: &Packet| packet.bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    let log = cluster.log.iter().flatten().map(|(_, packet)| packet).filter(|packet| carries(packet));
    let node = |at| (0..COUNT).find(|&index| address(index) == at).expect("one of the sixteen");
    let copies: Vec<_> = log.map(|packet| (node(packet.from), node(packet.to))).collect();
    assert_eq!(copies.len(), 3 + 15 * 2);
    for index in 0..COUNT {
        let from = copies.iter().find(|copy| copy.1 == index && index != 5).map(|copy| copy.0);
        let expected: BTreeSet<_> = neighbors_of(index).into_iter().filter(|&other| Some(other) != from).collect();
        let to: BTreeSet<_> = copies.iter().filter(|copy| copy.0 == index).map(|copy| copy.1).collect();
        assert_eq!(to, expected, "node {index} heard it from {from:?}");
    }
    let repairs: u64 = (0..COUNT).map(|index| cluster.nodes[index].stats().repairs_sent).sum();
    assert_eq!(repairs, 0, "nothing was lost");
}

/// A cookie and a refusal, no longer than what was asked, and no word about anybody else.
#[test]
fn a_stranger_gets_the_stateless_answers_and_never_a_link() {
    let stranger = COUNT;
    let mut cluster = Cluster::new(COUNT + 1, |index, config| {
        if index < COUNT {
            configure(index, config);
        }
    });
    cluster.run(secs(2));
    cluster.log = Some(vec![]);
    for contact in [0, 7] {
        cluster.nodes[stranger].join(cluster.now, address(contact)).expect("room for a contact");
    }
    cluster.submit(stranger, Order::Unordered, "let me in");
    cluster.submit(0, Order::Unordered, "among us");
    cluster.run(secs(60));
    for index in 0..COUNT {
        assert_eq!(cluster.links(index).len(), 3, "node {index} has its neighbors");
        assert!(cluster.nodes[index].peers().all(|peer| peer.node != id(stranger)), "node {index} knows the stranger");
        assert_eq!(cluster.texts(index), ["among us"]);
    }
    assert_eq!((cluster.nodes[stranger].peers().count(), cluster.texts(stranger)), (0, vec!["let me in".to_owned()]));
    let between = |from: usize, to: usize| {
        let log = cluster.log.iter().flatten().map(|(_, packet)| packet);
        let packets = log.filter(move |packet| (packet.from, packet.to) == (address(from), address(to)));
        packets.map(|packet| packet.bytes.len()).collect::<Vec<_>>()
    };
    for index in 0..COUNT {
        let (asked, answered) = (between(stranger, index), between(index, stranger));
        assert_eq!([0, 7].contains(&index), !asked.is_empty(), "it hears of nobody else");
        assert_eq!(answered.len(), asked.len().min(answered.len()), "one answer for each at most");
        assert!(answered.iter().zip(&asked).all(|(answer, question)| answer <= question), "{asked:?} {answered:?}");
        assert!(answered.iter().all(|&len| len < 100), "no list of members: {answered:?}");
    }
    assert!(cluster.nodes[0].stats().refused_not_neighbor > 1);
}

/// On a tree nobody hears it twice, so the number is exact.
#[test]
fn a_flood_on_a_line_makes_one_copy_for_each_link() {
    let mut cluster = Cluster::new(8, |index, config| {
        let beside = [index.checked_sub(1), (index < 7).then_some(index + 1)];
        config.membership = Membership::Static { neighbors: beside.into_iter().flatten().map(neighbor).collect() };
        config.broadcast = Broadcast::Flood { ttl: 16 };
    });
    cluster.run(secs(3));
    cluster.submit(3, Order::Unordered, "news");
    cluster.run(secs(3));
    let hops: Vec<_> = (0..8).flat_map(|index| cluster.deliveries(index).map(|delivery| delivery.hops)).collect();
    assert_eq!(hops, [3, 2, 1, 0, 1, 2, 3, 4]);
    assert_eq!((0..8).map(|index| cluster.nodes[index].stats().data_sent).sum::<u64>(), 7);
}

#[test]
fn nothing_is_ever_sent_to_a_node_that_is_no_neighbor() {
    let mut cluster = Cluster::new(COUNT, configure);
    cluster.log = Some(vec![]);
    cluster.run(secs(2));
    for index in 0..COUNT {
        cluster.submit(index, Order::Fifo, "news");
        cluster.nodes[index].set(cluster.now, Scope::Own, "key", b"value").expect("room");
    }
    cluster.run(secs(1));
    cluster.up[4] = false;
    cluster.run(secs(10));
    assert_eq!(cluster.nodes[0].registers("").count(), COUNT, "registers cross the ladder");
    assert_eq!(cluster.nodes[0].peers().count(), COUNT - 1, "and everybody is known");
    for (_, packet) in cluster.log.iter().flatten() {
        let from = (0..COUNT).find(|&index| address(index) == packet.from).expect("a node");
        assert!(neighbors_of(from).map(address).contains(&packet.to), "{} to {}", packet.from, packet.to);
    }
}

#[test]
fn a_neighbor_that_does_not_name_this_node_is_warned_about_once() {
    let mut cluster = Cluster::new(3, |index, config| {
        let named = [vec![1, 2], vec![2], vec![0, 1]];
        config.membership =
            Membership::Static { neighbors: named[index].iter().map(|&other| neighbor(other)).collect() };
    });
    cluster.run(secs(60));
    let warning = |event: &Event| matches!(event, Event::Warning(Warning::NotNeighbor { node }) if *node == id(1));
    assert_eq!([0, 1, 2].map(|index| cluster.count(index, warning)), [1, 0, 0]);
    assert_eq!(cluster.links(0), [id(2)]);
    assert!(cluster.nodes[1].stats().refused_not_neighbor > 0);
}

#[test]
fn a_silent_neighbor_is_unreachable_and_never_down() {
    let mut cluster = ladder();
    cluster.up[0] = false;
    cluster.run(secs(10));
    for index in neighbors_of(0) {
        assert_eq!(cluster.events[index].last(), Some(&Event::PeerUnreachable { node: id(0) }));
        assert_eq!(
            cluster.nodes[index].peers().find(|peer| peer.node == id(0)).map(|p| p.state),
            Some(PeerState::Down)
        );
    }
    assert!((0..COUNT).all(|index| cluster.count(index, |event| matches!(event, Event::PeerDown { .. })) == 0));
    cluster.up[0] = true;
    cluster.run(secs(10));
    for index in neighbors_of(0) {
        assert_eq!(cluster.events[index].last(), Some(&Event::PeerUp { node: id(0), address: address(0) }));
    }
}

#[test]
fn a_message_finds_its_way_around_a_cut() {
    let mut cluster = ladder();
    // The ring is cut twice and all but one of the rungs: what is left is a detour.
    cluster.connect(0, 1, false);
    cluster.connect(0, 8, false);
    cluster.submit(0, Order::Unordered, "news");
    cluster.run(secs(3));
    assert!((0..COUNT).all(|index| cluster.texts(index) == ["news"]));
}

#[test]
fn what_cannot_be_configured_is_refused() {
    let with = |neighbors: Vec<usize>| {
        let mut config = common::local(0);
        config.limits.links = 3;
        config.membership = Membership::Static { neighbors: neighbors.into_iter().map(neighbor).collect() };
        Gossip::new(config, [1; 32], Instant::ZERO).map(drop)
    };
    assert_eq!(with(vec![1, 2, 3]), Ok(()));
    assert_eq!(with(vec![1, 1]), Err(ConfigError::Neighbor { node: id(1) }));
    assert_eq!(with(vec![0]), Err(ConfigError::Neighbor { node: id(0) }));
    let many = ConfigError::TooLarge { field: "membership.neighbors", value: 4, max: 3 };
    assert_eq!(with(vec![1, 2, 3, 4]), Err(many));
    let mut cluster = ladder();
    assert_eq!(cluster.nodes[0].join(cluster.now, address(9)), Err(JoinError::Static));
}
