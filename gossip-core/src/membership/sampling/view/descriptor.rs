//! An entry: who, where, and since when.

use core::net::SocketAddr;
use core::time::Duration;

use crate::ids::NodeId;
use crate::time::{Instant, micros};

/// When a node spoke for itself, in microseconds; before the origin of the clock where the node is older than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Born(i64);

impl Born {
    /// What is `age` old at `now`.
    pub(crate) fn ago(now: Instant, age: Duration) -> Self {
        let signed = |micros| i64::try_from(micros).unwrap_or(i64::MAX);
        Self(signed(now.as_micros()).saturating_sub(signed(micros(age))))
    }

    /// How old it is at `now`.
    pub(crate) fn age(self, now: Instant) -> Duration {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        Duration::from_micros(u64::try_from(now.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// One node, by hearsay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) born: Born,
}

impl Descriptor {
    /// Of a node that is known to live at `now`.
    pub(crate) fn fresh(now: Instant, node: NodeId, address: SocketAddr) -> Self {
        Self { node, address, born: Born::ago(now, Duration::ZERO) }
    }
}
