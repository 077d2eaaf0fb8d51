//! `lab demers`: the classic tables of rumor mongering, by this engine.
//!
//! Demers et al. 1987 §1.4: who knows something new tells it, or whoever likes asks for it, until it is old. How many never hear
//! (*residue*), how many copies a node pays for on average (*traffic*), and in which cycle the last one hears. What is counted is done
//! by the [`engine`], that is, by the core. Beside it stands a model in [`cycles`], which the core is compared with, and which
//! also knows the connections of the paper.
//!
//! Our own variant is `pull-lists-counter`: who asks lists what it has heard lately, so that nothing travels in vain. With `--k 6` each
//! copy is needed (traffic below 1, where the paper's best table pays 6.1 for a residue of 4 · 10⁻⁶), and nobody was missed in ten
//! million node-trials; the price is a question of each node in each round.

mod cycles;
mod engine;
mod found;
mod paper;
mod tables;
mod variant;

use clap::{Args, ValueEnum};
use gossip_core::Spread;

use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::tally::Interval;
use crate::lab::{Common, Failure, progress};
use crate::sim::rng::Rng;
use cycles::Rules;
use found::{Found, is_often, measure};
use paper::Row;
use variant::{Variant, variant};

/// Options of `lab demers`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// `push`, `pull` or `push-pull`; `blind`, `feedback` or `lists`; `counter` or `coin`; joined by hyphens.
    #[arg(long, default_value = "push-feedback-counter", value_parser = variant)]
    variant: Variant,
    /// The counter's limit, or the coin's odds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    k: u8,
    /// All variants of the paper with k from 1 to 5, and our own, as one table.
    #[arg(long, conflicts_with_all = ["variant", "k", "at_once"])]
    tables: bool,
    /// How many nodes, all linked with all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(3..=1_025))]
    nodes: u32,
    /// How many messages, one after the other.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// Messages that start together, each at a node of its own. They share who asks whom, so their fates are not independent,
    /// and intervals are too narrow; but what never happens can be seen never to happen in less time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    at_once: u32,
    /// Links told, or asked, in a round.
    #[arg(long, default_value_t = 1)]
    fanout: u8,
    /// Who does it: the core, or the abstract model that it is compared with.
    #[arg(long, value_enum, default_value_t = By::Core)]
    by: By,
    /// Calls that a node takes in a cycle, with `--by cycles`. The core has datagrams, and no connections to refuse.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    connection_limit: Option<u32>,
    /// How often a refused caller tries another node.
    #[arg(long, default_value_t = 0, requires = "connection_limit", value_parser = clap::value_parser!(u32).range(..=10_000))]
    hunt: u32,
    /// The bare protocol. This experiment always measures that.
    #[arg(long)]
    no_repair: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Core,
    Cycles,
}

/// What is to be spread, and how.
#[derive(Clone, Debug)]
struct Job {
    rules: Rules,
    seed: u64,
    runs: u32,
    at_once: u32,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    if options.tables {
        return tables::run(options);
    }
    let job = options.job(options.variant.clone(), options.k);
    let bar = progress::bar(u64::from(job.runs), "messages");
    let mut report = Report::new(options.title(&format!("{} with k = {}", options.variant.name, options.k)));
    let found = match options.by {
        By::Core => {
            let measured = engine::run(&job, &bar)?;
            add_found(&mut report, &job, &measured.found);
            report.add("control_per_node", measure(measured.control.mean()), "datagrams without a payload");
            report.add("bytes_per_node", measure(measured.bytes.mean()), "");
            report.add("events", Value::Count(measured.events), "");
            report.add("trace_hash", Value::Text(format!("{:016x}", measured.trace_hash)), "");
            measured.found
        }
        By::Cycles => {
            let found = by_cycles(&job, &bar);
            add_found(&mut report, &job, &found);
            found
        }
    };
    bar.finish_and_clear();
    report.svg = Some(picture(&report.title, &found, paper_row(&job)));
    Ok(report)
}

impl Options {
    fn check(&self) -> Result<(), Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.into()));
        match self.by {
            By::Core if self.connection_limit.is_some() => usage("--connection-limit needs --by cycles"),
            By::Cycles if self.at_once > 1 => usage("--at-once is for the core"),
            By::Cycles if u32::from(self.fanout) + 2 > self.nodes || self.fanout == 0 => {
                usage("--fanout is out of range")
            }
            _ => Ok(()),
        }
    }

    fn job(&self, variant: Variant, k: u8) -> Job {
        let &Self { nodes, fanout, connection_limit, hunt, .. } = self;
        let rules = Rules { variant, k, nodes, fanout, connection_limit, hunt };
        Job { rules, seed: self.common.seed, runs: self.runs, at_once: self.at_once }
    }

    fn title(&self, what: &str) -> String {
        let by = match (self.by, self.connection_limit) {
            (By::Core, _) => "without repair".to_owned(),
            (By::Cycles, None) => "in the cycle model".to_owned(),
            (By::Cycles, Some(limit)) => {
                format!("in the cycle model, {limit} calls taken a cycle, {} hunts", self.hunt)
            }
        };
        format!("demers: {what}, {} nodes, {} runs, {by}", self.nodes, self.runs)
    }
}

fn by_cycles(job: &Job, bar: &indicatif::ProgressBar) -> Found {
    let (mut rng, mut found) = (Rng::new(job.seed, 1), Found::new(job.rules.nodes));
    for _ in 0..job.runs {
        found.note(&cycles::spread(&job.rules, &mut rng));
        bar.inc(1);
    }
    found
}

/// The paper's row for a job that is like the paper's.
fn paper_row(job: &Job) -> Option<&'static Row> {
    let rules = &job.rules;
    paper::row(&rules.variant.name, rules.k).filter(|_| rules.fanout == 1 && rules.connection_limit.is_none())
}

/// The paper's law of all pushes, s = e^−m; and where a site takes one call in a cycle, s = e^−λm with λ = 1 / (1 − 1/e).
fn law(rules: &Rules, traffic: f64) -> Option<f64> {
    let lambda = match (rules.variant.spread, rules.connection_limit) {
        (Spread::Push, None) => 1.0,
        (Spread::Push, Some(1)) if rules.hunt == 0 => 1.0 / (1.0 - (-1.0_f64).exp()),
        _ => return None,
    };
    Some((-lambda * traffic).exp())
}

fn add_found(report: &mut Report, job: &Job, found: &Found) {
    let paper = paper_row(job);
    let (residue, traffic, t_last) = (found.residue(), found.traffic.interval(), found.t_last.interval());
    let add = |report: &mut Report, keys: [&'static str; 3], found: Interval, anchor| {
        report.add(keys[0], measure(found.mean), anchor);
        report.add(keys[1], measure(found.low), "95 % interval");
        report.add(keys[2], measure(found.high), "");
    };
    let anchor = |of: fn(&Row) -> &'static str| paper.map_or("", of);
    add(report, ["residue", "residue_low", "residue_high"], residue, anchor(|row| row.texts[0]));
    add(report, ["traffic", "traffic_low", "traffic_high"], traffic, anchor(|row| row.texts[1]));
    add(report, ["t_last", "t_last_low", "t_last_high"], t_last, anchor(|row| row.texts[2]));
    report.add("law_residue", Value::Measure(law(&job.rules, traffic.mean)), "e^−m for pushes, by the paper");
    report.add("t_ave", measure(found.t_ave.mean()), "");
    report.add("misses", Value::Count(found.missed.sum() as u64), "");
    report.add("node_trials", Value::Count(found.node_trials()), "");
    if let Some((row, met)) = paper.and_then(|row| Some((row, found.met(row)?))) {
        let how = if is_often(row) { "within 5 % of the paper" } else { "the paper's figure is in the interval" };
        for (key, met) in ["residue_met", "traffic_met", "t_last_met"].into_iter().zip(met) {
            report.add(key, Value::Flag(met), how);
        }
    }
}

/// The share of nodes that have heard, over cycles; and how many there are in the end by the paper.
fn picture(title: &str, found: &Found, paper: Option<&Row>) -> String {
    let mut curves = vec![Curve { name: "have heard".into(), points: found.coverage() }];
    if let Some(row) = paper {
        let (share, end) = (1.0 - row.figures[0], found.heard.len().saturating_sub(1) as f64);
        let name = format!("in the end, by the paper: {share}");
        curves.push(Curve { name, points: vec![(0.0, share), (end, share)] });
        let name = format!("the last one, by the paper: cycle {}", row.figures[2]);
        curves.push(Curve { name, points: vec![(row.figures[2], 0.0), (row.figures[2], 1.0)] });
    }
    plot::lines(title, "cycle", "share of nodes", &curves)
}
