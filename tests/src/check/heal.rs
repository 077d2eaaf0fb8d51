//! Contract 6, the time: how soon after a split has ended all live nodes are one whole again.
//!
//! The promise has three parts, each with its reason in the core (`membership/healing.rs`): the first bridge takes
//! `2 / (1 − p)²` beat periods but in one case of 3,000, at a loss of `p` and when all whom the two sides remember live; a
//! link over it four timeouts of probes; and what the sides have to tell each other (who was taken for dead and lives) a
//! suspicion window: refutations and the grace of accusations. A run that is not whole by then breaks it.

use gossip_core::Timing;

use crate::check::{Links, unlinked};

/// A split that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Healing {
    /// When it ended, in microseconds.
    since: u64,
    /// How long healing may take, in microseconds.
    bound: u64,
}

impl Healing {
    /// A split ended at `since`, in microseconds, between nodes of this pace; of their datagrams a share of `loss` is lost.
    #[must_use]
    pub fn new(since: u64, timing: &Timing, loss: f64) -> Self {
        let bridge = timing.beat_period.mul_f64(2.0 / (1.0 - loss).powi(2));
        let bound = bridge + timing.probe_timeout * 4 + timing.suspicion_window;
        Self { since, bound: u64::try_from(bound.as_micros()).unwrap_or(u64::MAX) }
    }

    /// How long healing may take, in microseconds.
    #[must_use]
    pub const fn bound(&self) -> u64 {
        self.bound
    }

    /// What is wrong at `now`: all live nodes are not one whole, nor do they know each other, and the time is over.
    #[must_use]
    pub fn late(&self, now: u64, links: &Links, full: bool) -> Option<String> {
        let text = unlinked(links, full).filter(|_| now > self.since + self.bound)?;
        Some(format!("{} ms after the split has ended: {text}", (now - self.since) / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::{Config, NodeId};
    use std::collections::{BTreeMap, BTreeSet};

    fn pair(linked: bool) -> Links {
        let other = |id: u64| if linked { BTreeSet::from([NodeId(id)]) } else { BTreeSet::new() };
        let rows = BTreeMap::from([(NodeId(1), other(2)), (NodeId(2), other(1))]);
        Links { linked: rows.clone(), known: rows }
    }

    #[test]
    fn objects_to_what_is_still_torn_when_the_time_is_over() {
        let healing = Healing::new(1_000_000, &Config::lan(NodeId(1)).timing, 0.0);
        let end = 1_000_000 + healing.bound();
        assert_eq!(healing.late(end, &pair(false), true), None, "there is time left");
        assert!(healing.late(end + 1, &pair(false), true).is_some());
        assert_eq!(healing.late(end + 1, &pair(true), true), None, "it is whole");
    }

    #[test]
    fn objects_to_a_stranger_when_the_time_is_over() {
        let healing = Healing::new(0, &Config::lan(NodeId(1)).timing, 0.3);
        let strangers = Links { known: pair(false).known, ..pair(true) };
        assert!(healing.late(healing.bound() + 1, &strangers, true).is_some());
        assert_eq!(
            healing.late(healing.bound() + 1, &strangers, false),
            None,
            "where nobody knows all, links are enough"
        );
    }
}
