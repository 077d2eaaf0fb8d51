//! Who is linked with whom.
//!
//! # Intuition
//!
//! Nobody is let in who cannot prove where he lives. A stranger who knocks gets a token through the letter box (a *cookie*)
//! and must come back with it; the house keeps nothing meanwhile. Whoever brings the token is at home at the address
//! from which he came, and a link can be made: a row on both sides, over which everything else runs. A node that
//! has too few links knocks at members drawn by chance, a lonely one at its contacts, for ever.
//!
//! # The greeting
//!
//! ```text
//! A                                        B
//! │ Hello { nonce, to } ──────────────────▶│  no cookie: nothing is kept
//! │◀───────────────────── Retry { cookie } │  no longer than the Hello
//! │ Hello { nonce, cookie, to }, padded ──▶│  cookie good: the address is proven, B decides
//! │◀── Welcome { nonce, verdict }, Peers   │  no longer than the Hello; the nonce proves B's address to A
//! ```
//!
//! These datagrams are OPEN: addressed to anyone and outside of the numbering of links, as A may not know who lives there.
//! Anything else that comes from an address without a link (the sender restarted, moved, or was forgotten here) is
//! answered by a `Retry` too, so every case of "we lost each other" ends in the same exchange.
//!
//! # Rules
//!
//! - *Full*: asks for links until it has 3/4 of [`Limits::links`](crate::Limits::links), grants them up to all of them. A refused node
//!   gets some members in the answer, and tries there.
//! - *Static*: greets and admits exactly the configured neighbors; whoever answers "you are no neighbor of mine" is warned about. Who
//!   is no neighbor gets that answer and no list of members.
//! - Members taken for dead are greeted in turn, one a probe period. Four of these greetings a period, from the whole
//!   component whatever its size, ask to make room for a link (`HEAL`): that is how a network that was split grows together
//!   again. A full node that hears it drops a link drawn by chance.
//! - A node is where its last proven greeting came from; its old address is forgotten then.
//! - The later incarnation of a node replaces the earlier one. An earlier one that can still answer a cookie is alive:
//!   both are told ([`Event::IdentityConflict`]).
//! - `Welcome` names the highest incarnation of the receiver that is known. If that is higher than its own (its clock went
//!   back), the node takes a higher one, once in its life; if that does not help, it is told of a conflict.
//!
//! # Bounds
//!
//! Attempts: contacts plus links. Notes to strangers: links plus 16. An unproven address never gets more bytes than
//! came from it, and one datagram for each that came. A contact is greeted every `retry_first` by a node without a link,
//! and with doubling pauses up to `retry_cap` otherwise.

mod answers;
mod attempts;
mod composing;
mod cookie;
mod greeting;
mod upkeep;

use core::net::SocketAddr;

use crate::config::{Config, Membership as Mode, Neighbor};
use crate::event::{Event, Warning};
use crate::ids::{Incarnation, NodeId};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::time::Instant;
use crate::view::Reason;

use answers::{Answer, Answers, Say};
use attempts::{Attempts, Notice, Purpose};
use cookie::Cookies;

pub(crate) use greeting::{Decision, Greeter};

/// Members that an answer names at most.
const PEERS_MAX: usize = 12;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// The configured neighbors; none where members are drawn.
    neighbors: Option<alloc::boxed::Box<[Neighbor]>>,
    attempts: Attempts,
    answers: Answers,
    cookies: Cookies,
    contacts_max: usize,
    wanted: usize,
    /// Where this node can be reached.
    address: Option<SocketAddr>,
    advertised: bool,
    /// When to look for more links.
    refill_at: Instant,
    /// How often in a row a candidate had no room: where nobody has, the search slows down.
    refusals: u32,
    /// When to greet a member taken for dead.
    heal_at: Instant,
    heal_period: core::time::Duration,
    rng: Rng,
    conflict: Option<(SocketAddr, Incarnation)>,
    conflict_told: Incarnation,
    mtu: usize,
    /// The node leaves: no new links.
    closed: bool,
    /// The datagram that is being read has answered a greeting.
    answered: bool,
    /// The application may have to be warned of a neighbor.
    warns: bool,
}

impl Membership {
    pub(crate) fn new(config: &Config, now: Instant, mut rng: Rng) -> Self {
        let limits = &config.limits;
        let (links, contacts) = (usize::from(limits.links), usize::from(limits.contacts));
        let neighbors = match &config.membership {
            Mode::Full => None,
            Mode::Static { neighbors } => Some(neighbors.clone().into_boxed_slice()),
        };
        let mut attempts = Attempts::new(contacts + links, config.timing.retry_first, config.timing.retry_cap);
        for neighbor in neighbors.iter().flatten() {
            attempts.add(neighbor.address, Some(neighbor.node), Purpose::Neighbor, now);
        }
        Self {
            wanted: if neighbors.is_some() { 0 } else { (links * 3 / 4).max(1) },
            neighbors,
            attempts,
            answers: Answers::new(links + 16),
            cookies: Cookies::new(&mut rng),
            contacts_max: contacts,
            address: config.advertise,
            advertised: config.advertise.is_some(),
            refill_at: Instant::NEVER,
            refusals: 0,
            heal_at: Instant::NEVER,
            heal_period: config.timing.probe_period,
            rng,
            conflict: None,
            conflict_told: Incarnation(0),
            mtu: config.mtu.into(),
            closed: false,
            answered: false,
            warns: false,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, contacts: usize) -> usize {
        Attempts::heap_bytes(contacts + links) + Answers::heap_bytes(links + 16) + links * size_of::<Neighbor>()
    }

    /// Where this node can be reached, as far as it was told.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) const fn is_static(&self) -> bool {
        self.neighbors.is_some()
    }

    pub(crate) fn contacts(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.attempts.iter().filter(|(_, attempt)| attempt.purpose == Purpose::Contact).map(|(_, a)| a.address)
    }

    /// Adds a contact. False where there is no room.
    pub(crate) fn add_contact(&mut self, now: Instant, address: SocketAddr) -> bool {
        if self.contacts().any(|contact| contact == address) {
            return true;
        }
        self.attempts.count(|attempt| attempt.purpose == Purpose::Contact) < self.contacts_max
            && self.attempts.add(address, None, Purpose::Contact, now)
    }

    pub(crate) fn forget_contact(&mut self, address: SocketAddr) {
        let row = self.attempts.find(|attempt| attempt.purpose == Purpose::Contact && attempt.address == address);
        if let Some(row) = row {
            self.attempts.remove(row);
        }
    }

    /// No new links from now on, and no more attempts.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        while let Some(row) = self.attempts.find(|_| true) {
            self.attempts.remove(row);
        }
        (self.refill_at, self.heal_at) = (Instant::NEVER, Instant::NEVER);
    }

    /// Panics where a timer runs for nobody, or more contacts are kept than may be.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        self.attempts.check_invariants();
        self.answers.check_invariants();
        assert!(self.contacts().count() <= self.contacts_max, "more contacts than the limit");
    }

    /// Says that there is no link any more.
    pub(crate) fn say_unlink(&mut self, node: NodeId, address: SocketAddr, reason: u8) {
        self.answers.push(Answer { to: address, room: self.mtu, say: Say::Unlink { node, reason } });
    }

    /// The next event of this sub-protocol.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        if let Some((address, incarnation)) = self.conflict.take()
            && incarnation != self.conflict_told
        {
            self.conflict_told = incarnation;
            return Some(Event::IdentityConflict { address, incarnation });
        }
        if !self.warns {
            return None;
        }
        let row = self.attempts.find(|attempt| attempt.warning == Notice::Due);
        self.warns = row.is_some();
        let row = row?;
        let attempt = self.attempts.get_mut(row)?;
        attempt.warning = Notice::Told;
        Some(Event::Warning(Warning::NotNeighbor { node: attempt.node? }))
    }

    /// How soon to look for another link: at first after a fraction of the retry pause, but where everybody is full not
    /// more often than contacts are greeted.
    fn refill_pause(&self) -> core::time::Duration {
        let pause = self.attempts.retry_first() / 8 * (1 << self.refusals.min(16));
        pause.min(self.attempts.retry_cap())
    }
}

impl Protocol for Membership {
    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::LinkUp { .. } => {
                self.refusals = 0;
                self.refill_at = self.refill_at.min(cx.now + self.attempts.retry_first());
            }
            Fact::LinkDown { peer } => self.on_link_down(cx, peer),
            _ => {}
        }
        if self.closed {
            (self.refill_at, self.heal_at) = (Instant::NEVER, Instant::NEVER);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        while let Some(row) = self.attempts.expired(cx.now) {
            let nonce = self.rng.u64().max(1);
            if !self.attempts.owe(row, nonce) {
                self.give_up(cx, row);
            }
        }
        if self.refill_at <= cx.now {
            self.refill(cx);
        }
        if self.heal_at <= cx.now {
            self.heal(cx);
        }
        // What was started just now is due now.
        while let Some(row) = self.attempts.expired(cx.now) {
            let nonce = self.rng.u64().max(1);
            self.attempts.owe(row, nonce);
        }
        None
    }

    fn deadline(&self) -> Instant {
        self.attempts.earliest().min(self.refill_at).min(self.heal_at)
    }

    fn reason(&self) -> Reason {
        Reason::Join
    }
}

/// Whether something can be sent to `address`.
pub(crate) fn is_usable(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}
