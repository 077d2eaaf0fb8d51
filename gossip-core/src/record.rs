//! The contents of records: what is written for the next life, and how it is read back.
//!
//! ```text
//! node          key: none                         value: version 1 · node 8 · incarnation 8
//! origins       key: node 8 · incarnation 8       value: top 8 · known 8 · fifo done 8 · gap first 8 · gap last 8 (0: none)
//!                                                       · kept ms 4 · idle ms 4 · at ms 8 · window 0 to 128, in eights
//! messages      key: node 8 · incarnation 8 · seq 8
//!               value: order 1 · hops 1 · path length 1 · chunk index 2 · chunks 2 · previous 8 · base 8 · age ms 4 · at ms 8
//!                      · path and payload
//! acknowledged  key: as messages                  value: none
//! registers     key: the key                      value: the value
//! ```
//!
//! Integers are little-endian. `at` is `Config::started_at` plus the time that the node had run: the ages of the next life
//! go on from there, as far as start times are given. The version is that of all tables; a later one is refused.

use crate::config::Config;
use crate::error::RestoreError;
use crate::event::Order;
use crate::ids::{Incarnation, MessageId, NodeId};
use crate::persist::{HEAD_MAX, RECORD_KEY_MAX, Table};
use crate::store::{Message, Origin, Window};
use crate::time::Instant;
use crate::wire::Chunk;

type Key = heapless::Vec<u8, RECORD_KEY_MAX>;
type Head = heapless::Vec<u8, HEAD_MAX>;

/// The time of records: milliseconds that go on from life to life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_at: u64,
    origin: Instant,
}

impl Clock {
    pub(crate) const fn new(config: &Config, now: Instant) -> Self {
        Self { started_at: config.started_at, origin: now }
    }

    fn at(self, now: Instant) -> u64 {
        let ran = u64::try_from(now.saturating_since(self.origin).as_millis()).unwrap_or(u64::MAX);
        self.started_at.saturating_add(ran)
    }

    /// An age of `age_ms` at `at` of an earlier life, as of the start of this one.
    fn age_now(self, age_ms: u32, at: u64) -> u32 {
        let slept = self.started_at.saturating_sub(at);
        age_ms.saturating_add(u32::try_from(slept).unwrap_or(u32::MAX))
    }
}

/// In the place of the time since which an origin is kept: it still sends.
const SENDS: u32 = u32::MAX;

/// The version of the stored format.
const VERSION: u8 = 2;

pub(crate) fn node_value(node: NodeId, incarnation: Incarnation) -> Head {
    concat([&[VERSION], &node.0.to_le_bytes(), &incarnation.0.to_le_bytes()])
}

pub(crate) fn read_node(value: &[u8]) -> Result<(NodeId, Incarnation), RestoreError> {
    let mut reader = Reader(value);
    match reader.u8() {
        Some(VERSION) => {}
        Some(version) => return Err(RestoreError::Version { version }),
        None => return Err(RestoreError::Malformed { table: Table::Node }),
    }
    match (reader.u64(), reader.u64()) {
        (Some(node), Some(incarnation)) if reader.0.is_empty() => Ok((NodeId(node), Incarnation(incarnation))),
        _ => Err(RestoreError::Malformed { table: Table::Node }),
    }
}

pub(crate) fn origin_key(node: NodeId, incarnation: Incarnation) -> Key {
    concat([&node.0.to_le_bytes(), &incarnation.0.to_le_bytes()])
}

/// Of an origin that still `sends`, which is this life of the node, no record can say until when it did.
pub(crate) fn origin_value(origin: &Origin, sends: bool, clock: Clock, now: Instant) -> Head {
    let mut value: Head = Head::new();
    let (first, last) = origin.last_gap.unwrap_or_default();
    for number in [origin.top, origin.known, origin.fifo_done, first, last] {
        extend(&mut value, &number.to_le_bytes());
    }
    let age = |at| u32::try_from(now.saturating_since(at).as_millis()).unwrap_or(u32::MAX);
    let kept = if sends { SENDS } else { age(origin.kept_since).min(SENDS - 1) };
    extend(&mut value, &kept.to_le_bytes());
    extend(&mut value, &age(origin.heard).to_le_bytes());
    extend(&mut value, &clock.at(now).to_le_bytes());
    for word in origin.window() {
        extend(&mut value, &word.to_le_bytes());
    }
    value
}

/// An origin as it was recorded.
pub(crate) struct StoredOrigin {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) top: u64,
    pub(crate) known: u64,
    pub(crate) fifo_done: u64,
    pub(crate) gap: Option<(u64, u64)>,
    pub(crate) window: Window,
    pub(crate) idle_ms: u32,
    /// The time since [`Origin::kept_since`]; nothing where the life that wrote this could not know it.
    pub(crate) kept_ms: Option<u32>,
}

pub(crate) fn read_origin(key: &[u8], value: &[u8], clock: Clock) -> Option<StoredOrigin> {
    let (mut key, mut value) = (Reader(key), Reader(value));
    let (node, incarnation) = (NodeId(key.u64()?), Incarnation(key.u64()?));
    let (top, known, fifo_done) = (value.u64()?, value.u64()?, value.u64()?);
    let gap = Some((value.u64()?, value.u64()?)).filter(|&(first, last)| 0 < first && first <= last);
    let kept_ms = value.take().map(u32::from_le_bytes)?;
    let (idle_ms, at) = (value.take().map(u32::from_le_bytes)?, value.u64()?);
    let mut window = Window::default();
    for word in &mut window {
        if !value.0.is_empty() {
            *word = value.u64()?;
        }
    }
    let idle_ms = clock.age_now(idle_ms, at);
    let kept_ms = (kept_ms != SENDS).then(|| clock.age_now(kept_ms, at));
    let whole = key.0.is_empty() && value.0.is_empty() && top.max(known) < crate::anti_entropy::SEQ_MAX;
    whole.then_some(StoredOrigin { node, incarnation, top, known, fifo_done, gap, window, idle_ms, kept_ms })
}

pub(crate) fn message_key(id: MessageId) -> Key {
    concat([&id.origin.0.to_le_bytes(), &id.incarnation.0.to_le_bytes(), &id.seq.to_le_bytes()])
}

pub(crate) fn read_message_key(key: &[u8]) -> Option<MessageId> {
    let mut reader = Reader(key);
    let id = MessageId { origin: NodeId(reader.u64()?), incarnation: Incarnation(reader.u64()?), seq: reader.u64()? };
    (reader.0.is_empty() && id.seq > 0 && id.seq < crate::anti_entropy::SEQ_MAX).then_some(id)
}

pub(crate) fn message_head(message: &Message, base: u64, clock: Clock, now: Instant) -> Head {
    let order = match message.order {
        Order::Unordered => 0,
        Order::Fifo => 1,
    };
    let mut head: Head = concat([&[order, message.hops, message.blob().1]]);
    extend(&mut head, &message.chunk.index.to_le_bytes());
    extend(&mut head, &message.chunk.count.to_le_bytes());
    extend(&mut head, &message.previous.to_le_bytes());
    extend(&mut head, &base.to_le_bytes());
    extend(&mut head, &message.age_ms(now).to_le_bytes());
    extend(&mut head, &clock.at(now).to_le_bytes());
    head
}

/// A message as it was recorded.
pub(crate) struct StoredMessage<'a> {
    pub(crate) order: Order,
    pub(crate) hops: u8,
    pub(crate) chunk: Chunk,
    pub(crate) previous: u64,
    pub(crate) base: u64,
    pub(crate) age_ms: u32,
    pub(crate) path: &'a [u8],
    pub(crate) payload: &'a [u8],
}

pub(crate) fn read_message(value: &[u8], clock: Clock) -> Option<StoredMessage<'_>> {
    let mut reader = Reader(value);
    let order = match reader.u8()? {
        0 => Order::Unordered,
        1 => Order::Fifo,
        _ => return None,
    };
    let (hops, path_len) = (reader.u8()?, reader.u8()?);
    let chunk = Chunk { index: reader.u16()?, count: reader.u16()? };
    if chunk.index >= chunk.count || chunk.count > Chunk::COUNT_MAX {
        return None;
    }
    let (previous, base, age_ms) = (reader.u64()?, reader.u64()?, reader.age(clock)?);
    let (path, payload) = reader.0.split_at_checked(path_len.into())?;
    Some(StoredMessage { order, hops, chunk, previous, base, age_ms, path, payload })
}

/// Reads integers from the front; none where too little is left.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn age(&mut self, clock: Clock) -> Option<u32> {
        let (age_ms, at) = (self.take().map(u32::from_le_bytes)?, self.u64()?);
        Some(clock.age_now(age_ms, at))
    }
}

fn concat<const N: usize, const P: usize>(parts: [&[u8]; P]) -> heapless::Vec<u8, N> {
    let mut bytes = heapless::Vec::new();
    for part in parts {
        extend(&mut bytes, part);
    }
    bytes
}

fn extend<const N: usize>(bytes: &mut heapless::Vec<u8, N>, more: &[u8]) {
    bytes.extend_from_slice(more).expect("keys and heads have fixed lengths below the capacity");
}
