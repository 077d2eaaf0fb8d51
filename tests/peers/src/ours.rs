//! A node of this library: `gossip-core` with the preset `lan`, as a program would have it.

use std::collections::HashMap;
use std::convert::Infallible;

use gossip_core::auth::{Auth, Envelope};
use gossip_core::pack::Packer;
use gossip_core::wire::{Blob, Data, HEADER_LEN, Header, Kind};
use gossip_core::{Config, Event, Gossip, Incarnation, Instant, NodeId, Order, Security};
use gossip_tests::sim::{address, locate};

use crate::node::{Birth, Node, Outbox, number};

/// The time that the clock of every node shows at the beginning.
const EPOCH: u64 = 1_000_000;

/// Forged messages of one origin.
const FORGED_PER_ORIGIN: u64 = 10;

/// A node; datagrams are sealed or plain.
#[derive(Debug)]
pub struct Ours<const SEALED: bool> {
    gossip: Gossip,
    buffer: Vec<u8>,
    /// The number of the last datagram over the link to each peer: whoever goes on in the name of this node needs it.
    numbers: HashMap<u32, u64>,
}

impl<const SEALED: bool> Ours<SEALED> {
    fn config(place: u32) -> Config {
        let mut config = Config::lan(NodeId(u64::from(place) + 1));
        config.started_at = 1;
        if SEALED {
            config.security = Security::Sealed { key_id: 1, key: [7; 32] };
        }
        config
    }

    /// Takes all that the core has to say, and asks when it wants to be called.
    fn drain(&mut self, now: u64, out: &mut Outbox<Infallible>) {
        let Self { gossip, buffer, .. } = self;
        while let Some(event) = gossip.poll_event() {
            if let Event::Deliver(delivery) = event {
                out.delivered.extend(number(&delivery.payload));
            }
        }
        while let Some(transmit) = gossip.poll_transmit(instant(now), buffer) {
            if let Some((to, _)) = locate(transmit.to) {
                out.send(to, |bytes| bytes.extend_from_slice(&buffer[..transmit.len]));
            }
        }
        out.wake = Some(gossip.poll_timeout().map_or(u64::MAX, |at| at.as_micros() - EPOCH));
    }
}

const fn instant(now: u64) -> Instant {
    Instant::from_micros(now + EPOCH)
}

impl<const SEALED: bool> Node for Ours<SEALED> {
    /// Instead of timers it names one deadline.
    type Timer = Infallible;
    const STREAMS: bool = false;
    const FORGED_IDS: u64 = 20;

    fn new(birth: &Birth) -> Self {
        let config = Self::config(birth.place);
        let buffer = vec![0; config.mtu.into()];
        let gossip = Gossip::new(config, birth.seed, instant(0)).expect("the preset is within its bounds");
        Self { gossip, buffer, numbers: HashMap::new() }
    }

    fn join(&mut self, now: u64, contact: Option<u32>, out: &mut Outbox<Infallible>) {
        if let Some(contact) = contact {
            self.gossip.join(instant(now), address(contact, 0)).expect("a new node takes its first contact");
        }
        self.drain(now, out);
    }

    fn submit(&mut self, now: u64, payload: &[u8], out: &mut Outbox<Infallible>) {
        // A message that is refused is missed by all.
        let _ = self.gossip.submit(instant(now), Order::Unordered, payload);
        self.drain(now, out);
    }

    fn receive(&mut self, now: u64, from: u32, datagram: &mut [u8], out: &mut Outbox<Infallible>) {
        self.gossip.handle_packet(instant(now), address(from, 0), datagram);
        self.drain(now, out);
    }

    fn ring(&mut self, _: u64, timer: Infallible, _: &mut Outbox<Infallible>) {
        match timer {}
    }

    fn wake(&mut self, now: u64, out: &mut Outbox<Infallible>) {
        self.gossip.handle_timeout(instant(now));
        self.drain(now, out);
    }

    fn watch(&mut self, to: u32, datagram: &[u8]) {
        if let Some(header) = Header::parse(datagram).ok().filter(|header| !header.open) {
            self.numbers.insert(to, header.number);
        }
    }

    fn forge(&mut self, victim: u32, first: u64) -> Vec<u8> {
        let (sender, incarnation) = (self.gossip.id(), self.gossip.incarnation());
        let mut datagram = vec![0; self.gossip.config().mtu.into()];
        let mut packer = Packer::new(&mut datagram, self.gossip.config().mtu.into());
        for id in first..first + Self::FORGED_IDS {
            packer.frame(Kind::DATA, &forged_message(id)).expect("twenty short messages fit");
        }
        let len = HEADER_LEN + packer.len();
        datagram.truncate(len);
        let last = self.numbers.entry(victim).or_default();
        *last += 1;
        let to = Some(NodeId(u64::from(victim) + 1));
        let auth = Auth::new(&self.gossip.config().security, &self.gossip.config().cluster);
        let envelope = Envelope { sender, incarnation, number: *last, to };
        auth.seal(&auth.subkey(sender, incarnation), &envelope, &mut datagram);
        datagram
    }
}

fn forged_message(id: u64) -> Data<'static> {
    Data {
        origin: NodeId(1_000_000 + id / FORGED_PER_ORIGIN),
        incarnation: Incarnation(1 << 20),
        seq: id % FORGED_PER_ORIGIN + 1,
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
        payload: Blob(&[7]),
    }
}
