//! Records: what a node must find again in its next life, with a store in memory.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::store::{Store, durable, node, recording, told};
use common::{Cluster, address, local, ms, secs};
use gossip_core::{
    ConfigError, Durability, Event, Gossip, Instant, Order, PersistSeq, Record, Redelivery, Scope, Table,
};

#[test]
fn nothing_is_sent_before_the_incarnation_is_durable() {
    let mut node = node(durable(0));
    let now = Instant::ZERO;
    node.join(now, address(1)).expect("room");
    node.handle_timeout(now);
    let mut buffer = [0; 1_200];
    assert_eq!(node.poll_transmit(now, &mut buffer), None);
    node.handle_persisted(now, PersistSeq(99));
    assert_eq!(node.poll_transmit(now, &mut buffer), None, "what was not handed out cannot be durable");
    let record = node.poll_persist().expect("the incarnation comes first");
    assert_eq!((record.table, record.seq), (Table::Node, PersistSeq(1)));
    assert_eq!(node.poll_transmit(now, &mut buffer), None);
    node.handle_persisted(now, record.seq);
    assert!(node.poll_transmit(now, &mut buffer).is_some());
}

#[test]
fn deliveries_wait_for_their_record_and_nothing_else_does() {
    let mut cluster = recording(|_| {});
    cluster.stores[1] = false;
    let id = cluster.submit(0, Order::Unordered, "x");
    cluster.nodes[0].set(cluster.now, Scope::Own, "key", b"value").expect("room");
    cluster.connect(0, 2, false);
    cluster.run(secs(1));
    assert!(cluster.nodes[1].get(id).is_some() && !cluster.nodes[1].is_durable(id));
    assert_eq!(cluster.texts(1), [""; 0], "not before it is durable");
    assert_eq!(cluster.texts(2), ["x"], "but it was passed on");
    assert_eq!(cluster.count(1, |event| matches!(event, Event::Register { .. })), 1, "registers do not wait");
    cluster.stores[1] = true;
    cluster.run(ms(1));
    assert!(cluster.nodes[1].is_durable(id));
    assert_eq!(cluster.texts(1), ["x"]);
}

#[test]
fn an_own_message_is_delivered_and_submitted_when_it_is_durable() {
    let mut node = node(durable(0));
    let now = Instant::ZERO;
    let id = node.submit(now, Order::Fifo, b"x").expect("room");
    let records: Vec<_> = std::iter::from_fn(|| node.poll_persist()).collect();
    assert_eq!(records.iter().map(|record| record.table).collect::<Vec<_>>(), [Table::Node, Table::Messages]);
    node.handle_persisted(now, records[0].seq);
    assert_eq!((node.poll_event(), node.is_durable(id)), (None, false));
    node.handle_persisted(now, records[1].seq);
    assert!(node.is_durable(id) && matches!(node.poll_event(), Some(Event::Deliver(_))));
}

#[test]
fn without_durability_there_are_no_records() {
    let mut node = node(local(0));
    node.submit(Instant::ZERO, Order::Fifo, b"x").expect("room");
    assert_eq!(node.poll_persist(), None);
    let mut config = local(0);
    config.redelivery = Redelivery::UntilAcknowledged;
    let error = ConfigError::Needs { field: "redelivery", other: "durability" };
    assert_eq!(Gossip::new(config, [1; 32], Instant::ZERO).map(drop), Err(error));
}

/// One step of a node's life, as its store and its application see it.
#[allow(clippy::large_enum_variant, reason = "a test moves a few of them")]
enum Step {
    Durable(Record),
    Told(Event),
}

/// A life of node 1 with messages of both orders, losses, evictions, registers and acknowledgements; each record is
/// durable before what follows it happens.
fn life(redelivery: Redelivery) -> (Cluster, Vec<Step>) {
    let mut cluster = Cluster::joined(3, |index, config| {
        if index == 1 {
            (config.durability, config.redelivery) = (Durability::Records, redelivery);
            config.limits.messages = 24;
        }
    });
    let mut steps: Vec<_> = cluster.records[1].drain(..).map(Step::Durable).collect();
    let mut count = 0_u32;
    cluster.lose = Box::new(move |_| {
        count += 1;
        count.is_multiple_of(4)
    });
    for number in 0..60 {
        let order = if number % 3 == 0 { Order::Unordered } else { Order::Fifo };
        cluster.submit([0, 2, 1][number % 3], order, &number.to_string());
        if number % 7 == 0 {
            cluster.nodes[1].set(cluster.now, Scope::Own, &format!("{}", number % 4), b"value").expect("room");
        }
        if number % 10 == 9 {
            cluster.nodes[1].remove(cluster.now, Scope::Own, "0").expect("room");
        }
        cluster.run(ms(15));
        steps.extend(cluster.records[1].drain(..).map(Step::Durable));
        for event in std::mem::take(&mut cluster.events[1]) {
            if let Event::Deliver(delivery) = &event
                && delivery.id.seq % 2 == 0
            {
                cluster.nodes[1].acknowledge(delivery.id);
            }
            steps.push(Step::Told(event));
        }
    }
    cluster.run(secs(3));
    steps.extend(cluster.records[1].drain(..).map(Step::Durable));
    steps.extend(cluster.events[1].drain(..).map(Step::Told));
    (cluster, steps)
}

/// Runs the life to its crash after each of its steps, and what comes after the restart, beside the two others.
fn crash_everywhere(redelivery: Redelivery, judge: impl Fn(usize, &[Event], &[Event], &Cluster)) {
    let (_, all) = life(redelivery);
    // Every crash point costs a run of the others; every seventh, of all remainders, is enough to cover each kind.
    for crash in (1..=all.len()).filter(|crash| crash % 7 == 0 || *crash > all.len() - 5) {
        let (mut cluster, mut steps) = life(redelivery);
        steps.truncate(crash);
        let (mut records, mut before) = (vec![], vec![]);
        for step in steps {
            match step {
                Step::Durable(record) => records.push(record),
                Step::Told(event) => before.push(event),
            }
        }
        let mut config = cluster.nodes[1].config().clone();
        config.started_at = 2;
        let mut again = Store::of(&records).restore(config, cluster.now).expect("every prefix is consistent");
        again.join(cluster.now, address(0)).expect("room");
        cluster.lose = Box::new(|_| false);
        cluster.replace(1, again);
        cluster.run(secs(12));
        judge(crash, &before, &cluster.events[1], &cluster);
    }
}

#[test]
fn after_a_crash_at_any_record_no_message_is_delivered_twice() {
    crash_everywhere(Redelivery::Never, |crash, before, after, _| {
        let (delivered, _) = told(&[before, after].concat());
        let distinct: BTreeSet<_> = delivered.iter().collect();
        assert_eq!(distinct.len(), delivered.len(), "crash after step {crash}");
    });
}

#[test]
fn after_a_crash_at_any_record_what_is_not_acknowledged_comes_again() {
    crash_everywhere(Redelivery::UntilAcknowledged, |crash, before, after, cluster| {
        let (delivered, lost) = told(&[before, after].concat());
        let delivered: BTreeSet<_> = delivered.into_iter().collect();
        for other in [0, 2] {
            for message in cluster.nodes[other].messages() {
                let id = message.id;
                assert!(
                    delivered.contains(&id) || lost.contains(&id),
                    "{id} is lost in silence, crash after step {crash}"
                );
            }
        }
        let again = told(after).0;
        assert_eq!(again.iter().collect::<BTreeSet<_>>().len(), again.len(), "once in each life");
    });
}

#[test]
fn the_order_of_fifo_messages_is_kept_across_a_crash_at_any_record() {
    for redelivery in [Redelivery::Never, Redelivery::UntilAcknowledged] {
        crash_everywhere(redelivery, |crash, before, after, _| {
            for events in [before, after] {
                let mut last = BTreeMap::new();
                for event in events {
                    let Event::Deliver(delivery) = event else { continue };
                    if delivery.order == Order::Fifo {
                        let id = delivery.id;
                        let previous = last.insert((id.origin, id.incarnation), id.seq);
                        assert!(previous < Some(id.seq), "{id} after {previous:?}, crash after step {crash}");
                    }
                }
            }
        });
    }
}

#[test]
fn with_never_the_fifo_order_spans_both_lives() {
    crash_everywhere(Redelivery::Never, |crash, before, after, _| {
        let mut last = BTreeMap::new();
        for event in before.iter().chain(after) {
            let Event::Deliver(delivery) = event else { continue };
            if delivery.order == Order::Fifo {
                let previous = last.insert((delivery.id.origin, delivery.id.incarnation), delivery.id.seq);
                assert!(previous < Some(delivery.id.seq), "{} after {previous:?}, crash {crash}", delivery.id);
            }
        }
    });
}

#[test]
fn an_acknowledged_message_does_not_come_again_and_another_one_does() {
    let mut config = durable(0);
    config.redelivery = Redelivery::UntilAcknowledged;
    let mut first = node(config.clone());
    let now = Instant::ZERO;
    let ids = [1, 2, 3].map(|_| first.submit(now, Order::Fifo, b"x").expect("room"));
    first.acknowledge(ids[0]);
    first.acknowledge(ids[2]);
    let records: Vec<_> = std::iter::from_fn(|| first.poll_persist()).collect();
    let mut again = Store::of(&records).restore(config.clone(), now).expect("its own");
    let more: Vec<_> = std::iter::from_fn(|| again.poll_persist()).collect();
    again.handle_persisted(now, more.last().expect("its incarnation at least").seq);
    let delivered: Vec<_> = std::iter::from_fn(|| again.poll_event()).collect();
    assert_eq!(told(&delivered).0, [ids[1]]);
    let mut store = Store::of(&records);
    more.iter().for_each(|record| store.put(record));
    again.acknowledge(ids[1]);
    std::iter::from_fn(|| again.poll_persist()).for_each(|record| store.put(&record));
    let mut third = store.restore(config, now).expect("its own");
    while let Some(record) = third.poll_persist() {
        third.handle_persisted(now, record.seq);
    }
    assert_eq!(third.poll_event(), None);
    assert_eq!(third.messages().count(), 3);
}
