//! All timers of the trees in one table, so that the next one is known at once.

use crate::storage::Deadlines;
use crate::time::Instant;

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A wave of a tree is to be passed on.
    Relay(usize),
    /// The root of a tree is to send a wave; elsewhere: none has come for too long.
    Wave(usize),
    /// Somebody has to be the root of a tree.
    Claim(usize),
    /// The parent in a tree has not confirmed.
    Child(usize),
    /// There is still no parent in a tree.
    Stuck(usize),
}

const PER_TREE: usize = 5;

/// One deadline for each.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    deadlines: Deadlines,
}

impl Timers {
    pub(super) fn new(trees: usize) -> Self {
        Self { deadlines: Deadlines::new(PER_TREE * trees) }
    }

    pub(super) const fn heap_bytes(trees: usize) -> usize {
        Deadlines::heap_bytes(PER_TREE * trees)
    }

    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.deadlines.set(row(timer), at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    pub(super) fn runs(&self, timer: Timer) -> bool {
        self.deadlines.get(row(timer)) != Instant::NEVER
    }

    pub(super) fn earliest(&self) -> Instant {
        self.deadlines.earliest()
    }

    /// One that is due, and is stopped thereby.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let row = self.deadlines.expired(now)?;
        self.deadlines.set(row, Instant::NEVER);
        Some(timer(row))
    }
}

const fn row(timer: Timer) -> usize {
    let (tree, of_tree) = match timer {
        Timer::Relay(tree) => (tree, 0),
        Timer::Wave(tree) => (tree, 1),
        Timer::Claim(tree) => (tree, 2),
        Timer::Child(tree) => (tree, 3),
        Timer::Stuck(tree) => (tree, 4),
    };
    tree * PER_TREE + of_tree
}

const fn timer(row: usize) -> Timer {
    let tree = row / PER_TREE;
    match row % PER_TREE {
        0 => Timer::Relay(tree),
        1 => Timer::Wave(tree),
        2 => Timer::Claim(tree),
        3 => Timer::Child(tree),
        _ => Timer::Stuck(tree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_a_row_of_its_own() {
        for at in 0..3 * PER_TREE {
            assert_eq!(row(timer(at)), at);
        }
        let mut timers = Timers::new(2);
        timers.set(Timer::Child(1), Instant::from_millis(2));
        timers.set(Timer::Relay(0), Instant::from_millis(1));
        timers.set(Timer::Stuck(0), Instant::from_millis(1));
        timers.stop(Timer::Stuck(0));
        assert_eq!(timers.expired(Instant::from_millis(1)), Some(Timer::Relay(0)));
        assert_eq!(timers.expired(Instant::from_millis(1)), None);
        assert_eq!(timers.earliest(), Instant::from_millis(2));
        assert_eq!(timers.expired(Instant::from_millis(9)), Some(Timer::Child(1)));
    }
}
