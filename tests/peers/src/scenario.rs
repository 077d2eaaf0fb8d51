//! The script that every system plays: join, settle, say nothing for a minute, send messages.
//!
//! All nodes join through node 0 within a second, over a network that loses nothing (iroh-gossip asks its contact once, and
//! never again). Three minutes later the weather begins. For a minute nobody sends, which is the cost of idling; then
//! messages are submitted at a steady pace, of which the first ones warm up. The accounts are open from the first measured
//! submission until three seconds after the last one, for all systems alike; what is delivered up to a minute later is not
//! missed, but nobody's traffic counts any more.

use gossip_tests::sim::Weather;
use gossip_tests::sim::rng::{Chance, Rng};

use crate::cluster::{Cluster, Totals};
use crate::ledger::Ledger;
use crate::meter::{Window, window_ends};
use crate::node::Node;

const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// All join within this time,
const JOINING: u64 = SECOND;
/// and then come to rest: the last one of 500 nodes of foca knows all others after two to three minutes.
const SETTLING: u64 = 180 * SECOND;
/// How long nobody sends anything: the longest period of any of the systems.
const IDLE: u64 = 60 * SECOND;
/// The accounts close so long after the last submission.
const TAIL: u64 = 3 * SECOND;
/// What is delivered within this time after that is not missed.
const PATIENCE: u64 = 60 * SECOND;

/// What is played.
#[derive(Clone, Debug)]
pub struct Script {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// Messages, those that warm up included.
    pub messages: u32,
    /// Messages that are not measured, the first ones.
    pub warmup: u32,
    /// Time between two submissions, in microseconds.
    pub gap: u64,
    /// Bytes of each message, at least 8.
    pub payload: usize,
    /// Whether one node sends all; else another one each.
    pub one_sender: bool,
    /// What the network does once links have settled.
    pub weather: Weather,
}

/// What datagrams suffer, at latencies from a range in microseconds.
#[must_use]
pub fn weather(latency: (u64, u64), loss: f64, reorder: f64) -> Weather {
    let reorder_delay = (latency.1 - latency.0).max(MILLISECOND);
    Weather { latency, loss: Chance::of(loss), reorder: Chance::of(reorder), reorder_delay, ..Weather::fair() }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many nodes there were.
    pub nodes: u32,
    /// Within the accounts.
    pub work: Totals,
    /// Within the minute in which nobody sent.
    pub idle: Totals,
    /// Length of that minute times the number of nodes, in seconds.
    pub idle_node_seconds: f64,
    /// Bytes of heap of all nodes, when the accounts closed.
    pub heap: i64,
    /// The time that half of all pairs of a message and a node take at most, in milliseconds; none where more are missed.
    pub p50_ms: Option<f64>,
    /// The same of 99 in 100.
    pub p99_ms: Option<f64>,
    /// Pairs of a message and a node that did not get it.
    pub missed: u64,
    /// Messages that were handed out again.
    pub duplicates: u64,
}

/// Plays the script to its end.
#[must_use]
pub fn play<N: Node>(script: &Script) -> Figures {
    let mut stage = Stage::<N>::new(script);
    let (idle, work) = stage.accounts();
    let cluster = &mut stage.cluster;
    let heap = (0..cluster.size()).map(|node| cluster.heap(node)).sum();
    let end = cluster.now() + PATIENCE;
    while cluster.ledger.missed() > 0 && cluster.now() < end {
        cluster.run_until(cluster.now() + SECOND);
    }
    let ledger = &cluster.ledger;
    Figures {
        nodes: script.nodes,
        work,
        idle,
        idle_node_seconds: (IDLE / SECOND) as f64 * f64::from(script.nodes),
        heap,
        p50_ms: ledger.quantile_ms(0.5),
        p99_ms: ledger.quantile_ms(0.99),
        missed: ledger.missed(),
        duplicates: ledger.duplicates,
    }
}

/// Plays the script until the accounts close: what was done while nobody sent, and for the messages.
#[must_use]
pub fn play_accounts<N: Node>(script: &Script) -> (Totals, Totals) {
    Stage::<N>::new(script).accounts()
}

/// A cluster whose nodes have all joined through node 0, and come to rest within `settling` microseconds.
#[must_use]
pub fn settled<N: Node>(script: &Script, rng: &mut Rng, settling: u64) -> Cluster<N> {
    let ledger = Ledger::new(script.nodes, script.warmup.into());
    let mut cluster = Cluster::new(script.seed, script.nodes, ledger);
    *cluster.weather() = weather(script.weather.latency, 0.0, 0.0);
    let mut arrivals: Vec<(u64, u32)> = (1..script.nodes).map(|node| (rng.range(0, JOINING), node)).collect();
    arrivals.sort_unstable();
    cluster.start(0, None);
    for (at, node) in arrivals {
        cluster.run_until(at);
        cluster.start(node, Some(0));
    }
    cluster.run_until(settling);
    cluster
}

struct Stage<'a, N: Node> {
    script: &'a Script,
    rng: Rng,
    cluster: Cluster<N>,
}

impl<'a, N: Node> Stage<'a, N> {
    fn new(script: &'a Script) -> Self {
        let mut rng = Rng::new(script.seed, 1);
        let cluster = settled(script, &mut rng, SETTLING);
        window_ends(Window::Settling);
        Self { script, rng, cluster }
    }

    /// The minute of silence, and the messages.
    fn accounts(&mut self) -> (Totals, Totals) {
        let Script { warmup, messages, gap, weather, .. } = self.script;
        *self.cluster.weather() = weather.clone();
        let before = self.cluster.totals();
        self.cluster.run_until(self.cluster.now() + IDLE);
        let idle = self.cluster.totals() - before;
        window_ends(Window::Idle);
        let sender = self.draw();
        let start = self.cluster.now();
        let mut opened = Totals::default();
        for number in 0..*messages {
            self.cluster.run_until(start + u64::from(number) * gap);
            if number == *warmup {
                opened = self.cluster.totals();
                window_ends(Window::WarmingUp);
            }
            self.submit(number, sender);
        }
        self.cluster.run_until(self.cluster.now() + TAIL);
        let work = self.cluster.totals() - opened;
        window_ends(Window::Messages);
        (idle, work)
    }

    fn draw(&mut self) -> u32 {
        self.rng.below(self.script.nodes.into()) as u32
    }

    fn submit(&mut self, number: u32, sender: u32) {
        let other = self.draw();
        let sender = if self.script.one_sender { sender } else { other };
        let mut payload = vec![0; self.script.payload];
        payload.fill_with(|| self.rng.next() as u8);
        payload[..8].copy_from_slice(&u64::from(number).to_le_bytes());
        self.cluster.submit(sender, &payload, number >= self.script.warmup);
    }
}
