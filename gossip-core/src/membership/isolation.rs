//! Does anybody hear this node?
//!
//! # Intuition
//!
//! Somebody in a cellar listens for steps. Who has no neighbors left, or is *deaf* (the failure detector has asked several
//! in vain and heard nobody else meanwhile), may be alone. After a while of it the node says so; and it says so again with the
//! first sound. It does not matter whether the silence is everybody's death or a bricked-up door: from inside they are
//! the same.
//!
//! # Bound
//!
//! [`Event::Isolated`] is told four beat periods after the last link ended or deafness began (our choice: three more probes
//! of other links, or greetings of contacts, are unanswered by then in `lan`), [`Event::Rejoined`] with the first datagram.

use core::time::Duration;

use crate::event::Event;
use crate::time::Instant;

/// Silence in beat periods.
const PATIENCE: u32 = 4;

/// Whether this node is alone, and what the application knows of it.
#[derive(Clone, Debug)]
pub(super) struct Isolation {
    patience: Duration,
    /// When the silence has lasted long enough to be told; never where there is none, or it was.
    at: Instant,
    isolated: bool,
    told: bool,
}

impl Isolation {
    pub(super) const fn new(beat_period: Duration) -> Self {
        Self { patience: beat_period.saturating_mul(PATIENCE), at: Instant::NEVER, isolated: false, told: false }
    }

    /// Whether the silence has lasted.
    pub(super) const fn is_on(&self) -> bool {
        self.isolated
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.at
    }

    /// Silence begins, if it has not begun already.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.at == Instant::NEVER && !self.isolated {
            self.at = now + self.patience;
        }
    }

    /// Something is heard.
    pub(super) const fn end(&mut self) {
        (self.at, self.isolated) = (Instant::NEVER, false);
    }

    /// There is nobody to be heard from any more: no news from now on.
    pub(super) const fn rest(&mut self) {
        (self.at, self.isolated) = (Instant::NEVER, self.told);
    }

    /// The silence has lasted. `others`: whether there is anybody to be heard from.
    pub(super) const fn on_timeout(&mut self, others: bool) {
        if others {
            (self.at, self.isolated) = (Instant::NEVER, true);
        } else {
            self.rest();
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        if self.told == self.isolated {
            return None;
        }
        self.told = self.isolated;
        Some(if self.isolated { Event::Isolated } else { Event::Rejoined })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn silence_is_told_once_and_its_end_too() {
        let mut isolation = Isolation::new(Duration::from_secs(1));
        isolation.begin(at(1_000));
        isolation.begin(at(2_000));
        assert_eq!((isolation.deadline(), isolation.next_event()), (at(5_000), None));
        isolation.on_timeout(true);
        isolation.begin(at(6_000));
        assert_eq!((isolation.deadline(), isolation.next_event()), (Instant::NEVER, Some(Event::Isolated)));
        assert_eq!(isolation.next_event(), None);
        isolation.end();
        assert_eq!((isolation.next_event(), isolation.next_event()), (Some(Event::Rejoined), None));
    }

    #[test]
    fn a_short_silence_and_one_with_nobody_to_be_heard_from_are_no_news() {
        let mut isolation = Isolation::new(Duration::from_secs(1));
        isolation.begin(at(0));
        isolation.end();
        assert_eq!((isolation.deadline(), isolation.next_event()), (Instant::NEVER, None));
        isolation.begin(at(0));
        isolation.on_timeout(false);
        assert_eq!((isolation.deadline(), isolation.next_event()), (Instant::NEVER, None));
    }
}
