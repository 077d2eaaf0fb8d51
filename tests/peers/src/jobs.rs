//! Everything that has to be found out, on as many threads as there are cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::Totals;
use crate::compare::{Column, Options, System, Transport};
use crate::counted;
use crate::foca::Peer as Foca;
use crate::forged::{self, Memory};
use crate::iroh::Iroh;
use crate::node::Node;
use crate::ours::Ours;
use crate::scenario::{Script, play, play_accounts};

/// Gives a system to a function that is generic over them.
macro_rules! with {
    ($system:expr, $work:ident($($argument:expr),*)) => {
        match $system {
            System::Ours => $work::<Ours<false>>($($argument),*),
            System::OursSealed => $work::<Ours<true>>($($argument),*),
            System::Iroh => $work::<Iroh>($($argument),*),
            System::Foca => $work::<Foca<false>>($($argument),*),
            System::FocaEager => $work::<Foca<true>>($($argument),*),
        }
    };
}

/// One thing to find out.
#[derive(Clone, Copy, Debug)]
enum Job {
    Play(System, Transport),
    Forge(System),
}

/// What was found out.
#[derive(Clone, Copy, Debug)]
enum Found {
    Column(Column),
    Memory(Memory),
}

/// All systems over both transports, and what each keeps of forged ids, in the order of [`System::ALL`].
///
/// # Panics
///
/// Where a run does, or the one under valgrind is another run than the one without.
#[must_use]
pub fn run_all(options: &Options) -> (Vec<Column>, Vec<Memory>) {
    let pairs = Transport::ALL.into_iter().flat_map(|over| System::ALL.map(|system| Job::Play(system, over)));
    let forge = System::ALL.map(Job::Forge).into_iter().filter(|_| options.forged > 0);
    let jobs: Vec<Job> = pairs.chain(forge).collect();
    let (mut columns, mut memories) = (Vec::new(), Vec::new());
    for found in map(&jobs, |job| run(options, job)) {
        match found {
            Found::Column(column) => columns.push(column),
            Found::Memory(memory) => memories.push(memory),
        }
    }
    (columns, memories)
}

/// What `work` makes of each job, in their order, while a bar counts them.
fn map<T: Send>(jobs: &[Job], work: impl Fn(Job) -> T + Sync) -> Vec<T> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs {elapsed}").expect("the template is valid");
    let bar = ProgressBar::new(jobs.len() as u64).with_style(style);
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((index, &job)) = jobs.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(job);
                    results.lock().expect("no run panicked").push((index, result));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut results = results.into_inner().expect("no run panicked");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn run(options: &Options, job: Job) -> Found {
    match job {
        Job::Play(system, transport) => {
            let figures = with!(system, play(&options.script(transport)));
            let instructions = (!options.no_instructions).then(|| {
                let arguments = ["--only", system.key(), "--over", transport.key()].map(str::to_owned);
                let arguments: Vec<String> = std::env::args().skip(1).chain(arguments).collect();
                let (printed, instructions) = counted::count(&arguments);
                assert_eq!(printed, trace((figures.idle, figures.work)), "{system:?} under valgrind is another run");
                instructions
            });
            Found::Column(Column { system, transport, figures, instructions })
        }
        Job::Forge(system) => {
            Found::Memory(with!(system, attack(&options.script(Transport::Designed), options.forged)))
        }
    }
}

fn attack<N: Node>(script: &Script, forged: u64) -> Memory {
    forged::attack::<N>(script, forged.min(N::FORGED_MAX))
}

/// Plays the script for callgrind to look at, and says enough of the run to see that it was the same.
#[must_use]
pub fn play_counted(options: &Options, system: System, transport: Transport) -> String {
    trace(with!(system, play_accounts(&options.script(transport))))
}

fn trace((idle, work): (Totals, Totals)) -> String {
    format!("{} {} {} {}", idle.bytes, work.bytes, work.datagrams, work.deliveries)
}
