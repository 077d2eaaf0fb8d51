//! Two nodes, hand to hand: the exchanges that everything else rests on, as a reader may follow them.

use core::net::SocketAddr;
use core::time::Duration;

use gossip_core::{Config, Event, Gossip, Instant, NodeId, Order, PeerState, Scope, SubmitError};

/// Two nodes on a lossless wire without delay.
struct Pair {
    now: Instant,
    nodes: [Gossip; 2],
    events: [Vec<Event>; 2],
}

fn address(index: usize) -> SocketAddr {
    ([10, 0, 0, index as u8 + 1], 7_000).into()
}

impl Pair {
    fn new(configure: impl Fn(&mut Config)) -> Self {
        let node = |id: u8| {
            let mut config = Config::local(NodeId(id.into()));
            config.started_at = 1;
            configure(&mut config);
            Gossip::new(config, [id; 32], Instant::ZERO).expect("a preset is in its bounds")
        };
        Self { now: Instant::ZERO, nodes: [node(1), node(2)], events: [vec![], vec![]] }
    }

    fn joined() -> Self {
        let mut pair = Self::new(|_| {});
        pair.nodes[1].join(pair.now, address(0)).expect("room for a contact");
        pair.run(Duration::from_millis(500));
        pair
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let next = self.nodes.iter().filter_map(Gossip::poll_timeout).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buffer = [0; 1_200];
        loop {
            let mut quiet = true;
            for from in 0..2 {
                self.events[from].extend(std::iter::from_fn(|| self.nodes[from].poll_event()));
                while let Some(transmit) = self.nodes[from].poll_transmit(self.now, &mut buffer) {
                    quiet = false;
                    if let Some(to) = (0..2).find(|&to| address(to) == transmit.to) {
                        self.nodes[to].handle_packet(self.now, address(from), &mut buffer[..transmit.len]);
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn payloads(&self, node: usize) -> Vec<&[u8]> {
        let delivered = self.events[node].iter().filter_map(|event| match event {
            Event::Deliver(delivery) => Some(delivery.payload.as_ref()),
            _ => None,
        });
        delivered.collect()
    }
}

#[test]
fn a_newcomer_is_linked_and_both_are_told() {
    let pair = Pair::joined();
    for (node, other) in [(0, 1), (1, 0)] {
        let up = Event::PeerUp { node: NodeId(other as u64 + 1), address: address(other) };
        assert_eq!(pair.events[node], [up]);
        let peers: Vec<_> = pair.nodes[node].peers().collect();
        assert_eq!((peers.len(), peers[0].state), (1, PeerState::Linked));
        assert_eq!(pair.nodes[node].address(), Some(address(node)), "each was told where it is");
    }
}

#[test]
fn a_message_reaches_both_once() {
    let mut pair = Pair::joined();
    let now = pair.now;
    let id = pair.nodes[0].submit(now, Order::Unordered, b"hello").expect("room");
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.payloads(0), [b"hello"]);
    assert_eq!(pair.payloads(1), [b"hello"]);
    assert_eq!(pair.nodes[1].get(id).map(|message| (message.hops, message.delivered)), Some((1, true)));
}

#[test]
fn fifo_messages_keep_their_order() {
    let mut pair = Pair::joined();
    let texts: Vec<_> = (0..200).map(|i| format!("message {i}")).collect();
    for text in &texts {
        while pair.nodes[0].submit(pair.now, Order::Fifo, text.as_bytes()) == Err(SubmitError::Busy) {
            pair.run(Duration::from_millis(10));
        }
    }
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.payloads(1), texts.iter().map(String::as_bytes).collect::<Vec<_>>());
}

#[test]
fn registers_follow_their_owner() {
    let mut pair = Pair::joined();
    let now = pair.now;
    pair.nodes[0].set(now, Scope::Own, "book", b"Emma").expect("room");
    let last = pair.nodes[0].set(now, Scope::Own, "book", b"Dracula").expect("room");
    pair.run(Duration::from_millis(200));
    let seen = pair.nodes[1].register(NodeId(1), "book").expect("it is known by now");
    assert_eq!((&*seen.value, seen.version), (&b"Dracula"[..], last));
    let now = pair.now;
    pair.nodes[0].remove(now, Scope::Own, "book").expect("room");
    pair.run(Duration::from_millis(200));
    assert_eq!(pair.nodes[1].register(NodeId(1), "book"), None);
}

#[test]
fn who_leaves_says_so() {
    let mut pair = Pair::joined();
    let now = pair.now;
    pair.nodes[0].submit(now, Order::Unordered, b"the last word").expect("room");
    pair.nodes[0].leave(now);
    assert_eq!(pair.nodes[0].submit(now, Order::Unordered, b"too late"), Err(SubmitError::Leaving));
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.events[0].last(), Some(&Event::Left));
    assert_eq!(pair.payloads(1), [b"the last word"]);
    assert_eq!(pair.events[1].last(), Some(&Event::PeerDown { node: NodeId(1) }));
    assert_eq!(pair.nodes[0].poll_timeout(), None);
}

#[test]
fn too_large_names_the_exact_bound() {
    let mut pair = Pair::joined();
    let max = pair.nodes[0].payload_max();
    let now = pair.now;
    assert_eq!(
        pair.nodes[0].submit(now, Order::Unordered, &vec![1; max + 1]),
        Err(SubmitError::TooLarge { max, limit: "limits.message_bytes" })
    );
    pair.nodes[0].submit(now, Order::Unordered, &vec![1; max]).expect("exactly the bound");
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.payloads(1).len(), 1);
}

#[test]
fn what_does_not_fit_into_a_datagram_is_counted_and_owed_to_nobody() {
    let mut pair = Pair::new(|config| {
        config.trace_path = true;
        config.mtu = if config.id == NodeId(1) { 1_200 } else { 256 };
    });
    pair.nodes[1].join(pair.now, address(0)).expect("room for a contact");
    pair.run(Duration::from_millis(500));
    let (now, max) = (pair.now, pair.nodes[1].datagram_payload_max());
    pair.nodes[0].submit(now, Order::Unordered, &[7; 600]).expect("room");
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.payloads(1), [[7; 600]], "what came is delivered, however long it is");

    // The first node forgets everything, and is told again: of what fits.
    let mut config = Config::local(NodeId(1));
    config.started_at = 2;
    pair.nodes[0] = Gossip::new(config, [3; 32], pair.now).expect("a preset is in its bounds");
    pair.nodes[1].submit(pair.now, Order::Unordered, &[8; 256][..max]).expect("room");
    pair.nodes[0].join(pair.now, address(1)).expect("room for a contact");
    pair.events[0].clear();
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.payloads(0), [&[8; 256][..max]]);
    assert!(pair.nodes[1].stats().unsendable > 0, "the long message was wanted");
}
