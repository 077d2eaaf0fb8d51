//! What a simulation is told once.

use crate::sim::network::Weather;
use crate::sim::rng::Chance;

/// How much a socket holds of what waits for the line, in microseconds of line.
pub(super) const BUFFER: u64 = 5_000;

/// What a simulation is told once. Times are in microseconds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many nodes there can be, at most 2²⁴.
    pub nodes: u32,
    /// What the network does to datagrams at first.
    pub weather: Weather,
    /// How outputs are drained.
    pub drive: Drive,
    /// The range of the time in which a batch of records becomes durable.
    pub storage_delay: (u64, u64),
    /// How many bits per second leave a node, heads of IP and UDP included; 0: without bound. A socket holds what leaves in
    /// five milliseconds, and then takes nothing.
    pub bandwidth: u64,
    /// How long a node is busy with each datagram; others wait.
    pub service: u64,
    /// The share of deliveries that the application acknowledges, at once, where a restart would deliver them again.
    pub acknowledge: Chance,
    /// Each clock gains or loses at most so many microseconds per second.
    pub drift_ppm: u32,
    /// Whether a node's clock begins at zero with each of its lives, as one does that counts the time since a process
    /// started. Else it starts anywhere, once.
    pub young_clocks: bool,
}

impl Options {
    /// Fair weather, prompt drains, exact clocks with different origins.
    #[must_use]
    pub const fn new(seed: u64, nodes: u32) -> Self {
        Self {
            seed,
            nodes,
            weather: Weather::fair(),
            drive: Drive::prompt(),
            storage_delay: (100, 5_000),
            bandwidth: 0,
            service: 0,
            acknowledge: Chance::NEVER,
            drift_ppm: 0,
            young_clocks: false,
        }
    }
}

/// How a node's driver calls the core: everything that the laws say must not matter.
#[derive(Clone, Debug)]
pub struct Drive {
    /// In which order the three kinds of output are polled.
    pub order: Order,
    /// Whether the core is ticked after every input, due or not.
    pub tick_after_input: bool,
    /// How many datagrams of full size the poll buffer has room for.
    pub segments: u16,
    /// Whether sockets are sometimes full, and timers late.
    pub late: Option<Late>,
    /// Of so many received datagrams, one is repeated at once to a copy of the node, to see that it changes nothing
    /// (law 7); 0 for none.
    pub repeat_one_in: u32,
    /// After one of so many inputs the core recounts all its tables, before its outputs are polled and after; 0 for none.
    pub audit_one_in: u32,
}

impl Drive {
    /// Everything at once, records first.
    #[must_use]
    pub const fn prompt() -> Self {
        Self {
            order: Order::Fixed([Stream::Records, Stream::Events, Stream::Datagrams]),
            tick_after_input: false,
            segments: 1,
            late: None,
            repeat_one_in: 0,
            audit_one_in: 0,
        }
    }
}

/// In which order the outputs are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One kind after the other, each until there is none.
    Fixed([Stream; 3]),
    /// One at a time, of a kind drawn anew each time.
    Shuffled,
}

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `poll_transmit`.
    Datagrams,
    /// `poll_event`.
    Events,
    /// `poll_persist`.
    Records,
}

/// A driver that is not always prompt.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// After an input with this chance the socket is full for a while: datagrams stay in the core.
    pub socket_full: Chance,
    /// For at most so long, in microseconds.
    pub socket_delay: u64,
    /// A tick comes at most so much too late, in microseconds.
    pub tick_delay: u64,
}

/// A life of a node that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// The node, by its place in the simulation.
    pub node: u32,
    /// Its how-many-th life it is, from 1: good for `Config::started_at`.
    pub life: u32,
    /// When it begins, in microseconds of real time: better, where ages are to go on from life to life.
    pub at: u64,
}
