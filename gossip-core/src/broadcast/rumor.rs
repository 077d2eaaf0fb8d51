//! Rumor: tell a few, a few times, and let it be old.
//!
//! # Intuition
//!
//! A rumor is told to a few neighbors drawn by chance, a few times over, and then it is old: far fewer words than a flood,
//! and a few people never hear it. They find out by comparing notes with a neighbor (`anti_entropy`), so the rumor only has to
//! be good, not perfect.
//!
//! # State
//!
//! How many rounds each message has left, and one deadline for the next round of all of them.
//!
//! # Bounds
//!
//! One draw per link for each accepted message; per round, that much for each hot message. A message is sent at most
//! `rounds` times over a link.
//!
//! # Sources, and where this differs
//!
//! Rumor mongering is Demers et al. 1987 §1.4, blind and with a counter of rounds; all of their variants are in
//! [`mongering`](super::mongering). Rounds are `⌈(ln n + 2) / fanout⌉`: after `k` random copies per node a node is missed with probability
//! about `e^−k`, so `e⁻² / n` here. Where they draw from all sites, this draws from the links; the overlay is random,
//! so to the message it is the same. A peer that sends a message is not sent it back: in the first round of a rumor it is
//! left out of the draw, and a copy that still waits for it is dropped.

use core::time::Duration;

use alloc::boxed::Box;

use super::candidates::Candidates;
use super::copies::Copies;
use crate::config::{Config, Rounds};
use crate::peer::{PeerIdx, Peers};
use crate::protocol::Cx;
use crate::rng::Rng;
use crate::storage::Bits;
use crate::store::Slot;
use crate::time::Instant;

/// ln 2 in thousandths, rounded up.
const LN_2_MILLI: u32 = 694;

/// The rumors that are hot.
#[derive(Clone, Debug)]
pub(super) struct Rumor {
    fanout: u8,
    rounds: Rounds,
    period: Duration,
    /// Rounds that each message has left.
    rounds_left: Box<[u8]>,
    hot: Bits,
    pub(super) next_round: Instant,
    rng: Rng,
}

impl Rumor {
    pub(super) fn new(config: &Config, fanout: u8, rounds: Rounds, rng: Rng) -> Self {
        let messages = config.limits.message_slots();
        Self {
            fanout,
            rounds,
            period: config.timing.round_period,
            rounds_left: (0..messages).map(|_| 0).collect(),
            hot: Bits::new(messages),
            next_round: Instant::NEVER,
            rng,
        }
    }

    /// A new message starts its way.
    pub(super) fn start(&mut self, copies: &mut Copies, cx: &mut Cx<'_>, slot: Slot, from: Option<PeerIdx>) {
        self.rounds_left[slot as usize] = rounds_for(self.rounds, self.fanout, cx.size) - 1;
        self.round(copies, cx.peers, slot, from);
        self.keep_hot(cx.now, slot);
    }

    pub(super) fn forget_message(&mut self, slot: Slot) {
        self.hot.clear(slot as usize);
    }

    /// The next round of all that is hot, if it is time.
    pub(super) fn on_timeout(&mut self, copies: &mut Copies, cx: &mut Cx<'_>) {
        if self.next_round > cx.now {
            return;
        }
        self.next_round = Instant::NEVER;
        let mut slot = self.hot.first();
        while let Some(at) = slot {
            self.rounds_left[at] -= 1;
            self.round(copies, cx.peers, at as Slot, None);
            self.keep_hot(cx.now, at as Slot);
            slot = self.hot.next_wrapping(at + 1).filter(|&next| next > at);
        }
    }

    fn keep_hot(&mut self, now: Instant, slot: Slot) {
        if self.rounds_left[slot as usize] == 0 {
            self.hot.clear(slot as usize);
        } else {
            self.hot.set(slot as usize);
            self.next_round = self.next_round.min(now + self.period);
        }
    }

    /// One round of one rumor: `fanout` links, drawn without repetition.
    fn round(&mut self, copies: &mut Copies, peers: &mut Peers, slot: Slot, except: Option<PeerIdx>) {
        let mut candidates = Candidates::of(peers);
        if let Some(except) = except {
            candidates.remove(except.row());
        }
        for _ in 0..self.fanout {
            let Some(row) = candidates.draw(&mut self.rng) else { return };
            copies.owe(peers, row, slot);
        }
    }

    /// Panics where a rumor is hot without a message, without rounds or without a next round.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, messages: &crate::store::Messages) {
        self.hot.check_invariants();
        for slot in self.hot.iter() {
            assert!(messages.is_kept(slot as Slot), "a rumor without a message");
            assert!(self.rounds_left[slot] > 0, "a rumor without rounds");
            assert!(self.next_round != Instant::NEVER, "a rumor without a next round");
        }
    }
}

/// How many rounds a rumor lasts at each of `n` nodes; at least one.
pub(super) fn rounds_for(rounds: Rounds, fanout: u8, n: u32) -> u8 {
    match rounds {
        Rounds::Fixed(rounds) => rounds.max(1),
        Rounds::Auto => {
            let bits = u32::BITS - n.max(1).leading_zeros();
            let copies = (bits * LN_2_MILLI).div_ceil(1_000) + 2;
            u8::try_from(copies.div_ceil(u32::from(fanout.max(1)))).unwrap_or(u8::MAX).max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_reach_everybody_with_room_to_spare() {
        for (n, fanout) in [(1_u32, 3_u8), (16, 3), (1_000, 3), (1_000, 1), (1_000_000, 5)] {
            let copies = u32::from(rounds_for(Rounds::Auto, fanout, n)) * u32::from(fanout);
            assert!(f64::from(copies) >= f64::from(n).ln() + 2.0, "{n} nodes, fan-out {fanout}: {copies} copies");
            assert!(f64::from(copies) <= f64::from(n).ln() + 4.0 + f64::from(fanout), "{n} nodes, fan-out {fanout}");
        }
        assert_eq!(rounds_for(Rounds::Fixed(2), 3, 1_000), 2);
    }
}
