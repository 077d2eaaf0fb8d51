//! What a node thinks of one rumor.
//!
//! A tally on a slate: so many contacts in this round, so many of them in vain. At the end of the round the slate is read,
//! wiped, and decides whether the rumor is old.

use super::{Manner, ROUNDS_MAX};
use crate::broadcast::rumor::rounds_for;
use crate::config::{Feedback, Stop};
use crate::peer::PeerIdx;
use crate::rng::Rng;

/// Over no link.
const NOBODY: u16 = u16::MAX;

/// The slate of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interest {
    /// In which round it was heard.
    pub(super) learned: u32,
    /// The row of the link that it came over.
    from: u16,
    /// Rounds that count against it.
    counter: u8,
    /// Contacts in this round.
    contacts: u8,
    /// Those of them that were in vain.
    vain: u8,
}

impl Interest {
    pub(super) const NONE: Self = Self { learned: 0, from: NOBODY, counter: 0, contacts: 0, vain: 0 };

    pub(super) fn new(round: u32, from: Option<PeerIdx>) -> Self {
        Self { learned: round, from: from.map_or(NOBODY, |peer| peer.row() as u16), ..Self::NONE }
    }

    /// The row of the link that it came over.
    pub(super) fn from(&self) -> Option<usize> {
        (self.from != NOBODY).then_some(self.from.into())
    }

    /// That link is another one now.
    pub(super) fn forget(&mut self, peer: PeerIdx) {
        if self.from() == Some(peer.row()) {
            self.from = NOBODY;
        }
    }

    /// Somebody is told.
    pub(super) const fn contact(&mut self) {
        self.contacts = self.contacts.saturating_add(1);
    }

    /// And had heard it.
    pub(super) fn in_vain(&mut self) {
        self.vain = self.vain.saturating_add(1).min(self.contacts);
    }

    /// Reads the slate at the end of a round, and wipes it. `nodes` is the size of the cluster.
    pub(super) fn is_old(&mut self, round: u32, manner: &Manner, nodes: u32, rng: &mut Rng) -> bool {
        if round.wrapping_sub(self.learned) > ROUNDS_MAX {
            return true;
        }
        if self.contacts == 0 {
            return false;
        }
        let counts = manner.feedback == Feedback::Blind || self.vain >= self.contacts;
        (self.contacts, self.vain) = (0, 0);
        match manner.stop {
            Stop::Counter { rounds } => {
                self.counter = if counts { self.counter.saturating_add(1) } else { 0 };
                self.counter >= rounds_for(rounds, manner.fanout, nodes)
            }
            Stop::Coin { one_in } => counts && rng.below(one_in.into()) == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Rounds, Spread};

    fn manner(stop: Stop, feedback: Feedback) -> Manner {
        Manner { fanout: 1, ttl: 255, spread: Spread::Push, stop, feedback }
    }

    /// After which of these rounds (contacts, in vain) a rumor is old.
    fn old_after(manner: Manner, rounds: &[(u8, u8)]) -> Option<usize> {
        let (mut interest, mut rng) = (Interest::new(0, None), Rng::new(&[1; 32], 0));
        rounds.iter().position(|&(contacts, vain)| {
            (0..contacts).for_each(|_| interest.contact());
            (0..vain).for_each(|_| interest.in_vain());
            interest.is_old(1, &manner, 100, &mut rng)
        })
    }

    #[test]
    fn a_useful_contact_resets_the_counter_and_a_quiet_round_does_not_count() {
        let two = manner(Stop::Counter { rounds: Rounds::Fixed(2) }, Feedback::Answers);
        assert_eq!(old_after(two, &[(1, 1), (1, 1)]), Some(1));
        assert_eq!(old_after(two, &[(1, 1), (1, 0), (1, 1), (0, 0), (1, 1)]), Some(4));
        assert_eq!(old_after(two, &[(3, 2), (3, 3), (3, 2), (3, 3)]), None, "one of three needed it");
        assert_eq!(old_after(two, &[(0, 5), (1, 1), (0, 1)]), None, "answers without a contact are void");
        let blind = manner(Stop::Counter { rounds: Rounds::Fixed(2) }, Feedback::Blind);
        assert_eq!(old_after(blind, &[(1, 0), (0, 0), (1, 0)]), Some(2));
    }

    #[test]
    fn a_coin_is_thrown_after_each_contact_or_each_one_in_vain() {
        let sure = |feedback| manner(Stop::Coin { one_in: 1 }, feedback);
        assert_eq!(old_after(sure(Feedback::Blind), &[(0, 0), (1, 0)]), Some(1));
        assert_eq!(old_after(sure(Feedback::Answers), &[(1, 0), (0, 0), (1, 1)]), Some(2));
        let fair = manner(Stop::Coin { one_in: 3 }, Feedback::Blind);
        let mut rng = Rng::new(&[2; 32], 0);
        let old = (0..3_000).filter(|_| {
            let mut interest = Interest::new(0, None);
            interest.contact();
            interest.is_old(1, &fair, 100, &mut rng)
        });
        assert!((900..1_100).contains(&old.count()));
    }

    #[test]
    fn nothing_is_hot_for_ever() {
        let (mut interest, mut rng) = (Interest::new(7, None), Rng::new(&[1; 32], 0));
        let patient = manner(Stop::Counter { rounds: Rounds::Fixed(9) }, Feedback::Answers);
        assert!(!interest.is_old(7 + ROUNDS_MAX, &patient, 100, &mut rng));
        assert!(interest.is_old(8 + ROUNDS_MAX, &patient, 100, &mut rng));
    }
}
