//! Who submitted, delivered and was told what: what the rules look things up in.

use std::collections::HashMap;

use gossip_core::{Event, Incarnation, MessageId, NodeId, Order};

use crate::sim::rng::hash_bytes;
use crate::sim::{Step, What};

/// One life of an origin.
pub(super) type Origin = (NodeId, Incarnation);

/// The ledger of a run.
#[derive(Debug, Default)]
pub struct Book {
    /// What each life of an origin submitted: number `n` is at `n - 1`. A message in chunks has the place of its first one.
    pub(super) origins: HashMap<Origin, Vec<Submission>>,
    pub(super) nodes: Vec<NodeLife>,
    /// Submissions accepted.
    pub submitted: u64,
    /// Deliveries, own ones included.
    pub delivered: u64,
}

/// One message that was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission {
    pub(super) at: u64,
    pub(super) order: Order,
    /// The hash of the payload.
    pub(super) payload: u64,
    /// The sequence number of the fifo message before it, if any.
    pub(super) fifo_before: Option<u64>,
    /// A further chunk of the message before it.
    pub(super) is_part: bool,
}

/// The present life of a node.
#[derive(Debug, Default)]
pub(super) struct NodeLife {
    pub(super) id: Option<NodeId>,
    pub(super) up: bool,
    pub(super) leaving: bool,
    /// When it died, if it did.
    pub(super) died: Option<u64>,
    /// Whom this life has told to be down, and when last.
    pub(super) told_down: HashMap<NodeId, u64>,
    /// When this life heard of the first peer: from then on it is connected.
    pub(super) joined: Option<u64>,
    /// The incarnation that this life has now.
    pub(super) incarnation: Option<Incarnation>,
    /// Whether it is not the one that this life began with.
    pub(super) raised: bool,
    /// Under which incarnations this life has submitted.
    pub(super) submitted_as: Vec<Origin>,
    /// What it knows of each origin. Survives a restart from records.
    pub(super) seen: HashMap<Origin, Seen>,
}

/// What one node has seen of one life of an origin.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub(super) delivered: SeqSet,
    pub(super) told: SeqSet,
    /// The last fifo message delivered.
    pub(super) fifo_last: u64,
}

impl Book {
    /// What was submitted under this id.
    pub(super) fn submission(&self, id: MessageId) -> Option<&Submission> {
        let life = self.origins.get(&(id.origin, id.incarnation))?;
        life.get(usize::try_from(id.seq.checked_sub(1)?).ok()?).filter(|submission| !submission.is_part)
    }

    pub(super) fn seen(&self, node: u32, origin: Origin) -> Option<&Seen> {
        self.nodes.get(node as usize)?.seen.get(&origin)
    }

    /// Writes a step down.
    pub(super) fn write(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Born { id, incarnation, restored, redelivers, .. } => {
                let node = self.node(step.node);
                let seen = std::mem::take(&mut node.seen);
                *node = NodeLife { id: Some(*id), incarnation: Some(*incarnation), up: true, ..NodeLife::default() };
                if *restored {
                    node.seen = seen;
                    node.forget_what_is_not_stored(*redelivers);
                }
            }
            What::Crashed => {
                let node = self.node(step.node);
                (node.up, node.died) = (false, Some(step.at));
            }
            What::Raised { incarnation } => {
                let node = self.node(step.node);
                (node.incarnation, node.raised) = (Some(*incarnation), true);
            }
            What::Leaving => self.node(step.node).leaving = true,
            What::Submitted { id, last, order, payload } => self.submit(step, *id, *last, *order, payload),
            What::Delivered { id, order, .. } => {
                self.delivered += 1;
                let seen = self.node(step.node).seen.entry((id.origin, id.incarnation)).or_default();
                seen.delivered.insert(id.seq);
                if *order == Order::Fifo {
                    seen.fifo_last = seen.fifo_last.max(id.seq);
                }
            }
            What::Told(Event::Gap { origin, incarnation, first, last }) => {
                let end = self.origins.get(&(*origin, *incarnation)).map_or(0, |life| life.len() as u64);
                let seen = self.node(step.node).seen.entry((*origin, *incarnation)).or_default();
                // What was never submitted is the business of a rule; here it would only cost memory.
                for seq in *first..=(*last).min(end) {
                    seen.told.insert(seq);
                }
            }
            What::Told(Event::PeerUp { .. }) => {
                self.node(step.node).joined.get_or_insert(step.at);
            }
            What::Told(Event::PeerDown { node }) => {
                self.node(step.node).told_down.insert(*node, step.at);
            }
            _ => {}
        }
    }

    fn submit(&mut self, step: &Step<'_>, id: MessageId, last: u64, order: Order, payload: &[u8]) {
        self.submitted += 1;
        let origin = (id.origin, id.incarnation);
        let submitted_as = &mut self.node(step.node).submitted_as;
        if submitted_as.last() != Some(&origin) {
            submitted_as.push(origin);
        }
        let life = self.origins.entry(origin).or_default();
        let is_fifo = |before: &Submission| before.order == Order::Fifo && !before.is_part;
        let fifo_before = life.iter().rposition(is_fifo).map(|i| i as u64 + 1);
        let submission =
            Submission { at: step.at, order, payload: hash_bytes(0, payload), fifo_before, is_part: false };
        life.push(submission);
        life.extend((id.seq..last).map(|_| Submission { is_part: true, ..submission }));
    }

    fn node(&mut self, node: u32) -> &mut NodeLife {
        let index = node as usize;
        if self.nodes.len() <= index {
            self.nodes.resize_with(index + 1, NodeLife::default);
        }
        &mut self.nodes[index]
    }
}

impl NodeLife {
    /// A delivery waits for its record, so a restored node remembers it, unless it is told to deliver again. A gap waits
    /// for nothing: a restored node may tell it again, or get the message after all.
    fn forget_what_is_not_stored(&mut self, redelivers: bool) {
        for seen in self.seen.values_mut() {
            seen.told = SeqSet::default();
            if redelivers {
                seen.delivered = SeqSet::default();
                seen.fifo_last = 0;
            }
        }
    }
}

/// A set of sequence numbers, which start at 1 and are dense.
#[derive(Clone, Debug, Default)]
pub(super) struct SeqSet(Vec<u64>);

impl SeqSet {
    pub(super) fn insert(&mut self, seq: u64) {
        let word = (seq / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (seq % 64);
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        self.0.get((seq / 64) as usize).is_some_and(|word| word & 1 << (seq % 64) != 0)
    }
}
