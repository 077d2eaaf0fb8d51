//! Tree: everybody has agreed beforehand who tells whom.
//!
//! # Intuition
//!
//! A town with a telephone tree. Once in a while the mayor (the *root*) calls everybody: "it's me, pass it on". Whoever
//! hears that call first from Ann remembers: Ann is the one I hear things from first (my *parent*), and tells her so (I am
//! her *child*). From then on whoever has news calls his parent and his children, they call theirs, and everyone is
//! called once. So that news from the outskirts need not climb all the way up before it comes down again, whoever has
//! news also calls the mayor directly (*injection*): the two waves meet somewhere in the tree, and only there two people
//! call each other at the same time.
//!
//! What is said on the telephone never changes the tree. Trees that are built by pruning what arrives twice fall apart when
//! two messages are under way at once, as each prunes other branches; here only the mayor's numbered call, and the explicit
//! word between parent and child, say who is whose child.
//!
//! # Where to read on
//!
//! | page | its job |
//! |---|---|
//! | [`root`] | who is the root, and when it sends a wave |
//! | [`wave`] | the numbered waves, and what a node makes of them |
//! | [`place`] | parents: made before broken, without loops |
//! | [`links`] | what parent and child say to each other |
//! | [`forward`] | the way of a message along the tree |
//! | [`inject`] | what goes to the root directly |
//! | [`digest`] | every neighbor in turn is told what was got lately |
//! | [`older`] | what is older than that is compared by a checksum |
//! | [`alarm`] | what had to be fetched is announced, and fetched |
//! | [`loss`] | does this node see losses? |
//! | [`ack`] | acknowledgements, where it does |
//! | [`recent`] | the latest messages under short names, and who has them |
//! | [`ancestors`], [`pace`], [`timers`] | small helpers |
//!
//! # State
//!
//! For each tree: the wave, the parent, the children, and this node's own place (cost, depth, ancestors). For each tree and
//! link: what the neighbor last said of its place. For each recent message: who has it. Frames that are owed are bits by link.
//!
//! # Bounds
//!
//! Work per message: one bit per link. A wave costs each node one frame per link; some come in the
//! first minute of a root, one in ten minutes later. Everything is sized in `new`.
//!
//! # Sources, and where this differs
//!
//! The shape (a tree for payloads, something slower for what it misses) is Plumtree's (Leitão, Pereira and Rodrigues 2007).
//! There the first message builds the tree and every later one changes it; here nothing but waves and repair do. Several
//! trees are SplitStream's idea (Castro et al. 2003); each message goes over one of them, by its short name.

mod ack;
mod alarm;
mod ancestors;
mod digest;
mod forward;
mod inject;
mod links;
mod loss;
mod older;
mod pace;
mod place;
mod recent;
mod root;
mod timers;
mod wave;

use core::net::SocketAddr;
use core::time::Duration;

use alloc::boxed::Box;

use super::copies::Copies;
use crate::config::{Config, Membership};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers, bit};
use crate::protocol::{Cx, Fact};
use crate::rng::Rng;
use crate::storage::Bits;
use crate::time::Instant;
use crate::view::TreeView;
use crate::wire::Frame;

use ack::Acks;
use alarm::Missing;
use digest::Digests;
use inject::Strangers;
use loss::Loss;
use pace::Pace;
use place::{Place, Standing};
use recent::Recent;
use timers::{Timer, Timers};
use wave::Wave;

/// Trees that there may be, for a node with so many links: one where it has few, as then memory counts, and all trees would run over
/// the same links.
pub(crate) const fn trees_max(links: u16) -> u8 {
    if links < 8 { 1 } else { 4 }
}

/// All trees.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    trees: Box<[Tree]>,
    /// What each neighbor said of its place in each tree: trees by links.
    hearsay: Box<[Option<Standing>]>,
    recent: Recent,
    /// Messages to be injected now, by cards; and such of which a second copy follows.
    inject: Bits,
    inject_again: Bits,
    /// In networks of so many nodes or more.
    inject_from: u32,
    strangers: Strangers,
    digests: Digests,
    missing: Missing,
    loss: Loss,
    acks: Acks,
    /// Whether anything may be sent outside of links.
    ventures: bool,
    /// Where this node can be reached, as far as it was told.
    address: Option<SocketAddr>,
    mtu: usize,
    timers: Timers,
    pace: Pace,
    /// The median round trip of the links at the last wave, in microseconds.
    median: u32,
    born: Instant,
    rng: Rng,
}

/// This node's place in one tree.
#[derive(Clone, Debug)]
struct Tree {
    /// The latest wave; none in a network that has none yet.
    wave: Option<Wave>,
    /// Neighbors from which this wave has come.
    arrived: u64,
    /// The first of them, and those that were as good as the first.
    first: usize,
    tied: u64,
    tied_until: Instant,
    /// Who gets it later, if it is not had from somebody else by then.
    rest: u64,
    /// The wave is to be passed on after the hold.
    held: bool,
    /// No wave came for too long.
    silent: bool,
    /// When this node last sent a wave as root, and whether somebody has asked for another one.
    waved_at: Instant,
    place: Place,
    owed: Owed,
}

/// Frames that are owed, one bit for each link.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    wave: u64,
    child: u64,
    child_ok: u64,
    not_child: u64,
    /// To the root.
    request: bool,
}

impl Tree {
    const FRESH: Self = Self {
        wave: None,
        arrived: 0,
        first: 0,
        tied: 0,
        tied_until: Instant::ZERO,
        rest: 0,
        held: false,
        silent: false,
        waved_at: Instant::ZERO,
        place: Place::NONE,
        owed: Owed { wave: 0, child: 0, child_ok: 0, not_child: 0, request: false },
    };

    /// Whether this node has a place: below a parent, or as the root.
    fn is_attached(&self, cx: &Cx<'_>) -> bool {
        self.place.parent.is_some() || self.is_rooted_at(cx)
    }

    /// Whether this node is the root.
    fn is_rooted_at(&self, cx: &Cx<'_>) -> bool {
        self.wave.is_some_and(|wave| wave.is_of(cx.me))
    }
}

impl Forest {
    pub(crate) fn new(config: &Config, (trees, inject_from): (u8, u32), id_key: u64, now: Instant, rng: Rng) -> Self {
        let (links, messages) = (usize::from(config.limits.links), config.limits.message_slots());
        let recent = Recent::new(links, messages, id_key);
        let trees = usize::from(trees);
        Self {
            trees: (0..trees).map(|_| Tree::FRESH).collect(),
            hearsay: (0..trees * links).map(|_| None).collect(),
            inject: Bits::new(recent.len()),
            inject_again: Bits::new(recent.len()),
            inject_from,
            strangers: Strangers::new(),
            digests: Digests::new(links, &config.timing),
            missing: Missing::new(links, recent.len()),
            loss: Loss::new(links),
            acks: Acks::new(links, messages),
            recent,
            ventures: !matches!(config.membership, Membership::Static { .. }),
            address: None,
            mtu: config.mtu.into(),
            timers: Timers::new(trees, links, alarm::lacks(messages)),
            pace: Pace::new(&config.timing),
            median: 0,
            born: now,
            rng,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, messages: usize) -> usize {
        let trees = trees_max(links as u16) as usize;
        size_of::<Self>()
            + trees * size_of::<Tree>()
            + trees * links * size_of::<Option<Standing>>()
            + Recent::heap_bytes(links, messages)
            + 2 * Bits::heap_bytes(messages)
            + Digests::heap_bytes(links)
            + Missing::heap_bytes(links, messages)
            + Loss::heap_bytes(links)
            + Acks::heap_bytes(links, messages)
            + Timers::heap_bytes(trees, links, alarm::lacks(messages))
    }

    /// This node can be reached there: what a root tells the others.
    pub(crate) const fn set_address(&mut self, address: Option<SocketAddr>) {
        self.address = address;
    }

    /// How many links there may be.
    fn links(&self) -> usize {
        self.hearsay.len() / self.trees.len()
    }

    pub(crate) fn on_fact(&mut self, cx: &mut Cx<'_>, copies: &mut Copies, fact: Fact) {
        match fact {
            Fact::Accepted { slot, from, flags } => self.start(cx, copies, slot, from, flags),
            Fact::Duplicate { slot, from, flags } => self.on_duplicate(cx, slot, from, flags),
            Fact::Evicted { slot } => {
                if let Some(place) = self.recent.place(slot) {
                    self.forget_card(place);
                }
                self.recent.evict(slot);
            }
            Fact::LinkUp { peer } => self.on_link_up(cx, peer),
            Fact::LinkDown { peer } => self.on_link_down(cx, peer),
            Fact::Turn { peer } => self.on_turn(cx, peer),
            Fact::Suspected { peer } => self.on_suspicion(cx, peer),
            _ => {}
        }
        self.show_trunks(cx);
    }

    /// Tells which links the trees run over.
    fn show_trunks(&self, cx: &mut Cx<'_>) {
        cx.peers.trunks = self.trees.iter().fold(0, |links, tree| links | tree.place.links());
    }

    pub(crate) fn on_frame(&mut self, cx: &mut Cx<'_>, _copies: &mut Copies, from: PeerIdx, frame: &Frame<'_>) {
        match frame {
            Frame::Wave(wave) => self.on_wave(cx, from, wave),
            Frame::Child(child) => self.on_child(cx, from, child),
            Frame::ChildOk(ok) => self.on_child_ok(cx, from, ok),
            Frame::NotChild(not) => self.on_not_child(cx, from, not),
            Frame::DataAck(ack) => self.on_data_ack(cx, from, *ack),
            Frame::Announce(announce) => self.on_announce(cx, from, announce),
            Frame::Fetch(fetch) => self.on_fetch(cx, from, fetch),
            _ => cx.stats.refused_unasked += 1,
        }
        self.show_trunks(cx);
    }

    pub(crate) fn on_timeout(&mut self, cx: &mut Cx<'_>, _copies: &mut Copies) {
        while let Some(timer) = self.timers.expired(cx.now) {
            match timer {
                Timer::Inject => self.inject_second_copies(),
                Timer::Ack => self.on_ack_timer(cx),
                Timer::Digest => self.on_digest_timer(cx),
                Timer::Answer => self.on_answer_timer(cx),
                Timer::Gap(row) => self.on_gap_timer(cx, row),
                Timer::Resend(row) => self.on_resend_timer(cx, row),
                Timer::Lack(lack) => self.on_lack_timer(cx, lack),
                Timer::Relay(tree) => self.relay(cx, tree),
                Timer::Rest(tree) => self.pass_on_to_rest(cx, tree),
                Timer::Wave(tree) => self.on_wave_timer(cx, tree),
                Timer::Claim(tree) => self.on_claim_timer(cx, tree),
                Timer::Child(tree) => self.on_child_timer(cx, tree),
                Timer::Stuck(tree) => self.on_stuck_timer(cx, tree),
            }
        }
        self.show_trunks(cx);
    }

    pub(crate) fn deadline(&self) -> Instant {
        if self.digests.has_notes() { Instant::ZERO } else { self.timers.earliest() }
    }

    /// Writes what is owed to a link.
    pub(crate) fn on_transmit(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &mut Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        for tree in 0..self.trees.len() {
            self.write_links(cx, tree, to, packet)?;
            self.write_wave(cx, tree, to, packet)?;
        }
        self.write_acks(cx, copies, to, packet)?;
        self.write_repairs(cx, copies, to, packet)?;
        self.write_copies(cx, copies, to, packet)?;
        self.write_digest(cx, to, packet)
    }

    /// Of the links, in microseconds.
    fn median_round_trip(&self, peers: &Peers) -> u32 {
        let mut trips: heapless::Vec<u32, 64> =
            rows(peers.mask()).map(|row| round_trip(peers, row, &self.pace)).collect();
        trips.sort_unstable();
        trips.get(trips.len() / 2).copied().unwrap_or(self.pace.round_trip_guess)
    }

    pub(crate) fn views<'a>(&'a self, peers: &'a Peers) -> impl Iterator<Item = TreeView> + 'a {
        let node = |row: usize| Some(peers.get(peers.at(row)?)?.node);
        self.trees.iter().map(move |tree| TreeView {
            root: tree.wave.map(|wave| wave.root),
            wave: tree.wave.map_or(0, |wave| wave.number),
            depth: tree.place.depth,
            parent: tree.place.parent.and_then(node),
            children: rows(tree.place.children).filter_map(node).collect(),
        })
    }

    /// Panics where a frame is owed to nobody, or would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, messages: &crate::store::Messages) {
        self.recent.check_invariants(messages);
        for tree in &self.trees {
            let owed = tree.owed.wave | tree.owed.child | tree.owed.child_ok | tree.owed.not_child;
            for row in rows(owed) {
                let peer = peers.at(row).expect("a frame is owed to a link");
                assert!(peers.is_due(peer, Due::Broadcast), "a frame is owed without a mark");
            }
            tree.check_invariants(peers);
        }
        let owed = self.digests.owed | self.digests.answers | self.acks.owed | self.acks.resends | self.missing.fetches;
        for row in 0..peers.capacity() {
            if owed & bit(row) != 0 || self.missing.owes(row) {
                let peer = peers.at(row).expect("a frame is owed to a link");
                assert!(peers.is_due(peer, Due::Broadcast), "a frame is owed without a mark");
            }
        }
        assert!(self.inject.iter().all(|place| self.recent.get(place as recent::CardNo).slot.is_some()));
    }
}

/// Marks links as owed something.
fn mark(peers: &mut Peers, links: u64) {
    for row in rows(links) {
        if let Some(peer) = peers.at(row) {
            peers.mark(peer, Due::Broadcast);
        }
    }
}

/// Links that are not in doubt.
fn sound(peers: &Peers) -> u64 {
    let doubted = peers.iter().filter(|(_, link)| link.suspected);
    doubted.fold(peers.mask(), |links, (peer, _)| links & !bit(peer.row()))
}

/// The rows in a set of links.
fn rows(links: u64) -> impl Iterator<Item = usize> {
    let next = |rest: &u64| Some(rest & rest.wrapping_sub(1)).filter(|&rest| rest != 0);
    core::iter::successors(Some(links).filter(|&links| links != 0), next).map(|rest| rest.trailing_zeros() as usize)
}

/// The round-trip time of a link, in microseconds; a guess where it was not measured yet.
fn round_trip(peers: &Peers, row: usize, pace: &Pace) -> u32 {
    let measured = peers.at(row).and_then(|peer| peers.get(peer)).map_or(0, |link| link.round_trip);
    if measured > 0 { measured } else { pace.round_trip_guess }
}

/// So many microseconds.
const fn micros(micros: u32) -> Duration {
    Duration::from_micros(micros as u64)
}
