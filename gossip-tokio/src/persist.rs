//! Batches of records on their way to the storage, and the writes that wait for them.
//!
//! One batch is written at a time, on a thread where blocking is allowed; the next one gathers in the core meanwhile. A
//! write is answered when a batch that ends after it is durable; without storage, at once.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use gossip_core::recording::Recorded;
use gossip_core::{Answer, PersistSeq, Record};
use tokio::sync::oneshot;

use crate::node::Outcome;
use crate::storage::Storage;

/// Records in one batch: the time between two durable states stays short even where the disk is slow.
const RECORDS_PER_BATCH: usize = 1_024;

/// The first pause after a failed write to the storage, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Persister {
    state: State,
    /// Writes whose records were not all polled yet, and writes whose records are being stored.
    accepted: Vec<Accepted>,
    storing: Vec<Accepted>,
}

enum State {
    NoStorage,
    Idle(Box<dyn Storage>),
    Storing(Pin<Box<dyn Future<Output = Stored> + Send>>),
}

/// A write that the core has taken, and who is told when it is durable.
struct Accepted {
    answer: Answer,
    reply: oneshot::Sender<Outcome>,
}

/// The storage is back: everything up to here is durable.
pub(crate) struct Stored {
    storage: Box<dyn Storage>,
    pub(crate) upto: PersistSeq,
}

impl Persister {
    pub(crate) fn new(storage: Option<Box<dyn Storage>>) -> Self {
        let state = storage.map_or(State::NoStorage, State::Idle);
        Self { state, accepted: Vec::new(), storing: Vec::new() }
    }

    /// The core has taken a write.
    pub(crate) fn accepted(&mut self, answer: Answer, reply: oneshot::Sender<Outcome>) {
        self.accepted.push(Accepted { answer, reply });
    }

    pub(crate) fn is_storing(&self) -> bool {
        matches!(self.state, State::Storing(_))
    }

    /// Starts to store what is to be stored. True: there was something.
    pub(crate) fn persist(&mut self, gossip: &mut Recorded) -> bool {
        if self.is_storing() {
            return false;
        }
        let mut records = Vec::new();
        while records.len() < RECORDS_PER_BATCH
            && let Some(record) = gossip.poll_persist()
        {
            records.push(record);
        }
        if records.len() < RECORDS_PER_BATCH {
            self.storing.append(&mut self.accepted);
        }
        let idle = std::mem::replace(&mut self.state, State::NoStorage);
        match (records.last().map(|record| record.seq), idle) {
            (Some(upto), State::Idle(storage)) => {
                self.state = State::Storing(Box::pin(store(storage, records, upto)));
                true
            }
            (_, idle) => {
                self.state = idle;
                self.answer();
                false
            }
        }
    }

    /// Waits for the batch, or for ever where there is none.
    pub(crate) async fn stored(&mut self) -> Stored {
        match &mut self.state {
            State::Storing(batch) => batch.await,
            State::NoStorage | State::Idle(_) => std::future::pending().await,
        }
    }

    /// The batch is durable, and the core knows it.
    pub(crate) fn on_stored(&mut self, stored: Stored) {
        self.state = State::Idle(stored.storage);
        self.answer();
    }

    fn answer(&mut self) {
        for Accepted { answer, reply } in self.storing.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(Ok(answer));
        }
    }
}

/// Stores one batch, however often it takes.
async fn store(mut storage: Box<dyn Storage>, mut records: Vec<Record>, upto: PersistSeq) -> Stored {
    let mut pause = RETRY_FIRST;
    loop {
        let written = tokio::task::spawn_blocking(move || {
            let result = storage.write(&records);
            (storage, records, result)
        });
        let result;
        (storage, records, result) = match written.await {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        };
        let Err(error) = result else {
            return Stored { storage, upto };
        };
        tracing::warn!(%error, "storing failed, and is tried again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}
