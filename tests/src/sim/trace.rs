//! What happened, step by step: the one stream that checkers read, that measurements read, and that people read.
//!
//! A step says at which (real) time what happened at which node. Checkers are fed steps by the simulator, or by hand in
//! their tests: they know nothing else. [`Lines`] prints one line per step.

use std::fmt;
use std::io::Write;

use gossip_core::{Event, Incarnation, MessageId, NodeId, Order, PersistSeq, Reason, SubmitError, Timing, Version};

use crate::sim::fault::Fault;
use crate::sim::network::Fate;

/// One thing that happened.
#[derive(Debug)]
pub struct Step<'a> {
    /// When, in microseconds of real time.
    pub at: u64,
    /// At which node, by its place in the simulation.
    pub node: u32,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug)]
pub enum What<'a> {
    /// A life of the node began.
    Born {
        /// Its id.
        id: NodeId,
        /// Its incarnation.
        incarnation: Incarnation,
        /// Whether it began from stored records.
        restored: bool,
        /// Whether deliveries wait for storage.
        durable: bool,
        /// Whether a restart delivers again what was not acknowledged.
        redelivers: bool,
    },
    /// The life goes on under another incarnation.
    Raised {
        /// Which.
        incarnation: Incarnation,
    },
    /// The records of an earlier life were refused; the node stays down.
    NotRestored {
        /// Why.
        error: String,
    },
    /// The node's life ended without a word.
    Crashed,
    /// The process stalls until then.
    Paused {
        /// Until when, in microseconds.
        until: u64,
    },
    /// The process runs again.
    Resumed,
    /// Something else was done to the node.
    Suffered {
        /// What.
        fault: Fault,
    },
    /// A message was accepted.
    Submitted {
        /// Its id.
        id: MessageId,
        /// The number of its last chunk: that of its id, where it goes in one datagram.
        last: u64,
        /// Its order.
        order: Order,
        /// What was submitted.
        payload: &'a [u8],
    },
    /// A message or register change was refused.
    Refused {
        /// Why.
        error: SubmitError,
    },
    /// A register was set, or removed.
    Set {
        /// The key.
        key: &'a str,
        /// The version that the core gave it.
        version: Version,
        /// The value; none where it was removed.
        value: Option<&'a [u8]>,
    },
    /// The node was told to leave.
    Leaving,
    /// A datagram was composed and handed to the network.
    Sent {
        /// To whom; none where nobody ever had that address.
        to: Option<u32>,
        /// Its number among the datagrams of this node, from 1.
        number: u64,
        /// Its bytes.
        datagram: &'a [u8],
        /// The largest that the node may send.
        mtu: u16,
        /// What becomes of it.
        fate: &'a Fate,
    },
    /// A datagram was handed to the core.
    Received {
        /// From whom.
        from: u32,
        /// Its length.
        len: usize,
    },
    /// A datagram did not reach the core.
    Missed {
        /// From whom.
        from: u32,
        /// Why.
        why: Fault,
    },
    /// Time passed.
    Ticked {
        /// Why the core had asked for it.
        reason: Option<Reason>,
    },
    /// Records became durable.
    Persisted {
        /// Up to here.
        upto: PersistSeq,
    },
    /// A message was handed to the application.
    Delivered {
        /// Its id.
        id: MessageId,
        /// Its order.
        order: Order,
        /// What was delivered.
        payload: &'a [u8],
        /// How many links it crossed.
        hops: u8,
    },
    /// The application was told something else.
    Told(&'a Event),
    /// After a due tick and a full drain, the core wants another tick at once (law 2 is broken).
    Spun {
        /// Why the core wants it.
        reason: Option<Reason>,
    },
    /// A drain did not end (law 2 is broken).
    Endless,
    /// The core contradicts itself.
    Contradicts {
        /// What contradicts what.
        why: String,
    },
    /// A linked neighbor holds a message of which the node was just told that it is lost.
    Held {
        /// The message.
        id: MessageId,
        /// The neighbor.
        by: NodeId,
        /// For how long it has held it at least, in microseconds.
        micros: u64,
        /// By how much clocks were set forward so far, in all, in microseconds.
        ahead: u64,
        /// The pace of the node.
        timing: Timing,
    },
    /// A repeated datagram changed something (law 7 is broken).
    NotIdempotent {
        /// What it changed, and what frames it had where they can be read.
        why: String,
    },
}

/// Reads the steps of a run.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, step: &Step<'_>);
}

impl Observer for () {
    fn observe(&mut self, _: &Step<'_>) {}
}

impl<O: Observer> Observer for &mut O {
    fn observe(&mut self, step: &Step<'_>) {
        (**self).observe(step);
    }
}

impl<O: Observer> Observer for Option<O> {
    fn observe(&mut self, step: &Step<'_>) {
        if let Some(observer) = self {
            observer.observe(step);
        }
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, step: &Step<'_>) {
        self.0.observe(step);
        self.1.observe(step);
    }
}

/// Prints one line per step.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
}

/// What the columns and marks of [`Lines`] mean.
pub const LEGEND: &str = "\
# one line per step: time in microseconds, node, what, detail
#   born, crash, pause, resume, leave   the life of a node (pause: until when)
#   raised                              the life goes on under another incarnation: which
#   submit, deliver                     a message: id, order, bytes of payload (and links crossed)
#   set                                 a register: key, version, bytes of value
#   told                                any other event
#   refused                             a submit or set that was refused
#   >                                   a datagram sent: to, its number, bytes, what happens to it, when it arrives
#   <                                   a datagram received: from, bytes
#   missed                              a datagram that did not reach the core: from, why
#   tick                                time passed: why the core wanted it
#   stored                              records became durable: up to which
#   held                                a message told as lost is held by a linked neighbor: for how long
#   fault                               something else was done to the node
#   LAW                                 the core broke a law that shows at once";

impl<W: Write> Lines<W> {
    /// Prints to `out`, starting with the legend.
    pub fn new(mut out: W) -> Self {
        // A trace that cannot be written must not change the run: errors of the writer are ignored throughout.
        let _ = writeln!(out, "{LEGEND}");
        Self { out }
    }
}

impl<W: Write> Observer for Lines<W> {
    fn observe(&mut self, step: &Step<'_>) {
        let _ = writeln!(self.out, "{step}");
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} {:>7} ", self.at, self.node)?;
        match &self.what {
            What::Born { id, incarnation, restored, .. } => {
                let how = if *restored { "from records" } else { "empty" };
                write!(f, "born     {id} {incarnation} {how}")
            }
            What::Raised { incarnation } => write!(f, "raised   {incarnation}"),
            What::NotRestored { error } => write!(f, "LAW      records refused: {error}"),
            What::Crashed => write!(f, "crash"),
            What::Paused { until } => write!(f, "pause    {until}"),
            What::Resumed => write!(f, "resume"),
            What::Suffered { fault } => write!(f, "fault    {fault}"),
            What::Submitted { id, order, payload, .. } => write!(f, "submit   {id} {order:?} {}", payload.len()),
            What::Refused { error } => write!(f, "refused  {error}"),
            What::Set { key, version, value } => match value {
                Some(value) => write!(f, "set      {key} {version} {}", value.len()),
                None => write!(f, "set      {key} {version} removed"),
            },
            What::Leaving => write!(f, "leave"),
            What::Sent { to, number, datagram, fate, .. } => sent(f, *to, *number, datagram.len(), fate),
            What::Received { from, len } => write!(f, "<        {from} {len}"),
            What::Missed { from, why } => write!(f, "missed   {from} {why}"),
            What::Ticked { reason: Some(reason) } => write!(f, "tick     {reason}"),
            What::Ticked { reason: None } => write!(f, "tick     -"),
            What::Persisted { upto } => write!(f, "stored   {}", upto.0),
            What::Delivered { id, order, payload, hops } => {
                write!(f, "deliver  {id} {order:?} {} {hops}", payload.len())
            }
            What::Told(event) => write!(f, "told     {event:?}"),
            What::Spun { reason } => write!(f, "LAW      wants another tick at once: {reason:?}"),
            What::Endless => write!(f, "LAW      the drain does not end"),
            What::Contradicts { why } => write!(f, "LAW      the core contradicts itself: {why}"),
            What::Held { id, by, micros, .. } => write!(f, "held     {id} by {by} for {micros}"),
            What::NotIdempotent { why } => write!(f, "LAW      a repeated datagram {why}"),
        }
    }
}

fn sent(f: &mut fmt::Formatter<'_>, to: Option<u32>, number: u64, len: usize, fate: &Fate) -> fmt::Result {
    match to {
        Some(to) => write!(f, ">        {to} #{number} {len}")?,
        None => write!(f, ">        - #{number} {len}")?,
    }
    for fault in fate.faults() {
        write!(f, " {fault}")?;
    }
    for copy in fate.copies() {
        write!(f, " @{}", copy.at)?;
    }
    Ok(())
}
