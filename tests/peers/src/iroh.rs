//! A node of iroh-gossip: its state machine (HyParView and PlumTree) with its default configuration, and around it what its
//! network layer does with messages.
//!
//! That layer writes each message as a length of four bytes and the message in postcard, without the topic, which the
//! stream named when it was opened. The topic is the first field, so leaving it out is cutting it off. Ids are 32 bytes, as
//! its endpoints' are. A connection is what two nodes have who heard from each other; to close one tells the other side.
//! Its hash maps are seeded by the system: traffic is the same in each run, allocations and instructions nearly so.

use std::time::Duration;

use bytes::Bytes;
use iroh_gossip::proto::{Command, Config, Event, InEvent, Message, OutEvent, PeerData, Scope, State, Timer, TopicId};
use n0_future::time::Instant;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::node::{Birth, Node, Outbox, number};

/// As long as the public key that names an endpoint.
type Id = [u8; 32];

const TOPIC: [u8; 32] = [9; 32];
/// The length before each message.
const LENGTH: usize = 4;

/// A node.
#[derive(Debug)]
pub struct Iroh {
    state: State<Id, StdRng>,
    /// The beginning of the run: only differences matter.
    base: Instant,
    /// A message with its topic before it, as the state machine wants it.
    frame: Vec<u8>,
}

fn id(place: u32) -> Id {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&place.to_be_bytes());
    id
}

fn place(id: Id) -> u32 {
    u32::from_be_bytes([id[0], id[1], id[2], id[3]])
}

fn topic() -> TopicId {
    TopicId::from_bytes(TOPIC)
}

impl Iroh {
    fn handle(&mut self, now: u64, event: InEvent<Id>, out: &mut Outbox<Timer<Id>>) {
        for event in self.state.handle(event, self.base + Duration::from_micros(now), None) {
            match event {
                OutEvent::SendMessage(to, message) => out.send(place(to), |bytes| write(bytes, &message)),
                OutEvent::EmitEvent(_, Event::Received(received)) => out.delivered.extend(number(&received.content)),
                OutEvent::ScheduleTimer(delay, timer) => out.timers.push((delay.as_micros() as u64, timer)),
                OutEvent::DisconnectPeer(peer) => out.closed.push(place(peer)),
                OutEvent::EmitEvent(..) | OutEvent::PeerData(..) => {}
            }
        }
    }
}

/// As its network layer writes it: the length, and the message without its topic.
fn write(bytes: &mut Vec<u8>, message: &Message<Id>) {
    let len = message.size().expect("its size is known");
    let start = bytes.len();
    bytes.resize(start + len, 0);
    postcard::to_slice(message, &mut bytes[start..]).expect("there is room for its size");
    // The length takes the last four bytes of the topic's place.
    bytes.drain(start..start + TOPIC.len() - LENGTH);
    let len = (len - TOPIC.len()) as u32;
    bytes[start..start + LENGTH].copy_from_slice(&len.to_be_bytes());
}

impl Node for Iroh {
    type Timer = Timer<Id>;
    const STREAMS: bool = true;
    /// As many as one message of 4,096 bytes, the most that it sends, has room for.
    const FORGED_IDS: u64 = 100;

    fn new(birth: &Birth) -> Self {
        let rng = StdRng::from_seed(birth.seed);
        let state = State::new(id(birth.place), PeerData::default(), Config::default(), rng);
        Self { state, base: Instant::now(), frame: Vec::new() }
    }

    fn join(&mut self, now: u64, contact: Option<u32>, out: &mut Outbox<Self::Timer>) {
        let contacts = contact.into_iter().map(id).collect();
        self.handle(now, InEvent::Command(topic(), Command::Join(contacts)), out);
    }

    fn submit(&mut self, now: u64, payload: &[u8], out: &mut Outbox<Self::Timer>) {
        let command = Command::Broadcast(Bytes::copy_from_slice(payload), Scope::Swarm);
        self.handle(now, InEvent::Command(topic(), command), out);
    }

    fn receive(&mut self, now: u64, from: u32, datagram: &mut [u8], out: &mut Outbox<Self::Timer>) {
        let mut rest = &datagram[..];
        while let Some((length, tail)) = rest.split_first_chunk::<LENGTH>() {
            let Some((message, tail)) = tail.split_at_checked(u32::from_be_bytes(*length) as usize) else { return };
            self.frame.clear();
            self.frame.extend_from_slice(&TOPIC);
            self.frame.extend_from_slice(message);
            if let Ok(message) = postcard::from_bytes(&self.frame) {
                self.handle(now, InEvent::RecvMessage(id(from), message), out);
            }
            rest = tail;
        }
    }

    fn ring(&mut self, now: u64, timer: Self::Timer, out: &mut Outbox<Self::Timer>) {
        self.handle(now, InEvent::TimerExpired(timer), out);
    }

    fn closed(&mut self, now: u64, peer: u32, out: &mut Outbox<Self::Timer>) {
        self.handle(now, InEvent::PeerDisconnected(id(peer)), out);
    }

    /// "I have these", of messages that nobody has: the enums' numbers are their order in the source.
    fn forge(&mut self, _: u32, first: u64) -> Vec<u8> {
        const GOSSIP: u8 = 1;
        const I_HAVE: u8 = 3;
        let mut message = vec![GOSSIP, I_HAVE, Self::FORGED_IDS as u8];
        for forged in first..first + Self::FORGED_IDS {
            let mut id = [0xff; 32];
            id[..8].copy_from_slice(&forged.to_le_bytes());
            message.extend_from_slice(&id);
            // The round.
            message.push(1);
        }
        let mut datagram = (message.len() as u32).to_be_bytes().to_vec();
        datagram.extend_from_slice(&message);
        datagram
    }
}
