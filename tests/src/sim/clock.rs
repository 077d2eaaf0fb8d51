//! The clock of one node: what it believes the time to be.
//!
//! Real time is the simulation's. A node's clock starts anywhere, runs a little too fast or too slow, and may be set
//! forward or back while the node runs.

/// A clock that is a straight line between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it showed at `since`.
    shown: u64,
    /// The real time of the last step.
    since: u64,
    /// The most that it showed before the last step.
    highest: u64,
    /// By how much it was set forward, in all.
    ahead: u64,
    /// How many microseconds it gains in a second.
    drift_ppm: i32,
}

const MILLION: u128 = 1_000_000;

impl Clock {
    /// A clock that shows `shown` at real time `now`. All times are in microseconds.
    #[must_use]
    pub const fn new(shown: u64, now: u64, drift_ppm: i32) -> Self {
        Self { shown, since: now, highest: shown, ahead: 0, drift_ppm }
    }

    /// The same clock, which begins anew at zero, as one does that counts the time since a process started.
    #[must_use]
    pub const fn restarted(&self, now: u64) -> Self {
        Self { shown: 0, since: now, highest: 0, ..*self }
    }

    /// By how much it was set forward, in all its life.
    #[must_use]
    pub const fn ahead(&self) -> u64 {
        self.ahead
    }

    const fn rate(&self) -> u128 {
        (1_000_000 + self.drift_ppm as i64) as u128
    }

    /// What it shows at real time `real`.
    #[must_use]
    pub const fn local(&self, real: u64) -> u64 {
        let elapsed = real.saturating_sub(self.since) as u128;
        self.shown.saturating_add((elapsed * self.rate() / MILLION) as u64)
    }

    /// The first real time at which it shows `local` or later, unless it is set before.
    #[must_use]
    pub fn real(&self, local: u64) -> u64 {
        let ahead = u128::from(local.saturating_sub(self.shown)) * MILLION;
        let elapsed = u64::try_from(ahead.div_ceil(self.rate())).unwrap_or(u64::MAX);
        self.since.saturating_add(elapsed)
    }

    /// How far it is behind what it has shown before.
    #[must_use]
    pub const fn lag(&self, real: u64) -> u64 {
        self.highest.saturating_sub(self.local(real))
    }

    /// Sets it forward (or back, where `by` is negative) by so many microseconds, at real time `now`.
    pub const fn step(&mut self, now: u64, by: i64) {
        let local = self.local(now);
        if local > self.highest {
            self.highest = local;
        }
        self.shown = local.saturating_add_signed(by);
        self.ahead = self.ahead.saturating_add_signed(if by > 0 { by } else { 0 });
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_neither_early_nor_late() {
        for drift in [-50_000, -20, 0, 20, 333, 50_000] {
            let clock = Clock::new(1_000_007, 500, drift);
            for local in (1_000_008..9_000_000).step_by(7_919) {
                let real = clock.real(local);
                assert!(clock.local(real) >= local && clock.local(real - 1) < local, "{local} at drift {drift}");
            }
        }
    }

    #[test]
    fn steps_go_both_ways() {
        let mut clock = Clock::new(10_000, 0, 0);
        clock.step(1_000, -4_000);
        assert_eq!((clock.local(1_000), clock.local(2_000)), (7_000, 8_000));
        assert_eq!((clock.lag(1_000), clock.lag(3_500), clock.lag(9_000)), (4_000, 1_500, 0));
        clock.step(2_000, 500);
        assert_eq!((clock.local(2_000), clock.real(9_000)), (8_500, 2_500));
        clock.step(2_000, i64::MIN);
        assert_eq!(clock.local(2_000), 0, "no clock shows less than zero");
        assert_eq!(clock.real(u64::MAX), u64::MAX, "a deadline at the end of time never comes");
    }
}
