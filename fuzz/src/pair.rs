//! Two real nodes, a network between them that does what it is told, and a store for each.
//!
//! # Intuition
//!
//! A node alone refuses nearly everything. With a friend it has a link, tables with rows in them, and something to lose;
//! only then is a lie worth telling. Nothing happens here by itself: datagrams stay on the way, records stay unwritten
//! and time stands still until the caller says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use arbitrary::Arbitrary;
use gossip_core::{
    Answer, Broadcast, Config, Durability, Gossip, Input, InputError, Instant, Membership, Neighbor, NodeId,
    PersistSeq, Record, Redelivery, Rounds, Security, StoredRecord, Table,
};

use crate::laws::{Outputs, Promises, Watched};

/// The node that is attacked, as an index.
pub const NODE: usize = 0;
/// Its friend, as an index.
pub const FRIEND: usize = 1;

/// How many times datagrams go to and fro at one point in time, at most.
const ROUNDS_MAX: usize = 200;

/// How many ticks a node gets on time while it waits, so that leaps of the clock cost little.
const TICKS_MAX: usize = 100;

/// How many ticks two nodes may want at one point in time, on a network that takes no time.
const STEPS_MAX: usize = 100;

/// What differs from pair to pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Arbitrary)]
pub struct Setup {
    /// Flood in place of rumor.
    pub flood: bool,
    /// Configured neighbors in place of full membership.
    pub fixed: bool,
    /// Sealed with a key in place of plain.
    pub sealed: bool,
    /// With records.
    pub durable: bool,
    /// Unacknowledged messages come again; only with records.
    pub redeliver: bool,
    /// Messages name the nodes that they passed.
    pub path: bool,
    /// The smallest datagrams, in place of 1,200 bytes.
    pub narrow: bool,
}

impl Setup {
    /// The configuration of the node with this index in its life number `life`, which begins at `now`. The tables are so
    /// small that a fuzzer fills them with a handful of inputs.
    pub fn config(self, index: usize, life: u32, now: Instant) -> Config {
        let mut config = Config::embedded(id(index));
        config.started_at = now.as_micros() / 1_000 + u64::from(life);
        config.mtu = if self.narrow { 256 } else { 1_200 };
        config.trace_path = self.path;
        config.broadcast =
            if self.flood { Broadcast::Flood { ttl: 4 } } else { Broadcast::Rumor { fanout: 2, rounds: Rounds::Auto } };
        if self.fixed {
            let friend = 1 - index;
            config.membership =
                Membership::Static { neighbors: vec![Neighbor { node: id(friend), address: address(friend) }] };
        }
        if self.sealed {
            config.security = Security::Sealed { key_id: 3, key: [9; 32] };
        }
        if self.durable {
            config.durability = Durability::Records;
        }
        if self.at_least_once() {
            config.redelivery = Redelivery::UntilAcknowledged;
        }
        config.limits.links = 3;
        config.limits.peers = 5;
        config.limits.contacts = 2;
        config.limits.messages = 8;
        config.limits.payload_bytes = 4_096;
        config.limits.message_bytes = 4_096;
        // Each life is an origin of its own, and must find room beside those that are remembered.
        config.limits.origins = 6 + life;
        config.limits.window = 16;
        config.limits.registers = 8;
        config.limits.register_bytes = 512;
        config
    }

    const fn at_least_once(self) -> bool {
        self.durable && self.redeliver
    }
}

/// The two nodes.
#[derive(Clone, Debug)]
pub struct Pair {
    setup: Setup,
    /// The present.
    pub now: Instant,
    nodes: [Watched; 2],
    lives: [u32; 2],
    stores: [Store; 2],
    /// The datagrams on the way to each node.
    pub flying: [Vec<Vec<u8>>; 2],
    /// The last datagram that each node sent to the other: what a forger overheard.
    pub overheard: [Option<Vec<u8>>; 2],
}

impl Pair {
    /// Two new nodes that know nothing of each other, unless the set-up says so.
    pub fn new(setup: Setup) -> Self {
        let node = |index| {
            let gossip = Gossip::new(setup.config(index, 1, Instant::ZERO), seed(index, 1), Instant::ZERO);
            Watched::new(gossip.expect("the set-up is valid"), Instant::ZERO, Promises::default())
        };
        Self {
            setup,
            now: Instant::ZERO,
            nodes: [node(NODE), node(FRIEND)],
            lives: [1; 2],
            stores: Default::default(),
            flying: Default::default(),
            overheard: Default::default(),
        }
    }

    /// Two nodes that are linked, and have exchanged a message and a register each. Made once for each set-up.
    pub fn linked(setup: Setup) -> Self {
        thread_local!(static MADE: RefCell<BTreeMap<Setup, Pair>> = RefCell::default());
        MADE.with_borrow_mut(|made| made.entry(setup).or_insert_with(|| Self::link(setup)).clone())
    }

    fn link(setup: Setup) -> Self {
        let mut pair = Self::new(setup);
        if !setup.fixed {
            let _ = pair.input(FRIEND, Input::Join { contact: address(NODE) });
        }
        pair.talk(Duration::from_secs(5));
        for index in [NODE, FRIEND] {
            let order = gossip_core::Order::Fifo;
            let _ = pair.input(index, Input::Submit { order, payload: b"one" });
            let _ = pair.input(index, Input::Set { scope: gossip_core::Scope::Own, key: "k", value: b"v" });
        }
        pair.talk(Duration::from_secs(5));
        pair
    }

    /// One of the nodes.
    pub fn node(&self, index: usize) -> &Gossip {
        self.nodes[index].node()
    }

    /// Gives a node an input; what it sends to the other is then on the way, what it hands out for storage is pending.
    pub fn input(&mut self, index: usize, input: Input<'_>) -> Result<Answer, InputError> {
        let (answer, outputs) = self.nodes[index].input(self.now, input);
        self.take(index, outputs);
        answer
    }

    /// Gives a node an input at a time that may lie in its past.
    pub fn input_at(&mut self, index: usize, at: Instant, input: Input<'_>) {
        let (_, outputs) = self.nodes[index].input(at, input);
        self.take(index, outputs);
    }

    fn take(&mut self, index: usize, outputs: Outputs) {
        self.stores[index].pending.extend(outputs.records);
        for (to, datagram) in outputs.datagrams {
            if to == address(1 - index) {
                self.overheard[index] = Some(datagram.clone());
                self.flying[1 - index].push(datagram);
            }
        }
    }

    /// Time passes; both nodes are ticked when they want to be, in a long time at last late. No datagram arrives, no record
    /// is written.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for index in [NODE, FRIEND] {
            for _ in 0..TICKS_MAX {
                let Some((_, outputs)) = self.nodes[index].tick(end) else { break };
                self.take(index, outputs);
            }
            self.input_at(index, end, Input::Tick);
        }
        self.now = end;
    }

    /// Time passes on a network and stores that work.
    ///
    /// # Panics
    ///
    /// If the nodes talk without end: the network takes no time, so whatever has no pace of its own never stops.
    pub fn talk(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            self.exchange();
            let deadlines = [NODE, FRIEND].into_iter().filter_map(|index| self.node(index).poll_timeout());
            let Some(next) = deadlines.min().filter(|&next| next <= end) else { break };
            steps = if next > self.now { 0 } else { steps + 1 };
            assert!(steps < STEPS_MAX, "the nodes talk without end at {}", self.now);
            self.wait(next.saturating_since(self.now));
        }
        self.now = end;
    }

    /// Everything on the way arrives, and so do the answers; every record is written.
    ///
    /// # Panics
    ///
    /// If the nodes talk without end.
    pub fn exchange(&mut self) {
        let mut rounds = 0;
        while self.flying.iter().any(|flying| !flying.is_empty()) || self.stores.iter().any(Store::has_pending) {
            self.deliver();
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "the nodes answer each other without end at {}", self.now);
        }
    }

    /// Everything on the way arrives, and every record is written, once.
    pub fn deliver(&mut self) {
        for index in [NODE, FRIEND] {
            self.persist(index, usize::MAX);
            for mut datagram in std::mem::take(&mut self.flying[index]) {
                let _ = self.input(index, Input::Packet { from: address(1 - index), datagram: &mut datagram });
            }
        }
    }

    /// The first `count` pending records become durable, and the node is told.
    pub fn persist(&mut self, index: usize, count: usize) {
        if let Some(upto) = self.stores[index].write(count) {
            let _ = self.input(index, Input::Persisted { upto });
        }
    }

    /// A node dies and comes back. Of its pending records, the first `written` are found again, the others are lost.
    ///
    /// # Panics
    ///
    /// If the node refuses its own records.
    pub fn restart(&mut self, index: usize, written: usize) {
        self.stores[index].write(written);
        self.stores[index].pending.clear();
        self.lives[index] += 1;
        let life = self.lives[index];
        let (config, seed) = (self.setup.config(index, life, self.now), seed(index, life));
        let gossip = if self.setup.durable {
            Gossip::restore(config, seed, self.now, self.stores[index].records())
        } else {
            Gossip::new(config, seed, self.now).map_err(Into::into)
        };
        let gossip = gossip.expect("a node accepts its own records");
        assert!(gossip.incarnation() > self.node(index).incarnation(), "a later life has a higher incarnation");
        let at_most_once_ever = self.setup.durable && !self.setup.redeliver;
        let promises = self.nodes[index].promises().clone().inherited(at_most_once_ever);
        self.nodes[index] = Watched::new(gossip, self.now, promises);
        // Nothing asked it to drain yet.
        self.input_at(index, self.now, Input::Tick);
    }
}

/// A key-value store that loses what it has not written.
#[derive(Clone, Debug, Default)]
struct Store {
    written: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pending: Vec<Record>,
}

impl Store {
    fn write(&mut self, count: usize) -> Option<PersistSeq> {
        let count = count.min(self.pending.len());
        let mut upto = None;
        for record in self.pending.drain(..count) {
            let key = (record.table, record.key().to_vec());
            match record.value() {
                Some(value) => drop(self.written.insert(key, value.to_vec())),
                None => drop(self.written.remove(&key)),
            }
            upto = Some(record.seq);
        }
        upto
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn records(&self) -> impl Iterator<Item = StoredRecord<'_>> {
        self.written.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value })
    }
}

/// Whose index is what.
pub const fn id(index: usize) -> NodeId {
    NodeId(index as u64 + 1)
}

/// Where a node is; indices beyond the pair are strangers.
pub const fn address(index: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, index as u8 + 1)), 7_000)
}

fn seed(index: usize, life: u32) -> [u8; 32] {
    let mut seed = [index as u8; 32];
    seed[..4].copy_from_slice(&life.to_le_bytes());
    seed
}
