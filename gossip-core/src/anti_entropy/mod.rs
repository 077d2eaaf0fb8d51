//! Who lacks what: finding losses, fetching them, and telling what is lost for good.
//!
//! # Intuition
//!
//! Two collectors of numbered magazines meet now and then and compare their lists. What one lacks and the other has changes
//! hands. What neither has they ask of the next collector. And when every collector whom one can ask says "I threw that
//! one away", one crosses it off the list and tells the owner of the collection: better a known gap than an endless wait.
//!
//! # State
//!
//! Per link and message one bit, "a copy is owed"; per link the state of the comparison ([`Comparison`]); per origin the
//! verdict on its first hole: which links said *gone* (had it once), which said *lacking*; a small table of answers
//! "I cannot send you this".
//!
//! # Messages
//!
//! `Root` and `Frontiers` compare (see [`comparison`](crate::comparison)); `Pull` asks for ranges, and is answered by `Data` marked
//! as resent, and by `Absent` for what cannot be sent. Whoever reads a page sends unasked what the writer lacks.
//!
//! # Rules
//!
//! - What is younger than `grace` (two rounds of a rumor; with a tree two repair periods) is neither sent unasked nor pulled: it is probably under way.
//! - While something is missing, one link in turn gets a `Pull` every quarter of `repair_period`, for the holes of all origins.
//! - The first hole of an origin is given up when (a) all links say *gone*; or (b) all have answered, one said *gone*, and
//!   `patience` (30 repair periods) has passed: it was thrown away where it was had, and nobody fetched it since; or
//!   (c) it has been missing for the horizon, after which any copy is refused for its age.
//! - A page that names an unknown origin makes a row; what the writer does not hold any more is a hole like any other.
//!   Only where the origin has been silent for half of the horizon it is passed over without a word: then nobody who was
//!   there the whole time can have missed it, and who was away for so long starts afresh.
//!
//! # Bounds
//!
//! [`WORK_MAX`] look-ups per received datagram; a `Pull` names at most [`RANGES_MAX`] ranges; answers wait in `2 × links` places
//! and are dropped beyond (the asker asks again). A lost datagram costs one turn.
//!
//! # Sources, and where this differs
//!
//! Comparing by checksum first is Demers et al. 1987 §1.3; frontiers with exceptions are version vectors with exceptions
//! (Malkhi and Terry 2005). Bimodal multicast (Birman et al. 1999) also repairs a best-effort spread, but gives up in
//! silence.

mod answering;
mod judging;

use core::ops::RangeInclusive;
use core::time::Duration;

use alloc::boxed::Box;

use crate::broadcast::len_max;
use crate::comparison::Comparison;
use crate::config::{Broadcast, Config, Repair};
use crate::ids::{Incarnation, NodeId};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol};
use crate::storage::{Bits, Grid, Slots};
use crate::store::{Messages, Origin, Row, Slot};
use crate::time::Instant;
use crate::view::Reason;
use crate::wire::{Blob, Data, Frontier, HEADER_LEN, Kind, Page, PageHead, Root, RunsBuffer, Wanted};

use answering::OwedAbsent;
use judging::Verdict;

/// Bytes kept for repair in each datagram: a pull of some ranges, or the head of a message and a short payload.
const SHARE: usize = 400;

/// How much more seldom tables are compared where a tree spreads the messages (our choice: digests compare what is recent).
const TREE_FACTOR: u32 = 4;

/// Numbers that one received datagram may make this node look up.
pub(crate) const WORK_MAX: u32 = 256;

/// Ranges in one pull.
const RANGES_MAX: usize = 32;

/// Sequence numbers at or above this are refused, so that sums cannot overflow.
pub(crate) const SEQ_MAX: u64 = 1 << 62;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct AntiEntropy {
    comparison: Comparison,
    /// Links by messages: a copy is owed.
    owed: Grid,
    /// Bytes of frames that a datagram holds.
    room: usize,
    absences: Slots<OwedAbsent>,
    /// Links that are to be asked for what is missing.
    asked: Bits,
    /// Origins that may have holes.
    lacking: Bits,
    verdicts: Box<[Verdict]>,
    /// Where the next pull begins among the origins.
    cursor: usize,
    /// The link that was asked last.
    last: usize,
    pull_at: Instant,
    pull_period: Duration,
    grace: Duration,
    patience: Duration,
    horizon: Duration,
    enabled: bool,
}

impl AntiEntropy {
    pub(crate) fn new(config: &Config) -> Self {
        let (limits, timing) = (&config.limits, &config.timing);
        let (links, origins) = (usize::from(limits.links), limits.origins as usize);
        // A tree finds its losses by itself, and its messages are under way for longer.
        let (factor, grace) = match config.broadcast {
            Broadcast::Tree { .. } => (TREE_FACTOR, 2 * timing.repair_period),
            Broadcast::Flood { .. } | Broadcast::Rumor { .. } => (1, 2 * timing.round_period),
        };
        Self {
            comparison: Comparison::new(Due::Repair, links, timing.repair_period * factor),
            owed: Grid::new(links, limits.message_slots()),
            room: usize::from(config.mtu) - HEADER_LEN,
            absences: Slots::new(2 * links),
            asked: Bits::new(links),
            lacking: Bits::new(origins),
            verdicts: (0..origins).map(|_| Verdict::NONE).collect(),
            cursor: 0,
            last: 0,
            pull_at: Instant::NEVER,
            pull_period: timing.repair_period / 4,
            grace,
            patience: 30 * timing.repair_period,
            horizon: timing.horizon,
            enabled: config.repair == Repair::On,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, messages: usize, origins: usize) -> usize {
        Comparison::heap_bytes(links)
            + Grid::heap_bytes(links, messages)
            + Slots::<OwedAbsent>::heap_bytes(2 * links)
            + Bits::heap_bytes(links)
            + Bits::heap_bytes(origins)
            + origins * size_of::<Verdict>()
    }

    pub(crate) fn on_root(&mut self, cx: &mut Cx<'_>, from: PeerIdx, root: Root) {
        if root.sum == cx.origins.root() {
            // The peer has seen all that this node has, its own messages among it.
            cx.messages.share_all();
        } else if self.enabled {
            self.comparison.owe_page(cx.peers, from);
        }
    }

    pub(crate) fn on_frontiers(&mut self, cx: &mut Cx<'_>, from: PeerIdx, page: &Page<'_, Frontier<'_>>) {
        if !self.enabled {
            return;
        }
        let mut next = Some((page.head.node, page.head.incarnation));
        for entry in page.entries.iter() {
            let key = (entry.origin, entry.incarnation);
            if let Some(start) = next {
                self.owe_unlisted(cx, from, start, Some(key));
            }
            self.compare(cx, from, &entry);
            next = successor(key);
        }
        if page.more {
            self.comparison.owe_root(cx.peers, from);
        } else if let Some(start) = next {
            self.owe_unlisted(cx, from, start, None);
        }
    }

    /// The peer has no row for these origins.
    fn owe_unlisted(
        &mut self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        start: (NodeId, Incarnation),
        end: Option<(NodeId, Incarnation)>,
    ) {
        let newest = self.newest_to_push(cx.now);
        for (_, origin) in cx.origins.from(start.0, start.1) {
            if end.is_some_and(|end| (origin.node, origin.incarnation) >= end) {
                return;
            }
            owe_held(&mut self.owed, cx.messages, origin, to, newest, |_| true);
        }
        mark_if_owed(&self.owed, cx.peers, to);
    }

    /// Compares one entry of a page.
    fn compare(&mut self, cx: &mut Cx<'_>, from: PeerIdx, entry: &Frontier<'_>) {
        let highest = entry.runs().last().map_or(entry.top, |run| *run.end());
        if highest >= SEQ_MAX || entry.low > entry.top + 1 {
            cx.stats.refused_form += 1;
            return;
        }
        let Some(row) = self.row_for(cx, entry) else { return };
        let own = (entry.origin, entry.incarnation) == (cx.me.node, cx.me.incarnation);
        if own {
            share_own(cx, row, entry);
        } else {
            cx.origins.mention(cx.now, row, highest);
            self.note_holes(cx, row);
            self.judge_entry(cx, from, row, entry);
        }
        let Some(origin) = cx.origins.get(row) else { return };
        let lacks = |seq| seq > entry.top && !entry.runs().any(|run| run.contains(&seq));
        let newest = self.newest_to_push(cx.now);
        owe_held(&mut self.owed, cx.messages, origin, from, newest, lacks);
        mark_if_owed(&self.owed, cx.peers, from);
    }

    /// The row of an origin that a page names; made where there is none, unless it would be forgotten at once.
    fn row_for(&self, cx: &mut Cx<'_>, entry: &Frontier<'_>) -> Option<Row> {
        if let Some(row) = cx.origins.find(entry.origin, entry.incarnation) {
            return Some(row);
        }
        let idle = Duration::from_millis(entry.idle_ms.into());
        if idle >= self.horizon || (entry.origin, entry.incarnation) == (cx.me.node, cx.me.incarnation) {
            return None;
        }
        let Some(row) = cx.origins.insert(cx.now, entry.origin, entry.incarnation) else {
            cx.stats.refused_origin += 1;
            return None;
        };
        if let Some(origin) = cx.origins.get_mut(row) {
            origin.heard = Instant::from_micros(cx.now.as_micros().saturating_sub(crate::time::micros(idle)));
        }
        if idle >= self.horizon / 2 {
            cx.origins.advance(cx.now, row, entry.low.saturating_sub(1));
        }
        Some(row)
    }

    /// What was accepted later is not sent unasked.
    fn newest_to_push(&self, now: Instant) -> Instant {
        Instant::from_micros(now.as_micros().saturating_sub(crate::time::micros(self.grace)))
    }

    /// Remembers that an origin has holes, and that they are to be asked for.
    pub(crate) fn note_holes(&mut self, cx: &Cx<'_>, row: Row) {
        if cx.origins.get(row).is_some_and(|origin| origin.first_hole().is_some()) {
            self.lacking.set(row as usize);
            self.pull_at = self.pull_at.min(cx.now + self.grace.max(self.pull_period));
        }
    }

    /// Asks the next link, if there is one.
    fn ask_next(&mut self, cx: &mut Cx<'_>) {
        if let Some(peer) = cx.peers.after(self.last).filter(|_| self.enabled) {
            self.last = peer.row();
            self.asked.set(peer.row());
            cx.peers.mark(peer, Due::Repair);
        }
    }

    /// Panics where something is owed to nobody, or would never be sent or asked for.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        for bits in [&self.asked, &self.lacking] {
            bits.check_invariants();
        }
        self.absences.check_invariants();
        self.owed.check_invariants();
        crate::broadcast::check_owed(&self.owed, peers, messages, Due::Repair);
        for row in self.asked.iter() {
            let peer = peers.at(row).expect("a link is asked");
            assert!(peers.is_due(peer, Due::Repair), "a link is to be asked without a mark");
        }
        for (_, owed) in self.absences.iter() {
            assert!(peers.is_due(owed.to, Due::Repair), "an answer is owed without a mark");
        }
        assert!(self.lacking.is_empty() || self.pull_at != Instant::NEVER, "something is missing and never asked for");
        if self.enabled {
            self.comparison.check_invariants(peers);
        }
    }

    /// Forgets origins that have no holes any more. True if some have.
    fn is_lacking(&mut self, cx: &Cx<'_>) -> bool {
        let mut at = self.lacking.first();
        while let Some(row) = at {
            if cx.origins.get(row as Row).is_none_or(|origin| origin.first_hole().is_none()) {
                self.lacking.clear(row);
            }
            at = self.lacking.next_wrapping(row + 1).filter(|&next| next > row);
        }
        !self.lacking.is_empty()
    }

    fn write_pull(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        if !self.asked.contains(to.row()) {
            return Ok(());
        }
        if self.wishes(cx).next().is_some() {
            let written = packet.list(Kind::PULL, self.wishes(cx));
            if written == 0 {
                return Err(Full);
            }
            cx.stats.pulls_sent += self.wishes(cx).take(written).map(|range| range.more + 1).sum::<u64>();
            self.cursor = self.cursor.wrapping_add(1);
        }
        self.asked.clear(to.row());
        Ok(())
    }

    /// What to ask for: holes that are old enough. Another origin comes first in each pull, so that one with many holes does
    /// not keep out the others.
    fn wishes(&self, cx: &Cx<'_>) -> impl Iterator<Item = Wanted> {
        let (origins, now, grace) = (&*cx.origins, cx.now, self.grace);
        let turn = self.cursor % self.lacking.len_set().max(1);
        let rows = self.lacking.iter().skip(turn).chain(self.lacking.iter().take(turn));
        rows.filter_map(|row| origins.get(row as Row))
            .filter(move |origin| now >= origin.hole_since + grace)
            .flat_map(|origin| origin.holes().map(|hole| wanted(origin, &hole)))
            .take(RANGES_MAX)
    }

    fn write_comparison(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        if let Some(head) = self.comparison.owed_page(to) {
            let paged = write_page(cx, &head, packet)?;
            self.comparison.page_written(to, paged);
        }
        if self.comparison.owes_root(to) {
            packet.frame(Kind::ROOT, &Root { sum: cx.origins.root(), rows: cx.origins.len() as u32 })?;
            self.comparison.root_written(to);
        }
        Ok(())
    }

    fn write_copies(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        while let Some(slot) = self.owed.next_in_row(to.row(), 0) {
            match cx.messages.get(slot as Slot) {
                Some(message) if len_max(message) > self.room => cx.stats.unsendable += 1,
                Some(message) => {
                    crate::broadcast::write(packet, cx.now, cx.me.node, message, Data::RESENT)?;
                    cx.messages.sent(cx.now, slot as Slot);
                    cx.stats.data_sent += 1;
                    cx.stats.repairs_sent += 1;
                }
                None => {}
            }
            self.owed.clear(to.row(), slot);
        }
        Ok(())
    }
}

impl Protocol for AntiEntropy {
    fn due(&self) -> Option<Due> {
        Some(Due::Repair)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::Accepted { slot, from, .. } => {
                if let Some(from) = from {
                    self.owed.clear(from.row(), slot as usize);
                }
                if let Some(row) = cx.messages.get(slot).map(|message| message.row) {
                    self.note_holes(cx, row);
                }
            }
            Fact::Duplicate { slot, from, .. } => self.owed.clear(from.row(), slot as usize),
            Fact::Evicted { slot } => self.owed.clear_column(slot as usize),
            Fact::LinkUp { peer } => {
                self.forget_link(peer);
                if self.enabled {
                    self.comparison.on_link_up(cx.now, cx.peers, peer);
                }
            }
            Fact::LinkDown { peer } => self.forget_link(peer),
            Fact::Silent { .. } | Fact::Lost { .. } => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        if self.enabled {
            self.comparison.on_timeout(cx.now, cx.peers);
        }
        if self.pull_at <= cx.now {
            if let Some(fact) = self.next_lost(cx) {
                return Some(fact);
            }
            self.pull_at = Instant::NEVER;
            if self.is_lacking(cx) {
                self.ask_next(cx);
                self.pull_at = cx.now + self.pull_period;
            }
        }
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let written = self
            .write_pull(cx, to, packet)
            .and_then(|()| self.write_absences(to, packet))
            .and_then(|()| self.write_comparison(cx, to, packet))
            .and_then(|()| self.write_copies(cx, to, packet));
        if written.is_ok() {
            cx.peers.done(to, Due::Repair);
        }
    }

    fn deadline(&self) -> Instant {
        self.pull_at.min(self.comparison.deadline())
    }

    fn reason(&self) -> Reason {
        Reason::Repair
    }
}

/// A page of frontiers from `head` on. Where the next one begins, if there is one.
fn write_page(cx: &Cx<'_>, head: &PageHead, packet: &mut Packer<'_>) -> Result<Option<PageHead>, Full> {
    let rows = || cx.origins.from(head.node, head.incarnation).map(|(_, origin)| origin);
    let paged = packet.page(Kind::FRONTIERS, head, rows().map(|origin| Entry { cx, origin }))?;
    let last = rows().nth(paged.entries.max(1) - 1).filter(|_| paged.more);
    let next = last.and_then(|origin| successor((origin.node, origin.incarnation)));
    Ok(next.map(|(node, incarnation)| PageHead { node, incarnation }))
}

/// An origin, to be written as a [`Frontier`]: the runs are made when it is.
struct Entry<'a> {
    cx: &'a Cx<'a>,
    origin: &'a Origin,
}

impl serde::Serialize for Entry<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, origin) = (self.cx, self.origin);
        let runs = RunsBuffer::new(origin.top, origin.seen_runs());
        let idle = cx.now.saturating_since(origin.heard).as_millis();
        let frontier = Frontier {
            origin: origin.node,
            incarnation: origin.incarnation,
            low: low(cx, origin),
            top: origin.top,
            idle_ms: u32::try_from(idle).unwrap_or(u32::MAX),
            runs: Blob(runs.as_bytes()),
        };
        frontier.serialize(serializer)
    }
}

/// Everything below this number is not held, and never will be.
fn low(cx: &Cx<'_>, origin: &Origin) -> u64 {
    let end = origin.top + 1;
    cx.messages.lowest(origin.held).map_or(end, |lowest| lowest.min(end))
}

/// Owes the held messages of an origin that the peer lacks, unless they are too young. Newest first, as what is
/// missing is mostly new.
fn owe_held(
    owed: &mut Grid,
    messages: &Messages,
    origin: &Origin,
    to: PeerIdx,
    newest: Instant,
    lacks: impl Fn(u64) -> bool,
) {
    for (slot, message) in messages.held(origin.held) {
        if message.accepted_at <= newest && lacks(message.id.seq) {
            owed.set(to.row(), slot as usize);
        }
    }
}

fn mark_if_owed(owed: &Grid, peers: &mut Peers, to: PeerIdx) {
    if !owed.row_is_empty(to.row()) {
        peers.mark(to, Due::Repair);
    }
}

/// What a peer has of this node's own messages is not this node's alone any more.
fn share_own(cx: &mut Cx<'_>, row: Row, entry: &Frontier<'_>) {
    let Some(origin) = cx.origins.get(row) else { return };
    let mut at = origin.held.front();
    while let Some(slot) = at {
        at = cx.messages.next_held(origin.held, slot);
        let has = |seq| seq <= entry.top || entry.runs().any(|run| run.contains(&seq));
        if cx.messages.get(slot).is_some_and(|message| message.unshared && has(message.id.seq)) {
            cx.messages.share(slot);
        }
    }
}

fn wanted(origin: &Origin, hole: &RangeInclusive<u64>) -> Wanted {
    Wanted {
        origin: origin.node,
        incarnation: origin.incarnation,
        first: *hole.start(),
        more: hole.end() - hole.start(),
    }
}

/// The key after `key`; none after the last.
fn successor((node, incarnation): (NodeId, Incarnation)) -> Option<(NodeId, Incarnation)> {
    match incarnation.0.checked_add(1) {
        Some(incarnation) => Some((node, Incarnation(incarnation))),
        None => Some((NodeId(node.0.checked_add(1)?), Incarnation(0))),
    }
}
