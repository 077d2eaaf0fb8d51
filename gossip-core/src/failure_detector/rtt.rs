//! The round-trip time of a link, smoothed.
//!
//! RFC 6298 §2.2 and §2.3, without its granularity and without doubling: the number of probes grows with the loss instead.

use core::time::Duration;

use crate::time::micros;

/// The longest time that an answer is waited for, in multiples of the shortest (our choice: a link that slow is rather
/// lossy than long).
const TIMEOUT_MAX: u32 = 8;

/// Both in microseconds; zero before the first sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rtt {
    smoothed: u32,
    deviation: u32,
}

impl Rtt {
    pub(super) const NONE: Self = Self { smoothed: 0, deviation: 0 };

    pub(super) fn sample(&mut self, round_trip: Duration) {
        let sample = u32::try_from(micros(round_trip)).unwrap_or(u32::MAX).max(1);
        if self.smoothed == 0 {
            (self.smoothed, self.deviation) = (sample, sample / 2);
        } else {
            self.deviation = self.deviation - self.deviation / 4 + self.smoothed.abs_diff(sample) / 4;
            self.smoothed = (self.smoothed - self.smoothed / 8).saturating_add(sample / 8).max(1);
        }
    }

    pub(super) fn smoothed(self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_micros(self.smoothed.into()))
    }

    /// How long to wait for an answer, at least `floor`.
    pub(super) fn timeout(self, floor: Duration) -> Duration {
        let usual = Duration::from_micros(u64::from(self.smoothed) + 4 * u64::from(self.deviation));
        usual.clamp(floor, floor * TIMEOUT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_smoothed_as_rfc_6298_says() {
        let mut rtt = Rtt::NONE;
        assert_eq!((rtt.smoothed(), rtt.timeout(Duration::from_millis(150))), (None, Duration::from_millis(150)));
        rtt.sample(Duration::from_millis(100));
        assert_eq!((rtt.smoothed, rtt.deviation), (100_000, 50_000));
        rtt.sample(Duration::from_millis(180));
        assert_eq!((rtt.smoothed, rtt.deviation), (110_000, 57_500));
        assert_eq!(rtt.timeout(Duration::from_millis(150)), Duration::from_millis(340));
    }

    #[test]
    fn the_timeout_has_bounds() {
        let mut rtt = Rtt::NONE;
        rtt.sample(Duration::from_secs(5_000));
        assert_eq!(rtt.timeout(Duration::from_millis(100)), Duration::from_millis(800));
    }
}
