//! Ways on which a datagram of the configured length does not get through, and the system says so.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Cluster, Packet, address, id, local, ms, secs};
use gossip_core::{Broadcast, Config, Event, Gossip, Input, Instant, MTU_MIN, Membership, Neighbor, Order, Scope};

/// Everything to and from one node takes datagrams of this length at most.
fn narrow(index: usize, longest: usize) -> Box<dyn Fn(&Packet) -> usize> {
    let of = address(index);
    Box::new(move |packet| if packet.from == of || packet.to == of { longest } else { usize::MAX })
}

/// Nodes in a row, each linked with the next one; the last link is as narrow as given.
fn line(count: usize, longest: usize) -> Cluster {
    let mut cluster = Cluster::new(count, |index, config| {
        let beside = [index.checked_sub(1), (index + 1 < count).then_some(index + 1)];
        let neighbor = |index| Neighbor { node: id(index), address: address(index) };
        config.membership = Membership::Static { neighbors: beside.into_iter().flatten().map(neighbor).collect() };
        config.broadcast = Broadcast::Flood { ttl: 255 };
    });
    cluster.longest = narrow(count - 1, longest);
    cluster.run(secs(3));
    cluster
}

fn too_long(cluster: &Cluster) -> Vec<u64> {
    cluster.nodes.iter().map(|node| node.stats().too_long).collect()
}

#[test]
fn datagrams_become_as_short_as_the_way_wants_and_on_that_way_alone() {
    let mut cluster = line(3, 700);
    cluster.log = Some(vec![]);
    for number in 0..60 {
        cluster.submit(0, Order::Fifo, &format!("{number:0>100}"));
    }
    cluster.run(secs(5));
    assert_eq!(cluster.texts(2), (0..60).map(|number| format!("{number:0>100}")).collect::<Vec<_>>());
    assert_eq!(too_long(&cluster)[..2], [0, 2], "1,200 and 958 were too long for node 1, and 460 is not");
    let longest_to = |index: usize| {
        let lengths = cluster.log.iter().flatten().filter(|(_, packet)| packet.to == address(index));
        lengths.map(|(_, packet)| packet.bytes.len()).max().expect("there was traffic")
    };
    assert!(longest_to(2) <= 460 && longest_to(1) > 958, "{} and {} bytes", longest_to(2), longest_to(1));
    assert_eq!(cluster.count(2, |event| matches!(event, Event::Gap { .. } | Event::PeerUnreachable { .. })), 0);
}

#[test]
fn greetings_are_padded_no_further_than_the_way_is_wide() {
    let mut cluster = Cluster::new(3, |_, _| {});
    cluster.longest = Box::new(|_| 300);
    for index in 1..3 {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room for a contact");
    }
    cluster.run(secs(5));
    assert!((0..3).all(|index| cluster.links(index).len() == 2), "all are linked");
    assert!(cluster.nodes[1].stats().too_long > 0, "a padded greeting was too long at first");
}

#[test]
fn a_message_that_is_too_long_for_the_only_way_is_told_as_a_gap_and_holds_up_nothing() {
    let mut cluster = line(3, 400);
    cluster.submit(0, Order::Fifo, "before");
    cluster.nodes[0].submit(cluster.now, Order::Fifo, &[7; 700]).expect("room");
    cluster.submit(0, Order::Fifo, "behind");
    cluster.run(secs(20));
    assert_eq!(cluster.texts(1).len(), 3, "the wide way has it");
    assert_eq!((cluster.texts(2), cluster.gaps(2, id(0))), (vec!["before".into(), "behind".into()], vec![2]));
    let pulls = cluster.nodes[2].stats().pulls_sent;
    cluster.run(secs(20));
    assert_eq!(cluster.nodes[2].stats().pulls_sent, pulls, "it is not asked for again");
    assert!(cluster.nodes[1].stats().unsendable > 0);
}

/// Who has a second way waits for it, though the first one cannot give the message.
#[test]
fn a_message_that_is_too_long_for_one_way_comes_by_the_other() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    let pair = [address(0), address(2)];
    cluster.longest =
        Box::new(move |packet| if pair.contains(&packet.from) && pair.contains(&packet.to) { 400 } else { usize::MAX });
    for _ in 0..10 {
        cluster.nodes[0].submit(cluster.now, Order::Fifo, &[7; 900]).expect("room");
    }
    cluster.run(secs(20));
    assert_eq!((cluster.delivered(2, id(0)), cluster.gaps(2, id(0))), ((1..=10).collect(), vec![]));
}

/// Own messages that fit nowhere must not fill the store until nothing is accepted any more.
#[test]
fn messages_that_fit_nowhere_do_not_stop_their_origin() {
    let mut cluster = line(2, 400);
    cluster.nodes[0].submit(cluster.now, Order::Unordered, &[7; 700]).expect("room");
    cluster.run(secs(5));
    for _ in 0..400 {
        cluster.nodes[0].submit(cluster.now, Order::Unordered, &[7; 700]).expect("room that was made");
        cluster.run(ms(200));
    }
    cluster.run(secs(5));
    let texts = cluster.texts(1).len();
    assert_eq!((texts, cluster.gaps(1, id(0)).len()), (0, 401));
}

#[test]
fn a_register_that_is_too_long_for_a_way_holds_up_no_other() {
    let mut cluster = line(3, 400);
    cluster.nodes[0].set(cluster.now, Scope::Own, "long", &[7; 700]).expect("room");
    cluster.run(secs(2));
    cluster.nodes[0].set(cluster.now, Scope::Own, "short", b"x").expect("room");
    cluster.run(secs(2));
    let known = |cluster: &Cluster, key| [1, 2].map(|index: usize| cluster.nodes[index].register(id(0), key).is_some());
    assert_eq!([known(&cluster, "long"), known(&cluster, "short")], [[true, false], [true, true]]);
    assert!(cluster.nodes[1].stats().unsendable > 0);
    cluster.nodes[0].set(cluster.now, Scope::Own, "long", b"shorter now").expect("room");
    cluster.run(secs(5));
    assert_eq!(known(&cluster, "long"), [true, true]);
}

/// No step is left, and nothing is done about it: each datagram is one more lost one.
#[test]
fn below_the_least_length_datagrams_are_lost_like_any_others() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.longest = Box::new(|_| 100);
    cluster.submit(0, Order::Unordered, &"x".repeat(60));
    cluster.run(secs(20));
    assert!(cluster.texts(1).is_empty() && cluster.nodes[0].stats().too_long > 3);
    cluster.longest = Box::new(|_| usize::from(MTU_MIN));
    cluster.run(secs(20));
    assert_eq!(cluster.texts(1), ["x".repeat(60)]);
}

#[test]
fn the_whole_length_is_used_again_where_the_way_has_become_wide() {
    let mut cluster = line(2, 400);
    cluster.nodes[0].submit(cluster.now, Order::Unordered, &[1; 300]).expect("room");
    cluster.run(secs(600));
    cluster.longest = Box::new(|_| usize::MAX);
    cluster.nodes[0].submit(cluster.now, Order::Unordered, &[2; 700]).expect("room");
    cluster.run(secs(5));
    assert_eq!(cluster.deliveries(1).map(|delivery| delivery.payload[0]).collect::<Vec<_>>(), [2]);
}

/// Four nodes over a bad wire, some ways of which are narrow, with the outputs taken in a certain order.
fn busy(drains: [usize; 3], ticked: bool) -> Cluster {
    let mut cluster = Cluster::new(4, |_, _| {});
    (cluster.log, cluster.drains, cluster.ticked) = (Some(vec![]), drains, ticked);
    cluster.longest = Box::new(|packet| match (packet.from.ip(), packet.to.ip()) {
        (from, to) if [from, to].contains(&address(3).ip()) => 300,
        (from, _) if from == address(1).ip() => 1_000,
        _ => usize::MAX,
    });
    let chance = Rc::new(Cell::new(0_u64));
    cluster.lose = Box::new(move |_| {
        chance.set(chance.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (chance.get() >> 40).is_multiple_of(8)
    });
    for index in 1..4 {
        cluster.nodes[index].join(cluster.now, address(index - 1)).expect("room");
    }
    for round in 0..60 {
        let _busy = cluster.nodes[round % 4].submit(cluster.now, Order::Fifo, &vec![7; round * 19 % 1_000]);
        let value = vec![round as u8; round * 7 % 500];
        cluster.nodes[round % 4].set(cluster.now, Scope::Own, &format!("{}", round % 5), &value).expect("room");
        cluster.run(ms(60));
    }
    cluster.run(secs(3));
    cluster
}

/// That no node spins is asserted at every tick of every run.
#[test]
fn narrow_ways_break_no_law() {
    let cluster = busy([0, 1, 2], false);
    assert!(too_long(&cluster).iter().all(|&count| count > 0), "{:?}", too_long(&cluster));
    assert!(cluster.nodes.iter().any(|node| node.stats().unsendable > 0));
    let expected = cluster.trace();
    assert!(busy([0, 1, 2], false).trace() == expected, "the same inputs");
    assert!(busy([2, 1, 0], false).trace() == expected, "outputs in another order");
    assert!(busy([0, 1, 2], true).trace() == expected, "a tick after every input");
    for (empty, unsendable, sent) in
        cluster.nodes.iter().map(Gossip::stats).map(|stats| (stats.empty_turns, stats.unsendable, stats.datagrams_sent))
    {
        assert!(empty <= unsendable + sent / 50, "{empty} empty turns, {unsendable} unsendable, {sent} datagrams");
    }
}

/// The verb and the input are the same; complaints about unknown addresses and strange lengths are harmless.
#[test]
fn any_complaint_is_harmless() {
    let mut config: Config = local(0);
    config.mtu = 9_000;
    let node = || Gossip::new(config.clone(), [1; 32], Instant::ZERO).expect("in bounds");
    let (mut one, mut other) = (node(), node());
    for (port, len) in (0..3_000_u16).map(|n| (n % 50, usize::from(n) * 7)).chain([(1, 0), (1, usize::MAX)]) {
        let to = ([10, 0, 0, 9], port).into();
        one.handle_too_long(Instant::ZERO, to, len);
        other.handle(Instant::ZERO, Input::TooLong { to, len }).expect("it is never refused");
    }
    assert_eq!(one.stats().too_long, 3_002);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
