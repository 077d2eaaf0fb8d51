//! A node of any system, as the driver sees it: calls go in, and what comes out is written into an [`Outbox`].
//!
//! Everything that a system does happens within these calls, encoding and decoding included. The outbox is the driver's
//! and is used again, so writing into it costs a system no allocation.

use std::ops::Range;

/// A node of one system.
pub trait Node: Sized {
    /// What it wants to be called with later.
    type Timer;

    /// Whether its messages travel in streams: those of one call for the same peer then share datagrams.
    const STREAMS: bool;

    /// A new node.
    fn new(birth: &Birth) -> Self;

    /// It joins through `contact`; the first node of a cluster has none.
    fn join(&mut self, now: u64, contact: Option<u32>, out: &mut Outbox<Self::Timer>);

    /// It sends a message to all, of which the first eight bytes are the number.
    fn submit(&mut self, now: u64, payload: &[u8], out: &mut Outbox<Self::Timer>);

    /// A datagram has come.
    fn receive(&mut self, now: u64, from: u32, datagram: &mut [u8], out: &mut Outbox<Self::Timer>);

    /// What it asked for in [`Outbox::timers`] is due.
    fn ring(&mut self, now: u64, timer: Self::Timer, out: &mut Outbox<Self::Timer>);

    /// The time that it named in [`Outbox::wake`] has come. Systems with timers name none.
    fn wake(&mut self, _now: u64, _out: &mut Outbox<Self::Timer>) {}

    /// `peer` has closed the connection. Systems without connections are not told.
    fn closed(&mut self, _now: u64, _peer: u32, _out: &mut Outbox<Self::Timer>) {}

    /// A datagram of this node is on its way: where forging needs to know of it. Not a part of the system.
    fn watch(&mut self, _to: u32, _datagram: &[u8]) {}

    /// A datagram of this node for `victim` that makes as much as possible of up to [`Self::FORGED_IDS`] ids which nobody
    /// else has heard of, from `first` on. The node itself has fallen silent.
    fn forge(&mut self, victim: u32, first: u64) -> Vec<u8>;

    /// How many ids one forged datagram names.
    const FORGED_IDS: u64;

    /// So many at most are forged: a system whose work per id grows with their number could not be waited for.
    const FORGED_MAX: u64 = u64::MAX;
}

/// What a node is told when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// Its place in the cluster, from 0.
    pub place: u32,
    /// How many there will be.
    pub nodes: u32,
    /// Its own random numbers follow from this.
    pub seed: [u8; 32],
}

/// What a call brought forth.
#[derive(Debug)]
pub struct Outbox<T> {
    bytes: Vec<u8>,
    parts: Vec<(u32, Range<usize>)>,
    /// The numbers of messages that the application was handed.
    pub delivered: Vec<u64>,
    /// What is to come back after so many microseconds.
    pub timers: Vec<(u64, T)>,
    /// When to wake the node, in microseconds; what was named before is void.
    pub wake: Option<u64>,
    /// Peers to whom the connection is closed.
    pub closed: Vec<u32>,
}

/// So much room that no call of a node makes an outbox grow: its growth would be counted as the node's.
const BYTES: usize = 1 << 22;
const ENTRIES: usize = 1 << 15;

impl<T> Outbox<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BYTES),
            parts: Vec::with_capacity(ENTRIES),
            delivered: Vec::with_capacity(ENTRIES),
            timers: Vec::with_capacity(ENTRIES),
            wake: None,
            closed: Vec::with_capacity(ENTRIES),
        }
    }

    /// Sends what `write` appends to `to`.
    pub fn send(&mut self, to: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.parts.push((to, start..self.bytes.len()));
    }

    /// What was sent, in order.
    pub fn sent(&self) -> impl ExactSizeIterator<Item = (u32, &[u8])> + Clone {
        self.parts.iter().map(|(to, range)| (*to, &self.bytes[range.clone()]))
    }

    /// Forgets all, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
        self.delivered.clear();
        self.timers.clear();
        self.wake = None;
        self.closed.clear();
    }
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of a message: its first eight bytes.
#[must_use]
pub fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
