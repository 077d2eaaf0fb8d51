//! `lab detect`: how soon a crash is known, how seldom a healthy node is accused, and at what price.
//!
//! The real core and a reference SWIM with suspicion stand the same trials over the same network: the same latencies and
//! losses, the same members crash or are slow at the same times. A slow member's messages wait while its timers run
//! (the anomalies of Dadgar, Phillips, Currey 2018, "Lifeguard", §5); stalling the whole process as well is too
//! kind, as then even SWIM has no false positives where inputs are handled before timers.

mod court;
mod subject;
mod trial;

use clap::Args;

use self::trial::{Findings, Slow, Who};
use crate::lab::joining::Members;
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::values::{range, seconds, share};
use crate::lab::{Common, Failure, progress, runs};

/// The grid (our choice; anomalies of the kind that Lifeguard was tested with): members that are slow, how long, and how long they are well in between.
const GRID: ([u32; 5], [u64; 4], [u64; 3]) =
    ([1, 4, 8, 16, 32], [500_000, 2_000_000, 8_000_000, 16_000_000], [1_000_000, 4_000_000, 16_000_000]);

/// Options of `lab detect`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    nodes: u32,
    /// How many of them crash, one after the other.
    #[arg(long, default_value_t = 0)]
    crash: u32,
    /// Time between two crashes, in seconds.
    #[arg(long, default_value = "30", value_parser = seconds)]
    crash_gap: u64,
    /// How many members are slow: their messages wait, their timers run.
    #[arg(long, default_value_t = 0)]
    slow: u32,
    /// How long a slow member's messages wait, in seconds.
    #[arg(long, default_value = "16", value_parser = seconds)]
    slow_for: u64,
    /// How long a slow member is well in between, in seconds.
    #[arg(long, default_value = "1", value_parser = seconds)]
    slow_every: u64,
    /// Slow members are slow at times of their own, instead of all at once.
    #[arg(long)]
    own_phase: bool,
    /// The whole process of a slow member stalls, its timers as well.
    #[arg(long)]
    stall: bool,
    /// All of 60 combinations of slow members, lengths and pauses.
    #[arg(long, conflicts_with_all = ["slow", "slow_for", "slow_every"])]
    grid: bool,
    /// The share of datagrams that is lost, once all have joined.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// How long is measured, at least, in seconds.
    #[arg(long, default_value = "120", value_parser = seconds)]
    seconds: u64,
    /// How many runs, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// The range of one-way latencies, in milliseconds: drawn once for each pair.
    #[arg(long, default_value = "10..50", value_parser = range)]
    latency: (u64, u64),
    /// Whom a node knows.
    #[arg(long, value_enum, default_value_t = Members::Full)]
    membership: Members,
    /// Compare with Lifeguard too.
    #[arg(long)]
    lifeguard: bool,
    /// Compare with nobody.
    #[arg(long, conflicts_with = "lifeguard")]
    alone: bool,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let cells = options.cells()?;
    let who: &[Who] = match (options.alone, options.lifeguard) {
        (true, _) => &[Who::Core],
        (false, true) => &[Who::Core, Who::Swim, Who::Lifeguard],
        (false, false) => &[Who::Core, Who::Swim],
    };
    let bar = progress::bar(cells.len() as u64 * options.runs * who.len() as u64, "trials");
    let jobs: Vec<(Who, Slow, u64)> = who
        .iter()
        .flat_map(|&who| cells.iter().map(move |&cell| (who, cell)))
        .flat_map(|(who, cell)| (0..options.runs).map(move |run| (who, cell, run)))
        .collect();
    let found = runs::map(&jobs, None, &bar, |&(who, cell, run)| {
        trial::run(options, cell, who, options.common.seed.wrapping_add(run))
    });
    let cell_sums: Vec<Findings> = found.chunks(options.runs as usize).map(Findings::sum).collect();
    let results: Vec<Vec<Findings>> = cell_sums.chunks(cells.len()).map(<[Findings]>::to_vec).collect();
    bar.finish_and_clear();
    Ok(report(options, &cells, who, &results))
}

impl Options {
    fn cells(&self) -> Result<Vec<Slow>, Failure> {
        if self.crash >= self.nodes - 1 {
            return Err(Failure::Usage("--crash must leave at least two nodes".into()));
        }
        let cell = |members, lasts, pause| Slow { members, lasts, pause };
        let cells: Vec<Slow> = if self.grid {
            let (members, lasts, pauses) = GRID;
            let pairs = lasts.iter().flat_map(|&lasts| pauses.map(|pause| (lasts, pause)));
            let pairs: Vec<(u64, u64)> = pairs.collect();
            members.iter().flat_map(|&c| pairs.iter().map(move |&(d, i)| cell(c, d, i))).collect()
        } else {
            vec![cell(self.slow, self.slow_for, self.slow_every)]
        };
        if cells.iter().any(|cell| cell.members > self.nodes - self.crash) {
            return Err(Failure::Usage("more members are slow than there are nodes that do not crash".into()));
        }
        Ok(cells)
    }
}

fn report(options: &Options, cells: &[Slow], who: &[Who], results: &[Vec<Findings>]) -> Report {
    let what = if options.grid {
        "grid of slow members".into()
    } else {
        format!("{} slow for {} s", options.slow, options.slow_for as f64 / 1e6)
    };
    let title = format!(
        "detect: {} nodes, {} crash, {what}, loss {} %, {} runs",
        options.nodes,
        options.crash,
        options.loss * 100.0,
        options.runs
    );
    let mut report = Report::new(title);
    let sums: Vec<Findings> = results.iter().map(|cells| Findings::sum(cells)).collect();
    for (who, sum) in who.iter().zip(&sums) {
        add_figures(&mut report, *who, sum);
    }
    if !options.alone {
        add_ratios(&mut report, &sums, results);
    }
    report.svg = Some(picture(options, cells, who, results, &report.title));
    report
}

fn add_ratios(report: &mut Report, sums: &[Findings], results: &[Vec<Findings>]) {
    let ratio = |of: fn(&Findings) -> f64| {
        Value::Measure(Some(of(&sums[1])).filter(|&swim| swim > 0.0).map(|swim| of(&sums[0]) / swim))
    };
    report.add("datagrams_to_swim", ratio(|sum| sum.datagrams as f64), "floor ≤ 1, goal ≤ 0.8");
    report.add("false_positives_to_swim", ratio(|sum| sum.false_positives as f64), "floor ≤ 0.01, goal 0");
    let worst = results[0].iter().zip(&results[1]).map(|(core, swim)| core.datagrams as f64 / swim.datagrams as f64);
    report.add("worst_cell_datagrams_to_swim", Value::Measure(worst.reduce(f64::max)), "model: 0.88");
}

fn add_figures(report: &mut Report, who: Who, sum: &Findings) {
    let core = who == Who::Core;
    let prefix = match who {
        Who::Core => "",
        Who::Swim => "swim_",
        Who::Lifeguard => "lifeguard_",
    };
    let mut add = |key: &str, value, anchor| {
        report.add(format!("{prefix}{key}"), value, if core { anchor } else { "" });
    };
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let max = |values: &[f64]| values.iter().copied().reduce(f64::max);
    let rate = |count: u64| Value::Measure((sum.node_seconds > 0.0).then(|| count as f64 / sum.node_seconds));
    add("first_suspicion_s", Value::Measure(mean(&sum.first_suspicions)), "SWIM 1.58 periods; goal ≤ 1.3 mean");
    add("first_suspicion_max_s", Value::Measure(max(&sum.first_suspicions)), "");
    add("all_know_s", Value::Measure(mean(&sum.all_know)), "foca 120–480 at 500–1,000; floor ≤ 10, goal ≤ 8 at 1,000");
    add("all_know_max_s", Value::Measure(max(&sum.all_know)), "");
    add("never_know", Value::Count(sum.never), "0");
    add("false_positives", Value::Count(sum.false_positives), "Lifeguard 1.5 % of SWIM's; goal 0");
    add("false_positives_healthy", Value::Count(sum.false_positives_healthy), "goal 0");
    add("slow_declared", Value::Count(sum.slow_declared), "no false positives in Lifeguard's sense");
    add("listed_min", Value::Count(sum.listed_min.into()), "17 of 17 at 10 % loss; goal to 40 %");
    add("datagrams_per_node_second", rate(sum.datagrams), "SWIM 2; goal ≤ 80 % of SWIM's");
    add("bytes_per_node_second", rate(sum.bytes), "goal ≤ 125 idle in Full, 200 in Sampled");
}

/// False positives against the number of slow members for a grid; else the share of survivors that know of a crash over
/// time; and where nobody crashes, the false positives.
fn picture(options: &Options, cells: &[Slow], who: &[Who], results: &[Vec<Findings>], title: &str) -> String {
    let curve = |(who, cells): (&Who, Vec<(f64, f64)>)| Curve { name: format!("{who:?}"), points: cells };
    if options.grid {
        let by_members = |findings: &Vec<Findings>| {
            let of = |members| cells.iter().zip(findings).filter(move |(cell, _)| cell.members == members);
            let sum = |members| of(members).map(|(_, found)| found.false_positives as f64).sum::<f64>();
            GRID.0.iter().map(|&members| (f64::from(members), (sum(members) + 1.0).log10())).collect()
        };
        let curves: Vec<Curve> = who.iter().zip(results.iter().map(by_members)).map(curve).collect();
        return plot::lines(title, "slow members", "log₁₀ (1 + false positives)", &curves);
    }
    if options.crash == 0 {
        let false_positives = |cells: &[Findings]| cells.iter().map(|found| found.false_positives).sum();
        let counts: Vec<(String, u64)> =
            who.iter().zip(results).map(|(who, cells)| (format!("{who:?}"), false_positives(cells))).collect();
        return plot::bars(title, "false positives, by the number of their digits", &counts);
    }
    let over_time = |findings: &Vec<Findings>| {
        let mut known: Vec<f64> = findings.iter().flat_map(|found| found.knowledge.iter().copied()).collect();
        known.sort_by(f64::total_cmp);
        let all = findings.iter().map(|found| found.to_know).sum::<u64>().max(1) as f64;
        let step = (known.len() / 400).max(1);
        known.iter().enumerate().step_by(step).map(|(i, &after)| (after, (i + 1) as f64 / all)).collect()
    };
    let curves: Vec<Curve> = who.iter().zip(results.iter().map(over_time)).map(curve).collect();
    plot::lines(title, "seconds since the crash", "share of survivors that know", &curves)
}
