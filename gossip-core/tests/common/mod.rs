//! A cluster in a jar: some nodes, a wire of a fixed delay, and a clock that only moves when it is told to.
//!
//! Nothing here is drawn by chance but what the nodes draw from their seeds, so every run is the same again. Loss is a
//! function of the datagram; cables are cut and mended by pairs.

#![allow(dead_code, reason = "each test file uses its own part of this")]

mod names;
pub(crate) mod store;
mod views;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{Config, Durability, Event, Gossip, Instant, Record};

#[allow(unused_imports, reason = "each test file uses its own part of this")]
pub(crate) use names::{address, id, local, ms, secs, seed, start};

/// How long every datagram takes.
pub(crate) const DELAY: Duration = Duration::from_millis(1);

/// A datagram on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Some nodes and what lies between them.
pub(crate) struct Cluster {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Gossip>,
    pub(crate) addresses: Vec<SocketAddr>,
    /// A node that is down gets no ticks, and what is sent to it is lost.
    pub(crate) up: Vec<bool>,
    /// Whether the application takes its events, and whether the store takes its records.
    pub(crate) listens: Vec<bool>,
    pub(crate) stores: Vec<bool>,
    pub(crate) events: Vec<Vec<Event>>,
    /// In which order a node's outputs are taken: 0 records, 1 events, 2 datagrams.
    pub(crate) drains: [usize; 3],
    /// Whether a node is ticked after every datagram too, where nothing is due.
    pub(crate) ticked: bool,
    /// What each node handed out to be made durable; confirmed at once.
    pub(crate) records: Vec<Vec<Record>>,
    /// Whether a datagram gets lost.
    pub(crate) lose: Box<dyn FnMut(&Packet) -> bool>,
    /// The longest datagram that a system takes for a way; longer ones are refused.
    pub(crate) longest: Box<dyn Fn(&Packet) -> usize>,
    /// Everything that was sent, lost or not, where it is wanted.
    pub(crate) log: Option<Vec<(Instant, Packet)>>,
    cut: BTreeSet<(SocketAddr, SocketAddr)>,
    wire: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
}

impl Cluster {
    pub(crate) fn new(count: usize, configure: impl Fn(usize, &mut Config)) -> Self {
        let node = |index| {
            let mut config = local(index);
            configure(index, &mut config);
            Gossip::new(config, seed(index, 1), Instant::ZERO).expect("the test's configuration is in its bounds")
        };
        Self {
            now: Instant::ZERO,
            nodes: (0..count).map(node).collect(),
            addresses: (0..count).map(address).collect(),
            up: vec![true; count],
            listens: vec![true; count],
            stores: vec![true; count],
            events: vec![vec![]; count],
            drains: [0, 1, 2],
            ticked: false,
            records: vec![vec![]; count],
            lose: Box::new(|_| false),
            longest: Box::new(|_| usize::MAX),
            log: None,
            cut: BTreeSet::new(),
            wire: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Every third datagram gets lost from now on.
    pub(crate) fn lose_every_third(&mut self) {
        let mut count = 0;
        self.lose = Box::new(move |_| {
            count += 1;
            count % 3 == 0
        });
    }

    /// All join the first one, and get some time to find each other.
    pub(crate) fn joined(count: usize, configure: impl Fn(usize, &mut Config)) -> Self {
        let mut cluster = Self::new(count, configure);
        for index in 1..count {
            cluster.nodes[index].join(cluster.now, address(0)).expect("room for a contact");
        }
        cluster.run(secs(3));
        cluster
    }

    /// Puts another life in the place of a node, at the same address.
    pub(crate) fn replace(&mut self, index: usize, node: Gossip) {
        self.nodes[index] = node;
        self.up[index] = true;
        self.events[index].clear();
        self.records[index].clear();
    }

    /// Nothing gets through between `a` and `b` any more, or again.
    pub(crate) fn connect(&mut self, a: usize, b: usize, connected: bool) {
        for pair in [(self.addresses[a], self.addresses[b]), (self.addresses[b], self.addresses[a])] {
            if connected {
                self.cut.remove(&pair);
            } else {
                self.cut.insert(pair);
            }
        }
    }

    /// Cuts or mends everything between two groups.
    pub(crate) fn connect_groups(&mut self, left: &[usize], right: &[usize], connected: bool) {
        for (&a, &b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            self.connect(a, b, connected);
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            (0..self.nodes.len()).for_each(|index| self.drain(index));
            let ticks = self.alive().filter_map(|index| self.nodes[index].poll_timeout());
            let arrivals = self.wire.keys().next().map(|&(at, _)| at);
            let Some(next) = ticks.chain(arrivals).min().filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(packet) = self.next_arrival() {
                self.deliver(packet);
            }
            for index in self.alive().collect::<Vec<_>>() {
                if self.nodes[index].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.nodes[index].handle_timeout(self.now);
                    self.drain(index);
                    let next = self.nodes[index].poll_timeout();
                    assert!(next.is_none_or(|next| next > self.now), "node {index} spins at {}", self.now);
                }
            }
        }
        self.now = end;
    }

    /// Takes what a node has to say.
    pub(crate) fn drain(&mut self, index: usize) {
        if !self.up[index] {
            return;
        }
        for output in self.drains {
            match output {
                0 => self.store(index),
                1 if self.listens[index] => {
                    self.events[index].extend(std::iter::from_fn(|| self.nodes[index].poll_event()));
                }
                2 => self.transmit(index),
                _ => {}
            }
        }
    }

    fn store(&mut self, index: usize) {
        let durable = self.nodes[index].config().durability == Durability::Records;
        while durable
            && self.stores[index]
            && let Some(record) = self.nodes[index].poll_persist()
        {
            self.nodes[index].handle_persisted(self.now, record.seq);
            self.records[index].push(record);
        }
    }

    fn transmit(&mut self, index: usize) {
        let mut buffer = vec![0; usize::from(self.nodes[index].config().mtu)];
        while let Some(transmit) = self.nodes[index].poll_transmit(self.now, &mut buffer) {
            let bytes = buffer[..transmit.len].to_vec();
            let packet = Packet { from: self.addresses[index], to: transmit.to, bytes };
            if packet.bytes.len() > (self.longest)(&packet) {
                self.nodes[index].handle_too_long(self.now, packet.to, packet.bytes.len());
            } else {
                self.send(packet);
            }
        }
    }

    /// Puts a datagram on the wire, whoever made it.
    pub(crate) fn send(&mut self, packet: Packet) {
        if let Some(log) = &mut self.log {
            log.push((self.now, packet.clone()));
        }
        if !(self.lose)(&packet) && !self.cut.contains(&(packet.from, packet.to)) {
            self.sent += 1;
            self.wire.insert((self.now + DELAY, self.sent), packet);
        }
    }

    fn next_arrival(&mut self) -> Option<Packet> {
        let first = self.wire.first_entry().filter(|first| first.key().0 <= self.now)?;
        Some(first.remove())
    }

    fn deliver(&mut self, mut packet: Packet) {
        if let Some(to) = self.alive().find(|&index| self.addresses[index] == packet.to) {
            self.nodes[to].handle_packet(self.now, packet.from, &mut packet.bytes);
            if self.ticked && self.nodes[to].poll_timeout().is_none_or(|at| at > self.now) {
                self.nodes[to].handle_timeout(self.now);
            }
            self.drain(to);
        }
    }

    pub(crate) fn alive(&self) -> impl Iterator<Item = usize> + use<> {
        let up: Vec<usize> = self.up.iter().enumerate().filter(|(_, up)| **up).map(|(index, _)| index).collect();
        up.into_iter()
    }
}
