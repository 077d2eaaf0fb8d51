//! Static neighbors: 16 nodes with three each.

mod common;

use std::collections::BTreeSet;

use common::{Cluster, address, id, secs};
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

#[test]
fn a_flood_reaches_all_and_crosses_each_link_as_often_as_it_must() {
    let mut cluster = ladder();
    let before: u64 = (0..COUNT).map(|index| cluster.nodes[index].stats().data_sent).sum();
    cluster.submit(5, Order::Unordered, "news");
    cluster.run(secs(5));
    assert!((0..COUNT).all(|index| cluster.texts(index) == ["news"]));
    let after: u64 = (0..COUNT).map(|index| cluster.nodes[index].stats().data_sent).sum();
    // Each node sends to all neighbors but the one it heard it from, and the origin to all: sum of (degree - 1), plus 1;
    // a node that hears it from two at once spares the second one.
    let most = COUNT as u64 * 2 + 1;
    assert!((COUNT as u64 - 1..=most).contains(&(after - before)), "{} copies", after - before);
    let repairs: u64 = (0..COUNT).map(|index| cluster.nodes[index].stats().repairs_sent).sum();
    assert_eq!(repairs, 0, "nothing was lost");
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
            Some(PeerState::Unreachable)
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
