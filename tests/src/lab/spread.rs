//! How messages spread: who got which message, when, over how many links, and what was sent meanwhile.

use std::collections::HashMap;
use std::ops::Range;

use gossip_core::{Event, Incarnation, MessageId, NodeId};

use crate::lab::traffic::{Traffic, classify};
use crate::sim::{Observer, Step, What};

/// How long a node that takes the place of another one has to join before messages count at it, in microseconds.
const JOINING: u64 = 5_000_000;
/// No time.
const NEVER: u64 = u64::MAX;

/// Measures the spread of messages.
#[derive(Debug)]
pub(super) struct Spread {
    nodes: u32,
    /// Whether messages and datagrams count now.
    pub(super) measuring: bool,
    messages: Vec<Message>,
    index: HashMap<MessageId, usize>,
    /// The measured messages of each life of an origin, for gaps: they name ranges.
    origins: HashMap<(NodeId, Incarnation), Vec<usize>>,
    /// From when on each node counts: messages that were submitted before are none of its business, and no message is where
    /// nobody lives.
    member_from: Vec<u64>,
    /// What was sent while measuring.
    pub(super) traffic: Traffic,
    /// Copies of measured messages that were sent.
    pub(super) copies: u64,
    /// Measured messages that a node delivered more than once.
    pub(super) duplicates: u64,
    /// Datagrams whose frames do not parse.
    pub(super) unreadable: u64,
    /// Ticks after which a core wanted another at once, and drains without end: law 2 is broken, and time wasted.
    pub(super) spins: u64,
}

/// One measured message.
#[derive(Debug)]
struct Message {
    origin: u32,
    seq: u64,
    submitted: u64,
    hops: u8,
    /// From submission to delivery at each node, in microseconds, in the order of delivery; the own one apart.
    latencies: Vec<u32>,
    /// Who delivered it.
    delivered: Bits,
    /// Who was told that it is lost.
    told: Bits,
}

impl Spread {
    pub(super) fn new(nodes: u32) -> Self {
        Self {
            nodes,
            measuring: false,
            messages: Vec::new(),
            index: HashMap::new(),
            origins: HashMap::new(),
            member_from: vec![0; nodes as usize],
            traffic: Traffic::new(nodes),
            copies: 0,
            duplicates: 0,
            unreadable: 0,
            spins: 0,
        }
    }

    /// How many messages are measured.
    pub(super) const fn messages(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Whether a node is up and has had the time to join.
    pub(super) fn is_member(&self, node: u32, now: u64) -> bool {
        self.member_from[node as usize] <= now
    }

    /// Whether a node has to get a message: both it and the origin were there in time, and stayed.
    fn owes(&self, message: &Message, node: u32) -> bool {
        [message.origin, node].iter().all(|&of| self.is_member(of, message.submitted))
    }

    /// Pairs of a live node and a message of a live origin, where the message neither was delivered nor is known to be
    /// lost.
    pub(super) fn missed(&self) -> u64 {
        self.missed_of(|_| true)
    }

    /// Of such pairs, those whose node was told that the message is lost, and never got it: not missed, but not delivered.
    pub(super) fn gapped(&self) -> u64 {
        self.pairs(|_| true, |message, node| message.told.has(node) && !message.delivered.has(node))
    }

    /// The same, of the messages submitted before `time` only.
    pub(super) fn missed_before(&self, time: u64) -> u64 {
        self.missed_of(|message| message.submitted < time)
    }

    fn missed_of(&self, which: impl Fn(&Message) -> bool) -> u64 {
        self.pairs(which, |message, node| !message.delivered.has(node) && !message.told.has(node))
    }

    /// How many live nodes `count`, summed over the messages of live origins that are asked for.
    fn pairs(&self, which: impl Fn(&Message) -> bool, count: impl Fn(&Message, u32) -> bool) -> u64 {
        let nodes = |message: &Message| {
            (0..self.nodes).filter(|&node| count(message, node) && self.owes(message, node)).count()
        };
        self.messages.iter().filter(|message| which(message)).map(|message| nodes(message) as u64).sum()
    }

    /// Of all pairs of a message among `which` (counted from 0, in the order of submission) and a live node, the share
    /// where the node delivered the message.
    pub(super) fn reliability(&self, which: Range<usize>) -> Option<f64> {
        let live: Vec<u32> = (0..self.nodes).filter(|&node| self.member_from[node as usize] < NEVER).collect();
        let messages = self.messages.get(which)?;
        let delivered = |message: &Message| live.iter().filter(|&&node| message.delivered.has(node)).count();
        let pairs = messages.len() * live.len();
        (pairs > 0).then(|| messages.iter().map(delivered).sum::<usize>() as f64 / pairs as f64)
    }

    /// Messages that somebody delivered, each node counted, own deliveries apart.
    pub(super) fn deliveries(&self) -> u64 {
        self.messages.iter().map(|message| message.latencies.len() as u64).sum()
    }

    /// All latencies, in order, in microseconds.
    pub(super) fn latencies(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.messages.iter().flat_map(|message| message.latencies.iter().copied()).collect();
        all.sort_unstable();
        all
    }

    /// The time from `began` to each delivery, in order, in microseconds.
    pub(super) fn since(&self, began: u64) -> Vec<u64> {
        let late = |message: &Message| message.submitted.saturating_sub(began);
        let of = |message: &Message| {
            let late = late(message);
            message.latencies.iter().map(move |&latency| late + u64::from(latency)).collect::<Vec<_>>()
        };
        let mut all: Vec<u64> = self.messages.iter().flat_map(of).collect();
        all.sort_unstable();
        all
    }

    /// The `part` quantile of the latencies, in milliseconds.
    pub(super) fn quantile_ms(&self, part: f64) -> Option<f64> {
        let sorted = self.latencies();
        let rank = ((sorted.len() as f64 * part) as usize).min(sorted.len().checked_sub(1)?);
        Some(f64::from(sorted[rank]) / 1e3)
    }

    /// The time from submission until so large a share of the other nodes had one message, in milliseconds; none where fewer
    /// have it. Messages are counted from 0, in the order of submission.
    pub(super) fn reached_ms(&self, message: u64, share: f64) -> Option<f64> {
        let message = self.messages.get(message as usize)?;
        let rank = ((self.nodes_but_one() * share).ceil() as usize).max(1);
        message.latencies.get(rank - 1).map(|&latency| f64::from(latency) / 1e3)
    }

    /// When the last node had a message, mean over messages, in milliseconds.
    pub(super) fn last_ms(&self) -> Option<f64> {
        self.mean(|message| message.latencies.last().map_or(0.0, |&last| f64::from(last) / 1e3))
    }

    /// The longest that anybody waited for any message, in milliseconds.
    pub(super) fn worst_ms(&self) -> Option<f64> {
        let last = |message: &Message| message.latencies.last().copied();
        self.messages.iter().filter_map(last).max().map(|last| f64::from(last) / 1e3)
    }

    /// The most links that a message crossed to reach anybody, mean over messages.
    pub(super) fn ldh(&self) -> Option<f64> {
        self.mean(|message| f64::from(message.hops))
    }

    fn mean(&self, of: impl Fn(&Message) -> f64) -> Option<f64> {
        let sum: f64 = self.messages.iter().map(of).sum();
        (!self.messages.is_empty()).then(|| sum / self.messages.len() as f64)
    }

    /// How many nodes a message has to reach.
    pub(super) fn nodes_but_one(&self) -> f64 {
        f64::from(self.nodes.saturating_sub(1))
    }

    /// Payload copies sent per message and other node, beyond the one that is needed.
    pub(super) fn rmr(&self) -> Option<f64> {
        let needed = self.messages() as f64 * self.nodes_but_one();
        (needed > 0.0).then(|| self.copies as f64 / needed - 1.0)
    }

    pub(super) fn submitted(&mut self, at: u64, node: u32, id: MessageId) {
        let bits = || Bits::new(self.nodes);
        let (delivered, told) = (bits(), bits());
        self.index.insert(id, self.messages.len());
        self.origins.entry((id.origin, id.incarnation)).or_default().push(self.messages.len());
        let (seq, submitted) = (id.seq, at);
        self.messages.push(Message { origin: node, seq, submitted, hops: 0, latencies: Vec::new(), delivered, told });
    }

    /// A copy of a message was sent.
    pub(super) fn copied(&mut self, id: MessageId) {
        self.copies += u64::from(self.index.contains_key(&id));
    }

    pub(super) fn delivered(&mut self, at: u64, node: u32, id: MessageId, hops: u8) {
        let Some(&index) = self.index.get(&id) else { return };
        if !self.is_member(node, self.messages[index].submitted) {
            return;
        }
        let message = &mut self.messages[index];
        if message.delivered.set(node) {
            self.duplicates += 1;
        } else if node != message.origin {
            message.hops = message.hops.max(hops);
            message.latencies.push(u32::try_from(at - message.submitted).unwrap_or(u32::MAX));
        }
    }
}

impl Observer for Spread {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Submitted { id, .. } if self.measuring => self.submitted(step.at, step.node, *id),
            What::Delivered { id, hops, .. } => self.delivered(step.at, step.node, *id, *hops),
            What::Told(Event::Gap { origin, incarnation, first, last }) => {
                for &index in self.origins.get(&(*origin, *incarnation)).into_iter().flatten() {
                    let message = &mut self.messages[index];
                    if (*first..=*last).contains(&message.seq) {
                        message.told.set(step.node);
                    }
                }
            }
            What::Spun { .. } | What::Endless => self.spins += 1,
            What::Crashed => self.member_from[step.node as usize] = NEVER,
            What::Born { .. } if self.member_from[step.node as usize] == NEVER => {
                self.member_from[step.node as usize] = step.at + JOINING;
            }
            What::Sent { datagram, .. } if !self.index.is_empty() => {
                let (index, copies) = (&self.index, &mut self.copies);
                let class = classify(datagram, |id| *copies += u64::from(index.contains_key(&id)));
                self.unreadable += u64::from(class.is_none());
                if let Some(class) = class.filter(|_| self.measuring) {
                    self.traffic.count(step.node, class, datagram);
                }
            }
            _ => {}
        }
    }
}

/// A set of nodes.
#[derive(Clone, Debug)]
struct Bits(Box<[u64]>);

impl Bits {
    fn new(nodes: u32) -> Self {
        Self(vec![0; (nodes as usize).div_ceil(64)].into())
    }

    const fn has(&self, node: u32) -> bool {
        self.0[node as usize / 64] & 1 << (node % 64) != 0
    }

    /// Puts `node` in; whether it was in.
    const fn set(&mut self, node: u32) -> bool {
        let was = self.has(node);
        self.0[node as usize / 64] |= 1 << (node % 64);
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::Order;

    const fn id(seq: u64) -> MessageId {
        MessageId { origin: NodeId(9), incarnation: Incarnation(1), seq }
    }

    #[test]
    fn counts_what_is_missed_repeated_and_told() {
        let mut spread = Spread::new(3);
        let at = |spread: &mut Spread, at, node, what| spread.observe(&Step { at, node, what });
        let submit = |seq| What::Submitted { id: id(seq), last: seq, order: Order::Unordered, payload: &[] };
        let deliver = |seq, hops| What::Delivered { id: id(seq), order: Order::Unordered, payload: &[], hops };
        at(&mut spread, 0, 0, submit(1));
        spread.measuring = true;
        at(&mut spread, 1_000, 0, submit(2));
        at(&mut spread, 1_000, 0, deliver(2, 0));
        assert_eq!(spread.missed(), 2);
        at(&mut spread, 3_000, 1, deliver(2, 1));
        at(&mut spread, 9_000, 2, deliver(2, 3));
        at(&mut spread, 9_500, 2, deliver(2, 3));
        assert_eq!((spread.missed(), spread.duplicates, spread.deliveries()), (0, 1, 2));
        assert_eq!((spread.last_ms(), spread.ldh(), spread.quantile_ms(0.5)), (Some(8.0), Some(3.0), Some(8.0)));
        at(&mut spread, 10_000, 0, submit(3));
        at(&mut spread, 11_000, 0, deliver(3, 0));
        let gap = Event::Gap { origin: NodeId(9), incarnation: Incarnation(1), first: 3, last: 7 };
        at(&mut spread, 12_000, 1, What::Told(&gap));
        assert_eq!((spread.missed(), spread.missed_before(10_000), spread.gapped()), (1, 0, 1));
        assert_eq!((spread.reliability(0..2), spread.reliability(0..1)), (Some(4.0 / 6.0), Some(1.0)));
        assert_eq!(
            (spread.reached_ms(0, 1.0), spread.reached_ms(0, 0.5), spread.reached_ms(1, 0.5)),
            (Some(8.0), Some(2.0), None)
        );
        at(&mut spread, 12_000, 2, What::Crashed);
        assert_eq!(spread.missed(), 0, "the dead miss nothing");
        at(&mut spread, 13_000, 1, deliver(3, 1));
        assert_eq!(spread.gapped(), 0, "what comes after all is delivered");
        let born = || What::Born {
            id: NodeId(77),
            incarnation: Incarnation(1),
            restored: false,
            durable: false,
            redelivers: false,
        };
        at(&mut spread, 14_000, 2, born());
        at(&mut spread, 14_000 + JOINING - 1, 0, submit(4));
        at(&mut spread, 14_000 + JOINING, 0, submit(5));
        assert!(!spread.is_member(2, 14_000 + JOINING - 1) && spread.is_member(2, 14_000 + JOINING));
        at(&mut spread, 14_000 + JOINING, 2, deliver(4, 9));
        at(&mut spread, 14_000 + JOINING, 2, deliver(2, 9));
        // Nodes 0 and 1 lack two messages, the newcomer one: what it got of the past does not count, nor is it a duplicate.
        assert_eq!((spread.missed(), spread.duplicates, spread.deliveries()), (5, 1, 3));
        at(&mut spread, 15_000 + JOINING, 0, What::Crashed);
        assert_eq!(spread.missed(), 0, "of the dead nobody misses anything");
    }
}
