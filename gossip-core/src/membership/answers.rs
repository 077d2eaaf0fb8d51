//! Datagrams to addresses without a link: answers to greetings, and last words.
//!
//! A small bounded heap of notes, each with all that its datagram will say. Where it is full a note is dropped: whoever
//! waits for it asks again.

use core::net::SocketAddr;

use crate::ids::{Incarnation, NodeId};
use crate::storage::Slots;
use crate::wire::Verdict;

/// One note.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) to: SocketAddr,
    /// The most bytes that the datagram may take: to somebody whose address is not proven, no more than came.
    pub(super) room: usize,
    pub(super) say: Say,
}

/// What the note says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    /// Say that again, with this cookie.
    Retry { echo: u64, cookie: u64 },
    /// The greeting was understood; and who else lives under the greeter's id, if somebody does.
    Welcome { nonce: u64, verdict: Verdict, incarnation: Incarnation, other: Option<(Incarnation, SocketAddr)> },
    /// There is no link any more. For the node of this id.
    Unlink { node: NodeId, reason: u8 },
    /// Another node has your id. For the node of this id.
    Conflict { node: NodeId, incarnation: Incarnation, address: SocketAddr },
}

/// The notes, in no particular order.
#[derive(Clone, Debug)]
pub(super) struct Answers(Slots<Answer>);

impl Answers {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Slots::new(capacity))
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Answer>::heap_bytes(capacity)
    }

    /// Keeps a note, in place of an earlier one of its kind to the same address, or drops it where there is no room.
    pub(super) fn push(&mut self, answer: Answer) {
        let kind = core::mem::discriminant(&answer.say);
        let same = |known: &Answer| known.to == answer.to && core::mem::discriminant(&known.say) == kind;
        // No walk over the empty places behind the last note.
        let known = self.0.iter().take(self.0.len()).find(|(_, known)| same(known)).map(|(row, _)| row);
        match known.and_then(|row| self.0.get_mut(row)) {
            Some(known) => *known = answer,
            None => drop(self.0.insert(answer)),
        }
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self) {
        self.0.check_invariants();
    }

    pub(super) fn pop(&mut self) -> Option<Answer> {
        // Nearly always there is none: no walk over the empty places then.
        if self.0.len() == 0 {
            return None;
        }
        let row = self.0.iter().next()?.0;
        self.0.remove(row)
    }
}
