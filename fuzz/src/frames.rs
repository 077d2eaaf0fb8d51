//! Target `frames`: what is parsed comes out the same when it is emitted and parsed again.
//!
//! The bytes are one datagram whose tag is taken as good. A parser may accept several spellings of one value (a varint
//! with needless bytes, fields that a later version appended), so the comparison is of values: what the second parse says
//! must be what the first one said, and from then on the bytes must not change either.

use std::fmt::Debug;

use gossip_core::auth::Opened;
use gossip_core::pack::Packer;
use gossip_core::wire::{Frame, Frames, HEADER_LEN, Header, Kind, Page, RunsBuffer};
use serde::{Deserialize, Serialize};

/// The body of the target.
///
/// # Panics
///
/// If a round trip changes something.
pub fn run(data: &[u8]) {
    if let Ok(header) = Header::parse(data) {
        let mut emitted = [0; HEADER_LEN];
        header.emit(&mut emitted);
        assert_eq!(emitted, data[..HEADER_LEN], "a header has one spelling");
    }
    let body = data.get(HEADER_LEN..).unwrap_or_default();
    for (kind, body) in Frames::new(Opened::forged(body)).flatten() {
        let Ok(frame) = Frame::parse(kind, body) else { continue };
        let Some(bytes) = emit(kind, &frame) else { continue };
        let (_, again) = only_frame(&bytes);
        let again = Frame::parse(kind, again).expect("what was emitted parses");
        assert_eq!(describe(&frame), describe(&again), "{kind:?} changed its meaning");
        assert_eq!(emit(kind, &again).as_ref(), Some(&bytes), "{kind:?} has no settled spelling");
    }
}

/// The frame as the packer writes it; none for a list without a readable entry.
fn emit(kind: Kind, frame: &Frame<'_>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; HEADER_LEN + (1 << 16)];
    let room = buffer.len();
    let mut packer = Packer::new(&mut buffer, room);
    let fits = "the room is larger than any frame";
    match frame {
        Frame::Hello(record) => packer.frame(kind, record).expect(fits),
        Frame::Retry(record) => packer.frame(kind, record).expect(fits),
        Frame::Welcome(record) => packer.frame(kind, record).expect(fits),
        Frame::Unlink(record) => packer.frame(kind, record).expect(fits),
        Frame::Conflict(record) => packer.frame(kind, record).expect(fits),
        Frame::Vacancy(record) => packer.frame(kind, record).expect(fits),
        Frame::Walk(record) => packer.frame(kind, record).expect(fits),
        Frame::Sketch(record) => packer.frame(kind, record).expect(fits),
        Frame::Probe(record) => packer.frame(kind, record).expect(fits),
        Frame::Ack(record) => packer.frame(kind, record).expect(fits),
        Frame::Beat(record) => packer.frame(kind, record).expect(fits),
        Frame::Ask(record) => packer.frame(kind, record).expect(fits),
        Frame::Vouch(record) => packer.frame(kind, record).expect(fits),
        Frame::Deny(record) => packer.frame(kind, record).expect(fits),
        Frame::Data(record) => packer.frame(kind, record).expect(fits),
        Frame::Wave(record) => packer.frame(kind, record).expect(fits),
        Frame::Child(record) => packer.frame(kind, record).expect(fits),
        Frame::ChildOk(record) => packer.frame(kind, record).expect(fits),
        Frame::NotChild(record) => packer.frame(kind, record).expect(fits),
        Frame::WaveRequest(record) => packer.frame(kind, record).expect(fits),
        Frame::Injected(record) => packer.frame(kind, record).expect(fits),
        Frame::DataAck(record) => packer.frame(kind, record).expect(fits),
        Frame::Digest(record) => packer.frame(kind, record).expect(fits),
        Frame::Announce(record) => packer.frame(kind, record).expect(fits),
        Frame::Fetch(record) => packer.frame(kind, record).expect(fits),
        Frame::Root(record) | Frame::RegisterRoot(record) => packer.frame(kind, record).expect(fits),
        Frame::ViewRequest(exchange) | Frame::ViewReply(exchange) => {
            packer.headed(kind, &exchange.head, exchange.entries).expect(fits);
        }
        Frame::Peers(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Statuses(list) | Frame::Accusations(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Pull(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Absent(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Updates(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Heard(list) => {
            packer.list(kind, list.iter());
        }
        Frame::Inquiry(list) => {
            packer.list_or_empty(kind, list.iter()).expect(fits);
        }
        Frame::Frontiers(page) => emit_page(&mut packer, kind, page),
        Frame::RegisterFrontiers(page) => emit_page(&mut packer, kind, page),
    }
    let end = HEADER_LEN + packer.len();
    (end > HEADER_LEN).then(|| buffer[HEADER_LEN..end].to_vec())
}

fn emit_page<'a, T: Serialize + Deserialize<'a>>(packer: &mut Packer<'_>, kind: Kind, page: &Page<'a, T>) {
    let paged = packer.page(kind, &page.head, page.entries.iter()).expect("the room is larger than any frame");
    assert!(!paged.more, "what came in one page goes into one page");
}

fn only_frame(bytes: &[u8]) -> (Kind, &[u8]) {
    let mut frames = Frames::new(Opened::forged(bytes));
    let frame = frames.next().expect("one frame was emitted").expect("its length is right");
    assert!(frames.next().is_none(), "one frame was emitted");
    frame
}

/// What a frame says, entry by entry. Whether a page was cut off is left out: the packer alone knows.
pub(crate) fn describe(frame: &Frame<'_>) -> String {
    fn entries<T: Debug>(entries: impl Iterator<Item = T>) -> String {
        format!("{:?}", entries.collect::<Vec<_>>())
    }
    match frame {
        Frame::ViewRequest(exchange) | Frame::ViewReply(exchange) => {
            format!("{:?}{}", exchange.head, entries(exchange.entries.iter()))
        }
        Frame::Peers(list) => entries(list.iter()),
        Frame::Statuses(list) | Frame::Accusations(list) => entries(list.iter()),
        Frame::Pull(list) => entries(list.iter()),
        Frame::Absent(list) => entries(list.iter()),
        Frame::Updates(list) => entries(list.iter()),
        Frame::Heard(list) | Frame::Inquiry(list) => entries(list.iter()),
        Frame::Frontiers(page) => {
            page.entries.iter().for_each(|entry| check_runs(entry.top, &entry.runs().collect::<Vec<_>>()));
            format!("{:?}{}", page.head, entries(page.entries.iter()))
        }
        Frame::RegisterFrontiers(page) => format!("{:?}{}", page.head, entries(page.entries.iter())),
        record => format!("{record:?}"),
    }
}

/// Runs ascend without touching, and as many as fit come back the same.
fn check_runs(top: u64, runs: &[std::ops::RangeInclusive<u64>]) {
    let mut end = top;
    for run in runs {
        assert!(*run.start() > end.saturating_add(1) && run.start() <= run.end(), "runs ascend: {runs:?}");
        end = *run.end();
    }
    let buffer = RunsBuffer::new(top, runs.iter().cloned());
    let frontier = gossip_core::wire::Frontier {
        origin: gossip_core::NodeId(0),
        incarnation: gossip_core::Incarnation(0),
        low: 0,
        top,
        idle_ms: 0,
        runs: gossip_core::wire::Blob(buffer.as_bytes()),
    };
    let again: Vec<_> = frontier.runs().collect();
    assert_eq!(again[..], runs[..again.len()]);
}
