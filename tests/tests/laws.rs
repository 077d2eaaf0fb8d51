//! The delivery contract and the laws on small clusters with everything switched on.

use gossip_tests::chaos::{Outcome, Plan, Request, Twin, differing, run};
use gossip_tests::sim::{Fault, Faults};

const SEEDS: std::ops::Range<u64> = 0..40;
const REQUEST: Request = Request { nodes_min: 2, nodes_max: 16, seconds: 6 };

/// Each seed in six ways: until all is healed, with law 7 checked on the way, again, in two other drain orders, and ticked
/// after every input.
#[test]
fn contract_and_laws_hold_whatever_happens() {
    let next = std::sync::atomic::AtomicU64::new(SEEDS.start);
    let outcomes = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= SEEDS.end {
                        return;
                    }
                    let plan = Plan::draw(seed, REQUEST);
                    let (mut outcome, twins) = (run(&plan), differing(&plan, &Twin::ALL));
                    outcome.violations += twins.count;
                    outcome.found.extend(twins.found);
                    outcomes.lock().expect("no thread panics while it adds").push(outcome);
                }
            });
        }
    });
    judge(&outcomes.into_inner().expect("no thread has panicked"));
}

fn judge(outcomes: &[Outcome]) {
    let mut faults = Faults::default();
    let mut text = String::new();
    for outcome in outcomes {
        faults.add(&outcome.faults);
        if let Some(first) = outcome.found.first() {
            let again = format!("lab chaos --seeds 1 --seed {} --nodes 2..16 --seconds 6", outcome.seed);
            text.push_str(&format!("\n{again}\n    {} violations, first {first}", outcome.violations));
        }
    }
    assert!(text.is_empty(), "{text}");
    // Nobody may send to where nobody ever was; an overflow takes more load than small clusters have.
    for (fault, count) in faults.iter().filter(|(fault, _)| !matches!(fault, Fault::ToNowhere | Fault::Overflow)) {
        assert!(count > 0, "a vacuous campaign: never injected {fault}");
    }
    for event in ["delivered", "gapped", "repairs_sent", "registers_applied", "told_peer_down", "persisted"] {
        let count: u64 = outcomes.iter().filter_map(|outcome| outcome.exercised.get(event)).sum();
        assert!(count > 0, "a vacuous campaign: never exercised {event}");
    }
}

/// Long runs that once showed what short ones cannot, as the horizon passes in them: silences that were taken for too short
/// or too long, a removal told twice, and what was thrown away told as lost.
#[test]
fn seeds_that_once_failed() {
    let [small, large] = [16, 64].map(|nodes_max| Request { nodes_min: 2, nodes_max, seconds: 60 });
    for (seed, request) in [(6, small), (15, large), (42, large), (45, large)] {
        let mut plan = Plan::draw(seed, request);
        // A fault and ways of spreading that there were not when they failed.
        plan.kinds.clock_behind = false;
        plan.newer = None;
        let outcome = run(&plan);
        assert_eq!(outcome.found, [], "seed {seed} of 2..{} nodes", request.nodes_max);
    }
    // A child whose last word was overtaken by an earlier one, and was counted for ever.
    assert_eq!(run(&Plan::draw(126, large)).found, []);
}
