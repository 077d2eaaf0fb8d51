//! Law 5, with a counting allocator: after `new`, at most two allocations per accepted payload and none else, and the heap
//! owned by a node stays within `Limits::bytes`, whatever it receives.
//!
//! Every call of the core is measured by itself; what the core hands out is dropped before the measurement ends, so
//! that what it held is counted as the core's for as long as it could be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gossip_core::auth::{Auth, Envelope};
use gossip_core::wire::{HEADER_LEN, Header};
use gossip_core::{
    Broadcast, Config, Durability, Feedback, Gossip, Instant, NodeId, Order, Record, Rounds, Scope, Security, Spread,
    Stop, StoredRecord, Table,
};
use gossip_tests::heap::{self, Counting};
use gossip_tests::sim::rng::Rng;

#[global_allocator]
static COUNTING: Counting = Counting;

/// A node publishes its own address as one of its registers: once when it learns it, and when it changes. So many such
/// changes may have happened since the version number was last seen.
const ADDRESS_CHANGES_MAX: u64 = 2;

/// What a restored node may own beyond its limits while `lost` messages, which found no place, wait for their removals to be
/// handed out: 32 bytes each.
fn purged_bytes(lost: usize) -> i64 {
    32 * lost as i64
}

/// A node whose every call is measured.
struct Node {
    gossip: Gossip,
    /// Bytes of heap that the node owns.
    live: i64,
    /// The most that it may own.
    bytes_max: i64,
    /// Allocations since it was made.
    allocations: u64,
    /// Changes of own registers: the last version number that `set` has answered.
    changes: u64,
    address: SocketAddr,
    /// What it handed out to be made durable: copies, which are not its own.
    records: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

/// A datagram on its way.
struct Mail {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Node {
    fn new(index: u16, configure: impl Fn(&mut Config)) -> Self {
        let mut config = Config::local(NodeId(u64::from(index) + 1));
        config.started_at = 1;
        configure(&mut config);
        let bytes_max = config.limits.bytes() as i64;
        let before = heap::live();
        let gossip = Gossip::new(config, [index as u8; 32], Instant::ZERO).expect("the configuration is right");
        let live = heap::live() - before;
        let node = Self {
            gossip,
            live,
            bytes_max,
            allocations: 0,
            changes: 0,
            address: SocketAddr::from(([127, 0, 0, 1], 7_000 + index)),
            records: BTreeMap::new(),
        };
        node.judge();
        node
    }

    /// The next life of this node, from its records, in `small` tables; and how many messages found no place there.
    fn restored(&self, index: u16, now: Instant) -> (Self, usize) {
        let mut config = self.gossip.config().clone();
        small(&mut config);
        let bytes_max = config.limits.bytes() as i64;
        let records = self.records.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value });
        let before = heap::live();
        let gossip = Gossip::restore(config, [index as u8 + 100; 32], now, records).expect("its own records");
        let live = heap::live() - before;
        let stored = self.records.keys().filter(|(table, _)| *table == Table::Messages).count();
        let lost = stored - gossip.messages().count();
        let node = Self {
            gossip,
            live,
            bytes_max: bytes_max + purged_bytes(lost),
            allocations: 0,
            changes: 0,
            address: self.address,
            records: self.records.clone(),
        };
        node.judge();
        (node, lost)
    }

    fn call<T>(&mut self, verb: impl FnOnce(&mut Gossip) -> T) -> T {
        let (allocations, live) = (heap::allocations(), heap::live());
        let answer = verb(&mut self.gossip);
        self.allocations += heap::allocations() - allocations;
        self.live += heap::live() - live;
        self.judge();
        answer
    }

    fn judge(&self) {
        assert!(self.live <= self.bytes_max, "{} bytes of heap, promised are {}", self.live, self.bytes_max);
        let stats = self.gossip.stats();
        let own = self.changes + ADDRESS_CHANGES_MAX;
        // A message in chunks: each of them when it is accepted, and the whole when it is handed out.
        let chunks = stats.chunks_submitted + stats.assembled;
        let accepted = stats.submitted + chunks + stats.accepted + stats.registers_applied + own;
        assert!(
            self.allocations <= 2 * accepted,
            "{} allocations for {accepted} accepted payloads: {stats:?}",
            self.allocations
        );
    }

    /// Stores all records: how many messages are removed by them.
    fn persist(&mut self, now: Instant) -> usize {
        let (mut upto, mut removals) = (None, 0);
        while let Some(record) = self.call(Gossip::poll_persist) {
            upto = Some(record.seq);
            removals += usize::from(record.table == Table::Messages && record.value().is_none());
            self.store(record);
        }
        if let Some(upto) = upto {
            self.call(|gossip| gossip.handle_persisted(now, upto));
        }
        removals
    }

    /// Copies a record into the store. What the record itself holds counts as the core's until then.
    fn store(&mut self, record: Record) {
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => drop(self.records.insert(key, value.parts().concat())),
            None => drop(self.records.remove(&key)),
        }
        self.call(|_| drop(record));
    }

    fn drain(&mut self, now: Instant, buffer: &mut [u8], mail: &mut Vec<Mail>) {
        self.persist(now);
        while self.call(|gossip| gossip.poll_event().is_some()) {}
        while let Some(transmit) = self.call(|gossip| gossip.poll_transmit(now, buffer)) {
            let bytes = buffer[..transmit.len].to_vec();
            mail.push(Mail { from: self.address, to: transmit.to, bytes });
        }
    }
}

/// Nodes on a network that loses a tenth, and into which somebody injects `hostile` datagrams.
struct Cluster {
    nodes: Vec<Node>,
    mail: Vec<Mail>,
    rng: Rng,
    now: u64,
    auth: Auth,
    hostile: bool,
    /// Payloads are shorter.
    longest: u64,
    /// Frames that the enemy has in store.
    arsenal: Vec<Vec<u8>>,
}

impl Cluster {
    fn new(seed: u64, hostile: bool, configure: impl Fn(&mut Config)) -> Self {
        let mut nodes: Vec<Node> = (0..6).map(|index| Node::new(index, &configure)).collect();
        let contact = nodes[0].address;
        for node in &mut nodes[1..] {
            node.call(|gossip| gossip.join(Instant::ZERO, contact)).expect("there is room for a contact");
        }
        let auth = Auth::new(&nodes[0].gossip.config().security, &nodes[0].gossip.config().cluster);
        Self {
            nodes,
            mail: Vec::new(),
            rng: Rng::new(seed, 0),
            now: 0,
            auth,
            hostile,
            longest: 300,
            arsenal: Vec::new(),
        }
    }

    /// 10 ms: everybody works, is drained, and is handed what was sent to it.
    fn turn(&mut self) {
        self.now += 10_000;
        let now = Instant::from_micros(self.now);
        let mut buffer = vec![0; 1_200];
        for index in 0..self.nodes.len() {
            self.work(index, now);
            self.nodes[index].drain(now, &mut buffer, &mut self.mail);
        }
        for mail in std::mem::take(&mut self.mail) {
            if self.hostile {
                self.forge(&mail, now);
            }
            if !self.rng.chance(0.1) {
                self.hand(mail, now);
            }
        }
    }

    fn work(&mut self, index: usize, now: Instant) {
        let rng = &mut self.rng;
        let (order, len) = (rng.pick(&[Order::Unordered, Order::Fifo]), rng.below(self.longest) as usize);
        let (submits, sets, text) = (rng.chance(0.2), rng.chance(0.05), rng.bytes());
        let payload = vec![text[0]; len];
        let key = ["a", "b", "c"][usize::from(text[1]) % 3];
        let node = &mut self.nodes[index];
        node.call(|gossip| gossip.handle_timeout(now));
        if submits {
            // A refusal changes nothing, and must not allocate either.
            let _ = node.call(|gossip| gossip.submit(now, order, &payload));
        }
        if sets {
            // The one that is under way counts where it is judged.
            let before = node.changes;
            node.changes += 1;
            let set = node.call(|gossip| gossip.set(now, Scope::Own, key, &text));
            node.changes = set.map_or(before, |version| version.number);
        }
    }

    fn hand(&mut self, mut mail: Mail, now: Instant) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.address == mail.to) {
            node.call(|gossip| gossip.handle_packet(now, mail.from, &mut mail.bytes));
        }
    }

    /// What an enemy makes of a datagram that it has seen: noise, damage, repeats, and (where there is no secret) lies
    /// with a valid tag, from known nodes and from strangers.
    fn forge(&mut self, seen: &Mail, now: Instant) {
        if !self.arsenal.is_empty() {
            let frames = self.rng.below(self.arsenal.len() as u64) as usize;
            let mut bytes = [&[0; HEADER_LEN][..], &self.arsenal[frames][..]].concat();
            self.lie(&mut bytes, seen);
            self.hand(Mail { from: seen.from, to: seen.to, bytes }, now);
        }
        let rng = &mut self.rng;
        let mut bytes = seen.bytes.clone();
        let mut from = seen.from;
        match rng.below(6) {
            0 => bytes = (0..rng.below(1_300)).map(|_| rng.next() as u8).collect(),
            1 => flip(&mut bytes, rng),
            2 => bytes.truncate(rng.below(seen.bytes.len() as u64 + 1) as usize),
            3 => from = SocketAddr::from(([10, 0, rng.next() as u8, rng.next() as u8], 9)),
            _ => {
                if bytes.len() > HEADER_LEN {
                    flip(&mut bytes[HEADER_LEN..], rng);
                }
                self.lie(&mut bytes, seen);
                from = if self.rng.chance(0.5) { from } else { SocketAddr::from(([10, 1, 1, 1], 9)) };
            }
        }
        self.hand(Mail { from, to: seen.to, bytes }, now);
    }

    /// Seals a changed datagram anew, as its sender or as somebody else, now or in another life.
    fn lie(&mut self, bytes: &mut [u8], seen: &Mail) {
        let Ok(header) = Header::parse(&seen.bytes) else { return };
        let Some(receiver) = self.nodes.iter().find(|node| node.address == seen.to) else { return };
        let rng = &mut self.rng;
        let mut envelope = Envelope {
            sender: header.sender,
            incarnation: header.incarnation,
            number: header.number.wrapping_add(rng.range(1, 40)),
            to: (!header.open).then(|| receiver.gossip.id()),
        };
        if rng.chance(0.2) {
            envelope.sender = NodeId(rng.range(1, 10_000));
        }
        if rng.chance(0.2) {
            envelope.incarnation.0 = envelope.incarnation.0.wrapping_add(rng.next());
        }
        let subkey = self.auth.subkey(envelope.sender, envelope.incarnation);
        self.auth.seal(&subkey, &envelope, bytes);
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..rng.range(1, 4) {
        let index = rng.below(bytes.len() as u64) as usize;
        if let Some(byte) = bytes.get_mut(index) {
            *byte = rng.pick(&[0, 0xff, *byte ^ 1, *byte ^ 0x80, rng.clone().next() as u8]);
        }
    }
}

fn small(config: &mut Config) {
    let limits = &mut config.limits;
    limits.messages = 64;
    limits.payload_bytes = 8_192;
    limits.peers = 16;
    limits.origins = 16;
    limits.registers = 64;
    limits.register_bytes = 4_096;
    limits.window = 16;
}

fn run(seed: u64, hostile: bool, configure: impl Fn(&mut Config)) {
    play(&mut Cluster::new(seed, hostile, configure));
}

fn play(cluster: &mut Cluster) {
    for _ in 0..1_500 {
        cluster.turn();
    }
    let accepted: u64 = cluster.nodes.iter().map(|node| node.gossip.stats().accepted).sum();
    assert!(accepted > 1_000, "only {accepted} messages were accepted: nothing was shown");
}

#[test]
fn the_counter_counts() {
    let before = (heap::allocations(), heap::live());
    let text = vec![0_u8; 1_000];
    assert_eq!((heap::allocations() - before.0, heap::live() - before.1), (1, 1_000));
    drop(text);
    assert_eq!(heap::live(), before.1);
}

#[test]
fn two_allocations_per_payload_and_a_bounded_heap() {
    run(1, false, |_| {});
}

#[test]
fn also_when_the_store_overflows_and_records_are_kept() {
    run(2, false, |config| {
        small(config);
        config.durability = Durability::Records;
    });
}

/// A node that is restored has a list of what found no place, until it has handed that out; then it is like any other.
#[test]
fn also_when_a_restored_node_has_fewer_places_than_its_records_take() {
    let mut cluster = Cluster::new(7, false, |config| config.durability = Durability::Records);
    for _ in 0..500 {
        cluster.turn();
    }
    let now = Instant::from_micros(cluster.now);
    for index in 0..cluster.nodes.len() {
        let (mut node, lost) = cluster.nodes[index].restored(index as u16, now);
        assert!(lost > 100, "only {lost} messages found no place: nothing was shown");
        let before = node.live;
        assert_eq!(node.persist(now), lost);
        assert!(before - node.live <= purged_bytes(lost), "{} bytes for {lost} removals", before - node.live);
        node.bytes_max -= purged_bytes(lost);
        node.judge();
        let contact = cluster.nodes[(index + 1) % cluster.nodes.len()].address;
        node.call(|gossip| gossip.join(now, contact)).expect("there is room for a contact");
        cluster.nodes[index] = node;
    }
    for _ in 0..500 {
        cluster.turn();
    }
    let accepted: u64 = cluster.nodes.iter().map(|node| node.gossip.stats().accepted).sum();
    assert!(accepted > 1_000, "only {accepted} messages were accepted after the restart: nothing was shown");
}

#[test]
fn also_under_lies_in_plain_mode() {
    run(3, true, small);
    run(4, true, |config| config.trace_path = true);
}

#[test]
fn also_under_noise_in_sealed_mode() {
    run(5, true, |config| {
        small(config);
        config.security = Security::Sealed { key_id: 1, key: [7; 32] };
    });
}

#[test]
fn also_where_rumors_are_told_asked_for_and_answered() {
    for (seed, hostile) in [(7, false), (8, true)] {
        run(seed, hostile, |config| {
            small(config);
            let stop = Stop::Counter { rounds: Rounds::Fixed(2) };
            let (spread, feedback) = (Spread::PushPull, Feedback::Lists);
            config.broadcast = Broadcast::Mongering { fanout: 2, ttl: 255, spread, stop, feedback };
        });
    }
}

#[test]
fn also_where_messages_go_in_chunks() {
    for (seed, hostile, durability) in [(9, false, Durability::Records), (10, true, Durability::None)] {
        let mut cluster = Cluster::new(seed, hostile, |config| {
            small(config);
            config.limits.payload_bytes = 16_384;
            config.limits.window = 32;
            config.broadcast = Broadcast::Rumor { fanout: 3, rounds: Rounds::Auto };
            config.durability = durability;
        });
        cluster.longest = 3_500;
        play(&mut cluster);
        let assembled: u64 = cluster.nodes.iter().map(|node| node.gossip.stats().assembled).sum();
        assert!(assembled > 100, "only {assembled} messages were put together: nothing was shown");
    }
}

/// All that the fuzzer keeps, in the name of nodes that the receiver knows.
#[test]
fn also_under_the_corpora_of_the_fuzzer() {
    let mut cluster = Cluster::new(6, true, small);
    for entry in std::fs::read_dir(gossip_fuzz::corpus("datagram")).expect("the corpus is committed") {
        let file = std::fs::read(entry.expect("the folder is readable").path()).expect("a file of the corpus");
        cluster.arsenal.extend(gossip_fuzz::datagram::pieces(&file).map(|piece| piece.contents.to_vec()));
    }
    assert!(cluster.arsenal.len() > 100, "only {} pieces in the corpus", cluster.arsenal.len());
    play(&mut cluster);
}
