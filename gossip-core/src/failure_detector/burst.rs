//! A few probes, one after the other, until an answer comes or they are spent.
//!
//! ```text
//! Idle ──begin──▶ Owed ──composed──▶ Asked ──answer──▶ (its owner ends it)
//!                  ▲                   │
//!                  └──no answer in time, some left──┤
//!                                                   └──none left──▶ Idle, spent
//! ```
//!
//! The timer of an answer starts when the probe is *composed*: a socket that is full for a minute must not kill links. Only
//! the answer to the last probe is timed, so a late answer to an earlier one is a sign of life but no sample (Karn and
//! Partridge 1987).

use core::time::Duration;

use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    state: State,
    /// Of the first probe, and of the last one.
    first: u32,
    number: u32,
    asked_at: Instant,
    /// Probes that are left after the last one.
    left: u8,
    /// Probes sent so far.
    sent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Owed,
    Asked,
}

impl Burst {
    pub(super) const IDLE: Self =
        Self { state: State::Idle, first: 0, number: 0, asked_at: Instant::ZERO, left: 0, sent: 0 };

    /// A burst of `probes`, the first with this number.
    pub(super) const fn begin(number: u32, probes: u8) -> Self {
        Self {
            state: State::Owed,
            first: number,
            number,
            asked_at: Instant::ZERO,
            left: probes.saturating_sub(1),
            sent: 0,
        }
    }

    /// The number of the probe that is to be sent, if one is.
    pub(super) fn owed(&self) -> Option<u32> {
        (self.state == State::Owed).then_some(self.number)
    }

    pub(super) const fn composed(&mut self, now: Instant) {
        self.sent = self.sent.saturating_add(1);
        (self.state, self.asked_at) = (State::Asked, now);
    }

    /// When the answer is too late.
    pub(super) fn deadline(&self, timeout: Duration) -> Instant {
        if self.state == State::Asked { self.asked_at + timeout } else { Instant::NEVER }
    }

    /// No answer came in time. Owes the next probe, with this number; false if the burst is spent.
    pub(super) const fn again(&mut self, number: u32) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            self.state = State::Idle;
            return false;
        };
        (self.state, self.number, self.left) = (State::Owed, number, left);
        true
    }

    /// The time that the answer took, if it is one to the last probe.
    pub(super) fn answered(&self, now: Instant, number: u32) -> Option<Duration> {
        (self.state == State::Asked && self.number == number).then(|| now.saturating_since(self.asked_at))
    }

    /// Whether an answer of this number is to a probe of this burst. Numbers rise.
    pub(super) const fn knows(&self, number: u32) -> bool {
        self.sent > 0 && number.wrapping_sub(self.first) <= self.number.wrapping_sub(self.first)
    }

    /// Probes sent so far.
    pub(super) const fn sent(&self) -> u8 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    #[test]
    fn all_probes_are_sent_and_then_it_is_spent() {
        for probes in 1..5 {
            let mut burst = Burst::begin(10, probes);
            let mut sent = std::vec![];
            let mut now = Instant::ZERO;
            loop {
                assert_eq!(burst.deadline(TIMEOUT), Instant::NEVER, "what was not sent cannot be late");
                sent.push(burst.owed().expect("a probe is owed"));
                burst.composed(now);
                assert_eq!((burst.owed(), burst.deadline(TIMEOUT)), (None, now + TIMEOUT));
                now = now + TIMEOUT;
                if !burst.again(10 + u32::try_from(sent.len()).expect("few")) {
                    break;
                }
            }
            assert_eq!(sent, (10..10 + u32::from(probes)).collect::<std::vec::Vec<_>>());
            assert_eq!((burst.sent(), burst.owed(), burst.deadline(TIMEOUT)), (probes, None, Instant::NEVER));
        }
    }

    /// Numbers of other bursts lie between those of this one, but none of a burst before it.
    #[test]
    fn an_old_answer_is_none() {
        let mut burst = Burst::begin(u32::MAX, 2);
        assert!(!burst.knows(u32::MAX), "nothing was asked yet");
        burst.composed(Instant::ZERO);
        assert!(burst.again(3));
        assert_eq!([u32::MAX - 1, u32::MAX, 3, 4].map(|number| burst.knows(number)), [false, true, true, false]);
    }

    #[test]
    fn only_the_answer_to_the_last_probe_is_timed() {
        let mut burst = Burst::begin(1, 2);
        burst.composed(Instant::ZERO);
        assert!(burst.again(2));
        assert_eq!(burst.answered(Instant::from_millis(5), 2), None, "it was not sent yet");
        burst.composed(Instant::from_millis(10));
        assert_eq!(burst.answered(Instant::from_millis(15), 1), None);
        assert_eq!(burst.answered(Instant::from_millis(15), 2), Some(Duration::from_millis(5)));
    }
}
