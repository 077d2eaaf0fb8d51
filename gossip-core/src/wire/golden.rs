//! Golden vectors: the bytes of one frame of each kind and of one datagram of each mode, pinned in
//! `tests/golden/*.hex`, and the worked example of `WIRE.md`.
//!
//! They are never adjusted to the code. If one of these tests fails, old and new nodes do not understand each other.

use core::net::{Ipv6Addr, SocketAddr};
use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::tests::only_frame;
use super::*;
use crate::auth::{Auth, Envelope, Security};
use crate::ids::{Incarnation, NodeId};
use crate::pack::Packer;

pub(super) const NODE: NodeId = NodeId(0x0102_0304_0506_0708);
pub(super) const LIFE: Incarnation = Incarnation(0x1112_1314_1516_1718);

const PATH: Blob<'_> = Blob(&[1, 2, 3, 4]);
const IDS: Blob<'_> = Blob(&[0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8]);

/// One frame as the code writes it.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// May be cut between two entries.
    pub(super) list: bool,
}

/// The frames that `write` packs.
pub(super) fn frame_bytes(write: impl FnOnce(&mut Packer<'_>)) -> Vec<u8> {
    let mut datagram = vec![0; 65_507];
    let mut packer = Packer::new(&mut datagram, usize::MAX);
    write(&mut packer);
    let len = packer.len();
    datagram[HEADER_LEN..HEADER_LEN + len].to_vec()
}

/// One frame of each kind, with values that show the order of bytes and the length of varints.
pub(super) fn samples() -> Vec<Sample> {
    fn sample(name: &'static str, list: bool, write: impl FnOnce(&mut Packer<'_>)) -> Sample {
        Sample { name, bytes: frame_bytes(write), list }
    }
    fn record<T: serde::Serialize>(name: &'static str, kind: Kind, body: &T) -> Sample {
        sample(name, false, |packer| packer.frame(kind, body).expect("room enough"))
    }
    vec![
        record("hello", Kind::HELLO, &hello()),
        record("retry", Kind::RETRY, &Retry { echo: 0x4142_4344_4546_4748, cookie: 0x2122_2324_2526_2728 }),
        record("welcome", Kind::WELCOME, &welcome()),
        sample("peers", true, |packer| assert_eq!(packer.list(Kind::PEERS, peers()), 2)),
        record("unlink", Kind::UNLINK, &Unlink { reason: Unlink::LEAVING }),
        record("conflict", Kind::CONFLICT, &Conflict { incarnation: LIFE, address: v4() }),
        record("vacancy", Kind::VACANCY, &peers()[0]),
        record("walk", Kind::WALK, &Walk { newcomer: peers()[0], hops: 7 }),
        sample("view-request", true, |packer| {
            let head = ExchangeHead { nonce: 0x4142_4344_4546_4748, flags: ExchangeHead::PUSH | ExchangeHead::PULL };
            packer.headed(Kind::VIEW_REQUEST, &head, view_entries()).expect("room enough");
        }),
        sample("view-reply", true, |packer| {
            let head = ExchangeHead { nonce: 0x4142_4344_4546_4748, flags: ExchangeHead::PUSH };
            packer
                .headed(Kind::VIEW_REPLY, &head, [ViewEntry { address: v4(), ..view_entries()[0] }])
                .expect("room enough");
        }),
        record("sketch", Kind::SKETCH, &Sketch { epoch: 300, ranks: Blob(&[3, 0, 14]) }),
        record("probe", Kind::PROBE, &Probe { number: 300, status: 3 }),
        record("ack", Kind::ACK, &Ack { number: u32::MAX, status: 4 }),
        record("beat", Kind::BEAT, &Beat { next_ms: 8_001, tables: 0x3132_3334_3536_3738 }),
        record("ask", Kind::ASK, &ask()),
        record("vouch", Kind::VOUCH, &Vouch { number: 300 }),
        record("deny", Kind::DENY, &Deny { number: 300 }),
        sample("statuses", true, |packer| assert_eq!(packer.list(Kind::STATUSES, statuses()), 2)),
        sample("accusations", true, |packer| assert_eq!(packer.list(Kind::ACCUSATIONS, [accusation()]), 1)),
        record("data", Kind::DATA, &data()),
        record("data-chunk", Kind::DATA, &chunk()),
        record("wave", Kind::WAVE, &wave()),
        record("child", Kind::CHILD, &Child { tree: 1, number: 300 }),
        record("child-ok", Kind::CHILD_OK, &child_ok()),
        record("not-child", Kind::NOT_CHILD, &NotChild { tree: 1 }),
        record("wave-request", Kind::WAVE_REQUEST, &WaveRequest { tree: 1, incarnation: LIFE, number: 300 }),
        record("injected", Kind::INJECTED, &injected()),
        record("data-ack", Kind::DATA_ACK, &DataAck { highest: 300, missing: 5, flags: DataAck::WANTED }),
        record("digest", Kind::DIGEST, &Digest { number: 300, ids: IDS, span_ms: 6_000, older: 0x3132_3334_3536_3738 }),
        record("announce", Kind::ANNOUNCE, &Announce { number: 0, ids: IDS }),
        record("fetch", Kind::FETCH, &Fetch { ids: IDS }),
        sample("heard", true, |packer| assert_eq!(packer.list(Kind::HEARD, heard()), 2)),
        sample("inquiry", true, |packer| assert_eq!(packer.list_or_empty(Kind::INQUIRY, heard()), Ok(2))),
        record("root", Kind::ROOT, &Root { sum: 0x3132_3334_3536_3738, rows: 1_000 }),
        sample("frontiers", true, |packer| {
            let head = PageHead { node: NODE, incarnation: LIFE };
            let paged = packer.page(Kind::FRONTIERS, &head, frontiers());
            assert!(!paged.expect("room enough").more);
        }),
        sample("pull", true, |packer| assert_eq!(packer.list(Kind::PULL, wanted()), 1)),
        sample("absent", true, |packer| assert_eq!(packer.list(Kind::ABSENT, absent()), 2)),
        record("register-root", Kind::REGISTER_ROOT, &Root { sum: 0, rows: 0 }),
        sample("register-frontiers", true, |packer| {
            let paged = packer.page(Kind::REGISTER_FRONTIERS, &PageHead::START, register_frontiers());
            assert!(!paged.expect("room enough").more);
        }),
        sample("updates", true, |packer| assert_eq!(packer.list(Kind::UPDATES, updates()), 2)),
    ]
}

#[test]
fn frames_are_written_as_pinned() {
    let mut pinned = pinned(include_str!("../../tests/golden/frames.hex"));
    for sample in samples() {
        assert_eq!(Some(hex(&sample.bytes)), pinned.remove(sample.name), "{}", sample.name);
    }
    assert!(pinned.is_empty(), "not written by any sample: {pinned:?}");
}

#[test]
fn every_kind_is_pinned() {
    let mut pinned: Vec<u8> = samples().iter().map(|sample| sample.bytes[0]).collect();
    pinned.dedup();
    let known = |&kind: &u8| Frame::parse(Kind(kind), &[]) != Err(FrameError::Unknown);
    assert_eq!(pinned, (0..=u8::MAX).filter(known).collect::<Vec<_>>());
}

#[test]
fn pinned_frames_are_read() {
    let pinned = pinned(include_str!("../../tests/golden/frames.hex"));
    let bytes: BTreeMap<_, _> = pinned.iter().map(|(name, hex)| (name.as_str(), unhex(hex))).collect();
    let frame = |name: &str| only_frame(&bytes[name]);
    assert_eq!(frame("hello"), Frame::Hello(hello()));
    assert_eq!(frame("retry"), Frame::Retry(Retry { echo: 0x4142_4344_4546_4748, cookie: 0x2122_2324_2526_2728 }));
    assert_eq!(frame("welcome"), Frame::Welcome(welcome()));
    assert_eq!(frame("unlink"), Frame::Unlink(Unlink { reason: 1 }));
    assert_eq!(frame("conflict"), Frame::Conflict(Conflict { incarnation: LIFE, address: v4() }));
    assert_eq!(frame("vacancy"), Frame::Vacancy(peers()[0]));
    assert_eq!(frame("walk"), Frame::Walk(Walk { newcomer: peers()[0], hops: 7 }));
    assert_eq!(frame("sketch"), Frame::Sketch(Sketch { epoch: 300, ranks: Blob(&[3, 0, 14]) }));
    assert_eq!(frame("probe"), Frame::Probe(Probe { number: 300, status: 3 }));
    assert_eq!(frame("ack"), Frame::Ack(Ack { number: u32::MAX, status: 4 }));
    assert_eq!(frame("beat"), Frame::Beat(Beat { next_ms: 8_001, tables: 0x3132_3334_3536_3738 }));
    assert_eq!(frame("ask"), Frame::Ask(ask()));
    assert_eq!(frame("vouch"), Frame::Vouch(Vouch { number: 300 }));
    assert_eq!(frame("deny"), Frame::Deny(Deny { number: 300 }));
    assert_eq!(frame("data"), Frame::Data(data()));
    assert_eq!(frame("data-chunk"), Frame::Data(chunk()));
    assert_eq!(Chunk::parse(chunk().chunk.0), Some(Chunk { index: 2, count: 300 }));
    assert_eq!(frame("wave"), Frame::Wave(wave()));
    assert_eq!(frame("child"), Frame::Child(Child { tree: 1, number: 300 }));
    assert_eq!(frame("child-ok"), Frame::ChildOk(child_ok()));
    assert_eq!(frame("not-child"), Frame::NotChild(NotChild { tree: 1 }));
    assert_eq!(frame("wave-request"), Frame::WaveRequest(WaveRequest { tree: 1, incarnation: LIFE, number: 300 }));
    assert_eq!(frame("injected"), Frame::Injected(injected()));
    assert_eq!(frame("data-ack"), Frame::DataAck(DataAck { highest: 300, missing: 5, flags: 1 }));
    assert_eq!(
        frame("digest"),
        Frame::Digest(Digest { number: 300, ids: IDS, span_ms: 6_000, older: 0x3132_3334_3536_3738 })
    );
    assert_eq!(frame("announce"), Frame::Announce(Announce { number: 0, ids: IDS }));
    assert_eq!(frame("fetch"), Frame::Fetch(Fetch { ids: IDS }));
    assert_eq!(frame("root"), Frame::Root(Root { sum: 0x3132_3334_3536_3738, rows: 1_000 }));
    assert_eq!(frame("register-root"), Frame::RegisterRoot(Root { sum: 0, rows: 0 }));
}

#[test]
fn pinned_lists_are_read() {
    let pinned = pinned(include_str!("../../tests/golden/frames.hex"));
    let bytes: BTreeMap<_, _> = pinned.iter().map(|(name, hex)| (name.as_str(), unhex(hex))).collect();
    let frame = |name: &str| only_frame(&bytes[name]);
    let (
        Frame::Heard(answered),
        Frame::Inquiry(asked),
        Frame::Peers(peer_list),
        Frame::Statuses(status_list),
        Frame::Accusations(accusation_list),
        Frame::Frontiers(page),
        Frame::Pull(pull),
        Frame::Absent(absent_list),
        Frame::RegisterFrontiers(register_page),
        Frame::Updates(update_list),
        Frame::ViewRequest(request),
        Frame::ViewReply(reply),
    ) = (
        frame("heard"),
        frame("inquiry"),
        frame("peers"),
        frame("statuses"),
        frame("accusations"),
        frame("frontiers"),
        frame("pull"),
        frame("absent"),
        frame("register-frontiers"),
        frame("updates"),
        frame("view-request"),
        frame("view-reply"),
    )
    else {
        panic!("a frame of another kind");
    };
    assert_eq!(answered.iter().collect::<Vec<_>>(), heard());
    assert_eq!(asked.iter().collect::<Vec<_>>(), heard());
    assert_eq!(peer_list.iter().collect::<Vec<_>>(), peers());
    assert_eq!(status_list.iter().collect::<Vec<_>>(), statuses());
    assert_eq!(accusation_list.iter().collect::<Vec<_>>(), [accusation()]);
    assert_eq!((page.more, page.head), (false, PageHead { node: NODE, incarnation: LIFE }));
    assert_eq!(page.entries.iter().collect::<Vec<_>>(), frontiers());
    assert_eq!(pull.iter().collect::<Vec<_>>(), wanted());
    assert_eq!(absent_list.iter().collect::<Vec<_>>(), absent());
    assert_eq!((register_page.more, register_page.head), (false, PageHead::START));
    assert_eq!(register_page.entries.iter().collect::<Vec<_>>(), register_frontiers());
    assert_eq!(update_list.iter().collect::<Vec<_>>(), updates());
    assert_eq!((request.head.flags, reply.head.flags), (3, 1));
    assert_eq!(request.entries.iter().collect::<Vec<_>>(), view_entries());
    assert_eq!(reply.entries.iter().map(|entry| entry.address).collect::<Vec<_>>(), [v4()]);
}

#[test]
fn datagrams_are_sealed_and_opened_as_pinned() {
    let mut pinned = pinned(include_str!("../../tests/golden/datagrams.hex"));
    let key = core::array::from_fn(|at| at as u8);
    let sealed = Security::Sealed { key_id: 1, key };
    for (name, security, to) in [
        ("plain", Security::Plain, Some(NodeId(9))),
        ("plain-open", Security::Plain, None),
        ("sealed", sealed.clone(), Some(NodeId(9))),
        ("sealed-open", sealed, None),
    ] {
        let expected = pinned.remove(name).expect("a pinned datagram of this name");
        let auth = Auth::new(&security, "golden");
        let frames =
            frame_bytes(|packer| packer.frame(Kind::PROBE, &Probe { number: 300, status: 0 }).expect("room enough"));
        let mut datagram = [&[0; HEADER_LEN], &frames[..]].concat();
        let envelope = Envelope { sender: NODE, incarnation: LIFE, number: datagram_number(1, 2), to };
        auth.seal(&auth.subkey(NODE, LIFE), &envelope, &mut datagram);
        assert_eq!(hex(&datagram), expected, "{name}");

        let mut datagram = unhex(&expected);
        let header = Header::parse(&datagram).expect("a good header");
        let opened = auth.open(&auth.subkey(NODE, LIFE), NodeId(9), &header, &mut datagram).expect("a good tag");
        assert_eq!(opened.body(), frames, "{name}");
    }
    assert!(pinned.is_empty(), "not sealed by this test: {pinned:?}");
}

/// The hex dump in `WIRE.md` is what node 7 of the cluster "books" really sends to node 8.
#[test]
fn the_worked_example_is_true() {
    let document = include_str!("../../WIRE.md");
    let (_, example) = document.split_once("## A worked example").expect("the section of the example");
    let dump = example.split("```").nth(1).expect("the dump").trim_start_matches("text");
    let expected: String = dump.lines().filter_map(|line| line.split('│').nth(1)).collect();
    let expected: String = expected.split_whitespace().collect();

    let auth = Auth::new(&Security::Plain, "books");
    let (node, life) = (NodeId(7), Incarnation(0x6553_F100_0000_002A));
    let data = Data { origin: node, incarnation: life, payload: Blob(b"Apple"), path: Blob(&[]), ..data() };
    let data = Data { seq: 1, order: 1, flags: 0, previous: 0, total: 0, age_ms: 0, hops: 1, ..data };
    let mut datagram = vec![0; 1_200];
    let mut packer = Packer::new(&mut datagram, 1_200);
    packer.frame(Kind::DATA, &data).expect("room enough");
    packer.frame(Kind::PROBE, &Probe { number: 300, status: 0 }).expect("room enough");
    let len = HEADER_LEN + packer.len();
    datagram.truncate(len);
    let envelope = Envelope { sender: node, incarnation: life, number: datagram_number(1, 1), to: Some(NodeId(8)) };
    auth.seal(&auth.subkey(node, life), &envelope, &mut datagram);
    assert_eq!(hex(&datagram), expected);
}

fn v4() -> Address {
    Address(SocketAddr::from(([192, 0, 2, 1], 7_001)))
}

fn v6() -> Address {
    Address(SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 65_535)))
}

fn hello() -> Hello {
    let (nonce, cookie) = (0x4142_4344_4546_4748, 0x2122_2324_2526_2728);
    Hello { nonce, cookie, flags: Hello::LINK, to: v6(), round_trip: 300 }
}

fn welcome() -> Welcome {
    Welcome { nonce: 0x4142_4344_4546_4748, observed: v4(), verdict: Verdict::Superseded, incarnation: LIFE }
}

fn peers() -> Vec<PeerEntry> {
    let other = PeerEntry { id: NodeId(2), incarnation: Incarnation(3), address: v6() };
    vec![PeerEntry { id: NODE, incarnation: LIFE, address: v4() }, other]
}

fn view_entries() -> [ViewEntry; 2] {
    let nowhere = Address(SocketAddr::from(([0; 4], 0)));
    [
        ViewEntry { id: NODE, age_ds: 0, copies: 4, address: nowhere },
        ViewEntry { id: NodeId(2), age_ds: 300, copies: 1, address: v6() },
    ]
}

fn heard() -> [Heard; 2] {
    [300, 1].map(|seq| Heard { origin: NODE, incarnation: LIFE, seq })
}

fn wave() -> Wave<'static> {
    let (address, refresh_s, cost) = (v4(), 600, 70_000);
    Wave {
        tree: 1,
        root: NODE,
        incarnation: LIFE,
        address,
        priority: 9,
        number: 300,
        refresh_s,
        cost,
        depth: 3,
        path: PATH,
    }
}

fn child_ok() -> ChildOk<'static> {
    ChildOk { tree: 1, number: 300, cost: 70_000, depth: 3, path: PATH }
}

fn injected() -> Injected<'static> {
    Injected { tree: 1, incarnation: LIFE, number: 300, data: data() }
}

fn data() -> Data<'static> {
    Data {
        origin: NODE,
        incarnation: LIFE,
        seq: 300,
        order: 1,
        flags: Data::RESENT,
        previous: 2,
        total: 0,
        age_ms: 16_384,
        hops: 3,
        predecessors: Blob(&[]),
        chunk: Blob(&[]),
        signature: Blob(&[]),
        path: Blob(&[8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0]),
        payload: Blob(b"Apple"),
    }
}

fn chunk() -> Data<'static> {
    Data { chunk: Blob(&[2, 0xac, 2]), ..data() }
}

fn frontiers() -> Vec<Frontier<'static>> {
    vec![
        Frontier { origin: NODE, incarnation: LIFE, low: 1, top: 4, idle_ms: 0, runs: Blob(&[2, 2, 3, 1]) },
        Frontier {
            origin: NODE,
            incarnation: Incarnation(u64::MAX),
            low: 200,
            top: 300,
            idle_ms: 5_000,
            runs: Blob(&[]),
        },
    ]
}

fn wanted() -> Vec<Wanted> {
    vec![Wanted { origin: NODE, incarnation: LIFE, first: 5, more: 1 }]
}

fn absent() -> Vec<Absent> {
    let gone = Absent { origin: NODE, incarnation: LIFE, first: 5, more: 0, why: Absence::Gone };
    vec![gone, Absent { first: 6, more: 300, why: Absence::Lacking, ..gone }]
}

fn register_frontiers() -> Vec<RegisterFrontier> {
    vec![RegisterFrontier { owner: NODE, incarnation: LIFE, complete: 128, status: 300 }]
}

fn ask() -> Ask {
    Ask { number: 300, subject: NODE, incarnation: LIFE, address: v4(), age_ms: 450, flags: Ask::LAST }
}

fn statuses() -> Vec<MemberStatus> {
    let said = |status| MemberStatus { node: NODE, incarnation: LIFE, status };
    vec![said(128), said(u32::MAX)]
}

fn accusation() -> MemberStatus {
    MemberStatus { node: NODE, incarnation: LIFE, status: 1 }
}

fn updates() -> Vec<Update<'static>> {
    let update = Update {
        owner: NODE,
        incarnation: LIFE,
        after: 0,
        version: 128,
        ahead: 2,
        state: RegisterState::Value,
        age_ms: 1_000,
        key: Blob(b"book"),
        value: Blob(b"Apple"),
    };
    vec![
        update,
        Update {
            after: 128,
            version: 130,
            ahead: 0,
            state: RegisterState::Nothing,
            age_ms: 0,
            key: Blob(&[]),
            value: Blob(&[]),
            ..update
        },
    ]
}

/// `name: hex hex…`, a line per vector; lines that begin with `#` are comments.
pub(super) fn pinned(file: &str) -> BTreeMap<String, String> {
    let vectors = file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
    vectors.map(|(name, hex)| (name.into(), hex.split_whitespace().collect())).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| std::format!("{byte:02x}")).collect()
}

pub(super) fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a hex digit") as u8;
    hex.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(high) << 4 | digit(low)).collect()
}
