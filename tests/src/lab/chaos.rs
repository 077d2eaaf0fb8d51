//! `lab chaos`: many seeds, each a cluster in which everything goes wrong, and all checkers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use crate::chaos::{Outcome, Plan, Request, Twin, differing, run as run_plan, run_traced};
use crate::lab::plot;
use crate::lab::report::{Report, Value};
use crate::lab::{Common, Failure, progress};
use crate::sim::{Faults, Lines};

/// A campaign of at least so many seeds must have injected every kind of fault, or it has shown nothing.
const SEEDS_FOR_ALL_FAULTS: u64 = 100;
/// The twins, which compare drivers, run for so many virtual seconds.
const TWIN_SECONDS: u32 = 4;
/// Failing seeds shown beyond this many are only counted.
const FAILURES_SHOWN: usize = 20;

/// Options of `lab chaos`. Seed `--seed` is the first one.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many seeds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many nodes, a number or a range from which each seed draws.
    #[arg(long, default_value = "2..64", value_parser = nodes)]
    nodes: (u32, u32),
    /// How long the faults last in each seed, in virtual seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..=86_400))]
    seconds: u32,
    /// Write one line per event into this file; for a single seed.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Drive the nodes of the single seed in this way, which must not matter: to find with `--trace` where it does.
    #[arg(long, value_enum, requires = "trace")]
    twin: Option<TwinName>,
    /// How many threads; as many as the machine has processors where not given.
    #[arg(long)]
    threads: Option<usize>,
}

/// The ways to drive nodes that must not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TwinName {
    Same,
    Backwards,
    Shuffled,
    Ticked,
}

impl TwinName {
    const fn twin(self) -> Twin {
        match self {
            Self::Same => Twin::Same,
            Self::Backwards => Twin::Backwards,
            Self::Shuffled => Twin::Shuffled,
            Self::Ticked => Twin::Ticked,
        }
    }
}

/// Runs the campaign.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    if options.trace.is_some() && options.seeds != 1 {
        return Err(Failure::Usage("--trace needs --seeds 1".into()));
    }
    let bar = progress::bar(options.seeds, "seeds");
    let mut campaign = Campaign::default();
    if let Some(path) = &options.trace {
        let file =
            std::fs::File::create(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let lines = Lines::new(std::io::BufWriter::new(file));
        let plan = options.plan(options.common.seed);
        let plan = options.twin.map_or_else(|| plan.clone(), |name| name.twin().of(&plan));
        let outcome = run_traced(&plan, lines);
        campaign.warn(&outcome, options);
        campaign.add(outcome, options);
    } else {
        run_all(options, &bar, &mut campaign);
    }
    bar.finish_and_clear();
    Ok(campaign.report(options))
}

impl Options {
    fn plan(&self, seed: u64) -> Plan {
        let (nodes_min, nodes_max) = self.nodes;
        Plan::draw(seed, Request { nodes_min, nodes_max, seconds: self.seconds })
    }

    /// The command that runs one seed again.
    fn command(&self, seed: u64) -> String {
        let (min, max) = self.nodes;
        format!("lab chaos --seeds 1 --seed {seed} --nodes {min}..{max} --seconds {}", self.seconds)
    }
}

/// Runs one seed: the plan in full, and its first seconds again and driven in another way, which must not differ. The
/// other way changes from seed to seed.
fn run_seed(options: &Options, seed: u64) -> Outcome {
    let mut plan = options.plan(seed);
    let mut outcome = run_plan(&plan);
    plan.seconds = plan.seconds.min(TWIN_SECONDS);
    let [same, others @ ..] = Twin::ALL;
    let other = others[(seed % others.len() as u64) as usize];
    let twins = differing(&plan, &[same, other]);
    outcome.violations += twins.count;
    outcome.found.extend(twins.found);
    outcome
}

/// Spreads the seeds over threads. The result does not depend on how.
fn run_all(options: &Options, bar: &ProgressBar, campaign: &mut Campaign) {
    let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let next = AtomicU64::new(0);
    let (results, outcomes) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (next, results) = (&next, results.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= options.seeds {
                        return;
                    }
                    let outcome = run_seed(options, options.common.seed.wrapping_add(index));
                    if results.send(outcome).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for outcome in outcomes {
            if outcome.violations > 0 {
                bar.suspend(|| campaign.warn(&outcome, options));
            }
            campaign.add(outcome, options);
            bar.set_message(format!("{} failed", campaign.failed.len()));
            bar.inc(1);
        }
    });
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Campaign {
    seeds: u64,
    node_micros: u64,
    events: u64,
    violations: u64,
    faults: Faults,
    exercised: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
    healed_max: u64,
    hash: u64,
}

impl Campaign {
    fn add(&mut self, outcome: Outcome, options: &Options) {
        self.seeds += 1;
        self.node_micros += outcome.node_micros;
        self.events += outcome.events;
        self.violations += outcome.violations;
        self.faults.add(&outcome.faults);
        for (name, count) in outcome.exercised {
            *self.exercised.entry(name).or_default() += count;
        }
        self.healed_max = self.healed_max.max(outcome.healed.unwrap_or(0));
        // A sum, as threads finish in any order.
        self.hash = self.hash.wrapping_add(outcome.trace_hash);
        if outcome.violations > 0 {
            self.failed.push(outcome.seed);
            debug_assert!(outcome.seed.wrapping_sub(options.common.seed) < options.seeds);
        }
    }

    /// Says what is wrong with a seed (the first violation of each rule), and how to see it again.
    fn warn(&self, outcome: &Outcome, options: &Options) {
        if self.failed.len() >= FAILURES_SHOWN {
            return;
        }
        eprintln!("seed {}: {} violations: {}", outcome.seed, outcome.violations, options.command(outcome.seed));
        let mut shown = BTreeSet::new();
        for violation in outcome.found.iter().filter(|violation| shown.insert(violation.rule)) {
            eprintln!("    {violation}");
        }
    }

    fn report(&self, options: &Options) -> Report {
        let (min, max) = options.nodes;
        let mut report = Report::new(format!(
            "chaos: {} seeds from {}, {min} to {max} nodes, {} s of faults each",
            self.seeds, options.common.seed, options.seconds
        ));
        let injected = self.faults.iter().map(|(fault, count)| (fault.name().into(), count)).collect();
        let exercised = self.exercised.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        report.add("seeds", Value::Count(self.seeds), "floor 1,000");
        report.add("node_hours", Value::Measure(Some(self.node_micros as f64 / 3.6e9)), "goal 10⁶");
        report.add("events", Value::Count(self.events), "");
        report.add("violations", Value::Count(self.violations), "0");
        report.add("failed_seeds", Value::Count(self.failed.len() as u64), "0");
        report.add("healed_max_s", Value::Measure(Some(self.healed_max as f64 / 1e6)), "");
        report.add("trace_hash", Value::Text(format!("{:016x}", self.hash)), "");
        report.add("injected", Value::Counts(injected), "");
        report.add("exercised", Value::Counts(exercised), "");
        let bars: Vec<(String, u64)> = self.faults.iter().map(|(fault, count)| (fault.name().into(), count)).collect();
        report.svg = Some(plot::bars(&report.title, "faults injected, by the number of their digits", &bars));
        report.verdict = self.verdict(options);
        report
    }

    fn verdict(&self, options: &Options) -> Option<String> {
        if !self.failed.is_empty() {
            let commands: Vec<String> =
                self.failed.iter().take(FAILURES_SHOWN).map(|&seed| options.command(seed)).collect();
            return Some(format!("{} seeds failed:\n{}", self.failed.len(), commands.join("\n")));
        }
        // A datagram to nowhere would be the core's fault, not the network's.
        let never = self.faults.iter().filter(|&(fault, count)| count == 0 && fault != crate::sim::Fault::ToNowhere);
        let never: Vec<&str> = never.map(|(fault, _)| fault.name()).collect();
        let vacuous = self.seeds >= SEEDS_FOR_ALL_FAULTS && !never.is_empty();
        vacuous.then(|| format!("a vacuous campaign: never injected {}", never.join(", ")))
    }
}

/// `2..64`, or one number.
fn nodes(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.parse::<u32>().map_err(|error| format!("'{text}': {error}"));
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (number(min)?, number(max)?),
        None => (number(text)?, number(text)?),
    };
    if min < 2 || min > max || max > 1_000 {
        return Err("expected 2 to 1,000 nodes, such as 2..64".into());
    }
    Ok((min, max))
}
