//! What happens when time passes the horizon: origins are forgotten, and nothing false is told for it.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::{Durability, Event, Gossip, Instant, Order, Record, StoredRecord, Table};

/// Node 2 comes late and is told that the first messages of node 0 are lost. Node 0 falls silent and is forgotten, and node 1
/// speaks: its first message is lost on the way to node 2, but nodes 0 and 1 hold it.
#[test]
fn what_was_said_of_one_origin_does_not_count_for_the_next_in_its_row() {
    for variant in 0..10 {
        let mut cluster = Cluster::new(3, |index, config| {
            config.timing.horizon = secs(20);
            if index < 2 {
                config.limits.messages = 16;
            }
        });
        cluster.nodes[1].join(cluster.now, address(0)).expect("room");
        cluster.run(secs(2));
        for _ in 0..40 {
            cluster.submit(0, Order::Unordered, "x");
            cluster.run(ms(50 + variant));
        }
        cluster.nodes[2].join(cluster.now, address(0)).expect("room");
        cluster.run(secs(5));
        assert!(!cluster.gaps(2, id(0)).is_empty(), "nobody holds the first messages any more");
        cluster.run(secs(40));
        cluster.connect_groups(&[2], &[0, 1], false);
        cluster.submit(1, Order::Unordered, "one");
        cluster.run(ms(45));
        cluster.connect_groups(&[2], &[0, 1], true);
        cluster.submit(1, Order::Unordered, "two");
        cluster.run(secs(5));
        assert_eq!(cluster.gaps(2, id(1)), [0; 0], "variant {variant}");
        assert_eq!(cluster.delivered(2, id(1)).len(), 2, "variant {variant}");
    }
}

fn stored(records: &[Record]) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let mut store = BTreeMap::new();
    for record in records {
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => store.insert(key, value.to_vec()),
            None => store.remove(&key),
        };
    }
    store
}

fn restore(config: gossip_core::Config, records: &[Record]) -> Gossip {
    let stored = stored(records);
    let records = stored.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value });
    Gossip::restore(config, [9; 32], Instant::ZERO, records).expect("its own records make a node")
}

fn gaps(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Gap { .. })).count()
}

#[test]
fn after_a_sleep_beyond_the_horizon_nothing_delivered_is_told_as_lost_and_the_records_go() {
    let mut cluster = Cluster::joined(2, |index, config| {
        config.limits.messages = 64;
        if index == 1 {
            config.durability = Durability::Records;
        }
    });
    for n in 0..1_000 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(if n % 16 == 0 { 50 } else { 5 }));
    }
    assert_eq!(cluster.texts(1).len(), 1_000);
    let mut records = std::mem::take(&mut cluster.records[1]);
    let mut config = cluster.nodes[1].config().clone();
    config.started_at = 1_000_000;
    let again = restore(config, &records);
    cluster.replace(1, again);
    cluster.up[0] = false;
    cluster.run(secs(60));
    assert_eq!(gaps(&cluster.events[1]), 0, "{:?}", cluster.events[1]);
    assert_eq!(cluster.nodes[1].messages().count(), 0, "all are older than the horizon");
    records.append(&mut cluster.records[1]);
    let left: Vec<_> = stored(&records).into_keys().filter(|(table, _)| *table != Table::Node).collect();
    assert!(left.iter().all(|(table, _)| *table == Table::Registers), "{left:?}");
}

/// Every prefix of the records that a sweep hands out leaves what was delivered seen.
#[test]
fn what_was_seen_stays_on_record_as_long_as_the_messages_do() {
    let mut cluster = Cluster::joined(2, |index, config| {
        config.timing.horizon = secs(10);
        if index == 1 {
            config.durability = Durability::Records;
        }
    });
    for _ in 0..300 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    cluster.run(secs(1));
    cluster.up[0] = false;
    let before = cluster.records[1].len();
    cluster.run(secs(40));
    for end in before..=cluster.records[1].len() {
        let mut config = cluster.nodes[1].config().clone();
        config.started_at = 50_000;
        let mut again = restore(config, &cluster.records[1][..end]);
        let events: Vec<_> = std::iter::from_fn(|| again.poll_event()).collect();
        assert_eq!(gaps(&events), 0, "{end} records");
    }
}

#[test]
fn who_speaks_again_after_it_was_forgotten_is_remembered() {
    let mut cluster = Cluster::joined(3, |_, config| config.timing.horizon = secs(10));
    for _ in 0..300 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    cluster.run(secs(30));
    for _ in 0..3 {
        cluster.submit(0, Order::Unordered, "again");
    }
    cluster.run(secs(20));
    for index in 1..3 {
        assert_eq!(cluster.gaps(index, id(0)), [0; 0], "node {index} was handed them all");
        let mut delivered = cluster.delivered(index, id(0));
        delivered.sort_unstable();
        assert_eq!(delivered, (1..=303).collect::<Vec<_>>());
    }
}

#[test]
fn idle_nodes_agree_again_when_origins_are_forgotten() {
    let mut cluster = Cluster::joined(4, |_, config| config.timing.horizon = secs(10));
    for index in 0..4 {
        cluster.submit(index, Order::Unordered, "x");
    }
    cluster.run(secs(5));
    let mut idle = || {
        let sent = |cluster: &Cluster| cluster.nodes.iter().map(|node| node.stats().bytes_sent).sum::<u64>();
        let before = sent(&cluster);
        cluster.run(secs(5));
        let bytes = sent(&cluster) - before;
        cluster.run(secs(30));
        bytes
    };
    let (remembering, forgotten) = (idle(), idle());
    assert!(forgotten <= remembering * 11 / 10, "{remembering} bytes in five idle seconds became {forgotten}");
}

/// Nodes with clocks that begin when they start, each at its own origin.
struct Clocks {
    nodes: Vec<(Gossip, u64)>,
    up: Vec<bool>,
    now: u64,
    wire: Vec<(SocketAddr, usize, Vec<u8>)>,
    events: Vec<Vec<Event>>,
}

impl Clocks {
    fn start(&mut self, contact: Option<usize>) {
        let index = self.nodes.len();
        let mut config = local(index);
        config.timing.horizon = secs(20);
        config.started_at = 1 + self.now / 1_000;
        let mut node = Gossip::new(config, seed(index, 1), Instant::ZERO).expect("in bounds");
        if let Some(contact) = contact {
            node.join(Instant::ZERO, address(contact)).expect("room");
        }
        self.nodes.push((node, self.now));
        self.up.push(true);
        self.events.push(vec![]);
    }

    fn run(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += 1_000;
            for (from, to, mut bytes) in std::mem::take(&mut self.wire) {
                if self.up.get(to) == Some(&true) {
                    let (node, started) = &mut self.nodes[to];
                    node.handle_packet(Instant::from_micros(self.now - *started), from, &mut bytes);
                }
            }
            for index in (0..self.nodes.len()).filter(|&index| self.up[index]).collect::<Vec<_>>() {
                let (node, started) = &mut self.nodes[index];
                let now = Instant::from_micros(self.now - *started);
                node.handle_timeout(now);
                self.events[index].extend(std::iter::from_fn(|| node.poll_event()));
                let mut buffer = [0; 1_200];
                while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
                    let to = (0..4).find(|&to| address(to) == transmit.to).expect("only nodes are written to");
                    self.wire.push((address(index), to, buffer[..transmit.len].to_vec()));
                }
            }
        }
    }
}

/// Nodes 0 and 1 have forgotten node 2, and a node with a young clock, which heard of it in time, must not tell them that
/// its messages are missing.
#[test]
fn a_young_clock_makes_nothing_younger() {
    for silence in 15..19 {
        let mut clocks = Clocks { nodes: vec![], up: vec![], now: 0, wire: vec![], events: vec![] };
        for contact in [None, Some(0), Some(0)] {
            clocks.start(contact);
        }
        clocks.run(2_000_000);
        for _ in 0..5 {
            let now = Instant::from_micros(clocks.now);
            clocks.nodes[2].0.submit(now, Order::Unordered, b"x").expect("room");
            clocks.run(20_000);
        }
        clocks.run(1_000_000);
        clocks.up[2] = false;
        clocks.run(silence * 1_000_000);
        clocks.start(Some(0));
        clocks.run(60_000_000);
        for index in 0..2 {
            let of_two = |event: &&Event| matches!(event, Event::Deliver(message) if message.id.origin == id(2));
            assert_eq!(clocks.events[index].iter().filter(of_two).count(), 5);
            assert_eq!(gaps(&clocks.events[index]), 0, "node {index} after {silence} s");
        }
    }
}

#[test]
fn times_come_out_as_they_were_told() {
    let mut node = Gossip::new(local(0), seed(0, 1), Instant::ZERO).expect("in bounds");
    let now = Instant::from_millis(7);
    let message = node.submit(now, Order::Unordered, b"x").expect("room");
    assert_eq!(node.get(message).expect("it is held").accepted_at, now);
    let next = node.poll_timeout().expect("there is always something to sweep");
    assert!(next >= now && next <= now + node.config().timing.horizon, "{next}");
}
