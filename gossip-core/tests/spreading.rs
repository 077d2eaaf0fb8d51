//! How a message travels, and what it tells about its way.

mod common;

use common::{Cluster, address, id, ms, secs};
use gossip_core::{Broadcast, Config, Event, Membership, Neighbor, NodeId, Order, Repair, Rounds};

/// Nodes in a row, each linked with the next one.
fn line(count: usize, configure: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = Cluster::new(count, |index, config| {
        let beside = [index.checked_sub(1), (index + 1 < count).then_some(index + 1)];
        let neighbor = |index| Neighbor { node: id(index), address: address(index) };
        config.membership = Membership::Static { neighbors: beside.into_iter().flatten().map(neighbor).collect() };
        config.broadcast = Broadcast::Flood { ttl: 255 };
        configure(config);
    });
    cluster.run(secs(3));
    cluster
}

#[test]
fn a_flood_goes_as_far_as_its_ttl() {
    for ttl in [1, 2, 4] {
        let mut cluster = line(6, |config| {
            (config.broadcast, config.repair) = (Broadcast::Flood { ttl }, Repair::Off);
        });
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(secs(5));
        let reached: Vec<_> = (0..6).map(|index| cluster.texts(index).len()).collect();
        let expected: Vec<_> = (0..6).map(|index| usize::from(index <= ttl.into())).collect();
        assert_eq!(reached, expected, "ttl {ttl}");
    }
}

#[test]
fn repair_carries_on_where_the_ttl_ends() {
    let mut cluster = line(6, |config| config.broadcast = Broadcast::Flood { ttl: 1 });
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(5));
    assert!((0..6).all(|index| cluster.texts(index) == ["x"]));
}

#[test]
fn hops_age_and_path_tell_the_way() {
    let mut cluster = line(20, |config| config.trace_path = true);
    cluster.run(ms(300));
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(2));
    for index in 0..20 {
        let delivery = cluster.deliveries(index).next().expect("it has come");
        assert_eq!(usize::from(delivery.hops), index);
        let path: Vec<_> = delivery.path.nodes().collect();
        // The origin first, and everybody who passed it on, but no more than sixteen.
        let expected: Vec<NodeId> = (0..index.max(1)).map(id).take(16).collect();
        assert_eq!(path, expected, "node {index}");
        let view = cluster.nodes[index].get(delivery.id).expect("stored");
        assert_eq!((view.hops, &view.path, view.delivered), (delivery.hops, &delivery.path, true));
    }
}

#[test]
fn a_message_without_a_wish_for_its_path_has_none() {
    let mut cluster = line(3, |_| {});
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(1));
    assert_eq!(cluster.deliveries(2).next().expect("it has come").path.nodes().len(), 0);
}

#[test]
fn the_age_counts_the_time_in_nodes() {
    let mut cluster = line(3, |_| {});
    cluster.connect(1, 2, false);
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(7));
    cluster.connect(1, 2, true);
    cluster.run(secs(5));
    let age = |index| cluster.deliveries(index).next().expect("it has come").age;
    assert_eq!((age(0), age(1)), (secs(0), secs(0)));
    assert!((secs(7)..secs(12)).contains(&age(2)), "{:?}", age(2));
}

#[test]
fn own_messages_are_not_delivered_where_that_is_not_wanted() {
    let mut cluster = Cluster::joined(2, |_, config| config.deliver_own = false);
    let id = cluster.submit(0, Order::Fifo, "x");
    cluster.run(secs(1));
    assert!(cluster.texts(0).is_empty() && cluster.nodes[0].get(id).is_some_and(|message| message.delivered));
    assert_eq!(cluster.texts(1), ["x"]);
}

#[test]
fn a_rumor_makes_fan_out_times_rounds_copies_at_each_node() {
    for (fanout, rounds) in [(1, 1), (2, 3), (3, 2), (5, 4)] {
        let mut cluster = Cluster::joined(12, |_, config| {
            config.broadcast = Broadcast::Rumor { fanout, rounds: Rounds::Fixed(rounds) };
            config.repair = Repair::Off;
        });
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(secs(2));
        let reached = (0..12).filter(|&index| !cluster.texts(index).is_empty()).count();
        for index in 0..12 {
            let sent = cluster.nodes[index].stats().data_sent;
            let most = u64::from(fanout) * u64::from(rounds);
            assert!(sent <= most, "node {index} sent {sent} copies, {fanout} × {rounds}");
            assert_eq!(sent == 0, cluster.texts(index).is_empty() || most == 0, "who has heard passes it on");
        }
        assert!(reached >= if fanout * rounds > 3 { 11 } else { 2 }, "{fanout} × {rounds} reached {reached}");
    }
}

#[test]
fn the_first_round_of_a_rumor_spares_whom_it_came_from() {
    let mut cluster = Cluster::joined(2, |_, config| {
        config.broadcast = Broadcast::Rumor { fanout: 3, rounds: Rounds::Fixed(1) };
    });
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(2));
    assert_eq!([0, 1].map(|index| cluster.nodes[index].stats().data_sent), [1, 0]);
}

#[test]
fn without_repair_what_is_lost_stays_lost_and_nobody_is_told() {
    let mut cluster = Cluster::joined(4, |_, config| {
        config.repair = Repair::Off;
        config.broadcast = Broadcast::Rumor { fanout: 3, rounds: Rounds::Auto };
    });
    cluster.connect_groups(&[3], &[0, 1, 2], false);
    cluster.submit(0, Order::Unordered, "missed");
    cluster.run(ms(300));
    cluster.connect_groups(&[3], &[0, 1, 2], true);
    cluster.run(secs(10));
    cluster.submit(0, Order::Unordered, "heard");
    cluster.run(secs(10));
    assert_eq!((cluster.texts(3), cluster.gaps(3, id(0))), (vec!["heard".to_owned()], vec![]));
}

#[test]
fn the_same_text_twice_is_two_messages() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    let ids = [cluster.submit(0, Order::Unordered, "x"), cluster.submit(0, Order::Unordered, "x")];
    cluster.run(secs(1));
    assert_ne!(ids[0], ids[1]);
    assert!((0..3).all(|index| cluster.texts(index) == ["x", "x"]));
    assert!(ids.iter().all(|id| id.to_string().parse() == Ok(*id)));
}

#[test]
fn an_empty_message_is_a_message() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    cluster.submit(0, Order::Fifo, "");
    cluster.run(secs(1));
    assert!((0..3).all(|index| cluster.texts(index) == [""]));
    assert!((0..3).all(|index| cluster.count(index, |event| matches!(event, Event::Gap { .. })) == 0));
}
