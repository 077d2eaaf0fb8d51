//! A sans-IO state machine that replicates messages through gossip.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ids;
mod time;

pub use ids::{Incarnation, MessageId, NodeId, ParseIdError, Version};
pub use time::Instant;
