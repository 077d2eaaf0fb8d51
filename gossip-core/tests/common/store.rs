//! A store in memory, and lives that are recorded in it.

use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{
    Config, Durability, Event, Gossip, Instant, MessageId, Order, Record, RestoreError, StoredRecord, Table,
};

use super::{Cluster, local, ms, seed};

/// A key-value store in memory, which has got as far as some prefix of the records.
#[derive(Clone, Default)]
pub(crate) struct Store(pub(crate) BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Store {
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut store = Self::default();
        records.iter().for_each(|record| store.put(record));
        store
    }

    pub(crate) fn put(&mut self, record: &Record) {
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => self.0.insert(key, value.to_vec()),
            None => self.0.remove(&key),
        };
    }

    pub(crate) fn restore(&self, config: Config, now: Instant) -> Result<Gossip, RestoreError> {
        let records = self.0.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value });
        Gossip::restore(config, [77; 32], now, records)
    }

    pub(crate) fn count(&self, table: Table) -> usize {
        self.0.keys().filter(|key| key.0 == table).count()
    }
}

pub(crate) fn durable(index: usize) -> Config {
    let mut config = local(index);
    config.durability = Durability::Records;
    config
}

pub(crate) fn node(config: Config) -> Gossip {
    Gossip::new(config, seed(0, 1), Instant::ZERO).expect("in bounds")
}

/// Three nodes that keep records.
pub(crate) fn recording(configure: impl Fn(&mut Config)) -> Cluster {
    Cluster::joined(3, |_, config| {
        config.durability = Durability::Records;
        configure(config);
    })
}

/// Three nodes that have recorded forty messages, and for the second of them a configuration with room for 16.
pub(crate) fn with_less_room() -> (Cluster, Config) {
    let mut cluster = recording(|_| {});
    for _ in 0..40 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(20));
    }
    let mut config = cluster.nodes[1].config().clone();
    config.limits.messages = 16;
    (cluster, config)
}

/// What the application was told in some steps: deliveries, and what was lost.
pub(crate) fn told(events: &[Event]) -> (Vec<MessageId>, BTreeSet<MessageId>) {
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
