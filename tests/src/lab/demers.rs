//! `lab demers`: the classic tables of rumor mongering, by this engine.
//!
//! All nodes are linked with all others. They are born on strokes of one bell, all latencies are equal and a tenth of a
//! round, and nothing is lost: so the rounds of all nodes are the cycles of Demers et al. 1987 §1.4. One message after
//! the other starts at a node drawn by chance, and its cascade is followed until nobody has been told anything for a while.
//! Every node draws its partners, its coins and its conclusions by itself, in the core; here is only counted.

use clap::Args;
use gossip_core::{
    Broadcast, Config, Feedback, Membership, MessageId, Neighbor, NodeId, Order, PeerState, Repair, Rounds, Spread,
    Stop,
};

use crate::lab::demers_paper::{self, Row};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::tally::{Interval, Tally};
use crate::lab::{Class, Common, Failure, classify, progress};
use crate::sim::rng::Rng;
use crate::sim::{self, Birth, Observer, Simulation, Step, Weather, What, address};

/// One round, in microseconds.
const PERIOD: u64 = 10_000;
/// A question, its answer and the thanks fit into a round.
const LATENCY: u64 = PERIOD / 10;
/// Where in a round a message is submitted: all is quiet then, and the next round is the first cycle.
const PHASE: u64 = PERIOD * 3 / 4;
/// More than a run of this experiment lasts.
const LONG: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Options of `lab demers`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// `push`, `pull` or `push-pull`; `blind`, `feedback` or `lists`; `counter` or `coin`; joined by hyphens.
    #[arg(long, default_value = "push-feedback-counter", value_parser = variant)]
    variant: Variant,
    /// The counter's limit, or the coin's odds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    k: u8,
    /// How many nodes, all linked with all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(3..=1_025))]
    nodes: u32,
    /// How many messages, one after the other.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// Messages that start together, each at a node of its own. They share who asks whom, so their fates are not independent,
    /// and intervals are too narrow; but what never happens can be seen never to happen in less time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    at_once: u32,
    /// Links told, or asked, in a round.
    #[arg(long, default_value_t = 1)]
    fanout: u8,
    /// The bare protocol. This experiment always measures that.
    #[arg(long)]
    no_repair: bool,
}

/// How a rumor spreads, and when it is old.
#[derive(Clone, Debug)]
struct Variant {
    name: String,
    spread: Spread,
    feedback: Feedback,
    coin: bool,
}

fn variant(text: &str) -> Result<Variant, String> {
    let wrong = || format!("`{text}` is no variant; one is push-feedback-counter");
    let (rest, stop) = text.rsplit_once('-').ok_or_else(wrong)?;
    let (spread, feedback) = rest.rsplit_once('-').ok_or_else(wrong)?;
    let spread = match spread {
        "push" => Spread::Push,
        "pull" => Spread::Pull,
        "push-pull" => Spread::PushPull,
        _ => return Err(wrong()),
    };
    let feedback = match feedback {
        "blind" => Feedback::Blind,
        "feedback" => Feedback::Answers,
        "lists" => Feedback::Lists,
        _ => return Err(wrong()),
    };
    let coin = match stop {
        "counter" => false,
        "coin" => true,
        _ => return Err(wrong()),
    };
    Ok(Variant { name: text.to_owned(), spread, feedback, coin })
}

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let probe = options.configure(Birth { node: 0, life: 1, at: 0 });
    gossip_core::Gossip::new(probe, [0; 32], gossip_core::Instant::ZERO)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut world = sim::Options::new(options.common.seed, options.nodes);
    world.weather = Weather { latency: (LATENCY, LATENCY), ..Weather::fair() };
    let template = options.clone();
    let simulation = Simulation::new(world, move |birth| template.configure(birth), Cascade::new(0));
    let scene = Scene { options, simulation, rng: Rng::new(options.common.seed, 1), found: Found::default() };
    scene.play()
}

impl Options {
    fn configure(&self, birth: Birth) -> Config {
        let id = |node: u32| NodeId(u64::from(node) + 1);
        let others = (0..self.nodes).filter(|&node| node != birth.node);
        let neighbors: Vec<_> = others.map(|node| Neighbor { node: id(node), address: address(node, 0) }).collect();
        let mut config = Config::local(id(birth.node));
        config.started_at = birth.life.into();
        // Who knows the own address beforehand does not publish it to a thousand links as soon as it is observed.
        config.advertise = Some(address(birth.node, 0));
        config.limits.links = neighbors.len() as u16;
        config.limits.contacts = 1;
        config.limits.peers = self.nodes + 1;
        config.limits.origins = self.nodes + 1;
        config.limits.registers = self.nodes + 1;
        config.limits.register_bytes = 64 * (self.nodes + 1);
        config.limits.messages = 8 * self.at_once.max(4);
        config.limits.payload_bytes = 65_536;
        config.membership = Membership::Static { neighbors };
        config.repair = Repair::Off;
        config.broadcast = self.broadcast();
        config.timing.round_period = std::time::Duration::from_micros(PERIOD);
        config.timing.beat_period = LONG;
        config.timing.repair_period = LONG;
        config.timing.retry_first = LONG;
        config.timing.retry_cap = LONG;
        config.timing.horizon = 24 * LONG;
        config
    }

    fn broadcast(&self) -> Broadcast {
        let Variant { spread, feedback, coin, .. } = self.variant;
        let stop = if coin { Stop::Coin { one_in: self.k } } else { Stop::Counter { rounds: Rounds::Fixed(self.k) } };
        Broadcast::Mongering { fanout: self.fanout, ttl: 255, spread, stop, feedback }
    }

    /// Cycles without a copy after which a cascade is over. Who pushes does so in each cycle; whom nobody asks in so many
    /// cycles was not asked with a probability of e⁻¹².
    const fn quiet(&self) -> u64 {
        match self.variant.spread {
            Spread::Push => 2,
            _ => 12,
        }
    }
}

/// What became of the messages of one run, so far.
struct Cascade {
    messages: Vec<Message>,
    /// When the first cycle begins.
    start: u64,
    last_copy: u64,
    control: u64,
    bytes: u64,
}

/// What became of one message.
struct Message {
    id: MessageId,
    /// Nodes that heard, by the cycle in which they did: the origin in cycle 0.
    heard: Vec<u32>,
    copies: u64,
}

impl Cascade {
    const fn new(start: u64) -> Self {
        Self { messages: Vec::new(), start, last_copy: start, control: 0, bytes: 0 }
    }

    /// In which cycle something happens; the ones before the first are 0.
    const fn cycle(&self, at: u64) -> usize {
        if at < self.start { 0 } else { ((at - self.start) / PERIOD + 1) as usize }
    }

    fn find(&mut self, id: MessageId) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.id == id)
    }
}

impl Observer for Cascade {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Submitted { id, .. } => self.messages.push(Message { id: *id, heard: Vec::new(), copies: 0 }),
            What::Delivered { id, .. } => {
                let cycle = self.cycle(step.at);
                let Some(message) = self.find(*id) else { return };
                message.heard.resize(message.heard.len().max(cycle + 1), 0);
                message.heard[cycle] += 1;
            }
            What::Sent { datagram, .. } if !self.messages.is_empty() => {
                let class = classify(datagram, |id| {
                    if let Some(message) = self.find(id) {
                        message.copies += 1;
                        self.last_copy = step.at;
                    }
                });
                self.control += u64::from(class == Some(Class::Control));
                self.bytes += datagram.len() as u64;
            }
            _ => {}
        }
    }
}

/// What was found in all runs.
#[derive(Default)]
struct Found {
    missed: Tally,
    traffic: Tally,
    t_last: Tally,
    t_ave: Tally,
    control: Tally,
    bytes: Tally,
    /// Nodes that heard in each cycle, summed over runs.
    heard: Vec<u64>,
}

struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<Cascade>,
    rng: Rng,
    found: Found,
}

impl Scene<'_> {
    fn play(mut self) -> Result<Report, Failure> {
        let bar = progress::bar(u64::from(self.options.runs), "messages");
        bar.set_message("linking");
        self.link_all()?;
        bar.set_message("spreading");
        while bar.position() < u64::from(self.options.runs) {
            self.spread()?;
            bar.inc(self.options.at_once.into());
        }
        bar.finish_and_clear();
        Ok(self.report())
    }

    /// The nodes are born one round after the other, each in time with the others; each greets all that are up.
    fn link_all(&mut self) -> Result<(), Failure> {
        for node in 0..self.options.nodes {
            self.simulation.run_until(u64::from(node) * PERIOD);
            self.simulation.start(node, false);
        }
        let end = u64::from(self.options.nodes + 10) * PERIOD;
        self.simulation.run_until(end + PHASE);
        let links = |node: u32| {
            self.simulation
                .view(node)
                .map_or(0, |gossip| gossip.peers().filter(|peer| peer.state == PeerState::Linked).count())
        };
        match (0..self.options.nodes).find(|&node| links(node) + 1 != self.options.nodes as usize) {
            Some(node) => Err(Failure::Found(format!("node {node} has {} links", links(node)))),
            None => Ok(()),
        }
    }

    fn spread(&mut self) -> Result<(), Failure> {
        self.simulation.observer = Cascade::new(self.simulation.now() + PERIOD - PHASE);
        for _ in 0..self.options.at_once {
            let origin = self.rng.below(u64::from(self.options.nodes)) as u32;
            match self.simulation.submit(origin, Order::Unordered, b"rumor") {
                Some(Ok(_)) => {}
                other => return Err(Failure::Found(format!("a message was refused: {other:?}"))),
            }
        }
        loop {
            self.simulation.run_until(self.simulation.now() + PERIOD);
            if self.simulation.now() - self.simulation.observer.last_copy > self.options.quiet() * PERIOD {
                break;
            }
        }
        self.note();
        Ok(())
    }

    fn note(&mut self) {
        let (cascade, found) = (&self.simulation.observer, &mut self.found);
        let (nodes, messages) = (f64::from(self.options.nodes), f64::from(self.options.at_once));
        for message in &cascade.messages {
            let reached = f64::from(message.heard.iter().sum::<u32>());
            let cycles = message.heard.iter().enumerate().map(|(cycle, &count)| cycle as f64 * f64::from(count));
            found.missed.add(nodes - reached);
            found.traffic.add(message.copies as f64 / nodes);
            found.t_last.add(message.heard.len().saturating_sub(1) as f64);
            found.t_ave.add(cycles.sum::<f64>() / reached);
            found.heard.resize(found.heard.len().max(message.heard.len()), 0);
            for (sum, &count) in found.heard.iter_mut().zip(&message.heard) {
                *sum += u64::from(count);
            }
        }
        found.control.add(cascade.control as f64 / nodes / messages);
        found.bytes.add(cascade.bytes as f64 / nodes / messages);
    }

    fn report(&self) -> Report {
        let (options, found) = (self.options, &self.found);
        let title = format!(
            "demers: {} with k = {}, {} nodes, {} runs, without repair",
            options.variant.name, options.k, options.nodes, options.runs
        );
        let mut report = Report::new(title);
        let paper = demers_paper::row(&options.variant.name, options.k).filter(|_| options.fanout == 1);
        let nodes = f64::from(options.nodes);
        let residue = found.missed.interval_of_counts().map(|misses| misses / nodes);
        let (traffic, t_last) = (found.traffic.interval(), found.t_last.interval());
        let add = |report: &mut Report, keys: [&'static str; 3], found: Interval, anchor| {
            report.add(keys[0], Value::Measure(Some(found.mean)), anchor);
            report.add(keys[1], Value::Measure(Some(found.low)), "95 % interval");
            report.add(keys[2], Value::Measure(Some(found.high)), "");
        };
        let anchor = |of: fn(&Row) -> &'static str| paper.map_or("", of);
        add(&mut report, ["residue", "residue_low", "residue_high"], residue, anchor(|row| row.texts[0]));
        add(&mut report, ["traffic", "traffic_low", "traffic_high"], traffic, anchor(|row| row.texts[1]));
        add(&mut report, ["t_last", "t_last_low", "t_last_high"], t_last, anchor(|row| row.texts[2]));
        report.add("t_ave", Value::Measure(Some(found.t_ave.mean())), "");
        report.add("misses", Value::Count(found.missed.sum() as u64), "");
        report.add("node_trials", Value::Count(u64::from(options.nodes) * found.missed.runs()), "");
        report.add("control_per_node", Value::Measure(Some(found.control.mean())), "datagrams without a payload");
        report.add("bytes_per_node", Value::Measure(Some(found.bytes.mean())), "");
        if let Some(row) = paper.filter(|_| options.nodes == demers_paper::NODES) {
            let often = row.figures[0] * nodes >= 1.0;
            let found = [("residue_met", residue), ("traffic_met", traffic), ("t_last_met", t_last)];
            for ((key, found), figure) in found.into_iter().zip(row.figures) {
                let met = if often { found.is_near(figure, 0.05) } else { found.contains(figure) };
                let how = if often { "within 5 % of the paper" } else { "the paper's figure is in the interval" };
                report.add(key, Value::Flag(met), how);
            }
        }
        report.add("events", Value::Count(self.simulation.processed()), "");
        report.add("trace_hash", Value::Text(format!("{:016x}", self.simulation.trace_hash())), "");
        report.svg = Some(self.picture(&report.title, paper));
        report
    }

    /// The share of nodes that have heard, over cycles; and how many there are in the end by the paper.
    fn picture(&self, title: &str, paper: Option<&Row>) -> String {
        let all = f64::from(self.options.nodes) * self.found.missed.runs() as f64;
        let mut sum = 0;
        let shares = self.found.heard.iter().enumerate().map(|(cycle, &count)| {
            sum += count;
            (cycle as f64, sum as f64 / all)
        });
        let mut curves = vec![Curve { name: "have heard".into(), points: shares.collect() }];
        if let Some(row) = paper {
            let (share, end) = (1.0 - row.figures[0], self.found.heard.len().saturating_sub(1) as f64);
            let name = format!("in the end, by the paper: {share}");
            curves.push(Curve { name, points: vec![(0.0, share), (end, share)] });
            let name = format!("the last one, by the paper: cycle {}", row.figures[2]);
            curves.push(Curve { name, points: vec![(row.figures[2], 0.0), (row.figures[2], 1.0)] });
        }
        plot::lines(title, "cycle", "share of nodes", &curves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read_word_by_word() {
        let read = variant("push-pull-lists-coin").expect("a variant");
        assert!(read.coin && read.spread == Spread::PushPull && read.feedback == Feedback::Lists);
        for wrong in ["", "push", "push-counter", "shout-blind-coin", "push-deaf-coin", "push-blind-dice"] {
            assert!(variant(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cycles_are_counted_from_the_first_stroke() {
        let cascade = Cascade::new(100_000);
        let times = [99_999, 100_000, 100_000 + LATENCY, 100_000 + PERIOD - 1, 100_000 + PERIOD];
        let cycles = times.map(|at| cascade.cycle(at));
        assert_eq!(cycles, [0, 1, 1, 1, 2]);
    }
}
