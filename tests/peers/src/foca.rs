//! A node of foca: its state machine (SWIM, with custom broadcasts that ride along) with the configuration that it names for
//! a LAN of this size, and its own codec of postcard.
//!
//! What a program has to add is here: telling new broadcasts from old ones, by a set of their numbers. A program may also
//! call `broadcast` whenever something is new, so that no hop waits for the next round of gossip: three times as fast,
//! for as many bytes, and more is missed. Both are compared.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use foca::{BroadcastHandler, Config, Foca, Header, Identity, Invalidates, Member, Notification, PostcardCodec, Timer};
use gossip_tests::sim::{address, locate};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::node::{Birth, Node, Outbox, number};

/// Who a node is: its address, and how often it had to come back under a new identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    address: SocketAddr,
    life: u16,
}

impl Id {
    fn of(place: u32) -> Self {
        Self { address: address(place, 0), life: 0 }
    }
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}

/// The number of a message.
#[derive(Debug)]
pub struct Key(u64);

impl Invalidates for Key {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Tells new messages from old ones.
#[derive(Debug, Default)]
struct Seen {
    numbers: HashSet<u64>,
    /// New ones that came since the last call: foca owns this handler, and does not show it.
    new: Rc<RefCell<Vec<u64>>>,
}

impl BroadcastHandler<Id> for Seen {
    type Key = Key;
    type Error = Infallible;

    fn receive_item(&mut self, data: &[u8], _: Option<&Id>) -> Result<Option<Key>, Infallible> {
        let new = number(data).filter(|&number| self.numbers.insert(number));
        self.new.borrow_mut().extend(new);
        Ok(new.map(Key))
    }
}

/// A node. With its defaults, a message leaves with the next round of gossip; an `EAGER` one sends at once what is new to it.
pub struct Peer<const EAGER: bool> {
    foca: Foca<Id, PostcardCodec, StdRng, Seen>,
    new: Rc<RefCell<Vec<u64>>>,
}

/// What foca brings forth goes straight into the outbox.
struct Runtime<'a>(&'a mut Outbox<Timer<Id>>);

impl foca::Runtime<Id> for Runtime<'_> {
    fn notify(&mut self, _: Notification<'_, Id>) {}

    fn send_to(&mut self, to: Id, data: &[u8]) {
        if let Some((to, _)) = locate(to.address) {
            self.0.send(to, |bytes| bytes.extend_from_slice(data));
        }
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.0.timers.push((after.as_micros() as u64, event));
    }
}

impl<const EAGER: bool> Peer<EAGER> {
    /// Hands over what is new. Errors are told and change nothing: foca goes on.
    fn finish<T, E>(&mut self, _: Result<T, E>, out: &mut Outbox<Timer<Id>>) {
        if EAGER && !self.new.borrow().is_empty() {
            let _ = self.foca.broadcast(Runtime(out));
        }
        out.delivered.append(&mut self.new.borrow_mut());
    }
}

impl<const EAGER: bool> Node for Peer<EAGER> {
    type Timer = Timer<Id>;
    const STREAMS: bool = false;
    const FORGED_IDS: u64 = 100;
    /// Its lists of members and of news are searched from end to end for each update.
    const FORGED_MAX: u64 = 100_000;

    fn new(birth: &Birth) -> Self {
        let config = Config::new_lan(NonZeroU32::new(birth.nodes).expect("a cluster has nodes"));
        let seen = Seen::default();
        let new = Rc::clone(&seen.new);
        let rng = StdRng::from_seed(birth.seed);
        Self { foca: Foca::with_custom_broadcast(Id::of(birth.place), config, rng, PostcardCodec, seen), new }
    }

    fn join(&mut self, _: u64, contact: Option<u32>, out: &mut Outbox<Self::Timer>) {
        if let Some(contact) = contact {
            let result = self.foca.announce(Id::of(contact), Runtime(out));
            self.finish(result, out);
        }
    }

    fn submit(&mut self, _: u64, payload: &[u8], out: &mut Outbox<Self::Timer>) {
        let result = self.foca.add_broadcast(payload);
        self.finish(result, out);
    }

    fn receive(&mut self, _: u64, _: u32, datagram: &mut [u8], out: &mut Outbox<Self::Timer>) {
        let result = self.foca.handle_data(datagram, Runtime(out));
        self.finish(result, out);
    }

    fn ring(&mut self, _: u64, timer: Self::Timer, out: &mut Outbox<Self::Timer>) {
        let result = self.foca.handle_timer(timer, Runtime(out));
        self.finish(result, out);
    }

    /// "These are alive", of members that nobody has heard of.
    fn forge(&mut self, victim: u32, first: u64) -> Vec<u8> {
        let src = self.foca.identity().clone();
        let header = Header { src, src_incarnation: 0, dst: Id::of(victim), message: foca::Message::Gossip };
        let mut datagram = postcard::to_stdvec(&header).expect("a header can be written");
        datagram.extend_from_slice(&(Self::FORGED_IDS as u16).to_be_bytes());
        for forged in first..first + Self::FORGED_IDS {
            let [a, b, c, d] = (forged as u32).to_be_bytes();
            let id = Id { address: SocketAddr::from(([172 + a, b, c, d], 7_000)), life: 0 };
            datagram = postcard::to_extend(&Member::alive(id), datagram).expect("a member can be written");
        }
        datagram
    }
}
