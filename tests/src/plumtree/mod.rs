//! A reference Plumtree: what our broadcast is compared with, over the same links and the same simulated network.
//!
//! # Intuition
//!
//! At first everybody sends every message to all neighbors, which makes a flood. Who gets a message twice tells the second
//! sender to stop (*prune*); what is left of the links is a tree. Over the links that were pruned only announcements go
//! (*I have*). Who has heard of a message and does not get it in time asks who announced it, and takes that link into the
//! tree again (*graft*). So payloads both use the tree and make it.
//!
//! # Source, and where this differs
//!
//! Leitão, Pereira, Rodrigues 2007 ("Epidemic broadcast trees"): construction and repair of the tree, and its optimization
//! where a threshold is given. Announcements leave at once, as in the paper's experiments. The paper leaves its timers open;
//! these are iroh-gossip's, and can be chosen. There is no membership protocol below, which would tell of neighbors that
//! come and go: links are what they are. Written as a state machine without I/O, like the core: messages and timers in,
//! messages, timers and deliveries out.

mod cluster;
mod node;

pub use cluster::{Cluster, Watch};
pub use node::{Id, Message, Node, Output};

/// How a node of Plumtree is set up. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a message may take after its first announcement before it is asked for. Should be longer than the tree is
    /// slower than the shortest path, or sound links are taken for broken ones.
    pub first_timeout: u64,
    /// How long the answer may take before the next one who announced it is asked.
    pub next_timeout: u64,
    /// An announcement that came over so many links less than the payload replaces the link of that one; none for a tree that
    /// is never made shorter.
    pub threshold: Option<u16>,
}

impl Config {
    /// The defaults of iroh-gossip: 80 ms, then 40 ms, and the paper's threshold for many senders.
    #[must_use]
    pub const fn rival() -> Self {
        Self { first_timeout: 80_000, next_timeout: 40_000, threshold: Some(7) }
    }
}
