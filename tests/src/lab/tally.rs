//! Means of independent runs, and how far they can be trusted.

/// The quantile of the normal distribution that leaves 2.5 % on either side.
const Z: f64 = 1.96;

/// From so many rare events on, their sum is taken for normal.
const MANY: f64 = 100.0;

/// What was measured in each of some runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    runs: f64,
    sum: f64,
    squares: f64,
}

/// A mean with the interval in which the true one lies with a probability of 95 %.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) mean: f64,
    pub(super) high: f64,
}

impl Tally {
    pub(super) fn add(&mut self, value: f64) {
        self.runs += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) const fn runs(&self) -> u64 {
        self.runs as u64
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.runs
    }

    /// By the standard error of the mean.
    pub(super) fn interval(&self) -> Interval {
        let (mean, runs) = (self.mean(), self.runs);
        let variance = (self.squares / runs - mean * mean).max(0.0) * runs / (runs - 1.0).max(1.0);
        let error = Z * (variance / runs).sqrt();
        Interval { low: mean - error, mean, high: mean + error }
    }

    /// Of counts: where there are few in all, as a Poisson distribution (the bounds of Byar), which is right where each event
    /// is by itself.
    pub(super) fn interval_of_counts(&self) -> Interval {
        let count = self.sum;
        if count >= MANY {
            return self.interval();
        }
        let bound = |count: f64, z: f64| {
            if count == 0.0 { 0.0 } else { count * (1.0 - 1.0 / (9.0 * count) + z / (3.0 * count.sqrt())).powi(3) }
        };
        let [low, high] = [bound(count, -Z), bound(count + 1.0, Z)];
        Interval { low: low / self.runs, mean: self.mean(), high: high / self.runs }
    }
}

impl Interval {
    pub(super) fn map(self, to: impl Fn(f64) -> f64) -> Self {
        Self { low: to(self.low), mean: to(self.mean), high: to(self.high) }
    }

    pub(super) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Whether the mean differs from `value` by at most the share `tolerance` of it.
    pub(super) fn is_near(&self, value: f64, tolerance: f64) -> bool {
        (self.mean - value).abs() <= tolerance * value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[f64]) -> Tally {
        let mut tally = Tally::default();
        values.iter().for_each(|&value| tally.add(value));
        tally
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        let four = tally(&[1.0, 2.0, 3.0, 4.0]).interval();
        assert!((four.mean - 2.5).abs() < 1e-9 && (four.high - four.mean - 1.96 * 0.6455).abs() < 1e-3, "{four:?}");
        // Exact bounds of a Poisson mean: 4 events 1.09 to 10.24; none 0 to 3.69.
        let rare = tally(&[0.0, 3.0, 0.0, 1.0]).interval_of_counts().map(|mean| mean * 4.0);
        assert!((rare.low - 1.09).abs() < 0.05 && (rare.high - 10.24).abs() < 0.05, "{rare:?}");
        let none = tally(&[0.0; 10]).interval_of_counts().map(|mean| mean * 10.0);
        assert!(none.low == 0.0 && (none.high - 3.69).abs() < 0.05, "{none:?}");
        assert!(rare.contains(4.0) && !rare.contains(1.0) && rare.is_near(4.1, 0.05) && !rare.is_near(4.5, 0.05));
    }
}
