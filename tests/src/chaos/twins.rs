//! Laws 1, 3 and 4 by comparison: runs of one plan that must not differ, whatever the driver does differently.
//!
//! One twin repeats the run (determinism). One polls the outputs in another order (drain order). One ticks after every input,
//! due or not: if the core acts on a needless tick, a deadline was lost.

use crate::chaos::plan::Plan;
use crate::chaos::run::safety;
use crate::check::{Checks, Violation};
use crate::sim::{Order, Stream};

/// A way to drive the nodes of a plan that must not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// As the plan says.
    Same,
    /// Datagrams first, records last.
    Backwards,
    /// One output at a time, of a kind drawn anew.
    Shuffled,
    /// A tick after every input.
    Ticked,
}

impl Twin {
    /// All twins, with the law that each one tests.
    pub const ALL: [(Self, &str); 4] = [
        (Self::Same, "law 1, determinism"),
        (Self::Backwards, "law 4, drain order"),
        (Self::Shuffled, "law 4, drain order"),
        (Self::Ticked, "law 3, no lost deadline"),
    ];

    /// The plan, driven in this way.
    ///
    /// Ticks are never late here: where they are, one that comes after an input may rightly do what a late one has not
    /// done yet.
    #[must_use]
    pub fn of(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let drive = &mut plan.world.drive;
        if let Some(late) = &mut drive.late {
            late.tick_delay = 0;
        }
        match self {
            Self::Same => {}
            Self::Backwards => drive.order = Order::Fixed([Stream::Datagrams, Stream::Events, Stream::Records]),
            Self::Shuffled => drive.order = Order::Shuffled,
            Self::Ticked => drive.tick_after_input = true,
        }
        plan
    }
}

/// How many datagrams there are for one that is repeated.
const REPEAT_ONE_IN: u32 = 50;

/// How many inputs there are for one after which the core recounts itself.
const AUDIT_ONE_IN: u32 = 20;

/// Runs the safety phase of `plan`, with law 7 and the core's own tables checked on the way, and then that of its twins. Returns what was found,
/// with each law that a twin broke.
#[must_use]
pub fn differing(plan: &Plan, twins: &[(Twin, &'static str)]) -> Checks {
    let mut repeating = Twin::Same.of(plan);
    repeating.world.drive.repeat_one_in = REPEAT_ONE_IN;
    repeating.world.drive.audit_one_in = AUDIT_ONE_IN;
    let (hash, mut checks) = safety(&repeating, Checks::default());
    compare(plan, twins, hash, &mut checks, |plan| safety(plan, ()).0);
    checks
}

/// Reports each law whose twin of `plan` leaves another hash than `hash`.
fn compare(
    plan: &Plan,
    twins: &[(Twin, &'static str)],
    hash: u64,
    checks: &mut Checks,
    mut run: impl FnMut(&Plan) -> u64,
) {
    for (twin, rule) in twins {
        let other = run(&twin.of(plan));
        if other != hash {
            let text = format!("trace hash {hash:016x} became {other:016x}");
            checks.report(Violation { at: 0, node: 0, rule, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Request;
    use crate::sim::rng::Chance;

    /// The laws that are found broken where some runs are spoiled: they lose datagrams that the others do not lose.
    fn broken(spoiled: impl Fn(usize, &Plan) -> bool) -> Vec<&'static str> {
        let mut plan = Plan::draw(3, Request { nodes_min: 3, nodes_max: 3, seconds: 3 });
        plan.world.weather.loss = Chance::NEVER;
        let (hash, ()) = safety(&Twin::Same.of(&plan), ());
        let (mut checks, mut runs) = (Checks::default(), 0);
        compare(&plan, &Twin::ALL, hash, &mut checks, |plan| {
            runs += 1;
            let mut plan = plan.clone();
            if spoiled(runs, &plan) {
                plan.world.weather.loss = Chance::of(0.05);
            }
            safety(&plan, ()).0
        });
        checks.found.iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn objects_to_a_run_that_is_not_the_same_again() {
        assert_eq!(broken(|run, _| run == 1), ["law 1, determinism"]);
    }

    #[test]
    fn objects_to_outputs_that_depend_on_the_order_of_polls() {
        let backwards = Order::Fixed([Stream::Datagrams, Stream::Events, Stream::Records]);
        assert_eq!(broken(|_, plan| plan.world.drive.order == backwards), ["law 4, drain order"]);
        assert_eq!(broken(|run, plan| run == 3 && plan.world.drive.order == Order::Shuffled), ["law 4, drain order"]);
    }

    #[test]
    fn objects_to_a_needless_tick_that_does_something() {
        assert_eq!(broken(|_, plan| plan.world.drive.tick_after_input), ["law 3, no lost deadline"]);
    }

    #[test]
    fn has_nothing_against_runs_that_are_the_same() {
        assert_eq!(broken(|_, _| false), [""; 0]);
    }
}
