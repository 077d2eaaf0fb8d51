//! Rumor mongering by the core.
//!
//! All nodes are linked with all others. They are born on strokes of one bell, all latencies are equal and a tenth of a
//! round, and nothing is lost: so the rounds of all nodes are the cycles of Demers et al. 1987 §1.4. One message after
//! the other starts at a node drawn by chance, and its cascade is followed until nobody has been told anything for a while.
//! Every node draws its partners, its coins and its conclusions by itself, in the core; here is only counted.

use gossip_core::{
    Broadcast, Config, Membership, MessageId, Neighbor, NodeId, Order, PeerState, Repair, Rounds, Spread, Stop,
};
use indicatif::ProgressBar;

use super::Job;
use super::found::{Cascade, Found};
use crate::lab::tally::Tally;
use crate::lab::{Class, Failure, classify};
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

/// What the core did, and what only the core can tell.
pub(super) struct Measured {
    pub(super) found: Found,
    /// Datagrams without a payload, per node and message.
    pub(super) control: Tally,
    /// All bytes, per node and message.
    pub(super) bytes: Tally,
    pub(super) events: u64,
    pub(super) trace_hash: u64,
}

/// Spreads the messages of a job.
pub(super) fn run(job: &Job, bar: &ProgressBar) -> Result<Measured, Failure> {
    let probe = job.configure(Birth { node: 0, life: 1, at: 0 });
    gossip_core::Gossip::new(probe, [0; 32], gossip_core::Instant::ZERO)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut world = sim::Options::new(job.seed, job.rules.nodes);
    world.weather = Weather { latency: (LATENCY, LATENCY), ..Weather::fair() };
    let template = job.clone();
    let simulation = Simulation::new(world, move |birth| template.configure(birth), Watch::new(0));
    let found = Found::new(job.rules.nodes);
    let scene = Scene {
        job,
        simulation,
        rng: Rng::new(job.seed, 1),
        found,
        control: Tally::default(),
        bytes: Tally::default(),
    };
    scene.play(bar)
}

impl Job {
    fn configure(&self, birth: Birth) -> Config {
        let (id, nodes) = (|node: u32| NodeId(u64::from(node) + 1), self.rules.nodes);
        let others = (0..nodes).filter(|&node| node != birth.node);
        let neighbors: Vec<_> = others.map(|node| Neighbor { node: id(node), address: address(node, 0) }).collect();
        let mut config = Config::local(id(birth.node));
        config.started_at = birth.life.into();
        // Who knows the own address beforehand does not publish it to a thousand links as soon as it is observed.
        config.advertise = Some(address(birth.node, 0));
        config.limits.links = neighbors.len() as u16;
        config.limits.contacts = 1;
        config.limits.peers = nodes + 1;
        config.limits.origins = nodes + 1;
        config.limits.registers = nodes + 1;
        config.limits.register_bytes = 64 * (nodes + 1);
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

    const fn broadcast(&self) -> Broadcast {
        let (rules, k) = (&self.rules, self.rules.k);
        let (spread, feedback) = (rules.variant.spread, rules.variant.feedback);
        let stop =
            if rules.variant.coin { Stop::Coin { one_in: k } } else { Stop::Counter { rounds: Rounds::Fixed(k) } };
        Broadcast::Mongering { fanout: rules.fanout, ttl: 255, spread, stop, feedback }
    }

    /// Cycles without a copy after which a cascade is over. Who pushes does so in each cycle; whom nobody asks in so many
    /// cycles was not asked with a probability of e⁻¹².
    const fn quiet(&self) -> u64 {
        match self.rules.variant.spread {
            Spread::Push => 2,
            _ => 12,
        }
    }
}

/// Sees what becomes of the messages that started together.
struct Watch {
    messages: Vec<(MessageId, Cascade)>,
    /// When the first cycle begins.
    start: u64,
    last_copy: u64,
    control: u64,
    bytes: u64,
}

impl Watch {
    const fn new(start: u64) -> Self {
        Self { messages: Vec::new(), start, last_copy: start, control: 0, bytes: 0 }
    }

    /// In which cycle something happens; the ones before the first are 0.
    const fn cycle(&self, at: u64) -> usize {
        if at < self.start { 0 } else { ((at - self.start) / PERIOD + 1) as usize }
    }

    fn find(&mut self, id: MessageId) -> Option<&mut Cascade> {
        self.messages.iter_mut().find(|message| message.0 == id).map(|message| &mut message.1)
    }
}

impl Observer for Watch {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Submitted { id, .. } => self.messages.push((*id, Cascade::default())),
            What::Delivered { id, .. } => {
                let cycle = self.cycle(step.at);
                let Some(cascade) = self.find(*id) else { return };
                cascade.heard.resize(cascade.heard.len().max(cycle + 1), 0);
                cascade.heard[cycle] += 1;
            }
            What::Sent { datagram, .. } if !self.messages.is_empty() => {
                let class = classify(datagram, |id| {
                    if let Some(cascade) = self.find(id) {
                        cascade.copies += 1;
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

struct Scene<'a> {
    job: &'a Job,
    simulation: Simulation<Watch>,
    rng: Rng,
    found: Found,
    control: Tally,
    bytes: Tally,
}

impl Scene<'_> {
    fn play(mut self, bar: &ProgressBar) -> Result<Measured, Failure> {
        self.link_all()?;
        while self.found.missed.runs() < self.job.runs.into() {
            self.spread()?;
            bar.inc(self.job.at_once.into());
        }
        let (events, trace_hash) = (self.simulation.processed(), self.simulation.trace_hash());
        Ok(Measured { found: self.found, control: self.control, bytes: self.bytes, events, trace_hash })
    }

    /// The nodes are born one round after the other, each in time with the others; each greets all that are up.
    fn link_all(&mut self) -> Result<(), Failure> {
        let nodes = self.job.rules.nodes;
        for node in 0..nodes {
            self.simulation.run_until(u64::from(node) * PERIOD);
            self.simulation.start(node, false);
        }
        self.simulation.run_until(u64::from(nodes + 10) * PERIOD + PHASE);
        let links = |node: u32| {
            self.simulation
                .view(node)
                .map_or(0, |gossip| gossip.peers().filter(|peer| peer.state == PeerState::Linked).count())
        };
        match (0..nodes).find(|&node| links(node) + 1 != nodes as usize) {
            Some(node) => Err(Failure::Found(format!("node {node} has {} links", links(node)))),
            None => Ok(()),
        }
    }

    fn spread(&mut self) -> Result<(), Failure> {
        self.simulation.observer = Watch::new(self.simulation.now() + PERIOD - PHASE);
        for _ in 0..self.job.at_once {
            let origin = self.rng.below(u64::from(self.job.rules.nodes)) as u32;
            match self.simulation.submit(origin, Order::Unordered, b"rumor") {
                Some(Ok(_)) => {}
                other => return Err(Failure::Found(format!("a message was refused: {other:?}"))),
            }
        }
        loop {
            self.simulation.run_until(self.simulation.now() + PERIOD);
            if self.simulation.now() - self.simulation.observer.last_copy > self.job.quiet() * PERIOD {
                break;
            }
        }
        let watch = &self.simulation.observer;
        watch.messages.iter().for_each(|(_, cascade)| self.found.note(cascade));
        let shares = f64::from(self.job.rules.nodes) * f64::from(self.job.at_once);
        self.control.add(watch.control as f64 / shares);
        self.bytes.add(watch.bytes as f64 / shares);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_counted_from_the_first_stroke() {
        let watch = Watch::new(100_000);
        let times = [99_999, 100_000, 100_000 + LATENCY, 100_000 + PERIOD - 1, 100_000 + PERIOD];
        let cycles = times.map(|at| watch.cycle(at));
        assert_eq!(cycles, [0, 1, 1, 1, 2]);
    }
}
