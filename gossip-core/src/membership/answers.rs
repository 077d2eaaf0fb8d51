//! Datagrams to addresses without a link: answers to greetings, and last words.
//!
//! A small bounded heap of notes, each with all that its datagram will say. Where it is full a note is dropped: whoever
//! waits for it asks again.

use core::net::SocketAddr;

use crate::ids::{Incarnation, NodeId};
use crate::storage::Slots;
use crate::wire::{PeerEntry, Verdict};

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
    /// The greeting was understood.
    Welcome { nonce: u64, verdict: Verdict, incarnation: Incarnation, beside: Beside },
    /// There is no link any more; and who has room now as well. For the node of this id.
    Unlink { node: NodeId, reason: u8, vacant: Option<PeerEntry> },
    /// Another node has your id. For the node of this id.
    Conflict { node: NodeId, incarnation: Incarnation, address: SocketAddr },
}

/// What a greeter is told beside the verdict.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    Nobody,
    /// Somebody else lives under its id.
    Twin {
        incarnation: Incarnation,
        address: SocketAddr,
    },
    /// Somebody gave way to it, and has room.
    Vacant(PeerEntry),
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
        let known = self.0.iter().find(|(_, known)| same(known)).map(|(row, _)| row);
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
        let row = self.0.iter().next()?.0;
        self.0.remove(row)
    }
}
