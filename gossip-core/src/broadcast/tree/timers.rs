//! All timers of the trees in one table, so that the next one is known at once.

use crate::storage::Deadlines;
use crate::time::Instant;

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The second copies of injected messages.
    Inject,
    /// Acknowledgements have waited long enough for company.
    Ack,
    /// The next neighbor is to get a digest.
    Digest,
    /// The one that got the last has not answered.
    Answer,
    /// A wave of a tree is to be passed on; and to those who may have it from somebody else before.
    Relay(usize),
    Rest(usize),
    /// The root of a tree is to send a wave; elsewhere: none has come for too long.
    Wave(usize),
    /// Somebody has to be the root of a tree.
    Claim(usize),
    /// The parent in a tree has not confirmed.
    Child(usize),
    /// There is still no parent in a tree.
    Stuck(usize),
    /// What is missing over a link is lost.
    Gap(usize),
    /// A copy over a link was not acknowledged.
    Resend(usize),
    /// A message that others have is to be asked for.
    Lack(usize),
}

const SINGLE: usize = 4;
const PER_TREE: usize = 6;
const PER_LINK: usize = 2;

/// One deadline for each. Rows: single ones, those of trees, of links, of messages that are missing.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    deadlines: Deadlines,
    trees: usize,
    links: usize,
}

impl Timers {
    pub(super) fn new(trees: usize, links: usize, lacks: usize) -> Self {
        Self { deadlines: Deadlines::new(count(trees, links, lacks)), trees, links }
    }

    pub(super) const fn heap_bytes(trees: usize, links: usize, lacks: usize) -> usize {
        Deadlines::heap_bytes(count(trees, links, lacks))
    }

    /// Sets a timer that is not set yet, or set for later.
    pub(super) fn hasten(&mut self, timer: Timer, at: Instant) {
        let row = self.row(timer);
        self.deadlines.set(row, at.min(self.deadlines.get(row)));
    }

    /// Sets a timer that is not set yet, or set for earlier.
    pub(super) fn postpone(&mut self, timer: Timer, at: Instant) {
        let row = self.row(timer);
        let set = Some(self.deadlines.get(row)).filter(|&set| set != Instant::NEVER);
        self.deadlines.set(row, set.map_or(at, |set| set.max(at)));
    }

    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        let row = self.row(timer);
        self.deadlines.set(row, at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    pub(super) fn runs(&self, timer: Timer) -> bool {
        self.deadlines.get(self.row(timer)) != Instant::NEVER
    }

    pub(super) fn earliest(&self) -> Instant {
        self.deadlines.earliest()
    }

    /// One that is due, and is stopped thereby.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let row = self.deadlines.expired(now)?;
        self.deadlines.set(row, Instant::NEVER);
        Some(self.timer(row))
    }

    fn row(&self, timer: Timer) -> usize {
        let of_tree = |tree, place| SINGLE + tree * PER_TREE + place;
        let links = of_tree(self.trees, 0);
        match timer {
            Timer::Inject => 0,
            Timer::Ack => 1,
            Timer::Digest => 2,
            Timer::Answer => 3,
            Timer::Relay(tree) => of_tree(tree, 0),
            Timer::Wave(tree) => of_tree(tree, 1),
            Timer::Claim(tree) => of_tree(tree, 2),
            Timer::Child(tree) => of_tree(tree, 3),
            Timer::Stuck(tree) => of_tree(tree, 4),
            Timer::Rest(tree) => of_tree(tree, 5),
            Timer::Gap(link) => links + link * PER_LINK,
            Timer::Resend(link) => links + link * PER_LINK + 1,
            Timer::Lack(lack) => links + self.links * PER_LINK + lack,
        }
    }

    fn timer(&self, row: usize) -> Timer {
        let Some(of_tree) = row.checked_sub(SINGLE) else {
            return [Timer::Inject, Timer::Ack, Timer::Digest, Timer::Answer][row];
        };
        let Some(of_link) = of_tree.checked_sub(self.trees * PER_TREE) else {
            let tree = of_tree / PER_TREE;
            let timers = [
                Timer::Relay(tree),
                Timer::Wave(tree),
                Timer::Claim(tree),
                Timer::Child(tree),
                Timer::Stuck(tree),
                Timer::Rest(tree),
            ];
            return timers[of_tree % PER_TREE];
        };
        match of_link.checked_sub(self.links * PER_LINK) {
            Some(lack) => Timer::Lack(lack),
            None => [Timer::Gap(of_link / PER_LINK), Timer::Resend(of_link / PER_LINK)][of_link % PER_LINK],
        }
    }
}

const fn count(trees: usize, links: usize, lacks: usize) -> usize {
    SINGLE + PER_TREE * trees + PER_LINK * links + lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_a_row_of_its_own() {
        let mut timers = Timers::new(2, 3, 5);
        for at in 0..count(2, 3, 5) {
            assert_eq!(timers.row(timers.timer(at)), at);
        }
        timers.set(Timer::Child(1), Instant::from_millis(2));
        timers.set(Timer::Resend(2), Instant::from_millis(3));
        timers.hasten(Timer::Resend(2), Instant::from_millis(1));
        timers.set(Timer::Stuck(0), Instant::from_millis(1));
        timers.stop(Timer::Stuck(0));
        assert_eq!(timers.expired(Instant::from_millis(1)), Some(Timer::Resend(2)));
        assert_eq!(timers.expired(Instant::from_millis(1)), None);
        assert_eq!(timers.earliest(), Instant::from_millis(2));
        assert_eq!(timers.expired(Instant::from_millis(9)), Some(Timer::Child(1)));
    }
}
