//! A key-value store of one node, as slow and as honest as a disk: what was not stored when the node crashed is lost, and
//! what was stored is found again.

use std::collections::{BTreeMap, VecDeque};

use gossip_core::{PersistSeq, Record, StoredRecord, Table};

/// The records of one node.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    stored: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    waiting: VecDeque<Record>,
    /// The last record of the batch that is being written.
    writing: Option<PersistSeq>,
}

impl Storage {
    /// Takes a record to be written.
    pub fn take(&mut self, record: Record) {
        self.waiting.push_back(record);
    }

    /// Starts to write all that waits, unless a batch is being written already. True if so: call [`Storage::written`]
    /// when that is done.
    pub fn start(&mut self) -> bool {
        if self.writing.is_some() {
            return false;
        }
        self.writing = self.waiting.back().map(|record| record.seq);
        self.writing.is_some()
    }

    /// The batch is written. Returns up to which record everything is durable now.
    pub fn written(&mut self) -> Option<PersistSeq> {
        let upto = self.writing.take()?;
        while self.waiting.front().is_some_and(|record| record.seq <= upto) {
            self.apply_next();
        }
        Some(upto)
    }

    /// The node crashes after `survivors` more records got through (and nobody was told). Returns how many were lost.
    pub fn crash(&mut self, survivors: usize) -> usize {
        for _ in 0..survivors {
            self.apply_next();
        }
        self.writing = None;
        let lost = self.waiting.len();
        self.waiting.clear();
        lost
    }

    /// How many records wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What is stored, in the order of tables and keys.
    pub fn records(&self) -> impl Iterator<Item = StoredRecord<'_>> {
        self.stored.iter().map(|((table, key), value)| StoredRecord { table: *table, key, value })
    }

    fn apply_next(&mut self) {
        let Some(record) = self.waiting.pop_front() else { return };
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => self.stored.insert(key, value.to_vec()),
            None => self.stored.remove(&key),
        };
    }
}
