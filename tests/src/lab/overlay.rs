//! `lab overlay`: the links as a graph, and what it is still worth when most nodes die at once.
//!
//! All nodes join through one contact, one after the other without pauses. The graph of their links is compared with
//! random ones of the same degrees. Then a share of the nodes dies at one moment, and random survivors submit at once:
//! how much of that reaches how many of them (Leitão, Pereira, Rodrigues 2007, "HyParView", §5, where a dead link is known at
//! once; here it has to be found out).

use clap::Args;
use gossip_core::{Broadcast, Config, NodeId, Order, Repair, Rounds};
use indicatif::ProgressBar;

use crate::lab::graph::{Graph, mean};
use crate::lab::joining::{self, Members};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::spread::Spread;
use crate::lab::values::{range, seconds, share};
use crate::lab::{Common, Failure, progress, runs};
use crate::sim::rng::{Chance, Rng};
use crate::sim::{self, Birth, Simulation, Weather};

const SECOND: u64 = 1_000_000;
/// Shortest paths are measured from so many nodes; the mean over 200 of 10,000 differs from that over all by some
/// thousandths.
const SOURCES: usize = 200;
/// How often the graph is looked at after the failure.
const LOOK: u64 = SECOND / 10;
/// Random graphs that the overlay is compared with. The clustering of a random graph is itself a matter of chance: it has about
/// (degree − 1)³ / 6 triangles, whatever its size, 120 with ten links, and so varies by a tenth from one to the next. One run
/// does not tell whether clustering is within some hundredths of chance, the mean of many does.
const RANDOM_GRAPHS: u64 = 20;

/// Options of `lab overlay`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(3..=65_534))]
    nodes: u32,
    /// The share of nodes that dies at once; at least two survive.
    #[arg(long, default_value_t = 0.8, value_parser = share)]
    fail: f64,
    /// Messages after the failure, each from a random survivor.
    #[arg(long, default_value_t = 1_000)]
    messages: u32,
    /// Time between two of them, in milliseconds.
    #[arg(long, default_value_t = 10)]
    gap_ms: u64,
    /// The share of datagrams that is lost, once all have joined.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Whom a node knows.
    #[arg(long, value_enum, default_value_t = Members::Sampled)]
    membership: Members,
    /// New messages are flooded, and what a flood misses is not fetched.
    #[arg(long)]
    no_repair: bool,
    /// All nodes come within this time, in seconds, one after the other.
    #[arg(long, default_value = "1", value_parser = seconds)]
    join_within: u64,
    /// How long the overlay settles before the failure, in seconds.
    #[arg(long, default_value = "30", value_parser = seconds)]
    settle: u64,
    /// How long it may take until all survivors have everything, in seconds after the last message.
    #[arg(long, default_value = "30", value_parser = seconds)]
    patience: u64,
    /// The range of one-way latencies, in milliseconds: drawn once for each pair.
    #[arg(long, default_value = "10..50", value_parser = range)]
    latency: (u64, u64),
    /// How many runs, each with a seed of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// How many runs go on at once; as many as there are cores by default.
    #[arg(long)]
    threads: Option<usize>,
}

/// What one run came to.
#[derive(Clone, Debug, Default)]
struct Found {
    degree: Option<f64>,
    clustering: Option<f64>,
    path: Option<f64>,
    random_clustering: Option<f64>,
    random_clustering_sd: Option<f64>,
    random_path: Option<f64>,
    components_before: u32,
    reliability_mean: Option<f64>,
    reliability_last_half: Option<f64>,
    one_component: Option<f64>,
    outside: u32,
    ldh: Option<f64>,
    missed: u64,
    duplicates: u64,
    spins: u64,
    accepted: u64,
    /// The share of survivors in the largest component, over the seconds since the failure.
    largest: Vec<(f64, f64)>,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let bar = progress::bar(options.runs * u64::from(options.messages), "messages");
    let seeds: Vec<u64> = (0..options.runs).map(|run| options.common.seed.wrapping_add(run)).collect();
    let hidden = ProgressBar::hidden();
    let found = runs::map(&seeds, options.threads, &hidden, |&seed| Scene::new(options, seed).play(&bar));
    bar.finish_and_clear();
    Ok(report(options, &found))
}

impl Options {
    /// New messages of repaired runs spread as they do by default; the bare overlay is measured by a flood.
    fn configure(&self, birth: Birth) -> Config {
        let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
        config.started_at = birth.life.into();
        if self.no_repair {
            config.repair = Repair::Off;
            config.broadcast = Broadcast::Flood { ttl: 255 };
        } else {
            config.broadcast = Broadcast::Rumor { fanout: 3, rounds: Rounds::Auto };
        }
        self.membership.configure(&mut config, self.nodes, self.messages);
        let limits = &mut config.limits;
        limits.messages = self.messages.max(64);
        limits.payload_bytes = 64 * limits.messages;
        config
    }
}

struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<Spread>,
    rng: Rng,
    found: Found,
    failed_at: u64,
}

impl<'a> Scene<'a> {
    fn new(options: &'a Options, seed: u64) -> Self {
        let mut world = sim::Options::new(seed, options.nodes);
        let latency = (options.latency.0 * 1_000, options.latency.1 * 1_000);
        world.weather = Weather { latency, ..Weather::fair() };
        let template = options.clone();
        let simulation = Simulation::new(world, move |birth| template.configure(birth), Spread::new(options.nodes));
        Self { options, simulation, rng: Rng::new(seed, 4), found: Found::default(), failed_at: 0 }
    }

    fn play(mut self, bar: &ProgressBar) -> Found {
        bar.set_message("joining");
        joining::join_all(&mut self.simulation, self.options.membership, &mut self.rng, self.options.join_within);
        self.simulation.network().weather.loss = Chance::of(self.options.loss);
        self.wait(self.options.settle);
        self.measure_graph();
        self.fail();
        bar.set_message("submitting");
        self.submit_all(bar);
        bar.set_message("settling");
        let end = self.simulation.now() + self.options.patience;
        let mut checked = self.simulation.now();
        while self.simulation.now() < end {
            self.wait(LOOK);
            self.look();
            // Whether all is delivered is dear to find out: once a second is enough.
            if self.simulation.now() >= checked + SECOND {
                checked = self.simulation.now();
                if self.found.one_component.is_some() && self.simulation.observer.missed() == 0 {
                    break;
                }
            }
        }
        self.judge()
    }

    fn wait(&mut self, micros: u64) {
        self.simulation.run_until(self.simulation.now() + micros);
    }

    fn measure_graph(&mut self) {
        let graph = Graph::of_links(&self.simulation);
        let random: Vec<Graph> = (0..RANDOM_GRAPHS).map(|_| graph.shuffled(self.rng.next())).collect();
        let over_all = |of: &dyn Fn(&Graph) -> Option<f64>| mean(random.iter().filter_map(of));
        let found = &mut self.found;
        found.components_before = graph.clusters(|_| false).len() as u32;
        let path = |graph: &Graph| graph.path(graph.some_nodes(SOURCES));
        (found.degree, found.clustering, found.path) = (graph.degree(), graph.clustering(), path(&graph));
        (found.random_clustering, found.random_path) = (over_all(&Graph::clustering), over_all(&path));
        found.random_clustering_sd = found.random_clustering.and_then(|middle| {
            mean(random.iter().filter_map(Graph::clustering).map(|one| (one - middle).powi(2))).map(f64::sqrt)
        });
    }

    fn fail(&mut self) {
        let nodes = self.options.nodes;
        let count = ((f64::from(nodes) * self.options.fail).round() as u32).min(nodes - 2);
        for _ in 0..count {
            let victim = self.living();
            self.simulation.crash(victim);
        }
        self.failed_at = self.simulation.now();
    }

    fn living(&mut self) -> u32 {
        loop {
            let node = self.rng.below(self.options.nodes.into()) as u32;
            if self.simulation.is_up(node) {
                return node;
            }
        }
    }

    fn submit_all(&mut self, bar: &ProgressBar) {
        self.simulation.observer.measuring = true;
        let mut next_look = self.failed_at;
        for message in 0..u64::from(self.options.messages) {
            let at = self.failed_at + message * self.options.gap_ms * 1_000;
            while next_look <= at {
                self.simulation.run_until(next_look);
                self.look();
                next_look += LOOK;
            }
            self.simulation.run_until(at);
            let (sender, payload): (u32, [u8; 32]) = (self.living(), self.rng.bytes());
            self.simulation.submit(sender, Order::Unordered, &payload);
            bar.inc(1);
        }
    }

    /// Looks whether all survivors are in one component, until they are.
    fn look(&mut self) {
        if self.found.one_component.is_some() {
            return;
        }
        let sizes = Graph::of_links(&self.simulation).clusters(|_| false);
        let (largest, all) = (sizes.first().copied().unwrap_or(0), sizes.iter().sum::<u32>());
        let since = (self.simulation.now() - self.failed_at) as f64 / 1e6;
        self.found.largest.push((since, f64::from(largest) / f64::from(all.max(1))));
        self.found.outside = all - largest;
        self.found.one_component = (sizes.len() == 1).then_some(since);
    }

    fn judge(mut self) -> Found {
        let spread = &self.simulation.observer;
        let messages = spread.messages() as usize;
        self.found.reliability_mean = spread.reliability(0..messages);
        self.found.reliability_last_half = spread.reliability(messages / 2..messages);
        self.found.ldh = spread.ldh();
        self.found.missed = spread.missed();
        self.found.duplicates = spread.duplicates;
        self.found.spins = spread.spins;
        self.found.accepted = spread.messages();
        self.found
    }
}

fn report(options: &Options, found: &[Found]) -> Report {
    let mut report = Report::new(format!(
        "overlay: {} nodes, {} % die at once, then {} messages {} ms apart, loss {} %, {} runs",
        options.nodes,
        options.fail * 100.0,
        options.messages,
        options.gap_ms,
        options.loss * 100.0,
        options.runs
    ));
    let all = |of: fn(&Found) -> Option<f64>| found.iter().map(of).collect::<Option<Vec<f64>>>();
    let average = |of| Value::Measure(all(of).map(|all| all.iter().sum::<f64>() / all.len() as f64));
    let sum = |of: fn(&Found) -> u64| Value::Count(found.iter().map(of).sum());
    let least = |of| Value::Measure(all(of).and_then(|all| all.into_iter().reduce(f64::min)));
    let most = |of| Value::Measure(all(of).and_then(|all| all.into_iter().reduce(f64::max)));
    report.add(
        "reliability_mean",
        average(|found| found.reliability_mean),
        "HyParView over time-outs 0.867 at 80 %; floor 1.0 at 80 %, ≥ 0.99 at 90 %",
    );
    report.add("reliability_min", least(|found| found.reliability_mean), "the worst run");
    report.add("reliability_last_half", average(|found| found.reliability_last_half), "goal ≥ 0.99 at 95 %");
    report.add("one_component_s", average(|found| found.one_component), "floor ≤ 6, goal ≤ 4 at 80 %");
    report.add("one_component_max_s", most(|found| found.one_component), "the worst run");
    report.add(
        "outside",
        sum(|found| found.outside.into()),
        "survivors outside the largest component at the last look",
    );
    report.add("clustering", average(|found| found.clustering), "HyParView 0.00092 at 10⁴");
    report.add(
        "random_clustering",
        average(|found| found.random_clustering),
        "mean over 20 random graphs of the same degrees",
    );
    report.add(
        "random_clustering_sd",
        average(|found| found.random_clustering_sd),
        "from one random graph to the next",
    );
    report.add("path", average(|found| found.path), "HyParView 6.385 at 10⁴");
    report.add("random_path", average(|found| found.random_path), "mean over 20 random graphs");
    report.add("degree", average(|found| found.degree), "HyParView 5");
    report.add("components_before", sum(|found| found.components_before.into()), "one per run");
    report.add("ldh", average(|found| found.ldh), "HyParView 9.0");
    report.add("missed", sum(|found| found.missed), "0 with repair");
    report.add("duplicates", sum(|found| found.duplicates), "0");
    report.add("accepted", sum(|found| found.accepted), "messages");
    let curves = found.iter().take(6).enumerate();
    let curves: Vec<Curve> =
        curves.map(|(run, found)| Curve { name: format!("run {run}"), points: found.largest.clone() }).collect();
    report.svg =
        Some(plot::lines(&report.title, "seconds since the failure", "share of survivors in one component", &curves));
    let missed: u64 = found.iter().map(|found| found.missed).sum();
    let broken: u64 = found.iter().map(|found| found.duplicates + found.spins).sum();
    let fails = broken > 0 || missed > 0 && !options.no_repair;
    report.verdict = fails.then(|| format!("{missed} missed, {broken} duplicates or spins"));
    report
}
