//! Laws 1, 3 and 4 by comparison: runs of one plan that must not differ, whatever the driver does differently.
//!
//! One twin repeats the run (determinism). One polls the outputs in another order (drain order). One ticks after every input,
//! due or not: if the core acts on a needless tick, a deadline was lost.

use crate::chaos::plan::Plan;
use crate::chaos::run::{Outcome, run};
use crate::check::Violation;
use crate::sim::{Drive, Order, Stream};

/// Runs `plan` in four ways, with the law 7 check in the first one. Returns the first run's outcome, with each law that
/// a twin broke among its violations.
#[must_use]
pub fn differing(plan: &Plan) -> Outcome {
    let with = |drive: Drive| {
        let mut plan = plan.clone();
        plan.world.drive = drive;
        run(&plan)
    };
    let base = &plan.world.drive;
    let backwards = Order::Fixed([Stream::Datagrams, Stream::Events, Stream::Records]);
    let mut outcome = with(Drive { repeat_one_in: 50, ..base.clone() });
    let twins = [
        ("law 1, determinism", base.clone()),
        ("law 4, drain order", Drive { order: backwards, ..base.clone() }),
        ("law 4, drain order", Drive { order: Order::Shuffled, ..base.clone() }),
        ("law 3, no lost deadline", Drive { tick_after_input: true, ..base.clone() }),
    ];
    for (rule, drive) in twins {
        let twin = with(drive);
        if twin.trace_hash != outcome.trace_hash {
            let text = format!("trace hash {:016x} became {:016x}", outcome.trace_hash, twin.trace_hash);
            outcome.violations += 1;
            outcome.found.push(Violation { at: 0, node: 0, rule, text });
        }
    }
    outcome
}
