//! The simulator with real nodes: the same seed gives the same run, and what it does to nodes has its effect.

use gossip_core::{Config, Durability, NodeId, Order, Repair};
use gossip_tests::check::{Checks, Links, missing, unlinked};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Birth, Fault, Lines, Observer, Options, Simulation, What};

const SECOND: u64 = 1_000_000;

fn config(birth: Birth) -> Config {
    let mut config = Config::local(NodeId(u64::from(birth.node) + 1));
    config.started_at = birth.life.into();
    config
}

/// Nodes that have joined through node 0, two seconds ago.
fn cluster<O: Observer>(
    options: Options,
    configure: impl Fn(Birth) -> Config + Send + 'static,
    observer: O,
) -> Simulation<O> {
    let mut simulation = Simulation::new(options, configure, observer);
    simulation.start_all();
    for node in 1..simulation.size() {
        simulation.join(node, 0).expect("a new node takes a contact");
    }
    simulation.run_until(2 * SECOND);
    simulation
}

fn submit<O: Observer>(simulation: &mut Simulation<O>, node: u32) {
    let answer = simulation.submit(node, Order::Unordered, b"text").expect("the node is up");
    answer.expect("there is room");
}

fn traced(seed: u64) -> (u64, Vec<u8>) {
    let mut options = Options::new(seed, 6);
    options.weather.loss = Chance::of(0.2);
    options.drift_ppm = 100;
    let mut lines = Vec::new();
    let mut simulation = cluster(options, config, Lines::new(&mut lines));
    for node in 0..6 {
        submit(&mut simulation, node);
    }
    simulation.run_until(5 * SECOND);
    let hash = simulation.trace_hash();
    (hash, lines)
}

#[test]
fn a_seed_is_a_run() {
    let (first, second, other) = (traced(1), traced(1), traced(2));
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the same lines");
    assert_ne!(first.0, other.0);
    let text = String::from_utf8(first.1).expect("lines are text");
    for mark in ["born", "submit", "deliver", " > ", " < ", " lost", "tick"] {
        assert!(text.contains(mark), "no line with {mark}");
    }
}

#[test]
fn all_is_delivered_and_linked() {
    let mut simulation = cluster(Options::new(3, 8), config, Checks::default());
    submit(&mut simulation, 3);
    simulation.run_until(4 * SECOND);
    assert_eq!(missing(&simulation.observer.book), None);
    assert_eq!(unlinked(&Links::of(&simulation), true), None);
    assert_eq!((simulation.observer.book.submitted, simulation.observer.book.delivered), (1, 8));
    assert_eq!(simulation.observer.count, 0, "{:?}", simulation.observer.found);
}

#[test]
fn the_checkers_bite_when_nothing_arrives() {
    let bare = |birth| {
        let mut config = config(birth);
        config.repair = Repair::Off;
        config
    };
    let mut simulation = cluster(Options::new(3, 4), bare, Checks::default());
    simulation.network().weather.loss = Chance::of(1.0);
    submit(&mut simulation, 0);
    simulation.run_until(3 * SECOND);
    assert!(missing(&simulation.observer.book).is_some(), "nobody can have it");
    simulation.run_until(20 * SECOND);
    assert!(unlinked(&Links::of(&simulation), true).is_some(), "nobody can be linked");
}

#[test]
fn a_partition_separates_until_it_heals() {
    let mut simulation = cluster(Options::new(4, 4), config, Checks::default());
    for node in 2..4 {
        simulation.network().assign(node, 1);
    }
    simulation.network().cut(0, 1);
    simulation.network().cut(1, 0);
    submit(&mut simulation, 0);
    simulation.run_until(3 * SECOND);
    assert!(missing(&simulation.observer.book).is_some());
    simulation.network().heal();
    simulation.run_until(20 * SECOND);
    assert_eq!(missing(&simulation.observer.book), None);
    assert!(simulation.faults().of(Fault::Cut) > 0);
}

#[test]
fn a_restart_finds_its_records_and_a_lost_disk_does_not() {
    let durable = |birth| {
        let mut config = config(birth);
        config.durability = Durability::Records;
        config
    };
    let mut simulation = cluster(Options::new(5, 3), durable, Checks::default());
    submit(&mut simulation, 0);
    simulation.run_until(3 * SECOND);
    simulation.crash(1);
    simulation.start(1, true);
    let kept = simulation.view(1).expect("it is up").messages().count();
    simulation.crash(1);
    simulation.start(1, false);
    let empty = simulation.view(1).expect("it is up").messages().count();
    assert_eq!((kept, empty), (1, 0));
    assert_eq!(simulation.observer.count, 0, "{:?}", simulation.observer.found);
}

/// Its earlier life had a higher incarnation, which the others know: it takes one that is higher still.
#[test]
fn a_node_whose_clock_is_behind_takes_a_later_incarnation_and_goes_on() {
    let behind = |birth: Birth| {
        let mut config = config(birth);
        config.started_at = 10 - u64::from(birth.life);
        config
    };
    let mut simulation = cluster(Options::new(8, 3), behind, Checks::default());
    simulation.crash(1);
    simulation.start(1, false);
    let born = simulation.view(1).expect("it is up").incarnation();
    submit(&mut simulation, 1);
    simulation.join(1, 0).expect("a new node takes a contact");
    simulation.run_until(10 * SECOND);
    assert!(simulation.view(1).expect("it is up").incarnation() > born);
    submit(&mut simulation, 1);
    simulation.run_until(12 * SECOND);
    assert_eq!(simulation.faults().of(Fault::ClockBehind), 1);
    assert_eq!((simulation.observer.book.submitted, simulation.observer.book.delivered), (2, 6));
    assert_eq!((missing(&simulation.observer.book), simulation.observer.count), (None, 0));
}

/// Counts what a node receives, and when it is told something.
#[derive(Default)]
struct Received(Vec<(u64, u32)>);

impl Observer for Received {
    fn observe(&mut self, step: &gossip_tests::sim::Step<'_>) {
        if matches!(step.what, What::Received { .. } | What::Ticked { .. } | What::Delivered { .. }) {
            self.0.push((step.at, step.node));
        }
    }
}

#[test]
fn a_paused_process_does_nothing_and_catches_up() {
    let mut simulation = cluster(Options::new(6, 3), config, Received::default());
    simulation.pause(1, SECOND);
    submit(&mut simulation, 0);
    simulation.run_until(3 * SECOND - 1);
    let busy = |simulation: &Simulation<Received>, from: u64| {
        simulation.observer.0.iter().any(|&(at, node)| node == 1 && at >= from)
    };
    assert!(!busy(&simulation, 2 * SECOND + 1));
    simulation.run_until(4 * SECOND);
    assert!(busy(&simulation, 3 * SECOND));
    assert_eq!(simulation.view(1).expect("it is up").messages().count(), 1);
}

#[test]
fn service_takes_time() {
    let mut options = Options::new(7, 3);
    options.service = 1_000;
    let mut simulation = cluster(options, config, Received::default());
    for _ in 0..50 {
        submit(&mut simulation, 0);
    }
    simulation.run_until(6 * SECOND);
    assert_eq!(simulation.view(2).expect("it is up").messages().count(), 50);
}
