//! Records: what a node must find again in its next life, with a store in memory.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Cluster, address, id, local, ms, secs, seed, start};
use gossip_core::{
    Config, ConfigError, Durability, Event, Gossip, Incarnation, Instant, MessageId, Order, PersistSeq, Record,
    Redelivery, RestoreError, Scope, StoredRecord, Table,
};

/// A key-value store in memory, which has got as far as some prefix of the records.
#[derive(Clone, Default)]
struct Store(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Store {
    fn of(records: &[Record]) -> Self {
        let mut store = Self::default();
        records.iter().for_each(|record| store.put(record));
        store
    }

    fn put(&mut self, record: &Record) {
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => self.0.insert(key, value.to_vec()),
            None => self.0.remove(&key),
        };
    }

    fn restore(&self, config: Config, now: Instant) -> Result<Gossip, RestoreError> {
        let records = self.0.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value });
        Gossip::restore(config, [77; 32], now, records)
    }

    fn count(&self, table: Table) -> usize {
        self.0.keys().filter(|key| key.0 == table).count()
    }
}

fn durable(index: usize) -> Config {
    let mut config = local(index);
    config.durability = Durability::Records;
    config
}

fn node(config: Config) -> Gossip {
    Gossip::new(config, seed(0, 1), Instant::ZERO).expect("in bounds")
}

/// Three nodes that keep records.
fn recording(configure: impl Fn(&mut Config)) -> Cluster {
    Cluster::joined(3, |_, config| {
        config.durability = Durability::Records;
        configure(config);
    })
}

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

/// What the application was told in some steps: deliveries, and what was lost.
fn told(events: &[Event]) -> (Vec<MessageId>, BTreeSet<MessageId>) {
    let mut delivered = vec![];
    let mut lost = BTreeSet::new();
    for event in events {
        match *event {
            Event::Deliver(ref delivery) => delivered.push(delivery.id),
            Event::Gap { origin, incarnation, first, last } => {
                lost.extend((first..=last).map(|seq| MessageId { origin, incarnation, seq }));
            }
            _ => {}
        }
    }
    (delivered, lost)
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
    assert_eq!(again.poll_event(), None, "not before it is on record in this life");
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
    assert_eq!(start(&again), (before.0 >> 20) + 1);
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
fn a_raised_incarnation_keeps_the_restored_registers() {
    let config = |started_at| {
        let mut config = local(1);
        (config.durability, config.started_at) = (Durability::Records, started_at);
        config
    };
    let mut first = Gossip::new(config(5), seed(1, 1), Instant::ZERO).expect("in bounds");
    first.set(Instant::ZERO, Scope::Own, "color", b"red").expect("room");
    let records: Vec<Record> = std::iter::from_fn(|| first.poll_persist()).collect();
    // The others know a later life: the records are an old backup.
    let mut cluster = Cluster::joined(2, |index, config| {
        if index == 1 {
            config.started_at = 50;
        }
    });
    let again = Store::of(&records).restore(config(5), Instant::ZERO).expect("they are its own");
    cluster.replace(1, again);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    assert!(start(&cluster.nodes[1]) > 50, "raised");
    assert!(cluster.nodes[1].register(id(1), "color").is_some(), "its own register is still there");
    assert!(cluster.nodes[0].register(id(1), "color").is_some(), "and others know it");
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
    let mut cluster = recording(|_| {});
    for _ in 0..40 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(20));
    }
    let mut config = cluster.nodes[1].config().clone();
    config.limits.messages = 16;
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
    assert_eq!(start(&node), 1, "the configured start");
    assert!(node.incarnation() > Incarnation(0));
}
