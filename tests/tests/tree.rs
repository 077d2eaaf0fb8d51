//! The shared tree in simulated clusters: built once, used by all, and repaired.

mod forest;

use gossip_core::{Broadcast, Order};
use gossip_tests::check::{Trees, untreed, wasted};
use gossip_tests::sim::{Simulation, Weather};

const SECOND: u64 = 1_000_000;

fn cluster(seed: u64, nodes: u32, trees: u8) -> Simulation<()> {
    forest::cluster(seed, nodes, Broadcast::Tree { trees, inject_from: 200 }, &Weather::fair(), ())
}

fn submit(simulation: &mut Simulation<()>, messages: u32, gap: u64) {
    for message in 0..messages {
        let node = message * 7 % simulation.size();
        simulation.submit(node, Order::Unordered, b"news");
        simulation.run_until(simulation.now() + gap);
    }
    simulation.run_until(simulation.now() + 3 * SECOND);
}

#[test]
fn without_faults_nothing_is_sent_without_need() {
    for (seed, trees, gap) in [(1, 1, 100_000), (2, 1, 1_000), (3, 4, 10_000)] {
        let mut simulation = cluster(seed, 40, trees);
        assert_eq!(untreed(&Trees::of(&simulation)), None);
        // Newborn nodes wanted acknowledgements, and take that back with the first one that they give over each link.
        submit(&mut simulation, 160 * u32::from(trees), gap);
        let before = simulation.counters();
        submit(&mut simulation, 50, gap);
        let after = simulation.counters();
        assert_eq!(after["accepted"] - before["accepted"], 50 * 39, "everybody got everything");
        assert_eq!(wasted(&before, &after, 0), None, "{trees} trees, {gap} us apart");
    }
}

#[test]
fn the_death_of_many_and_of_the_root_is_mended() {
    for seed in 1..=3 {
        let mut simulation = cluster(seed, 40, 1);
        let trees = Trees::of(&simulation);
        let root = trees.places[0].values().next().and_then(|position| position.root).expect("there is a root");
        simulation.crash(root.0 as u32 - 1);
        for node in (0..40).filter(|node| node % 3 == 0) {
            if simulation.is_up(node) {
                simulation.crash(node);
            }
        }
        submit_from_the_living(&mut simulation);
        simulation.run_until(simulation.now() + 20 * SECOND);
        assert_eq!(untreed(&Trees::of(&simulation)), None, "seed {seed}");
    }
}

fn submit_from_the_living(simulation: &mut Simulation<()>) {
    for node in 0..simulation.size() {
        if simulation.is_up(node) {
            simulation.submit(node, Order::Unordered, b"after the death");
        }
        simulation.run_until(simulation.now() + 100_000);
    }
}

#[test]
fn two_halves_agree_on_one_root() {
    let mut simulation = cluster(5, 30, 1);
    for node in 0..30 {
        simulation.network().assign(node, (node % 2) as u8);
    }
    simulation.network().cut(0, 1);
    simulation.network().cut(1, 0);
    simulation.run_until(simulation.now() + 60 * SECOND);
    simulation.network().heal();
    simulation.run_until(simulation.now() + 60 * SECOND);
    assert_eq!(untreed(&Trees::of(&simulation)), None);
}

/// A large message takes as long as the node that has most to forward: four trees have their inner nodes, and their roots, in
/// different places.
#[test]
fn several_trees_share_the_load() {
    for seed in 1..=4 {
        let mut simulation = cluster(seed, 60, 4);
        submit(&mut simulation, 8, 100_000);
        let views = (0..60).filter_map(|node| simulation.view(node));
        let children: Vec<usize> =
            views.clone().map(|node| node.trees().map(|tree| tree.children.len()).sum()).collect();
        assert_eq!(children.iter().sum::<usize>(), 4 * 59, "seed {seed}: everybody has a parent in each tree");
        let most = children.iter().max().copied();
        assert!(most <= Some(12), "seed {seed}: {most:?} children, where four are the mean");
        let roots = views.flat_map(|node| node.trees().map(|tree| tree.root).collect::<Vec<_>>());
        let roots: std::collections::BTreeSet<_> = roots.collect();
        assert!(roots.len() >= 3, "seed {seed}: {roots:?}");
    }
}
