//! Running a recording on a fresh node.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::error::RestoreError;
use crate::gossip::Gossip;
use crate::persist::{StoredRecord, Table};
use crate::time::Instant;

use super::BUFFER_MAX;
use super::format::{Head, MAGIC, Row, Step, Trace, TraceHash};

/// The most memory that a replayed node may own, in bytes: our choice, far above every preset and below what a damaged
/// number can name.
const MEMORY_MAX: usize = 1 << 30;

/// What a replay came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// The version of this crate that wrote the recording. Another version may rightly give other outputs.
    pub recorded_by: String,
    /// Inputs fed.
    pub inputs: u64,
    /// Outputs that came out and were compared.
    pub outputs: u64,
    /// The hash over all outputs, in their order.
    pub trace_hash: u64,
    /// The first output that is not what was recorded; the replay ends there.
    pub first_difference: Option<Difference>,
    /// Why the recording ends where it does.
    pub ending: Ending,
    /// The time of the last entry.
    pub now: Instant,
    /// The node after the last entry.
    pub gossip: Gossip,
}

impl Replayed {
    /// Whether every output was as recorded.
    pub fn matches(&self) -> bool {
        self.first_difference.is_none()
    }
}

/// The first output that is not what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The entry, counted from 0 after the head.
    pub entry: u64,
    /// Its time.
    pub now: Instant,
    /// What the replay gave, as `Debug` prints it. What the recorded node gave is known by its hash only.
    pub output: String,
}

/// Why a recording ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The recorder was stopped between two entries.
    Whole,
    /// The bound of the recording was reached.
    Bound,
    /// In the middle of an entry, as after a crash of the process.
    Cut,
}

/// The bytes are no recording that this version can replay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingError {
    /// They do not start like one of this version of the format, or end within the head.
    NotARecording,
    /// An entry does not parse.
    Malformed {
        /// Where it starts, in bytes from the beginning.
        offset: usize,
    },
    /// The recorded configuration and records make no node.
    Refused(RestoreError),
    /// The recorded configuration wants more memory than a replay spends, so it is most likely damaged.
    TooLarge {
        /// What [`Limits::bytes`](crate::Limits::bytes) says of it.
        bytes: usize,
    },
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("not a recording of a node, or one of another format"),
            Self::Malformed { offset } => write!(f, "the entry at byte {offset} does not parse"),
            Self::Refused(error) => write!(f, "the recorded configuration makes no node: {error}"),
            Self::TooLarge { bytes } => write!(f, "the recorded configuration wants {bytes} bytes of memory"),
        }
    }
}

impl core::error::Error for RecordingError {}

/// Runs a recording on a fresh node.
///
/// # Errors
///
/// Where the bytes are no recording of this format. Any bytes are safe to try.
pub fn replay(recording: &[u8]) -> Result<Replayed, RecordingError> {
    let mut replay = Replay::start(recording)?;
    loop {
        let offset = recording.len() - replay.rest.len();
        if replay.rest.is_empty() {
            return Ok(replay.done);
        }
        let (after, step) = match postcard::take_from_bytes::<(u64, Step<'_>)>(replay.rest) {
            Ok((entry, rest)) => {
                replay.rest = rest;
                entry
            }
            Err(postcard::Error::DeserializeUnexpectedEnd) => {
                replay.done.ending = Ending::Cut;
                return Ok(replay.done);
            }
            Err(_) => return Err(RecordingError::Malformed { offset }),
        };
        if let Step::End = step {
            replay.done.ending = Ending::Bound;
            return Ok(replay.done);
        }
        let now = replay.done.now.as_micros().wrapping_add(after);
        replay.done.now = Instant::from_micros(now);
        replay.step(&step).ok_or(RecordingError::Malformed { offset })?;
        if replay.done.first_difference.is_some() {
            return Ok(replay.done);
        }
        replay.entry += 1;
    }
}

struct Replay<'a> {
    rest: &'a [u8],
    entry: u64,
    trace: Trace,
    buffer: Vec<u8>,
    datagram: Vec<u8>,
    done: Replayed,
}

impl<'a> Replay<'a> {
    fn start(recording: &'a [u8]) -> Result<Self, RecordingError> {
        let rest = recording.strip_prefix(&MAGIC).ok_or(RecordingError::NotARecording)?;
        let (head, mut rest) =
            postcard::take_from_bytes::<Head<'_>>(rest).map_err(|_| RecordingError::NotARecording)?;
        let now = Instant::from_micros(head.now);
        let bytes = head.config.limits.bytes();
        if bytes > MEMORY_MAX {
            return Err(RecordingError::TooLarge { bytes });
        }
        let gossip = match head.records {
            None => Gossip::new(head.config, head.seed, now).map_err(RestoreError::Config),
            Some(count) => {
                let records;
                (records, rest) = rows(rest, count).ok_or(RecordingError::NotARecording)?;
                Gossip::restore(head.config, head.seed, now, records)
            }
        };
        let done = Replayed {
            recorded_by: head.version.to_string(),
            inputs: 0,
            outputs: 0,
            trace_hash: 0,
            first_difference: None,
            ending: Ending::Whole,
            now,
            gossip: gossip.map_err(RecordingError::Refused)?,
        };
        Ok(Self { rest, entry: 0, trace: Trace::new(), buffer: vec![0; BUFFER_MAX], datagram: Vec::new(), done })
    }

    /// None: the entry asks for what no recorder writes.
    fn step(&mut self, step: &Step<'_>) -> Option<()> {
        let now = self.done.now;
        match step {
            Step::PollEvent { hash } => {
                let event = self.done.gossip.poll_event();
                let replayed = self.trace.event(event.as_ref());
                self.compare(*hash, replayed, &event);
            }
            Step::PollPersist { hash } => {
                let record = self.done.gossip.poll_persist();
                let replayed = self.trace.record(record.as_ref());
                self.compare(*hash, replayed, &record);
            }
            Step::PollTransmit { room, hash } => {
                let buffer = self.buffer.get_mut(..*room as usize)?;
                if buffer.len() < self.done.gossip.config().mtu.into() {
                    return None;
                }
                let transmit = self.done.gossip.poll_transmit(now, buffer);
                let replayed = self.trace.transmit(transmit, buffer);
                self.compare(*hash, replayed, &transmit);
            }
            step => {
                let input = step.input(&mut self.datagram)?;
                let answer = self.done.gossip.handle(now, input);
                self.trace.answer(&answer);
                self.done.inputs += 1;
            }
        }
        Some(())
    }

    fn compare(&mut self, recorded: Option<TraceHash>, replayed: Option<TraceHash>, output: &impl fmt::Debug) {
        if recorded != replayed {
            let output = format!("{output:?}");
            self.done.first_difference = Some(Difference { entry: self.entry, now: self.done.now, output });
        } else if let Some(hash) = replayed {
            self.done.outputs += 1;
            self.done.trace_hash = u64::from_le_bytes(hash);
        }
    }
}

/// The restored records, and what follows them.
fn rows(mut bytes: &[u8], count: u32) -> Option<(Vec<StoredRecord<'_>>, &[u8])> {
    let mut records = Vec::new();
    for _ in 0..count {
        let (row, rest) = postcard::take_from_bytes::<Row<'_>>(bytes).ok()?;
        let table = Table::ALL.iter().copied().find(|&table| table as u8 == row.table)?;
        records.push(StoredRecord { table, key: row.key, value: row.value });
        bytes = rest;
    }
    Some((records, bytes))
}
