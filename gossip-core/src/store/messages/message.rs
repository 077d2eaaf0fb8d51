//! One message on its hook.

use core::time::Duration;

use bytes::Bytes;

use crate::event::{Delivery, Order, Path};
use crate::ids::MessageId;
use crate::persist::PersistSeq;
use crate::store::Row;
use crate::time::Instant;
use crate::view::MessageView;
use crate::wire::Chunk;

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    /// The origin's row.
    pub(crate) row: Row,
    pub(crate) order: Order,
    /// How far back the origin's previous fifo message is; 0 for none.
    pub(crate) previous: u64,
    /// Which part of a larger message it is.
    pub(crate) chunk: Chunk,
    pub(crate) hops: u8,
    /// Bytes of path at the front of `blob`.
    pub(super) path_len: u8,
    pub(crate) stage: Stage,
    /// An own message that nobody else is known to hold.
    pub(crate) unshared: bool,
    /// A chunk of a message of which others are missing.
    pub(super) assembling: bool,
    /// It is being removed as a chunk that was taken for unseen.
    pub(super) unseen: bool,
    pub(crate) acknowledged: bool,
    /// The age that the message had when it was accepted, in milliseconds.
    pub(super) age_ms: u32,
    pub(crate) accepted_at: Instant,
    /// Since when it grows older. Never, while nobody can have it or miss it: an own message that was neither sent nor
    /// mentioned yet.
    pub(super) aging_since: Instant,
    /// The number of its record: durable when confirmed up to there. Zero without records.
    pub(crate) record: PersistSeq,
    /// Path, then payload.
    pub(super) blob: Bytes,
}

/// How far a message is on its way to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A chunk of a message that was not handed out: others are missing, or its first chunk stands in line for all.
    Part,
    /// Waits for an earlier one of its order.
    Waiting,
    /// In the line of those ready.
    Ready,
    /// Taken by the application, or not meant for it.
    Delivered,
    /// Given up; waits until its removal is recorded.
    Removing,
}

/// What is known of a message when it is accepted.
pub(crate) struct NewMessage<'a> {
    pub(crate) id: MessageId,
    pub(crate) row: Row,
    pub(crate) order: Order,
    pub(crate) previous: u64,
    pub(crate) chunk: Chunk,
    pub(crate) hops: u8,
    pub(crate) age_ms: u32,
    pub(crate) path: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) unshared: bool,
}

impl NewMessage<'_> {
    /// The number of the first chunk of its message.
    pub(crate) fn first(&self) -> u64 {
        self.id.seq - u64::from(self.chunk.index)
    }
}

impl Message {
    /// A message as it is accepted, meant for nobody yet.
    pub(super) fn new(now: Instant, new: &NewMessage<'_>) -> Self {
        let mut blob = alloc::vec::Vec::with_capacity(new.path.len() + new.payload.len());
        blob.extend_from_slice(new.path);
        blob.extend_from_slice(new.payload);
        Self {
            id: new.id,
            row: new.row,
            order: new.order,
            previous: new.previous,
            chunk: new.chunk,
            hops: new.hops,
            path_len: new.path.len() as u8,
            stage: Stage::Delivered,
            unshared: new.unshared,
            assembling: false,
            unseen: false,
            acknowledged: false,
            age_ms: new.age_ms,
            accepted_at: now,
            aging_since: if new.unshared { Instant::NEVER } else { now },
            record: PersistSeq::default(),
            blob: Bytes::from(blob),
        }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.blob[self.path_len.into()..]
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.blob[..self.path_len.into()]
    }

    /// The blob, for records: path and payload in one.
    pub(crate) fn blob(&self) -> (&Bytes, u8) {
        (&self.blob, self.path_len)
    }

    /// Time since it was submitted, in milliseconds.
    pub(crate) fn age_ms(&self, now: Instant) -> u32 {
        let here = now.saturating_since(self.aging_since).as_millis();
        self.age_ms.saturating_add(u32::try_from(here).unwrap_or(u32::MAX))
    }

    /// Its bytes, as long as it has not left this node and nobody was told of it.
    pub(super) fn unsent(&self) -> usize {
        if self.aging_since == Instant::NEVER { self.blob.len() } else { 0 }
    }

    /// The number of the first chunk of the message that this belongs to: its own, where it is whole.
    pub(crate) fn first(&self) -> u64 {
        self.id.seq - u64::from(self.chunk.index)
    }

    /// The number of the last one.
    pub(crate) fn last(&self) -> u64 {
        self.first() + u64::from(self.chunk.count) - 1
    }

    fn owned_path(&self) -> Path {
        Path::new(self.blob.slice(..usize::from(self.path_len)))
    }

    /// The payload of a message that is no part of a larger one, without a copy.
    pub(super) fn owned_payload(&self) -> Bytes {
        self.blob.slice(usize::from(self.path_len)..)
    }

    /// The message that ends with this chunk in the order of arrival, as it is shown.
    pub(super) fn view(&self, first: &Self, payload: Bytes) -> MessageView {
        MessageView {
            id: first.id,
            last: first.last(),
            order: self.order,
            payload,
            hops: self.hops,
            path: self.owned_path(),
            accepted_at: self.accepted_at.outward(),
            delivered: first.stage == Stage::Delivered,
        }
    }

    /// The same, as it is handed out.
    pub(super) fn delivery(&self, first: &Self, payload: Bytes) -> Delivery {
        Delivery {
            id: first.id,
            order: self.order,
            payload,
            hops: self.hops,
            age: Duration::from_millis(self.age_ms.into()),
            path: self.owned_path(),
        }
    }
}
