//! Is it the others who are silent, or is it me who cannot hear?
//!
//! Who stands in a crowd and suddenly hears nobody should touch his own ears before he declares the crowd dead. A burst
//! that was spent while no datagram came *from anybody else* says nothing about its subject: the node is *deaf*. It
//! accuses nobody, answers no question, and probes one link after another, until anything comes.

use core::time::Duration;

use crate::time::Instant;

/// The pauses before the first probes, in probe timeouts (our choice, from simulations), and the one from then on.
const PAUSES: [u32; 3] = [0, 2, 2];
const PAUSE: u32 = 6;

#[derive(Clone, Copy, Debug)]
pub(super) struct Deafness {
    /// Since when; never where the node hears.
    since: Instant,
    probe_at: Instant,
    probes: u8,
    /// How long it lasted when it ended.
    lasted: Duration,
    timeout: Duration,
}

impl Deafness {
    pub(super) const fn none(timeout: Duration) -> Self {
        Self { since: Instant::NEVER, probe_at: Instant::NEVER, probes: 0, lasted: Duration::ZERO, timeout }
    }

    pub(super) fn is_on(&self) -> bool {
        self.since != Instant::NEVER
    }

    /// A burst was spent in silence. True if that is news.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if self.is_on() {
            return false;
        }
        (self.since, self.probe_at, self.probes) = (now, now, 0);
        true
    }

    /// Something was heard. True if the node was deaf until now.
    pub(super) fn end(&mut self, now: Instant) -> bool {
        let was_on = self.is_on();
        if was_on {
            self.lasted = now.saturating_since(self.since);
            (self.since, self.probe_at) = (Instant::NEVER, Instant::NEVER);
        }
        was_on
    }

    /// Whether the last deafness was none: the first probes were answered, so the others were only at rest.
    pub(super) fn was_a_pause(&self) -> bool {
        self.lasted <= self.timeout * (PAUSES[1] + PAUSES[2])
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.probe_at
    }

    /// Whether another link is to be probed now.
    pub(super) fn probes_now(&mut self, now: Instant) -> bool {
        if !self.is_on() || now < self.probe_at {
            return false;
        }
        self.probes = self.probes.saturating_add(1);
        let pause = PAUSES.get(usize::from(self.probes)).copied().unwrap_or(PAUSE);
        self.probe_at = now + self.timeout * pause;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_soon_and_then_at_ease_until_something_comes() {
        let mut deaf = Deafness::none(Duration::from_millis(100));
        assert!(!deaf.probes_now(Instant::ZERO) && !deaf.end(Instant::ZERO));
        assert!(deaf.begin(Instant::ZERO) && !deaf.begin(Instant::from_millis(1)));
        let mut at = std::vec![];
        for millis in 0..2_000 {
            if deaf.probes_now(Instant::from_millis(millis)) {
                at.push(millis);
            }
        }
        assert_eq!(at, [0, 200, 400, 1_000, 1_600]);
        assert!(deaf.end(Instant::from_millis(2_000)) && !deaf.was_a_pause());
        assert!(deaf.begin(Instant::from_millis(3_000)) && deaf.end(Instant::from_millis(3_003)) && deaf.was_a_pause());
        assert_eq!(deaf.deadline(), Instant::NEVER);
    }
}
