//! `lab broadcast`: how fast, how completely and at what price messages spread.
//!
//! All nodes join through one contact. When their links have settled, messages are submitted at a steady pace; the first
//! ones warm up, the others are measured. What is sent counts from the first measured submission until all measured messages are whole.

use clap::{Args, ValueEnum};
use gossip_core::{Broadcast, Config, Gossip, NodeId, Order, Repair, Rounds};
use indicatif::ProgressBar;

use crate::lab::joining::{self, Members, Settled};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::spread::Spread;
use crate::lab::values::{bandwidth, range, share};
use crate::lab::{Common, Failure, progress};
use crate::sim::rng::{Chance, Rng};
use crate::sim::{self, Birth, Simulation, Weather};

const SECOND: u64 = 1_000_000;
/// How long a message may take to become whole, in virtual time.
const PATIENCE: u64 = 120 * SECOND;
/// How many kinds of control datagrams are counted apart, the most frequent ones.
const KINDS_SHOWN: usize = 12;
/// The killing comes so long after a submission, so that messages are in flight.
const KILL_DELAY: u64 = 50_000;

/// Options of `lab broadcast`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=65_535))]
    nodes: u32,
    /// Who submits.
    #[arg(long, value_enum, default_value_t = Senders::Random)]
    senders: Senders,
    /// Messages, those that warm up included.
    #[arg(long, default_value_t = 100)]
    messages: u32,
    /// Messages that warm up and are not measured.
    #[arg(long, default_value_t = 20)]
    warmup: u32,
    /// Time between two submissions, in milliseconds.
    #[arg(long, default_value_t = 100)]
    gap_ms: u64,
    /// Bytes of payload, up to 1 MiB.
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// What leaves each node in a second, such as 10mbit; without bound where not given.
    #[arg(long, value_parser = bandwidth)]
    bandwidth: Option<u64>,
    /// A message of so many bytes is submitted right before the first measured one, by another node, and is not measured.
    #[arg(long)]
    beside: Option<usize>,
    /// The range of one-way latencies, in milliseconds: drawn once for each pair.
    #[arg(long, default_value = "10..50", value_parser = range)]
    latency: (u64, u64),
    /// The share of datagrams that is lost, once all have joined.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// The share of datagrams that is lost while nodes join.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    bootstrap_loss: f64,
    /// Datagrams may overtake each other.
    #[arg(long)]
    reorder: bool,
    /// The share of nodes that is killed at once, shortly after the middle one of the measured submissions.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    kill: f64,
    /// The share of nodes that is replaced in each second.
    #[arg(long, value_parser = share)]
    churn: Option<f64>,
    /// How messages spread.
    #[arg(long, value_enum, default_value_t = Spreading::Tree)]
    broadcast: Spreading,
    /// How many trees share the messages.
    #[arg(long, default_value_t = 1)]
    trees: u8,
    /// The size from which on messages go to the root directly as well.
    #[arg(long, default_value_t = 200)]
    inject_from: u32,
    /// Whom a node knows.
    #[arg(long, value_enum, default_value_t = Members::Full)]
    membership: Members,
    /// Begin as soon as all have joined, while links still change.
    #[arg(long)]
    hasty: bool,
    /// The bare protocol, without its safety net.
    #[arg(long)]
    no_repair: bool,
    /// The configuration to start from.
    #[arg(long, value_enum, default_value_t = Preset::Lan)]
    preset: Preset,
    /// Write one line per event into this file.
    #[arg(long, value_name = "FILE")]
    trace: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Senders {
    /// One node submits all.
    One,
    /// Another node submits each.
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Spreading {
    Flood,
    Rumor,
    Tree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    Lan,
    Wan,
    Embedded,
    Local,
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    let trace = match &options.trace {
        Some(path) => {
            let file =
                std::fs::File::create(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
            Some(sim::Lines::new(std::io::BufWriter::new(file)))
        }
        None => None,
    };
    let template = options.clone();
    let observer = (Spread::new(options.nodes), trace);
    let simulation = Simulation::new(options.world(), move |birth| template.configure(birth), observer);
    Scene { options, simulation, rng: Rng::new(options.common.seed, 1), killed_at: None, whole_after_kill: None }.play()
}

impl Options {
    fn check(&self) -> Result<(), Failure> {
        if self.churn.is_some() {
            return Err(Failure::Usage("--churn arrives with a later issue".into()));
        }
        if self.warmup >= self.messages {
            return Err(Failure::Usage("--warmup must be less than --messages".into()));
        }
        let config = self.configure(Birth { node: 0, life: 1, at: 0 });
        let probe = Gossip::new(config, [0; 32], gossip_core::Instant::ZERO)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        if self.payload.max(self.beside.unwrap_or(0)) > probe.payload_max() {
            return Err(Failure::Usage(format!("--payload and --beside are at most {}", probe.payload_max())));
        }
        Ok(())
    }

    fn world(&self) -> sim::Options {
        let mut world = sim::Options::new(self.common.seed, self.nodes);
        world.weather = Weather {
            latency: (self.latency.0 * 1_000, self.latency.1 * 1_000),
            loss: Chance::of(self.bootstrap_loss),
            ..Weather::fair()
        };
        world.bandwidth = self.bandwidth.unwrap_or(0);
        if self.reorder {
            world.weather.reorder = Chance::of(1.0);
            world.weather.reorder_delay = (self.latency.1 - self.latency.0).max(1) * 1_000;
        }
        world
    }

    fn configure(&self, birth: Birth) -> Config {
        let id = NodeId(u64::from(birth.node) + 1);
        let mut config = match self.preset {
            Preset::Lan => Config::lan(id),
            Preset::Wan => Config::wan(id),
            Preset::Embedded => Config::embedded(id),
            Preset::Local => Config::local(id),
        };
        config.started_at = birth.life.into();
        if self.no_repair {
            config.repair = Repair::Off;
        }
        config.broadcast = match self.broadcast {
            Spreading::Flood => Broadcast::Flood { ttl: 255 },
            Spreading::Tree => Broadcast::Tree { trees: self.trees, inject_from: self.inject_from },
            Spreading::Rumor => Broadcast::Rumor { fanout: 3, rounds: Rounds::Auto },
        };
        self.membership.configure(&mut config, self.nodes, self.messages);
        let largest = self.payload.max(self.beside.unwrap_or(0));
        if largest > config.limits.message_bytes as usize {
            config.limits.message_bytes = largest as u32;
            config.limits.payload_bytes = config.limits.payload_bytes.max(8 * largest as u32);
            config.limits.window = 1_024;
        }
        config
    }
}

/// A run in progress.
struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<(Spread, Option<sim::Lines<std::io::BufWriter<std::fs::File>>>)>,
    rng: Rng,
    killed_at: Option<u64>,
    whole_after_kill: Option<u64>,
}

impl Scene<'_> {
    fn play(mut self) -> Result<Report, Failure> {
        let bar = progress::bar(u64::from(self.options.messages), "messages");
        bar.set_message("joining");
        let joined = joining::join_all(&mut self.simulation, self.options.membership, &mut self.rng, SECOND);
        bar.set_message("links settle");
        let settled = (!self.options.hasty).then(|| joining::settle(&mut self.simulation));
        self.simulation.network().weather.loss = Chance::of(self.options.loss);
        self.submit_all(&bar);
        bar.set_message("settling");
        self.settle();
        bar.finish_and_clear();
        Ok(self.report(joined, settled))
    }

    fn submit_all(&mut self, bar: &ProgressBar) {
        let options = self.options;
        let start = self.simulation.now();
        let sender = self.rng.below(u64::from(options.nodes)) as u32;
        let middle = options.warmup + (options.messages - options.warmup) / 2;
        let mut payload = vec![0; options.payload];
        for message in 0..options.messages {
            let at = start + u64::from(message) * options.gap_ms * 1_000;
            self.advance(at);
            bar.set_message(if message < options.warmup { "warming up" } else { "measuring" });
            if let Some(len) = options.beside.filter(|_| message == options.warmup) {
                let sender = self.living();
                self.simulation.submit(sender, Order::Unordered, &vec![1; len]);
            }
            self.simulation.observer.0.measuring = message >= options.warmup;
            payload.fill_with(|| self.rng.next() as u8);
            let sender = match options.senders {
                Senders::One => sender,
                Senders::Random => self.living(),
            };
            // A refusal counts as nothing submitted: the figures would then lack messages, which the report shows.
            self.simulation.submit(sender, Order::Unordered, &payload);
            if message == middle && options.kill > 0.0 {
                self.advance(at + KILL_DELAY);
                self.kill(sender);
            }
            bar.inc(1);
        }
    }

    fn living(&mut self) -> u32 {
        loop {
            let node = self.rng.below(u64::from(self.options.nodes)) as u32;
            if self.simulation.is_up(node) {
                return node;
            }
        }
    }

    /// Whoever has just sent a message survives, or nobody would have to get it.
    fn kill(&mut self, sender: u32) {
        let count = (f64::from(self.options.nodes) * self.options.kill) as u32;
        for _ in 0..count.min(self.options.nodes - 2) {
            let victim = std::iter::repeat_with(|| self.living()).find(|&node| node != sender).expect("two live");
            self.simulation.crash(victim);
        }
        self.killed_at = Some(self.simulation.now());
    }

    /// Runs until `at`; notes when what was in flight at the killing is whole.
    fn advance(&mut self, at: u64) {
        if let Some(killed_at) = self.killed_at {
            while self.whole_after_kill.is_none() && self.simulation.now() < at {
                self.simulation.run_until(at.min(self.simulation.now() + 10_000));
                if self.simulation.observer.0.missed_before(killed_at) == 0 {
                    self.whole_after_kill = Some(self.simulation.now() - killed_at);
                }
            }
        }
        self.simulation.run_until(at);
    }

    /// Waits until all is whole, or for as long as patience lasts; then until the last copies have been sent.
    fn settle(&mut self) {
        let end = self.simulation.now() + PATIENCE;
        self.advance(self.simulation.now() + self.options.gap_ms * 1_000);
        while self.simulation.now() < end && self.simulation.observer.0.missed() > 0 {
            self.advance(self.simulation.now() + 10_000);
        }
        self.simulation.observer.0.measuring = false;
        self.advance(self.simulation.now() + 5 * SECOND);
    }

    fn report(&self, joined: Option<u64>, settled: Option<Settled>) -> Report {
        let (options, spread) = (self.options, &self.simulation.observer.0);
        let mut report = Report::new(format!(
            "broadcast: {} nodes, {} messages of {} bytes {} ms apart, loss {} %",
            options.nodes,
            spread.messages(),
            options.payload,
            options.gap_ms,
            options.loss * 100.0
        ));
        let deliveries = spread.deliveries() as f64;
        let per_delivery = |count: u64| Value::Measure((deliveries > 0.0).then(|| count as f64 / deliveries));
        let seconds = |micros: Option<u64>| Value::Measure(micros.map(|micros| micros as f64 / 1e6));
        let traffic = &spread.traffic;
        report.add("rmr", Value::Measure(spread.rmr()), "iroh-gossip 0.34 at 10⁴ nodes; Plumtree 0; goal ≤ 0.01");
        report.add("data_per_delivery", per_delivery(traffic.data), "1 is the least without batching");
        report.add("control_per_delivery", per_delivery(traffic.control), "Plumtree 3.0; goal ≤ 0.05");
        let by_frames = traffic.control_by_frames().into_iter().take(KINDS_SHOWN);
        report.add("control", Value::Counts(by_frames.map(|(name, count)| (name.into(), count)).collect()), "");
        report.add("probes_per_delivery", per_delivery(traffic.probes), "");
        report.add("digests_per_delivery", per_delivery(traffic.digests), "");
        report.add("bytes_per_delivery", per_delivery(traffic.bytes), "about 308 for the datagram itself");
        report.add("ldh", Value::Measure(spread.ldh()), "iroh-gossip 57, Plumtree 17, 5-regular flood 8.15 at 10⁴");
        report.add("p50_ms", Value::Measure(spread.quantile_ms(0.5)), "goal ≤ 80 at 500 nodes");
        report.add("p99_ms", Value::Measure(spread.quantile_ms(0.99)), "goal ≤ 110 at 500 nodes, ≤ 175 at 10⁴");
        report.add("last_ms", Value::Measure(spread.last_ms()), "iroh-gossip 1,600 at 10⁴, 606 at 10³; goal ≤ 200");
        report.add("missed", Value::Count(spread.missed()), "0");
        report.add("gapped", Value::Count(spread.gapped()), "");
        report.add("duplicates", Value::Count(spread.duplicates), "0");
        report.add("max_node_share", Value::Measure(traffic.max_node_share()), "");
        report.add("whole_after_kill_s", seconds(self.whole_after_kill), "goal ≤ 1.5 after 30 %");
        report.add("worst_ms", Value::Measure(spread.worst_ms()), "of all messages; ≤ 2,000 after 30 % are killed");
        report.add("joined_s", seconds(joined), "");
        report.add("settled_s", seconds(settled.map(|it| it.after)), "until less than 0.1 % of links are new in 5 s");
        report.add("links_new", Value::Measure(settled.map(|it| it.changed as f64 / it.links as f64)), "");
        report.add("messages", Value::Count(spread.messages()), "");
        report.add("unreadable", Value::Count(spread.unreadable), "0");
        report.add("spins", Value::Count(spread.spins), "0");
        report.add("events", Value::Count(self.simulation.processed()), "");
        report.add("trace_hash", Value::Text(format!("{:016x}", self.simulation.trace_hash())), "");
        report.svg = Some(coverage(&report.title, spread));
        report.verdict = self.verdict();
        report
    }

    fn verdict(&self) -> Option<String> {
        let spread = &self.simulation.observer.0;
        let submitted = u64::from(self.options.messages - self.options.warmup);
        if spread.messages() < submitted {
            return Some(format!("only {} of {submitted} messages were accepted", spread.messages()));
        }
        let missed = !self.options.no_repair && spread.missed() > 0;
        let broken = missed || spread.duplicates + spread.unreadable + spread.spins > 0;
        broken.then(|| {
            let (missed, Spread { duplicates, unreadable, spins, .. }) = (spread.missed(), spread);
            format!("{missed} missed, {duplicates} duplicates, {unreadable} unreadable, {spins} spins")
        })
    }
}

/// The share of nodes that have a message, over the time since its submission.
fn coverage(title: &str, spread: &Spread) -> String {
    let latencies = spread.latencies();
    let all = spread.messages() as f64 * spread.nodes_but_one();
    let step = (latencies.len() / 400).max(1);
    let points = latencies.iter().enumerate().step_by(step);
    let mut points: Vec<(f64, f64)> =
        points.map(|(i, &latency)| (f64::from(latency) / 1e3, (i + 1) as f64 / all)).collect();
    points.extend(latencies.last().map(|&last| (f64::from(last) / 1e3, latencies.len() as f64 / all)));
    let curve = Curve { name: "mean over messages".into(), points };
    plot::lines(title, "milliseconds since submission", "share of nodes", &[curve])
}
