//! How a cluster comes into being: everybody joins through node 0, and links settle.

use clap::ValueEnum;
use gossip_core::{Config, Membership, NodeId};

use crate::sim::rng::Rng;
use crate::sim::{Observer, Simulation};

const SECOND: u64 = 1_000_000;
/// How long joining may take, in virtual time.
const PATIENCE: u64 = 120 * SECOND;
/// For how long links are watched at once, and the longest wait for them, in virtual time.
const WATCH: u64 = 5 * SECOND;
const SETTLED_BY: u64 = 120 * SECOND;
/// Links are settled when so small a share of them ended within [`WATCH`]: one in a thousand. Near ones are sought for as long as a
/// node lives, so there is always one that changes somewhere.
const CHANGES_SHARE: u64 = 1_000;
/// Members that a node knows where it does not know all: its links, and owners of registers that pass by.
const KNOWN_SOME: u32 = 256;
/// Places for origins and messages at least.
const ORIGINS_MIN: u32 = 64;

/// Whom a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Members {
    /// Everybody.
    Full,
    /// A random part.
    Sampled,
}

impl Members {
    /// Sets the membership, and makes room in the tables for a cluster of `nodes` that submits so many messages. Where nodes
    /// know a part only, clusters are large: then the tables are no larger than the run needs.
    pub(super) fn configure(self, config: &mut Config, nodes: u32, messages: u32) {
        let origins = messages.min(nodes) + 1;
        let limits = &mut config.limits;
        match self {
            Self::Full => {
                limits.peers = limits.peers.max(nodes + 1);
                limits.origins = limits.origins.max(origins);
                limits.registers = limits.registers.max(2 * limits.peers);
                limits.register_bytes = limits.register_bytes.max(128 * limits.peers);
            }
            Self::Sampled => {
                limits.peers = KNOWN_SOME;
                limits.origins = origins.max(ORIGINS_MIN);
                limits.messages = limits.messages.min(messages.max(ORIGINS_MIN));
                limits.registers = 2 * KNOWN_SOME;
                limits.register_bytes = 128 * KNOWN_SOME;
                config.membership = Membership::sampled(limits);
            }
        }
    }

    /// Whether a node knows as many others as it should at this moment. Under loss it may lose one again. Where it knows
    /// a part only, that it is linked has to do.
    fn are_known<O: Observer>(self, simulation: &Simulation<O>, node: u32) -> bool {
        simulation.view(node).is_some_and(|gossip| match self {
            Self::Full => gossip.size_estimate() >= simulation.size(),
            Self::Sampled => gossip.neighbors().next().is_some(),
        })
    }
}

/// All nodes come within `spread` microseconds, and join through node 0. Returns how long it took until each had known all;
/// none where somebody still lacked somebody after two minutes.
///
/// # Panics
///
/// Where a configuration has no room for one contact.
pub(super) fn join_all<O: Observer>(
    simulation: &mut Simulation<O>,
    members: Members,
    rng: &mut Rng,
    spread: u64,
) -> Option<u64> {
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
        waiting.retain(|&node| !members.are_known(simulation, node));
        if waiting.is_empty() {
            return Some(simulation.now());
        }
        simulation.run_until(simulation.now() + SECOND / 10);
    }
    None
}

/// How the links of a cluster came to rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// How long that took, in microseconds.
    pub(super) after: u64,
    /// Ends of links at the end, and those among them that were not there [`WATCH`] before.
    pub(super) links: u64,
    pub(super) changed: u64,
}

/// Waits until links hardly change any more: newborn nodes look for near ones.
pub(super) fn settle<O: Observer>(simulation: &mut Simulation<O>) -> Settled {
    let start = simulation.now();
    let mut before = links(simulation);
    loop {
        simulation.run_until(simulation.now() + WATCH);
        let now = links(simulation);
        let count = now.iter().map(Vec::len).sum::<usize>() as u64;
        let is_new =
            |node: usize| now[node].iter().filter(|link| before[node].binary_search(link).is_err()).count() as u64;
        let changed = (0..now.len()).map(is_new).sum();
        let after = simulation.now() - start;
        if changed * CHANGES_SHARE <= count || after >= SETTLED_BY {
            return Settled { after, links: count, changed };
        }
        before = now;
    }
}

/// Whom each node is linked with, sorted.
fn links<O: Observer>(simulation: &Simulation<O>) -> Vec<Vec<NodeId>> {
    let of = |node| {
        let neighbors = simulation.view(node).into_iter().flat_map(|gossip| gossip.neighbors().map(|peer| peer.node));
        let mut neighbors: Vec<NodeId> = neighbors.collect();
        neighbors.sort_unstable();
        neighbors
    };
    (0..simulation.size()).map(of).collect()
}
