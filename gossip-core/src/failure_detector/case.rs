//! The table of cases: what is known about each node in doubt, and when something is to be done about it.

use core::net::SocketAddr;

use super::burst::Burst;
use super::certificate::Lead;
use super::witness::Inquirer;
use crate::ids::{Incarnation, NodeId};
use crate::peer::PeerIdx;
use crate::storage::{Bits, Deadlines, Slots};
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Probing,
    Deaf,
    Suspect,
}

/// What is known about one node in doubt.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) address: SocketAddr,
    pub(super) link: Option<PeerIdx>,
    /// This node misses the subject itself; otherwise it only looks because it was asked or told.
    pub(super) own: bool,
    /// What the table of somebody says about the subject; 0 for nothing.
    pub(super) accused: u32,
    pub(super) stage: Stage,
    pub(super) burst: Burst,
    /// When the burst began.
    pub(super) began: Instant,
    /// When it was first suspected; never until then.
    pub(super) since: Instant,
    /// When a suspect is probed again.
    pub(super) probe_at: Instant,
    /// When somebody last asked; never if nobody did.
    pub(super) asked_at: Instant,
    pub(super) inquirers: heapless::Vec<Inquirer, 4>,
    pub(super) lead: Option<Lead>,
}

/// All cases.
#[derive(Clone, Debug)]
pub(super) struct Cases {
    pub(super) rows: Slots<Case>,
    pub(super) deadlines: Deadlines,
    /// Cases without a link that owe a probe.
    pub(super) open: Bits,
    /// How many have no link.
    others: usize,
    others_max: usize,
}

impl Cases {
    pub(super) fn new(links: usize) -> Self {
        let capacity = 3 * links;
        let (rows, deadlines) = (Slots::new(capacity), Deadlines::new(capacity));
        Self { rows, deadlines, open: Bits::new(capacity), others: 0, others_max: 2 * links }
    }

    pub(super) const fn heap_bytes(links: usize) -> usize {
        let capacity = 3 * links;
        Slots::<Case>::heap_bytes(capacity) + Deadlines::heap_bytes(capacity) + Bits::heap_bytes(capacity)
    }

    pub(super) fn find(&self, fits: impl Fn(&Case) -> bool) -> Option<u32> {
        self.rows.iter().find(|(_, case)| fits(case)).map(|(row, _)| row)
    }

    pub(super) const fn has_room(&self) -> bool {
        self.others < self.others_max
    }

    pub(super) fn insert(&mut self, case: Case) -> Option<u32> {
        let is_other = case.link.is_none();
        if is_other && !self.has_room() {
            return None;
        }
        self.others += usize::from(is_other);
        self.rows.insert(case).ok()
    }

    pub(super) fn remove(&mut self, row: u32) -> Option<Case> {
        let case = self.rows.remove(row)?;
        self.others -= usize::from(case.link.is_none());
        self.deadlines.set(row as usize, Instant::NEVER);
        self.open.clear(row as usize);
        Some(case)
    }
}

#[cfg(any(test, feature = "__internals"))]
impl Cases {
    /// Panics where a node has two cases, one without a link is not counted, or a timer runs for nothing.
    pub(super) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.deadlines.check_invariants();
        self.open.check_invariants();
        let others = self.rows.iter().filter(|(_, case)| case.link.is_none()).count();
        assert_eq!(others, self.others, "cases without a link");
        for (row, case) in self.rows.iter() {
            assert_eq!(self.find(|other| other.node == case.node), Some(row), "node {} has two cases", case.node);
            let owes = case.link.is_none() && case.burst.owed().is_some();
            assert!(!owes || self.open.contains(row as usize), "a probe is owed without a mark, {case:?}");
        }
        for row in 0..self.rows.capacity() {
            let is_case = self.rows.get(row as u32).is_some();
            let is_marked = self.deadlines.get(row) != Instant::NEVER || self.open.contains(row);
            assert!(is_case || !is_marked, "a timer or a mark for no case");
        }
    }
}
