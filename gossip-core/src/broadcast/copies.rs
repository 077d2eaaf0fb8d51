//! Copies that are still to be sent, and how one is written.
//!
//! # Intuition
//!
//! A wall of pigeonholes, one row for each link, one column for each message; a slip in a hole means "this one still goes
//! there". Who decides puts slips in; who composes a datagram for a link empties its row. Where more wait than may leave
//! ([`Budget`](crate::Budget)), [`ranks`](super::ranks) say whose go first; every eighth copy is the next one by place, from
//! where the one before stopped, so that no message waits for ever. The copy itself is written only then, with the age that it
//! has then.
//!
//! Where the configuration says so, new copies wait a little before their link is marked as owed something, so that several
//! share a datagram. Whatever else is sent to that link meanwhile takes them along.

use alloc::boxed::Box;
use core::time::Duration;

use super::ranks::Ranks;
use crate::config::Config;
use crate::event::{Order, Path};
use crate::ids::NodeId;
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::Cx;
use crate::storage::{Bits, Grid};
#[cfg(any(test, feature = "__internals"))]
use crate::store::Messages;
use crate::store::{Message, Row, Slot};
use crate::time::Instant;
use crate::wire::{Blob, Chunk, Data, Kind};

/// The pigeonholes.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    /// Links by messages: a copy is to be sent.
    owed: Grid,
    ranks: Ranks,
    /// Where to go on in each link's line, and how many copies it has had.
    cursors: Box<[Cursor]>,
    /// How long copies wait for company; links whose copies do; and until when.
    delay: Duration,
    gathering: Bits,
    pub(super) gathered_at: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    slot: u32,
    served: u32,
}

/// One in so many copies goes by place and not by rank.
const BY_PLACE: u32 = 8;

impl Copies {
    pub(super) fn new(config: &Config) -> Self {
        let (links, messages) = (usize::from(config.limits.links), config.limits.message_slots());
        Self {
            owed: Grid::new(links, messages),
            ranks: Ranks::new(config),
            cursors: (0..links).map(|_| Cursor::default()).collect(),
            delay: config.timing.data_delay,
            gathering: Bits::new(links),
            gathered_at: Instant::NEVER,
        }
    }

    pub(super) const fn heap_bytes(links: usize, messages: usize, origins: usize) -> usize {
        Grid::heap_bytes(links, messages)
            + Ranks::heap_bytes(messages, origins)
            + links * size_of::<Cursor>()
            + Bits::heap_bytes(links)
    }

    /// A message was accepted; copies may be owed from now on.
    pub(super) fn admit(&mut self, slot: Slot, origin: Row) {
        self.ranks.admit(slot, origin);
    }

    /// A copy is to go to the link in `row`, if there is one.
    pub(super) fn owe(&mut self, peers: &mut Peers, row: usize, slot: Slot) {
        let Some(peer) = peers.at(row) else { return };
        self.owed.set(row, slot as usize);
        self.ranks.enter(slot);
        if self.delay.is_zero() {
            peers.mark(peer, Due::Broadcast);
        } else {
            self.gathering.set(row);
        }
    }

    /// Copies that have begun to wait for company do so from now on. What goes over one link only does not: where messages
    /// fan out each datagram that is shared spares as many as there are links, and here just one.
    pub(super) fn start_gathering(&mut self, now: Instant, peers: &mut Peers) {
        if self.gathered_at != Instant::NEVER {
            return;
        }
        match self.gathering.len_set() {
            0 => {}
            1 => {
                self.gathered_at = now;
                self.stop_gathering(now, peers);
            }
            _ => self.gathered_at = now + self.delay,
        }
    }

    /// Copies that have waited for long enough are due.
    pub(super) fn stop_gathering(&mut self, now: Instant, peers: &mut Peers) {
        if self.gathered_at > now {
            return;
        }
        self.gathered_at = Instant::NEVER;
        while let Some(row) = self.gathering.first() {
            self.gathering.clear(row);
            if let Some(peer) = peers.at(row).filter(|_| !self.owed.row_is_empty(row)) {
                peers.mark(peer, Due::Broadcast);
            }
        }
    }

    /// A copy need not go there any more. Whether one was to go.
    pub(super) fn spare(&mut self, peer: PeerIdx, slot: Slot) -> bool {
        let owed = self.owed.contains(peer.row(), slot as usize);
        self.strike(peer.row(), slot);
        owed
    }

    pub(super) fn forget_message(&mut self, slot: Slot) {
        self.owed.clear_column(slot as usize);
        self.ranks.leave(slot);
    }

    pub(super) fn forget_link(&mut self, peer: PeerIdx) {
        while let Some(slot) = self.owed.next_in_row(peer.row(), 0) {
            self.strike(peer.row(), slot as Slot);
        }
        self.gathering.clear(peer.row());
    }

    /// The next copy that is owed to the link in `row`.
    pub(super) fn next(&self, row: usize) -> Option<Slot> {
        let Cursor { slot, served } = self.cursors[row];
        let from = slot as usize;
        let by_rank = || self.ranks.sets().find_map(|set| self.owed.next_in_row_among(row, set, from));
        let next = if served % BY_PLACE == 0 { self.owed.next_in_row(row, from) } else { by_rank() };
        next.map(|slot| slot as Slot)
    }

    /// It was written, or never can be.
    pub(super) fn done(&mut self, row: usize, slot: Slot) {
        self.strike(row, slot);
        self.cursors[row] = Cursor { slot: slot + 1, served: self.cursors[row].served.wrapping_add(1) };
    }

    fn strike(&mut self, row: usize, slot: Slot) {
        self.owed.clear(row, slot as usize);
        if self.owed.column_is_empty(slot as usize) {
            self.ranks.leave(slot);
        }
    }

    /// Writes the copies owed to `to`, as many as fit.
    pub(super) fn write_all(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        while let Some(slot) = self.next(to.row()) {
            self.write_one(cx, to, slot, 0, packet)?;
            self.done(to.row(), slot);
        }
        Ok(())
    }

    /// Writes one copy for `to`. False where there is nothing to send, or it would never fit.
    pub(super) fn write_one(
        &self,
        cx: &mut Cx<'_>,
        to: PeerIdx,
        slot: Slot,
        flags: u8,
        packet: &mut Packer<'_>,
    ) -> Result<bool, Full> {
        let room = cx.room(to);
        let Some(message) = cx.messages.get(slot) else { return Ok(false) };
        if len_max(message) > room {
            pass_over(cx, slot);
            return Ok(false);
        }
        write(packet, cx.now, cx.me.node, message, flags)?;
        cx.messages.sent(cx.now, slot);
        cx.stats.data_sent += 1;
        Ok(true)
    }

    /// Panics where a copy is owed of nothing or to nobody, or would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        self.owed.check_invariants();
        self.ranks.check_invariants(|slot| !self.owed.column_is_empty(slot as usize));
        let gathers = |row| self.gathering.contains(row) && self.gathered_at != Instant::NEVER;
        check_owed(&self.owed, peers, messages, Due::Broadcast, gathers);
    }
}

/// The most bytes that the frame of a message takes, here and now or later.
pub(crate) fn len_max(message: &Message) -> usize {
    let path = message.path().len();
    let grows = 0 < path && path < Path::MAX * 8;
    let chunk = if message.chunk.is_whole() { 0 } else { Chunk::LEN_MAX };
    Data::OVERHEAD_MAX + chunk + path + if grows { 8 } else { 0 } + message.payload().len()
}

/// A copy never fits into a datagram for its link. The message grows older from now on: an own one that fits nowhere must
/// not stay for ever.
pub(crate) fn pass_over(cx: &mut Cx<'_>, slot: Slot) {
    cx.stats.unsendable += 1;
    cx.messages.sent(cx.now, slot);
}

/// Writes one message as it is now.
pub(crate) fn write(
    packet: &mut Packer<'_>,
    now: Instant,
    me: NodeId,
    message: &Message,
    flags: u8,
) -> Result<(), Full> {
    packet.frame(Kind::DATA, &data(now, me, message, flags, &mut Slots::default()))
}

/// Room for the slots of a frame that are written anew for each copy.
pub(super) struct Slots {
    path: [u8; Path::MAX * 8],
    chunk: [u8; Chunk::LEN_MAX],
}

impl Default for Slots {
    fn default() -> Self {
        Self { path: [0; Path::MAX * 8], chunk: [0; Chunk::LEN_MAX] }
    }
}

/// A message as it is now.
pub(super) fn data<'a>(now: Instant, me: NodeId, message: &'a Message, flags: u8, slots: &'a mut Slots) -> Data<'a> {
    let order = match message.order {
        Order::Unordered => 0,
        Order::Fifo => 1,
    };
    Data {
        origin: message.id.origin,
        incarnation: message.id.incarnation,
        seq: message.id.seq,
        order,
        flags,
        previous: message.previous,
        total: 0,
        age_ms: message.age_ms(now),
        hops: message.hops.saturating_add(1),
        predecessors: Blob(&[]),
        chunk: Blob(message.chunk.write(&mut slots.chunk)),
        signature: Blob(&[]),
        path: Blob(extend_path(message.path(), me, &mut slots.path)),
        payload: Blob(message.payload()),
    }
}

/// Panics where a copy is owed of nothing or to nobody, or would never be sent; some links may be `excused`.
#[cfg(any(test, feature = "__internals"))]
pub(crate) fn check_owed(owed: &Grid, peers: &Peers, messages: &Messages, due: Due, excused: impl Fn(usize) -> bool) {
    for row in 0..peers.capacity() {
        let mut copies = owed.columns_of(row).peekable();
        if copies.peek().is_some() {
            let peer = peers.at(row).expect("a copy is owed to a link");
            assert!(peers.is_due(peer, due) || excused(row), "copies are owed without a mark");
        }
        assert!(copies.all(|slot| messages.is_kept(slot as Slot)), "a copy of nothing is owed");
    }
}

/// The path with this node at its end, where the message has one and there is room.
fn extend_path<'b>(path: &[u8], me: NodeId, buffer: &'b mut [u8; Path::MAX * 8]) -> &'b [u8] {
    let len = path.len().min(buffer.len());
    buffer[..len].copy_from_slice(&path[..len]);
    let ends_here = path.ends_with(&me.0.to_le_bytes());
    let end = if len == 0 || ends_here || len + 8 > buffer.len() { len } else { len + 8 };
    if end > len {
        buffer[len..end].copy_from_slice(&me.0.to_le_bytes());
    }
    &buffer[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_grows_by_each_node_once_up_to_its_bound() {
        let mut buffer = [0; Path::MAX * 8];
        assert!(extend_path(&[], NodeId(1), &mut buffer).is_empty(), "no path was asked for");
        let one = NodeId(1).0.to_le_bytes();
        assert_eq!(extend_path(&one, NodeId(1), &mut buffer), one);
        assert_eq!(extend_path(&one, NodeId(2), &mut buffer).len(), 16);
        let full = [7; Path::MAX * 8];
        assert_eq!(extend_path(&full, NodeId(2), &mut buffer), full);
    }
}
