//! `lab heal`: how soon a split network is whole again.
//!
//! Some nodes are cut off from the others, for a while, and each side goes on submitting. Then the cut ends. The network is
//! whole when all nodes list each other as alive and are linked in one component, everything submitted before has been
//! delivered or told everywhere, and fresh messages spread as fast as before the split.

use clap::Args;
use gossip_core::{Config, Gossip, NodeId, Order};

use crate::lab::graph::Graph;
use crate::lab::joining::{self, Members};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::spread::Spread;
use crate::lab::traffic::Meter;
use crate::lab::values::{range, seconds, share};
use crate::lab::{Common, Failure, runs};
use crate::sim::rng::{Chance, Rng};
use crate::sim::{self, Birth, Simulation, Weather};

const SECOND: u64 = 1_000_000;
/// How long the cluster is left alone after joining.
const QUIET: u64 = 20 * SECOND;
/// How often it is looked at, and how often a fresh message is submitted, after the split.
const LOOK: u64 = SECOND / 10;
/// Messages before the split, which say what is normal.
const NORMAL: u64 = 20;
/// Fresh messages in a row that have to spread normally, half of them from each side.
const FRESH: u64 = 4;
/// A fresh message is normal where 99 % of the nodes have it within so many times the slowest of the messages before.
const SLACK: f64 = 1.5;
/// Messages on each side while the network is split, one a second in the first half of that time.
const SPLIT_MESSAGES_MAX: u64 = 30;

/// The most messages, with two minutes of fresh ones.
const MESSAGES_MAX: u32 = 1_500;

/// Options of `lab heal`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    nodes: u32,
    /// The share of nodes that is cut off; at least one node is.
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    split: f64,
    /// How long, in seconds.
    #[arg(long = "for", default_value = "60", value_parser = seconds)]
    lasts: u64,
    /// One node alone is cut off.
    #[arg(long, conflicts_with = "split")]
    isolate: bool,
    /// The share of datagrams that is lost, once all have joined.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// The range of one-way latencies, in milliseconds: drawn once for each pair.
    #[arg(long, default_value = "10..50", value_parser = range)]
    latency: (u64, u64),
    /// Whom a node knows.
    #[arg(long, value_enum, default_value_t = Members::Full)]
    membership: Members,
    /// How long healing may take, in seconds.
    #[arg(long, default_value = "120", value_parser = seconds)]
    patience: u64,
    /// How many runs, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

/// What one run came to. Times are in microseconds since the end of the split.
#[derive(Clone, Debug, Default)]
struct Found {
    listed: Option<u64>,
    connected: Option<u64>,
    whole: Option<u64>,
    fresh: Option<u64>,
    missed: u64,
    duplicates: u64,
    unreadable: u64,
    spins: u64,
    normal_ms: f64,
    /// Bytes per node and second.
    idle_before: f64,
    idle_while_split: f64,
    /// The share of members that a node lists, mean over nodes, over the seconds since the end of the split.
    curve: Vec<(f64, f64)>,
}

impl Found {
    fn healed(&self) -> Option<u64> {
        Some(self.listed?.max(self.connected?).max(self.whole?).max(self.fresh?))
    }
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let found = runs::of_seeds(options.common.seed, options.runs, |seed| Scene::new(options, seed).play());
    Ok(report(options, &found))
}

/// A run in progress.
struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<(Spread, Meter)>,
    rng: Rng,
    /// Which nodes are cut off.
    cut: Vec<bool>,
    found: Found,
}

impl<'a> Scene<'a> {
    fn new(options: &'a Options, seed: u64) -> Self {
        let (nodes, members) = (options.nodes, options.membership);
        let mut world = sim::Options::new(seed, nodes);
        let latency = (options.latency.0 * 1_000, options.latency.1 * 1_000);
        world.weather = Weather { latency, ..Weather::fair() };
        let observer = (Spread::new(nodes), Meter::default());
        let simulation = Simulation::new(world, move |birth| configure(birth, members, nodes), observer);
        let mut rng = Rng::new(seed, 3);
        let many = if options.isolate { 1 } else { ((f64::from(nodes) * options.split) as u32).max(1) };
        let mut cut = vec![false; nodes as usize];
        let mut left = many;
        while left > 0 {
            let node = rng.below(nodes.into()) as usize;
            left -= u32::from(!std::mem::replace(&mut cut[node], true));
        }
        Self { options, simulation, rng, cut, found: Found::default() }
    }

    fn play(mut self) -> Found {
        joining::join_all(&mut self.simulation, self.options.membership, &mut self.rng, SECOND);
        self.simulation.network().weather.loss = Chance::of(self.options.loss);
        self.wait(QUIET / 2);
        self.found.idle_before = self.idle(QUIET / 2);
        self.measure_normal();
        self.split();
        let healed_at = self.simulation.now();
        self.heal(healed_at);
        let spread = &self.simulation.observer.0;
        self.found.missed = spread.missed_before(healed_at);
        self.found.duplicates = spread.duplicates;
        self.found.unreadable = spread.unreadable;
        self.found.spins = spread.spins;
        self.found
    }

    fn wait(&mut self, micros: u64) {
        self.simulation.run_until(self.simulation.now() + micros);
    }

    /// Bytes per node and second while nothing happens.
    fn idle(&mut self, micros: u64) -> f64 {
        self.simulation.observer.1 = Meter { on: true, bytes: 0 };
        self.wait(micros);
        let meter = &mut self.simulation.observer.1;
        meter.on = false;
        meter.bytes as f64 / f64::from(self.options.nodes) / (micros as f64 / 1e6)
    }

    /// Submits from a random node of one side.
    fn submit(&mut self, cut_off: bool) {
        let node = loop {
            let node = self.rng.below(self.options.nodes.into()) as u32;
            if self.cut[node as usize] == cut_off {
                break node;
            }
        };
        let payload: [u8; 32] = self.rng.bytes();
        self.simulation.observer.0.measuring = true;
        self.simulation.submit(node, Order::Unordered, &payload);
    }

    fn measure_normal(&mut self) {
        for message in 0..NORMAL {
            self.submit(message % 2 == 0);
            self.wait(LOOK);
        }
        self.wait(5 * SECOND);
        let spread = &self.simulation.observer.0;
        let slowest = (0..NORMAL).filter_map(|message| spread.reached_ms(message, 0.99)).fold(0.0, f64::max);
        self.found.normal_ms = slowest;
    }

    fn split(&mut self) {
        let network = self.simulation.network();
        for (node, &cut) in self.cut.iter().enumerate() {
            network.assign(node as u32, cut.into());
        }
        network.cut(0, 1);
        network.cut(1, 0);
        let (end, messages) = (self.simulation.now() + self.options.lasts, self.options.lasts / (2 * SECOND));
        for _ in 0..messages.min(SPLIT_MESSAGES_MAX) {
            self.submit(true);
            self.submit(false);
            self.wait(SECOND);
        }
        let left = end - self.simulation.now();
        self.wait(left / 2);
        self.found.idle_while_split = self.idle(left - left / 2);
        self.simulation.network().heal();
    }

    /// Looks at the network until it is whole, or patience is over.
    fn heal(&mut self, healed_at: u64) {
        let before = self.simulation.observer.0.messages();
        while self.found.healed().is_none() && self.simulation.now() < healed_at + self.options.patience {
            let fresh = self.simulation.observer.0.messages() - before;
            self.submit(fresh.is_multiple_of(2));
            self.wait(LOOK);
            self.look(healed_at, before);
        }
    }

    fn look(&mut self, healed_at: u64, before: u64) {
        let (simulation, found) = (&self.simulation, &mut self.found);
        let since = simulation.now() - healed_at;
        let nodes = self.options.nodes;
        let listed: Vec<u32> =
            (0..nodes).map(|node| simulation.view(node).map_or(0, Gossip::size_estimate).min(nodes)).collect();
        let mean = listed.iter().map(|&count| f64::from(count)).sum::<f64>() / f64::from(nodes).powi(2);
        found.curve.push((since as f64 / 1e6, mean));
        // Where nodes know a part only, nobody lists all: one component has to do.
        let lists_all = |&count: &u32| self.options.membership == Members::Sampled || count == nodes;
        note(&mut found.listed, since, || listed.iter().all(lists_all));
        note(&mut found.connected, since, || Graph::of_links(simulation).clusters(|_| false) == [nodes]);
        let spread = &simulation.observer.0;
        note(&mut found.whole, since, || spread.missed_before(healed_at) == 0);
        let limit = found.normal_ms * SLACK;
        let is_normal = |message: u64| spread.reached_ms(message, 0.99).is_some_and(|reached| reached <= limit);
        let fresh = spread.messages() - before;
        let first = (0..(fresh + 1).saturating_sub(FRESH))
            .find(|&first| (first..first + FRESH).all(|message| is_normal(before + message)));
        found.fresh = first.map(|first| first * LOOK);
    }
}

/// Notes the first time at which something is so.
fn note(first: &mut Option<u64>, now: u64, is_so: impl FnOnce() -> bool) {
    if first.is_none() && is_so() {
        *first = Some(now);
    }
}

fn configure(birth: Birth, members: Members, nodes: u32) -> Config {
    let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
    config.started_at = birth.life.into();
    members.configure(&mut config, nodes, MESSAGES_MAX);
    config
}

fn report(options: &Options, found: &[Found]) -> Report {
    let cut = if options.isolate { "one node".into() } else { format!("{} %", options.split * 100.0) };
    let mut report = Report::new(format!(
        "heal: {} nodes, {cut} cut off for {} s, loss {} %, {} runs",
        options.nodes,
        options.lasts as f64 / 1e6,
        options.loss * 100.0,
        options.runs
    ));
    let times = |of: fn(&Found) -> Option<u64>| -> Option<Vec<f64>> {
        found.iter().map(|found| of(found).map(|micros| micros as f64 / 1e6)).collect()
    };
    let mean = |of| Value::Measure(times(of).map(|all| all.iter().sum::<f64>() / all.len() as f64));
    let worst = times(Found::healed).and_then(|all| all.into_iter().reduce(f64::max));
    let average = |of: fn(&Found) -> f64| Value::Measure(Some(found.iter().map(of).sum::<f64>() / found.len() as f64));
    let sum = |of: fn(&Found) -> u64| found.iter().map(of).sum::<u64>();
    report.add(
        "heal_s",
        mean(Found::healed),
        "memberlist, foca: never; Cassandra 500 at 1,000; floor ≤ 30, goal ≤ 3.5",
    );
    report.add("heal_max_s", Value::Measure(worst), "goal at 10 % loss ≤ 5, at 30 % ≤ 10; one node ≤ 2.5");
    report.add("missed", Value::Count(sum(|found| found.missed)), "0");
    report.add("idle_bytes_while_split", average(|found| found.idle_while_split), "per node and second");
    report.add("idle_bytes_before", average(|found| found.idle_before), "per node and second; goal ≤ 125");
    report.add("listed_s", mean(|found| found.listed), "all list each other alive");
    report.add("connected_s", mean(|found| found.connected), "one component");
    report.add("whole_s", mean(|found| found.whole), "all that was submitted is delivered or told");
    report.add("fresh_s", mean(|found| found.fresh), "fresh messages spread as before");
    report.add("normal_p99_ms", average(|found| found.normal_ms), "before the split");
    report.add("duplicates", Value::Count(sum(|found| found.duplicates)), "0");
    let curves = found.iter().take(6).enumerate();
    let curves: Vec<Curve> =
        curves.map(|(run, found)| Curve { name: format!("run {run}"), points: found.curve.clone() }).collect();
    report.svg =
        Some(plot::lines(&report.title, "seconds since the end of the split", "share of members listed", &curves));
    let (missed, broken) = (sum(|found| found.missed), sum(|found| found.duplicates + found.unreadable + found.spins));
    report.verdict = if found.iter().any(|found| found.healed().is_none()) {
        Some(format!("not healed after {} s", options.patience as f64 / 1e6))
    } else {
        (missed + broken > 0).then(|| format!("{missed} missed, {broken} duplicates, unreadable or spins"))
    };
    report
}
