//! The broadcast workload of Maelstrom ("Gossip Glomers" 3d and 3e), as its source has it: what clients ask when, how the network
//! is parted, and how the answers are judged.
//!
//! # The workload
//!
//! Of 25 clients each talks to a node of its own. About `rate` times a second one of them either broadcasts the next integer
//! or reads what its node has. Between clients and nodes no time passes; between nodes a message takes the configured
//! latency, always. After the time limit all partitions end, ten seconds pass, and each client reads once more.
//!
//! # The verdict
//!
//! That of Jepsen's checker of sets with reads (`set-full`): see [`checker`]. Messages per operation are all messages
//! between nodes since their start, lost ones included, divided by the operations of clients, final reads included.
//!
//! # Where this differs
//!
//! Maelstrom runs programs in real time and sends JSON; here the cores run in virtual time and send datagrams. The draws of
//! its generator are other draws.

pub mod checker;
pub mod nemesis;
pub mod topology;

pub use checker::{Checked, History};
pub use nemesis::Parted;
pub use topology::Topology;
