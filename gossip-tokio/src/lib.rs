//! Gossip nodes over UDP on tokio.
//!
//! [`gossip_core`] is the node; this crate gives it a socket, a clock and a place to sleep. One task runs one loop per node,
//! and owns the node: no lock is taken anywhere. [`Node`] is a handle that asks the loop, [`Events`] is what the loop tells.
//!
//! ```no_run
//! use gossip_core::{Config, Event, NodeId, Order};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (node, mut events) = gossip_tokio::Builder::new(Config::lan(NodeId::from_name("alpha")))
//!     .bind("0.0.0.0:7001".parse()?)
//!     .contact("192.0.2.7:7001".parse()?)
//!     .spawn()
//!     .await?;
//! node.submit(Order::Fifo, "hello").await?;
//! while let Some(event) = events.recv().await {
//!     if let Event::Deliver(message) = event {
//!         println!("{}: {:?}", message.id, message.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What waits for what
//!
//! - An event is taken from the node only when the channel to the application has room. A slow application delays itself
//!   alone: the node goes on gossiping, and what its store cannot hold for so long becomes
//!   [`Event::Gap`](gossip_core::Event::Gap).
//! - [`Node::submit`] waits while the node has no room. Other calls are not held up by it.
//! - A full socket keeps the one datagram that did not fit, and stops the composing of others. Deliveries go on.
//! - Storage is written away from the loop, one batch at a time.
//!
//! # How a node ends
//!
//! By [`Node::shutdown`], politely; or when all its [`Node`] handles and its [`Events`] are dropped, at once, which others
//! see as a crash. With `Events` alone dropped the node goes on, and deliveries are discarded. With the handles alone
//! dropped it goes on as well, and goes on delivering.

#![forbid(unsafe_code)]

mod builder;
mod driver;
mod node;
mod outbox;
mod persist;
mod socket;
pub mod storage;
mod tape;

pub use builder::Builder;
pub use node::{CallError, Events, Node};
pub use socket::SocketStats;

/// The example of the README, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
