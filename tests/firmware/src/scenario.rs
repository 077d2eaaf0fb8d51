//! Two nodes gossip over a lossy link in memory: one story, told twice, on a microcontroller and on the host.
//!
//! Everything that the nodes put out (datagrams byte by byte, events, deadlines) goes into one hash. Two runs with the same
//! hash did the same, so the hash of the board against that of the host is the proof that nothing in the core depends on
//! the width of a pointer or the order of bytes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use gossip_core::{Action, Config, Event, Gossip, Input, Instant, NodeId, Order, Scope, Security};

/// Messages that each node submits.
const MESSAGES: u64 = 20;
/// One in this many datagrams is lost.
const LOSS: u64 = 7;
const LATENCY: Duration = Duration::from_millis(5);
const SUBMIT_PERIOD: Duration = Duration::from_millis(300);
const END: Instant = Instant::from_millis(60_000);

/// What came of a run.
pub(crate) struct Outcome {
    /// The hash of all outputs.
    pub trace: u64,
    /// Datagrams that the nodes sent, lost ones included.
    pub datagrams: u64,
    /// Messages delivered, over both nodes.
    pub delivered: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} deliveries, {} datagrams", self.delivered, self.datagrams)
    }
}

/// Plays the story.
///
/// # Panics
///
/// If a message is missing at the end.
pub(crate) fn run() -> Outcome {
    let mut world = World::new();
    world.join();
    while let Some(now) = world.next().filter(|&now| now <= END) {
        world.step(now);
    }
    assert_eq!(world.delivered, 2 * 2 * MESSAGES, "each node delivers the messages of both");
    Outcome { trace: world.trace.0, datagrams: world.datagrams, delivered: world.delivered }
}

struct World {
    nodes: [Gossip; 2],
    /// On the way, in the order of arrival: to which node, and when.
    flying: VecDeque<(Instant, usize, Vec<u8>)>,
    submitted: u64,
    datagrams: u64,
    delivered: u64,
    trace: Trace,
}

impl World {
    fn new() -> Self {
        let node = |index: usize| {
            let mut config = Config::embedded(NodeId(index as u64 + 1));
            config.security = Security::Sealed { key_id: 1, key: [7; 32] };
            config.started_at = 1;
            Gossip::new(config, [index as u8 + 1; 32], Instant::ZERO).expect("the preset is valid")
        };
        Self {
            nodes: [node(0), node(1)],
            flying: VecDeque::new(),
            submitted: 0,
            datagrams: 0,
            delivered: 0,
            trace: Trace::new(),
        }
    }

    fn join(&mut self) {
        self.nodes[1].join(Instant::ZERO, address(0)).expect("there is room for one contact");
        self.drain(1, Instant::ZERO);
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let deadlines = self.nodes.iter().filter_map(Gossip::poll_timeout);
        let arrival = self.flying.front().map(|&(at, ..)| at);
        deadlines.chain(arrival).chain(self.next_submit()).min()
    }

    fn next_submit(&self) -> Option<Instant> {
        (self.submitted < MESSAGES).then(|| Instant::ZERO + SUBMIT_PERIOD * (self.submitted as u32 + 1))
    }

    fn step(&mut self, now: Instant) {
        while self.flying.front().is_some_and(|&(at, ..)| at <= now)
            && let Some((_, to, mut datagram)) = self.flying.pop_front()
        {
            self.input(to, now, Input::Packet { from: address(1 - to), datagram: &mut datagram });
        }
        if self.next_submit().is_some_and(|at| at <= now) {
            self.submit(now);
        }
        for node in 0..2 {
            if self.nodes[node].poll_timeout().is_some_and(|at| at <= now) {
                self.input(node, now, Input::Tick);
            }
        }
    }

    /// Both nodes submit a message; every fourth time they also change a register.
    fn submit(&mut self, now: Instant) {
        let order = if self.submitted.is_multiple_of(2) { Order::Fifo } else { Order::Unordered };
        let payload = [self.submitted as u8; 40];
        for node in 0..2 {
            self.input(node, now, Input::Submit { order, payload: &payload });
            if self.submitted.is_multiple_of(4) {
                self.input(node, now, Input::Set { scope: Scope::Own, key: "temperature", value: &payload[..2] });
            }
        }
        self.submitted += 1;
    }

    fn input(&mut self, node: usize, now: Instant, input: Input<'_>) {
        let answer = self.nodes[node].handle(now, input).expect("two nodes have room for a message per period");
        self.trace.note(format_args!("{now} {node} {answer:?}"));
        self.drain(node, now);
    }

    fn drain(&mut self, node: usize, now: Instant) {
        let mut buffer = [0; 1_200];
        while let Some(action) = self.nodes[node].poll_action(now, &mut buffer) {
            match action {
                Action::Send(transmit) => self.send(node, now, &buffer[..transmit.len]),
                Action::Deliver(event) => {
                    self.delivered += u64::from(matches!(event, Event::Deliver(_)));
                    self.trace.note(format_args!("{event:?}"));
                }
                other => self.trace.note(format_args!("{other:?}")),
            }
        }
        self.trace.note(format_args!("{:?}", self.nodes[node].poll_timeout()));
    }

    fn send(&mut self, from: usize, now: Instant, datagram: &[u8]) {
        self.trace.bytes(datagram);
        self.datagrams += 1;
        if !self.datagrams.is_multiple_of(LOSS) {
            self.flying.push_back((now + LATENCY, 1 - from, datagram.to_vec()));
        }
    }
}

fn address(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, node as u8 + 1)), 7_000)
}

/// A running hash: FNV-1a, because it is four lines and nobody attacks it.
struct Trace(u64);

impl Trace {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn note(&mut self, line: fmt::Arguments<'_>) {
        self.write_fmt(line).expect("hashing never fails");
        self.bytes(b"\n");
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
