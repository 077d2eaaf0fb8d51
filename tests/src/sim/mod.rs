//! The simulator: many real nodes, one unkind network, one seed.
//!
//! A discrete-event simulation in virtual microseconds. Every node is a real [`gossip_core::Gossip`]; everything around
//! it, which in a program would be a socket, a clock and a disk, is here a function of the seed. So a run can be
//! repeated to the bit, an hour passes in seconds, and each fault is a line of code.
//!
//! - [`Simulation`] drives the nodes and is told what to do to them, between two calls of
//!   [`run_until`](Simulation::run_until).
//! - [`Weather`] says what the network does to datagrams, [`Drive`] how a node's outputs are drained.
//! - An [`Observer`] is shown every [`Step`]; checkers and measurements are observers.

mod address;
mod arena;
mod audit;
mod clock;
mod drain;
mod fault;
mod held;
mod inputs;
mod network;
mod next;
mod node;
mod options;
mod queue;
mod repeat;
pub mod rng;
mod simulation;
mod storage;
mod timers;
mod trace;
mod verbs;

pub use address::{address, locate};
pub use arena::{Arena, Label};
pub use clock::Clock;
pub use fault::{Fault, Faults};
pub use network::{Copied, Fate, GROUPS, Network, Weather, corrupt};
pub use options::{Birth, Drive, Late, Options, Order, Stream};
pub use queue::Queue;
pub use simulation::Simulation;
pub use storage::Storage;
pub use trace::{LEGEND, Lines, Observer, Step, What};
