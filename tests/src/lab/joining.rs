//! How a cluster comes into being: everybody joins through node 0.

use gossip_core::Limits;

use crate::sim::rng::Rng;
use crate::sim::{Observer, Simulation};

const SECOND: u64 = 1_000_000;
/// How long joining may take, in virtual time.
const PATIENCE: u64 = 120 * SECOND;

/// All nodes come within `spread` microseconds, and join through node 0. Returns how long it took until each had known all;
/// none where somebody still lacked somebody after two minutes.
///
/// # Panics
///
/// Where a configuration has no room for one contact.
pub(super) fn join_all<O: Observer>(simulation: &mut Simulation<O>, rng: &mut Rng, spread: u64) -> Option<u64> {
    let mut arrivals: Vec<(u64, u32)> = (1..simulation.size()).map(|node| (rng.range(0, spread), node)).collect();
    arrivals.sort_unstable();
    simulation.start(0, false);
    for (at, node) in arrivals {
        simulation.run_until(at);
        simulation.start(node, false);
        simulation.join(node, 0).expect("a new node takes its first contact");
    }
    let mut waiting: Vec<u32> = (0..simulation.size()).collect();
    while simulation.now() < PATIENCE {
        waiting.retain(|&node| !knows_all(simulation, node));
        if waiting.is_empty() {
            return Some(simulation.now());
        }
        simulation.run_until(simulation.now() + SECOND / 10);
    }
    None
}

/// Whether a node knows all others at this moment. Under loss it may lose one again.
fn knows_all<O: Observer>(simulation: &Simulation<O>, node: u32) -> bool {
    simulation.view(node).is_some_and(|gossip| gossip.size_estimate() >= simulation.size())
}

/// Tables that have room for a cluster of `nodes`.
pub(super) fn make_room(limits: &mut Limits, nodes: u32) {
    limits.peers = limits.peers.max(nodes + 1);
    limits.origins = limits.origins.max(nodes + 1);
    limits.registers = limits.registers.max(2 * limits.peers);
    limits.register_bytes = limits.register_bytes.max(128 * limits.peers);
}
