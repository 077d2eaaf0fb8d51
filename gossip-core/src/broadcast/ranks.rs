//! Whose messages go first where many wait.
//!
//! # Intuition
//!
//! A counter with one clerk. Somebody comes with a cartload of letters, somebody else with one. If all letters stood in one
//! line, the one letter would wait for the cart. So each letter gets a number when it comes in: the logarithm of how many
//! letters of its sender are waiting already. Low numbers go first. The first letter of anybody passes the cart; and of two
//! carts that come together both get on, the larger one hardly quicker than the smaller one. Now and then the clerk takes
//! whichever letter is next by place, whatever its number, so that nobody waits for ever behind those who keep coming with few.
//!
//! # Bounds
//!
//! A message waits for at most twice as many messages of any one other origin as of its own, those that go by place apart. Two
//! words for each message and one for each origin; nothing is searched but bits.
//!
//! # Sources, and where this differs
//!
//! Start-time fair queueing (Goyal, Vin and Cheng 1996) gives each packet of a flow the next number and serves the lowest; the
//! logarithm of that number needs only a few sets of bits in place of a sorted queue, at the price of the factor of two. That
//! flows with little go first is also what `fq_codel` (RFC 8290 §4.2) does for new flows.

use alloc::boxed::Box;

use crate::config::Config;
use crate::storage::Bits;
use crate::store::{Row, Slot};

/// Numbers that there are: the last one is for whoever has 31 messages waiting, or more.
const RANKS: usize = 6;

/// The messages that wait for any link.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    /// Whose each message is.
    origins: Box<[Row]>,
    /// How many messages of each origin wait.
    waiting: Box<[u32]>,
    /// The messages that wait, by rank.
    sets: [Bits; RANKS],
}

impl Ranks {
    pub(super) fn new(config: &Config) -> Self {
        let (messages, origins) = (config.limits.message_slots(), config.limits.origins as usize);
        Self {
            origins: (0..messages).map(|_| 0).collect(),
            waiting: (0..origins).map(|_| 0).collect(),
            sets: core::array::from_fn(|_| Bits::new(messages)),
        }
    }

    pub(super) const fn heap_bytes(messages: usize, origins: usize) -> usize {
        messages * size_of::<Row>() + origins * size_of::<u32>() + RANKS * Bits::heap_bytes(messages)
    }

    /// A message came in.
    pub(super) fn admit(&mut self, slot: Slot, origin: Row) {
        debug_assert!(self.rank(slot).is_none(), "the message that had the slot before waits still");
        self.origins[slot as usize] = origin;
    }

    /// It waits, if it did not wait already.
    pub(super) fn enter(&mut self, slot: Slot) {
        if self.rank(slot).is_some() {
            return;
        }
        let waiting = &mut self.waiting[self.origins[slot as usize] as usize];
        *waiting += 1;
        let rank = (waiting.ilog2() as usize).min(RANKS - 1);
        self.sets[rank].set(slot as usize);
    }

    /// It waits no more, if it did.
    pub(super) fn leave(&mut self, slot: Slot) {
        if let Some(rank) = self.rank(slot) {
            self.sets[rank].clear(slot as usize);
            self.waiting[self.origins[slot as usize] as usize] -= 1;
        }
    }

    /// The messages that wait, those first that go first.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Bits> {
        self.sets.iter().filter(|set| !set.is_empty())
    }

    fn rank(&self, slot: Slot) -> Option<usize> {
        self.sets.iter().position(|set| set.contains(slot as usize))
    }

    /// Panics where a message has two ranks, or an origin's are counted wrongly; `waits` says which messages do.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, waits: impl Fn(Slot) -> bool) {
        let mut counted = alloc::vec![0; self.waiting.len()];
        for slot in 0..self.origins.len() {
            let ranks = self.sets.iter().filter(|set| set.contains(slot)).count();
            assert_eq!(ranks, usize::from(waits(slot as Slot)), "ranks of message {slot}");
            counted[self.origins[slot] as usize] += ranks as u32;
        }
        assert_eq!(counted[..], self.waiting[..], "how many messages of each origin wait");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use std::vec::Vec;

    fn ranks(origins: &[Row]) -> Ranks {
        let mut ranks = Ranks::new(&Config::local(NodeId(1)));
        for (slot, &origin) in origins.iter().enumerate() {
            ranks.admit(slot as Slot, origin);
            ranks.enter(slot as Slot);
        }
        ranks
    }

    fn order(ranks: &Ranks) -> Vec<usize> {
        ranks.sets().flat_map(Bits::iter).collect()
    }

    #[test]
    fn who_has_little_goes_before_who_has_much() {
        let mut origins = [7; 100].to_vec();
        origins.extend([8, 9, 9]);
        assert_eq!(order(&ranks(&origins))[..5], [0, 100, 101, 1, 2], "a first, then second and third messages");
    }

    #[test]
    fn of_two_with_much_both_get_on() {
        let mut origins = [7; 60].to_vec();
        origins.extend([8; 60]);
        let order = order(&ranks(&origins));
        for served in 1..60 {
            let sevens = order[..served].iter().filter(|&&slot| slot < 60).count();
            let eights = served - sevens;
            assert!(sevens <= 2 * eights + 1 || sevens >= 31 + eights, "{sevens} and {eights} of {served}");
        }
    }

    #[test]
    fn who_was_served_has_little_again() {
        let mut ranks = ranks(&[7; 40]);
        (0..40).for_each(|slot| ranks.leave(slot));
        assert!(ranks.sets().next().is_none());
        ranks.enter(5);
        ranks.enter(5);
        assert_eq!(order(&ranks), [5]);
        ranks.check_invariants(|slot| slot == 5);
    }
}
