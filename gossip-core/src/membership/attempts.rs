//! Attempts: addresses that are greeted until somebody there answers.
//!
//! ```text
//! Idle ──its time comes──▶ Owed ──composed──▶ Sent ──no answer in time──▶ Owed, or given up (candidates)
//!                           ▲                  │ Retry: the cookie is kept
//!                           └──────────────────┘
//!                                              │ Welcome ──▶ Idle (contacts, neighbors), or gone (candidates)
//! ```
//!
//! Contacts and configured neighbors are never given up. The pause doubles with each attempt that was not answered, up to
//! a cap; a node without any link does not wait longer than the first pause.

use core::net::SocketAddr;
use core::time::Duration;

use crate::ids::NodeId;
use crate::storage::{Bits, Deadlines, Slots};
use crate::time::Instant;

/// How often a candidate is greeted before it is taken for dead (our choice: at 30 % loss, where half of the greetings are
/// not answered and two answers are needed, one living candidate in 250 is given up).
const CANDIDATE_TRIES: u8 = 12;

/// Why an address is greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The user named the address.
    Contact,
    /// The configuration names the node.
    Neighbor,
    /// A member, to get one more link.
    Candidate,
    /// A member taken for dead, to see whether it is.
    Check,
    /// A member taken for dead, to join what was split if it is not.
    Heal,
}

/// One address that is greeted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) address: SocketAddr,
    /// Who lives there, as soon as that is known.
    pub(super) node: Option<NodeId>,
    pub(super) purpose: Purpose,
    /// Of the last greeting; 0 for none.
    pub(super) nonce: u64,
    pub(super) cookie: u64,
    pub(super) tries: u8,
    /// Whether the application is to be warned about this neighbor.
    pub(super) warning: Notice,
}

/// Something to tell the application once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    None,
    Due,
    Told,
}

/// The table, with a deadline for each row.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    rows: Slots<Attempt>,
    deadlines: Deadlines,
    /// Rows whose greeting is due.
    owed: Bits,
    retry_first: Duration,
    retry_cap: Duration,
}

impl Attempts {
    pub(super) fn new(capacity: usize, retry_first: Duration, retry_cap: Duration) -> Self {
        Self {
            rows: Slots::new(capacity),
            deadlines: Deadlines::new(capacity),
            owed: Bits::new(capacity),
            retry_first,
            retry_cap,
        }
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Attempt>::heap_bytes(capacity) + Deadlines::heap_bytes(capacity) + Bits::heap_bytes(capacity)
    }

    /// Starts at `at`. False where there is no room.
    pub(super) fn add(&mut self, address: SocketAddr, node: Option<NodeId>, purpose: Purpose, at: Instant) -> bool {
        let attempt = Attempt { address, node, purpose, nonce: 0, cookie: 0, tries: 0, warning: Notice::None };
        match self.rows.insert(attempt) {
            Ok(row) => {
                self.deadlines.set(row as usize, at);
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn remove(&mut self, row: u32) {
        self.deadlines.set(row as usize, Instant::NEVER);
        self.owed.clear(row as usize);
        self.rows.remove(row);
    }

    pub(super) fn get_mut(&mut self, row: u32) -> Option<&mut Attempt> {
        self.rows.get_mut(row)
    }

    pub(super) fn get(&self, row: u32) -> Option<&Attempt> {
        self.rows.get(row)
    }

    pub(super) fn capacity(&self) -> u32 {
        self.rows.capacity() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Attempt)> {
        self.rows.iter()
    }

    pub(super) fn find(&self, fits: impl Fn(&Attempt) -> bool) -> Option<u32> {
        self.rows.iter().find(|(_, attempt)| fits(attempt)).map(|(row, _)| row)
    }

    pub(super) fn count(&self, fits: impl Fn(&Attempt) -> bool) -> usize {
        self.rows.iter().filter(|(_, attempt)| fits(attempt)).count()
    }

    /// The first row whose greeting is due.
    pub(super) fn next_owed(&self) -> Option<u32> {
        self.owed.first().map(|row| row as u32)
    }

    /// Whether the greeting of a row is due.
    pub(super) fn is_owed(&self, row: u32) -> bool {
        self.owed.contains(row as usize)
    }

    pub(super) fn earliest(&self) -> Instant {
        self.deadlines.earliest()
    }

    /// The next row whose time has come; its timer is off then.
    pub(super) fn expired(&mut self, now: Instant) -> Option<u32> {
        let row = self.deadlines.expired(now)?;
        self.deadlines.set(row, Instant::NEVER);
        Some(row as u32)
    }

    /// A greeting is owed from now on, or the attempt is given up. False for the latter.
    pub(super) fn owe(&mut self, row: u32, nonce: u64) -> bool {
        let Some(attempt) = self.rows.get_mut(row) else { return false };
        let patient = matches!(attempt.purpose, Purpose::Contact | Purpose::Neighbor);
        if attempt.tries >= CANDIDATE_TRIES && !patient {
            return false;
        }
        attempt.tries = attempt.tries.saturating_add(1);
        attempt.nonce = nonce;
        self.owed.set(row as usize);
        self.deadlines.set(row as usize, Instant::NEVER);
        true
    }

    /// The greeting was composed: wait for an answer.
    pub(super) fn sent(&mut self, now: Instant, row: u32, linked: bool) {
        let Some(attempt) = self.rows.get_mut(row) else { return };
        self.owed.clear(row as usize);
        let patient = matches!(attempt.purpose, Purpose::Contact | Purpose::Neighbor);
        let doublings = u32::from(attempt.tries.saturating_sub(1)).min(16);
        let pause = if linked && patient { self.retry_first * (1 << doublings) } else { self.retry_first };
        self.deadlines.set(row as usize, now + pause.min(self.retry_cap));
    }

    /// Rests until `at`.
    pub(super) fn rest(&mut self, row: u32, at: Instant) {
        if let Some(attempt) = self.rows.get_mut(row) {
            (attempt.tries, attempt.nonce) = (0, 0);
            self.owed.clear(row as usize);
            self.deadlines.set(row as usize, at);
        }
    }

    /// Panics where a timer runs for nobody, or for a greeting that is due already.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.deadlines.check_invariants();
        self.owed.check_invariants();
        for row in 0..self.capacity() {
            let runs = self.deadlines.get(row as usize) != Instant::NEVER;
            assert!(!runs || self.get(row).is_some() && !self.is_owed(row), "a timer runs for nothing");
            assert!(!self.is_owed(row) || self.get(row).is_some(), "a greeting is owed for nothing");
        }
    }

    pub(super) const fn retry_cap(&self) -> Duration {
        self.retry_cap
    }

    pub(super) const fn retry_first(&self) -> Duration {
        self.retry_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses between fourteen greetings in a row, or fewer.
    fn pauses(purpose: Purpose, linked: bool) -> std::vec::Vec<u64> {
        let mut attempts = Attempts::new(1, Duration::from_millis(500), Duration::from_secs(5));
        attempts.add(([127, 0, 0, 1], 1).into(), None, purpose, Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut pauses = std::vec![];
        while let Some(row) = attempts.expired(now).filter(|_| pauses.len() < 14) {
            if !attempts.owe(row, 1) {
                break;
            }
            attempts.sent(now, row, linked);
            pauses.push(attempts.earliest().saturating_since(now).as_millis() as u64);
            now = attempts.earliest();
        }
        pauses
    }

    #[test]
    fn pauses_double_up_to_the_cap_but_not_for_the_lonely() {
        assert_eq!(pauses(Purpose::Contact, true)[..6], [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(pauses(Purpose::Contact, false), [500; 14]);
    }

    #[test]
    fn candidates_are_given_up_and_neighbors_are_not() {
        assert_eq!(pauses(Purpose::Candidate, true).len(), usize::from(CANDIDATE_TRIES));
        let mut attempts = Attempts::new(1, Duration::from_millis(500), Duration::from_secs(5));
        attempts.add(([127, 0, 0, 1], 1).into(), None, Purpose::Neighbor, Instant::ZERO);
        assert!((0..300).all(|_| attempts.owe(0, 1)));
    }
}
