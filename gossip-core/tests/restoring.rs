//! What comes back in the next life, and what is refused.

mod common;

use std::collections::BTreeSet;

use common::store::{Store, durable, node, recording, told, with_less_room};
use common::{address, id, ms, secs, seed};
use gossip_core::{ConfigError, Event, Gossip, Incarnation, Instant, Order, RestoreError, Scope, Table};

#[test]
fn registers_come_back_with_a_later_incarnation_and_others_follow() {
    let mut cluster = recording(|_| {});
    cluster.nodes[1].set(cluster.now, Scope::Own, "color", b"red").expect("room");
    cluster.nodes[1].set(cluster.now, Scope::Own, "shape", b"round").expect("room");
    cluster.run(ms(500));
    cluster.nodes[1].set(cluster.now, Scope::Own, "color", b"blue").expect("room");
    cluster.nodes[1].remove(cluster.now, Scope::Own, "shape").expect("room");
    cluster.run(ms(500));
    let before = cluster.nodes[1].incarnation();
    // With records the clock may stand still.
    let config = cluster.nodes[1].config().clone();
    let mut again = Store::of(&cluster.records[1]).restore(config, cluster.now).expect("its own");
    assert_eq!(again.incarnation().0 >> 20, (before.0 >> 20) + 1);
    again.join(cluster.now, address(0)).expect("room");
    cluster.replace(1, again);
    cluster.run(secs(3));
    for index in 0..3 {
        let registers: Vec<_> = cluster.nodes[index].registers("").map(|r| (r.key.to_string(), r.value)).collect();
        assert_eq!(registers, [("color".to_owned(), bytes::Bytes::from_static(b"blue"))], "node {index}");
        let version = cluster.nodes[index].register(id(1), "color").expect("seen just now").version;
        assert!(version.incarnation > before);
    }
    assert_eq!(cluster.count(0, |event| matches!(event, Event::IdentityConflict { .. })), 0);
}

#[test]
fn a_restored_node_still_serves_what_it_stored() {
    let mut cluster = recording(|_| {});
    cluster.submit(1, Order::Fifo, "from the first life");
    cluster.run(secs(1));
    cluster.up[0] = false;
    cluster.up[2] = false;
    let config = cluster.nodes[1].config().clone();
    let again = Store::of(&cluster.records[1]).restore(config, cluster.now).expect("its own");
    cluster.replace(1, again);
    let fresh = Gossip::new(durable(0), seed(0, 9), cluster.now).expect("in bounds");
    cluster.replace(0, fresh);
    cluster.nodes[0].join(cluster.now, address(1)).expect("room");
    cluster.run(secs(3));
    assert_eq!(cluster.texts(0), ["from the first life"]);
}

#[test]
fn the_store_holds_no_more_than_the_node() {
    let mut cluster = recording(|config| config.timing.horizon = secs(4));
    for number in 0..100 {
        cluster.submit(number % 3, Order::Unordered, "x");
        cluster.run(ms(100));
    }
    for index in 0..3 {
        let store = Store::of(&cluster.records[index]);
        assert!(cluster.nodes[index].messages().count() < 60, "the old ones are gone");
        assert_eq!(store.count(Table::Messages), cluster.nodes[index].messages().count());
        assert_eq!(store.count(Table::Node), 1);
        assert!(store.count(Table::Origins) <= 3);
    }
}

#[test]
fn records_that_are_not_its_own_are_refused() {
    let mut node = node(durable(0));
    node.submit(Instant::ZERO, Order::Fifo, b"x").expect("room");
    node.set(Instant::ZERO, Scope::Own, "key", b"value").expect("room");
    let records: Vec<_> = std::iter::from_fn(|| node.poll_persist()).collect();
    let store = Store::of(&records);
    let other = store.restore(durable(1), Instant::ZERO).map(drop);
    assert_eq!(other, Err(RestoreError::OtherNode { node: id(0) }));
    for (place, value) in &store.0 {
        for len in 0..value.len() {
            let mut damaged = store.clone();
            damaged.0.insert(place.clone(), value[..len].to_vec());
            let result = damaged.restore(durable(0), Instant::ZERO).map(drop);
            let in_head = place.0 == Table::Node || place.0 == Table::Messages && len < 19;
            assert!(!in_head || result == Err(RestoreError::Malformed { table: place.0 }), "{place:?}: {len} bytes");
        }
        if matches!(place.0, Table::Origins | Table::Messages) {
            let mut damaged = store.clone();
            damaged.0.insert((place.0, vec![1, 2, 3]), value.clone());
            let result = damaged.restore(durable(0), Instant::ZERO).map(drop);
            assert_eq!(result, Err(RestoreError::Malformed { table: place.0 }));
        }
    }
    let mut config = durable(0);
    config.mtu = 1;
    assert!(matches!(store.restore(config, Instant::ZERO), Err(RestoreError::Config(ConfigError::TooSmall { .. }))));
}

#[test]
fn more_than_there_is_room_for_is_refused_by_name() {
    let mut node = node(durable(0));
    let now = Instant::ZERO;
    for number in 0..40 {
        node.set(now, Scope::Own, &number.to_string(), b"v").expect("room");
    }
    let store = Store::of(&std::iter::from_fn(|| node.poll_persist()).collect::<Vec<_>>());
    let mut config = durable(0);
    (config.limits.peers, config.limits.registers) = (8, 16);
    let result = store.restore(config, now).map(drop);
    assert_eq!(result, Err(RestoreError::TooMany { table: Table::Registers, max: 16 }));
}

#[test]
fn with_lower_limits_the_newest_messages_are_kept_and_nothing_comes_twice() {
    let (mut cluster, config) = with_less_room();
    let mut again = Store::of(&cluster.records[1]).restore(config, cluster.now).expect("a lower limit is no error");
    let kept: Vec<_> = again.messages().map(|message| message.id.seq).collect();
    assert_eq!(kept, (25..=40).collect::<Vec<_>>());
    again.join(cluster.now, address(0)).expect("room");
    cluster.replace(1, again);
    cluster.run(secs(5));
    assert_eq!(told(&cluster.events[1]), (vec![], BTreeSet::new()), "all was delivered in the first life");
}

#[test]
fn nothing_to_restore_is_a_first_life() {
    let node = Store::default().restore(durable(0), Instant::ZERO).expect("nothing is fine");
    assert_eq!(node.incarnation().0 >> 20, 1, "the configured start");
    assert!(node.incarnation() > Incarnation(0));
}
