//! How much a node may send.

use serde::{Deserialize, Serialize};

use super::within;
use crate::error::ConfigError;

/// How much a node sends at most, over any longer time: a rate of bytes and one of datagrams, whichever is reached first.
///
/// Unused budget is kept for 20 ms, and at least for ten datagrams, so that a burst leaves at once. What does not fit
/// waits in the tables that it lies in anyway: first goes what somebody lacks (repair), then new messages, then changes of
/// registers, and nothing of it waits for ever behind the others. An origin that has few messages waiting goes before one
/// that has many. [`Gossip::submit`](crate::Gossip::submit) answers [`SubmitError::Busy`](crate::SubmitError::Busy) while
/// own messages for a second of the budget have not left yet.
///
/// Greetings, beats, probes and the exchanges of views, whose rates are bounded by themselves, never wait, but count: others
/// wait longer for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Bytes per second, at least 1,000. Each datagram counts with 28 bytes more than its payload, for the headers of IPv4 and
    /// UDP.
    pub bytes_per_second: u32,
    /// Datagrams per second, at least 10.
    pub datagrams_per_second: u32,
}

impl Budget {
    /// A tenth of a network of 1 Gbit/s.
    pub(super) const LAN: Self = Self { bytes_per_second: 12_500_000, datagrams_per_second: 50_000 };

    /// 10 Mbit/s.
    pub(super) const WAN: Self = Self { bytes_per_second: 1_250_000, datagrams_per_second: 5_000 };

    /// What a radio of 250 kbit/s (IEEE 802.15.4) carries at best.
    pub(super) const EMBEDDED: Self = Self { bytes_per_second: 31_250, datagrams_per_second: 250 };

    pub(super) fn check(self) -> Result<(), ConfigError> {
        let max = u32::MAX.into();
        within("budget.bytes_per_second", self.bytes_per_second.into(), 1_000, max)?;
        within("budget.datagrams_per_second", self.datagrams_per_second.into(), 10, max)
    }
}
