//! The event loop.

use std::collections::BTreeMap;

use gossip_core::{Config, Gossip, Instant};

use crate::sim::arena::Arena;
use crate::sim::clock::Clock;
use crate::sim::fault::Faults;
use crate::sim::network::Network;
use crate::sim::next::{Kind, Next};
use crate::sim::node::Node;
use crate::sim::options::{Birth, Options};
use crate::sim::queue::Queue;
use crate::sim::rng::{hash, within};
use crate::sim::trace::{Observer, Step, What};

/// Real nodes on a simulated network.
pub struct Simulation<O> {
    pub(super) options: Options,
    pub(super) configure: Box<dyn Fn(Birth) -> Config + Send>,
    /// What reads the steps.
    pub observer: O,
    pub(super) now: u64,
    pub(super) queue: Queue<Next>,
    pub(super) arena: Arena,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    /// The one buffer that all datagrams are composed in.
    pub(super) buffer: Vec<u8>,
    /// The text of the event that is hashed.
    pub(super) scratch: Vec<u8>,
    pub(super) faults: Faults,
    /// The counters of lives that are over.
    pub(super) retired: BTreeMap<&'static str, u64>,
    processed: u64,
}

impl<O: Observer> Simulation<O> {
    /// A simulation at time 0, with no node up. `configure` makes the configuration of each life of each node.
    pub fn new(options: Options, configure: impl Fn(Birth) -> Config + Send + 'static, observer: O) -> Self {
        let seed = options.seed;
        let nodes = (0..options.nodes)
            .map(|node| {
                let h = |label| hash([seed, u64::from(node), label]);
                let drift = within(h(1), 0, 2 * u64::from(options.drift_ppm)) as i32 - options.drift_ppm as i32;
                Node::new(Clock::new(within(h(2), 0, 1 << 40), 0, drift))
            })
            .collect();
        Self {
            network: Network::new(seed, options.nodes, options.weather.clone()),
            configure: Box::new(configure),
            observer,
            now: 0,
            queue: Queue::new(),
            arena: Arena::default(),
            nodes,
            buffer: Vec::new(),
            scratch: Vec::new(),
            faults: Faults::default(),
            retired: BTreeMap::new(),
            processed: 0,
            options,
        }
    }

    /// The time, in microseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The network, to change its weather, cut, clog and heal it.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What was really done to the nodes and their datagrams.
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The sum of all counters of all lives of all nodes.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut sum = self.retired.clone();
        for gossip in self.nodes.iter().filter_map(|node| node.gossip.as_ref()) {
            for (name, count) in gossip.stats().iter() {
                *sum.entry(name).or_default() += count;
            }
        }
        sum
    }

    /// How many events were processed.
    pub const fn processed(&self) -> u64 {
        self.processed
    }

    /// How many nodes there can be.
    pub const fn size(&self) -> u32 {
        self.options.nodes
    }

    /// A node's core, while the node is up.
    pub fn view(&self, node: u32) -> Option<&Gossip> {
        self.nodes[node as usize].gossip.as_ref()
    }

    /// What a node's clock shows.
    pub fn local(&self, node: u32) -> Instant {
        self.nodes[node as usize].local(self.now)
    }

    /// The most that any node's clock is behind what it showed before it was set back, in microseconds.
    pub fn clock_lag(&self) -> u64 {
        self.nodes.iter().map(|node| node.clock.lag(self.now)).max().unwrap_or(0)
    }

    /// A hash of all inputs and outputs of all nodes so far, with their times. Drain orders and needless ticks are not
    /// in it: by the laws they do not matter.
    pub fn trace_hash(&self) -> u64 {
        self.nodes.iter().fold(0, |sum, node| hash([sum, node.trace.sum()]))
    }

    /// Lets everything happen that happens until `limit`, and sets the time to it.
    pub fn run_until(&mut self, limit: u64) {
        while let Some((at, next)) = self.queue.pop_until(limit) {
            self.now = self.now.max(at);
            self.processed += 1;
            self.arena.release(self.now);
            let (node, kind, number) = next.parts();
            match kind {
                Kind::Arrival => self.arrive(node, at, number),
                Kind::Wake => self.wake(node, at),
                Kind::Written => self.written(node, number),
                Kind::Serve => self.serve(node, number),
                Kind::Resume => self.resume(node, number),
                Kind::Drain if self.lives(node, number) && !self.nodes[node as usize].is_paused(self.now) => {
                    self.settle(node);
                }
                Kind::Drain => {}
            }
        }
        self.now = self.now.max(limit);
    }

    pub(super) fn step(&mut self, node: u32, what: What<'_>) {
        self.observer.observe(&Step { at: self.now, node, what });
    }

    /// Whether `node` is still in life `life`.
    pub(super) fn lives(&self, node: u32, life: u32) -> bool {
        let node = &self.nodes[node as usize];
        node.gossip.is_some() && node.life == life
    }
}
