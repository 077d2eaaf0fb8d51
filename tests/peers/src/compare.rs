//! `compare`: this library, plain and sealed, beside iroh-gossip and foca, in one run.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::counted::{self, Instructions};
use crate::jobs;
use crate::scenario::{Figures, Script, weather};
use crate::table::Table;

/// This library beside iroh-gossip and foca, over the same simulated network in the same run.
#[derive(Clone, Debug, Parser)]
#[command(name = "compare", version)]
pub struct Options {
    /// How many nodes: the preset `lan` has room for 1,024.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub nodes: u32,
    /// Who submits.
    #[arg(long, value_enum, default_value_t = Senders::Random)]
    pub senders: Senders,
    /// Messages, those that warm up included.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    pub messages: u32,
    /// Messages that warm up and are not measured.
    #[arg(long, default_value_t = 20)]
    pub warmup: u32,
    /// Time between two submissions, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub gap_ms: u64,
    /// Bytes of payload.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(8..=1_000))]
    pub payload: u16,
    /// The share of datagrams that is lost, once links have settled.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    pub loss: f64,
    /// The share of datagrams that is held back by up to 40 ms, so that others overtake them.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub reorder: f64,
    /// How many ids are forged to see what a node keeps of them; 0 for none.
    #[arg(long, default_value_t = 1_000_000)]
    pub forged: u64,
    /// Count no instructions: that takes valgrind, and most of the time.
    #[arg(long)]
    pub no_instructions: bool,
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object as the last line of standard output, instead of a table.
    #[arg(long)]
    pub json: bool,
    /// What the program calls itself with, under valgrind.
    #[arg(long, hide = true, requires = "over")]
    only: Option<System>,
    #[arg(long, hide = true)]
    over: Option<Transport>,
}

/// Who submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Senders {
    /// One node submits all.
    One,
    /// Another node submits each.
    Random,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum System {
    /// This library, plain.
    Ours,
    /// This library, sealed.
    OursSealed,
    /// iroh-gossip.
    Iroh,
    /// foca, with its defaults.
    Foca,
    /// foca, where programs send at once what is new.
    FocaEager,
}

impl System {
    /// All, in the order of the columns.
    pub const ALL: [Self; 5] = [Self::Ours, Self::OursSealed, Self::Iroh, Self::Foca, Self::FocaEager];

    /// Its name in JSON, and as an option.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursSealed => "ours_sealed",
            Self::Iroh => "iroh",
            Self::Foca => "foca",
            Self::FocaEager => "foca_eager",
        }
    }
}

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Links that lose nothing, first in, first out: what iroh-gossip is designed for.
    Designed,
    /// Datagrams that get lost and overtake each other.
    Datagrams,
}

impl Transport {
    /// Both, in the order of the tables.
    pub const ALL: [Self; 2] = [Self::Designed, Self::Datagrams];

    /// Its name as an option.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Designed => "designed",
            Self::Datagrams => "datagrams",
        }
    }
}

impl Options {
    /// What is played over `transport`.
    #[must_use]
    pub fn script(&self, transport: Transport) -> Script {
        let (loss, reorder) = match transport {
            Transport::Designed => (0.0, 0.0),
            Transport::Datagrams => (self.loss, self.reorder),
        };
        Script {
            seed: self.seed,
            nodes: self.nodes,
            messages: self.messages,
            warmup: self.warmup,
            gap: self.gap_ms * 1_000,
            payload: self.payload.into(),
            one_sender: self.senders == Senders::One,
            weather: weather(LATENCY, loss, reorder),
        }
    }
}

/// One-way latencies of pairs, in microseconds, as in `lab broadcast`.
const LATENCY: (u64, u64) = (10_000, 50_000);

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..1.0).contains(&share) { Ok(share) } else { Err("a share lies between 0 and below 1".into()) }
}

/// What was found of one system over one transport.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Which.
    pub system: System,
    /// Over what.
    pub transport: Transport,
    /// Everything but instructions.
    pub figures: Figures,
    /// None where they were not to be counted.
    pub instructions: Option<Instructions>,
}

/// Runs the program on the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.warmup >= options.messages {
        eprintln!("error: --warmup must be less than --messages");
        return ExitCode::from(2);
    }
    if let Some((system, transport)) = options.only.zip(options.over) {
        println!("{}", jobs::play_counted(&options, system, transport));
        return ExitCode::SUCCESS;
    }
    if !options.no_instructions && !counted::is_possible() {
        eprintln!("error: counting instructions takes valgrind; --no-instructions does without");
        return ExitCode::from(2);
    }
    let (columns, memories) = jobs::run_all(&options);
    let table = Table { options: &options, columns: &columns, memories: &memories };
    println!("{}", if options.json { table.json() } else { table.text() });
    let broken: Vec<String> = columns.iter().filter_map(complaint).collect();
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", broken.join("\n"));
    ExitCode::FAILURE
}

/// What is wrong with a column of ours: this library promises to deliver everything, once.
fn complaint(column: &Column) -> Option<String> {
    let Figures { missed, duplicates, .. } = column.figures;
    let ours = matches!(column.system, System::Ours | System::OursSealed);
    (ours && missed + duplicates > 0).then(|| {
        format!("{} over {}: {missed} missed, {duplicates} duplicates", column.system.key(), column.transport.key())
    })
}
