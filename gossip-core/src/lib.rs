//! A sans-IO state machine that replicates messages through gossip.
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
mod order;
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
    Broadcast, Config, Durability, KEY_MAX, MTU_MAX, MTU_MIN, Membership, Neighbor, Redelivery, Repair, Rounds, Timing,
};
pub use error::{ConfigError, JoinError, RestoreError, SubmitError};
pub use event::{Delivery, Event, Key, Order, Path, Scope, Warning};
pub use gossip::Gossip;
pub use ids::{Incarnation, MessageId, NodeId, ParseIdError, Version};
pub use io::{Action, Answer, Input, InputError, Transmit};
pub use limits::Limits;
pub use persist::{PersistSeq, RECORD_KEY_MAX, Record, StoredRecord, Table, Value};
pub use stats::Stats;
pub use time::Instant;
pub use view::{MessageView, PeerState, PeerView, Reason, RegisterView};
