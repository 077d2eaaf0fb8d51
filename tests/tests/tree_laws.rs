//! What the shared tree promises, each law by itself, in small clusters; larger ones and more seeds where `GOSSIP_LONG` is set.
//!
//! The links of each cluster have been left in peace for a minute, as newborn nodes look for near ones.

mod forest;

use std::collections::BTreeMap;

use gossip_core::{Broadcast, Event, MessageId, Order};
use gossip_tests::check::{Trees, untreed, wasted};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Observer, Simulation, Step, Weather, What};

const SECOND: u64 = 1_000_000;
const MILLI: u64 = 1_000;

fn is_long() -> bool {
    std::env::var_os("GOSSIP_LONG").is_some()
}

/// When each message was submitted, and how far and how long it was on its way to each node.
#[derive(Debug, Default)]
struct Watch {
    submitted: BTreeMap<MessageId, u64>,
    /// Hops and time.
    heard: BTreeMap<MessageId, Vec<(u8, u64)>>,
    gaps: u64,
}

impl Observer for Watch {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Submitted { id, .. } => {
                self.submitted.insert(*id, step.at);
            }
            What::Delivered { id, hops, .. } => {
                let time = self.submitted.get(id).map_or(0, |at| step.at - at);
                self.heard.entry(*id).or_default().push((*hops, time));
            }
            What::Told(Event::Gap { .. }) => self.gaps += 1,
            _ => {}
        }
    }
}

impl Watch {
    /// The most hops of a message, mean over those submitted from `start` on.
    fn ldh(&self, start: u64) -> f64 {
        let late = self.heard.iter().filter(|(id, _)| self.submitted[id] >= start);
        let hops: Vec<u8> = late.map(|(_, heard)| heard.iter().map(|&(hops, _)| hops).max().unwrap_or(0)).collect();
        hops.iter().map(|&hops| f64::from(hops)).sum::<f64>() / hops.len() as f64
    }

    /// Ways longer than `limit` of messages submitted in a span, and all ways.
    fn slow(&self, span: std::ops::Range<u64>, limit: u64) -> (usize, usize) {
        let within = self.heard.iter().filter(|(id, _)| span.contains(&self.submitted[id]));
        let times: Vec<u64> = within.flat_map(|(_, heard)| heard.iter().map(|&(_, time)| time)).collect();
        (times.iter().filter(|&&time| time > limit).count(), times.len())
    }
}

fn cluster(seed: u64, nodes: u32, inject_from: u32, weather: &Weather) -> Simulation<Watch> {
    forest::cluster(seed, nodes, Broadcast::Tree { trees: 1, inject_from }, weather, Watch::default())
}

/// Submits at living nodes in turn, `gap` microseconds apart, and waits for the last ones.
fn submit(simulation: &mut Simulation<Watch>, messages: u32, gap: u64) {
    for message in 0..messages {
        let node = message * 7 % simulation.size();
        if simulation.is_up(node) {
            simulation.submit(node, Order::Unordered, b"news");
        }
        simulation.run_until(simulation.now() + gap);
    }
    simulation.run_until(simulation.now() + 3 * SECOND);
}

/// Copies sent beyond the one that each other node needs, of so many messages.
fn redundant(before: &BTreeMap<&'static str, u64>, after: &BTreeMap<&'static str, u64>, needed: u64) -> u64 {
    after["data_sent"] - before["data_sent"] - needed
}

/// Newborn nodes want acknowledgements; each takes that back with the first that it gives over a link.
fn warm_up(simulation: &mut Simulation<Watch>) -> BTreeMap<&'static str, u64> {
    submit(simulation, 160, 50 * MILLI);
    simulation.counters()
}

#[test]
fn with_injection_a_message_has_two_copies_too_many_at_most_and_no_repair() {
    let mut simulation = cluster(1, 60, 2, &Weather::fair());
    let before = warm_up(&mut simulation);
    submit(&mut simulation, 100, 50 * MILLI);
    let after = simulation.counters();
    assert!(after["injected"] > before["injected"], "nothing was injected");
    assert_eq!(wasted(&before, &after, 2 * 100), None);
    assert!(redundant(&before, &after, 100 * 59) <= 2 * 100);
}

#[test]
fn the_first_message_ever_is_sent_once_to_each() {
    let mut simulation = cluster(2, 40, 200, &Weather::fair());
    let before = simulation.counters();
    submit(&mut simulation, 1, 0);
    assert_eq!(redundant(&before, &simulation.counters(), 39), 0);
}

#[test]
fn messages_that_overlap_go_as_far_and_cost_as_much_as_others() {
    let found = [1, 10, 100, 1_500].map(|gap| {
        let mut simulation = cluster(3, 60, 2, &Weather::fair());
        let (before, start) = (warm_up(&mut simulation), simulation.now());
        submit(&mut simulation, 40, gap * MILLI);
        let cost = redundant(&before, &simulation.counters(), 40 * 59);
        (simulation.observer.ldh(start), cost)
    });
    for (ldh, cost) in found {
        assert!((ldh - found[3].0).abs() <= 0.5 && cost <= 2 * 40, "{found:?}");
    }
}

#[test]
fn what_the_network_duplicates_costs_no_copy() {
    let fair = cluster(4, 40, 200, &Weather::fair());
    let twice = Weather { duplicate: Chance::of(0.5), duplicate_delay: 20 * MILLI, ..Weather::fair() };
    let [once, doubled] = [fair, cluster(4, 40, 200, &twice)].map(|mut simulation| {
        let before = warm_up(&mut simulation);
        submit(&mut simulation, 60, 50 * MILLI);
        redundant(&before, &simulation.counters(), 60 * 39)
    });
    assert_eq!((once, doubled), (0, 0));
}

#[test]
fn acknowledgements_come_with_losses_and_go_after_them() {
    let mut simulation = cluster(5, 40, 200, &Weather::fair());
    let calm = warm_up(&mut simulation);
    simulation.network().weather.loss = Chance::of(0.1);
    let start = simulation.now();
    submit(&mut simulation, 120, 50 * MILLI);
    let lossy = simulation.counters();
    assert!(lossy["acks_sent"] - calm["acks_sent"] > 120 * 39 / 2, "one for each copy, or nearly");
    let (slow, all) = simulation.observer.slow(start + 3 * SECOND..simulation.now(), 400 * MILLI);
    assert!(slow * 100 <= all, "{slow} of {all} took more than 400 ms");
    simulation.network().weather.loss = Chance::NEVER;
    // Each node trusts its links again after 600 datagrams; a loss is seen with the next beat over its link, 8 s later at most.
    submit(&mut simulation, 1_400, 20 * MILLI);
    let before = simulation.counters();
    submit(&mut simulation, 40, 50 * MILLI);
    assert_eq!(wasted(&before, &simulation.counters(), 0), None);
}

/// A third of the nodes die with a message on its way, and the root is one of them.
#[test]
fn survivors_are_whole_within_two_seconds_and_below_one_root_soon() {
    let (nodes, seeds) = if is_long() { (300, 10) } else { (60, 2) };
    for seed in 1..=seeds {
        for loss in [0.0, 0.1] {
            let mut simulation = cluster(seed, nodes, 2, &Weather::fair());
            let before = simulation.now();
            simulation.network().weather.loss = Chance::of(loss);
            submit(&mut simulation, 60, 50 * MILLI);
            let trees = Trees::of(&simulation);
            let root = trees.places[0].values().next().and_then(|place| place.root).expect("there is a root");
            let killing = simulation.now();
            let sender = (0..nodes).find(|node| node % 3 != 0 && u64::from(*node) + 1 != root.0).expect("many live");
            simulation.submit(sender, Order::Unordered, b"in flight");
            simulation.run_until(killing + 50 * MILLI);
            for node in (0..nodes).filter(|node| node % 3 == 0 || u64::from(*node) + 1 == root.0) {
                simulation.crash(node);
            }
            let dead = (0..nodes).filter(|&node| !simulation.is_up(node)).count();
            submit(&mut simulation, 100, 50 * MILLI);
            let (late, heard) = simulation.observer.slow(killing..killing + SECOND / 20, 2 * SECOND);
            assert!(heard >= nodes as usize - dead, "seed {seed}: {heard} of {nodes} have it, {dead} are dead");
            assert_eq!(late, 0, "seed {seed}, loss {loss}");
            simulation.network().weather.loss = Chance::NEVER;
            simulation.run_until(simulation.now() + 5 * SECOND);
            assert_eq!(untreed(&Trees::of(&simulation)), None, "seed {seed}, loss {loss}, from {before}");
            assert_eq!(simulation.observer.gaps, 0);
        }
    }
}
