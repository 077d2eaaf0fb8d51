//! Time as the caller tells it.

use core::fmt;
use core::time::Duration;

/// A point in time, in microseconds since an origin that only the caller knows.
///
/// The core has no clock: every verb that needs the time is handed an `Instant`. Any origin will do (the start of the
/// process, the boot of the board, zero in a simulation), as long as one [`Gossip`](crate::Gossip) sees one origin.
/// 64 bits of microseconds last 584,000 years; in the last 50 days of them time stands still. Arithmetic saturates; there
/// is no subtraction that could underflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ZERO: Self = Self(0);

    /// Later than every deadline; stands for "no deadline" inside the core, so that a minimum is total.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// How far the core's own time is ahead of the caller's: the highest age there is, as ages have 32 bits of
    /// milliseconds. Whatever happened before the caller's clock began has an instant of its own then; were it clipped at
    /// the origin, a node that has just started would tell others that an old thing is young.
    const HEAD_START: u64 = u32::MAX as u64 * 1_000;

    /// The caller's `self` as the core's own time, which never reaches [`Instant::NEVER`].
    pub(crate) const fn inward(self) -> Self {
        let own = self.0.saturating_add(Self::HEAD_START);
        Self(if own == u64::MAX { own - 1 } else { own })
    }

    /// The core's own `self` as the caller's time.
    pub(crate) const fn outward(self) -> Self {
        Self(self.0.saturating_sub(Self::HEAD_START))
    }

    /// `self` moved by `age` into the past. Never clips in the core's own time, for any age of 32 bits of milliseconds.
    pub(crate) const fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(micros(age)))
    }

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
    fn the_highest_age_at_the_first_instant_is_kept() {
        let start = Instant::ZERO.inward();
        for age in [Duration::from_secs(1), Duration::from_millis(u32::MAX.into())] {
            assert_eq!(start.saturating_since(start.before(age)), age);
        }
    }

    #[test]
    fn the_callers_time_comes_back_and_never_is_no_time_of_the_core() {
        let now = Instant::from_micros(12_345);
        assert_eq!(now.inward().outward(), now);
        assert!(Instant::NEVER.inward() < Instant::NEVER);
    }

    #[test]
    fn prints_seconds() {
        assert_eq!(std::format!("{}", Instant::from_micros(1_000_250)), "1.000250s");
    }
}
