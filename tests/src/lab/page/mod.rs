//! `lab report DIR`: the standard set of experiments, as one page.
//!
//! Each run is this program again, in a process of its own, so that what breaks one leaves the others alone; its figures and its
//! picture are files in `DIR/runs`. After each run the page is written anew: whoever breaks off has what was done so far.

mod anchors;
mod html;
mod peers;
mod set;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;
use serde_json::Value;

use crate::lab::{Failure, progress, runs};
use set::{RUNS, Run};

/// Options of `lab report`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Where the page goes (`index.html`), and the files of all runs (`runs`).
    dir: PathBuf,
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only runs whose name begins so, such as `broadcast`; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The whole set in sizes that show nothing but the page.
    #[arg(long)]
    quick: bool,
    /// How many runs go on at once; as many as there are cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// What `compare --json` printed, one object on each line. Default: `compare.json` in the folder, if it is there.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// What became of a run.
#[derive(Clone, Debug)]
struct Outcome {
    /// Its figures, by key; none where it printed none.
    figures: Option<Value>,
    svg: Option<String>,
    seconds: f64,
    /// What is wrong, where something is.
    complaint: Option<String>,
}

/// Everything that the page shows.
struct Page<'a> {
    options: &'a Options,
    commit: String,
    runs: Vec<&'static Run>,
    /// For each run, once it is over.
    outcomes: Vec<Option<Outcome>>,
    compare: Vec<Value>,
}

/// Runs the set and writes the page.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let wanted = |run: &&Run| options.only.is_empty() || options.only.iter().any(|name| run.name.starts_with(&**name));
    let chosen: Vec<&'static Run> = RUNS.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage("--only names no run of the set".into()));
    }
    let folder = options.dir.join("runs");
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    let compare = peers::read(options)?;
    let outcomes = vec![None; chosen.len()];
    let page = Mutex::new(Page { options, commit: commit(), runs: chosen.clone(), outcomes, compare });
    page.lock().expect("nobody panicked").write()?;
    let bar = progress::bar(chosen.len() as u64, "runs");
    let jobs: Vec<usize> = (0..chosen.len()).collect();
    let written = runs::map(&jobs, options.threads, &bar, |&job| {
        let outcome = play(options, &folder, chosen[job]);
        let mut page = page.lock().expect("nobody panicked");
        page.outcomes[job] = Some(outcome);
        page.write()
    });
    bar.finish_and_clear();
    written.into_iter().collect::<Result<(), Failure>>()?;
    page.into_inner().expect("nobody panicked").conclude()
}

impl Options {
    /// The command of a run, without the program.
    fn command(&self, run: &Run) -> String {
        format!("{} --seed {}", if self.quick { run.quick } else { run.words }, self.seed)
    }
}

/// Runs one run in a process of its own.
fn play(options: &Options, folder: &Path, run: &Run) -> Outcome {
    let file = |kind: &str| folder.join(format!("{}.{kind}", run.name));
    let picture = file("svg");
    let start = Instant::now();
    let output = std::env::current_exe().and_then(|program| {
        let words = options.command(run);
        Command::new(program).args(words.split(' ')).args(["--json", "--svg"]).arg(&picture).output()
    });
    let seconds = start.elapsed().as_secs_f64();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            return Outcome { figures: None, svg: None, seconds, complaint: Some(error.to_string()) };
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let complaint = (!output.status.success() || figures.is_none()).then(|| format!("{}: {said}", output.status));
    // These files are for other programs; the page has the same.
    let _ = std::fs::write(file("json"), text.as_bytes());
    Outcome { figures, svg: std::fs::read_to_string(&picture).ok(), seconds, complaint }
}

/// The commit of the sources in the working directory, where there are any.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "of unknown sources".into() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    format!("commit {commit}{}", if changed { " with changes" } else { "" })
}

impl Page<'_> {
    /// Replaces the page as a whole, so that nobody reads half of one.
    fn write(&self) -> Result<(), Failure> {
        let (page, draft) = (self.options.dir.join("index.html"), self.options.dir.join("index.html.new"));
        std::fs::write(&draft, html::page(self)).map_err(|error| unwritable(&draft, &error))?;
        std::fs::rename(&draft, &page).map_err(|error| unwritable(&page, &error))
    }

    fn conclude(&self) -> Result<(), Failure> {
        let (held, all) = self.score(|_| true);
        println!("{}: {held} of {all} comparisons hold", self.options.dir.join("index.html").display());
        let runs = self.runs.iter().zip(&self.outcomes);
        let broken: Vec<&str> = runs
            .filter(|(_, outcome)| outcome.as_ref().is_some_and(|outcome| outcome.complaint.is_some()))
            .map(|(run, _)| run.name)
            .collect();
        if broken.is_empty() { Ok(()) } else { Err(Failure::Found(format!("failed: {}", broken.join(", ")))) }
    }

    /// How many comparisons of some runs hold, of how many.
    fn score(&self, which: impl Fn(&Run) -> bool) -> (usize, usize) {
        let runs = self.runs.iter().zip(&self.outcomes).filter(|(run, _)| which(run));
        let verdicts: Vec<bool> = runs.flat_map(|(run, outcome)| verdicts(run, outcome.as_ref())).collect();
        (verdicts.iter().filter(|&&holds| holds).count(), verdicts.len())
    }
}

/// Whether each anchor of a run holds. What was not measured does not.
fn verdicts(run: &Run, outcome: Option<&Outcome>) -> Vec<bool> {
    let Some(outcome) = outcome else { return Vec::new() };
    let anchors = anchors::ANCHORS.iter().filter(|anchor| anchor.runs.contains(&run.name));
    anchors.map(|anchor| outcome.figure(anchor.key).is_some_and(|ours| anchor.bound.holds(ours))).collect()
}

impl Outcome {
    fn figure(&self, key: &str) -> Option<f64> {
        self.figures.as_ref()?.get(key)?.as_f64()
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
