//! Recordings: everything that went into a node, and a fingerprint of everything that came out.
//!
//! A node is a function of its configuration, its seed, and the inputs and polls that follow, each with its time. So a
//! file with just these is enough to run it again, elsewhere and slowly, with a debugger at hand. [`Recorded`] is a node
//! that writes such a file while it works; [`replay()`] runs the file on a fresh node and says where the outputs first
//! differ, which they never do with the same version of this crate.
//!
//! **A recording is a secret.** It contains the configuration with the cluster's key, and every payload that the node
//! was given. Keep it where you keep the key; the adapters create it readable by its owner alone.
//!
//! The format is the magic bytes, then a head (version of this crate, configuration, seed, time of birth, restored
//! records), then one entry per call, all in postcard. After every output the recorder takes the state of one running
//! SipHash over all outputs so far, in the form that `Debug` prints: it covers every field without a second list of them,
//! and is the same on every target. Nothing in the format is promised to later versions. Addresses lose the flow label
//! and, within the configuration, the scope of link-local IPv6.

mod format;
mod replay;

use alloc::vec::Vec;

use serde::Serialize;

use crate::config::Config;
use crate::error::{ConfigError, RestoreError};
use crate::event::Event;
use crate::gossip::Gossip;
use crate::io::{Answer, Input, InputError, Transmit};
use crate::persist::{Record, StoredRecord};
use crate::time::Instant;

use format::{END, END_LEN, Head, MAGIC, Row, Step, Trace};

pub use replay::{Difference, Ending, RecordingError, Replayed, replay};

/// The longest buffer that [`Recorded::poll_transmit`] hands on, in bytes: no datagram, and no run of them that a system
/// sends at once, is longer.
pub const BUFFER_MAX: usize = 65_536;

/// A node, and where it was asked for, its recorder: calls go through here so that none is forgotten.
///
/// Everything that only looks is reached through [`core::ops::Deref`].
#[derive(Debug)]
pub struct Recorded {
    gossip: Gossip,
    recorder: Option<Recorder>,
}

impl Recorded {
    /// [`Gossip::new`]; recorded where `bytes_max` is given, in bytes of the whole recording.
    ///
    /// # Errors
    ///
    /// Those of [`Gossip::new`].
    pub fn new(config: Config, seed: [u8; 32], now: Instant, bytes_max: Option<usize>) -> Result<Self, ConfigError> {
        let recorder = bytes_max.map(|bytes_max| Recorder::new(&config, seed, now, None, bytes_max));
        Ok(Self { gossip: Gossip::new(config, seed, now)?, recorder })
    }

    /// [`Gossip::restore`]; recorded where `bytes_max` is given, in bytes of the whole recording.
    ///
    /// # Errors
    ///
    /// Those of [`Gossip::restore`].
    pub fn restore(
        config: Config,
        seed: [u8; 32],
        now: Instant,
        records: &[StoredRecord<'_>],
        bytes_max: Option<usize>,
    ) -> Result<Self, RestoreError> {
        let recorder = bytes_max.map(|bytes_max| Recorder::new(&config, seed, now, Some(records), bytes_max));
        Ok(Self { gossip: Gossip::restore(config, seed, now, records.iter().copied())?, recorder })
    }

    /// [`Gossip::handle`].
    ///
    /// # Errors
    ///
    /// Those of the verb that the input names.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<Answer, InputError> {
        let Some(recorder) = &mut self.recorder else {
            return self.gossip.handle(now, input);
        };
        recorder.append(now, &Step::of(&input));
        let answer = self.gossip.handle(now, input);
        recorder.trace.answer(&answer);
        answer
    }

    /// [`Gossip::poll_transmit`]; of a buffer longer than [`BUFFER_MAX`] only the beginning is used.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let room = buffer.len().min(BUFFER_MAX);
        let buffer = &mut buffer[..room];
        let transmit = self.gossip.poll_transmit(now, buffer);
        if let Some(recorder) = &mut self.recorder {
            let hash = recorder.trace.transmit(transmit, buffer);
            recorder.append(now, &Step::PollTransmit { room: room as u32, hash });
        }
        transmit
    }

    /// [`Gossip::poll_event`].
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.gossip.poll_event();
        if let Some(recorder) = &mut self.recorder {
            let hash = recorder.trace.event(event.as_ref());
            recorder.append(recorder.now, &Step::PollEvent { hash });
        }
        event
    }

    /// [`Gossip::poll_persist`].
    #[must_use]
    pub fn poll_persist(&mut self) -> Option<Record> {
        let record = self.gossip.poll_persist();
        if let Some(recorder) = &mut self.recorder {
            let hash = recorder.trace.record(record.as_ref());
            recorder.append(recorder.now, &Step::PollPersist { hash });
        }
        record
    }

    /// Whether inputs are being recorded: false without a recorder, and once its bound was reached.
    pub fn is_recording(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| !recorder.ended)
    }

    /// What was recorded since the last call, to be appended to what was taken before; empty where nothing is recorded.
    #[must_use]
    pub fn take_recorded(&mut self) -> Vec<u8> {
        self.recorder.as_mut().map(|recorder| core::mem::take(&mut recorder.bytes)).unwrap_or_default()
    }

    /// How many bytes [`Recorded::take_recorded`] would give. Never more than the bound of the recording.
    pub fn recorded_len(&self) -> usize {
        self.recorder.as_ref().map_or(0, |recorder| recorder.bytes.len())
    }
}

impl core::ops::Deref for Recorded {
    type Target = Gossip;

    fn deref(&self) -> &Gossip {
        &self.gossip
    }
}

/// Appends entries until the bound is reached, then one end mark, then nothing.
#[derive(Debug)]
struct Recorder {
    bytes: Vec<u8>,
    /// How many bytes may still be written, the end mark not counted.
    room: usize,
    ended: bool,
    now: Instant,
    trace: Trace,
}

impl Recorder {
    fn new(
        config: &Config,
        seed: [u8; 32],
        now: Instant,
        records: Option<&[StoredRecord<'_>]>,
        bytes_max: usize,
    ) -> Self {
        let room = bytes_max.saturating_sub(END_LEN);
        let mut recorder = Self { bytes: Vec::new(), room, ended: false, now, trace: Trace::new() };
        let version = env!("CARGO_PKG_VERSION");
        let count = records.map(|records| records.len() as u32);
        recorder.write(&MAGIC);
        recorder.write(&Head { version, config: config.clone(), seed, now: now.as_micros(), records: count });
        for record in records.unwrap_or_default() {
            recorder.write(&Row { table: record.table as u8, key: record.key, value: record.value });
        }
        recorder
    }

    fn append(&mut self, now: Instant, step: &Step<'_>) {
        let after = now.as_micros().wrapping_sub(self.now.as_micros());
        self.now = now;
        self.write(&(after, step));
    }

    fn write(&mut self, value: &impl Serialize) {
        if self.ended {
            return;
        }
        let before = self.bytes.len();
        let bytes = core::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(value, bytes).expect("writing to a vector cannot fail");
        let written = self.bytes.len() - before;
        if written <= self.room {
            self.room -= written;
        } else {
            self.bytes.truncate(before);
            self.bytes =
                postcard::to_extend(&END, core::mem::take(&mut self.bytes)).expect("writing to a vector cannot fail");
            self.ended = true;
        }
    }
}

#[cfg(test)]
mod tests;
