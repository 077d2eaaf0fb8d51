//! One trial: what is done to a cluster, and what comes of it.

use super::Options;
use super::court::Court;
use super::subject::{Real, Reference, Subject};
use crate::sim::rng::Rng;
use crate::swim;

const SECOND: u64 = 1_000_000;
/// What happens before anything is measured: the cluster is quiet. Newcomers look for near neighbors for 40 beat periods,
/// which is 32 s; and the waves of a young root follow each other soon: the eighth comes after 127 s, the next one after 255.
const QUIET: u64 = 140 * SECOND;
/// The first crash comes within this time of the start.
const CRASH_SPREAD: u64 = 4 * SECOND;

/// How many members are slow, for how long, and how long they are well in between, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    pub(super) members: u32,
    pub(super) lasts: u64,
    pub(super) pause: u64,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The real core.
    Core,
    /// SWIM with suspicion.
    Swim,
    /// SWIM with suspicion and Lifeguard.
    Lifeguard,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Crash(u32),
    Slow(u32, u64),
}

/// What came of some trials.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) first_suspicions: Vec<f64>,
    /// When the last survivor knew, of each crash that all survivors came to know.
    pub(super) all_know: Vec<f64>,
    /// Survivors that never came to know of a crash.
    pub(super) never: u64,
    /// When each survivor knew.
    pub(super) knowledge: Vec<f64>,
    /// Pairs of a crash and a survivor.
    pub(super) to_know: u64,
    pub(super) false_positives: u64,
    pub(super) false_positives_healthy: u64,
    pub(super) slow_declared: u64,
    pub(super) listed_min: u32,
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    pub(super) node_seconds: f64,
}

impl Findings {
    const fn new() -> Self {
        Self {
            first_suspicions: Vec::new(),
            all_know: Vec::new(),
            never: 0,
            knowledge: Vec::new(),
            to_know: 0,
            false_positives: 0,
            false_positives_healthy: 0,
            slow_declared: 0,
            listed_min: u32::MAX,
            datagrams: 0,
            bytes: 0,
            node_seconds: 0.0,
        }
    }

    /// The findings of several trials together.
    pub(super) fn sum(trials: &[Self]) -> Self {
        let mut sum = Self::new();
        trials.iter().for_each(|trial| sum.add(trial));
        sum
    }

    fn add(&mut self, other: &Self) {
        self.first_suspicions.extend(&other.first_suspicions);
        self.all_know.extend(&other.all_know);
        self.never += other.never;
        self.knowledge.extend(&other.knowledge);
        self.to_know += other.to_know;
        self.false_positives += other.false_positives;
        self.false_positives_healthy += other.false_positives_healthy;
        self.slow_declared += other.slow_declared;
        self.listed_min = self.listed_min.min(other.listed_min);
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.node_seconds += other.node_seconds;
    }
}

/// Runs one trial.
pub(super) fn run(options: &Options, slow: Slow, who: Who, seed: u64) -> Findings {
    let script = Script::draw(options, slow, seed);
    let court = Court::new(script.slow.clone());
    match who {
        Who::Core => script.play(options, &mut Real::new(options, seed, court)),
        Who::Swim => script.play(options, &mut Reference::new(options, swim::Config::swim(), seed, court)),
        Who::Lifeguard => script.play(options, &mut Reference::new(options, swim::Config::lifeguard(), seed, court)),
    }
}

/// What is done, in the order of time, from the start of measuring.
struct Script {
    slow: Vec<bool>,
    acts: Vec<(u64, Act)>,
    end: u64,
}

impl Script {
    fn draw(options: &Options, slow: Slow, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 2);
        let mut nodes: Vec<u32> = (0..options.nodes).collect();
        for i in (1..nodes.len()).rev() {
            nodes.swap(i, rng.below(i as u64 + 1) as usize);
        }
        let (victims, others) = nodes.split_at(options.crash as usize);
        let crashes = u64::from(options.crash);
        let end = options.seconds.max(crashes * options.crash_gap + CRASH_SPREAD);
        let mut acts = Vec::new();
        for (i, &victim) in victims.iter().enumerate() {
            acts.push((i as u64 * options.crash_gap + rng.below(CRASH_SPREAD), Act::Crash(victim)));
        }
        let mut is_slow = vec![false; options.nodes as usize];
        let cycle = (slow.lasts + slow.pause).max(1);
        for &node in &others[..slow.members as usize] {
            is_slow[node as usize] = true;
            let first = if options.own_phase { rng.below(cycle) } else { 0 };
            for at in (first..end).step_by(cycle as usize) {
                acts.push((at, Act::Slow(node, slow.lasts)));
            }
        }
        acts.sort_unstable();
        Self { slow: is_slow, acts, end }
    }

    fn play(&self, options: &Options, subject: &mut impl Subject) -> Findings {
        let start = subject.now() + QUIET;
        subject.run_until(start);
        subject.court().measuring = true;
        for &(at, act) in &self.acts {
            subject.run_until(start + at);
            match act {
                Act::Crash(node) => subject.crash(node),
                Act::Slow(node, lasts) => subject.slow(node, lasts, options.stall),
            }
        }
        subject.run_until(start + self.end);
        let listed = (0..options.nodes).filter_map(|node| subject.listed(node)).min();
        let court = subject.court();
        let mut findings = Findings::new();
        findings.first_suspicions.extend(court.first_suspicions());
        for (after, never) in court.knowledge() {
            findings.to_know += after.len() as u64 + never;
            findings.never += never;
            findings.all_know.extend(after.last().filter(|_| never == 0));
            findings.knowledge.extend(after);
        }
        findings.false_positives = court.false_positives;
        findings.false_positives_healthy = court.false_positives_healthy;
        findings.slow_declared = court.slow_declared;
        findings.listed_min = listed.unwrap_or(0);
        findings.datagrams = court.datagrams;
        findings.bytes = court.bytes;
        findings.node_seconds = f64::from(options.nodes) * self.end as f64 / 1e6;
        findings
    }
}
