//! `lab burst`: everybody speaks at once, and no node may send more than its budget.
//!
//! All nodes join and settle. Then each submits its share of the messages at the same moment, as fast as it takes them; one
//! that answers `Busy` is asked again every 10 ms. At the same moment one node sets a register, which shows whether the flood
//! starves what is less urgent, and nobody may be called dead for it.

use std::collections::VecDeque;

use clap::Args;
use gossip_core::{Budget, Config, Event, NodeId, Order};

use crate::lab::joining::{self, Members};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::spread::Spread;
use crate::lab::traffic::IP_UDP;
use crate::lab::values::{range, share};
use crate::lab::{Common, Failure, progress};
use crate::sim::rng::{Chance, Rng};
use crate::sim::{self, Birth, Observer, Simulation, Step, Weather, What};

const SECOND: u64 = 1_000_000;
/// How long the links settle after joining.
const QUIET: u64 = 30 * SECOND;
/// How long the burst may take to be over.
const PATIENCE: u64 = 600 * SECOND;
/// How often a node that was busy is asked again.
const AGAIN: u64 = 10_000;
/// What the pacer keeps for a burst: 20 ms of the budget.
const KEPT_PART: u64 = 50;
/// And at least so many datagrams.
const KEPT_MIN: u64 = 10;

/// Options of `lab burst`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many nodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    nodes: u32,
    /// Messages of all nodes together.
    #[arg(long, default_value_t = 10_000)]
    messages: u32,
    /// Bytes of payload.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    payload: u32,
    /// What each node may send in a second, in bytes.
    #[arg(long, default_value_t = 1_250_000)]
    bytes_per_second: u32,
    /// What each node may send in a second, in datagrams.
    #[arg(long, default_value_t = 5_000)]
    datagrams_per_second: u32,
    /// The range of one-way latencies, in milliseconds: drawn once for each pair.
    #[arg(long, default_value = "10..50", value_parser = range)]
    latency: (u64, u64),
    /// The share of datagrams that is lost, once all have joined.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
}

impl Options {
    const fn budget(&self) -> Budget {
        Budget { bytes_per_second: self.bytes_per_second, datagrams_per_second: self.datagrams_per_second }
    }

    /// Room for all messages at once: what is measured is the wait, not what a small store gives up.
    fn configure(&self, birth: Birth) -> Config {
        let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
        config.started_at = birth.life.into();
        config.budget = Some(self.budget());
        Members::Full.configure(&mut config, self.nodes, self.messages);
        config.limits.messages = config.limits.messages.max(self.messages + 64);
        config.limits.payload_bytes = config.limits.payload_bytes.max(self.messages * (self.payload + 64));
        config
    }
}

/// What each node sent within the last second, and what it was told.
#[derive(Debug)]
struct Watch {
    on: bool,
    windows: Vec<Window>,
    /// Where the register is known, and since when.
    known: Vec<Option<u64>>,
    /// Nodes that were called dead or unreachable.
    accused: u64,
}

#[derive(Clone, Debug, Default)]
struct Window {
    sent: VecDeque<(u64, u64)>,
    bytes: u64,
    busiest: u64,
}

impl Window {
    fn add(&mut self, at: u64, bytes: u64) {
        self.sent.push_back((at, bytes));
        self.bytes += bytes;
        while let Some(&(old, bytes)) = self.sent.front().filter(|(old, _)| old + SECOND <= at) {
            debug_assert!(old <= at);
            self.sent.pop_front();
            self.bytes -= bytes;
        }
        self.busiest = self.busiest.max(self.bytes);
    }
}

impl Observer for Watch {
    fn observe(&mut self, step: &Step<'_>) {
        if !self.on {
            return;
        }
        match &step.what {
            What::Sent { datagram, .. } => {
                self.windows[step.node as usize].add(step.at, datagram.len() as u64 + IP_UDP);
            }
            What::Told(Event::Register { key, .. }) if key.as_str() == KEY => {
                self.known[step.node as usize].get_or_insert(step.at);
            }
            What::Told(Event::PeerDown { .. } | Event::PeerUnreachable { .. }) => self.accused += 1,
            _ => {}
        }
    }
}

const KEY: &str = "weather";

/// Runs the experiment.
pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    let mut world = sim::Options::new(options.common.seed, options.nodes);
    let latency = (options.latency.0 * 1_000, options.latency.1 * 1_000);
    world.weather = Weather { latency, ..Weather::fair() };
    let watch = Watch {
        on: false,
        windows: vec![Window::default(); options.nodes as usize],
        known: vec![None; options.nodes as usize],
        accused: 0,
    };
    let own = options.clone();
    let observer = (Spread::new(options.nodes), watch);
    let simulation = Simulation::new(world, move |birth| own.configure(birth), observer);
    let rng = Rng::new(options.common.seed, 3);
    Ok(Scene { options, simulation, rng, began: 0, busy: 0 }.play())
}

/// A run in progress.
struct Scene<'a> {
    options: &'a Options,
    simulation: Simulation<(Spread, Watch)>,
    rng: Rng,
    began: u64,
    busy: u64,
}

impl Scene<'_> {
    fn play(mut self) -> Report {
        let bar = progress::bar(self.options.messages.into(), "messages");
        joining::join_all(&mut self.simulation, Members::Full, &mut self.rng, SECOND);
        self.simulation.network().weather.loss = Chance::of(self.options.loss);
        self.simulation.run_until(self.simulation.now() + QUIET);
        self.began = self.simulation.now();
        self.simulation.observer.0.measuring = true;
        self.simulation.observer.1.on = true;
        // A refusal would show as a register that nobody knows.
        let _ = self.simulation.set(0, KEY, Some(b"storm"));
        let mut left: Vec<u32> =
            (0..self.options.nodes).map(|node| share_of(self.options.messages, self.options.nodes, node)).collect();
        while self.simulation.now() < self.began + PATIENCE {
            for node in 0..self.options.nodes {
                let waiting = &mut left[node as usize];
                while *waiting > 0 && submit(&mut self.simulation, &mut self.rng, node, self.options.payload) {
                    *waiting -= 1;
                    bar.inc(1);
                }
                self.busy += u64::from(*waiting > 0);
            }
            self.simulation.run_until(self.simulation.now() + AGAIN);
            if left.iter().all(|&waiting| waiting == 0) && self.is_over() {
                break;
            }
        }
        bar.finish_and_clear();
        self.report()
    }

    /// Looked at every second only, as it takes a while.
    fn is_over(&self) -> bool {
        let now = self.simulation.now() - self.began;
        now % SECOND < AGAIN
            && self.simulation.observer.0.missed() == 0
            && self.simulation.observer.1.known.iter().skip(1).all(Option::is_some)
    }

    fn report(&self) -> Report {
        let (options, (spread, watch)) = (self.options, &self.simulation.observer);
        let mut report = Report::new(format!(
            "burst: {} messages of {} bytes from all of {} nodes at once, {} bytes a second each, loss {} %",
            spread.messages(),
            options.payload,
            options.nodes,
            options.bytes_per_second,
            options.loss * 100.0
        ));
        let budget = u64::from(options.bytes_per_second);
        let busiest = watch.windows.iter().map(|window| window.busiest).max().unwrap_or(0);
        // Submissions that had to wait were asked for at the beginning: that is what their senders waited.
        let waits = spread.since(self.began);
        let quantile = |part: f64| {
            let rank = ((waits.len() as f64 * part) as usize).min(waits.len().checked_sub(1)?);
            Some(waits[rank] as f64 / 1e6)
        };
        let known = watch.known.iter().skip(1).copied().collect::<Option<Vec<u64>>>();
        let register = known.and_then(|known| known.into_iter().max()).map(|at| (at - self.began) as f64 / 1e6);
        report.add("messages", Value::Count(spread.messages()), "all of them");
        report.add("missed", Value::Count(spread.missed()), "0");
        report.add("gapped", Value::Count(spread.gapped()), "0");
        report.add("p50_s", Value::Measure(quantile(0.5)), "");
        report.add("p99_s", Value::Measure(quantile(0.99)), "");
        report.add("longest_wait_s", Value::Measure(quantile(1.0)), "bounded");
        report.add("least_s", Value::Measure(Some(self.least_s())), "what the budget allows at best");
        report.add("busiest_second_bytes", Value::Count(busiest), "the budget, and what is kept for a burst");
        report.add("budget_bytes", Value::Count(budget), "");
        report.add("register_known_s", Value::Measure(register), "no class starves");
        report.add("accused", Value::Count(watch.accused), "0");
        report.add("busy_waits", Value::Count(self.busy), "");
        report.add("duplicates", Value::Count(spread.duplicates), "0");
        report.add("spins", Value::Count(spread.spins), "0");
        report.svg = Some(delivered(&report.title, &waits, spread));
        report.verdict = self.verdict(busiest, register.is_some());
        report
    }

    /// Every node but one gets every message once, and somebody has to send it.
    fn least_s(&self) -> f64 {
        let spread = &self.simulation.observer.0;
        let bytes = spread.messages() as f64 * f64::from(self.options.payload) * spread.nodes_but_one();
        bytes / f64::from(self.options.nodes) / f64::from(self.options.bytes_per_second)
    }

    fn verdict(&self, busiest: u64, known: bool) -> Option<String> {
        let (options, (spread, watch)) = (self.options, &self.simulation.observer);
        let mtu = u64::from(options.configure(Birth { node: 0, life: 1, at: 0 }).mtu) + IP_UDP;
        let budget = u64::from(options.bytes_per_second);
        // One datagram goes into debt; and a hundredth is for greetings, beats and probes, which do not wait.
        let most = budget + (budget / KEPT_PART).max(KEPT_MIN * mtu) + mtu + budget / 100;
        let lost = spread.missed() + spread.gapped() + spread.duplicates + spread.spins + watch.accused;
        let whole = spread.messages() == u64::from(options.messages) && lost == 0 && known && busiest <= most;
        (!whole).then(|| {
            let (missed, gapped) = (spread.missed(), spread.gapped());
            format!(
                "{} of {} messages, {missed} missed, {gapped} told as lost, {} duplicates, {} spins, {} accused, busiest second \
                 {busiest} of at most {most} bytes, register known: {known}",
                spread.messages(),
                options.messages,
                spread.duplicates,
                spread.spins,
                watch.accused
            )
        })
    }
}

/// How many of `all` messages are a node's.
const fn share_of(all: u32, nodes: u32, node: u32) -> u32 {
    all / nodes + if node < all % nodes { 1 } else { 0 }
}

fn submit(simulation: &mut Simulation<(Spread, Watch)>, rng: &mut Rng, node: u32, len: u32) -> bool {
    let mut payload = vec![0; len as usize];
    payload.fill_with(|| rng.next() as u8);
    simulation.submit(node, Order::Unordered, &payload).is_some_and(|answer| answer.is_ok())
}

/// The share of deliveries over the time since the burst.
fn delivered(title: &str, waits: &[u64], spread: &Spread) -> String {
    let all = spread.messages() as f64 * spread.nodes_but_one();
    let step = (waits.len() / 400).max(1);
    let points = waits.iter().enumerate().step_by(step).map(|(i, &wait)| (wait as f64 / 1e6, (i + 1) as f64 / all));
    let curve = Curve { name: "of all deliveries".into(), points: points.collect() };
    plot::lines(title, "seconds since the burst", "share", &[curve])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_one_second() {
        let mut window = Window::default();
        for (at, bytes) in [(0, 10), (500_000, 20), (999_999, 30), (1_000_000, 5), (3_000_000, 7)] {
            window.add(at, bytes);
        }
        assert_eq!((window.bytes, window.busiest), (7, 60));
    }

    #[test]
    fn shares_are_even_and_whole() {
        let shares: Vec<u32> = (0..7).map(|node| share_of(100, 7, node)).collect();
        assert_eq!(shares.iter().sum::<u32>(), 100);
        assert!(shares.iter().all(|&share| share == 14 || share == 15));
    }
}
