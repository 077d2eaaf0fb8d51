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
//! - *Full*: asks for links until it has 3/4 of [`Limits::links`](crate::Limits::links) ([`upkeep`]), and grants them to those
//!   who ask: up to all of them, and beyond 3/4 to whoever is in need in the place of another one ([`giving_way`]). A
//!   refused node gets some members in the answer, and tries there.
//! - Half of the links are drawn by chance, the others may go to who is near ([`nearness`]).
//! - *Static*: greets and admits exactly the configured neighbors; whoever answers "you are no neighbor of mine" is warned about. Who
//!   is no neighbor gets that answer and no list of members.
//! - A link in doubt ([`Fact::Suspected`]) is replaced at once, and ends only with the verdict.
//! - Who vanished is called for ever, about twice in a beat period by the whole component, whatever its size
//!   ([`healing`]): that is how a network that was split grows together again.
//! - Who has no link, or hears nobody, for four beat periods says so ([`isolation`]).
//! - A node is where its last proven greeting came from; its old address is forgotten then.
//! - The later incarnation of a node replaces the earlier one. An earlier one that can still answer a cookie is alive:
//!   both are told ([`Event::IdentityConflict`]).
//! - `Welcome` names the highest incarnation of the receiver that is known. If that is higher than its own (its clock went
//!   back), the node takes a higher one, once in its life; if that does not help, it is told of a conflict.
//!
//! # Bounds
//!
//! Attempts: contacts plus links. Notes to strangers: links plus 16. An unproven address never gets more bytes than
//! came from it, and one datagram for each that came. A contact is greeted every `retry_first` by a node without a link;
//! by another one with doubling pauses up to `retry_cap`, eight times, and then like somebody who vanished.

mod answered;
mod answers;
mod attempts;
mod composing;
mod cookie;
mod giving_way;
mod greeting;
mod healing;
mod isolation;
mod nearness;
mod prefix;
mod sampling;
mod upkeep;
mod walks;

use core::net::SocketAddr;

use crate::config::{Config, Membership as Mode, Neighbor};
use crate::event::{Event, Warning};
use crate::ids::{Incarnation, NodeId};
use crate::members::Member;
use crate::pack::Packer;
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::time::Instant;
use crate::view::{PeerState, Reason};
use crate::wire::{Kind, PeerEntry, Unlink};

use answers::{Answer, Answers, Say};
use attempts::{Attempts, Notice, Pace, Purpose};
use cookie::Cookies;
use healing::{Lost, Turns};
use isolation::Isolation;
use nearness::Soundings;
use walks::Walks;

pub(crate) use greeting::{Decision, Greeter, NewLink, is_question};
pub use sampling::{Freshness, ParseSamplingError, PeerSelection, Sampling, Unsafe, ViewPropagation, ViewSelection};
pub(crate) use sampling::{Sampler, VIEW_MIN, View};

/// Bytes kept for newcomers in each datagram: one walk.
const SHARE: usize = 39;

/// Members that an answer names at most.
const PEERS_MAX: usize = 12;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// The configured neighbors; none where members are drawn.
    neighbors: Option<alloc::boxed::Box<[Neighbor]>>,
    /// Others are known by a view, and not by the table of members.
    is_sampled: bool,
    attempts: Attempts,
    answers: Answers,
    cookies: Cookies,
    contacts_max: usize,
    /// How many links a node has that neither needs one nor has one too many; 0 where neighbors are configured.
    wanted: usize,
    /// Where this node can be reached.
    address: Option<SocketAddr>,
    advertised: bool,
    /// This node hears nobody: no link counts.
    deaf: bool,
    /// When to look for more links.
    refill_at: Instant,
    /// How often in a row a candidate had no room: where nobody has, the search slows down.
    refusals: u32,
    /// Who gave up a link with whom just now: the speaker, and who has room.
    vacancy: Option<(NodeId, PeerEntry)>,
    /// Who has room, to be told to the next one that this node gives up.
    passed_on: Option<PeerEntry>,
    walks: Walks,
    /// Until when a newcomer waits for those to whom it is introduced.
    introduced_until: Instant,
    lost: Lost,
    turns: Turns,
    soundings: Soundings,
    isolation: Isolation,
    beat_period: core::time::Duration,
    rng: Rng,
    conflict: Option<(SocketAddr, Incarnation)>,
    conflict_told: Incarnation,
    mtu: usize,
    /// The node leaves: no new links.
    closed: bool,
    /// The datagram that is being read has answered a greeting.
    answered: bool,
}

impl Membership {
    pub(crate) fn new(config: &Config, now: Instant, mut rng: Rng) -> Self {
        let limits = &config.limits;
        let (links, contacts) = (usize::from(limits.links), usize::from(limits.contacts));
        let neighbors = match &config.membership {
            Mode::Full | Mode::Sampled { .. } => None,
            Mode::Static { neighbors } => Some(neighbors.clone().into_boxed_slice()),
        };
        let timing = &config.timing;
        let (retry_first, retry_cap) = (timing.retry_first, timing.retry_cap);
        let pace = Pace { answer: timing.probe_timeout, retry_first, retry_cap };
        let mut attempts = Attempts::new(contacts + links, pace);
        let mut isolation = Isolation::new(timing.beat_period);
        for neighbor in neighbors.iter().flatten() {
            attempts.add(neighbor.address, Some(neighbor.node), Purpose::Neighbor, now);
            isolation.begin(now);
        }
        Self {
            wanted: if neighbors.is_some() { 0 } else { (links * 3 / 4).max(1) },
            neighbors,
            is_sampled: matches!(config.membership, Mode::Sampled { .. }),
            attempts,
            answers: Answers::new(links + 16),
            cookies: Cookies::new(&mut rng),
            contacts_max: contacts,
            address: config.advertise,
            advertised: config.advertise.is_some(),
            deaf: false,
            refill_at: Instant::NEVER,
            refusals: 0,
            vacancy: None,
            passed_on: None,
            walks: Walks::new(),
            introduced_until: Instant::ZERO,
            lost: Lost::new(),
            turns: Turns::new(timing.beat_period),
            soundings: Soundings::new(timing.beat_period, timing.probe_timeout),
            isolation,
            beat_period: timing.beat_period,
            rng,
            conflict: None,
            conflict_told: Incarnation(0),
            mtu: config.mtu.into(),
            closed: false,
            answered: false,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, contacts: usize) -> usize {
        Attempts::heap_bytes(contacts + links)
            + Answers::heap_bytes(links + 16)
            + Walks::heap_bytes()
            + Lost::heap_bytes()
            + links * size_of::<Neighbor>()
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

    /// Adds a contact of a node that is linked with somebody, or with nobody. False where there is no room.
    pub(crate) fn add_contact(&mut self, now: Instant, address: SocketAddr, linked: bool) -> bool {
        if self.contacts().any(|contact| contact == address) {
            return true;
        }
        if !linked {
            self.isolation.begin(now);
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
        self.refill_at = Instant::NEVER;
        self.turns.stop();
        self.soundings.stop();
        self.isolation.rest();
    }

    /// Panics where a timer runs for nobody, or more contacts are kept than may be.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers) {
        self.walks.check_invariants(peers);
        self.attempts.check_invariants();
        self.answers.check_invariants();
        assert!(self.contacts().count() <= self.contacts_max, "more contacts than the limit");
    }

    /// Says that there is no link any more.
    pub(crate) fn say_unlink(&mut self, node: NodeId, address: SocketAddr, reason: u8) {
        let vacant = self.passed_on.take_if(|_| reason == Unlink::SURPLUS);
        self.answers.push(Answer { to: address, room: self.mtu, say: Say::Unlink { node, reason, vacant } });
    }

    /// The next event of this sub-protocol.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        if let Some((address, incarnation)) = self.conflict.take()
            && incarnation != self.conflict_told
        {
            self.conflict_told = incarnation;
            return Some(Event::IdentityConflict { address, incarnation });
        }
        let row = self.attempts.find(|attempt| attempt.warning == Notice::Due)?;
        let attempt = self.attempts.get_mut(row)?;
        attempt.warning = Notice::Told;
        Some(Event::Warning(Warning::NotNeighbor { node: attempt.node? }))
    }

    /// Whether this node has become isolated, or is not any more.
    pub(crate) fn next_isolation(&mut self) -> Option<Event> {
        self.isolation.next_event()
    }

    /// Whether there is anybody to be heard from: a member that has not left, or a contact or neighbor that is not known
    /// to be one that has, or this node itself.
    fn has_others(&self, cx: &Cx<'_>) -> bool {
        let is_there = |member: &Member| member.node != cx.me.node && member.state != PeerState::Left;
        let member = |node: NodeId| cx.members.find(node).and_then(|row| cx.members.get(row));
        self.attempts.find(|attempt| attempt.node.and_then(member).is_none_or(is_there)).is_some()
            || cx.members.circle(0).any(|(_, member)| is_there(member))
    }

    fn on_link_up(&mut self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let Some(node) = cx.peers.get(peer).map(|link| link.node) else { return };
        self.refusals = 0;
        self.lost.forget(node);
        self.isolation.end();
        if !self.is_static() && !self.closed {
            self.soundings.start(cx.now, &mut self.rng);
        }
        if let Some((_, entry)) = self.vacancy.take_if(|(from, _)| *from == node) {
            self.greet_vacant(cx, &entry);
        }
        self.plan_refill(cx);
        self.plan_healing(cx);
    }
}

impl Protocol for Membership {
    fn due(&self) -> Option<Due> {
        Some(Due::Membership)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::LinkUp { peer } => self.on_link_up(cx, peer),
            Fact::LinkDown { peer } => self.on_link_down(cx, peer),
            Fact::Suspected { peer } | Fact::Cleared { peer } => {
                if let Some(link) = cx.peers.get_mut(peer) {
                    link.suspected = matches!(fact, Fact::Suspected { .. });
                }
                self.on_doubt(cx);
                self.plan_refill(cx);
            }
            Fact::Deaf if !self.closed => self.on_deaf(cx),
            Fact::Hearing => {
                self.deaf = false;
                self.isolation.end();
                self.doubt_own_verdicts(cx);
            }
            Fact::Died { member } | Fact::Unreached { member } => self.on_vanished(cx, member),
            Fact::Revived { member } => self.on_revived(cx, member),
            _ => {}
        }
        if self.closed {
            self.refill_at = Instant::NEVER;
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        self.run_attempts(cx);
        if self.refill_at <= cx.now {
            self.refill(cx);
        }
        if self.turns.deadline() <= cx.now {
            self.heal(cx);
        }
        if self.soundings.deadline() <= cx.now {
            self.sound(cx);
        }
        if self.isolation.deadline() <= cx.now {
            let others = self.has_others(cx);
            self.isolation.on_timeout(others);
        }
        // What was started just now is due now.
        self.run_attempts(cx);
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        while let Some((row, walk)) = self.walks.next(to) {
            if packet.frame(Kind::WALK, &walk).is_err() {
                return;
            }
            self.walks.done(row);
        }
        cx.peers.done(to, Due::Membership);
    }

    fn deadline(&self) -> Instant {
        let timers = [self.refill_at, self.turns.deadline(), self.soundings.deadline(), self.isolation.deadline()];
        timers.into_iter().fold(self.attempts.earliest(), Instant::min)
    }

    fn reason(&self) -> Reason {
        Reason::Join
    }
}

impl Membership {
    /// Greetings whose time has come are owed, or given up.
    fn run_attempts(&mut self, cx: &mut Cx<'_>) {
        while let Some(row) = self.attempts.expired(cx.now) {
            if cx.peers.len() > 0 && self.attempts.is_tired(row) {
                // From now on it is called in turns.
                self.attempts.rest(row, Instant::NEVER);
                self.plan_healing(cx);
                continue;
            }
            let nonce = self.rng.u64().max(1);
            if !self.attempts.owe(row, nonce) {
                self.give_up(cx, row);
            }
        }
    }
}

/// Whether something can be sent to `address`.
pub(crate) fn is_usable(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}
