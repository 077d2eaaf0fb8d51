//! One seed: safety, then liveness.

use std::collections::BTreeMap;

use gossip_core::{Event, Order};

use crate::chaos::plan::Plan;
use crate::chaos::script::{self, Script};
use crate::check::{Checks, Links, Trees, Violation, missing, unlinked, untreed};
use crate::sim::rng::Chance;
use crate::sim::{Faults, Observer, Simulation, Step, Weather, What};

/// How often the liveness phase looks whether all is whole, in microseconds.
const LOOK: u64 = 250_000;

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first violations.
    pub found: Vec<Violation>,
    /// How many there were.
    pub violations: u64,
    /// What was really done to nodes and datagrams.
    pub faults: Faults,
    /// What the nodes really did: their counters, and what they told.
    pub exercised: BTreeMap<&'static str, u64>,
    /// Events of the simulation.
    pub events: u64,
    /// Virtual microseconds, times nodes.
    pub node_micros: u64,
    /// How long after the last fault all was whole, in microseconds; none where it was not within the bound.
    pub healed: Option<u64>,
    /// The hash of all inputs and outputs.
    pub trace_hash: u64,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    run_traced(plan, ())
}

/// Runs a plan, and shows every step to `watch` as well.
#[must_use]
pub fn run_traced<W: Observer>(plan: &Plan, watch: W) -> Outcome {
    let script = Script::of(plan);
    let (template, lives) = (plan.clone(), script.lives);
    let observer = ((Checks::default(), Tally::default()), watch);
    let simulation = Simulation::new(plan.world.clone(), move |birth| template.configure(birth, lives), observer);
    let mut run = Run { plan, simulation };
    perform(plan, &script, &mut run.simulation);
    let healed = run.liveness();
    run.outcome(healed)
}

/// Runs the safety phase of a plan alone, but not until every fault is over. Returns the hash of all inputs and outputs.
pub(super) fn safety<O: Observer>(plan: &Plan, observer: O) -> (u64, O) {
    let script = Script::of(plan).until(u64::from(plan.seconds) * 1_000_000);
    let (template, lives) = (plan.clone(), script.lives);
    let mut simulation = Simulation::new(plan.world.clone(), move |birth| template.configure(birth, lives), observer);
    perform(plan, &script, &mut simulation);
    (simulation.trace_hash(), simulation.observer)
}

/// Does all that the script says.
fn perform<O: Observer>(plan: &Plan, script: &Script, simulation: &mut Simulation<O>) {
    for (at, deed) in &script.deeds {
        simulation.run_until(*at);
        deed.perform(plan, simulation);
    }
    simulation.run_until(script.end);
}

struct Run<'a, W: Observer> {
    plan: &'a Plan,
    simulation: Simulation<((Checks, Tally), W)>,
}

impl<W: Observer> Run<'_, W> {
    /// Ends all faults, and waits until all is whole. Returns how long that took.
    fn liveness(&mut self) -> Option<u64> {
        let start = self.simulation.now();
        let clock_lag = self.simulation.clock_lag();
        let network = self.simulation.network();
        network.heal();
        network.weather = Weather {
            loss: Chance::NEVER,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            corrupt: Chance::NEVER,
            ..network.weather.clone()
        };
        for node in 0..self.plan.nodes {
            if self.simulation.observer.0.1.left.contains(&node) {
                self.simulation.crash(node);
            }
            if !self.simulation.is_up(node) {
                script::start(self.plan, &mut self.simulation, node, true);
            }
            script::submit(&mut self.simulation, node, Order::Fifo, 40);
        }
        let bound = start + self.plan.heal_bound(clock_lag);
        while self.simulation.now() < bound {
            self.simulation.run_until(self.simulation.now() + LOOK);
            if self.unhealed().is_none() {
                return Some(self.simulation.now() - start);
            }
        }
        for violation in self.unhealed().into_iter().collect::<Vec<_>>() {
            self.simulation.observer.0.0.report(violation);
        }
        None
    }

    /// What is not whole yet.
    fn unhealed(&self) -> Option<Violation> {
        let (checks, at) = (&self.simulation.observer.0.0, self.simulation.now());
        let violation = |rule, (node, text)| Violation { at, node, rule, text };
        if let Some(owed) = missing(&checks.book) {
            return Some(violation("all or told", owed));
        }
        if let Some(stale) = checks.registers.stale(&self.simulation) {
            return Some(violation("registers converge", stale));
        }
        if let Some(text) = unlinked(&Links::of(&self.simulation), self.plan.is_full()) {
            return Some(violation("heal", (0, text)));
        }
        let text = untreed(&Trees::of(&self.simulation))?;
        Some(violation("one tree", (0, text)))
    }

    fn outcome(self, healed: Option<u64>) -> Outcome {
        let Self { plan, simulation } = self;
        let mut exercised = simulation.counters();
        let ((checks, tally), _) = &simulation.observer;
        exercised.extend(tally.told.iter());
        Outcome {
            seed: plan.seed,
            found: checks.found.clone(),
            violations: checks.count,
            faults: simulation.faults().clone(),
            exercised,
            events: simulation.processed(),
            node_micros: simulation.now() * u64::from(plan.nodes),
            healed,
            trace_hash: simulation.trace_hash(),
        }
    }
}

/// Counts what was told.
#[derive(Debug, Default)]
struct Tally {
    told: BTreeMap<&'static str, u64>,
    /// Who has left in its present life, and is good for nothing any more.
    left: std::collections::BTreeSet<u32>,
}

impl Observer for Tally {
    fn observe(&mut self, step: &Step<'_>) {
        let name = match &step.what {
            What::Told(event) => match event {
                Event::Gap { .. } => "told_gap",
                Event::IdentityConflict { .. } => "told_identity_conflict",
                Event::Left => "told_left",
                Event::PeerDown { .. } => "told_peer_down",
                Event::PeerUnreachable { .. } => "told_peer_unreachable",
                Event::PeerUp { .. } => "told_peer_up",
                Event::Register { .. } => "told_register",
                Event::Warning(_) => "told_warning",
                _ => "told_other",
            },
            What::Born { .. } => {
                self.left.remove(&step.node);
                "born"
            }
            What::Leaving => {
                self.left.insert(step.node);
                "leaving"
            }
            What::Raised { .. } => "raised",
            What::Refused { .. } => "submit_refused",
            What::Persisted { .. } => "persisted",
            What::Ticked { .. } => "ticked",
            _ => return,
        };
        *self.told.entry(name).or_default() += 1;
    }
}
