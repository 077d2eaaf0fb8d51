//! What the core costs, in instructions: per datagram by the frame in it, per submission, per delivery, per copy sent.
//!
//! ```text
//! cargo bench -p gossip-tests --bench core              # a table
//! cargo bench -p gossip-tests --bench core -- --check   # fails where a case takes over 3 % more than the baseline
//! cargo bench -p gossip-tests --bench core -- --save    # makes what is measured the baseline
//! ```
//!
//! # How
//!
//! A real node is linked with a real neighbor. Then the neighbor falls silent, and this program speaks in its name, so that
//! each case gets just the datagrams that it is about. The program runs itself once more for each case under `valgrind
//! --tool=callgrind`, which counts what is executed within [`measured`] and nothing else; so a figure is the same on a busy
//! machine as on an idle one. Times, from runs without valgrind, are only to look at: they decide nothing.
//!
//! Plain mode unless a case says `sealed`. 256 bytes of payload.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use gossip_core::auth::{Auth, Envelope};
use gossip_core::pack::Packer;
use gossip_core::wire::{
    Ack, Address, Beat, Blob, Data, Digest, HEADER_LEN, Header, Kind, PeerEntry, Probe, RegisterState, Root, Update,
};
use gossip_core::{Budget, Config, Gossip, Incarnation, Instant, NodeId, Order, Security};

/// Measured operations of a case.
const COUNT: usize = 200;

/// More instructions than the baseline, in percent, that `--check` lets pass.
const SLACK_PERCENT: u64 = 3;

const PAYLOAD: [u8; 256] = [7; 256];

/// Members named in one datagram.
const NAMED: usize = 8;

/// The only thing that callgrind looks at.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// What a case is about: what is done [`COUNT`] times, to a node that knows so much.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    members: u32,
    /// Messages that were seen before, of up to 1,000 origins.
    ids: u64,
    sealed: bool,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    /// Datagrams with one frame of this kind come.
    Receive(Frame),
    /// A message is submitted.
    Submit,
    /// Accepted messages are handed to the application.
    Deliver,
    /// Copies of accepted messages are composed, one in a datagram.
    Transmit,
}

#[derive(Clone, Copy)]
enum Frame {
    Data,
    Duplicate,
    Beat,
    Probe,
    Ack,
    Digest,
    Root,
    Update,
    Unknown,
}

const fn case(name: &'static str, work: Work) -> Case {
    Case { name, members: 8, ids: 10, sealed: false, work }
}

const CASES: [Case; 19] = [
    case("data, 8 members, 10 ids", Work::Receive(Frame::Data)),
    Case { ids: 1_000, ..case("data, 8 members, 10³ ids", Work::Receive(Frame::Data)) },
    Case { ids: 100_000, ..case("data, 8 members, 10⁵ ids", Work::Receive(Frame::Data)) },
    Case { members: 1_000, ..case("data, 1,000 members, 10 ids", Work::Receive(Frame::Data)) },
    Case { members: 1_000, ids: 100_000, ..case("data, 1,000 members, 10⁵ ids", Work::Receive(Frame::Data)) },
    Case { sealed: true, ..case("data, sealed", Work::Receive(Frame::Data)) },
    case("data seen before", Work::Receive(Frame::Duplicate)),
    case("beat", Work::Receive(Frame::Beat)),
    case("probe", Work::Receive(Frame::Probe)),
    case("answer to no probe", Work::Receive(Frame::Ack)),
    case("digest of nothing new", Work::Receive(Frame::Digest)),
    case("root", Work::Receive(Frame::Root)),
    case("register update", Work::Receive(Frame::Update)),
    case("unknown frame", Work::Receive(Frame::Unknown)),
    case("submit, 8 members", Work::Submit),
    Case { members: 1_000, ids: 100_000, ..case("submit, 1,000 members, 10⁵ ids", Work::Submit) },
    case("deliver", Work::Deliver),
    case("send a copy", Work::Transmit),
    Case { sealed: true, ..case("send a copy, sealed", Work::Transmit) },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--case", name] => run_case(name),
        [] => report(None),
        ["--check"] => report(Some(Baseline::Check)),
        ["--save"] => report(Some(Baseline::Save)),
        _ => {
            eprintln!("usage: core [--check | --save]");
            ExitCode::from(2)
        }
    }
}

// ---- the cases

fn run_case(name: &str) -> ExitCode {
    let Some(case) = CASES.iter().find(|case| case.name == name) else { return ExitCode::from(2) };
    let mut stage = Stage::new(case);
    let started = std::time::Instant::now();
    match case.work {
        Work::Receive(frame) => stage.receive(frame),
        Work::Submit => stage.submit(),
        Work::Deliver => stage.deliver(),
        Work::Transmit => stage.transmit(),
    }
    println!("{}", started.elapsed().as_nanos());
    ExitCode::SUCCESS
}

/// The node that is measured, and who speaks to it.
struct Stage {
    now: Instant,
    node: Gossip,
    voice: Voice,
    buffer: Vec<u8>,
}

/// Speaks over the link of a neighbor that has fallen silent.
struct Voice {
    auth: Auth,
    name: NodeId,
    incarnation: Incarnation,
    to: NodeId,
    number: u64,
}

impl Voice {
    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 7_000);

    fn say(&mut self, fill: impl FnOnce(&mut Packer<'_>)) -> Vec<u8> {
        let mut datagram = vec![0; 1_200];
        let mut packer = Packer::new(&mut datagram, 1_200);
        fill(&mut packer);
        let len = HEADER_LEN + packer.len();
        datagram.truncate(len);
        self.number += 1;
        let envelope =
            Envelope { sender: self.name, incarnation: self.incarnation, number: self.number, to: Some(self.to) };
        self.auth.seal(&self.auth.subkey(self.name, self.incarnation), &envelope, &mut datagram);
        datagram
    }

    fn data(&mut self, origin: u64, seq: u64) -> Vec<u8> {
        let data = Data {
            origin: NodeId(1_000_000 + origin),
            incarnation: Incarnation(1 << 20),
            seq,
            order: 0,
            flags: Data::OFF_TREE,
            previous: 0,
            total: 0,
            age_ms: 0,
            hops: 1,
            predecessors: Blob(&[]),
            chunk: Blob(&[]),
            signature: Blob(&[]),
            path: Blob(&[]),
            payload: Blob(&PAYLOAD),
        };
        self.say(|packer| packer.frame(Kind::DATA, &data).expect("it fits"))
    }
}

impl Stage {
    fn new(case: &Case) -> Self {
        let config = |id: u64| {
            let mut config = Config::lan(NodeId(id));
            config.started_at = 1;
            config.budget = None::<Budget>;
            config.limits.peers = 2_048;
            config.limits.registers = 4_096;
            config.limits.register_bytes = 1 << 20;
            config.limits.origins = 1_200;
            config.limits.messages = 110_000;
            config.limits.payload_bytes = 64 << 20;
            if case.sealed {
                config.security = Security::Sealed { key_id: 1, key: [7; 32] };
            }
            config
        };
        let now = Instant::from_millis(1_000);
        let make = |id| Gossip::new(config(id), [id as u8; 32], now).expect("the configuration is in its bounds");
        let (mut node, mut friend) = (make(1), make(2));
        let at = SocketAddr::from(([10, 0, 0, 1], 7_000));
        friend.join(now, at).expect("room for a contact");
        let number = converse(now, &mut node, &mut friend, at);
        let auth = Auth::new(&config(1).security, &config(1).cluster);
        let voice = Voice { auth, name: NodeId(2), incarnation: friend.incarnation(), to: NodeId(1), number };
        let mut stage = Self { now, node, voice, buffer: vec![0; 1_200] };
        stage.name_members(case.members);
        stage.fill(case.ids);
        stage
    }

    /// Lets the node hear of so many members in all.
    fn name_members(&mut self, members: u32) {
        let mut ids = (3..=u64::from(members)).peekable();
        while ids.peek().is_some() {
            let entries = ids.by_ref().take(NAMED).map(|id| PeerEntry {
                id: NodeId(id),
                incarnation: Incarnation(1 << 20),
                address: Address(([10, 1, (id / 250) as u8, (id % 250) as u8], 7_000).into()),
            });
            let entries: Vec<_> = entries.collect();
            let datagram = self.voice.say(|packer| {
                assert_eq!(packer.list(Kind::PEERS, entries.iter().copied()), entries.len());
            });
            self.hear(datagram);
        }
        assert_eq!(self.node.size_estimate(), members, "the node knows them");
    }

    /// Lets the node see so many messages, which it delivers.
    fn fill(&mut self, ids: u64) {
        for id in 0..ids {
            let datagram = self.voice.data(id % 1_000, id / 1_000 + 1);
            self.hear(datagram);
        }
        assert_eq!(self.node.stats().accepted, ids);
    }

    fn hear(&mut self, mut datagram: Vec<u8>) {
        self.node.handle_packet(self.now, Voice::ADDRESS, &mut datagram);
        self.drain();
    }

    /// Takes everything that the node has to say.
    fn drain(&mut self) {
        while self.node.poll_event().is_some() {}
        while self.node.poll_transmit(self.now, &mut self.buffer).is_some() {}
    }

    fn receive(&mut self, frame: Frame) {
        let mut datagrams: Vec<Vec<u8>> = (0..COUNT as u64).map(|index| self.frame(frame, index)).collect();
        for datagram in &mut datagrams {
            measured(|| self.node.handle_packet(self.now, Voice::ADDRESS, datagram));
            self.drain();
        }
        let refused: u64 =
            self.node.stats().iter().filter(|(name, _)| name.starts_with("refused_")).map(|(_, count)| count).sum();
        let expected = if matches!(frame, Frame::Ack) { COUNT as u64 } else { 0 };
        assert!(refused <= expected, "{refused} datagrams or frames were refused: {:?}", self.node.stats());
    }

    fn frame(&mut self, frame: Frame, index: u64) -> Vec<u8> {
        let voice = &mut self.voice;
        let number = index as u32 + 1;
        match frame {
            Frame::Data => voice.data(1_100, index + 1),
            Frame::Duplicate => voice.data(index % 10, 1),
            Frame::Beat => {
                let beat = Beat { next_ms: 8_000, tables: 0 };
                voice.say(|packer| packer.frame(Kind::BEAT, &beat).expect("it fits"))
            }
            Frame::Probe => {
                voice.say(|packer| packer.frame(Kind::PROBE, &Probe { number, status: 0 }).expect("it fits"))
            }
            Frame::Ack => voice.say(|packer| packer.frame(Kind::ACK, &Ack { number, status: 0 }).expect("it fits")),
            Frame::Digest => {
                let digest = Digest { number, ids: Blob(&[]), span_ms: 1_000, older: 0 };
                voice.say(|packer| packer.frame(Kind::DIGEST, &digest).expect("it fits"))
            }
            Frame::Root => voice.say(|packer| packer.frame(Kind::ROOT, &Root { sum: 0, rows: 0 }).expect("it fits")),
            Frame::Update => {
                let (owner, incarnation) = (voice.name, voice.incarnation);
                let (after, version) = (100 + index, 101 + index);
                let (key, value, state) = (Blob(b"favorite"), Blob(&PAYLOAD[..32]), RegisterState::Value);
                let update = Update { owner, incarnation, after, version, ahead: 0, state, age_ms: 0, key, value };
                voice.say(|packer| assert_eq!(packer.list(Kind::UPDATES, [update]), 1))
            }
            Frame::Unknown => voice.say(|packer| packer.raw(Kind(251), &PAYLOAD[..32]).expect("it fits")),
        }
    }

    fn submit(&mut self) {
        for _ in 0..COUNT {
            let id = measured(|| self.node.submit(self.now, Order::Unordered, &PAYLOAD));
            id.expect("there is room");
            self.drain();
        }
    }

    fn deliver(&mut self) {
        for index in 0..COUNT as u64 {
            let mut datagram = self.voice.data(1_100, index + 1);
            self.node.handle_packet(self.now, Voice::ADDRESS, &mut datagram);
            let event = measured(|| self.node.poll_event());
            assert!(matches!(event, Some(gossip_core::Event::Deliver(_))), "{event:?}");
            self.drain();
        }
    }

    fn transmit(&mut self) {
        let before = self.node.stats().data_sent;
        for _ in 0..COUNT {
            self.node.submit(self.now, Order::Unordered, &PAYLOAD).expect("there is room");
            while self.node.poll_event().is_some() {}
            measured(|| self.node.poll_transmit(self.now, &mut self.buffer));
            self.drain();
        }
        assert_eq!(self.node.stats().data_sent - before, COUNT as u64, "one copy each, for the one neighbor");
    }
}

/// Lets two nodes talk until they have said everything. The number of the friend's last datagram over the link.
fn converse(now: Instant, node: &mut Gossip, friend: &mut Gossip, at: SocketAddr) -> u64 {
    let mut buffer = vec![0; 1_200];
    let mut number = 0;
    loop {
        let mut quiet = true;
        friend.handle_timeout(now);
        node.handle_timeout(now);
        while let Some(transmit) = friend.poll_transmit(now, &mut buffer) {
            let header = Header::parse(&buffer[..transmit.len]).expect("a node writes headers");
            number = if header.open { number } else { header.number };
            node.handle_packet(now, Voice::ADDRESS, &mut buffer[..transmit.len]);
            quiet = false;
        }
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            friend.handle_packet(now, at, &mut buffer[..transmit.len]);
            quiet = false;
        }
        while node.poll_event().is_some() || friend.poll_event().is_some() {}
        if quiet {
            break;
        }
    }
    assert_eq!(node.neighbors().count(), 1, "they are linked");
    assert!(number > 0, "the friend has spoken over the link");
    number
}

// ---- the report

#[derive(Clone, Copy, PartialEq, Eq)]
enum Baseline {
    Check,
    Save,
}

fn report(baseline: Option<Baseline>) -> ExitCode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join("core.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    let before: BTreeMap<String, u64> = serde_json::from_str(&text).expect("the baseline is an object of counts");
    let mut now = BTreeMap::new();
    let mut worse = Vec::new();
    println!("{:32} {:>14} {:>14} {:>8}", "", "instructions", "baseline", "ns");
    for case in &CASES {
        let instructions = count(case.name);
        let old = before.get(case.name).copied();
        let shown = old.map_or_else(|| "none".to_owned(), |old| old.to_string());
        println!("{:32} {instructions:>14} {shown:>14} {:>8}", case.name, time(case.name));
        if old.is_none_or(|old| instructions * 100 > old * (100 + SLACK_PERCENT)) {
            worse.push(case.name);
        }
        now.insert(case.name, instructions);
    }
    match baseline {
        Some(Baseline::Save) => {
            let text = serde_json::to_string_pretty(&now).expect("counts can be written");
            std::fs::write(&path, text + "\n").expect("the baseline can be written");
            ExitCode::SUCCESS
        }
        Some(Baseline::Check) if !worse.is_empty() => {
            eprintln!("over {SLACK_PERCENT} % more than the baseline, or without one: {worse:?}");
            ExitCode::FAILURE
        }
        Some(Baseline::Check) | None => ExitCode::SUCCESS,
    }
}

/// The instructions of one operation of a case.
fn count(name: &str) -> u64 {
    let out: PathBuf = std::env::temp_dir().join(format!("gossip-core-bench-{}", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(own())
        .args(["--case", name])
        .stdout(Stdio::null())
        .status()
        .expect("valgrind is installed");
    assert!(status.success(), "the case '{name}' fails");
    let text = std::fs::read_to_string(&out).expect("callgrind has written its counts");
    // It may be gone already; it is of no more use.
    let _ = std::fs::remove_file(&out);
    let total = text.lines().find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")));
    let total: u64 = total.and_then(|total| total.trim().parse().ok()).expect("callgrind sums up");
    total / COUNT as u64
}

/// What one operation takes without valgrind, in nanoseconds, what surrounds it included.
fn time(name: &str) -> u64 {
    let output = Command::new(own()).args(["--case", name]).output().expect("this program runs");
    let nanos: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a case prints its time");
    nanos / COUNT as u64
}

fn own() -> PathBuf {
    std::env::current_exe().expect("a program has a file")
}
