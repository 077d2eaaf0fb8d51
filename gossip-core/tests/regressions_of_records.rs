//! Scenarios with records that the core once got wrong.

mod common;

use common::store::{Store, with_less_room};
use common::{Cluster, address, id, ms, secs, seed};
use gossip_core::{Config, Durability, Gossip, Instant, Order, Record, Redelivery, RestoreError, Table};

fn restore(config: Config, records: &[Record]) -> Result<Gossip, RestoreError> {
    Store::of(records).restore(config, Instant::ZERO)
}

/// A pair of which node 1 keeps records.
fn recording(configure: impl Fn(&mut Config)) -> Cluster {
    Cluster::joined(2, |index, config| {
        configure(config);
        if index == 1 {
            config.durability = Durability::Records;
        }
    })
}

#[test]
fn a_full_store_with_records_gives_up_one_message_for_one() {
    let mut cluster = recording(|config| config.limits.messages = 16);
    for count in 0..40_u64 {
        let submitted = cluster.nodes[0].submit(cluster.now, Order::Unordered, b"x");
        assert!(submitted.is_ok(), "node 0 keeps no records: {submitted:?}");
        cluster.run(ms(100));
        let stats = cluster.nodes[1].stats();
        assert_eq!(
            stats.evicted,
            count.saturating_sub(15),
            "message {count}; refused for room: {}",
            stats.refused_store
        );
    }
}

#[test]
fn a_node_that_was_off_for_longer_than_the_horizon_starts_again() {
    let mut cluster = recording(|config| config.limits.messages = 64);
    for count in 0..1_000 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(if count % 16 == 0 { 50 } else { 5 }));
    }
    assert_eq!(cluster.texts(1).len(), 1_000);
    let mut config = cluster.nodes[1].config().clone();
    config.started_at = 1_000;
    let again = restore(config, &cluster.records[1]);
    assert!(again.is_ok(), "{:?}", again.err());
}

#[test]
fn forgotten_origins_leave_the_store_too() {
    let configure = |config: &mut Config| {
        config.timing.horizon = secs(1);
        config.limits.origins = 4;
        config.limits.messages = 4;
        config.started_at = 0;
    };
    let mut cluster = recording(configure);
    for life in 2..12 {
        for _ in 0..6 {
            cluster.submit(0, Order::Unordered, "x");
            cluster.run(ms(200));
        }
        cluster.run(secs(3));
        let mut config = cluster.nodes[0].config().clone();
        config.started_at = life;
        let mut again = Gossip::new(config, seed(0, life as u8), cluster.now).expect("in bounds");
        again.join(cluster.now, address(1)).expect("room");
        cluster.replace(0, again);
        cluster.run(secs(3));
    }
    let origins = Store::of(&cluster.records[1]).count(Table::Origins);
    let again = restore(cluster.nodes[1].config().clone(), &cluster.records[1]);
    assert!(again.is_ok(), "{:?}: {origins} records of origins, room for 4", again.err());
}

#[test]
fn every_prefix_of_the_records_can_be_restored_even_if_they_are_taken_late() {
    // Nodes 1 and 2 lack the first messages, which node 3 takes with it, and node 0 gives up.
    let mut cluster = Cluster::joined(4, |index, config| {
        if index == 0 {
            config.limits.messages = 64;
        }
        if index == 1 {
            config.durability = Durability::Records;
        }
    });
    cluster.connect_groups(&[0, 3], &[1, 2], false);
    for _ in 0..93 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(50));
    }
    cluster.up[3] = false;
    cluster.connect_groups(&[0], &[1, 2], true);
    for _ in 0..150 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    // Node 1 stores nothing for a while; in it the hole is given up, and the window moves on.
    cluster.stores[1] = false;
    cluster.run(secs(20));
    for _ in 0..100 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    let durable = cluster.records[1].len();
    cluster.stores[1] = true;
    cluster.run(secs(1));
    assert!(cluster.gaps(1, id(0)).starts_with(&[1, 2, 3]), "the hole was given up");
    let records = &cluster.records[1];
    for prefix in durable..=records.len() {
        let again = restore(cluster.nodes[1].config().clone(), &records[..prefix]);
        assert!(again.is_ok(), "{prefix} of {}: {:?}", records.len(), again.err());
    }
}

#[test]
fn a_gap_that_was_not_told_before_a_crash_is_told_after_it() {
    // Node 1 lacks the first messages, which nobody has any more, and its application sleeps.
    let mut cluster = Cluster::joined(3, |index, config| match index {
        0 => config.limits.messages = 16,
        1 => (config.durability, config.redelivery) = (Durability::Records, Redelivery::UntilAcknowledged),
        _ => {}
    });
    cluster.connect_groups(&[1], &[0, 2], false);
    for _ in 0..30 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(50));
    }
    cluster.up[2] = false;
    cluster.listens[1] = false;
    cluster.connect(0, 1, true);
    cluster.run(secs(10));
    assert!(cluster.nodes[1].stats().gapped > 0, "the loss is known, and on record");
    let mut config = cluster.nodes[1].config().clone();
    config.started_at = 2;
    let mut again = restore(config, &cluster.records[1]).expect("its own");
    again.join(cluster.now, address(0)).expect("room");
    cluster.replace(1, again);
    cluster.listens[1] = true;
    cluster.run(secs(20));
    let mut told = [cluster.gaps(1, id(0)), cluster.delivered(1, id(0))].concat();
    told.sort_unstable();
    assert_eq!(told, (1..=30).collect::<Vec<_>>(), "at least once, or told");
}

#[test]
fn what_does_not_fit_any_more_leaves_the_store_too() {
    let (cluster, config) = with_less_room();
    let mut again = restore(config, &cluster.records[1]).expect("a lower limit is no error");
    let mut records = cluster.records[1].clone();
    while let Some(record) = again.poll_persist() {
        records.push(record);
    }
    let kept = Store::of(&records).count(Table::Messages);
    assert_eq!((again.messages().count(), kept), (16, 16), "in the node, and in its store");
}
