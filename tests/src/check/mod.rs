//! Checkers: the delivery contract and the laws, on every simulated run.
//!
//! A checker knows only the steps that a run consists of. The [`Book`] remembers who submitted, delivered and was told
//! what; a rule looks at one step in its light *before* it is written down, and says what is wrong with it. Two things
//! can only be judged at the end: whether all was delivered or told, and whether all registers agree; they answer with what
//! is still missing, and a run waits for them to be content, for as long as it promised to take.
//!
//! Each rule lives in a file of its own, with a hand-made history that it must object to and the nearest legal one that
//! it must not.

mod all_or_told;
mod at_most_once;
mod book;
mod converged;
mod deaths;
mod fifo;
mod gaps;
mod heal;
mod integrity;
mod laws;
mod registers;
mod tree;

use std::fmt;

pub use all_or_told::missing;
pub use book::{Book, Seen};
pub use converged::{Links, unlinked};
pub use heal::Healing;
pub use registers::Registers;
pub use tree::{Position, Trees, untreed, wasted};

use crate::sim::{Observer, Step};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in microseconds.
    pub at: u64,
    /// At which node.
    pub node: u32,
    /// Which rule is broken.
    pub rule: &'static str,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at node {}: {} broken: {}", self.at, self.node, self.rule, self.text)
    }
}

/// A rule that shows at one step: what is wrong with it, in the light of all before it.
type Rule = fn(&Book, &Step<'_>) -> Option<String>;

const RULES: [(&str, Rule); 15] = [
    ("integrity", integrity::delivered_as_submitted),
    ("integrity", integrity::submitted_once),
    ("integrity", integrity::raised_once),
    ("at most once", at_most_once::delivered_again),
    ("gaps are true and final", gaps::wrong),
    ("gaps are justified", gaps::unjustified),
    ("fifo", fifo::overtaken),
    ("fifo", fifo::skipped),
    ("no resurrection", deaths::resurrected),
    ("law 2, no spin", laws::spins),
    ("law 6, size", laws::does_not_fit),
    ("law 6, parses", laws::does_not_parse),
    ("law 7, repeats", laws::repeat_matters),
    ("no contradiction", laws::contradicts),
    ("records make a node", laws::not_restored),
];

/// Of each rule, violations beyond this many are counted, not kept.
const KEPT_MAX: usize = 5;

/// All rules at once.
#[derive(Debug, Default)]
pub struct Checks {
    /// Who submitted, delivered and was told what.
    pub book: Book,
    /// Who set which register to what.
    pub registers: Registers,
    /// The first violations of each rule.
    pub found: Vec<Violation>,
    /// How many there were.
    pub count: u64,
}

impl Checks {
    /// Adds a violation that a rule outside the steps has found.
    pub fn report(&mut self, violation: Violation) {
        self.count += 1;
        if self.found.iter().filter(|kept| kept.rule == violation.rule).count() < KEPT_MAX {
            self.found.push(violation);
        }
    }
}

impl Observer for Checks {
    fn observe(&mut self, step: &Step<'_>) {
        let violation = |rule, text| Violation { at: step.at, node: step.node, rule, text };
        for (rule, broken) in RULES {
            if let Some(text) = broken(&self.book, step) {
                self.report(violation(rule, text));
            }
        }
        self.book.write(step);
        if let Some(text) = self.registers.write(step) {
            self.report(violation("registers", text));
        }
    }
}

/// Hand-made histories.
#[cfg(test)]
mod history {
    use std::ops::RangeInclusive;

    use super::Checks;
    use crate::sim::{Observer, Step, What};
    use gossip_core::{Event, Incarnation, MessageId, NodeId, Order};

    /// A history under check: node `n` has id `n + 1`, and its life `l` has incarnation `l`.
    #[derive(Default)]
    pub(super) struct History {
        pub(super) checks: Checks,
        at: u64,
    }

    pub(super) const fn id(node: u32, life: u64, seq: u64) -> MessageId {
        MessageId { origin: NodeId(node as u64 + 1), incarnation: Incarnation(life), seq }
    }

    impl History {
        pub(super) fn then(mut self, node: u32, what: What<'_>) -> Self {
            self.at += 1_000;
            self.checks.observe(&Step { at: self.at, node, what });
            self
        }

        pub(super) fn wait(mut self, micros: u64) -> Self {
            self.at += micros;
            self
        }

        /// Two nodes that know each other.
        pub(super) fn two() -> Self {
            Self::default().born(0, 1, false).born(1, 1, false).up(0, 1).up(1, 0)
        }

        pub(super) fn born(self, node: u32, life: u64, restored: bool) -> Self {
            let id = NodeId(u64::from(node) + 1);
            self.then(
                node,
                What::Born { id, incarnation: Incarnation(life), restored, durable: restored, redelivers: false },
            )
        }

        pub(super) fn up(self, node: u32, peer: u32) -> Self {
            let address = crate::sim::address(peer, 0);
            self.then(node, What::Told(&Event::PeerUp { node: NodeId(u64::from(peer) + 1), address }))
        }

        pub(super) fn submit(self, node: u32, life: u64, seq: u64, order: Order) -> Self {
            self.submit_chunks(node, life, seq..=seq, order)
        }

        pub(super) fn submit_chunks(self, node: u32, life: u64, seqs: RangeInclusive<u64>, order: Order) -> Self {
            let (first, last) = seqs.into_inner();
            self.then(node, What::Submitted { id: id(node, life, first), last, order, payload: &first.to_le_bytes() })
        }

        pub(super) fn deliver(self, node: u32, id: MessageId, order: Order) -> Self {
            self.then(node, What::Delivered { id, order, payload: &id.seq.to_le_bytes(), hops: 1 })
        }

        pub(super) fn gap(self, node: u32, of: MessageId, last: u64) -> Self {
            let gap = Event::Gap { origin: of.origin, incarnation: of.incarnation, first: of.seq, last };
            self.then(node, What::Told(&gap))
        }

        /// Which rules are broken, in the order of their first violation.
        pub(super) fn broken(&self) -> Vec<&'static str> {
            let mut rules: Vec<_> = self.checks.found.iter().map(|violation| violation.rule).collect();
            rules.dedup();
            rules
        }
    }
}
