//! The core as a node of [Maelstrom](https://github.com/jepsen-io/maelstrom)'s broadcast workload, on standard input and output.
//!
//! ```text
//! cargo build --release --example maelstrom
//! maelstrom test -w broadcast --bin target/release/examples/maelstrom --node-count 25 --time-limit 20 --rate 100 --latency 100
//! ```
//!
//! Lines of JSON come in and go out. `init`, `topology`, `broadcast` and `read` are answered in the order in which they came,
//! each with its `in_reply_to`. The datagrams of the core travel between the nodes as messages of the type `datagram`, in base64.
//! A node's address is made up of its place in the list of node ids: the core asks for nothing but something to tell others by.
//!
//! Options: `--obey-topology` takes the neighbors of the `topology` message and talks to these only, where otherwise links are
//! chosen by the core; `--delay MS` lets new messages wait for company where they fan out.
//!
//! It is also an example of the whole loop around a [`Gossip`] without a socket: two threads, a channel and a clock.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gossip_core::{Config, Event, Gossip, Instant, Membership, Neighbor, NodeId, Order, SubmitError};
use serde_json::{Value, json};

/// How long to wait where nothing has a deadline.
const IDLE: Duration = Duration::from_secs(60);

/// Maelstrom's code for a request that is not supported.
const NOT_SUPPORTED: u64 = 10;

fn main() {
    let options = Options::parse(std::env::args().skip(1)).unwrap_or_else(|error| {
        eprintln!("error: {error}\nusage: maelstrom [--obey-topology] [--delay MS]");
        std::process::exit(2)
    });
    let mut node = Node::new(options);
    let lines = read_lines();
    loop {
        match next_line(&lines, node.wait()) {
            Wake::Line(line) => node.on_line(&line),
            Wake::Tick => node.on_tick(),
            Wake::End => return,
        }
        node.drain();
        if node.flush().is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    obey_topology: bool,
    delay: Duration,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--obey-topology" => options.obey_topology = true,
                "--delay" => {
                    let millis = words.next().ok_or("--delay needs milliseconds")?;
                    let millis = millis.parse().map_err(|error| format!("--delay {millis}: {error}"))?;
                    options.delay = Duration::from_millis(millis);
                }
                other => return Err(format!("unknown option '{other}'")),
            }
        }
        Ok(options)
    }
}

enum Wake {
    Line(String),
    Tick,
    End,
}

fn read_lines() -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn next_line(lines: &Receiver<String>, wait: Duration) -> Wake {
    match lines.recv_timeout(wait) {
        Ok(line) => Wake::Line(line),
        Err(RecvTimeoutError::Timeout) => Wake::Tick,
        Err(RecvTimeoutError::Disconnected) => Wake::End,
    }
}

struct Node {
    options: Options,
    started: std::time::Instant,
    /// This node's name, and everybody's in order; both empty before `init`.
    name: String,
    names: Vec<String>,
    /// None before the neighbors are known.
    gossip: Option<Gossip>,
    /// What was delivered, as it was broadcast.
    values: BTreeMap<Vec<u8>, Value>,
    /// Requests that wait for an earlier one, or for room in the core.
    requests: VecDeque<Request>,
    buffer: Vec<u8>,
    out: String,
}

struct Request {
    from: String,
    body: Value,
}

impl Node {
    fn new(options: Options) -> Self {
        Self {
            options,
            started: std::time::Instant::now(),
            name: String::new(),
            names: Vec::new(),
            gossip: None,
            values: BTreeMap::new(),
            requests: VecDeque::new(),
            buffer: Vec::new(),
            out: String::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Until the core wants a tick.
    fn wait(&self) -> Duration {
        let deadline = self.gossip.as_ref().and_then(Gossip::poll_timeout);
        deadline.map_or(IDLE, |at| at.saturating_since(self.now()))
    }

    fn on_tick(&mut self) {
        let now = self.now();
        if let Some(gossip) = &mut self.gossip {
            gossip.handle_timeout(now);
        }
    }

    fn on_line(&mut self, line: &str) {
        let Ok(mut message) = serde_json::from_str::<Value>(line) else {
            eprintln!("not JSON: {line}");
            return;
        };
        let from = message["src"].as_str().unwrap_or_default().to_owned();
        let body = message["body"].take();
        if body["type"] == "datagram" {
            self.on_datagram(&from, &body);
        } else {
            self.requests.push_back(Request { from, body });
        }
    }

    fn on_datagram(&mut self, from: &str, body: &Value) {
        let now = self.now();
        let (Some(from), Some(gossip)) = (address_of(&self.names, from), &mut self.gossip) else { return };
        if let Some(mut datagram) = body["data"].as_str().and_then(|data| STANDARD.decode(data).ok()) {
            gossip.handle_packet(now, from, &mut datagram);
        }
    }

    /// Everything that the core has to say, and the requests that can be answered. The first ones first.
    fn drain(&mut self) {
        self.take_events();
        while let Some(request) = self.requests.pop_front() {
            match self.answer(&request) {
                Some(answer) => self.reply(&request, answer),
                None => {
                    self.requests.push_front(request);
                    break;
                }
            }
            self.take_events();
        }
        self.transmit();
    }

    fn take_events(&mut self) {
        while let Some(event) = self.gossip.as_mut().and_then(Gossip::poll_event) {
            match event {
                Event::Deliver(delivery) => {
                    if let Ok(value) = serde_json::from_slice(&delivery.payload) {
                        self.values.insert(delivery.payload.to_vec(), value);
                    }
                }
                Event::Gap { origin, first, last, .. } => eprintln!("lost: {first} to {last} of node {origin}"),
                _ => {}
            }
        }
    }

    /// The answer to a request; none where it has to wait.
    fn answer(&mut self, request: &Request) -> Option<Value> {
        match request.body["type"].as_str().unwrap_or_default() {
            "init" => Some(self.init(&request.body)),
            "topology" => Some(self.topology(&request.body)),
            "broadcast" => self.broadcast(&request.body["message"]),
            "read" => Some(json!({"type": "read_ok", "messages": self.values.values().collect::<Vec<_>>()})),
            other => Some(error(&format!("no request '{other}'"))),
        }
    }

    fn init(&mut self, body: &Value) -> Value {
        self.name = body["node_id"].as_str().unwrap_or_default().to_owned();
        self.names = strings(&body["node_ids"]);
        if !self.options.obey_topology
            && let Err(error) = self.start(None)
        {
            return self::error(&error);
        }
        json!({"type": "init_ok"})
    }

    fn topology(&mut self, body: &Value) -> Value {
        if self.options.obey_topology && self.gossip.is_none() {
            let neighbors = strings(&body["topology"][&self.name]);
            if let Err(error) = self.start(Some(&neighbors)) {
                return self::error(&error);
            }
        }
        json!({"type": "topology_ok"})
    }

    fn start(&mut self, neighbors: Option<&[String]>) -> Result<(), String> {
        let own = id_of(&self.names, &self.name).ok_or("the list of nodes lacks this one")?;
        let mut config = Config::wan(own);
        config.advertise = address_of(&self.names, &self.name);
        config.started_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        config.timing.data_delay = self.options.delay;
        config.limits.peers = config.limits.peers.max(self.names.len() as u32 + 1);
        if let Some(neighbors) = neighbors {
            let named = |name: &String| {
                Some(Neighbor { node: id_of(&self.names, name)?, address: address_of(&self.names, name)? })
            };
            config.membership = Membership::Static { neighbors: neighbors.iter().filter_map(named).collect() };
        }
        self.buffer = vec![0; config.mtu.into()];
        let now = self.now();
        let mut gossip = Gossip::new(config, seed(own), now).map_err(|error| error.to_string())?;
        let contact = self.names.iter().find(|&name| *name != self.name).and_then(|name| address_of(&self.names, name));
        if let Some(contact) = contact.filter(|_| neighbors.is_none()) {
            gossip.join(now, contact).map_err(|error| error.to_string())?;
        }
        self.gossip = Some(gossip);
        Ok(())
    }

    fn broadcast(&mut self, value: &Value) -> Option<Value> {
        let now = self.now();
        let payload = value.to_string().into_bytes();
        match self.gossip.as_mut()?.submit(now, Order::Unordered, &payload) {
            Ok(_) => Some(json!({"type": "broadcast_ok"})),
            Err(SubmitError::Busy) => None,
            Err(error) => Some(self::error(&error.to_string())),
        }
    }

    fn reply(&mut self, request: &Request, mut answer: Value) {
        answer["in_reply_to"] = request.body["msg_id"].clone();
        self.send(&request.from, &answer);
    }

    fn transmit(&mut self) {
        let now = self.now();
        while let Some(gossip) = &mut self.gossip
            && let Some(transmit) = gossip.poll_transmit(now, &mut self.buffer)
        {
            let data = STANDARD.encode(&self.buffer[..transmit.len]);
            if let Some(name) = name_at(&self.names, transmit.to).map(str::to_owned) {
                self.send(&name, &json!({"type": "datagram", "data": data}));
            }
        }
    }

    fn send(&mut self, to: &str, body: &Value) {
        self.out.push_str(&json!({"src": self.name, "dest": to, "body": body}).to_string());
        self.out.push('\n');
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.out.as_bytes())?;
        self.out.clear();
        out.flush()
    }
}

fn error(text: &str) -> Value {
    json!({"type": "error", "code": NOT_SUPPORTED, "text": text})
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn id_of(names: &[String], name: &str) -> Option<NodeId> {
    let place = names.iter().position(|other| other == name)?;
    Some(NodeId(place as u64 + 1))
}

/// An address that stands for a node's place: a documentation prefix (RFC 3849), as nothing is ever sent there.
fn address_of(names: &[String], name: &str) -> Option<SocketAddr> {
    let place = names.iter().position(|other| other == name)?;
    Some(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(place).ok()?], 7_000).into())
}

fn name_at(names: &[String], address: SocketAddr) -> Option<&str> {
    let place = match address {
        SocketAddr::V6(address) => address.ip().segments()[7],
        SocketAddr::V4(_) => return None,
    };
    names.get(usize::from(place)).map(String::as_str)
}

/// Different for each life of each node. A program with something to protect takes it from the system instead.
fn seed(own: NodeId) -> [u8; 32] {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&nanos.to_le_bytes());
    seed[16..24].copy_from_slice(&own.0.to_le_bytes());
    seed[24..28].copy_from_slice(&std::process::id().to_le_bytes());
    seed
}
