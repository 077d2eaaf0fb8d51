//! How many nodes believe that there are: exactly, where all know all, and by how much they are off where nobody does.
//!
//! `lab sampling` measures the same at any size (`size_estimate`, `size_error`).

use core::time::Duration;

use gossip_core::{Config, Gossip, Membership, NodeId};
use gossip_tests::sim::{Birth, Options, Simulation};

const SECOND: u64 = 1_000_000;
const NODES: u32 = 200;

fn full(birth: Birth) -> Config {
    let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
    config.started_at = birth.life.into();
    config
}

/// The estimate goes by exchanges and not by the clock: an epoch of 40 of them takes 40 s here.
fn sampled(birth: Birth) -> Config {
    let mut config = full(birth);
    config.membership = Membership::sampled(&config.limits);
    config.timing.exchange_period = Duration::from_secs(1);
    config
}

fn grown(nodes: u32, configure: fn(Birth) -> Config) -> Simulation<()> {
    let mut net = Simulation::new(Options::new(1, nodes), configure, ());
    for node in 0..nodes {
        net.start(node, false);
        if node > 0 {
            net.join(node, node / 4).expect("a new node takes a contact");
        }
        net.run_until(net.now() + SECOND / 100);
    }
    net
}

fn run(net: &mut Simulation<()>, seconds: u64) {
    net.run_until(net.now() + seconds * SECOND);
}

fn estimates(net: &Simulation<()>) -> Vec<u32> {
    (0..net.size()).filter_map(|node| net.view(node)).map(Gossip::size_estimate).collect()
}

/// By how much nodes are off, as a share of those that there are: the mean, and the worst.
fn errors(net: &Simulation<()>) -> (f64, f64) {
    let estimates = estimates(net);
    let off = |&estimate: &u32| (f64::from(estimate) / estimates.len() as f64 - 1.0).abs();
    let mean = estimates.iter().map(off).sum::<f64>() / estimates.len() as f64;
    (mean, estimates.iter().map(off).fold(0.0, f64::max))
}

#[test]
fn who_knows_all_counts_them() {
    let mut net = grown(40, full);
    run(&mut net, 10);
    assert_eq!(estimates(&net), [40; 40]);
    (0..4).for_each(|victim| net.crash(9 * victim + 2));
    net.leave(0);
    run(&mut net, 15);
    assert!(estimates(&net).iter().skip(1).all(|&estimate| estimate == 35), "{:?}", estimates(&net));
}

/// 64 buckets have a standard deviation of 13 %, and all nodes draw the same sketch; over some epochs it halves.
#[test]
fn who_knows_some_is_a_little_off_and_follows_a_change() {
    let mut net = grown(NODES, sampled);
    run(&mut net, 60);
    let (mean, worst) = errors(&net);
    assert!(mean <= 0.26 && worst <= 0.39, "after one epoch {mean} off, the worst {worst}");
    run(&mut net, 300);
    let (mean, worst) = errors(&net);
    println!("after nine epochs {mean} off, the worst {worst}");
    assert!(mean <= 0.13 && worst <= 0.26, "after nine epochs {mean} off, the worst {worst}");
    (0..NODES / 2).for_each(|victim| net.crash(2 * victim));
    run(&mut net, 120);
    let (mean, worst) = errors(&net);
    assert!(mean <= 0.26 && worst <= 0.39, "three epochs after half were lost {mean} off, the worst {worst}");
}
