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
    for (twin, rule) in twins {
        let (other, ()) = safety(&twin.of(plan), ());
        if other != hash {
            let text = format!("trace hash {hash:016x} became {other:016x}");
            checks.report(Violation { at: 0, node: 0, rule, text });
        }
    }
    checks
}
