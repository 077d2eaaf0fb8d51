//! A cluster that was split is one again within the time that the library promises, whatever the ratio and the length.

use gossip_core::{Config, NodeId};
use gossip_tests::check::{Healing, Links};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Birth, Options, Simulation};

const SECOND: u64 = 1_000_000;
const NODES: u32 = 24;

fn config(birth: Birth) -> Config {
    let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
    config.started_at = birth.life.into();
    config
}

/// Cuts off the first `apart` nodes for `seconds`, at a share of `loss`, and answers what is late.
fn split(seed: u64, apart: u32, seconds: u64, loss: f64) -> Option<String> {
    let mut simulation = Simulation::new(Options::new(seed, NODES), config, ());
    simulation.start_all();
    for node in 1..NODES {
        simulation.join(node, 0).expect("a new node takes a contact");
    }
    simulation.run_until(10 * SECOND);
    let network = simulation.network();
    network.weather.loss = Chance::of(loss);
    for node in 0..apart {
        network.assign(node, 1);
    }
    network.cut(0, 1);
    network.cut(1, 0);
    simulation.run_until((10 + seconds) * SECOND);
    simulation.network().heal();
    let healing = Healing::new(simulation.now(), &config(Birth { node: 0, life: 1, at: 0 }).timing, loss);
    simulation.run_until(simulation.now() + healing.bound() + 1);
    healing.late(simulation.now(), &Links::of(&simulation), true)
}

#[test]
fn halves_and_small_groups_and_single_nodes_are_back_in_time() {
    for (seed, apart, seconds) in [(1, NODES / 2, 7), (2, NODES / 2, 60), (3, NODES / 8, 60), (4, 1, 60)] {
        assert_eq!(split(seed, apart, seconds, 0.0), None, "{apart} of {NODES} for {seconds} s");
    }
}

#[test]
fn loss_makes_it_longer_and_no_worse() {
    assert_eq!(split(5, NODES / 2, 30, 0.1), None);
}
