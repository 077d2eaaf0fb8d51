//! A sans-IO state machine that replicates messages through gossip.
//!
//! One [`Gossip`] is one node of a cluster. It keeps messages and registers, spreads them to the others, finds out what got
//! lost and fetches it, notices who is gone, and finds its way back after a partition; all that over plain datagrams that
//! may be lost, repeated, reordered and forged. It does so without a clock, a socket, a thread, a global or the system's
//! randomness: the caller hands in what happened, with the time, and pulls out what is to be done. `no_std` with `alloc`,
//! no unsafe code, and the same decisions bit for bit from the same inputs on every target.
//!
//! # The loop
//!
//! Every program around a node is this loop: drain the outputs, wait for a datagram or the deadline, feed it in.
//!
//! ```no_run
//! use gossip_core::{Config, Event, Gossip, Instant, NodeId, Order};
//! use std::{net::UdpSocket, time::Duration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = UdpSocket::bind("127.0.0.1:7001")?;
//! let start = std::time::Instant::now();
//! let now = || Instant::ZERO + start.elapsed();
//!
//! let mut config = Config::lan(NodeId(1));
//! config.started_at = u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?;
//! # let seed_from_the_system = || [7; 32];
//! let mut gossip = Gossip::new(config, seed_from_the_system(), now())?;
//! gossip.join(now(), "127.0.0.1:7000".parse()?)?;
//! gossip.submit(now(), Order::Fifo, b"hello")?;
//!
//! let (mut outbound, mut inbound) = ([0; 1_200], [0; 65_536]);
//! loop {
//!     while let Some(transmit) = gossip.poll_transmit(now(), &mut outbound) {
//!         let _lost_is_fine = socket.send_to(&outbound[..transmit.len], transmit.to);
//!     }
//!     while let Some(event) = gossip.poll_event() {
//!         match event {
//!             Event::Deliver(message) => println!("{}: {:?}", message.id, message.payload),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     let wait = gossip.poll_timeout().map(|at| at.saturating_since(now()).max(Duration::from_millis(1)));
//!     socket.set_read_timeout(wait)?;
//!     if let Ok((len, from)) = socket.recv_from(&mut inbound) {
//!         gossip.handle_packet(now(), from, &mut inbound[..len]);
//!     }
//!     gossip.handle_timeout(now());
//! }
//! # }
//! ```
//!
//! - The outputs may be polled in any order, and each may be left for later: a full socket stops no delivery, and a slow
//!   application stops no gossip.
//! - A datagram is composed when it is polled, into the caller's buffer, with the freshest contents. There is no queue to
//!   bound, and a send that fails is one more lost datagram. Where it fails for its length, [`Gossip::handle_too_long`]
//!   makes the next ones shorter.
//! - With [`Durability::Records`] there is a third output, [`Gossip::poll_persist`]: make the records durable, then call
//!   [`Gossip::handle_persisted`]. [`Gossip::restore`] takes them back in the next life.
//! - [`Gossip::handle`] and [`Gossip::poll_action`] are the same verbs as data, for recorders, simulators and fuzzers;
//!   [`recording`] writes and replays them.
//!
//! `gossip-tokio` and `gossip-smol` are this loop on those runtimes.
//!
//! # What is promised
//!
//! 1. **Integrity.** What is delivered was submitted, unchanged, by the origin that it names, as far as nodes with the key
//!    of the cluster are honest.
//! 2. **At most once.** A message is delivered at most once in each life of a node; with records at most once ever, because
//!    it is handed out only when its record is durable. Who wants *at least* once chooses
//!    [`Redelivery::UntilAcknowledged`].
//! 3. **All or told.** A message that [`Gossip::submit`] accepted on a node that stays up reaches every node that stays
//!    connected with it, under any loss below 100 %, and after any partition that heals within the
//!    [horizon](Timing::horizon). A node that cannot have it any more is told so: [`Event::Gap`], which is final (and told
//!    again by a restored node, which cannot know whether it was heard). Silence is a bug. A node's own message that nobody else is known to hold is never given up for another one; `submit` answers
//!    [`SubmitError::Busy`] instead. Three limits: what is older than the horizon is repaired no more, and who was
//!    away for longer starts afresh; with [`Repair::Off`] this promise is given up; and a message that does not fit
//!    into any datagram on the only way is not passed on there, and told as a gap behind it (all nodes of a cluster
//!    should have one [`Config::mtu`], and all ways should carry it; [`Stats::unsendable`] counts).
//! 4. **Order.** [`Order::Unordered`] messages come as they come. [`Order::Fifo`] messages of one origin and life come in
//!    the order in which they were submitted; one that was told as lost is passed over.
//! 5. **Bounds.** The heap of a node never exceeds [`Limits::bytes`] (which names an exception for restored nodes), no datagram
//!    exceeds [`Config::mtu`], and the work for one datagram is bounded, whatever is received. Nothing that is accepted is
//!    unsendable: messages above one datagram go in chunks. What finds no place is refused and counted; so it is with members beyond
//!    [`Limits::peers`], among which those who died or left may stay for as long as any node lists them.
//! 6. **Heal.** Nodes without a link greet their contacts for ever, and a member taken for dead is greeted now and then, so
//!    that what was split grows together again by itself.
//!
//! # What is in it
//!
//! | | |
//! |---|---|
//! | membership | joining through any node, full knowledge of the members, [some drawn from all](Membership::Sampled) by peer sampling (the 27 protocols of 2004, healer and swapper of 2007, leases), or [configured neighbors](Membership::Static), proof of address before anything is kept or amplified |
//! | spreading | [tree](Broadcast::Tree), [flood](Broadcast::Flood), [rumor](Broadcast::Rumor), also [asked for and answered](Broadcast::Mongering) |
//! | large messages | up to 1 MiB ([`Limits::message_bytes`]), cut into chunks that are passed on and repaired one by one as they come |
//! | repair | comparison of what was seen, pulls of what is missing, gaps where it is gone |
//! | order | as it comes, or first in, first out per origin |
//! | registers | each node's own keys and values, known to all, the newest wins: [`Gossip::set`], [`Event::Register`] |
//! | failure | beats over links; deaths that several nodes certify, and the living refute: [`Event::PeerUp`], [`Event::PeerDown`], [`Event::PeerUnreachable`] |
//! | protection | [`Security::Sealed`]: ChaCha20-Poly1305 with one key; [`Security::Plain`]: a check against corruption |
//! | durability | records in, records out; the store is the caller's |
//!
//! The crate has no feature flags (`__internals` opens the frames to fuzzers, and is no part of the interface).
//!
//! # Embedding
//!
//! Everything but payloads is allocated in [`Gossip::new`]; after that there are at most two allocations per accepted
//! payload. [`Config::embedded`] takes some tens of kilobytes; every table has its own count in [`Limits`], and
//! [`Limits::bytes`] says what they amount to. The caller provides the time in microseconds since any origin, 32 unpredictable bytes once
//! per life, and something that carries datagrams of 256 bytes or more ([`MTU_MIN`]); addresses are [`core::net`]'s.
//!
//! # The back end of Poly1305
//!
//! On x86-64 the default back end of the crate `poly1305` prepares its AVX2 path anew for each datagram, some 3,300
//! instructions that datagrams of gossip are too short to earn back. The portable one is 1.5 (full datagrams) to 2.9 times
//! (short ones) as fast. A library cannot choose it for its users; a program does, in its `.cargo/config.toml`:
//!
//! ```toml
//! [build]
//! rustflags = ['--cfg', 'poly1305_backend="soft"']
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

// `__internals` opens these modules to fuzzers and hostile tests, which forge frames; it is no part of the API.
#[cfg(not(feature = "__internals"))]
#[allow(unreachable_pub, reason = "reachable with the feature `__internals`")]
mod auth;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod auth;
#[cfg(not(feature = "__internals"))]
#[allow(unreachable_pub, reason = "reachable with the feature `__internals`")]
mod pack;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod pack;
#[cfg(not(feature = "__internals"))]
#[allow(unreachable_pub, reason = "reachable with the feature `__internals`")]
mod wire;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod wire;

mod anti_entropy;
mod broadcast;
mod comparison;
mod config;
mod error;
mod event;
mod failure_detector;
mod gossip;
mod ids;
#[cfg(any(test, feature = "__internals"))]
mod invariants;
mod io;
mod leave;
mod limits;
mod members;
mod membership;
mod mtu;
mod order;
mod pacer;
mod peer;
mod persist;
mod protocol;
mod record;
pub mod recording;
mod register;
mod restore;
mod rng;
mod route;
mod stats;
mod storage;
mod store;
mod time;
mod view;

pub use auth::Security;
pub use config::{
    Broadcast, Budget, Config, Durability, Feedback, KEY_MAX, MTU_MAX, MTU_MIN, Membership, Neighbor, Redelivery,
    Repair, Rounds, Spread, Stop, Timing,
};
pub use error::{ConfigError, JoinError, RestoreError, SubmitError};
pub use event::{Delivery, Event, Key, Order, Path, Scope, Warning};
pub use gossip::Gossip;
pub use ids::{Incarnation, MessageId, NodeId, ParseIdError, Version};
pub use io::{Action, Answer, Input, InputError, Transmit};
pub use limits::Limits;
pub use membership::{Freshness, ParseSamplingError, PeerSelection, Sampling, Unsafe, ViewPropagation, ViewSelection};
pub use persist::{PersistSeq, RECORD_KEY_MAX, Record, StoredRecord, Table, Value};
pub use stats::Stats;
pub use time::Instant;
pub use view::{LinkView, MessageView, PeerState, PeerView, Reason, RegisterView, TreeView, ViewEntry};
