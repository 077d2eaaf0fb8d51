//! The event loop.

use std::collections::BTreeMap;

use gossip_core::{Config, Gossip, Instant, PersistSeq};

use crate::sim::address::address;
use crate::sim::arena::{Arena, Label};
use crate::sim::clock::Clock;
use crate::sim::fault::{Fault, Faults};
use crate::sim::network::Network;
use crate::sim::node::{NEVER, Node};
use crate::sim::options::{Birth, Options};
use crate::sim::queue::Queue;
use crate::sim::rng::{hash, mix, within};
use crate::sim::trace::{Observer, Step, What};

/// Datagrams that a stalled process's socket keeps, about what the default receive buffer of Linux has room for.
const INBOX_MAX: usize = 256;

/// After a full drain a node gets at least so much rest before the next tick, where law 2 is broken or its socket is
/// full: without it the simulation would not advance.
const REST: u64 = 1_000;

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

/// What happens next, in eight bytes: node, kind and a number of 28 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A datagram arrives; the number says where it lies.
    Arrival,
    /// The core wants a tick.
    Wake,
    /// A batch of records is written. From here on the number is the life of the node that it is meant for.
    Written,
    /// The process takes the next datagram from its socket.
    Serve,
    /// The process runs again.
    Resume,
    /// The socket or the application takes something again.
    Drain,
}

impl Next {
    const NUMBER_BITS: u32 = 28;
    const KINDS: [Kind; 6] = [Kind::Arrival, Kind::Wake, Kind::Written, Kind::Serve, Kind::Resume, Kind::Drain];

    pub(super) const fn new(node: u32, kind: Kind, number: u32) -> Self {
        assert!(number >> Self::NUMBER_BITS == 0, "2 GiB of datagrams in 16 ms, or 2²⁸ lives of a node");
        Self((node as u64) << 32 | (kind as u64) << Self::NUMBER_BITS | number as u64)
    }

    const fn parts(self) -> (u32, Kind, u32) {
        let kind = Self::KINDS[(self.0 as u32 >> Self::NUMBER_BITS) as usize];
        ((self.0 >> 32) as u32, kind, self.0 as u32 & ((1 << Self::NUMBER_BITS) - 1))
    }
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
    fn lives(&self, node: u32, life: u32) -> bool {
        let node = &self.nodes[node as usize];
        node.gossip.is_some() && node.life == life
    }

    fn arrive(&mut self, to: u32, at: u64, handle: u32) {
        let Self { arena, nodes, queue, .. } = self;
        let (now, node) = (self.now, &mut nodes[to as usize]);
        let (label, datagram) = arena.get(at, handle);
        let missed = if node.gossip.is_none() {
            Fault::ToDead
        } else if label.to_port != node.generation {
            Fault::ToOldAddress
        } else if !node.is_busy(now) {
            self.receive(to, label, Where::Arena(at, handle));
            self.settle(to);
            return;
        } else if node.extra().inbox.len() < INBOX_MAX {
            let life = node.life;
            let extra = node.extra();
            extra.inbox.push_back((label, (*datagram).into()));
            if extra.inbox.len() == 1 && now >= extra.paused_until {
                queue.push(extra.busy_until, Next::new(to, Kind::Serve, life));
            }
            return;
        } else {
            Fault::Overflow
        };
        self.faults.count(missed);
        self.step(to, What::Missed { from: label.from, why: missed });
    }

    /// Hands a datagram to the core, opened in place where it lies. Outputs and timers are for the caller.
    fn receive(&mut self, to: u32, label: Label, mut lies: Where) {
        let Self { arena, nodes, observer, options, now, .. } = self;
        let (now, node) = (*now, &mut nodes[to as usize]);
        let Some(gossip) = &mut node.gossip else { return };
        let datagram = match &mut lies {
            Where::Arena(at, handle) => arena.get(*at, *handle).1,
            Where::Inbox(datagram) => datagram,
        };
        observer.observe(&Step { at: now, node: to, what: What::Received { from: label.from, len: datagram.len() } });
        node.trace.input(now, u64::from(label.from), datagram);
        node.inputs += 1;
        let every = u64::from(options.drive.repeat_one_in);
        let again = (every > 0 && mix(node.inputs).is_multiple_of(every)).then(|| datagram.to_vec());
        let local = Instant::from_micros(node.clock.local(now));
        gossip.handle_packet(local, address(label.from, label.from_port), datagram);
        if options.service > 0 {
            node.extra().busy_until = now + options.service;
        }
        self.fill_socket_by_chance(to);
        if let Some(mut again) = again
            && self.drain(to)
        {
            self.repeat(to, label, &mut again);
        }
    }

    /// The process takes the next datagram out of its socket.
    fn serve(&mut self, node: u32, life: u32) {
        if !self.lives(node, life) || self.nodes[node as usize].is_paused(self.now) {
            return;
        }
        let Some((label, datagram)) = self.nodes[node as usize].extra().inbox.pop_front() else { return };
        self.receive(node, label, Where::Inbox(datagram));
        self.settle(node);
        let extra = self.nodes[node as usize].extra();
        if !extra.inbox.is_empty() {
            self.queue.push(extra.busy_until.max(self.now), Next::new(node, Kind::Serve, life));
        }
    }

    /// A stalled process runs again: what waited in its socket comes first, then what its disk has finished, then its
    /// timers.
    fn resume(&mut self, node: u32, life: u32) {
        if !self.lives(node, life) || self.nodes[node as usize].is_paused(self.now) {
            return;
        }
        self.step(node, What::Resumed);
        if self.options.service > 0 {
            self.serve(node, life);
        } else {
            while let Some((label, datagram)) = self.nodes[node as usize].extra().inbox.pop_front() {
                self.receive(node, label, Where::Inbox(datagram));
                self.drain(node);
            }
        }
        if let Some(upto) = self.nodes[node as usize].extra().persisted.take() {
            self.persisted(node, upto);
        }
        self.settle(node);
    }

    /// The disk has finished a batch.
    fn written(&mut self, node: u32, life: u32) {
        if !self.lives(node, life) {
            return;
        }
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        let paused = state.is_paused(now);
        let Some(upto) = state.extra().storage.written() else { return };
        if paused {
            state.extra().persisted = Some(upto);
        } else {
            self.persisted(node, upto);
        }
    }

    fn persisted(&mut self, node: u32, upto: PersistSeq) {
        self.step(node, What::Persisted { upto });
        self.input(node, upto.0, |gossip, local| gossip.handle_persisted(local, upto));
        self.settle(node);
    }

    /// Feeds an input that is no datagram. `kind` goes into the trace hash.
    pub(super) fn input<T>(&mut self, node: u32, kind: u64, verb: impl FnOnce(&mut Gossip, Instant) -> T) -> Option<T> {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        let local = state.local(now);
        let gossip = state.gossip.as_mut()?;
        state.trace.input(now, kind, &[]);
        state.inputs += 1;
        let answer = verb(gossip, local);
        self.fill_socket_by_chance(node);
        Some(answer)
    }

    /// A wake-up; most are stale or early, as nothing is ever taken out of the queue.
    fn wake(&mut self, node: u32, at: u64) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        if state.wake != at {
            return;
        }
        state.wake = NEVER;
        if state.gossip.is_some() && !state.is_paused(now) {
            self.attend(node, true);
        }
    }

    /// The node's clock was set: its wake-up lies elsewhere in real time now.
    pub(super) fn look_at_clock(&mut self, node: u32) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        state.wake = NEVER;
        if state.gossip.is_some() && !state.is_paused(now) {
            let drained = state.is_writable(now) && state.is_listening(now);
            self.attend(node, drained);
        }
    }

    /// After an input: drains all outputs and sees to the next deadline.
    pub(super) fn settle(&mut self, node: u32) {
        let mut drained = self.drain(node);
        // The law is about nodes that are drained; what waits in one that is not may well be due.
        if drained && self.options.drive.tick_after_input {
            self.tick(node);
            drained = self.drain(node);
        }
        self.attend(node, drained);
    }

    /// Ticks a node that is due, or arranges to be back when it is.
    fn attend(&mut self, node: u32, mut drained: bool) {
        let mut ticked = false;
        loop {
            let state = &self.nodes[node as usize];
            let local = state.local(self.now);
            let Some(deadline) = state.gossip.as_ref().and_then(Gossip::poll_timeout) else { return };
            if deadline > local {
                self.wake_at(node, state.clock.real(deadline.as_micros()));
                return;
            }
            if ticked {
                let reason = state.gossip.as_ref().and_then(Gossip::timeout_reason);
                if drained {
                    self.step(node, What::Spun { reason });
                }
                self.wake_at(node, self.now + REST);
                return;
            }
            self.tick(node);
            drained = self.drain(node);
            ticked = true;
        }
    }

    fn wake_at(&mut self, node: u32, mut at: u64) {
        let state = &mut self.nodes[node as usize];
        if let Some(late) = self.options.drive.late {
            at = at.saturating_add(within(hash([self.options.seed, u64::from(node), at]), 0, late.tick_delay));
        }
        if at < state.wake {
            state.wake = at;
            self.queue.push(at, Next::new(node, Kind::Wake, 0));
        }
    }

    fn tick(&mut self, node: u32) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        let local = state.local(now);
        let Some(gossip) = &mut state.gossip else { return };
        let reason = gossip.timeout_reason();
        gossip.handle_timeout(local);
        self.step(node, What::Ticked { reason });
    }
}

/// Where the bytes of a datagram lie.
enum Where {
    /// On their way, in the arena: arrival time and handle.
    Arena(u64, u32),
    /// In the socket of a node that was busy.
    Inbox(Box<[u8]>),
}
