//! Rumor mongering: tell or ask, round by round, until it is old.
//!
//! # Intuition
//!
//! A market square, and a bell. At each stroke everybody who knows something hot turns to a neighbor drawn by chance and tells
//! it (*push*), or everybody turns to a neighbor and asks "what is new?" (*pull*), or both. Who has told in vain a few times
//! ("I had heard that") takes the matter for old and keeps quiet. Telling is quick while few know, asking while few do not:
//! the last one who has not heard asks every time, and nearly everybody whom he asks knows.
//!
//! # State
//!
//! For each message: whether it is hot; in which round it was heard, and over which link; how many contacts about it there were
//! in this round, and how many of them in vain; a counter. For each link and message "I had heard that" that is still to be said; for
//! each link "ask". One deadline for the next round of all messages.
//!
//! ```text
//! accepted ──▶ hot ──next round──▶ told, and given to who asks ──end of the round──▶ judged ──▶ hot │ old
//! ```
//!
//! # Messages
//!
//! - `Data`: a rumor, told or given to who asked.
//! - `Inquiry`: "What is new?" Answered by `Data` for each hot rumor that it does not list. It lists at most [`LISTED_MAX`]
//!   messages, heard in the last [`RECENT_ROUNDS`] rounds, with [`Feedback::Lists`]; else none.
//! - `Heard`: "These copies of yours I had heard." Never the answer to a repair.
//!
//! # Rules
//!
//! - A node's rounds lie on a grid that begins with its life. A rumor is told from the first round on that begins after it
//!   was heard: half a period later, on average.
//! - A copy is *in vain* if its receiver knew the message when its own present round began: two copies that arrive in one round
//!   were both needed, as neither sender could know of the other. Thus the state at the begin of the round counts.
//! - A round is in vain if all contacts in it were. Counters count rounds in vain in a row; a useful contact resets
//!   them. Who does not answer counts as who had not heard, so under loss a rumor lasts longer: of a share `p` lost, a counter of
//!   `k` takes about `(1 − p)^−2k` rounds. Where much is lost, small counters do.
//! - Nobody is told what he told. If he asks for it, that counts as a contact in vain and is not sent.
//! - Where nobody is left to be told, the round was in vain.
//! - Who heard a message with `ttl` hops does not pass it on.
//! - `round_period` should be at least two round trips, so that answers belong to the round of their question. Later answers count
//!   for the round in which they come.
//!
//! # Bounds
//!
//! A rumor stays hot for at most [`ROUNDS_MAX`] rounds. Per round: one draw for each hot rumor and link told, one for each link asked.
//! An `Inquiry` costs at most [`WORK_MAX`] copies, in turns where more are hot; a list at most 512 look-ups.
//! A peer can lie ("I had heard that") and so cool a rumor here, as any insider can keep quiet; `anti_entropy` does not care.
//!
//! # Sources, and where this differs
//!
//! Demers et al. 1987 §1.4: *push* and *pull*, *feedback* and *blind*, *counter* and *coin*; the rule for several contacts in a round is
//! the footnote to their Table 3 ("if any recipient needs the update, the counter is reset to 0; if all recipients did not
//! need it, one is added"), taken for pushes too: Table 1 is only met with it. Their rounds are synchronous, and so
//! are these where all nodes are born at one time and all latencies are less than a quarter of a period: `lab demers` reproduces the
//! three tables that way, with everybody linked with everybody. They draw from all sites, this draws from the links.
//! [`Feedback::Lists`] is ours: pull by difference, as in their §1.3, of what is recent. So nothing travels in vain, and the residue of
//! a large counter comes at the traffic of 1.

mod interest;

use core::time::Duration;

use alloc::boxed::Box;

use super::candidates::Candidates;
use super::copies::Copies;
use crate::anti_entropy::WORK_MAX;
use crate::config::{Config, Feedback, Spread, Stop};
use crate::ids::MessageId;
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::Cx;
use crate::rng::Rng;
use crate::storage::{Bits, Grid};
use crate::store::{Messages, Slot};
use crate::time::{Instant, micros};
use crate::wire::{Data, Frame, Heard, Kind, List};

use interest::Interest;

/// Rounds for which a rumor is hot, at most.
const ROUNDS_MAX: u32 = 255;

/// Messages that an `Inquiry` lists at most (our choice: they leave half of a datagram of 1,200 bytes).
const LISTED_MAX: usize = 32;

/// For so many rounds a message is listed, or while it is hot (our choice: by then nobody has it hot).
const RECENT_ROUNDS: u32 = 64;

/// What [`Broadcast::Mongering`](crate::Broadcast::Mongering) says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) fanout: u8,
    pub(super) ttl: u8,
    pub(super) spread: Spread,
    pub(super) stop: Stop,
    pub(super) feedback: Feedback,
}

/// The rumors.
#[derive(Clone, Debug)]
pub(super) struct Mongering {
    manner: Manner,
    period: Duration,
    /// Where the grid of rounds begins.
    born: Instant,
    pub(super) next_round: Instant,
    interests: Box<[Interest]>,
    hot: Bits,
    /// What was heard lately; only where lists are sent.
    recent: Bits,
    /// Where the next answer to an `Inquiry` begins among the hot.
    turn: usize,
    /// Links that are to be asked.
    inquiries: Bits,
    /// Links by messages: "I had heard that" is to be said.
    heard: Grid,
    rng: Rng,
}

impl Mongering {
    pub(super) fn new(config: &Config, manner: Manner, now: Instant, rng: Rng) -> Self {
        let (links, messages) = (usize::from(config.limits.links), config.limits.message_slots());
        Self {
            manner,
            period: config.timing.round_period,
            born: now,
            next_round: Instant::NEVER,
            interests: (0..messages).map(|_| Interest::NONE).collect(),
            hot: Bits::new(messages),
            recent: Bits::new(messages),
            turn: 0,
            inquiries: Bits::new(links),
            heard: Grid::new(links, messages),
            rng,
        }
    }

    pub(super) const fn heap_bytes(links: usize, messages: usize) -> usize {
        messages * size_of::<Interest>()
            + 2 * Bits::heap_bytes(messages)
            + Bits::heap_bytes(links)
            + Grid::heap_bytes(links, messages)
    }

    /// Strokes of the bell since the node was born.
    const fn strokes(&self, now: Instant) -> u64 {
        micros(now.saturating_since(self.born)) / micros(self.period)
    }

    /// Which round it is; compared in a circle.
    const fn round(&self, now: Instant) -> u32 {
        self.strokes(now) as u32
    }

    /// The next stroke of the bell is wanted.
    fn wake(&mut self, now: Instant) {
        let since_born = (self.strokes(now) + 1).saturating_mul(micros(self.period));
        self.next_round = self.next_round.min(self.born + Duration::from_micros(since_born));
    }

    /// A new message.
    pub(super) fn start(&mut self, cx: &Cx<'_>, slot: Slot, from: Option<PeerIdx>) {
        let Some(message) = cx.messages.get(slot) else { return };
        self.interests[slot as usize] = Interest::new(self.round(cx.now), from);
        if self.manner.feedback == Feedback::Lists && self.asks_for_rumors() {
            self.recent.set(slot as usize);
            self.wake(cx.now);
        }
        if message.hops < self.manner.ttl {
            self.hot.set(slot as usize);
            self.wake(cx.now);
        }
    }

    /// A copy of what is here already.
    pub(super) fn on_duplicate(&mut self, copies: &mut Copies, cx: &mut Cx<'_>, slot: Slot, from: PeerIdx, flags: u8) {
        if copies.spare(from, slot) {
            self.interests[slot as usize].in_vain();
        }
        let known = self.interests[slot as usize].learned != self.round(cx.now);
        if known && self.manner.feedback != Feedback::Blind && flags & Data::RESENT == 0 {
            self.heard.set(from.row(), slot as usize);
            cx.peers.mark(from, Due::Broadcast);
        }
    }

    pub(super) fn forget_message(&mut self, slot: Slot) {
        self.hot.clear(slot as usize);
        self.recent.clear(slot as usize);
        self.heard.clear_column(slot as usize);
    }

    /// A link began or ended.
    pub(super) fn forget_link(&mut self, now: Instant, peer: PeerIdx) {
        self.inquiries.clear(peer.row());
        self.heard.clear_row(peer.row());
        for slot in self.hot.iter() {
            self.interests[slot].forget(peer);
        }
        if self.asks_for_rumors() {
            self.wake(now);
        }
    }

    fn asks_for_rumors(&self) -> bool {
        self.manner.spread != Spread::Push
    }

    /// The next round of all that is hot, if it is time.
    pub(super) fn on_timeout(&mut self, copies: &mut Copies, cx: &mut Cx<'_>) {
        if self.next_round > cx.now {
            return;
        }
        let (round, nodes) = (self.round(cx.now), cx.size);
        let mut slot = self.hot.first();
        while let Some(at) = slot {
            if self.interests[at].is_old(round, &self.manner, nodes, &mut self.rng) {
                self.hot.clear(at);
                cx.stats.cooled += 1;
            } else if self.manner.spread != Spread::Pull {
                self.tell(copies, cx.peers, at as Slot);
            }
            slot = self.hot.next_wrapping(at + 1).filter(|&next| next > at);
        }
        self.age(round);
        self.next_round = Instant::NEVER;
        let asking = self.asks_for_rumors() && cx.peers.len() > 0;
        if asking {
            self.ask(cx.peers);
        }
        if asking || !self.hot.is_empty() || !self.recent.is_empty() {
            self.wake(cx.now);
        }
    }

    /// Tells one rumor to some links.
    fn tell(&mut self, copies: &mut Copies, peers: &mut Peers, slot: Slot) {
        let mut candidates = Candidates::of(peers);
        let interest = &mut self.interests[slot as usize];
        if let Some(row) = interest.from() {
            candidates.remove(row);
        }
        let mut alone = true;
        for _ in 0..self.manner.fanout {
            let Some(row) = candidates.draw(&mut self.rng) else { break };
            copies.owe(peers, row, slot);
            interest.contact();
            alone = false;
        }
        if alone {
            interest.contact();
            interest.in_vain();
        }
    }

    fn ask(&mut self, peers: &mut Peers) {
        let mut candidates = Candidates::of(peers);
        for _ in 0..self.manner.fanout {
            let Some(row) = candidates.draw(&mut self.rng) else { return };
            if let Some(peer) = peers.at(row) {
                self.inquiries.set(row);
                peers.mark(peer, Due::Broadcast);
            }
        }
    }

    /// What was heard long ago is listed no more.
    fn age(&mut self, round: u32) {
        let mut slot = self.recent.first();
        while let Some(at) = slot {
            if round.wrapping_sub(self.interests[at].learned) > RECENT_ROUNDS && !self.hot.contains(at) {
                self.recent.clear(at);
            }
            slot = self.recent.next_wrapping(at + 1).filter(|&next| next > at);
        }
    }

    pub(super) fn on_frame(&mut self, cx: &mut Cx<'_>, copies: &mut Copies, from: PeerIdx, frame: &Frame<'_>) {
        match frame {
            Frame::Heard(list) => {
                for heard in list.iter() {
                    if let Some(slot) = find(cx, &heard) {
                        self.interests[slot as usize].in_vain();
                        cx.messages.share(slot);
                    }
                }
            }
            Frame::Inquiry(list) => self.on_inquiry(cx, copies, from, list),
            _ => cx.stats.refused_unasked += 1,
        }
    }

    /// Gives what is hot, but for what the asker has.
    fn on_inquiry(&mut self, cx: &mut Cx<'_>, copies: &mut Copies, from: PeerIdx, list: &List<'_, Heard>) {
        let count = self.hot.len_set().min(WORK_MAX as usize);
        for _ in 0..count {
            let Some(slot) = self.hot.next_wrapping(self.turn) else { break };
            self.turn = slot + 1;
            let interest = &mut self.interests[slot];
            interest.contact();
            if interest.from() == Some(from.row()) {
                interest.in_vain();
            } else {
                copies.owe(cx.peers, from.row(), slot as Slot);
            }
        }
        for heard in list.iter() {
            let Some(slot) = find(cx, &heard) else { continue };
            cx.messages.share(slot);
            if copies.spare(from, slot) {
                self.interests[slot as usize].in_vain();
            }
        }
    }

    /// Writes what is owed to `to`, copies included.
    pub(super) fn on_transmit(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &mut Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        self.write_heard(cx, to, packet)?;
        if self.inquiries.contains(to.row()) {
            let listed = self.recent.iter().take(LISTED_MAX).filter_map(|slot| entry(cx.messages, slot));
            packet.list_or_empty(Kind::INQUIRY, listed)?;
            self.inquiries.clear(to.row());
            cx.stats.inquiries_sent += 1;
        }
        copies.write_all(cx, to, packet)
    }

    fn write_heard(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let row = to.row();
        while !self.heard.row_is_empty(row) {
            let entries = self.heard.columns_of(row).filter_map(|slot| entry(cx.messages, slot));
            let written = packet.list(Kind::HEARD, entries);
            for _ in 0..written {
                if let Some(slot) = self.heard.next_in_row(row, 0) {
                    self.heard.clear(row, slot);
                }
            }
            if written == 0 {
                return Err(Full);
            }
            cx.stats.heard_sent += written as u64;
        }
        Ok(())
    }

    /// Panics where a rumor is hot without a message or without a next round, or something is owed to nobody.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        for bits in [&self.hot, &self.recent, &self.inquiries] {
            bits.check_invariants();
        }
        for slot in self.hot.iter().chain(self.recent.iter()) {
            assert!(messages.is_kept(slot as Slot), "a rumor without a message");
            assert!(self.next_round != Instant::NEVER, "a rumor without a next round");
        }
        for row in self.inquiries.iter() {
            let peer = peers.at(row).expect("a link is asked");
            assert!(peers.is_due(peer, Due::Broadcast), "a link is to be asked without a mark");
        }
        self.heard.check_invariants();
        super::check_owed(&self.heard, peers, messages, Due::Broadcast, |_| false);
    }
}

/// The message of an entry, if it is kept here.
fn find(cx: &Cx<'_>, heard: &Heard) -> Option<Slot> {
    cx.messages.find(cx.origins.find(heard.origin, heard.incarnation)?, heard.seq)
}

fn entry(messages: &Messages, slot: usize) -> Option<Heard> {
    let MessageId { origin, incarnation, seq } = messages.get(slot as Slot)?.id;
    Some(Heard { origin, incarnation, seq })
}
