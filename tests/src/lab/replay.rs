//! `lab replay FILE`: runs the recording of a real node again, and says whether it did the same.

use std::path::PathBuf;

use clap::Args;
use gossip_core::recording::{Ending, replay};

use crate::lab::plot;
use crate::lab::report::{Report, Value};
use crate::lab::{Common, Failure};

/// Options of `lab replay`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// A recording, written by an adapter's recorder.
    file: PathBuf,
}

/// Replays the recording.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let name = options.file.display();
    let recording = std::fs::read(&options.file).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let replayed = replay(&recording).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let mut report = Report::new(format!("replay of {name}, recorded by version {}", replayed.recorded_by));
    report.add("inputs", Value::Count(replayed.inputs), "");
    report.add("outputs", Value::Count(replayed.outputs), "");
    report.add("trace_hash", Value::Text(format!("{:016x}", replayed.trace_hash)), "");
    report.add("matches", Value::Flag(replayed.matches()), "true");
    report.add("ending", Value::Text(ending(replayed.ending).into()), "");
    let counts = [("inputs".into(), replayed.inputs), ("outputs".into(), replayed.outputs)];
    report.svg = Some(plot::bars(&report.title, "how many, by the number of their digits", &counts));
    report.verdict = replayed.first_difference.map(|difference| {
        format!("entry {} at {} gave something else: {}", difference.entry, difference.now, difference.output)
    });
    Ok(report)
}

const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Whole => "the recorder was stopped",
        Ending::Bound => "the bound of the recording was reached",
        Ending::Cut => "cut off within an entry",
        _ => "unknown",
    }
}
