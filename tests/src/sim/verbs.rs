//! What a script does to nodes: the verbs of the core, and what fate does to processes, clocks and addresses.

use std::net::SocketAddr;

use gossip_core::{
    Config, Durability, Gossip, JoinError, MessageId, Order, Redelivery, RestoreError, Scope, SubmitError, Version,
};

use crate::sim::address::address;
use crate::sim::fault::Fault;
use crate::sim::next::{Kind, Next};
use crate::sim::node::NEVER;
use crate::sim::options::Birth;
use crate::sim::rng::{Rng, hash, hash_bytes, within};
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

impl<O: Observer> Simulation<O> {
    /// Where a node can be reached now.
    pub fn address(&self, node: u32) -> SocketAddr {
        address(node, self.nodes[node as usize].generation)
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: u32) -> bool {
        self.nodes[node as usize].gossip.is_some()
    }

    /// Starts a node that is down, with the records of its last life or with nothing. A node whose records are refused
    /// stays down, which the observer is shown.
    ///
    /// # Panics
    ///
    /// Where the node is up, or its configuration is wrong.
    pub fn start(&mut self, node: u32, keep: bool) {
        assert!(!self.is_up(node), "node {node} is up already");
        let (now, seed) = (self.now, self.options.seed);
        let state = &mut self.nodes[node as usize];
        state.life += 1;
        let life = state.life;
        if self.options.young_clocks {
            state.clock = state.clock.restarted(now);
        }
        state.drained = None;
        let config = (self.configure)(Birth { node, life, at: now });
        let local = state.local(now);
        let seed = Rng::new(hash([seed, u64::from(node)]), u64::from(life)).bytes();
        let behind = life > 1 && config.started_at < state.started_at;
        state.started_at = state.started_at.max(config.started_at);
        state.mtu = config.mtu;
        state.acknowledges = config.redelivery == Redelivery::UntilAcknowledged;
        state.wake = NEVER;
        if !keep {
            state.extra = None;
        }
        let restored = keep && life > 1;
        if life > 1 {
            self.faults.count(if keep { Fault::RestartKept } else { Fault::RestartEmpty });
        }
        if behind {
            self.suffer(node, Fault::ClockBehind);
        }
        let made = match &self.nodes[node as usize].extra {
            Some(extra) if restored => Gossip::restore(config, seed, local, extra.storage.records()),
            _ => Gossip::new(config, seed, local).map_err(RestoreError::Config),
        };
        match made {
            Ok(gossip) => self.born(node, gossip, restored),
            Err(RestoreError::Config(error)) => panic!("the script's configuration of node {node} is wrong: {error}"),
            Err(error) => self.step(node, What::NotRestored { error: error.to_string() }),
        }
    }

    fn born(&mut self, node: u32, gossip: Gossip, restored: bool) {
        let Config { id, durability, redelivery, .. } = *gossip.config();
        let durable = durability == Durability::Records;
        let redelivers = redelivery == Redelivery::UntilAcknowledged;
        let incarnation = gossip.incarnation();
        let state = &mut self.nodes[node as usize];
        state.gossip = Some(gossip);
        state.trace.input(self.now, incarnation.0, &[]);
        self.step(node, What::Born { id, incarnation, restored, durable, redelivers });
        self.settle(node);
    }

    /// Starts all nodes that are down, with nothing.
    pub fn start_all(&mut self) {
        for node in 0..self.size() {
            if !self.is_up(node) {
                self.start(node, false);
            }
        }
    }

    /// The process is gone: with it everything in memory, and the records that were not stored yet.
    pub fn crash(&mut self, node: u32) {
        let h = hash([self.options.seed, u64::from(node), self.now, 11]);
        let state = &mut self.nodes[node as usize];
        let Some(gossip) = state.gossip.take() else { return };
        for (name, count) in gossip.stats().iter() {
            *self.retired.entry(name).or_default() += count;
        }
        if let Some(extra) = &mut state.extra {
            // Some of what waited may have reached the disk, although nobody was told.
            let survivors = within(h, 0, extra.storage.waiting() as u64) as usize;
            for _ in 0..extra.storage.crash(survivors) {
                self.faults.count(Fault::RecordLost);
            }
            let storage = std::mem::take(&mut extra.storage);
            **extra = crate::sim::node::Extra { storage, ..Default::default() };
        }
        self.faults.count(Fault::Crash);
        self.step(node, What::Crashed);
    }

    /// The process stalls for a while, timers and all; its inputs wait.
    pub fn pause(&mut self, node: u32, for_micros: u64) {
        if !self.is_up(node) {
            return;
        }
        let until = self.now + for_micros;
        let state = &mut self.nodes[node as usize];
        let life = state.life;
        let extra = state.extra();
        extra.paused_until = extra.paused_until.max(until);
        self.queue.push(until, Next::new(node, Kind::Resume, life));
        self.faults.count(Fault::Pause);
        self.step(node, What::Paused { until });
    }

    /// The socket takes no datagram for a while.
    pub fn fill_socket(&mut self, node: u32, for_micros: u64) {
        self.block(node, for_micros, Fault::SocketFull, |extra| &mut extra.full_until);
    }

    /// The application takes no event for a while.
    pub fn slow_application(&mut self, node: u32, for_micros: u64) {
        self.block(node, for_micros, Fault::SlowApplication, |extra| &mut extra.slow_until);
    }

    fn block(
        &mut self,
        node: u32,
        for_micros: u64,
        fault: Fault,
        what: impl Fn(&mut crate::sim::node::Extra) -> &mut u64,
    ) {
        if !self.is_up(node) {
            return;
        }
        let until = self.now + for_micros;
        let state = &mut self.nodes[node as usize];
        let life = state.life;
        let blocked = what(state.extra());
        *blocked = until.max(*blocked);
        self.queue.push(until, Next::new(node, Kind::Drain, life));
        self.suffer(node, fault);
    }

    /// The clock is set forward, or back where `by_micros` is negative.
    pub fn step_clock(&mut self, node: u32, by_micros: i64) {
        self.nodes[node as usize].clock.step(self.now, by_micros);
        self.suffer(node, if by_micros < 0 { Fault::ClockBack } else { Fault::ClockForward });
        self.look_at_clock(node);
    }

    /// The node gets another address; what was sent to the old one is lost.
    pub fn move_address(&mut self, node: u32) {
        let state = &mut self.nodes[node as usize];
        state.generation = state.generation.wrapping_add(1);
        self.suffer(node, Fault::Moved);
    }

    fn suffer(&mut self, node: u32, fault: Fault) {
        self.faults.count(fault);
        self.step(node, What::Suffered { fault });
    }

    /// Whether a node is up and its process does not stall: only then can its application ask it for anything.
    pub fn is_running(&self, node: u32) -> bool {
        let state = &self.nodes[node as usize];
        state.gossip.is_some() && !state.is_paused(self.now)
    }

    /// [`Gossip::join`] with where `contact` is now. Nothing happens on a node that does not run.
    ///
    /// # Errors
    ///
    /// Those of the verb.
    pub fn join(&mut self, node: u32, contact: u32) -> Result<(), JoinError> {
        let address = self.address(contact);
        self.verb(node, u64::from(contact), |gossip, now| gossip.join(now, address)).unwrap_or(Ok(()))
    }

    /// [`Gossip::leave`].
    pub fn leave(&mut self, node: u32) {
        if self.is_running(node) {
            self.step(node, What::Leaving);
            self.verb(node, 12, Gossip::leave);
        }
    }

    /// [`Gossip::submit`]; none on a node that does not run.
    pub fn submit(&mut self, node: u32, order: Order, payload: &[u8]) -> Option<Result<MessageId, SubmitError>> {
        if !self.is_running(node) {
            return None;
        }
        let answer =
            self.input(node, hash_bytes(order as u64, payload), |gossip, now| gossip.submit(now, order, payload))?;
        // Told before the drain: a node's own delivery comes after its submission.
        match answer {
            Ok(id) => {
                let last = self.view(node).and_then(|gossip| gossip.get(id)).map_or(id.seq, |message| message.last);
                self.step(node, What::Submitted { id, last, order, payload });
            }
            Err(error) => self.step(node, What::Refused { error }),
        }
        self.settle(node);
        Some(answer)
    }

    /// [`Gossip::set`] of an own register, or [`Gossip::remove`] where there is no value; none on a node that does not
    /// run.
    pub fn set(&mut self, node: u32, key: &str, value: Option<&[u8]>) -> Option<Result<Version, SubmitError>> {
        if !self.is_running(node) {
            return None;
        }
        let kind = hash_bytes(hash_bytes(13, key.as_bytes()), value.unwrap_or_default());
        let answer = self.input(node, kind, |gossip, now| match value {
            Some(value) => gossip.set(now, Scope::Own, key, value),
            None => gossip.remove(now, Scope::Own, key),
        })?;
        match answer {
            Ok(version) => self.step(node, What::Set { key, version, value }),
            Err(error) => self.step(node, What::Refused { error }),
        }
        self.settle(node);
        Some(answer)
    }

    /// Feeds a verb to a node that runs, and drains it.
    fn verb<T>(
        &mut self,
        node: u32,
        kind: u64,
        verb: impl FnOnce(&mut Gossip, gossip_core::Instant) -> T,
    ) -> Option<T> {
        if !self.is_running(node) {
            return None;
        }
        let answer = self.input(node, kind, verb);
        self.settle(node);
        answer
    }
}
