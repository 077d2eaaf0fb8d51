//! `lab glomers`: the broadcast challenges 3d and 3e of Gossip Glomers, by Maelstrom's workload and verdict.
//!
//! See [`crate::glomers`]. Every datagram between nodes counts, from the first one on: joining, liveness and repair included.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use gossip_core::{Config, Membership, Neighbor, NodeId, Order};

use crate::glomers::{History, Parted, Topology};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::values::seconds;
use crate::lab::{Common, Failure, runs};
use crate::sim::rng::Rng;
use crate::sim::{self, Birth, Observer, Simulation, Step, Weather, What, address};

const SECOND: u64 = 1_000_000;
/// Between the end of the workload and the final reads.
const QUIET: u64 = 10 * SECOND;
/// The mean time between two changes of the partition.
const NEMESIS_GAP: u64 = 10 * SECOND;

/// Up to so many nodes everybody has room for a link with everybody.
const STAR_MAX: u32 = 32;

/// Options of `lab glomers`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes, each with a client of its own.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    nodes: u32,
    /// What each datagram between nodes takes, in milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    latency: u64,
    /// Operations of all clients in a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// How long they go on, in seconds.
    #[arg(long, default_value = "20", value_parser = seconds)]
    seconds: u64,
    /// The nodes are up for so long before the first operation, in seconds. Maelstrom starts them, and then its clients.
    #[arg(long, default_value = "1", value_parser = seconds)]
    head_start: u64,
    /// The network is parted and heals, again and again, in all the ways of `--nemesis partition`.
    #[arg(long)]
    partitions: bool,
    /// Few datagrams, or speed.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    profile: Profile,
    /// New messages wait so long for company at each node, in milliseconds, with `--profile frugal`.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    delay: u64,
    /// The proposed topology is obeyed; without this, it is ignored, as the challenge allows.
    #[arg(long, value_enum)]
    topology: Option<Topology>,
    /// How many runs, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Neither.
    Default,
    /// New messages wait for company.
    Frugal,
    /// Nothing waits.
    Quick,
}

/// What nodes have, and what they sent.
#[derive(Debug)]
struct Watch {
    values: Vec<BTreeSet<u64>>,
    sent: Vec<u64>,
    told_lost: u64,
}

impl Observer for Watch {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Sent { .. } => self.sent[step.node as usize] += 1,
            What::Delivered { payload, .. } => {
                let value =
                    <[u8; 8]>::try_from(*payload).map(u64::from_le_bytes).expect("the experiment submits 8 bytes");
                self.values[step.node as usize].insert(value);
            }
            What::Told(gossip_core::Event::Gap { first, last, .. }) => self.told_lost += last - first + 1,
            _ => {}
        }
    }
}

/// What one run came to.
#[derive(Clone, Debug)]
struct Found {
    operations: u64,
    sent: u64,
    max_node_share: f64,
    checked: crate::glomers::Checked,
    told_lost: u64,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let found = runs::of_seeds(options.common.seed, options.runs, |seed| Scene::new(options, seed).play());
    Ok(report(options, &found))
}

/// A run in progress.
struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<Watch>,
    rng: Rng,
    history: History,
    next_value: u64,
    /// Values that their nodes had no room for yet.
    waiting: Vec<(u32, u64)>,
}

impl<'a> Scene<'a> {
    fn new(options: &'a Options, seed: u64) -> Self {
        let mut world = sim::Options::new(seed, options.nodes);
        let latency = options.latency * 1_000;
        world.weather = Weather { latency: (latency, latency), ..Weather::fair() };
        let own = options.clone();
        let nodes = options.nodes as usize;
        let watch = Watch { values: vec![BTreeSet::new(); nodes], sent: vec![0; nodes], told_lost: 0 };
        let simulation = Simulation::new(world, move |birth| own.configure(birth), watch);
        let rng = Rng::new(seed, 5);
        Self { options, simulation, rng, history: History::default(), next_value: 0, waiting: Vec::new() }
    }

    fn play(mut self) -> Found {
        self.simulation.start_all();
        if self.options.topology.is_none() {
            for node in 1..self.options.nodes {
                self.simulation.join(node, 0).expect("a new node takes its first contact");
            }
        }
        self.simulation.run_until(self.options.head_start);
        self.work();
        self.simulation.network().heal();
        self.simulation.run_until(self.simulation.now() + QUIET);
        for node in 0..self.options.nodes {
            self.read(node);
        }
        self.found()
    }

    fn work(&mut self) {
        let start = self.simulation.now();
        let (mut at, mut parted) = (start, None);
        let mut nemesis_at = start + self.gap(NEMESIS_GAP);
        loop {
            at += self.gap(SECOND / self.options.rate);
            if at >= start + self.options.seconds {
                break;
            }
            while self.options.partitions && nemesis_at <= at {
                self.simulation.run_until(nemesis_at);
                parted = if parted.is_some() { None } else { Some(self.rng.pick(&Parted::ALL)) };
                let network = self.simulation.network();
                match parted {
                    Some(parted) => parted.apply(network, self.options.nodes, &mut self.rng),
                    None => network.heal(),
                }
                nemesis_at += self.gap(NEMESIS_GAP);
            }
            self.simulation.run_until(at);
            let node = self.rng.below(self.options.nodes.into()) as u32;
            if self.rng.below(2) == 0 {
                self.broadcast(node);
            } else {
                self.read(node);
            }
            self.submit_waiting();
        }
    }

    /// A time of this mean, evenly from nothing to twice as much, as Jepsen staggers.
    fn gap(&mut self, mean: u64) -> u64 {
        self.rng.below(2 * mean + 1)
    }

    fn broadcast(&mut self, node: u32) {
        let value = self.next_value;
        self.next_value += 1;
        self.history.ask(self.simulation.now(), value);
        self.waiting.push((node, value));
    }

    fn submit_waiting(&mut self) {
        let Self { simulation, history, waiting, .. } = self;
        waiting.retain(|&(node, value)| {
            let accepted =
                simulation.submit(node, Order::Unordered, &value.to_le_bytes()).is_some_and(|answer| answer.is_ok());
            if accepted {
                history.acknowledge(simulation.now(), value);
            }
            !accepted
        });
    }

    fn read(&mut self, node: u32) {
        let values = self.simulation.observer.values[node as usize].clone();
        self.history.read(self.simulation.now(), values);
    }

    fn found(&self) -> Found {
        let watch = &self.simulation.observer;
        let sent: u64 = watch.sent.iter().sum();
        let busiest = watch.sent.iter().max().copied().unwrap_or(0);
        Found {
            operations: self.history.operations(),
            sent,
            max_node_share: busiest as f64 * f64::from(self.options.nodes) / sent as f64,
            checked: self.history.check(),
            told_lost: watch.told_lost,
        }
    }
}

impl Options {
    fn configure(&self, birth: Birth) -> Config {
        let id = |node: u32| NodeId(u64::from(node) + 1);
        let mut config = Config::wan(id(birth.node));
        config.started_at = birth.life.into();
        config = match self.profile {
            Profile::Default => config,
            Profile::Quick => config.quick(),
            Profile::Frugal => config.frugal(),
        };
        if self.profile == Profile::Frugal {
            config.timing.data_delay = std::time::Duration::from_millis(self.delay);
        }
        config.limits.peers = config.limits.peers.max(self.nodes + 1);
        // Where everybody is linked with everybody, the tree is a star. A node asks for three quarters of its places.
        if self.nodes <= STAR_MAX {
            config.limits.links = (self.nodes as u16 * 4).div_ceil(3);
        }
        if let Some(topology) = self.topology {
            let named = topology.neighbors(self.nodes, birth.node);
            config.limits.links = config.limits.links.max(named.len() as u16);
            let neighbors = named.into_iter().map(|node| Neighbor { node: id(node), address: address(node, 0) });
            config.membership = Membership::Static { neighbors: neighbors.collect() };
        }
        config
    }
}

fn report(options: &Options, found: &[Found]) -> Report {
    let mut report = Report::new(format!(
        "glomers: {} nodes, {} ms, {} operations a second for {} s{}, {} runs",
        options.nodes,
        options.latency,
        options.rate,
        options.seconds as f64 / 1e6,
        if options.partitions { ", partitions" } else { "" },
        found.len()
    ));
    let sum = |of: fn(&Found) -> u64| found.iter().map(of).sum::<u64>();
    let (sent, operations) = (sum(|found| found.sent), sum(|found| found.operations));
    let worst = |point: f64| {
        let of = |found: &Found| found.checked.quantile(point).map(|latency| latency as f64);
        Value::Measure(found.iter().filter_map(of).reduce(f64::max))
    };
    let lost = sum(|found| found.checked.lost);
    let per_op = Value::Measure(Some(sent as f64 / operations as f64));
    report.add("msgs_per_op", per_op, "3d < 30, 3e < 20; best published 1.99; goal 1.1 and 0.45");
    report.add("median_ms", worst(0.5), "3d < 400, 3e < 1,000; best published 339; the worst run");
    report.add("max_ms", worst(1.0), "3d < 600, 3e < 2,000; best published 678; the worst run");
    report.add("lost", Value::Count(lost), "0");
    report.add("never_read", Value::Count(sum(|found| found.checked.never_read)), "");
    report.add("told_lost", Value::Count(sum(|found| found.told_lost)), "0");
    let share = found.iter().map(|found| found.max_node_share).reduce(f64::max);
    report.add("max_node_share", Value::Measure(share), "a star about 12");
    report.add("operations", Value::Count(operations), "");
    report.add("messages", Value::Count(sent), "");
    let mut all: Vec<u64> = found.iter().flat_map(|found| found.checked.stable_latencies.clone()).collect();
    all.sort_unstable();
    let count = all.len() as f64;
    let points = all.iter().enumerate().map(|(i, &latency)| (latency as f64, (i + 1) as f64 / count)).collect();
    let curve = Curve { name: "stable latency".into(), points };
    report.svg = Some(plot::lines(&report.title, "milliseconds", "share of values", &[curve]));
    report.verdict = (lost > 0).then(|| format!("{lost} values lost"));
    report
}
