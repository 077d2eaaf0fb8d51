//! `lab demers --tables`: all variants side by side.

use super::found::{Found, measure};
use super::variant::{Variant, all, variant};
use super::{By, Job, Options, by_cycles, engine, law, paper_row};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::{Failure, progress, runs};

const COLUMNS: [&str; 12] = [
    "variant",
    "k",
    "residue",
    "paper_residue",
    "traffic",
    "paper_traffic",
    "t_last",
    "paper_t_last",
    "law_residue",
    "misses",
    "node_trials",
    "met",
];

/// The paper's k, and those of its tables.
const KS: [u8; 5] = [1, 2, 3, 4, 5];

/// Our own variant, and the k that it is meant for.
const OWN: (&str, u8) = ("pull-lists-counter", 6);

/// Runs all of them.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let jobs: Vec<Job> =
        all().into_iter().flat_map(|variant| of_variant(options, &variant)).chain(own(options)).collect();
    let bar = progress::bar(u64::from(options.runs) * jobs.len() as u64, "messages");
    let found = runs::map(&jobs, None, &indicatif::ProgressBar::hidden(), |job| match options.by {
        By::Core => engine::run(job, &bar).map(|measured| measured.found),
        By::Cycles => Ok(by_cycles(job, &bar)),
    });
    bar.finish_and_clear();
    let found = found.into_iter().collect::<Result<Vec<Found>, Failure>>()?;
    Ok(report(options, &jobs, &found))
}

fn of_variant(options: &Options, variant: &Variant) -> Vec<Job> {
    KS.iter().map(|&k| options.job(variant.clone(), k)).collect()
}

/// Lists are no variant of the paper, and a refused question lists nothing.
fn own(options: &Options) -> Option<Job> {
    let own = variant(OWN.0).expect("this is a variant");
    options.connection_limit.is_none().then(|| options.job(own, OWN.1))
}

fn report(options: &Options, jobs: &[Job], found: &[Found]) -> Report {
    let mut report = Report::new(options.title("all variants"));
    let rows: Vec<Vec<Value>> = jobs.iter().zip(found).map(|(job, found)| row(job, found)).collect();
    let compared = rows.iter().filter(|row| row[11] != Value::Measure(None)).count() as u64;
    let met = rows.iter().filter(|row| row[11] == Value::Flag(true)).count() as u64;
    report.add("rows", Value::Rows { columns: COLUMNS.to_vec(), rows }, "");
    report.add("rows_compared", Value::Count(compared), "13 at 1,000 nodes");
    report.add("rows_met", Value::Count(met), "within 5 % of the paper, or the paper's figure is in the 95 % interval");
    report.svg = Some(picture(&report.title, jobs, found));
    report
}

fn row(job: &Job, found: &Found) -> Vec<Value> {
    let paper = paper_row(job);
    let figure = |i: usize| Value::Measure(paper.map(|row| row.figures[i]));
    let traffic = found.traffic.mean();
    let met = paper.and_then(|row| found.met(row)).map(|met| met.iter().all(|&met| met));
    vec![
        Value::Text(job.rules.variant.name.clone()),
        Value::Count(job.rules.k.into()),
        measure(found.residue().mean),
        figure(0),
        measure(traffic),
        figure(1),
        measure(found.t_last.mean()),
        figure(2),
        Value::Measure(law(&job.rules, traffic)),
        Value::Count(found.missed.sum() as u64),
        Value::Count(found.node_trials()),
        met.map_or(Value::Measure(None), Value::Flag),
    ]
}

/// What is missed over what is paid.
fn picture(title: &str, jobs: &[Job], found: &[Found]) -> String {
    let mut curves: Vec<Curve> = Vec::new();
    for (job, found) in jobs.iter().zip(found) {
        let name = &job.rules.variant.name;
        if curves.last().is_none_or(|curve| curve.name != *name) {
            curves.push(Curve { name: name.clone(), points: Vec::new() });
        }
        let point = (found.traffic.mean(), found.residue().mean);
        curves.last_mut().expect("there is a curve").points.push(point);
    }
    // Of nothing there is no logarithm, and a curve that missed nobody at all has no place.
    curves.retain(|curve| curve.points.iter().any(|point| point.1 > 0.0));
    let law = (0..=16).map(|half| f64::from(half) / 2.0).map(|m| (m, (-m).exp())).collect();
    curves.push(Curve { name: "s = e^−m".into(), points: law });
    plot::log_lines(title, "traffic m: copies per node", "residue s: share that never hears", &curves)
}
