//! One node as the simulator sees it: the core, and what a process around it would have.
//!
//! What most nodes of a large run never need (a disk, a full receive buffer, a stalled process) lies behind one pointer,
//! so that a million nodes cost little more than their cores.

use std::collections::VecDeque;

use gossip_core::{Gossip, Instant, MessageId, PersistSeq};

use crate::sim::arena::Label;
use crate::sim::clock::Clock;
use crate::sim::rng::{hash, hash_bytes};
use crate::sim::storage::Storage;

/// No time.
pub(super) const NEVER: u64 = u64::MAX;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    /// The core, while the node is up.
    pub(super) gossip: Option<Gossip>,
    pub(super) clock: Clock,
    /// Counts the node's lives, from 1; 0 before the first.
    pub(super) life: u32,
    /// The latest time at which any of its lives believed to start, in milliseconds.
    pub(super) started_at: u64,
    /// Counts the node's addresses, from 0.
    pub(super) generation: u16,
    /// The largest datagram that this life may send.
    pub(super) mtu: u16,
    /// Whether this life's deliveries want to be acknowledged.
    pub(super) acknowledges: bool,
    /// The earliest wake-up in the event queue.
    pub(super) wake: u64,
    /// How many messages this life had given up when its application last had all events; none before the first time.
    pub(super) drained: Option<u64>,
    /// Datagrams sent in all lives.
    pub(super) sent: u64,
    /// Inputs in all lives, ticks apart.
    pub(super) inputs: u64,
    pub(super) trace: Trace,
    pub(super) extra: Option<Box<Extra>>,
}

impl Node {
    pub(super) const fn new(clock: Clock) -> Self {
        Self {
            gossip: None,
            clock,
            life: 0,
            started_at: 0,
            generation: 0,
            mtu: 0,
            acknowledges: false,
            wake: NEVER,
            drained: None,
            sent: 0,
            inputs: 0,
            trace: Trace { inputs: 0, datagrams: 0, events: 0, records: 0 },
            extra: None,
        }
    }

    /// What its clock shows at real time `now`.
    pub(super) const fn local(&self, now: u64) -> Instant {
        Instant::from_micros(self.clock.local(now))
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Whether its process stalls.
    pub(super) fn is_paused(&self, now: u64) -> bool {
        self.extra.as_ref().is_some_and(|extra| now < extra.paused_until)
    }

    /// Whether a datagram that arrives now has to wait.
    pub(super) fn is_busy(&self, now: u64) -> bool {
        self.extra
            .as_ref()
            .is_some_and(|extra| now < extra.paused_until || now < extra.busy_until || !extra.inbox.is_empty())
    }

    /// Whether its socket takes datagrams.
    pub(super) fn is_writable(&self, now: u64) -> bool {
        self.extra.as_ref().is_none_or(|extra| now >= extra.full_until)
    }

    /// Whether its application takes events.
    pub(super) fn is_listening(&self, now: u64) -> bool {
        self.extra.as_ref().is_none_or(|extra| now >= extra.slow_until)
    }
}

/// What most nodes do not have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) storage: Storage,
    /// Datagrams that wait for the process.
    pub(super) inbox: VecDeque<(Label, Box<[u8]>)>,
    /// Until when the process stalls.
    pub(super) paused_until: u64,
    /// Until when the process is busy with a datagram.
    pub(super) busy_until: u64,
    /// Until when the socket takes nothing.
    pub(super) full_until: u64,
    /// Until when the line is busy with what was sent.
    pub(super) line_until: u64,
    /// Until when the application takes nothing.
    pub(super) slow_until: u64,
    /// Delivered messages that the application is about to acknowledge.
    pub(super) done: Vec<MessageId>,
    /// What became durable while the process stalled.
    pub(super) persisted: Option<PersistSeq>,
}

/// Hashes of all that went into and came out of a node, in all its lives. One per stream, as the order *between* the
/// outputs of one drain is the driver's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    inputs: u64,
    datagrams: u64,
    events: u64,
    records: u64,
}

impl Trace {
    pub(super) fn input(&mut self, now: u64, kind: u64, bytes: &[u8]) {
        self.inputs = hash_bytes(hash([self.inputs, now, kind]), bytes);
    }

    pub(super) fn datagram(&mut self, now: u64, to: u64, bytes: &[u8]) {
        self.datagrams = hash_bytes(hash([self.datagrams, now, to]), bytes);
    }

    pub(super) fn event(&mut self, now: u64, bytes: &[u8]) {
        self.events = hash_bytes(hash([self.events, now]), bytes);
    }

    pub(super) fn record(&mut self, now: u64, bytes: &[u8]) {
        self.records = hash_bytes(hash([self.records, now]), bytes);
    }

    pub(super) const fn sum(&self) -> u64 {
        hash([self.inputs, self.datagrams, self.events, self.records])
    }
}
