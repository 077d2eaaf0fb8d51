//! The rivals beside this library: foca and iroh-gossip, driven over the same simulated network in the same run.
//!
//! # Intuition
//!
//! All three are state machines without I/O. So one driver ([`cluster`]) can be the socket, the clock and the network of
//! any of them: it calls a [`Node`](node::Node), and neither knows nor cares which. Whatever is measured (bytes, latencies,
//! allocations, heap, instructions) is measured there, around the same calls, and means the same for all.
//!
//! A package of its own, as the rivals bring 86 crates along that nothing else here needs.

pub mod cluster;
pub mod compare;
pub mod counted;
pub mod foca;
pub mod forged;
pub mod iroh;
pub mod jobs;
pub mod ledger;
pub mod meter;
pub mod node;
pub mod ours;
pub mod scenario;
pub mod table;

pub use compare::main;
