//! Many nodes of one system over the simulator's network: the same latencies, losses and overtakings for all systems,
//! from the same seed.

use std::collections::HashSet;
use std::ops::Sub;

use gossip_tests::sim::rng::{Rng, hash};
use gossip_tests::sim::{Arena, Faults, Label, Network, Queue, Weather};

use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::node::{Birth, Node, Outbox};

/// Bytes that IP and UDP add to each datagram (IPv4).
pub const IP_UDP: u64 = 28;

/// Messages of a stream share a datagram of so many bytes.
const SHARED: usize = 1_200;

/// What is longer takes several datagrams, as long as an Ethernet carries in one piece with room for IPv6.
const PIECE: usize = 1_452;

/// No time.
const NEVER: u64 = u64::MAX;

/// All that was sent and done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes, those of IP and UDP included.
    pub bytes: u64,
    /// Allocations of all nodes.
    pub allocations: u64,
    /// Deliveries of measured messages, own ones apart.
    pub deliveries: u64,
}

impl Sub for Totals {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            datagrams: self.datagrams - before.datagrams,
            bytes: self.bytes - before.bytes,
            allocations: self.allocations - before.allocations,
            deliveries: self.deliveries - before.deliveries,
        }
    }
}

/// Nodes, and the network between them.
#[derive(Debug)]
pub struct Cluster<N: Node> {
    /// Who got what.
    pub ledger: Ledger,
    seed: u64,
    now: u64,
    seats: Vec<Seat<N>>,
    wire: Wire,
    queue: Queue<Next>,
    timers: Timers<N::Timer>,
    out: Outbox<N::Timer>,
    scratch: Vec<u8>,
    /// Who has heard from whom since the connection between them was closed, as (lower, higher).
    connections: HashSet<(u32, u32)>,
}

/// The network, and what is on its way.
#[derive(Debug)]
struct Wire {
    network: Network,
    faults: Faults,
    arena: Arena,
    datagrams: u64,
    bytes: u64,
}

impl Wire {
    /// Sends datagram `number` of `from`.
    fn send(&mut self, queue: &mut Queue<Next>, now: u64, (from, to): (u32, u32), number: u64, datagram: &[u8]) {
        let pieces = datagram.len().div_ceil(PIECE).max(1) as u64;
        self.datagrams += pieces;
        self.bytes += datagram.len() as u64 + pieces * IP_UDP;
        let fate = self.network.route(now, from, to, number, &mut self.faults);
        for copy in fate.copies() {
            let place = self.arena.put(copy.at, Label { from, from_port: 0, to_port: 0 }, datagram);
            queue.push(copy.at, Next::Arrival { to, place });
        }
    }
}

#[derive(Debug)]
struct Seat<N> {
    /// None before the node's start, and after its end.
    node: Option<N>,
    meter: Meter,
    /// Datagrams so far.
    sent: u64,
    /// When the node wants to be woken,
    due: u64,
    /// and when the queue will look after it.
    wake: u64,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Arrival { to: u32, place: u32 },
    Timer { node: u32, place: usize },
    Wake { node: u32 },
    Closed { node: u32, by: u32 },
}

/// Timers that run; places are used again.
#[derive(Debug)]
struct Timers<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Timers<T> {
    fn put(&mut self, timer: T) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(timer);
        place
    }

    fn take(&mut self, place: usize) -> Option<T> {
        self.free.push(place);
        self.places[place].take()
    }
}

impl<N: Node> Cluster<N> {
    /// A cluster of no nodes yet, at time 0.
    #[must_use]
    pub fn new(seed: u64, nodes: u32, ledger: Ledger) -> Self {
        let seat = || Seat { node: None, meter: Meter::default(), sent: 0, due: NEVER, wake: NEVER };
        Self {
            ledger,
            seed,
            now: 0,
            seats: (0..nodes).map(|_| seat()).collect(),
            wire: Wire {
                network: Network::new(seed, nodes, Weather::fair()),
                faults: Faults::default(),
                arena: Arena::default(),
                datagrams: 0,
                bytes: 0,
            },
            queue: Queue::new(),
            timers: Timers { places: Vec::new(), free: Vec::new() },
            out: Outbox::new(),
            scratch: Vec::new(),
            connections: HashSet::new(),
        }
    }

    /// The time, in microseconds.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// What the network does to datagrams.
    pub const fn weather(&mut self) -> &mut Weather {
        &mut self.wire.network.weather
    }

    /// The network, to cut it.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.wire.network
    }

    /// How many nodes there can be.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.seats.len() as u32
    }

    /// What was sent and done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            datagrams: self.wire.datagrams,
            bytes: self.wire.bytes,
            allocations: self.seats.iter().map(|seat| seat.meter.allocations).sum(),
            deliveries: self.ledger.deliveries(),
        }
    }

    /// Bytes of heap that a node holds.
    #[must_use]
    pub fn heap(&self, node: u32) -> i64 {
        self.seats[node as usize].meter.live
    }

    /// A node starts, and joins through `contact` where one is given.
    pub fn start(&mut self, node: u32, contact: Option<u32>) {
        let seed = Rng::new(hash([self.seed, u64::from(node)]), 1).bytes();
        let birth = Birth { place: node, nodes: self.size(), seed };
        let seat = &mut self.seats[node as usize];
        seat.node = Some(seat.meter.metered(|| N::new(&birth)));
        self.call(node, |node, now, out| node.join(now, contact, out));
    }

    /// A node falls silent for ever; what it was is handed over.
    pub fn silence(&mut self, node: u32) -> Option<N> {
        self.seats[node as usize].node.take()
    }

    /// A node sends a message. `measured` ones are in the ledger.
    pub fn submit(&mut self, node: u32, payload: &[u8], measured: bool) {
        if measured {
            self.ledger.submitted(self.now, node);
        }
        self.call(node, |node, now, out| node.submit(now, payload, out));
    }

    /// A datagram of `from` comes right now, from nowhere.
    pub fn inject(&mut self, from: u32, to: u32, datagram: &mut [u8]) {
        self.call(to, |node, now, out| node.receive(now, from, datagram, out));
    }

    /// Lets everything happen that happens until `limit`, and sets the time to it.
    pub fn run_until(&mut self, limit: u64) {
        while let Some((at, next)) = self.queue.pop_until(limit) {
            self.now = self.now.max(at);
            self.wire.arena.release(self.now);
            match next {
                Next::Arrival { to, place } => self.arrive(at, to, place),
                Next::Timer { node, place } => {
                    if let Some(timer) = self.timers.take(place) {
                        self.call(node, |node, now, out| node.ring(now, timer, out));
                    }
                }
                Next::Wake { node } => self.wake(node, at),
                Next::Closed { node, by } => self.call(node, |node, now, out| node.closed(now, by, out)),
            }
        }
        self.now = self.now.max(limit);
    }

    fn arrive(&mut self, at: u64, to: u32, place: u32) {
        let mut datagram = std::mem::take(&mut self.scratch);
        let (Label { from, .. }, bytes) = self.wire.arena.get(at, place);
        datagram.clear();
        datagram.extend_from_slice(bytes);
        if N::STREAMS {
            self.connections.insert(pair(from, to));
        }
        self.inject(from, to, &mut datagram);
        self.scratch = datagram;
    }

    fn wake(&mut self, node: u32, at: u64) {
        let (now, seat) = (self.now, &mut self.seats[node as usize]);
        if seat.wake == at {
            seat.wake = NEVER;
        }
        if seat.due <= now {
            self.call(node, |node, now, out| node.wake(now, out));
        } else {
            self.sleep(node);
        }
    }

    /// Sees to it that the node is woken when it wants to be.
    fn sleep(&mut self, node: u32) {
        let seat = &mut self.seats[node as usize];
        if seat.due < seat.wake {
            seat.wake = seat.due;
            self.queue.push(seat.due, Next::Wake { node });
        }
    }

    /// Calls a node, if it is there, and does what it asks for.
    fn call(&mut self, node: u32, work: impl FnOnce(&mut N, u64, &mut Outbox<N::Timer>)) {
        let Self { seats, out, now, .. } = self;
        let seat = &mut seats[node as usize];
        let Some(state) = &mut seat.node else { return };
        seat.meter.metered(|| work(state, *now, out));
        for number in self.out.delivered.drain(..) {
            self.ledger.delivered(self.now, node, number);
        }
        for (delay, timer) in self.out.timers.drain(..) {
            let place = self.timers.put(timer);
            self.queue.push(self.now + delay, Next::Timer { node, place });
        }
        if let Some(due) = self.out.wake.take() {
            self.seats[node as usize].due = due;
            self.sleep(node);
        }
        self.send_all(node);
        self.close_all(node);
        self.out.clear();
    }

    fn send_all(&mut self, node: u32) {
        let Self { out, wire, queue, seats, scratch, now, .. } = self;
        let Seat { node: state, sent, .. } = &mut seats[node as usize];
        let mut send = |to, datagram: &[u8]| {
            *sent += 1;
            state.iter_mut().for_each(|state| state.watch(to, datagram));
            wire.send(queue, *now, (node, to), *sent, datagram);
        };
        if !N::STREAMS {
            out.sent().for_each(|(to, datagram)| send(to, datagram));
            return;
        }
        // By receiver, and else in order.
        let mut parts: Vec<(u32, &[u8])> = out.sent().collect();
        parts.sort_by_key(|(to, _)| *to);
        for group in parts.chunk_by(|a, b| a.0 == b.0) {
            let to = group[0].0;
            scratch.clear();
            for (_, part) in group {
                if !scratch.is_empty() && scratch.len() + part.len() > SHARED {
                    send(to, scratch);
                    scratch.clear();
                }
                scratch.extend_from_slice(part);
            }
            send(to, scratch);
        }
    }

    /// The other side learns of it once all that was sent before has arrived; this way is not lost.
    fn close_all(&mut self, node: u32) {
        for peer in self.out.closed.drain(..) {
            if self.connections.remove(&pair(node, peer)) {
                let at = self.now + self.wire.network.latency(node, peer) + 1;
                self.queue.push(at, Next::Closed { node: peer, by: node });
            }
        }
    }
}

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}
