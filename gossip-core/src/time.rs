//! Time as the caller tells it.

use core::fmt;
use core::time::Duration;

/// A point in time, in microseconds since an origin that only the caller knows.
///
/// The core has no clock: every verb that needs the time is handed an `Instant`. Any origin will do (the start of the
/// process, the boot of the board, zero in a simulation), as long as one [`Gossip`](crate::Gossip) sees one origin.
/// 64 bits of microseconds last 584,000 years. Arithmetic saturates; there is no subtraction that could underflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ZERO: Self = Self(0);

    /// Later than every deadline; stands for "no deadline" inside the core, so that a minimum is total.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero where `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self` moved by `duration` into the future, at most to the end of time.
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    /// Saturates, like [`Instant::saturating_add`].
    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Whole microseconds of `duration`, saturating; `as u64` would wrap after 584,000 years and hide it.
pub(crate) const fn micros(duration: Duration) -> u64 {
    let whole = duration.as_micros();
    if whole > u64::MAX as u128 { u64::MAX } else { whole as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_total() {
        let late = Instant::from_micros(u64::MAX - 1);
        assert_eq!(late + Duration::from_secs(9), Instant::NEVER);
        assert_eq!(Instant::ZERO.saturating_since(late), Duration::ZERO);
        assert_eq!(Instant::from_millis(2).saturating_since(Instant::from_micros(500)), Duration::from_micros(1_500));
        assert_eq!(micros(Duration::MAX), u64::MAX);
    }

    #[test]
    fn prints_seconds() {
        assert_eq!(std::format!("{}", Instant::from_micros(1_000_250)), "1.000250s");
    }
}
