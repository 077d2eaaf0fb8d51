//! What an insider can make a node keep: ids that nobody else has heard of.
//!
//! In a small cluster that has come to rest, one member falls silent, and an attacker goes on in its name: it has its keys,
//! its place and its links. It names ids to one node, as many in a datagram as that system takes, one datagram in each
//! millisecond, while the others go on.

use gossip_tests::sim::rng::Rng;

use crate::node::Node;
use crate::scenario::{Script, settled};

const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const SETTLING: u64 = 60 * SECOND;
/// The cluster: victim, traitor and six honest nodes.
pub const NODES: u32 = 8;
const VICTIM: u32 = 0;
const TRAITOR: u32 = 1;
/// So long after the last forgery it is looked again: longer than any of the systems keeps anything that it means to forget.
const LATER: u64 = 600 * SECOND;

/// Bytes of heap of the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// How many ids were named.
    pub forged: u64,
    /// Before.
    pub before: i64,
    /// Right after the last forgery.
    pub after: i64,
    /// Ten minutes later.
    pub later: i64,
}

/// Names `forged` ids to a node, and looks at its heap.
///
/// # Panics
///
/// Never: the traitor was started.
#[must_use]
pub fn attack<N: Node>(script: &Script, forged: u64) -> Memory {
    let script = Script { nodes: NODES, ..script.clone() };
    let mut cluster = settled::<N>(&script, &mut Rng::new(script.seed, 1), SETTLING);
    let before = cluster.heap(VICTIM);
    let mut traitor = cluster.silence(TRAITOR).expect("it was started");
    let mut named = 0;
    while named < forged {
        let mut datagram = traitor.forge(VICTIM, named);
        cluster.inject(TRAITOR, VICTIM, &mut datagram);
        named += N::FORGED_IDS;
        cluster.run_until(cluster.now() + MILLISECOND);
    }
    let after = cluster.heap(VICTIM);
    cluster.run_until(cluster.now() + LATER);
    Memory { forged: named, before, after, later: cluster.heap(VICTIM) }
}
