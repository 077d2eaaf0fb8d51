//! The pace of everything periodic, and its presets.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::within;
use crate::error::ConfigError;

/// The pace of everything periodic.
///
/// The presets in milliseconds (our choice: some round trips of each kind of network, and no more than a few datagrams
/// per second and link when nothing happens):
///
/// | | `lan` | `wan` | `embedded` | `local` |
/// |---|---|---|---|---|
/// | `beat_period` | 800 | 1600 | 3200 | 100 |
/// | `probe_timeout` | 150 | 600 | 1000 | 100 |
/// | `suspicion_window` | 4500 | 9000 | 18000 | 1000 |
/// | `round_period` | 50 | 200 | 200 | 10 |
/// | `repair_period` | 500 | 1000 | 2000 | 100 |
/// | `batch_delay` | 10 | 50 | 50 | 2 |
/// | `data_delay` | 0 | 0 | 0 | 0 |
/// | `horizon` | 600000 | 3600000 | 300000 | 120000 |
/// | `retry_first` | 500 | 1000 | 1000 | 100 |
/// | `retry_cap` | 30000 | 60000 | 60000 | 2000 |
/// | `exchange_period` | 25000 | 25000 | 25000 | 5000 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timing {
    /// An idle node sends one beat in this time, to one link after the other, 10 ms to 1 h. How soon a death is suspected
    /// and what an idle node costs depend on it, and on nothing else.
    pub beat_period: Duration,
    /// How long a beat may be late, and how long a probe's answer is waited for before the round-trip time is known, and
    /// at least, 1 ms to 1 min. Above the longest usual round trip.
    pub probe_timeout: Duration,
    /// How long a suspected member has to be heard by anybody until its death is certified, 10 ms to 1 h. A member that
    /// stalls for longer is called dead (and comes back); a shorter window calls more of them so.
    pub suspicion_window: Duration,
    /// Time between two rounds of a rumor, 1 ms to 1 min. About one round trip is right: sooner, a node sends what
    /// others have already sent.
    pub round_period: Duration,
    /// Each node compares what it has seen with one link per this time, 10 ms to 1 h; sooner after it has seen a loss.
    pub repair_period: Duration,
    /// Register changes wait this long for others to share their datagram, 0 to 1 min.
    pub batch_delay: Duration,
    /// New messages, submitted here or passed on, wait this long for others to share their datagrams, 0 to 1 s, unless they go
    /// over one link only. Each hop of a message takes longer by as much. See [`Config::frugal`](crate::Config::frugal).
    pub data_delay: Duration,
    /// What is older is no longer repaired, and what is told about a silent origin is forgotten, 1 s to 30 days. A message that
    /// did not arrive within the horizon is a [`Event::Gap`](crate::Event::Gap).
    pub horizon: Duration,
    /// The first pause between two attempts to reach a contact, and the only one of a node without a link, 10 ms to 1 h.
    pub retry_first: Duration,
    /// The longest pause between two attempts to reach a contact, at least `retry_first`, at most 1 day.
    pub retry_cap: Duration,
    /// With sampled membership each node begins one exchange of views in this time, 100 ms to 1 h.
    pub exchange_period: Duration,
}

impl Timing {
    pub(super) const fn lan() -> Self {
        Self {
            beat_period: Duration::from_millis(800),
            probe_timeout: Duration::from_millis(150),
            suspicion_window: Duration::from_millis(4_500),
            round_period: Duration::from_millis(50),
            repair_period: Duration::from_millis(500),
            batch_delay: Duration::from_millis(10),
            data_delay: Duration::ZERO,
            horizon: Duration::from_secs(600),
            retry_first: Duration::from_millis(500),
            retry_cap: Duration::from_secs(30),
            exchange_period: Duration::from_secs(25),
        }
    }

    pub(super) const fn wan() -> Self {
        Self {
            beat_period: Duration::from_millis(1_600),
            probe_timeout: Duration::from_millis(600),
            suspicion_window: Duration::from_secs(9),
            round_period: Duration::from_millis(200),
            repair_period: Duration::from_secs(1),
            batch_delay: Duration::from_millis(50),
            data_delay: Duration::ZERO,
            horizon: Duration::from_secs(3_600),
            retry_first: Duration::from_secs(1),
            retry_cap: Duration::from_secs(60),
            exchange_period: Duration::from_secs(25),
        }
    }

    pub(super) const fn embedded() -> Self {
        Self {
            beat_period: Duration::from_millis(3_200),
            probe_timeout: Duration::from_secs(1),
            suspicion_window: Duration::from_secs(18),
            round_period: Duration::from_millis(200),
            repair_period: Duration::from_secs(2),
            batch_delay: Duration::from_millis(50),
            data_delay: Duration::ZERO,
            horizon: Duration::from_secs(300),
            retry_first: Duration::from_secs(1),
            retry_cap: Duration::from_secs(60),
            exchange_period: Duration::from_secs(25),
        }
    }

    pub(super) const fn local() -> Self {
        Self {
            beat_period: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(100),
            suspicion_window: Duration::from_secs(1),
            round_period: Duration::from_millis(10),
            repair_period: Duration::from_millis(100),
            batch_delay: Duration::from_millis(2),
            data_delay: Duration::ZERO,
            horizon: Duration::from_secs(120),
            retry_first: Duration::from_millis(100),
            retry_cap: Duration::from_secs(2),
            exchange_period: Duration::from_secs(5),
        }
    }

    /// For how long messages that a tree spreads are named in digests (our choice: 6 s in `lan`; each message is offered
    /// about twelve times then, by other neighbors each time).
    pub(crate) fn digested(&self) -> Duration {
        self.repair_period * 12
    }

    /// For how long an origin is silent before it is forgotten: the horizon, and a quarter for what is still on its way.
    pub(crate) fn forgets_after(&self) -> Duration {
        self.horizon * 5 / 4
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const HOUR: u64 = 3_600_000_000;
        const DAY: u64 = 24 * HOUR;
        let time = |field, value, min, max| within(field, crate::time::micros(value), min, max);
        time("timing.beat_period", self.beat_period, 10_000, HOUR)?;
        time("timing.probe_timeout", self.probe_timeout, 1_000, HOUR / 60)?;
        time("timing.suspicion_window", self.suspicion_window, 10_000, HOUR)?;
        time("timing.round_period", self.round_period, 1_000, HOUR / 60)?;
        time("timing.repair_period", self.repair_period, 10_000, HOUR)?;
        time("timing.batch_delay", self.batch_delay, 0, HOUR / 60)?;
        time("timing.data_delay", self.data_delay, 0, HOUR / 3_600)?;
        time("timing.horizon", self.horizon, 1_000_000, 30 * DAY)?;
        time("timing.retry_first", self.retry_first, 10_000, HOUR)?;
        time("timing.exchange_period", self.exchange_period, 100_000, HOUR)?;
        time("timing.retry_cap", self.retry_cap, crate::time::micros(self.retry_first), DAY)
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::config::documented_rows;

    /// The figures of the presets on this page are what the presets say.
    #[test]
    fn the_documented_figures_are_true() {
        let columns = [Timing::lan(), Timing::wan(), Timing::embedded(), Timing::local()].map(|timing| {
            [
                timing.beat_period,
                timing.probe_timeout,
                timing.suspicion_window,
                timing.round_period,
                timing.repair_period,
                timing.batch_delay,
                timing.data_delay,
                timing.horizon,
                timing.retry_first,
                timing.retry_cap,
                timing.exchange_period,
            ]
        });
        assert_eq!(documented_rows(include_str!("timing.rs")).count(), columns[0].len());
        for (row, figures) in documented_rows(include_str!("timing.rs")).enumerate() {
            let actual: String = columns.iter().map(|column| std::format!(" {} |", column[row].as_millis())).collect();
            assert_eq!(figures, actual.trim_start(), "row {row}");
        }
    }
}
