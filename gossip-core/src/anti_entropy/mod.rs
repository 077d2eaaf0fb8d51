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
//! - What is younger than `grace` (two rounds of a rumor, four where it waits for rounds; with a tree two repair periods) is neither sent unasked nor pulled: it is probably under way.
//! - Messages that a tree spreads are compared by digests of the latest ones, which also say what the frontiers are without
//!   those (`broadcast::tree::older`). So as long as messages come, nothing else is compared unless a link is new, or the
//!   older ones differ. Without digests the table is compared whenever it has changed.
//! - While something is missing, one link in turn gets a `Pull` every quarter of `repair_period`, for the holes of all origins.
//! - What lies beyond the highest number seen is not pulled within `grace` after something new of its origin came: more of it
//!   is probably under way. Of a message in chunks only the first is sent unasked; the others are pulled.
//! - The first hole of an origin is given up when (a) all links say *gone*; or (b) one said *gone*, `patience` (30 repair
//!   periods) has passed, and all others have said *lacking* after that: it was thrown away where it was had, and nobody
//!   fetched it since; or
//!   (c) it has been missing for the horizon, after which any copy is refused for its age.
//! - A page that names an unknown origin makes a row; what the writer does not hold any more is a hole like any other.
//!   Only where the origin has been silent for half of the horizon it is passed over without a word: then nobody who was
//!   there the whole time can have missed it, and who was away for so long starts afresh.
//!
//! # Bounds
//!
//! A page makes its reader walk its own table once; a `Pull` costs at most [`WORK_MAX`] look-ups. A `Pull` names at most
//! [`RANGES_MAX`] ranges, the first hole of each origin before any other; what did not fit comes first when the same link is
//! asked again. Answers wait in `2 × links` places, those for one link in no more than are free, and are dropped
//! beyond (the asker asks again). A lost datagram costs one
//! turn.
//!
//! # Sources, and where this differs
//!
//! Comparing by checksum first is Demers et al. 1987 §1.3; frontiers with exceptions are version vectors with exceptions
//! (Malkhi and Terry 2005). Bimodal multicast (Birman et al. 1999) also repairs a best-effort spread, but gives up in
//! silence.

mod answering;
mod asking;
mod comparing;
mod judging;

use core::time::Duration;

use alloc::boxed::Box;
use alloc::vec;

use crate::broadcast::{len_max, pass_over};
use crate::comparison::Comparison;
use crate::config::{Broadcast, Config, Repair};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol, Table};
use crate::storage::{Bits, Grid, Slots};
#[cfg(any(test, feature = "__internals"))]
use crate::store::Messages;
use crate::store::Slot;
use crate::time::Instant;
use crate::view::Reason;
use crate::wire::{Data, PageHead};

use answering::OwedAbsent;
use judging::Verdict;

/// Bytes kept for repair in each datagram: a pull of some ranges, or the head of a message and a short payload.
const SHARE: usize = 400;

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
    absences: Slots<OwedAbsent>,
    /// Links that are to be asked for what is missing.
    asked: Bits,
    /// Origins that may have holes.
    lacking: Bits,
    verdicts: Box<[Verdict]>,
    /// For each link, where the next pull begins among the origins that lack something.
    turns: Box<[u32]>,
    /// The link that was asked last.
    last: usize,
    pull_at: Instant,
    pull_period: Duration,
    grace: Duration,
    /// Younger messages are compared by digests.
    digested: Duration,
    patience: Duration,
    horizon: Duration,
    enabled: bool,
}

impl AntiEntropy {
    pub(crate) fn new(config: &Config) -> Self {
        let (limits, timing) = (&config.limits, &config.timing);
        let (links, origins) = (usize::from(limits.links), limits.origins as usize);
        let grace = match config.broadcast {
            // It finds its losses by itself, and its messages are under way for longer.
            Broadcast::Tree { .. } => 2 * timing.repair_period,
            Broadcast::Flood { .. } | Broadcast::Rumor { .. } => 2 * timing.round_period,
            // It is told in the next round after it was heard, not at once.
            Broadcast::Mongering { .. } => 4 * timing.round_period,
        };
        Self {
            comparison: Comparison::new(Due::Repair, links, timing.repair_period, config.repair == Repair::On),
            owed: Grid::new(links, limits.message_slots()),
            absences: Slots::new(2 * links),
            asked: Bits::new(links),
            lacking: Bits::new(origins),
            verdicts: (0..origins).map(|_| Verdict::NONE).collect(),
            turns: vec![0; links].into(),
            last: 0,
            pull_at: Instant::NEVER,
            pull_period: timing.repair_period / 4,
            grace,
            digested: match config.broadcast {
                Broadcast::Tree { .. } => timing.digested(),
                Broadcast::Flood { .. } | Broadcast::Rumor { .. } | Broadcast::Mongering { .. } => Duration::ZERO,
            },
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
            + links * size_of::<u32>()
            + Bits::heap_bytes(origins)
            + origins * size_of::<Verdict>()
    }

    /// Panics where something is owed to nobody, or would never be sent or asked for.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        for bits in [&self.asked, &self.lacking] {
            bits.check_invariants();
        }
        self.absences.check_invariants();
        self.owed.check_invariants();
        crate::broadcast::check_owed(&self.owed, peers, messages, Due::Repair, |_| false);
        for row in self.asked.iter() {
            let peer = peers.at(row).expect("a link is asked");
            assert!(peers.is_due(peer, Due::Repair), "a link is to be asked without a mark");
        }
        for (_, owed) in self.absences.iter() {
            assert!(peers.is_due(owed.to, Due::Repair), "an answer is owed without a mark");
        }
        assert!(self.lacking.is_empty() || self.pull_at != Instant::NEVER, "something is missing and never asked for");
        self.comparison.check_invariants(peers);
    }

    fn write_copies(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let room = cx.room(to);
        while let Some(slot) = self.owed.next_in_row(to.row(), 0) {
            match cx.messages.get(slot as Slot) {
                Some(message) if len_max(message) > room => pass_over(cx, slot as Slot),
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
                let age_ms = cx.messages.get(slot).map_or(0, |message| message.age_ms(cx.now));
                if Duration::from_millis(age_ms.into()) < self.digested {
                    self.comparison.note_news(cx.now);
                } else {
                    self.comparison.note_change(cx.now);
                }
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
                self.comparison.on_link_up(cx.now, cx.peers, peer, PageHead::START);
            }
            Fact::LinkDown { peer } => self.forget_link(peer),
            Fact::Forgotten { row } => self.forget_verdict(row),
            Fact::Differs { peer, table: Table::Messages } => self.comparison.wake(cx.now, cx.peers, peer),
            _ => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        self.comparison.on_timeout(cx.now, cx.peers);
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

fn mark_if_owed(owed: &Grid, peers: &mut Peers, to: PeerIdx) {
    if !owed.row_is_empty(to.row()) {
        peers.mark(to, Due::Repair);
    }
}
