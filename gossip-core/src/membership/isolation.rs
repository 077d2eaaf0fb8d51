//! Does anybody hear this node?
//!
//! # Intuition
//!
//! Somebody in a cellar listens for steps. As long as there is any sound from anybody, it is not alone. After a while of
//! silence it says so; and it says so again when it hears the first sound. It does not matter whether the silence
//! is everybody's death or a bricked-up door: from inside they are the same.
//!
//! # Bound
//!
//! [`Event::Isolated`] is told after a silence of five beat periods (our choice: it takes five losses in a row) if the node
//! has as many links as it should have, or none; with fewer links the silence is as much longer, as each of their far ends
//! sends its beats to all its links in turn. [`Event::Rejoined`] is told at most a quarter of a beat period after the first
//! sound.

use core::time::Duration;

use crate::event::Event;
use crate::peer::Peers;
use crate::time::Instant;

/// Silence in beat periods.
const PATIENCE: u32 = 5;

/// Whether this node is alone, and what the application knows of it.
#[derive(Clone, Debug)]
pub(super) struct Isolation {
    period: Duration,
    /// When to listen again.
    at: Instant,
    /// The last sound: of a link that ended, or the beginning of the search.
    heard: Instant,
    isolated: bool,
    told: bool,
}

impl Isolation {
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, at: Instant::NEVER, heard: Instant::ZERO, isolated: false, told: false }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.at
    }

    /// From now on there is somebody to be heard from.
    pub(super) fn watch(&mut self, now: Instant) {
        if self.at == Instant::NEVER {
            self.heard = now;
            self.at = now + self.period * PATIENCE;
        }
    }

    /// There is nobody to be heard from any more: no news from now on.
    pub(super) const fn rest(&mut self) {
        (self.at, self.isolated) = (Instant::NEVER, self.told);
    }

    /// A link begins or ends: its last sound counts.
    pub(super) fn hear(&mut self, heard: Instant) {
        self.heard = self.heard.max(heard);
    }

    /// Listens, if it is time. `others`: whether there is anybody to be heard from; `wanted`: how many links there should be.
    pub(super) fn on_timeout(&mut self, now: Instant, peers: &Peers, others: bool, wanted: usize) {
        if self.at > now {
            return;
        }
        if !others {
            return self.rest();
        }
        for (_, peer) in peers.iter() {
            self.hear(peer.heard);
        }
        let stretch = if peers.len() == 0 { 1 } else { wanted.div_ceil(peers.len()).max(1) };
        let silent_at = self.heard + self.period * PATIENCE * stretch as u32;
        self.isolated = silent_at <= now;
        self.at = if self.isolated { now + self.period / 4 } else { silent_at };
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
        let peers = Peers::new(1);
        let mut isolation = Isolation::new(Duration::from_secs(1));
        isolation.watch(at(0));
        isolation.hear(at(2_000));
        isolation.on_timeout(at(5_000), &peers, true, 1);
        assert_eq!((isolation.next_event(), isolation.deadline()), (None, at(7_000)));
        isolation.on_timeout(at(7_000), &peers, true, 1);
        assert_eq!((isolation.next_event(), isolation.next_event()), (Some(Event::Isolated), None));
        isolation.hear(at(7_100));
        isolation.on_timeout(isolation.deadline(), &peers, true, 1);
        assert_eq!((isolation.next_event(), isolation.deadline()), (Some(Event::Rejoined), at(12_100)));
    }

    #[test]
    fn who_has_nobody_to_hear_from_is_not_isolated() {
        let peers = Peers::new(1);
        let mut isolation = Isolation::new(Duration::from_secs(1));
        isolation.watch(at(0));
        isolation.on_timeout(at(5_000), &peers, false, 1);
        assert_eq!((isolation.next_event(), isolation.deadline()), (None, Instant::NEVER));
    }
}
