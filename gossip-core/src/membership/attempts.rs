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
//! a cap; a node without any link does not wait longer than the first pause. A contact that is silent for long rests: it
//! is among those whom [`healing`](super::healing) tries for ever. Others are greeted again soon at first, so that a
//! search for links does not wait for the dead, then like contacts, until they are given up.

use core::net::SocketAddr;
use core::time::Duration;

use crate::ids::NodeId;
use crate::storage::{Deadlines, Slots};
use crate::time::Instant;

/// How often a candidate is greeted before it is taken for dead (our choice: at 30 % loss, where half of the greetings are
/// not answered and two answers are needed, one living candidate in 250 is given up).
const CANDIDATE_TRIES: u8 = 12;

/// How often a linked node greets a contact in a row before the contact rests (our choice: with doubling pauses one to
/// two minutes in `lan`).
const CONTACT_TRIES: u8 = 8;

/// How often a member is called out to (our choice: at 10 % loss one living node in 150 is missed).
const SOUND_TRIES: u8 = 3;

/// The longest pause between two greetings of a configured neighbor, in first pauses (our choice: a neighbor that was cut
/// off for an hour is back within 2 s in `lan`).
const NEIGHBOR_PAUSE: u32 = 4;

/// After so many greetings without an answer a search for links counts on others (Leitao et al. 2007 wait for the
/// transport's verdict; over datagrams that would be for too long: our choice).
const FRESH_TRIES: u8 = 2;

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
    /// Somebody taken for dead or forgotten, to join what was split if it lives.
    Heal,
    /// A member, to see how far it is.
    Sound,
    /// A member that was found to be near, to be linked with for that.
    Near,
    /// A newcomer whose walk has ended here, to be taken in between this node and one of its neighbors.
    Splice,
}

impl Purpose {
    /// Never given up.
    const fn is_patient(self) -> bool {
        matches!(self, Self::Contact | Self::Neighbor)
    }
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
    pub(super) owed: bool,
    /// When the last greeting was composed.
    pub(super) sent_at: Instant,
    /// From a greeting without cookie to its answer, in microseconds; 0 before.
    pub(super) round_trip: u32,
    /// Whether the application is to be warned about this neighbor.
    pub(super) warning: Notice,
}

impl Attempt {
    /// Whether an answer may still come soon.
    pub(super) const fn is_fresh(&self) -> bool {
        self.tries <= FRESH_TRIES || self.cookie != 0
    }

    /// How many greetings it takes at the most. Whoever is tried now and then is asked once, until there is a sign of life.
    const fn tries_max(&self) -> u8 {
        match self.purpose {
            Purpose::Contact | Purpose::Neighbor => u8::MAX,
            Purpose::Heal | Purpose::Near | Purpose::Check if self.cookie == 0 => 1,
            Purpose::Sound if self.cookie == 0 => SOUND_TRIES,
            _ => CANDIDATE_TRIES,
        }
    }
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
    pace: Pace,
}

/// How long to wait for answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// For an answer that may come soon.
    pub(super) answer: Duration,
    pub(super) retry_first: Duration,
    pub(super) retry_cap: Duration,
}

impl Attempts {
    pub(super) fn new(capacity: usize, pace: Pace) -> Self {
        Self { rows: Slots::new(capacity), deadlines: Deadlines::new(capacity), pace }
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Attempt>::heap_bytes(capacity) + Deadlines::heap_bytes(capacity)
    }

    /// Starts at `at`, in place of the most hopeless attempt where there is no room. False where there is none either.
    pub(super) fn add(&mut self, address: SocketAddr, node: Option<NodeId>, purpose: Purpose, at: Instant) -> bool {
        let attempt = Attempt {
            address,
            node,
            purpose,
            nonce: 0,
            cookie: 0,
            tries: 0,
            owed: false,
            sent_at: Instant::ZERO,
            round_trip: 0,
            warning: Notice::None,
        };
        if self.rows.is_full() {
            let stale = self.rows.iter().filter(|(_, attempt)| !attempt.purpose.is_patient() && !attempt.is_fresh());
            if let Some((row, _)) = stale.max_by_key(|(_, attempt)| attempt.tries) {
                self.remove(row);
            }
        }
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
        if attempt.tries >= attempt.tries_max() && !attempt.purpose.is_patient() {
            return false;
        }
        attempt.tries = attempt.tries.saturating_add(1);
        (attempt.nonce, attempt.owed) = (nonce, true);
        self.deadlines.set(row as usize, Instant::NEVER);
        true
    }

    /// The greeting was composed: wait for an answer.
    pub(super) fn sent(&mut self, now: Instant, row: u32, linked: bool) {
        let Some(attempt) = self.rows.get_mut(row) else { return };
        (attempt.owed, attempt.sent_at) = (false, now);
        let Pace { answer, retry_first, retry_cap } = self.pace;
        let doubled = retry_first * (1 << u32::from(attempt.tries.saturating_sub(1)).min(16));
        let pause = match attempt.purpose {
            Purpose::Contact if linked && attempt.tries >= CONTACT_TRIES => answer,
            Purpose::Contact if linked => doubled.min(retry_cap),
            Purpose::Neighbor if linked => doubled.min(retry_first * NEIGHBOR_PAUSE).min(retry_cap),
            Purpose::Contact | Purpose::Neighbor => retry_first,
            // Who is asked once has time to answer.
            _ if attempt.tries_max() == 1 => retry_first,
            _ if attempt.tries <= FRESH_TRIES => answer,
            _ => retry_first,
        };
        self.deadlines.set(row as usize, now + pause);
    }

    /// Rests until `at`.
    pub(super) fn rest(&mut self, row: u32, at: Instant) {
        if let Some(attempt) = self.rows.get_mut(row) {
            (attempt.tries, attempt.nonce, attempt.owed) = (0, 0, false);
            self.deadlines.set(row as usize, at);
        }
    }

    /// A contact that rests is greeted once more.
    pub(super) fn rouse(&mut self, row: u32, at: Instant) {
        if let Some(attempt) = self.rows.get_mut(row).filter(|attempt| !attempt.owed) {
            attempt.tries = CONTACT_TRIES - 1;
            self.deadlines.set(row as usize, at);
        }
    }

    /// Whether a linked node has greeted this contact often enough in a row.
    pub(super) fn is_tired(&self, row: u32) -> bool {
        self.rows.get(row).is_some_and(|attempt| attempt.purpose == Purpose::Contact && attempt.tries >= CONTACT_TRIES)
    }

    /// Whether nothing is planned for the attempt.
    pub(super) fn rests(&self, row: u32) -> bool {
        self.deadlines.get(row as usize) == Instant::NEVER && self.rows.get(row).is_some_and(|attempt| !attempt.owed)
    }

    /// Panics where a timer runs for nobody, or for a greeting that is due already.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.deadlines.check_invariants();
        for row in 0..self.capacity() {
            let runs = self.deadlines.get(row as usize) != Instant::NEVER;
            assert!(!runs || self.get(row).is_some_and(|attempt| !attempt.owed), "a timer runs for nothing");
        }
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        answer: Duration::from_millis(200),
        retry_first: Duration::from_millis(500),
        retry_cap: Duration::from_secs(5),
    };

    /// The pauses between fourteen greetings in a row, or fewer.
    fn pauses(purpose: Purpose, linked: bool) -> std::vec::Vec<u64> {
        let mut attempts = Attempts::new(1, PACE);
        attempts.add(([127, 0, 0, 1], 1).into(), None, purpose, Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut pauses = std::vec![];
        while let Some(row) = attempts.expired(now).filter(|_| pauses.len() < 14) {
            if linked && attempts.is_tired(row) || !attempts.owe(row, 1) {
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
        assert_eq!(pauses(Purpose::Contact, true), [500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000, 200]);
        assert_eq!(pauses(Purpose::Contact, false), [500; 14]);
        assert_eq!(pauses(Purpose::Neighbor, true)[..5], [500, 1_000, 2_000, 2_000, 2_000]);
    }

    #[test]
    fn candidates_are_greeted_soon_again_and_given_up_and_neighbors_are_not() {
        let greetings = pauses(Purpose::Candidate, true);
        assert_eq!((greetings.len(), &greetings[..4]), (usize::from(CANDIDATE_TRIES), &[200, 200, 500, 500][..]));
        assert_eq!(pauses(Purpose::Heal, true), [500], "one greeting a time, until there is a sign of life");
        let mut attempts = Attempts::new(1, PACE);
        attempts.add(([127, 0, 0, 1], 1).into(), None, Purpose::Neighbor, Instant::ZERO);
        assert!((0..300).all(|_| attempts.owe(0, 1)));
    }

    #[test]
    fn a_hopeless_attempt_makes_room_and_a_patient_one_does_not() {
        let mut attempts = Attempts::new(2, PACE);
        let address = |port| ([127, 0, 0, 1], port).into();
        attempts.add(address(1), None, Purpose::Contact, Instant::ZERO);
        attempts.add(address(2), None, Purpose::Candidate, Instant::ZERO);
        assert!(!attempts.add(address(3), None, Purpose::Candidate, Instant::ZERO), "all may be answered soon");
        let row = attempts.find(|attempt| attempt.address == address(2)).expect("it is there");
        assert!((0..=FRESH_TRIES).all(|_| attempts.owe(row, 1)));
        assert!(attempts.add(address(3), None, Purpose::Candidate, Instant::ZERO));
        assert_eq!(attempts.count(|attempt| attempt.address == address(2)), 0);
    }
}
