//! What the trees derive from the configured pace.

use core::time::Duration;

use crate::config::Timing;
use crate::time::micros as whole_micros;

/// The longest time between two waves.
const REFRESH_MAX: Duration = Duration::from_secs(600);

/// What is derived from the configured pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The shortest time that a node without a wave waits; the longest is twice that.
    pub(super) claim: Duration,
    /// The shortest time between two waves, when nothing asks for one.
    pub(super) refresh_min: Duration,
    /// The longest: within it and the one before, an injected datagram that was recorded could be taken for new, so it
    /// must stay well below the horizon.
    pub(super) refresh_max: Duration,
    /// The shortest time between two waves, whoever asks.
    pub(super) gap: Duration,
    /// What a round trip takes where none was measured yet, in microseconds.
    pub(super) round_trip_guess: u32,
}

impl Pace {
    pub(super) fn new(timing: &Timing) -> Self {
        let period = 2 * timing.repair_period;
        let guess = u32::try_from(whole_micros(timing.probe_timeout / 2)).unwrap_or(u32::MAX);
        Self {
            claim: timing.probe_timeout * 3 / 2,
            refresh_min: period,
            refresh_max: REFRESH_MAX.min(timing.horizon / 4).max(period),
            gap: period * 3 / 2,
            round_trip_guess: guess,
        }
    }
}
