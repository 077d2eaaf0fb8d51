//! Peer sampling: a few nodes drawn from all, without anybody who knows all.
//!
//! # Intuition
//!
//! Everybody at a very large party holds the calling cards of some dozens of guests. Now and then each one walks up to
//! a guest whose card is in his hand, the one not heard of for longest, and the two trade some of their cards, adding a
//! fresh one of their own. Nobody has a list of the guests; yet the cards in any hand are soon as good as drawn at random
//! from the whole house. The cards of guests who went home grow old and are laid down; whoever calls and gets no answer
//! tears up the card at once.
//!
//! The view is where a node takes new links from. It is no list of friends: what is in it is hearsay.
//!
//! # States
//!
//! ```text
//!        every period: an entry is selected, and what to give it        ┌─ composed: the time runs
//! Idle ──────────────────────────────────────────────────────▶ Asked ───┤
//!  ▲                                                                    ├─ ViewReply with the nonce: taken up ──▶ Idle
//!  └────────────────────────────────────────────────────────────────────┴─ no reply in time: entry dropped ─────▶ Idle
//!
//! ViewRequest, in either state: what to give is chosen, *then* what came is taken up; the reply goes out at the next poll
//! ```
//!
//! # Messages
//!
//! `ViewRequest { nonce, flags, entries }` and `ViewReply { nonce, flags, entries }`, both OPEN (outside of links and their
//! numbering), as most exchanges are with nodes without a link. An entry is a node, its address, and its *age*: how long
//! ago the node itself put it into somebody's view. Entries are hearsay, so nobody proves anything: who becomes a link
//! greets and is greeted as everybody else. A reply is never longer than its request, which is padded for that where
//! entries are asked for; so nobody can be made to send more than was sent to him.
//!
//! # The space of protocols
//!
//! [`Sampling`] says with whom, in which direction, and what stays: the 27 combinations of M. Jelasity, R. Guerraoui,
//! A.-M. Kermarrec, M. van Steen, *The Peer Sampling Service*, Middleware 2004, and the healer and swapper of
//! M. Jelasity, S. Voulgaris, R. Guerraoui, A.-M. Kermarrec, M. van Steen, *Gossip-based Peer Sampling*, ACM TOCS 25 (3),
//! 2007. Views of `c` entries: in the form of 2004 both give their whole view and their own entry; in that of 2007 half,
//! their own entry and `c / 2 − 1` others, drawn by chance but sparing the `healer` oldest.
//!
//! # Our own form: leases
//!
//! In the form of 2007 a healer that is large enough to forget the dead quickly makes degrees uneven, because luck decides
//! how often a fresh entry is copied. A lease ([`ViewSelection::Lease`]) is copied a fixed number of times and then ends: a node
//! that asks gives an entry of its own that stands for `copies` entries; each time it is passed on and kept, the number is
//! halved; after `lifetime` periods it is void. So every node is listed about `copies · lifetime` times, and a dead one
//! at the longest for a lifetime. Measured with 10,000 nodes, views of 32, 4 copies and 8 periods, in one run in which an
//! exchange with a dead node costs its cycle: in-degrees with a standard deviation of 3.7 (random views: 5.7), the
//! last dead entry gone 10 or 11 cycles after half of the nodes died, and one cluster in 18 of 20 draws when 85 % are removed, as with
//! random views. It is not the default, as all that was measured without loss, and a lost exchange costs a node some of its copies.
//!
//! # Where this differs from the papers
//!
//! - *Freshness is age in time*, in both forms. Hop counts (2004) never drive out the dead, as an entry that is not passed
//!   on does not grow older; counts of exchanges (2007) grow faster at nodes that are asked often. Here an entry is as old
//!   as the time since its node spoke for itself, wherever it was meanwhile, whatever was lost on the way.
//!   [`Freshness::Counted`] counts as the papers do, to compare with them: with healer 1 and swapper 14 the last dead
//!   entry goes after 35 cycles then, instead of 26.
//! - *Who is alive* is not known. The papers select among the live entries; here an exchange with a dead node costs
//!   its turn, and its entry goes. In the same way an entry goes whose node could not be reached or whose reply
//!   was lost: if the node is alive, others still have it.
//! - *Push* is answered too, without entries, so that a dead peer is found out in that direction as well.
//! - *A lost reply*: nothing is rolled back, as nothing was done. Entries given away leave the view only when the reply
//!   is there to replace them. The other side has swapped, so for a while there are a few copies more or less.
//! - *Concurrent exchanges*: a node has at most one exchange of its own under way, and answers others meanwhile. Each row
//!   remembers to whom it was given, so the swapper takes the right ones whatever came in between (the papers take "the
//!   head of the view"). A third request before the replies to two were polled is dropped, as if it had been lost.
//! - *Two entries of one node*: the fresher one takes the place of the other, so what was given away counts as given also where
//!   a fresher copy came back. The papers leave that open. It is what their figures need: taken up as a new entry instead, (tail, swapper)
//!   has in-degrees with a standard deviation of 3.9 instead of 3.6, in a simulation of either.
//! - *Self-entries* are never taken up. An entry about its own sender whose address is unspecified stands for the address
//!   that it came from.
//! - *Somebody else answers* where an entry's node was thought to live: the entry goes, the answer counts. And nobody is told by
//!   a node that another one lives where it lives itself.
//! - *Who has moved*: an entry that is younger than the loss of a member that does not answer here tells where it is looked for.
//! - *A newcomer* begins with its neighbors and theirs, which is no sample: of those who come in a crowd, all would choose
//!   links among the same few. So its first exchanges follow each other after the first retry pause, which doubles up to the
//!   period: in `lan` six within half a minute, after which a view is mixed (our choice). So it is with a view that is
//!   *hungry*, below a quarter of its size. An empty view begins with the links.
//!
//! # Bounds
//!
//! `c` entries, half of them once more during an exchange (`c + 1` where whole views are given); one request and two
//! replies wait to be sent. A request is one datagram, a reply another: on average each node sends both once a period. With
//! `c = 60`, IPv4 and the period of 25 seconds that is 56 bytes a second with headers, the sketch of the size included.
//! Nothing here grows with the number of nodes.
//!
//! Half of a view at the most is from one network prefix (/16 of IPv4, /32 of IPv6), as half of the links are, as long as the
//! others are heard of ([`prefix`](crate::membership::prefix)): whoever has many addresses in one place cannot fill views with
//! them. Where all nodes are in one prefix, views are full nevertheless, and private addresses are not counted. The price: where
//! most nodes are in one public /16 and few elsewhere, all views list those few. In a model with a tenth elsewhere each of
//! these was asked seven times in a period instead of once.
//!
//! Beyond that views assume that who has the key of the cluster keeps the rules. An insider can fill half of a view with
//! what it likes, and all of it with addresses in many networks; a repeated old request (they are not numbered per link) can make
//! stale entries fresh, each of which costs somebody one turn to find out.

mod parcel;
mod size;
mod strategy;
mod view;

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::{Greeter, is_usable};
use crate::config::{Config, Membership as Mode};
use crate::event::{Event, Warning};
use crate::ids::NodeId;
use crate::members::Member;
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::time::Instant;
use crate::view::{PeerState, Reason};
use crate::wire::{Address, Exchange, ExchangeHead, Sketch, ViewEntry};

use parcel::Parcels;
use size::Size;
use view::{Born, Given};

use strategy::COPIES_MAX;
pub(crate) use strategy::VIEW_MIN;
pub use strategy::{Freshness, ParseSamplingError, PeerSelection, Sampling, Unsafe, ViewPropagation, ViewSelection};
pub(crate) use view::{Descriptor, View};

/// The unit of ages in frames.
const DECISECOND: Duration = Duration::from_millis(100);

/// How much a turn comes earlier or later than its time, so that nodes that started together drift apart (our choice).
const JITTER_PERCENT: u32 = 10;

/// Stands for the address of a sender that does not know its own.
const WHERE_THIS_COMES_FROM: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// The exchange that this node began.
#[derive(Clone, Copy, Debug)]
struct Asked {
    whom: Descriptor,
    nonce: u64,
    /// When the reply is given up; never, before the request was composed.
    until: Instant,
}

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    /// None where members are configured, or all known.
    sampling: Option<Sampling>,
    /// Entries in a full view.
    capacity: usize,
    /// Entries that one side gives at most, its own included.
    given: usize,
    period: Duration,
    /// The pause between exchanges of a hungry node, at first.
    retry_first: Duration,
    /// How long a reply is waited for.
    patience: Duration,
    next_at: Instant,
    asked: Option<Asked>,
    parcels: Parcels,
    /// Exchanges since this node came, or since it was hungry and got something new.
    settled: u32,
    /// What the application has not been warned of yet, one bit for each of [`Unsafe::ALL`].
    warnings: u8,
    size: Size,
    /// Where this node says that it is, if it was told.
    advertised: Option<SocketAddr>,
    rng: Rng,
}

impl Sampler {
    pub(crate) fn new(config: &Config, now: Instant, mut rng: Rng) -> Self {
        let (view, timing) = (config.limits.view, &config.timing);
        let sampling = match &config.membership {
            Mode::Sampled { sampling, .. } => Some(*sampling),
            Mode::Full | Mode::Static { .. } => None,
        };
        let given = sampling.map_or(0, |sampling| sampling.given(view));
        let phase = rng.range_micros(0, crate::time::micros(timing.exchange_period));
        let risks = sampling.iter().flat_map(|sampling| sampling.risks(view));
        Self {
            capacity: view.into(),
            given,
            period: timing.exchange_period,
            retry_first: timing.retry_first.min(timing.exchange_period),
            patience: (timing.probe_timeout * 5).min(timing.exchange_period / 2),
            next_at: if sampling.is_some() { now + Duration::from_micros(phase) } else { Instant::NEVER },
            asked: None,
            parcels: Parcels::new(given, config.mtu.into()),
            settled: 0,
            warnings: risks.fold(0, |bits, risk| bits | 1 << risk as u8),
            size: Size::new(config.id),
            advertised: config.advertise,
            sampling,
            rng,
        }
    }

    /// The view that a node begins with.
    pub(crate) fn first_view(&self, config: &Config, now: Instant) -> View {
        let mut view = View::new(self.sampling, config.limits.view, self.period);
        let Mode::Sampled { known, .. } = &config.membership else { return view };
        for neighbor in known.iter().filter(|neighbor| neighbor.node != config.id) {
            let born = Born::ago(view.clock(now), self.period);
            view.insert(Descriptor { node: neighbor.node, address: neighbor.address, born });
        }
        view
    }

    /// For views of `view` entries, in the form that takes most.
    pub(crate) const fn heap_bytes(view: usize) -> usize {
        View::heap_bytes(view) + Parcels::heap_bytes(view + 1)
    }

    /// No more exchanges.
    pub(crate) fn close(&mut self) {
        self.sampling = None;
        self.asked = None;
        self.next_at = Instant::NEVER;
        self.parcels.clear();
    }

    /// What the application is to be warned of.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let risk = *Unsafe::ALL.get(self.warnings.trailing_zeros() as usize)?;
        self.warnings &= self.warnings - 1;
        Some(Event::Warning(Warning::Sampling { risk }))
    }

    /// Somebody asks for an exchange.
    pub(crate) fn on_request(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, request: &Exchange<'_>) {
        let Some(sampling) = self.sampling else { return cx.stats.refused_unasked += 1 };
        if !self.parcels.has_room() {
            return cx.stats.refused_work += 1;
        }
        let wants = request.head.flags & ExchangeHead::PULL != 0;
        let head = ExchangeHead { nonce: request.head.nonce, flags: if wants { ExchangeHead::PUSH } else { 0 } };
        let room = greeter.len.min(cx.mtus.of(cx.now, greeter.address));
        let entries = wants.then(|| give(cx, &mut self.rng, &sampling, (Given::Asking, greeter.node), self.advertised));
        let entries = entries.into_iter().flatten();
        self.parcels.reply((greeter.address, room), &head, entries, self.size.sketch());
        if request.head.flags & ExchangeHead::PUSH != 0 {
            self.take(cx, Given::Asking, greeter, request);
        }
        cx.view.count_exchange();
    }

    /// Somebody answers.
    pub(crate) fn on_reply(&mut self, cx: &mut Cx<'_>, greeter: &Greeter, reply: &Exchange<'_>) {
        let asked = self.asked.take_if(|asked| asked.nonce == reply.head.nonce);
        let Some(asked) = asked else { return cx.stats.refused_unasked += 1 };
        cx.stats.exchanges_answered += 1;
        if reply.head.flags & ExchangeHead::PUSH != 0 {
            self.take(cx, Given::Asked, greeter, reply);
        }
        if asked.whom.node != greeter.node {
            cx.view.disprove(&asked.whom);
        }
        cx.view.count_exchange();
    }

    /// Somebody tells what it knows of the number of nodes.
    pub(crate) fn on_sketch(&mut self, cx: &mut Cx<'_>, sketch: &Sketch<'_>) {
        match sketch.ranks.0.try_into() {
            Ok(ranks) if self.sampling.is_some() => self.size.merge(sketch.epoch, ranks),
            _ => cx.stats.refused_unasked += 1,
        }
    }

    /// How many nodes there are, this one included: an estimate, and no fewer than are in the view. None where that can be
    /// counted, as views are not used.
    pub(crate) fn size(&self, view: &View) -> Option<u32> {
        self.sampling.map(|_| self.size.estimate().max(view.len() as u32 + 1))
    }

    fn take(&mut self, cx: &mut Cx<'_>, whom: Given, from: &Greeter, exchange: &Exchange<'_>) {
        let (me, clock, hop) = (cx.me.node, cx.view.clock(cx.now), cx.view.hop());
        let given = exchange.entries.iter().take(self.given);
        let entries = given.filter_map(|entry| {
            let own = entry.id == from.node && !is_usable(entry.address.0);
            let address = if own { from.address } else { entry.address.0 };
            let age = (DECISECOND * entry.age_ds).saturating_add(hop);
            let moved = address == from.address && entry.id != from.node;
            (entry.id != me && is_usable(address) && !moved).then_some((entry.id, address, age, entry.copies))
        });
        for (node, address, age, _) in entries.clone() {
            follow(cx, node, address, age);
        }
        let descriptors = entries.map(|(node, address, age, copies)| {
            (Descriptor { node, address, born: Born::ago(clock, age) }, copies.clamp(1, COPIES_MAX))
        });
        let was_hungry = self.is_hungry(cx.view);
        if cx.view.take(cx.now, &mut self.rng, whom, descriptors) > 0 && was_hungry {
            self.settled = 0;
        }
    }

    /// Begins an exchange.
    fn ask(&mut self, cx: &mut Cx<'_>, sampling: &Sampling) {
        let Some(whom) = cx.view.select_peer(&mut self.rng, sampling.peer_selection) else { return };
        let nonce = self.rng.u64();
        let (push, pull) = match sampling.view_propagation {
            ViewPropagation::Push => (ExchangeHead::PUSH, 0),
            ViewPropagation::Pull => (0, ExchangeHead::PULL),
            ViewPropagation::PushPull => (ExchangeHead::PUSH, ExchangeHead::PULL),
        };
        let head = ExchangeHead { nonce, flags: push | pull };
        let room = cx.mtus.of(cx.now, whom.address);
        let entries =
            (push != 0).then(|| give(cx, &mut self.rng, sampling, (Given::Asked, whom.node), self.advertised));
        let wanted = if pull == 0 { 0 } else { self.given };
        self.parcels.ask((whom.address, room), &head, entries.into_iter().flatten(), wanted, self.size.sketch());
        self.asked = Some(Asked { whom, nonce, until: Instant::NEVER });
        cx.stats.exchanges_begun += 1;
    }

    /// Composes the frames of one datagram: where to, and how many bytes.
    pub(crate) fn compose(&mut self, now: Instant, datagram: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let (to, len, is_request) = self.parcels.pop(datagram)?;
        if let Some(asked) = self.asked.as_mut().filter(|_| is_request) {
            asked.until = now + self.patience;
        }
        Some((to, len))
    }

    /// The time of the next exchange has come.
    fn turn(&mut self, cx: &mut Cx<'_>, sampling: &Sampling) {
        cx.view.expire(cx.now);
        self.size.turn();
        cx.view.count_turn();
        if cx.view.len() == 0 {
            self.begin_with_links(cx);
        }
        let pause = (self.retry_first * (1 << self.settled.min(16))).min(self.period);
        self.settled = self.settled.saturating_add(1);
        self.next_at = cx.now + self.rng.jitter(pause, JITTER_PERCENT);
        if self.asked.is_none() {
            self.ask(cx, sampling);
        }
    }

    fn is_hungry(&self, view: &View) -> bool {
        view.len() < self.capacity / 4
    }

    fn begin_with_links(&self, cx: &mut Cx<'_>) {
        for (_, link) in cx.peers.iter() {
            let born = Born::ago(cx.view.clock(cx.now), cx.now.saturating_since(link.heard));
            cx.view.insert(Descriptor { node: link.node, address: link.address, born });
        }
    }

    /// Panics where what is awaited will never be given up.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        assert!(self.sampling.is_some() || self.asked.is_none(), "an exchange without a view");
        let waits = self.asked.is_some_and(|asked| asked.until == Instant::NEVER);
        assert!(!waits || self.parcels.holds_request(), "a reply is awaited to a request that was never sent");
    }
}

impl Protocol for Sampler {
    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        let Fact::LinkUp { peer } = fact else { return };
        let Some(link) = cx.peers.get(peer).filter(|_| self.sampling.is_some()) else { return };
        // A view that has enough entries stays a sample of all: links are none.
        if self.is_hungry(cx.view) {
            let born = Born::ago(cx.view.clock(cx.now), Duration::ZERO);
            cx.view.insert(Descriptor { node: link.node, address: link.address, born });
            self.settled = 0;
            self.next_at = self.next_at.min(cx.now + self.retry_first);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        if let Some(asked) = self.asked.take_if(|asked| asked.until <= cx.now) {
            cx.stats.exchanges_failed += 1;
            cx.view.disprove(&asked.whom);
        }
        if let Some(sampling) = self.sampling.filter(|_| self.next_at <= cx.now) {
            self.turn(cx, &sampling);
        }
        None
    }

    fn deadline(&self) -> Instant {
        self.asked.map_or(Instant::NEVER, |asked| asked.until).min(self.next_at)
    }

    fn reason(&self) -> Reason {
        Reason::Sample
    }
}

/// A member that does not answer here was heard elsewhere since, perhaps at another address: it is looked for there.
fn follow(cx: &mut Cx<'_>, node: NodeId, address: SocketAddr, age: Duration) {
    let heard = cx.now.before(age);
    let is_lost = |member: &Member| matches!(member.state, PeerState::Unreachable | PeerState::Down);
    let row = cx.members.find(node);
    if let Some(member) = row.and_then(|row| cx.members.get_mut(row)).filter(|member| is_lost(member))
        && heard > member.since
    {
        member.address = Some(address);
    }
}

/// What to give: this node's own entry, then others. With leases only who asks gives its own, so that each node does so
/// equally often.
fn give(
    cx: &mut Cx<'_>,
    rng: &mut Rng,
    sampling: &Sampling,
    (whom, to): (Given, NodeId),
    advertised: Option<SocketAddr>,
) -> impl Iterator<Item = ViewEntry> {
    let clock = cx.view.clock(cx.now);
    let address = Address(advertised.unwrap_or(WHERE_THIS_COMES_FROM));
    let copies = match (sampling.view_selection, whom) {
        (ViewSelection::Lease { copies, .. }, Given::Asked) => Some(copies),
        (ViewSelection::Lease { .. }, Given::Asking | Given::No) => None,
        _ => Some(1),
    };
    let own = copies.map(|copies| ViewEntry { id: cx.me.node, age_ds: 0, copies, address });
    let others = cx.view.give(rng, whom, to).map(move |(descriptor, copies)| {
        let age_ds = descriptor.born.age(clock).as_millis() / DECISECOND.as_millis();
        let age_ds = u32::try_from(age_ds).unwrap_or(u32::MAX);
        ViewEntry { id: descriptor.node, age_ds, copies, address: Address(descriptor.address) }
    });
    own.into_iter().chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::Gossip;
    use crate::ids::Incarnation;

    #[test]
    fn who_does_not_answer_is_looked_for_where_it_was_heard_later() {
        let start = Instant::from_millis(100_000);
        let mut gossip = Gossip::new(Config::lan(NodeId(1)), [1; 32], start).expect("a preset is in its bounds");
        let (node, [old, new]) = (NodeId(2), [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 2], port))));
        let (mut cx, _) = gossip.split();
        let row = cx.members.find_or_insert(start, node, Incarnation(1)).expect("room");
        let seconds = Duration::from_secs;
        for (state, age, expected) in [
            (PeerState::Known, seconds(0), old),
            (PeerState::Linked, seconds(0), old),
            (PeerState::Unreachable, seconds(1), old),
            (PeerState::Unreachable, seconds(0), new),
        ] {
            cx.now = start + seconds(1);
            let member = cx.members.get_mut(row).expect("its row");
            (member.address, member.state, member.since) = (Some(old), state, start);
            follow(&mut cx, node, new, age);
            let found = cx.members.get(row).expect("its row").address;
            assert_eq!(found, Some(expected), "{state}, {age:?} ago");
        }
    }
}
