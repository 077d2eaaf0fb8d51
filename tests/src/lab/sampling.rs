//! `lab sampling`: what graph the views of a peer sampling protocol make, and how soon they forget the dead.
//!
//! All nodes run the real core with sampled membership, for so many cycles; a cycle is the time in which each node begins
//! one exchange. They begin with random views, or (`--grow`) one after the other with nothing but the address of the first.
//! Everything else that a node does is slowed down to an hour, so that what is measured is the exchange of views alone:
//! nobody has more than one link, and no death is found but by an exchange that was not answered, which costs its
//! cycle.

use clap::{Args, ValueEnum};
use gossip_core::{
    Config, Freshness, Gossip, Membership, Neighbor, NodeId, PeerSelection, Sampling, Timing, ViewPropagation,
    ViewSelection,
};

use crate::lab::graph::{Graph, mean};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::values::share;
use crate::lab::{Common, Failure, progress};
use crate::sim::rng::{Rng, hash};
use crate::sim::{self, Birth, Simulation, address};

/// A cycle, in microseconds: long against the latency, so that few exchanges overlap.
const CYCLE: u64 = 10_000_000;
/// So many nodes come in each cycle of a growing network, as in the paper of 2007.
const NEWCOMERS: u32 = 500;
/// So many cycles are waited for the dead to be forgotten.
const CYCLES_AFTER_KILL: u32 = 200;
/// Shortest paths are measured from so many nodes.
const SOURCES: usize = 100;
/// How often nodes are removed by chance, to see whether the others hold together.
const DRAWS: u64 = 20;

/// Options of `lab sampling`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    nodes: u32,
    /// Entries of a view.
    #[arg(long, default_value_t = 30)]
    view: u16,
    /// With whom a node exchanges.
    #[arg(long, value_enum, default_value_t = Choice::Tail)]
    peer_selection: Choice,
    /// Who gives entries to whom.
    #[arg(long, value_enum, default_value_t = Direction::Pushpull)]
    view_propagation: Direction,
    /// Which entries stay, with `--classic`.
    #[arg(long, value_enum, default_value_t = Choice::Head, requires = "classic")]
    view_selection: Choice,
    /// The form of 2004, which exchanges whole views, instead of that of 2007 with healer and swapper.
    #[arg(long, conflicts_with_all = ["healer", "swapper"])]
    classic: bool,
    /// How many of the oldest entries go first.
    #[arg(long, default_value_t = 1)]
    healer: u16,
    /// How many of the entries given away go next. Default: half the view, less the healer.
    #[arg(long)]
    swapper: Option<u16>,
    /// Our own form: so many copies of a node's own entry a cycle, instead of healer and swapper.
    #[arg(long, requires = "lifetime", conflicts_with_all = ["healer", "swapper", "classic"])]
    copies: Option<u8>,
    /// Our own form: entries live for so many cycles.
    #[arg(long, requires = "copies")]
    lifetime: Option<u8>,
    /// By what entries age: the clock, as nodes do by default, or counting, as in the papers and in the tables that
    /// their protocols are compared with. Default: counted, and by the clock with leases.
    #[arg(long, value_enum)]
    freshness: Option<Aging>,
    /// How many cycles before the graph is measured.
    #[arg(long, default_value_t = 300)]
    cycles: u32,
    /// The share of nodes that is killed at once thereafter.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    kill: f64,
    /// The share of nodes that is removed from the graph, by chance, to see whether the others hold together.
    #[arg(long, default_value_t = 0.85, value_parser = share)]
    remove: f64,
    /// The network grows from one node, 500 a cycle, and newcomers know the first one only.
    #[arg(long)]
    grow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    Head,
    Rand,
    Tail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Direction {
    Push,
    Pull,
    Pushpull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Aging {
    Time,
    Counted,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    let template = options.clone();
    let simulation = Simulation::new(
        sim::Options::new(options.common.seed, options.nodes),
        move |birth| template.configure(birth),
        (),
    );
    Ok(Scene { options, simulation, rng: Rng::new(options.common.seed, 2) }.play())
}

impl Options {
    fn check(&self) -> Result<(), Failure> {
        let config = self.configure(Birth { node: 0, life: 1, at: 0 });
        Gossip::new(config, [0; 32], gossip_core::Instant::ZERO)
            .map(drop)
            .map_err(|error| Failure::Usage(error.to_string()))
    }

    fn protocol(&self) -> Sampling {
        let peer_selection = match self.peer_selection {
            Choice::Head => PeerSelection::Head,
            Choice::Rand => PeerSelection::Random,
            Choice::Tail => PeerSelection::Tail,
        };
        let view_propagation = match self.view_propagation {
            Direction::Push => ViewPropagation::Push,
            Direction::Pull => ViewPropagation::Pull,
            Direction::Pushpull => ViewPropagation::PushPull,
        };
        let view_selection = match (self.copies.zip(self.lifetime), self.view_selection) {
            (Some((copies, lifetime)), _) => ViewSelection::Lease { copies, lifetime },
            _ if !self.classic => {
                let swapper = self.swapper.unwrap_or((self.view / 2).saturating_sub(self.healer));
                ViewSelection::Balanced { healer: self.healer, swapper }
            }
            (None, Choice::Head) => ViewSelection::Head,
            (None, Choice::Rand) => ViewSelection::Random,
            (None, Choice::Tail) => ViewSelection::Tail,
        };
        let freshness = match (self.freshness, view_selection) {
            (Some(Aging::Time), _) | (None, ViewSelection::Lease { .. }) => Freshness::Time,
            (Some(Aging::Counted), _) | (None, _) => Freshness::Counted,
        };
        Sampling { peer_selection, view_propagation, view_selection, freshness }
    }

    fn configure(&self, birth: Birth) -> Config {
        let id = |node: u32| NodeId(u64::from(node) + 1);
        let mut config = Config::lan(id(birth.node));
        config.started_at = birth.life.into();
        let known = self.first_view(birth.node).into_iter();
        let known = known.map(|node| Neighbor { node: id(node), address: address(node, 0) }).collect();
        config.membership = Membership::Sampled { sampling: self.protocol(), known };
        config.timing = slow(config.timing);
        let limits = &mut config.limits;
        limits.view = self.view;
        (limits.links, limits.peers, limits.contacts, limits.origins) = (1, 4, 1, 1);
        (limits.messages, limits.payload_bytes, limits.window) = (1, u32::from(config.mtu), 16);
        (limits.registers, limits.register_bytes) = (4, 256);
        config
    }

    /// Whom a node knows at first.
    fn first_view(&self, node: u32) -> Vec<u32> {
        if self.grow {
            return if node == 0 { vec![] } else { vec![0] };
        }
        let mut rng = Rng::new(hash([self.common.seed, u64::from(node)]), 3);
        let mut known = Vec::new();
        while known.len() < usize::from(self.view).min(self.nodes as usize - 1) {
            let other = rng.below(u64::from(self.nodes)) as u32;
            if other != node && !known.contains(&other) {
                known.push(other);
            }
        }
        known
    }
}

/// The pace at which nothing happens but exchanges.
fn slow(timing: Timing) -> Timing {
    let hour = std::time::Duration::from_secs(3_600);
    let mut slow = timing;
    slow.exchange_period = std::time::Duration::from_micros(CYCLE);
    (slow.beat_period, slow.repair_period, slow.retry_first, slow.retry_cap) = (hour, hour, hour, hour);
    slow
}

/// A run in progress.
struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<()>,
    rng: Rng,
}

impl Scene<'_> {
    fn play(mut self) -> Report {
        let bar = progress::bar(u64::from(self.options.cycles), "cycles");
        bar.set_message("exchanging");
        for cycle in 0..self.options.cycles {
            self.let_in(cycle);
            self.simulation.run_until(u64::from(cycle + 1) * CYCLE);
            bar.inc(1);
        }
        let before = self.graph();
        let size = self.size_estimates();
        let dead = if self.options.kill > 0.0 { self.kill(&bar) } else { Vec::new() };
        bar.finish_and_clear();
        self.report(&before, &dead, size)
    }

    /// Those who come at the beginning of this cycle.
    fn let_in(&mut self, cycle: u32) {
        let (first, count) = match (self.options.grow, cycle) {
            (true, _) => (cycle.saturating_mul(NEWCOMERS), NEWCOMERS),
            (false, 0) => (0, self.options.nodes),
            (false, _) => return,
        };
        for node in first..first.saturating_add(count).min(self.options.nodes) {
            self.simulation.start(node, false);
        }
    }

    fn view(&self, node: u32) -> Option<Vec<u32>> {
        let place = |id: NodeId| (id.0 - 1) as u32;
        self.simulation.view(node).map(|gossip| gossip.current_view().map(|entry| place(entry.node)).collect())
    }

    fn graph(&self) -> Graph {
        Graph::new(&(0..self.options.nodes).map(|node| self.view(node)).collect::<Vec<_>>())
    }

    /// How many nodes a node believes that there are, and how far it is off as a share of those that there are: means.
    fn size_estimates(&self) -> (Option<f64>, Option<f64>) {
        let nodes = (0..self.options.nodes).filter(|&node| self.simulation.is_up(node)).count() as f64;
        let estimates = || {
            (0..self.options.nodes)
                .filter_map(|node| self.simulation.view(node))
                .map(|one| f64::from(one.size_estimate()))
        };
        (mean(estimates()), mean(estimates().map(|estimate| (estimate / nodes - 1.0).abs())))
    }

    /// Kills a share of the nodes. Returns how many entries of a surviving view are dead, mean over views: at once,
    /// and after each further cycle until there are none.
    fn kill(&mut self, bar: &indicatif::ProgressBar) -> Vec<f64> {
        let mut victims: Vec<u32> = (0..self.options.nodes).filter(|&node| self.simulation.is_up(node)).collect();
        shuffle(&mut self.rng, &mut victims);
        victims.truncate((victims.len() as f64 * self.options.kill) as usize);
        victims.iter().for_each(|&victim| self.simulation.crash(victim));
        bar.set_message("forgetting");
        let mut dead = vec![self.dead_entries()];
        while dead.last().is_some_and(|&dead| dead > 0.0) && dead.len() <= CYCLES_AFTER_KILL as usize {
            self.simulation.run_until(self.simulation.now() + CYCLE);
            dead.push(self.dead_entries());
        }
        dead
    }

    fn dead_entries(&self) -> f64 {
        let views = (0..self.options.nodes).filter_map(|node| self.view(node));
        let dead = views.map(|view| view.iter().filter(|&&other| !self.simulation.is_up(other)).count() as f64);
        mean(dead).unwrap_or(0.0)
    }

    /// In how many draws the nodes that are left fall apart when a share is removed, and how many are then outside of
    /// the largest cluster, mean over draws.
    fn tear(&mut self, graph: &Graph) -> (u64, f64) {
        let (mut apart, mut outside) = (0, 0);
        for _ in 0..DRAWS {
            let mut order: Vec<u32> = graph.nodes().collect();
            shuffle(&mut self.rng, &mut order);
            let mut removed = vec![false; self.options.nodes as usize];
            let count = (order.len() as f64 * self.options.remove) as usize;
            order[..count].iter().for_each(|&node| removed[node as usize] = true);
            let clusters = graph.clusters(|node| removed[node as usize]);
            apart += u64::from(clusters.len() > 1);
            outside += clusters.iter().skip(1).sum::<u32>();
        }
        (apart, f64::from(outside) / DRAWS as f64)
    }

    fn report(mut self, before: &Graph, dead: &[f64], (estimate, error): (Option<f64>, Option<f64>)) -> Report {
        let options = self.options;
        let title = format!(
            "sampling: {} nodes, views of {}, {} cycles, {}{}",
            options.nodes,
            options.view,
            options.cycles,
            options.protocol(),
            if options.grow { ", grown from one" } else { "" }
        );
        let mut report = Report::new(title);
        let (low, high) = (before.in_degrees().min(), before.in_degrees().max());
        let mut sources: Vec<u32> = before.nodes().collect();
        shuffle(&mut self.rng, &mut sources);
        let after = self.graph().clusters(|_| false);
        let (apart, outside) = self.tear(before);
        let first = |level: f64| dead.iter().position(|&left| left <= level * dead[0]).map(|cycle| cycle as f64);
        let left = |cycle: usize| Value::Measure((!dead.is_empty()).then(|| dead.get(cycle).copied().unwrap_or(0.0)));
        report.add("degree", Value::Measure(before.degree()), "random graph 59.9 (10⁴ nodes, views of 30)");
        report.add("in_degree_sd", Value::Measure(before.in_degree_sd()), "random graph 5.44; goal ≤ 4");
        report.add("in_degree_min", Value::Count(low.unwrap_or(0).into()), "");
        report.add("in_degree_max", Value::Count(high.unwrap_or(0).into()), "");
        report.add("clustering", Value::Measure(before.clustering()), "random graph 0.0059");
        report.add("path", Value::Measure(before.path(sources.into_iter().take(SOURCES))), "random graph 2.687");
        report.add("clusters", Value::Count(after.len() as u64), "1");
        report.add("dead_at_once", left(0), "half of a view after half have died");
        report.add("dead_after_5", left(5), "");
        report.add("dead_after_10", left(10), "");
        report.add("dead_after_20", left(20), "");
        report.add("dead_half_cycle", Value::Measure(first(0.5)), "");
        report.add("dead_zero_cycle", Value::Measure(first(0.0)), "goal ≤ 10 after half have died");
        report.add("torn_draws", Value::Count(apart), "of 20 draws; random views: 1 to 4 at 85 %; goal 0");
        report.add("torn_outside", Value::Measure(Some(outside)), "");
        report.add("size_estimate", Value::Measure(estimate), "mean over nodes, before any is killed");
        report.add("size_error", Value::Measure(error), "mean deviation; one sketch 0.13, smoothed about 0.05");
        report.add("events", Value::Count(self.simulation.processed()), "");
        report.add("trace_hash", Value::Text(format!("{:016x}", self.simulation.trace_hash())), "");
        report.svg = Some(if dead.is_empty() { degrees(&report.title, before) } else { decay(&report.title, dead) });
        report
    }
}

/// How many nodes have each in-degree.
fn degrees(title: &str, graph: &Graph) -> String {
    let mut counts = std::collections::BTreeMap::<u32, u32>::new();
    graph.in_degrees().for_each(|degree| *counts.entry(degree).or_default() += 1);
    let last = counts.keys().next_back().copied().unwrap_or(0);
    let count = |degree: &u32| f64::from(counts.get(degree).copied().unwrap_or(0));
    let points = (0..=last).map(|degree| (f64::from(degree), count(&degree))).collect();
    plot::lines(title, "views that list a node", "nodes", &[Curve { name: "in-degree".into(), points }])
}

/// How the dead are forgotten.
fn decay(title: &str, dead: &[f64]) -> String {
    let points = dead.iter().enumerate().map(|(cycle, &left)| (cycle as f64, left)).collect();
    let curve = Curve { name: "mean over views".into(), points };
    plot::lines(title, "cycles since the deaths", "dead entries of a view", &[curve])
}

fn shuffle(rng: &mut Rng, nodes: &mut [u32]) {
    for last in (1..nodes.len()).rev() {
        nodes.swap(last, rng.below(last as u64 + 1) as usize);
    }
}
