//! Inputs: datagrams that arrive, records that are stored, verbs. A process that stalls or is busy finds them waiting.

use gossip_core::{Gossip, Instant, PersistSeq};

use crate::sim::address::address;
use crate::sim::arena::Label;
use crate::sim::fault::Fault;
use crate::sim::next::{Kind, Next};
use crate::sim::rng::mix;
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, Step, What};

/// Datagrams that a stalled process's socket keeps, about what the default receive buffer of Linux has room for.
const INBOX_MAX: usize = 256;

impl<O: Observer> Simulation<O> {
    pub(super) fn arrive(&mut self, to: u32, at: u64, handle: u32) {
        if let Some(until) = self.network.held(to, self.now) {
            let (label, datagram) = self.arena.get(at, handle);
            let datagram = datagram.to_vec();
            let handle = self.arena.put(until, label, &datagram);
            self.queue.push(until, Next::new(to, Kind::Arrival, handle));
            self.faults.count(Fault::Held);
            return;
        }
        let Self { arena, nodes, queue, network, .. } = self;
        let (now, node) = (self.now, &mut nodes[to as usize]);
        let (label, datagram) = arena.get(at, handle);
        let missed = if network.is_parted(label.from, to) {
            Fault::Cut
        } else if node.gossip.is_none() {
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
        let before = gossip.incarnation();
        gossip.handle_packet(local, address(label.from, label.from_port), datagram);
        let incarnation = gossip.incarnation();
        if options.service > 0 {
            node.extra().busy_until = now + options.service;
        }
        if incarnation != before {
            self.step(to, What::Raised { incarnation });
        }
        self.fill_socket_by_chance(to);
        if let Some(mut again) = again
            && self.drain(to)
        {
            self.repeat(to, label, &mut again);
        }
    }

    /// The process takes the next datagram out of its socket.
    pub(super) fn serve(&mut self, node: u32, life: u32) {
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
    pub(super) fn resume(&mut self, node: u32, life: u32) {
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
    pub(super) fn written(&mut self, node: u32, life: u32) {
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
}

/// Where the bytes of a datagram lie.
enum Where {
    /// On their way, in the arena: arrival time and handle.
    Arena(u64, u32),
    /// In the socket of a node that was busy.
    Inbox(Box<[u8]>),
}
