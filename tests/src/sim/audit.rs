//! Now and then a core recounts all its tables.
//!
//! A contradiction is a panic of the core; here it becomes a step like any other, so that the seed and the time are told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gossip_core::Gossip;

use crate::sim::rng::mix;
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

impl<O: Observer> Simulation<O> {
    /// Lets the core of `node` recount itself, if it is its turn.
    pub(super) fn audit(&mut self, node: u32) {
        self.audit_by(node, Gossip::check_invariants);
    }

    fn audit_by(&mut self, node: u32, recount: impl Fn(&Gossip)) {
        let (every, state) = (u64::from(self.options.drive.audit_one_in), &self.nodes[node as usize]);
        let Some(gossip) = state.gossip.as_ref().filter(|_| every > 0 && mix(state.inputs).is_multiple_of(every))
        else {
            return;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| recount(gossip))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            self.step(node, What::Contradicts { why: text.unwrap_or_default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Drive, Options, Step};
    use gossip_core::{Config, NodeId};

    /// The contradictions that were seen.
    #[derive(Default)]
    struct Contradictions(Vec<String>);

    impl Observer for Contradictions {
        fn observe(&mut self, step: &Step<'_>) {
            if let What::Contradicts { why } = &step.what {
                self.0.push(why.clone());
            }
        }
    }

    /// What is seen of a core that recounts itself in this way.
    fn seen(audit_one_in: u32, recount: impl Fn(&Gossip)) -> Vec<String> {
        let options = Options { drive: Drive { audit_one_in, ..Drive::prompt() }, ..Options::new(1, 1) };
        let mut simulation = Simulation::new(options, |_| Config::local(NodeId(1)), Contradictions::default());
        simulation.start(0, false);
        simulation.audit_by(0, recount);
        simulation.observer.0
    }

    #[test]
    fn tells_of_a_contradiction_and_goes_on() {
        assert_eq!(seen(1, |_| panic!("a list of nothing")), ["a list of nothing"]);
        assert_eq!(seen(1, |gossip| panic!("node {} is two", gossip.id())), ["node 1 is two"]);
    }

    #[test]
    fn has_nothing_against_a_core_that_agrees_with_itself_or_is_not_asked() {
        assert_eq!(seen(1, Gossip::check_invariants), [""; 0]);
        assert_eq!(seen(0, |_| panic!("a list of nothing")), [""; 0]);
    }
}
