//! What was found in all runs of one variant.

use crate::lab::report::Value;
use crate::lab::tally::{Interval, Tally};

use super::paper::{NODES, Row};

/// What became of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Cascade {
    /// Nodes that heard, by the cycle in which they did: the origin in cycle 0.
    pub(super) heard: Vec<u32>,
    pub(super) copies: u64,
}

/// Sums over messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) nodes: u32,
    pub(super) missed: Tally,
    pub(super) traffic: Tally,
    pub(super) t_last: Tally,
    pub(super) t_ave: Tally,
    /// Nodes that heard in each cycle, summed over runs.
    pub(super) heard: Vec<u64>,
}

impl Found {
    pub(super) fn new(nodes: u32) -> Self {
        Self { nodes, ..Self::default() }
    }

    pub(super) fn note(&mut self, cascade: &Cascade) {
        let (nodes, heard) = (f64::from(self.nodes), &cascade.heard);
        let reached = f64::from(heard.iter().sum::<u32>());
        let cycles = heard.iter().enumerate().map(|(cycle, &count)| cycle as f64 * f64::from(count));
        self.missed.add(nodes - reached);
        self.traffic.add(cascade.copies as f64 / nodes);
        self.t_last.add(heard.len().saturating_sub(1) as f64);
        self.t_ave.add(cycles.sum::<f64>() / reached);
        self.heard.resize(self.heard.len().max(heard.len()), 0);
        for (sum, &count) in self.heard.iter_mut().zip(heard) {
            *sum += u64::from(count);
        }
    }

    /// The share of nodes that never heard.
    pub(super) fn residue(&self) -> Interval {
        self.missed.interval_of_counts().map(|misses| misses / f64::from(self.nodes))
    }

    pub(super) fn node_trials(&self) -> u64 {
        u64::from(self.nodes) * self.missed.runs()
    }

    /// Whether residue, traffic and t_last are what the paper says: within 5 % where it expects at least one miss in a run, else in our
    /// interval. Only where the number of nodes is the paper's.
    pub(super) fn met(&self, row: &Row) -> Option<[bool; 3]> {
        let often = is_often(row);
        let found = [self.residue(), self.traffic.interval(), self.t_last.interval()];
        let met =
            |i: usize| if often { found[i].is_near(row.figures[i], 0.05) } else { found[i].contains(row.figures[i]) };
        (self.nodes == NODES).then(|| [met(0), met(1), met(2)])
    }

    /// The share of nodes that have heard, over cycles.
    pub(super) fn coverage(&self) -> Vec<(f64, f64)> {
        let (mut sum, all) = (0, self.node_trials() as f64);
        let shares = self.heard.iter().enumerate().map(|(cycle, &count)| {
            sum += count;
            (cycle as f64, sum as f64 / all)
        });
        shares.collect()
    }
}

/// Whether the paper expects at least one miss in a run.
pub(super) fn is_often(row: &Row) -> bool {
    row.figures[0] * f64::from(NODES) >= 1.0
}

/// A measure that is there.
pub(super) const fn measure(value: f64) -> Value {
    Value::Measure(Some(value))
}
