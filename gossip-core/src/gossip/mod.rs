//! The public verbs, and the order of calls.
//!
//! Every verb of an input goes the same way: the time is taken over, the router does the work, and what follows from it is
//! marks in tables. Every poll of an output looks for the next mark.

mod life;
mod views;

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::auth::{Auth, Subkey};
use crate::config::{Config, Membership};
use crate::error::{JoinError, SubmitError};
use crate::event::{Event, Order, Scope};
use crate::ids::{MessageId, Version};
use crate::io::Transmit;
use crate::leave::Phase;
use crate::members::{Concern, Members};
use crate::membership::View;
use crate::mtu::Mtus;
use crate::order;
use crate::pacer::Pacer;
use crate::peer::Peers;
use crate::persist::{Gate, PersistSeq, Record};
use crate::protocol::Me;
use crate::record::Clock;
use crate::route::Protocols;
use crate::stats::Stats;
use crate::storage::Bits;
use crate::store::{Messages, NewMessage, Origins, Row};
use crate::time::Instant;
use crate::view::Reason;
use crate::wire::{Chunk, HEADER_LEN};

/// One node of a gossip cluster, as a state machine without I/O.
///
/// Input verbs take the time and change the state; they never block and never call back. Output polls are pulled until
/// they answer `None`, in any order, each whenever it suits. See the [crate's first page](crate) for the loop.
///
/// A clone goes on by itself from the same state, and makes the same decisions from the same inputs. It must not speak to
/// the same network: it has the same id and would repeat the numbers of datagrams.
#[derive(Clone, Debug)]
pub struct Gossip {
    pub(crate) config: Config,
    pub(crate) auth: Auth,
    pub(crate) me: Me,
    pub(crate) subkey: Subkey,
    /// The latest time that the caller has told, in the core's own time ([`Instant::inward`]).
    pub(crate) now: Instant,
    /// The last time that the caller has told, as it was told; earlier than `now` where its clock went back.
    told: Instant,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
    pub(crate) peers: Peers,
    pub(crate) mtus: Mtus,
    pub(crate) pacer: Pacer,
    pub(crate) members: Members,
    pub(crate) view: View,
    pub(crate) origins: Origins,
    pub(crate) messages: Messages,
    pub(crate) stats: Stats,
    pub(crate) protocols: Protocols,
    /// The row of this node's own messages.
    pub(crate) own_row: Row,
    /// The number of this node's last fifo message.
    last_fifo: u64,
    /// The incarnation was raised once, and stays now.
    raised: bool,
    pub(crate) phase: Phase,
    /// When to look for what is older than the horizon.
    pub(crate) sweep_at: Instant,
    /// Origins with a gap of which the application is to be told.
    pub(crate) untold_gaps: Bits,
    /// Origins of which something is to be recorded.
    pub(crate) unrecorded_origins: Bits,
    /// Those of which a loss is to be recorded: what it lets in is not delivered before.
    pub(crate) unrecorded_losses: Bits,
    /// Messages of the earlier life for which there was no room, to be removed from its records, and whether they were
    /// acknowledged. No more than there were records; the only heap beyond [`Limits::bytes`](crate::Limits::bytes).
    pub(crate) purged: Vec<(MessageId, bool)>,
    /// Messages whose acknowledgement is to be recorded.
    pub(crate) unrecorded_acknowledgements: Bits,
}

/// The longest chain of things that make each other due within one tick, with room to spare.
const TICK_ROUNDS: usize = 8;

impl Gossip {
    // ---- input events

    /// A datagram came from `from`; it is opened in place. Never fails: what is wrong with it is counted in [`Stats`].
    ///
    /// The work is bounded, whatever it contains.
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.advance(now);
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += datagram.len() as u64;
        if !self.phase.is_over() {
            self.on_datagram(from, datagram);
        }
    }

    /// Time has passed. Early or needless calls are harmless; a late one delays what was due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        if self.phase.is_over() {
            return;
        }
        // What is done in a tick can make something else due at once: a link that ends, the search for another one.
        for _ in 0..TICK_ROUNDS {
            self.run_timeouts();
            if self.sweep_at <= self.now {
                self.sweep();
            }
            self.run_leave();
            if self.next_deadline().is_none_or(|(at, _)| at > self.now) {
                return;
            }
        }
        debug_assert!(false, "{:?} stays due", self.next_deadline());
    }

    /// Accepts a message for everybody. Its id is unique for ever.
    ///
    /// Spreading starts with the next datagrams. On a node that stays up the message reaches every node that stays
    /// connected with it, or that node is told of a [`Event::Gap`]. What does not fit into one datagram goes in chunks, each
    /// with a sequence number of its own: the message has the number of the first.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Busy`] while there is no room that may be made, while more than [`Limits::window`](crate::Limits::window)
    /// own messages (each chunk counted) would be with nobody else yet, or while own messages have not left that take a second
    /// of the [`Budget`](crate::Budget): try again later. [`SubmitError::TooLarge`] beyond
    /// [`Gossip::payload_max`]. [`SubmitError::Leaving`] after [`Gossip::leave`]. Nothing was accepted then.
    pub fn submit(&mut self, now: Instant, order: Order, payload: &[u8]) -> Result<MessageId, SubmitError> {
        self.advance(now);
        self.phase.check_active()?;
        let (max, limit) = self.payload_limit();
        if payload.len() > max {
            return Err(SubmitError::TooLarge { max, limit });
        }
        let size = self.chunk_size(payload.len());
        let count = payload.len().div_ceil(size).max(1);
        let id8 = self.me.node.0.to_le_bytes();
        let path: &[u8] = if self.config.trace_path { &id8 } else { &[] };
        // Beyond the window of those who have nothing yet, messages would be refused by everybody.
        let ahead = u64::from(self.messages.unshared()) + count as u64 > self.origins.window();
        let len = count * path.len() + payload.len();
        let crowds = count > 1 && !self.messages.leaves_room(count as u32, len);
        if ahead || crowds || self.is_congested(len) || !self.make_room(count as u32, len) {
            return Err(SubmitError::Busy);
        }
        let id = self.submit_chunks(order, path, payload, size, count as u16);
        self.stats.submitted += 1;
        Ok(id)
    }

    /// Whether own messages that have not left yet, and `len` bytes more, are more than leaves in a second.
    fn is_congested(&self, len: usize) -> bool {
        let unsent = self.messages.unsent() as usize;
        let second = self.config.budget.map_or(usize::MAX, |budget| budget.bytes_per_second as usize);
        unsent > 0 && unsent + len > second
    }

    /// Accepts an own message, for which there is room, in `count` chunks of `size` bytes. Its id is that of the first one.
    fn submit_chunks(&mut self, order: Order, path: &[u8], payload: &[u8], size: usize, count: u16) -> MessageId {
        let (row, unshared) = (self.own_row, true);
        let first = self.origins.get(row).map_or(0, |origin| origin.top) + 1;
        let id = MessageId { origin: self.me.node, incarnation: self.me.incarnation, seq: first };
        let fifo = Some(self.last_fifo).filter(|&last| order == Order::Fifo && last > 0);
        for index in 0..count {
            let seq = first + u64::from(index);
            let start = usize::from(index) * size;
            let payload = &payload[start..payload.len().min(start + size)];
            let id = MessageId { seq, ..id };
            let (previous, chunk) = (fifo.map_or(0, |last| seq - last), Chunk { index, count });
            let new = NewMessage { id, row, order, previous, chunk, hops: 0, age_ms: 0, path, payload, unshared };
            self.accept(&new, None, 0, false);
        }
        if order == Order::Fifo {
            self.last_fifo = first + u64::from(count) - 1;
        }
        self.stats.chunks_submitted += if count > 1 { count.into() } else { 0 };
        if let Some(slot) = self.messages.find(row, first).filter(|_| self.config.deliver_own) {
            self.messages.gather(slot);
            order::admit_whole(&mut self.origins, &mut self.messages, slot);
        }
        id
    }

    /// Sets one of this node's own registers: everybody will know the newest value of each key.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Key`] for a key that is empty, longer than [`KEY_MAX`](crate::KEY_MAX) bytes or starts with a
    /// zero byte; [`SubmitError::TooLarge`] for a value that does not fit in one datagram beside its key;
    /// [`SubmitError::TooManyRegisters`] and [`SubmitError::RegisterBytes`] without room; [`SubmitError::NotYet`] for
    /// [`Scope::Shared`]; [`SubmitError::Leaving`] after [`Gossip::leave`]. Nothing was changed then.
    pub fn set(&mut self, now: Instant, scope: Scope, key: &str, value: &[u8]) -> Result<Version, SubmitError> {
        self.change(now, scope, key, Some(value))
    }

    /// Removes one of this node's own registers. Removing what is not there is a change too.
    ///
    /// # Errors
    ///
    /// As [`Gossip::set`], except [`SubmitError::TooLarge`]: there is no value.
    pub fn remove(&mut self, now: Instant, scope: Scope, key: &str) -> Result<Version, SubmitError> {
        self.change(now, scope, key, None)
    }

    fn change(&mut self, now: Instant, scope: Scope, key: &str, value: Option<&[u8]>) -> Result<Version, SubmitError> {
        self.advance(now);
        self.phase.check_active()?;
        if scope == Scope::Shared {
            return Err(SubmitError::NotYet);
        }
        let (mut cx, protocols) = self.split();
        protocols.registers.set(&mut cx, key, value)
    }

    /// The application is done with a message: with [`Redelivery::UntilAcknowledged`](crate::Redelivery) it is not
    /// delivered again after a restart. Without effect on a message that is not stored any more.
    pub fn acknowledge(&mut self, id: MessageId) {
        let Some(slot) = self.find(id) else { return };
        let Some(message) = self.messages.get_mut(slot) else { return };
        if !message.acknowledged {
            message.acknowledged = true;
            if self.gate.is_enabled() {
                self.unrecorded_acknowledgements.set(slot as usize);
            }
        }
    }

    /// Adds a contact, which is greeted until somebody there answers, and again whenever its link ends or this node has
    /// no link. Kept until [`Gossip::forget`]; adding it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`JoinError`] if nothing can be sent there, if all places are taken, if the node's neighbors are configured, or
    /// if it is leaving. Nothing was added then.
    pub fn join(&mut self, now: Instant, contact: SocketAddr) -> Result<(), JoinError> {
        self.advance(now);
        if self.phase.check_active().is_err() {
            return Err(JoinError::Leaving);
        }
        if self.protocols.membership.is_static() {
            return Err(JoinError::Static);
        }
        if !crate::membership::is_usable(contact) {
            return Err(JoinError::Address);
        }
        if self.protocols.membership.add_contact(self.now, contact, self.peers.len() > 0) {
            Ok(())
        } else {
            Err(JoinError::TooManyContacts { max: self.config.limits.contacts.into() })
        }
    }

    /// Drops a contact. A link with who lives there stays.
    pub fn forget(&mut self, contact: SocketAddr) {
        self.protocols.membership.forget_contact(contact);
    }

    /// Starts to leave: hands over what only this node holds, says goodbye, and ends with [`Event::Left`], at the latest
    /// after 20 times the configured probe timeout. Go on with the loop until then; after it, nothing is sent.
    pub fn leave(&mut self, now: Instant) {
        self.advance(now);
        self.start_leave();
    }

    /// The system refused a datagram of `len` bytes to `to`, because no path there takes one of that length (`EMSGSIZE`);
    /// of several at once, `len` is [`Transmit::segment_size`].
    ///
    /// It counts as lost. For ten minutes the datagrams to that address are shorter by a step: at most 31,952, 17,866,
    /// 8,118, 4,304, 1,954, 1,444, 1,232, 958, 460 or [`MTU_MIN`](crate::MTU_MIN) bytes, the first of these that is
    /// below `len`. Messages and registers that do not fit any more are not sent there ([`Stats::unsendable`]).
    pub fn handle_too_long(&mut self, now: Instant, to: SocketAddr, len: usize) {
        self.advance(now);
        self.stats.too_long += 1;
        self.mtus.lower(self.now, to, len);
    }

    /// All records up to `upto` are durable.
    pub fn handle_persisted(&mut self, now: Instant, upto: PersistSeq) {
        self.advance(now);
        self.gate.confirm(upto);
    }

    // ---- output actions

    /// The next datagram, composed in `buffer` with the freshest contents; none when nothing is owed to anybody.
    ///
    /// Where the buffer is longer than [`Config::mtu`], several datagrams of equal length may be composed for one peer: all
    /// but the last have [`Transmit::segment_size`] bytes.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than [`Config::mtu`].
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let mtu = usize::from(self.config.mtu);
        assert!(buffer.len() >= mtu, "the buffer holds {} bytes, and the mtu is {mtu}", buffer.len());
        self.advance(now);
        if !self.gate.may_speak() || self.phase.is_over() {
            return None;
        }
        if let Some(transmit) = self.compose_greeting(buffer) {
            return Some(transmit);
        }
        while let Some(peer) = self.peers.most_urgent(self.pacer.is_open(self.now)) {
            let to = self.peers.get(peer)?.address;
            let len = self.compose_owed(peer, &mut buffer[..mtu]);
            if len == 0 {
                continue;
            }
            let segment = self.seal(peer, &mut buffer[..HEADER_LEN + len]);
            if segment == 0 {
                continue;
            }
            let len = self.compose_more(peer, buffer, segment);
            return Some(Transmit { to, len, segment_size: (len > segment).then_some(segment) });
        }
        None
    }

    /// The next thing to tell the application. Take it only when there is room for it: what is not taken waits here, and
    /// what waits too long for the store becomes a [`Event::Gap`].
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(gap) = self.next_gap() {
            return Some(gap);
        }
        let (gate, losses) = (&self.gate, &self.unrecorded_losses);
        let may_go = |row, record| gate.is_durable(record) && !losses.contains(row as usize);
        if let Some((delivery, chunks)) = self.messages.next_ready(may_go) {
            self.stats.delivered += 1;
            self.stats.assembled += u64::from(chunks > 1);
            return Some(Event::Deliver(delivery));
        }
        self.protocols
            .registers
            .next_event(&self.members)
            .or_else(|| self.protocols.membership.next_event())
            .or_else(|| self.protocols.sampler.next_event())
            .or_else(|| self.next_peer_event())
            .or_else(|| self.protocols.membership.next_isolation())
            .or_else(|| self.phase.next_event())
    }

    fn next_gap(&mut self) -> Option<Event> {
        let row = self.untold_gaps.first()?;
        self.untold_gaps.clear(row);
        let origin = self.origins.get_mut(row as Row)?;
        let (first, last) = origin.gap.take()?;
        Some(Event::Gap { origin: origin.node, incarnation: origin.incarnation, first, last })
    }

    fn next_peer_event(&mut self) -> Option<Event> {
        let concern = match self.config.membership {
            Membership::Full => Concern::Members,
            Membership::Sampled { .. } => Concern::Links,
            Membership::Static { .. } => Concern::Neighbors,
        };
        loop {
            let row = self.members.next_changed()?;
            let others = self.members.get_mut(row).filter(|member| member.node != self.me.node);
            let event = others.and_then(|member| member.next_event(concern));
            if event.is_some() {
                return event;
            }
        }
    }

    /// The next thing to make durable; none without [`Durability::Records`](crate::Durability::Records).
    #[must_use]
    pub fn poll_persist(&mut self) -> Option<Record> {
        if self.gate.is_enabled() { self.next_record() } else { None }
    }

    /// When to call [`Gossip::handle_timeout`] next, given that all outputs were drained. What was left undrained is no
    /// deadline: a full socket must not make the loop spin.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        // What is due already is due at once, also where the caller's clock is behind.
        self.next_deadline().map(|(at, _)| if at <= self.now { self.told } else { at.outward() })
    }

    /// Why [`Gossip::poll_timeout`] wants that tick.
    pub fn timeout_reason(&self) -> Option<Reason> {
        self.next_deadline().map(|(_, reason)| reason)
    }

    /// In the core's own time.
    fn next_deadline(&self) -> Option<(Instant, Reason)> {
        if self.phase.is_over() {
            return None;
        }
        let own = [
            (self.sweep_at, Reason::Expiry),
            (self.phase.deadline(), Reason::Leave),
            (self.paced_until(), Reason::Pace),
        ];
        let theirs = self.protocols.each().map(|protocol| (protocol.deadline(), protocol.reason()));
        let (at, reason) = own.into_iter().chain(theirs).min_by_key(|&(at, _)| at)?;
        (at != Instant::NEVER).then_some((at, reason))
    }

    // ---- inside

    /// Time does not go back: an earlier `now` counts as the latest one.
    fn advance(&mut self, now: Instant) {
        let own = now.inward();
        if own < self.now {
            self.stats.time_went_back += 1;
        }
        self.now = self.now.max(own);
        self.told = now;
    }

    /// When the budget allows what waits for it. What is held back by nothing but the caller has no deadline.
    fn paced_until(&self) -> Instant {
        let waits = self.peers.owes_patiently() || self.protocols.broadcast.owes_roots();
        if waits && !self.pacer.is_open(self.now) { self.pacer.opens_at() } else { Instant::NEVER }
    }

    fn find(&self, id: MessageId) -> Option<crate::store::Slot> {
        self.messages.find(self.origins.find(id.origin, id.incarnation)?, id.seq)
    }
}
