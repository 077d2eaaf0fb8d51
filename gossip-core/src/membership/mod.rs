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
//! - *Static*: greets and admits exactly the configured neighbors; whoever answers "you are no neighbor of mine" is warned about.
//! - Members taken for dead are greeted in turn, one a probe period. Four of these greetings a period, from the whole
//!   component whatever its size, ask to make room for a link (`HEAL`): that is how a network that was split grows together
//!   again. A full node that hears it drops a link drawn by chance.
//! - A node is where its last proven greeting came from; its old address is forgotten then.
//! - The later incarnation of a node replaces the earlier one. An earlier one that can still answer a cookie is alive:
//!   both are told ([`Event::IdentityConflict`]).
//! - `Welcome` names the highest incarnation of the receiver that is known. If that is higher than its own (its clock went
//!   back), a node that has said nothing yet takes a higher one; another one is told of a conflict.
//!
//! # Bounds
//!
//! Attempts: contacts plus links. Notes to strangers: links plus 16. An unproven address never gets more bytes than
//! came from it, and one datagram for each that came. A contact is greeted every `retry_first` by a node without a link,
//! and with doubling pauses up to `retry_cap` otherwise.

mod answers;
mod attempts;
mod cookie;

use core::net::SocketAddr;

use crate::config::{Config, Membership as Mode, Neighbor};
use crate::event::{Event, Warning};
use crate::ids::{Incarnation, NodeId};
use crate::members::{Member, Members};
use crate::pack::Packer;
use crate::peer::{PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::time::Instant;
use crate::view::{PeerState, Reason};
use crate::wire::{Address, Conflict, Hello, Kind, List, PeerEntry, Retry, Unlink, Verdict, Welcome};

use answers::{Answer, Answers, Say};
use attempts::{Attempt, Attempts, Notice, Purpose};
use cookie::{Bearer, Cookies};

/// A greeting with a cookie is padded to this many bytes of datagram (or to the MTU), so that the answer may name
/// members: our choice, room for about twelve.
const GREETING_LEN: usize = 512;

/// Members that an answer names at most.
const PEERS_MAX: usize = 12;

/// Greetings under way at once to get more links (HyParView's implementations do one; three save round trips).
const PARALLEL: usize = 3;

/// How many nodes of a component, on average, ask a member taken for dead for a link in each round (our choice, from
/// simulations: one already heals, four make it likely in the first round).
const HEALERS: u32 = 4;

/// Who greets, as far as its datagram proves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeter {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) address: SocketAddr,
    /// Of its datagram.
    pub(crate) number: u64,
    /// Bytes of its datagram.
    pub(crate) len: usize,
}

/// What the router has to do about a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Make a link, in place of the one with this node if there is one, and of `instead` if given.
    Admit {
        node: NodeId,
        incarnation: Incarnation,
        address: SocketAddr,
        /// Of the greeting, where it was the other one's.
        nonce: u64,
        instead: Option<PeerIdx>,
    },
    /// Take a higher incarnation than this one, if that is still possible.
    Raise { above: Incarnation },
    /// The far end does not want the link that this node thought it had.
    Drop { peer: PeerIdx },
}

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

    /// Somebody without a link sent something: it has to prove its address first.
    pub(crate) fn on_stranger(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_stranger += 1;
        self.challenge(cx, greeter, greeter.number);
    }

    fn challenge(&mut self, cx: &Cx<'_>, greeter: &Greeter, echo: u64) {
        let cookie = self.cookies.bake(cx.now, &greeter.bearer());
        self.answer(greeter, Say::Retry { echo, cookie });
    }

    fn answer(&mut self, greeter: &Greeter, say: Say) {
        self.answers.push(Answer { to: greeter.address, room: greeter.len, say });
    }

    pub(crate) fn on_hello(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, hello: &Hello) -> Option<Decision> {
        if greeter.node == cx.me.node {
            self.on_own_id(cx, greeter);
            return None;
        }
        if hello.cookie == 0 {
            self.challenge(cx, greeter, hello.nonce);
            return None;
        }
        if !self.cookies.is_good(cx.now, &greeter.bearer(), hello.cookie) {
            cx.stats.refused_cookie += 1;
            self.challenge(cx, greeter, hello.nonce);
            return None;
        }
        self.learn_address(hello.to.0, false);
        let link = cx.peers.find(greeter.node);
        if link.and_then(|peer| cx.peers.get(peer)).is_some_and(|peer| peer.greeted == hello.nonce) {
            cx.stats.refused_replay += 1;
            return None;
        }
        let (verdict, instead) = self.judge(cx, greeter, hello, link);
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let incarnation = known.map_or(Incarnation(0), |member| member.incarnation);
        self.answer(greeter, Say::Welcome { nonce: hello.nonce, verdict, incarnation });
        (verdict == Verdict::Linked).then_some(Decision::Admit {
            node: greeter.node,
            incarnation: greeter.incarnation,
            address: greeter.address,
            nonce: hello.nonce,
            instead,
        })
    }

    /// What becomes of a proven greeting, and which link has to give way.
    fn judge(
        &mut self,
        cx: &mut Cx<'_>,
        greeter: &Greeter,
        hello: &Hello,
        link: Option<PeerIdx>,
    ) -> (Verdict, Option<PeerIdx>) {
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        if known.is_some_and(|member| member.incarnation > greeter.incarnation) {
            cx.stats.refused_stale += 1;
            self.tell_conflict(cx, greeter, link);
            return (Verdict::Superseded, None);
        }
        if let Some(neighbors) = &self.neighbors
            && !neighbors.iter().any(|neighbor| neighbor.node == greeter.node)
        {
            cx.stats.refused_not_neighbor += 1;
            return (Verdict::NotNeighbor, None);
        }
        if link.is_some() && !self.closed {
            return (Verdict::Linked, None);
        }
        let has_row = known.is_some() || !cx.members.is_full();
        if hello.flags & Hello::LINK != 0 && has_row && !self.closed {
            if !cx.peers.is_full() {
                return (Verdict::Linked, None);
            }
            if hello.flags & Hello::HEAL != 0 {
                return (Verdict::Linked, self.draw_link(cx.peers));
            }
        }
        cx.stats.refused_full += 1;
        (Verdict::Full, None)
    }

    /// Somebody with an earlier incarnation is alive beside a linked later one: the later one hears of it.
    fn tell_conflict(&mut self, cx: &Cx<'_>, greeter: &Greeter, link: Option<PeerIdx>) {
        if let Some(later) = link.and_then(|peer| cx.peers.get(peer)).filter(|peer| peer.address != greeter.address) {
            self.answers.push(Answer {
                to: later.address,
                room: self.mtu,
                say: Say::Conflict { node: later.node, incarnation: greeter.incarnation, address: greeter.address },
            });
        }
    }

    /// A datagram with this node's id: its own echo, or another node that uses the id.
    pub(crate) fn on_own_id(&mut self, cx: &mut Cx<'_>, greeter: &Greeter) {
        cx.stats.refused_own_id += 1;
        if greeter.incarnation != cx.me.incarnation {
            self.conflict = Some((greeter.address, greeter.incarnation));
        }
    }

    pub(crate) fn on_conflict(&mut self, conflict: &Conflict) {
        self.conflict = Some((conflict.address.0, conflict.incarnation));
    }

    /// A `Retry` counts as the answer to the last greeting, or to a datagram over a link, which then begins anew. Each
    /// one counts once.
    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, retry: Retry) {
        let greeted = |attempt: &Attempt| {
            attempt.nonce != 0
                && attempt.nonce == retry.echo
                && attempt.address == greeter.address
                && attempt.node.is_none_or(|node| node == greeter.node)
        };
        let row = self.attempts.find(greeted).or_else(|| self.relink(cx, greeter, retry.echo));
        let Some(row) = row else {
            cx.stats.refused_unasked += 1;
            return;
        };
        if let Some(attempt) = self.attempts.get_mut(row) {
            attempt.cookie = retry.cookie;
        }
        let nonce = self.rng.u64().max(1);
        if !self.attempts.owe(row, nonce) {
            self.give_up(cx, row);
        }
    }

    /// The far end of a link does not know the link: the attempt that begins it anew.
    fn relink(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, echo: u64) -> Option<u32> {
        let link = cx.peers.find(greeter.node).and_then(|peer| cx.peers.get_mut(peer))?;
        if link.address != greeter.address || self.closed || !link.is_news(echo) {
            return None;
        }
        let there = |attempt: &Attempt| attempt.address == greeter.address && attempt.node == Some(greeter.node);
        self.attempts.find(there).or_else(|| {
            self.attempts.add(greeter.address, Some(greeter.node), Purpose::Candidate, Instant::NEVER);
            self.attempts.find(there)
        })
    }

    pub(crate) fn on_welcome(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, welcome: &Welcome) -> Option<Decision> {
        let asked = |attempt: &Attempt| attempt.nonce != 0 && attempt.nonce == welcome.nonce;
        let Some(row) = self.attempts.find(asked) else {
            cx.stats.refused_unasked += 1;
            return None;
        };
        let attempt = *self.attempts.get(row)?;
        if attempt.node.is_some_and(|node| node != greeter.node) || greeter.node == cx.me.node {
            return self.on_other_inhabitant(cx, greeter, row);
        }
        self.learn_address(welcome.observed.0, true);
        let granted = welcome.verdict == Verdict::Linked && !self.closed;
        let admission = granted.then(|| self.take_up(cx, greeter, attempt.purpose)).flatten();
        // A link that is not taken up is none, and will have to be asked for again.
        let verdict = if granted && admission.is_none() { Verdict::Full } else { welcome.verdict };
        self.settle(cx, row, greeter.node, verdict);
        match verdict {
            Verdict::Linked => admission,
            Verdict::Superseded => {
                self.conflict = Some((greeter.address, welcome.incarnation));
                Some(Decision::Raise { above: welcome.incarnation })
            }
            _ => {
                self.bridge(cx, greeter, attempt.purpose);
                self.revive(cx, greeter);
                cx.peers.find(greeter.node).map(|peer| Decision::Drop { peer })
            }
        }
    }

    /// The link that this node asked for is granted. By now it may have enough, unless it is one that heals.
    fn take_up(&mut self, cx: &Cx<'_>, greeter: &Greeter, purpose: Purpose) -> Option<Decision> {
        let mut instead = None;
        if cx.peers.is_full() && cx.peers.find(greeter.node).is_none() {
            if purpose != Purpose::Heal {
                self.say_unlink(greeter.node, greeter.address, Unlink::SURPLUS);
                return None;
            }
            instead = self.draw_link(cx.peers);
        }
        let (node, incarnation, address) = (greeter.node, greeter.incarnation, greeter.address);
        Some(Decision::Admit { node, incarnation, address, nonce: 0, instead })
    }

    /// A contact lives that this node's members do not include: that is the other side of a split. Ask it for a link
    /// for which it has to make room.
    fn bridge(&mut self, cx: &Cx<'_>, greeter: &Greeter, purpose: Purpose) {
        let known = cx.members.find(greeter.node).and_then(|row| cx.members.get(row));
        let is_member = known.is_some_and(|member| matches!(member.state, PeerState::Known | PeerState::Linked));
        if purpose == Purpose::Contact && !is_member && !self.closed {
            self.attempts.add(greeter.address, Some(greeter.node), Purpose::Heal, cx.now);
        }
    }

    /// A member taken for dead has answered.
    fn revive(&self, cx: &mut Cx<'_>, greeter: &Greeter) {
        if let Some(row) = cx.members.find(greeter.node)
            && cx.members.get(row).is_some_and(|member| member.state == PeerState::Down)
        {
            cx.members.set_state(cx.now, row, PeerState::Known);
        }
    }

    /// A link drawn by chance, to give way.
    fn draw_link(&mut self, peers: &Peers) -> Option<PeerIdx> {
        peers.after(self.rng.below(peers.capacity() as u32) as usize)
    }

    /// Somebody else lives where a member was thought to live, or this node itself does.
    fn on_other_inhabitant(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, row: u32) -> Option<Decision> {
        let attempt = *self.attempts.get(row)?;
        match attempt.purpose {
            // A contact that is this node itself: greet it seldom, somebody else may live there one day.
            Purpose::Contact => {
                if let Some(attempt) = self.attempts.get_mut(row) {
                    attempt.node = (greeter.node != cx.me.node).then_some(greeter.node);
                }
                self.attempts.rest(row, cx.now + self.attempts.retry_cap());
            }
            Purpose::Neighbor => self.attempts.rest(row, cx.now + self.attempts.retry_cap()),
            Purpose::Candidate | Purpose::Check | Purpose::Heal => self.give_up(cx, row),
        }
        None
    }

    /// An attempt was answered.
    fn settle(&mut self, cx: &Cx<'_>, row: u32, node: NodeId, verdict: Verdict) {
        let again = cx.now + self.attempts.retry_cap();
        let Some(attempt) = self.attempts.get_mut(row) else { return };
        match attempt.purpose {
            Purpose::Contact | Purpose::Neighbor => {
                attempt.node = Some(node);
                attempt.warning = match (verdict, attempt.warning) {
                    (Verdict::NotNeighbor, Notice::None) => Notice::Due,
                    (Verdict::NotNeighbor, notice) => notice,
                    _ => Notice::None,
                };
                // A linked contact rests until its link ends; one that had no room, for a while.
                let at = if verdict == Verdict::Linked { Instant::NEVER } else { again };
                self.attempts.rest(row, at);
            }
            Purpose::Candidate | Purpose::Check | Purpose::Heal => self.attempts.remove(row),
        }
        if verdict == Verdict::Full {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.refill_at = self.refill_at.min(cx.now + self.refill_pause());
    }

    /// Nobody answers there.
    fn give_up(&mut self, cx: &mut Cx<'_>, row: u32) {
        let node = self.attempts.get(row).and_then(|attempt| attempt.node);
        self.attempts.remove(row);
        let member = node.and_then(|node| cx.members.find(node));
        if let Some(member) = member
            && cx.members.get(member).is_some_and(|member| member.state == PeerState::Known)
        {
            cx.members.set_state(cx.now, member, PeerState::Down);
            self.heal_at = self.heal_at.min(cx.now + self.heal_period);
        }
    }

    /// Members that somebody named.
    pub(crate) fn on_peers(&mut self, cx: &mut Cx<'_>, peers: List<'_, PeerEntry>) {
        for entry in peers.iter().take(PEERS_MAX) {
            if entry.id == cx.me.node || !is_usable(entry.address.0) {
                continue;
            }
            let Some(row) = cx.members.find_or_insert(cx.now, entry.id, entry.incarnation) else { return };
            let Some(member) = cx.members.get_mut(row) else { continue };
            if member.address.is_none() && member.incarnation <= entry.incarnation {
                member.address = Some(entry.address.0);
            }
        }
        self.refill_at = self.refill_at.min(cx.now + self.refill_pause());
    }

    /// Panics where a timer runs for nobody, or more contacts are kept than may be.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        self.attempts.check_invariants();
        self.answers.check_invariants();
        assert!(self.contacts().count() <= self.contacts_max, "more contacts than the limit");
    }

    fn learn_address(&mut self, observed: SocketAddr, better: bool) {
        if !self.advertised && is_usable(observed) && (better || self.address.is_none()) {
            self.address = Some(observed);
        }
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
        let row = self.attempts.find(|attempt| attempt.warning == Notice::Due)?;
        let attempt = self.attempts.get_mut(row)?;
        attempt.warning = Notice::Told;
        Some(Event::Warning(Warning::NotNeighbor { node: attempt.node? }))
    }

    /// Composes one datagram to an address without a link: its receiver, if it is not for anyone.
    pub(crate) fn compose(
        &mut self,
        cx: &mut Cx<'_>,
        datagram: &mut [u8],
    ) -> Option<(SocketAddr, Option<NodeId>, usize)> {
        if let Some(answer) = self.answers.pop() {
            let mut packet = Packer::new(datagram, answer.room.min(self.mtu));
            let node = compose_answer(cx, &answer, &mut packet);
            return Some((answer.to, node, packet.len()));
        }
        let row = self.attempts.find(|attempt| attempt.owed)?;
        let attempt = *self.attempts.get(row)?;
        self.attempts.sent(cx.now, row, cx.peers.len() > 0);
        let heal = if attempt.purpose == Purpose::Heal { Hello::HEAL } else { 0 };
        let wants = cx.peers.len() < self.wanted || self.neighbors.is_some() || cx.peers.find_at(attempt.address);
        let link = if wants || heal != 0 { Hello::LINK } else { 0 };
        let hello =
            Hello { nonce: attempt.nonce, cookie: attempt.cookie, flags: heal | link, to: Address(attempt.address) };
        let mut packet = Packer::new(datagram, self.mtu);
        packet.frame(Kind::HELLO, &hello).ok()?;
        if hello.cookie != 0 {
            packet.pad(GREETING_LEN - crate::wire::HEADER_LEN);
        }
        Some((attempt.address, None, packet.len()))
    }

    fn refill(&mut self, cx: &mut Cx<'_>) {
        self.refill_at = Instant::NEVER;
        let under_way = self.attempts.count(|attempt| attempt.purpose == Purpose::Candidate);
        if cx.peers.len() + under_way >= self.wanted || self.closed {
            return;
        }
        for _ in under_way..PARALLEL {
            if !self.greet_member(cx, Purpose::Candidate, PeerState::Known) {
                break;
            }
        }
        let pause = self.refill_pause().max(self.attempts.retry_first());
        self.refill_at = cx.now + self.rng.jitter(pause, 20);
    }

    /// How soon to look for another link: at first after a fraction of the retry pause, but where everybody is full not
    /// more often than contacts are greeted.
    fn refill_pause(&self) -> core::time::Duration {
        let pause = self.attempts.retry_first() / 8 * (1 << self.refusals.min(16));
        pause.min(self.attempts.retry_cap())
    }

    fn heal(&mut self, cx: &mut Cx<'_>) {
        self.heal_at = Instant::NEVER;
        if self.closed || cx.members.alive() as usize == cx.members.len() {
            return;
        }
        let under_way = |attempt: &Attempt| matches!(attempt.purpose, Purpose::Check | Purpose::Heal);
        if self.neighbors.is_none() && self.attempts.count(under_way) < PARALLEL {
            // Four a round from the whole component, whatever its size, ask for a link.
            let heals = self.rng.below(cx.members.alive()) < HEALERS;
            self.greet_member(cx, if heals { Purpose::Heal } else { Purpose::Check }, PeerState::Down);
        }
        self.heal_at = cx.now + self.rng.jitter(self.heal_period, 50);
    }

    /// Starts to greet a member in this state, drawn by chance. False where there is none.
    fn greet_member(&mut self, cx: &mut Cx<'_>, purpose: Purpose, state: PeerState) -> bool {
        let attempts = &self.attempts;
        // A contact may name an address that the member has left long ago.
        let greeted = |member: &Member| {
            attempts.find(|attempt| attempt.node == Some(member.node) && Some(attempt.address) == member.address)
        };
        let fits = |member: &Member| member.state == state && member.address.is_some() && greeted(member).is_none();
        let Some(member) = cx.members.draw(&mut self.rng, fits).and_then(|row| cx.members.get(row)) else {
            return false;
        };
        let Some(address) = member.address else { return false };
        self.attempts.add(address, Some(member.node), purpose, cx.now)
    }

    /// A link has ended: its contact or neighbor is greeted again, and if it was the last one, all contacts are.
    fn on_link_down(&mut self, cx: &Cx<'_>, peer: PeerIdx) {
        let node = cx.peers.get(peer).map(|peer| peer.node);
        let lonely = cx.peers.len() <= 1;
        let again = cx.now + self.attempts.retry_first();
        for row in 0..self.attempts.capacity() {
            if self.attempts.get(row).is_some_and(|attempt| !attempt.owed && (attempt.node == node || lonely)) {
                self.attempts.rest(row, again);
            }
        }
        self.refill_at = self.refill_at.min(cx.now);
        self.heal_at = self.heal_at.min(cx.now + self.rng.jitter(self.heal_period, 50));
    }
}

impl Greeter {
    const fn bearer(&self) -> Bearer {
        Bearer { node: self.node, incarnation: self.incarnation, address: self.address }
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

/// Writes what a note says. The receiver's id, where the datagram is for it alone.
fn compose_answer(cx: &mut Cx<'_>, answer: &Answer, packet: &mut Packer<'_>) -> Option<NodeId> {
    // A frame that does not fit into what an unproven address may get is left out: no answer then.
    let (written, node) = match answer.say {
        Say::Retry { echo, cookie } => {
            cx.stats.retries_sent += 1;
            (packet.frame(Kind::RETRY, &Retry { echo, cookie }), None)
        }
        Say::Welcome { nonce, verdict, incarnation } => {
            let welcome = Welcome { nonce, observed: Address(answer.to), verdict, incarnation };
            let written = packet.frame(Kind::WELCOME, &welcome);
            packet.list(Kind::PEERS, some_members(cx.members, nonce));
            (written, None)
        }
        Say::Unlink { node, reason } => (packet.frame(Kind::UNLINK, &Unlink { reason }), Some(node)),
        Say::Conflict { node, incarnation, address } => {
            (packet.frame(Kind::CONFLICT, &Conflict { incarnation, address: Address(address) }), Some(node))
        }
    };
    debug_assert!(written.is_ok() || packet.is_empty());
    node
}

/// Living members from a place on that the greeter's nonce chose by chance.
fn some_members(members: &Members, nonce: u64) -> impl Iterator<Item = PeerEntry> + '_ {
    members
        .circle(nonce)
        .filter(|(_, member)| matches!(member.state, PeerState::Known | PeerState::Linked))
        .filter_map(|(_, member)| {
            Some(PeerEntry { id: member.node, incarnation: member.incarnation, address: Address(member.address?) })
        })
        .take(PEERS_MAX)
}

/// Whether something can be sent to `address`.
pub(crate) fn is_usable(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}
