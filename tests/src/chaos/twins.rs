//! Laws 1, 3 and 4 by comparison: runs of one plan that must not differ, whatever the driver does differently.
//!
//! One twin repeats the run (determinism). One polls the outputs in another order (drain order). One ticks after every input,
//! due or not: if the core acts on a needless tick, a deadline was lost.

use crate::chaos::plan::Plan;
use crate::chaos::run::{Outcome, run};
use crate::check::Violation;
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
    #[must_use]
    pub fn of(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let drive = &mut plan.world.drive;
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

/// Runs `plan` with law 7 checked on the way, and then all its twins. Returns the first run's outcome, with each law that
/// a twin broke among its violations.
///
/// Ticks are never late here: where they are, one that comes after an input may rightly do what a late one has not done
/// yet.
#[must_use]
pub fn differing(plan: &Plan) -> Outcome {
    let mut plan = plan.clone();
    if let Some(late) = &mut plan.world.drive.late {
        late.tick_delay = 0;
    }
    let plan = &plan;
    let mut repeating = plan.clone();
    repeating.world.drive.repeat_one_in = REPEAT_ONE_IN;
    let mut outcome = run(&repeating);
    for (twin, rule) in Twin::ALL {
        let other = run(&twin.of(plan));
        if other.trace_hash != outcome.trace_hash {
            let text = format!("trace hash {:016x} became {:016x}", outcome.trace_hash, other.trace_hash);
            outcome.violations += 1;
            outcome.found.push(Violation { at: 0, node: 0, rule, text });
        }
    }
    outcome
}
