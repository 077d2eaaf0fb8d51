//! Now and then a core recounts all its tables.
//!
//! A contradiction is a panic of the core; here it becomes a step like any other, so that the seed and the time are told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sim::rng::mix;
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

impl<O: Observer> Simulation<O> {
    /// Lets the core of `node` recount itself, if it is its turn.
    pub(super) fn audit(&mut self, node: u32) {
        let (every, state) = (u64::from(self.options.drive.audit_one_in), &self.nodes[node as usize]);
        let Some(gossip) = state.gossip.as_ref().filter(|_| every > 0 && mix(state.inputs).is_multiple_of(every))
        else {
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gossip.check_invariants())) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            self.step(node, What::Contradicts { why: text.unwrap_or_default() });
        }
    }
}
