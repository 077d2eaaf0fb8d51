//! What holds for every frame: it comes back as it was written, and any bytes are harmless.

use core::net::{IpAddr, SocketAddr};
use std::vec;
use std::vec::Vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use super::golden::{frame_bytes, samples};
use super::*;
use crate::auth::Opened;
use crate::ids::{Incarnation, NodeId};
use crate::pack::Packer;

/// The one frame in these bytes.
pub(super) fn only_frame(bytes: &[u8]) -> Frame<'_> {
    let mut frames = Frames::new(Opened::forged(bytes));
    let (kind, body) = frames.next().expect("a frame").expect("a good length");
    assert!(frames.next().is_none(), "one frame only");
    Frame::parse(kind, body).expect("a known kind and a good body")
}

/// Reads all that can be read, as a hostile sender would have it, and returns how many things that were.
fn read_all(bytes: &[u8]) -> usize {
    fn entries<'a, T: Deserialize<'a>>(list: &List<'a, T>, inside: impl Fn(T) -> usize) -> usize {
        list.iter().map(|entry| 1 + inside(entry)).sum()
    }
    let frames = Frames::new(Opened::forged(bytes)).flatten();
    frames
        .map(|(kind, body)| match Frame::parse(kind, body) {
            Ok(Frame::Peers(list)) => entries(&list, |_| 0),
            Ok(Frame::ViewRequest(exchange) | Frame::ViewReply(exchange)) => entries(&exchange.entries, |_| 0),
            Ok(Frame::Frontiers(page)) => entries(&page.entries, |frontier| frontier.runs().count()),
            Ok(Frame::Pull(list)) => entries(&list, |wanted| usize::from(wanted.last() < wanted.first)),
            Ok(Frame::Absent(list)) => entries(&list, |absent| usize::from(absent.last() < absent.first)),
            Ok(Frame::RegisterFrontiers(page)) => entries(&page.entries, |_| 0),
            Ok(Frame::Updates(list)) => entries(&list, |_| 0),
            Ok(Frame::Heard(list) | Frame::Inquiry(list)) => entries(&list, |_| 0),
            Ok(_) | Err(_) => 0,
        })
        .sum()
}

/// The frame that is a record comes back equal.
fn record_comes_back<T: serde::Serialize>(kind: Kind, body: &T, expected: Frame<'_>) -> Result<(), TestCaseError> {
    let bytes = frame_bytes(|packer| packer.frame(kind, body).expect("room enough"));
    prop_assert_eq!(only_frame(&bytes), expected);
    Ok(())
}

/// A page with all the entries.
fn page_bytes<T: serde::Serialize>(kind: Kind, head: &PageHead, entries: impl IntoIterator<Item = T>) -> Vec<u8> {
    frame_bytes(|packer| assert!(!packer.page(kind, head, entries).expect("room enough").more))
}

fn id() -> impl Strategy<Value = (NodeId, Incarnation)> {
    any::<(u64, u64)>().prop_map(|(node, incarnation)| (NodeId(node), Incarnation(incarnation)))
}

fn address() -> impl Strategy<Value = Address> {
    any::<(IpAddr, u16)>().prop_map(|(ip, port)| Address(SocketAddr::new(ip, port)))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    many(any::<u8>(), 0..200)
}

proptest! {
    #[test]
    fn membership(
        (nonce, cookie, byte, round_trip) in any::<(u64, u64, u8, u32)>(),
        observed in address(),
        peers in many((id(), address()), 1..20),
    ) {
        let (incarnation, verdict) = (Incarnation(cookie), Verdict::from(byte));
        let hello = Hello { nonce, cookie, flags: byte, to: observed, round_trip };
        record_comes_back(Kind::HELLO, &hello, Frame::Hello(hello))?;
        record_comes_back(Kind::RETRY, &Retry { echo: nonce, cookie }, Frame::Retry(Retry { echo: nonce, cookie }))?;
        let welcome = Welcome { nonce, observed, verdict, incarnation };
        record_comes_back(Kind::WELCOME, &welcome, Frame::Welcome(welcome))?;
        record_comes_back(Kind::UNLINK, &Unlink { reason: byte }, Frame::Unlink(Unlink { reason: byte }))?;
        let conflict = Conflict { incarnation, address: observed };
        record_comes_back(Kind::CONFLICT, &conflict, Frame::Conflict(conflict))?;
        let vacancy = PeerEntry { id: NodeId(nonce), incarnation, address: observed };
        record_comes_back(Kind::VACANCY, &vacancy, Frame::Vacancy(vacancy))?;
        let walk = Walk { newcomer: vacancy, hops: byte };
        record_comes_back(Kind::WALK, &walk, Frame::Walk(walk))?;

        let peers: Vec<_> = peers
            .into_iter()
            .map(|((id, incarnation), address)| PeerEntry { id, incarnation, address })
            .collect();
        let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::PEERS, &peers), peers.len()));
        let Frame::Peers(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), peers);
    }

    #[test]
    fn exchanges_of_views((nonce, flags) in any::<(u64, u8)>(), seen in many((any::<(u64, u32, u8)>(), address()), 0..20)) {
        let head = ExchangeHead { nonce, flags };
        let entries: Vec<_> =
            seen.into_iter().map(|((id, age_ds, copies), address)| ViewEntry { id: NodeId(id), age_ds, copies, address }).collect();
        let bytes = frame_bytes(|packer| packer.headed(Kind::VIEW_REQUEST, &head, &entries).expect("room enough"));
        let longest = FRAME_HEAD_LEN + 9 + entries.len() * ViewEntry::MAX_LEN;
        prop_assert!(bytes.len() <= longest);
        let Frame::ViewRequest(request) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!((request.head, request.entries.iter().collect::<Vec<_>>()), (head, entries));
    }

    #[test]
    fn sketches(epoch: u32, ranks in bytes()) {
        let sketch = Sketch { epoch, ranks: Blob(&ranks) };
        record_comes_back(Kind::SKETCH, &sketch, Frame::Sketch(sketch))?;
    }

    #[test]
    fn failure_detector(
        (number, status, tables, flags) in any::<(u32, u32, u64, u8)>(),
        (subject, incarnation) in id(),
        address in address(),
        said in many((id(), any::<u32>()), 1..20),
    ) {
        record_comes_back(Kind::PROBE, &Probe { number, status }, Frame::Probe(Probe { number, status }))?;
        record_comes_back(Kind::ACK, &Ack { number, status }, Frame::Ack(Ack { number, status }))?;
        let beat = Beat { next_ms: number, tables };
        record_comes_back(Kind::BEAT, &beat, Frame::Beat(beat))?;
        let ask = Ask { number, subject, incarnation, address, age_ms: status, flags };
        record_comes_back(Kind::ASK, &ask, Frame::Ask(ask))?;
        record_comes_back(Kind::VOUCH, &Vouch { number }, Frame::Vouch(Vouch { number }))?;
        record_comes_back(Kind::DENY, &Deny { number }, Frame::Deny(Deny { number }))?;
        let said: Vec<_> =
            said.into_iter().map(|((node, incarnation), status)| MemberStatus { node, incarnation, status }).collect();
        for kind in [Kind::STATUSES, Kind::ACCUSATIONS] {
            let bytes = frame_bytes(|packer| assert_eq!(packer.list(kind, &said), said.len()));
            let (Frame::Statuses(list) | Frame::Accusations(list)) = only_frame(&bytes) else { panic!("another kind") };
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), said.clone());
        }
    }

    #[test]
    fn broadcast(
        (origin, incarnation) in id(),
        (seq, previous, total, age_ms) in any::<(u64, u64, u64, u32)>(),
        (order, flags, hops) in any::<(u8, u8, u8)>(),
        (predecessors, chunk, signature, path, payload) in (bytes(), bytes(), bytes(), bytes(), bytes()),
    ) {
        let data = Data {
            origin, incarnation, seq, order, flags, previous, total, age_ms, hops,
            predecessors: Blob(&predecessors), chunk: Blob(&chunk), signature: Blob(&signature),
            path: Blob(&path), payload: Blob(&payload),
        };
        record_comes_back(Kind::DATA, &data, Frame::Data(data))?;
        let injected = Injected { tree: hops, incarnation, number: age_ms, data };
        record_comes_back(Kind::INJECTED, &injected, Frame::Injected(injected))?;
    }

    #[test]
    fn tree(
        ((root, incarnation), address, path) in (id(), address(), bytes()),
        (tree, priority, depth, refresh_s) in any::<(u8, u8, u8, u16)>(),
        (number, cost, missing) in any::<(u32, u32, u64)>(),
    ) {
        let path = Blob(&path);
        let wave =
            Wave { tree, root, incarnation, address, priority, number, refresh_s, cost, depth, path };
        record_comes_back(Kind::WAVE, &wave, Frame::Wave(wave))?;
        record_comes_back(Kind::CHILD, &Child { tree, number }, Frame::Child(Child { tree, number }))?;
        let ok = ChildOk { tree, number, cost, depth, path };
        record_comes_back(Kind::CHILD_OK, &ok, Frame::ChildOk(ok))?;
        record_comes_back(Kind::NOT_CHILD, &NotChild { tree }, Frame::NotChild(NotChild { tree }))?;
        let request = WaveRequest { tree, incarnation, number };
        record_comes_back(Kind::WAVE_REQUEST, &request, Frame::WaveRequest(request))?;
        let ack = DataAck { highest: number, missing, flags: tree };
        record_comes_back(Kind::DATA_ACK, &ack, Frame::DataAck(ack))?;
        let digest = Digest { number, ids: path, span_ms: number, older: number.into() };
        record_comes_back(Kind::DIGEST, &digest, Frame::Digest(digest))?;
        let announce = Announce { number, ids: path };
        record_comes_back(Kind::ANNOUNCE, &announce, Frame::Announce(announce))?;
        record_comes_back(Kind::FETCH, &Fetch { ids: path }, Frame::Fetch(Fetch { ids: path }))?;
    }

    #[test]
    fn anti_entropy(
        (sum, rows) in any::<(u64, u32)>(),
        head in id(),
        rows_of_table in many((id(), any::<(u64, u64)>(), many(any::<u8>(), 0..64)), 1..20),
    ) {
        record_comes_back(Kind::ROOT, &Root { sum, rows }, Frame::Root(Root { sum, rows }))?;

        let mut frontiers: Vec<_> = rows_of_table
            .iter()
            .map(|&((origin, incarnation), (low, top), ref runs)| {
                Frontier { origin, incarnation, low, top, idle_ms: rows, runs: Blob(runs) }
            })
            .collect();
        let key = |row: &Frontier<'_>| (row.origin, row.incarnation);
        frontiers.sort_by_key(key);
        frontiers.dedup_by_key(|row| key(row));
        let (node, incarnation) = head.min(key(&frontiers[0]));
        let head = PageHead { node, incarnation };
        let bytes = page_bytes(Kind::FRONTIERS, &head, &frontiers);
        let Frame::Frontiers(page) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!((page.more, page.head), (false, head));
        prop_assert_eq!(page.entries.iter().collect::<Vec<_>>(), &frontiers[..]);

        let wanted: Vec<_> = rows_of_table
            .iter()
            .map(|&((origin, incarnation), (first, more), _)| Wanted { origin, incarnation, first, more })
            .collect();
        let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::PULL, &wanted), wanted.len()));
        let Frame::Pull(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), wanted);

        let heard: Vec<_> = rows_of_table
            .iter()
            .map(|&((origin, incarnation), (seq, _), _)| Heard { origin, incarnation, seq })
            .collect();
        let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::HEARD, &heard), heard.len()));
        let Frame::Heard(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(&list.iter().collect::<Vec<_>>(), &heard);
        let bytes = frame_bytes(|packer| assert_eq!(packer.list_or_empty(Kind::INQUIRY, &heard), Ok(heard.len())));
        let Frame::Inquiry(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), heard);

        let absent: Vec<_> = rows_of_table
            .iter()
            .map(|&((origin, incarnation), (first, more), _)| Absent {
                origin, incarnation, first, more, why: Absence::from(rows as u8),
            })
            .collect();
        let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::ABSENT, &absent), absent.len()));
        let Frame::Absent(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), absent);
    }

    #[test]
    fn registers(
        (sum, rows) in any::<(u64, u32)>(),
        head in id(),
        rows_of_table in many((id(), any::<(u64, u64, u32, u8)>(), bytes(), bytes()), 1..20),
    ) {
        record_comes_back(Kind::REGISTER_ROOT, &Root { sum, rows }, Frame::RegisterRoot(Root { sum, rows }))?;

        let mut frontiers: Vec<_> = rows_of_table
            .iter()
            .map(|&((owner, incarnation), (complete, ..), ..)| RegisterFrontier { owner, incarnation, complete, status: 2 })
            .collect();
        frontiers.sort_by_key(|row| row.owner);
        frontiers.dedup_by_key(|row| row.owner);
        let head = PageHead { node: head.0.min(frontiers[0].owner), incarnation: Incarnation(0) };
        let bytes = page_bytes(Kind::REGISTER_FRONTIERS, &head, &frontiers);
        let Frame::RegisterFrontiers(page) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!((page.more, page.head), (false, head));
        prop_assert_eq!(page.entries.iter().collect::<Vec<_>>(), frontiers);

        let updates: Vec<_> = rows_of_table
            .iter()
            .map(|((owner, incarnation), (after, version, age_ms, state), key, value)| Update {
                owner: *owner, incarnation: *incarnation, after: *after, version: *version, ahead: after / 2,
                state: RegisterState::from(*state), age_ms: *age_ms, key: Blob(key), value: Blob(value),
            })
            .collect();
        let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::UPDATES, &updates), updates.len()));
        let Frame::Updates(list) = only_frame(&bytes) else { panic!("another kind") };
        prop_assert_eq!(list.iter().collect::<Vec<_>>(), updates);
    }

    #[test]
    fn any_bytes_are_harmless(body in many(any::<u8>(), 0..1_500)) {
        prop_assert!(read_all(&body) <= body.len());
    }

    #[test]
    fn any_body_of_any_kind_is_harmless(kind: u8, body in many(prop_oneof![0_u8..4, any::<u8>()], 0..1_500)) {
        let [low, high] = (body.len() as u16).to_le_bytes();
        prop_assert!(read_all(&[&[kind, low, high], &body[..]].concat()) <= body.len());
    }

    #[test]
    fn damaged_frames_are_harmless(which: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        let samples = samples();
        let mut bytes = which.get(&samples).bytes.clone();
        *at.get_mut(&mut bytes) = byte;
        prop_assert!(read_all(&bytes) <= bytes.len());
    }

    #[test]
    fn what_was_read_can_be_written_and_read_again(kind: u8, body in many(prop_oneof![0_u8..4, any::<u8>()], 0..200)) {
        let write = |frame: &Frame<'_>| frame_bytes(|packer| packer.any(frame).expect("room enough"));
        if let Ok(frame) = Frame::parse(Kind(kind), &body) {
            let bytes = write(&frame);
            if !bytes.is_empty() {
                prop_assert_eq!(write(&only_frame(&bytes)), bytes);
            }
        }
    }
}

#[test]
fn a_cut_frame_is_harmless_wherever_it_is_cut() {
    for sample in samples() {
        for len in 0..sample.bytes.len() {
            assert!(read_all(&sample.bytes[..len]) <= len);
        }
        let (&[kind, ..], body) = sample.bytes.split_first_chunk::<FRAME_HEAD_LEN>().expect("a frame");
        for len in 0..body.len() {
            let cut = Frame::parse(Kind(kind), &body[..len]);
            assert!(sample.list || cut == Err(FrameError::Broken), "{} cut to {len} bytes", sample.name);
        }
    }
}

#[test]
fn unknown_kinds_are_skipped() {
    let known = frame_bytes(|packer| packer.frame(Kind::PROBE, &Probe { number: 7, status: 0 }).expect("room enough"));
    for kind in [0x1f, 0x3f, 0xa0, 0xff] {
        let bytes = [&[kind, 2, 0, 0xee, 0xee], &known[..]].concat();
        let frames: Vec<_> = Frames::new(Opened::forged(&bytes)).flatten().collect();
        assert_eq!(Frame::parse(frames[0].0, frames[0].1), Err(FrameError::Unknown));
        assert_eq!(Frame::parse(frames[1].0, frames[1].1), Ok(Frame::Probe(Probe { number: 7, status: 0 })));
    }
}

/// The rule by which frames grow, tried on a `Retry` that a later version gave a field.
#[test]
fn fields_can_be_appended() {
    #[derive(Debug, Default, PartialEq, serde::Serialize, Deserialize)]
    struct Appended {
        lifetime_ms: u32,
    }
    let old = Retry { echo: 4, cookie: 5 };
    let old_bytes = frame_bytes(|packer| packer.frame(Kind::RETRY, &old).expect("room enough"));
    let new_bytes = frame_bytes(|packer| {
        packer.frame(Kind::RETRY, &(old, Appended { lifetime_ms: 300 })).expect("room enough");
    });
    assert_eq!(only_frame(&new_bytes), Frame::Retry(old), "the old reader");

    let new_reader = |bytes: &[u8]| {
        let (retry, rest) = postcard::take_from_bytes::<Retry>(&bytes[FRAME_HEAD_LEN..]).expect("the old fields");
        let appended = if rest.is_empty() { Ok(Appended::default()) } else { record(rest) };
        (retry, appended.expect("the new fields, or none"))
    };
    assert_eq!(new_reader(&new_bytes), (old, Appended { lifetime_ms: 300 }));
    assert_eq!(new_reader(&old_bytes), (old, Appended { lifetime_ms: 0 }));
}

#[test]
fn a_list_ends_at_its_first_broken_entry() {
    let peers = [7001, 7002].map(|port| PeerEntry {
        id: NodeId(u64::from(port)),
        incarnation: Incarnation(1),
        address: Address(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)),
    });
    let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::PEERS, peers), 2));
    let mut broken = bytes.clone();
    broken[FRAME_HEAD_LEN + 23 + 16] = 5; // the family of the second address
    let Frame::Peers(list) = only_frame(&broken) else { panic!("another kind") };
    assert_eq!(list.iter().collect::<Vec<_>>(), peers[..1]);
}

#[test]
fn a_page_with_a_broken_entry_is_refused() {
    let row = RegisterFrontier { owner: NodeId(1), incarnation: Incarnation(2), complete: 3, status: 0 };
    let next = RegisterFrontier { owner: NodeId(2), ..row };
    let bytes = page_bytes(Kind::REGISTER_FRONTIERS, &PageHead::START, [row, next]);
    let body = &bytes[FRAME_HEAD_LEN..];
    assert_eq!(Frame::parse(Kind::REGISTER_FRONTIERS, &body[..body.len() - 1]), Err(FrameError::Broken));
    assert!(Frame::parse(Kind::REGISTER_FRONTIERS, &body[..body.len() - 18]).is_ok(), "one entry, complete");
}

#[test]
fn a_page_whose_keys_do_not_rise_is_refused() {
    let row = |owner| RegisterFrontier { owner: NodeId(owner), incarnation: Incarnation(2), complete: 3, status: 0 };
    let from_five = PageHead { node: NodeId(5), incarnation: Incarnation(0) };
    let is_page = |head, rows: &[RegisterFrontier]| {
        let bytes = page_bytes(Kind::REGISTER_FRONTIERS, head, rows.iter().copied());
        Frame::parse(Kind::REGISTER_FRONTIERS, &bytes[FRAME_HEAD_LEN..]).is_ok()
    };
    assert!(is_page(&from_five, &[row(5), row(6), row(9)]));
    assert!(!is_page(&from_five, &[row(5), row(5)]) && !is_page(&from_five, &[row(6), row(5)]), "twice, and back");
    assert!(!is_page(&from_five, &[row(4)]), "below the head");

    let frontier = |origin, incarnation| {
        let (origin, incarnation, runs) = (NodeId(origin), Incarnation(incarnation), Blob(&[]));
        Frontier { origin, incarnation, low: 0, top: 0, idle_ms: 0, runs }
    };
    let is_page = |rows: &[Frontier<'_>]| {
        let bytes = page_bytes(Kind::FRONTIERS, &PageHead::START, rows);
        Frame::parse(Kind::FRONTIERS, &bytes[FRAME_HEAD_LEN..]).is_ok()
    };
    assert!(is_page(&[frontier(1, 1), frontier(1, 2), frontier(2, 1)]), "one row for each life");
    assert!(!is_page(&[frontier(1, 2), frontier(1, 1)]) && !is_page(&[frontier(1, 1), frontier(1, 1)]));
}

#[test]
fn a_list_is_bounded() {
    let entry = [0_u8; 18];
    let pull = entry.repeat(LIST_MAX + 1);
    let Ok(Frame::Pull(list)) = Frame::parse(Kind::PULL, &pull) else { panic!("a good list") };
    assert_eq!(list.iter().count(), LIST_MAX);

    let bytes_of = |owner: usize| {
        let row = RegisterFrontier { owner: NodeId(owner as u64), incarnation: Incarnation(0), complete: 0, status: 0 };
        frame_bytes(|packer| assert_eq!(packer.list(Kind::UPDATES, [row]), 1)).split_off(FRAME_HEAD_LEN)
    };
    let rows = |count: usize| (0..count).flat_map(bytes_of);
    let mut page = vec![0_u8; 17];
    page.extend(rows(LIST_MAX));
    assert!(Frame::parse(Kind::REGISTER_FRONTIERS, &page).is_ok());
    page.extend(bytes_of(LIST_MAX));
    assert_eq!(Frame::parse(Kind::REGISTER_FRONTIERS, &page), Err(FrameError::Broken));
}

#[test]
fn overheads_are_exact() {
    let mut room = vec![0; 65_507];
    let blob = [0_u8; 16_384];
    let data = Data {
        origin: NodeId(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        seq: u64::MAX,
        order: u8::MAX,
        flags: u8::MAX,
        previous: u64::MAX,
        total: u64::MAX,
        age_ms: u32::MAX,
        hops: u8::MAX,
        predecessors: Blob(&[]),
        chunk: Blob(&[]),
        signature: Blob(&[]),
        path: Blob(&blob),
        payload: Blob(&blob),
    };
    let mut packer = Packer::new(&mut room, 65_507);
    packer.frame(Kind::DATA, &data).expect("room enough");
    assert_eq!(packer.len(), Data::OVERHEAD_MAX + 2 * blob.len());
    let last = Chunk { index: Chunk::COUNT_MAX - 1, count: Chunk::COUNT_MAX };
    let mut slot = [0; Chunk::LEN_MAX];
    assert_eq!(
        last.write(&mut slot).len(),
        Chunk::LEN_MAX,
        "besides the length of the slot, which is in the other figure"
    );
    assert_eq!(Chunk::parse(&slot), Some(last));
    assert_eq!((Chunk::WHOLE.write(&mut [0; Chunk::LEN_MAX]), Chunk::parse(&[])), (&[][..], Some(Chunk::WHOLE)));

    let update = Update {
        owner: NodeId(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        after: u64::MAX,
        version: u64::MAX,
        ahead: u64::MAX,
        state: RegisterState::Other(u8::MAX),
        age_ms: u32::MAX,
        key: Blob(&blob),
        value: Blob(&blob),
    };
    let mut packer = Packer::new(&mut room, 65_507);
    assert_eq!(packer.list(Kind::UPDATES, [update]), 1);
    assert_eq!(packer.len(), Update::OVERHEAD_MAX + 2 * blob.len());
}
