//! `lab broadcast`: how fast, how completely and at what price messages spread.
//!
//! All nodes join through one contact. When their links have settled, messages are submitted at a steady pace; the first
//! ones warm up, the others are measured. What is sent counts from the first measured submission until all measured messages are whole.
//! Nodes may be killed or replaced meanwhile; a reference Plumtree may carry the same messages over the same links.

mod reference;
mod report;
mod scene;

use clap::{Args, ValueEnum};
use gossip_core::wire::HEADER_LEN;
use gossip_core::{Broadcast, Config, Gossip, NodeId, Repair, Rounds};

use self::scene::Scene;
use crate::lab::joining::Members;
use crate::lab::report::Report;
use crate::lab::spread::Spread;
use crate::lab::values::{bandwidth, range, share};
use crate::lab::{Common, Failure};
use crate::plumtree;
use crate::sim::rng::Chance;
use crate::sim::{self, Birth, Simulation, Weather};

/// The largest share of nodes that may be replaced in a second: with more of them, hardly anybody has ever joined.
const CHURN_MAX: f64 = 0.05;
/// Of an id, the part that says where its node lives; the rest says in which life.
const PLACE_BITS: u32 = 16;

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
    /// What goes on beside: a message of so many bytes, submitted right before the first measured one by another node, and not
    /// measured; or `plumtree`, which carries the same messages over the same links in a run of its own.
    #[arg(long, value_name = "BYTES|plumtree", value_parser = beside)]
    beside: Option<Beside>,
    /// How long Plumtree waits for an announced message before it asks for it, in milliseconds, and half as long for each
    /// further answer; iroh-gossip waits 80.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    graft_ms: u64,
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
    /// The share of nodes that is replaced in each second while messages are submitted. A message counts at a node that came
    /// five seconds before it, or earlier, and stays.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    churn: f64,
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

/// What goes on beside the measured messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// A large message.
    Large(usize),
    /// The reference.
    Plumtree,
}

fn beside(text: &str) -> Result<Beside, String> {
    match text.parse() {
        Ok(bytes) => Ok(Beside::Large(bytes)),
        Err(_) if text == "plumtree" => Ok(Beside::Plumtree),
        Err(_) => Err("expected a number of bytes, or plumtree".into()),
    }
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
    Ok(Scene::new(options, simulation).play())
}

impl Options {
    fn check(&self) -> Result<(), Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        if self.warmup >= self.messages {
            return usage("--warmup must be less than --messages".into());
        }
        if self.churn > CHURN_MAX {
            return usage(format!("--churn is at most {CHURN_MAX}"));
        }
        let config = self.configure(Birth { node: 0, life: 1, at: 0 });
        let mtu = usize::from(config.mtu);
        let probe = Gossip::new(config, [0; 32], gossip_core::Instant::ZERO)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        if self.largest() > probe.payload_max() {
            return usage(format!("--payload and --beside are at most {}", probe.payload_max()));
        }
        if self.plumtree().is_some() {
            if self.churn > 0.0 || self.kill > 0.0 || self.bandwidth.is_some() {
                return usage(
                    "plumtree goes beside neither --churn nor --kill nor --bandwidth: its links are given".into(),
                );
            }
            if HEADER_LEN + plumtree::Message::Gossip(0, 0).bytes(self.payload) > mtu {
                return usage("plumtree has no chunks: --payload must fit into a datagram".into());
            }
        }
        Ok(())
    }

    fn is_one_sender(&self) -> bool {
        self.senders == Senders::One
    }

    /// The large message that goes beside.
    const fn large(&self) -> Option<usize> {
        match self.beside {
            Some(Beside::Large(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn largest(&self) -> usize {
        self.payload.max(self.large().unwrap_or(0))
    }

    /// The reference that goes beside.
    fn plumtree(&self) -> Option<plumtree::Config> {
        let first_timeout = self.graft_ms * 1_000;
        let next_timeout = first_timeout / 2;
        (self.beside == Some(Beside::Plumtree)).then(|| plumtree::Config {
            first_timeout,
            next_timeout,
            ..plumtree::Config::rival()
        })
    }

    /// How many nodes there will have been at most.
    fn lives(&self) -> u32 {
        let seconds = f64::from(self.messages) * self.gap_ms as f64 / 1e3;
        let replaced = f64::from(self.nodes) * self.churn * seconds;
        self.nodes.saturating_add(replaced.ceil() as u32)
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
        // Whoever comes into the place of another one is somebody else.
        let id = NodeId(u64::from(birth.life - 1) << PLACE_BITS | (u64::from(birth.node) + 1));
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
        self.membership.configure(&mut config, self.lives(), self.messages);
        let largest = self.largest();
        if largest > config.limits.message_bytes as usize {
            config.limits.message_bytes = largest as u32;
            config.limits.payload_bytes = config.limits.payload_bytes.max(8 * largest as u32);
            config.limits.window = 1_024;
        }
        config
    }
}
