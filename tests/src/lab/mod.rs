//! The experiments: every claim of the project as a command.
//!
//! An experiment takes options, drives the real core over the simulated network, and returns a [`Report`]: figures with
//! names, the anchor beside each, and perhaps a picture. How it is shown is decided here, once.

mod broadcast;
mod burst;
mod chaos;
mod demers;
mod detect;
mod glomers;
mod graph;
mod heal;
mod joining;
mod overlay;
mod page;
mod plot;
mod progress;
mod replay;
mod report;
mod runs;
mod sampling;
mod spread;
mod tally;
mod traffic;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use report::{Figure, Report, Value};
use traffic::IP_UDP;
pub use traffic::{Class, Traffic, classify};

/// Experiments on the real core, over a simulated network.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Lab {
    #[command(subcommand)]
    experiment: Experiment,
}

/// What every experiment understands.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    json: bool,
    /// Draw a picture into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Experiment {
    /// How fast, how completely and at what price messages spread.
    Broadcast(broadcast::Options),
    /// Everybody speaks at once, and nobody may send more than its budget.
    Burst(burst::Options),
    /// Everything that can go wrong, and all checkers, for many seeds.
    Chaos(chaos::Options),
    /// The classic tables of rumor mongering: who never hears, at what price, and when the last one does.
    Demers(demers::Options),
    /// How soon a crash is known, how seldom a healthy node is accused, and at what price, beside a SWIM.
    Detect(detect::Options),
    /// The broadcast challenges of Gossip Glomers, by Maelstrom's workload and verdict.
    Glomers(glomers::Options),
    /// How soon a split network is whole again.
    Heal(heal::Options),
    /// The links as a graph, and what it is worth when most nodes die at once.
    Overlay(overlay::Options),
    /// The standard set of all experiments, as one page with everybody's figures beside ours.
    Report(page::Options),
    /// Runs the recording of a real node again.
    Replay(replay::Options),
    /// What graph the views of a peer sampling protocol make, and how soon they forget the dead.
    Sampling(sampling::Options),
    /// The experiments that are planned.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Planned experiments, which arrive with the sub-protocols that they measure.
const LATER: [&str; 4] = ["hostile", "order", "resync", "scale"];

/// Why an experiment did not run, or did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The command asks for what cannot be: exit status 2.
    Usage(String),
    /// The experiment ran, and what it found is wrong: exit status 1.
    Found(String),
}

/// Runs the program on the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    match run(Lab::parse().experiment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(text)) => {
            eprintln!("error: {text}");
            ExitCode::from(2)
        }
    }
}

fn run(experiment: Experiment) -> Result<(), Failure> {
    match experiment {
        Experiment::Broadcast(options) => show(&options.common.clone(), broadcast::run(&options)?),
        Experiment::Burst(options) => show(&options.common.clone(), burst::run(&options)?),
        Experiment::Chaos(options) => show(&options.common.clone(), chaos::run(&options)?),
        Experiment::Detect(options) => show(&options.common.clone(), detect::run(&options)?),
        Experiment::Glomers(options) => show(&options.common.clone(), glomers::run(&options)?),
        Experiment::Heal(options) => show(&options.common.clone(), heal::run(&options)?),
        Experiment::Overlay(options) => show(&options.common.clone(), overlay::run(&options)?),
        Experiment::Demers(options) => show(&options.common.clone(), demers::run(&options)?),
        Experiment::Report(options) => page::run(&options),
        Experiment::Replay(options) => show(&options.common.clone(), replay::run(&options)?),
        Experiment::Sampling(options) => show(&options.common.clone(), sampling::run(&options)?),
        Experiment::Other(words) => {
            let name = words.first().map_or("", String::as_str);
            Err(Failure::Usage(if LATER.contains(&name) || name == "swarm" {
                format!("experiment '{name}' arrives with a later issue")
            } else if name == "compare" {
                "'compare' is a program of its own: cargo run --release -p gossip-peers --bin compare".into()
            } else {
                format!("there is no experiment '{name}'; `lab --help` lists them")
            }))
        }
    }
}

fn show(common: &Common, report: Report) -> Result<(), Failure> {
    println!("{}", if common.json { report.json() } else { report.table() });
    if let Some((path, svg)) = common.svg.as_ref().zip(report.svg.as_ref()) {
        std::fs::write(path, svg).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    }
    report.verdict.map_or(Ok(()), |text| Err(Failure::Found(text)))
}
