//! How a new message travels.
//!
//! # Intuition
//!
//! News in a village. In a *flood* everybody who hears something new tells all neighbors at once, except the one it
//! came from: nobody is missed, and nearly everybody hears it many times. A *rumor* is told to a few neighbors drawn by
//! chance, a few times over, and then it is old: far fewer words, and a few people never hear it. They find out by
//! comparing notes with a neighbor (`anti_entropy`), so the rumor only has to be good, not perfect.
//!
//! # State
//!
//! One bit for each link and message: "still to be sent there". For rumors, how many rounds each message has left, and
//! one deadline for the next round of all of them.
//!
//! # Messages
//!
//! `Data`, one per message and link, composed when the datagram is, so it always carries the present age. Copies that
//! repair asks for are `Data` too, written by [`write()`] here and marked as resent.
//!
//! # Bounds
//!
//! Work per accepted message is one draw per link (rumor) or one bit per link (flood); per round, that much for each hot
//! message. What came from a node with a larger MTU and does not fit into a datagram for some link is kept and delivered, but not
//! passed on there; that is counted. A message is sent at most once per link by a flood, at most `rounds` times by a rumor.
//!
//! # Sources, and where this differs
//!
//! Rumor mongering is Demers et al. 1987 §1.4, blind and with a counter of rounds (their variants with feedback belong to
//! a later step). Rounds are `⌈(ln n + 2) / fanout⌉`: after `k` random copies per node a node is missed with probability
//! about `e^−k`, so `e⁻² / n` here. Where they draw from all sites, this draws from the links; the overlay is random,
//! so to the message it is the same. A peer that sends a message is not sent it back: in the first round of a rumor it is
//! left out of the draw, and a copy that still waits for it is dropped.

use core::time::Duration;

use alloc::boxed::Box;

use crate::config::{Broadcast as Mode, Config, Rounds};
use crate::event::{Order, Path};
use crate::ids::NodeId;
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx, Peers};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::storage::{Bits, Grid};
#[cfg(any(test, feature = "__internals"))]
use crate::store::Messages;
use crate::store::{Message, Slot};
use crate::time::Instant;
use crate::view::Reason;
use crate::wire::{Blob, Data, Kind};

/// Bytes kept for new messages in each datagram: the head of a message and a short payload.
const SHARE: usize = 300;

/// ln 2 in thousandths, rounded up.
const LN_2_MILLI: u32 = 694;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    mode: Mode,
    period: Duration,
    /// Links by messages: a copy is to be sent.
    owed: Grid,
    /// Where to go on in each link's line.
    cursors: Box<[u32]>,
    /// Rounds that each message has left.
    rounds_left: Box<[u8]>,
    hot: Bits,
    next_round: Instant,
    rng: Rng,
}

impl Broadcast {
    pub(crate) fn new(config: &Config, rng: Rng) -> Self {
        let (links, messages) = (usize::from(config.limits.links), config.limits.message_slots());
        Self {
            mode: config.broadcast,
            period: config.timing.round_period,
            owed: Grid::new(links, messages),
            cursors: (0..links).map(|_| 0).collect(),
            rounds_left: (0..messages).map(|_| 0).collect(),
            hot: Bits::new(messages),
            next_round: Instant::NEVER,
            rng,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, messages: usize) -> usize {
        Grid::heap_bytes(links, messages) + links * size_of::<u32>() + messages + Bits::heap_bytes(messages)
    }

    /// A new message starts its way.
    fn start(&mut self, cx: &mut Cx<'_>, slot: Slot, from: Option<PeerIdx>) {
        let hops = cx.messages.get(slot).map_or(u8::MAX, |message| message.hops);
        match self.mode {
            Mode::Flood { ttl } if hops < ttl => {
                for row in (0..cx.peers.capacity()).filter(|&row| Some(row) != from.map(PeerIdx::row)) {
                    self.owe(cx.peers, row, slot);
                }
            }
            Mode::Flood { .. } => {}
            Mode::Rumor { fanout, rounds } => {
                self.rounds_left[slot as usize] = rounds_for(rounds, fanout, cx.members.alive()) - 1;
                self.round(cx.peers, slot, fanout, from);
                self.keep_hot(cx.now, slot);
            }
        }
    }

    fn keep_hot(&mut self, now: Instant, slot: Slot) {
        if self.rounds_left[slot as usize] == 0 {
            self.hot.clear(slot as usize);
        } else {
            self.hot.set(slot as usize);
            self.next_round = self.next_round.min(now + self.period);
        }
    }

    /// One round of one rumor: `fanout` links, drawn without repetition.
    fn round(&mut self, peers: &mut Peers, slot: Slot, fanout: u8, except: Option<PeerIdx>) {
        let mut candidates = peers.mask();
        if let Some(except) = except {
            candidates &= !(1 << except.row());
        }
        for _ in 0..fanout {
            let Some(row) = draw_bit(&mut self.rng, candidates) else { return };
            candidates &= !(1 << row);
            self.owe(peers, row as usize, slot);
        }
    }

    fn owe(&mut self, peers: &mut Peers, row: usize, slot: Slot) {
        if let Some(peer) = peers.at(row) {
            self.owed.set(row, slot as usize);
            peers.mark(peer, Due::Broadcast);
        }
    }

    /// Panics where a copy is owed of nothing or to nobody, or would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, messages: &Messages) {
        self.owed.check_invariants();
        self.hot.check_invariants();
        for slot in self.hot.iter() {
            assert!(messages.is_kept(slot as Slot), "a rumor without a message");
            assert!(self.rounds_left[slot] > 0, "a rumor without rounds");
            assert!(self.next_round != Instant::NEVER, "a rumor without a next round");
        }
        check_owed(&self.owed, peers, messages, Due::Broadcast);
    }

    fn next_round_of_all(&mut self, cx: &mut Cx<'_>) {
        self.next_round = Instant::NEVER;
        let Mode::Rumor { fanout, .. } = self.mode else { return };
        let mut slot = self.hot.first();
        while let Some(at) = slot {
            self.rounds_left[at] -= 1;
            self.round(cx.peers, at as Slot, fanout, None);
            self.keep_hot(cx.now, at as Slot);
            slot = self.hot.next_wrapping(at + 1).filter(|&next| next > at);
        }
    }
}

impl Protocol for Broadcast {
    fn due(&self) -> Option<Due> {
        Some(Due::Broadcast)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::Accepted { slot, from } => self.start(cx, slot, from),
            Fact::Duplicate { slot, from } => self.owed.clear(from.row(), slot as usize),
            Fact::Evicted { slot } => {
                self.owed.clear_column(slot as usize);
                self.hot.clear(slot as usize);
            }
            Fact::LinkUp { peer } | Fact::LinkDown { peer } => self.owed.clear_row(peer.row()),
            _ => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        if self.next_round <= cx.now {
            self.next_round_of_all(cx);
        }
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let (row, room) = (to.row(), cx.room(to));
        while let Some(slot) = self.owed.next_in_row(row, self.cursors[row] as usize) {
            match cx.messages.get(slot as Slot) {
                Some(message) if len_max(message) > room => pass_over(cx, slot as Slot),
                Some(message) => {
                    if write(packet, cx.now, cx.me.node, message, 0).is_err() {
                        return;
                    }
                    cx.messages.sent(cx.now, slot as Slot);
                    cx.stats.data_sent += 1;
                }
                None => {}
            }
            self.owed.clear(row, slot);
            self.cursors[row] = slot as u32 + 1;
        }
        cx.peers.done(to, Due::Broadcast);
    }

    fn deadline(&self) -> Instant {
        self.next_round
    }

    fn reason(&self) -> Reason {
        Reason::Round
    }
}

/// The most bytes that the frame of a message takes, here and now or later.
pub(crate) fn len_max(message: &Message) -> usize {
    let path = message.path().len();
    let grows = 0 < path && path < Path::MAX * 8;
    Data::OVERHEAD_MAX + path + if grows { 8 } else { 0 } + message.payload().len()
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
    let mut path = [0; Path::MAX * 8];
    let path = extend_path(message.path(), me, &mut path);
    let order = match message.order {
        Order::Unordered => 0,
        Order::Fifo => 1,
    };
    let data = Data {
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
        chunk: Blob(&[]),
        signature: Blob(&[]),
        path: Blob(path),
        payload: Blob(message.payload()),
    };
    packet.frame(Kind::DATA, &data)
}

/// Panics where a copy is owed of nothing or to nobody, or would never be sent.
#[cfg(any(test, feature = "__internals"))]
pub(crate) fn check_owed(owed: &Grid, peers: &Peers, messages: &Messages, due: Due) {
    for row in 0..peers.capacity() {
        let mut copies = owed.columns_of(row).peekable();
        if copies.peek().is_some() {
            let peer = peers.at(row).expect("a copy is owed to a link");
            assert!(peers.is_due(peer, due), "copies are owed without a mark");
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

/// How many rounds a rumor lasts among `n` nodes; at least one.
fn rounds_for(rounds: Rounds, fanout: u8, n: u32) -> u8 {
    match rounds {
        Rounds::Fixed(rounds) => rounds.max(1),
        Rounds::Auto => {
            let bits = u32::BITS - n.max(1).leading_zeros();
            let copies = (bits * LN_2_MILLI).div_ceil(1_000) + 2;
            u8::try_from(copies.div_ceil(u32::from(fanout.max(1)))).unwrap_or(u8::MAX).max(1)
        }
    }
}

/// A set bit of `bits`, drawn by chance.
fn draw_bit(rng: &mut Rng, bits: u64) -> Option<u32> {
    let skip = rng.below(bits.count_ones());
    let rest = (0..skip).fold(bits, |rest, _| rest & rest.wrapping_sub(1));
    (rest != 0).then(|| rest.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_reach_everybody_with_room_to_spare() {
        for (n, fanout) in [(1_u32, 3_u8), (16, 3), (1_000, 3), (1_000, 1), (1_000_000, 5)] {
            let copies = u32::from(rounds_for(Rounds::Auto, fanout, n)) * u32::from(fanout);
            assert!(f64::from(copies) >= f64::from(n).ln() + 2.0, "{n} nodes, fan-out {fanout}: {copies} copies");
            assert!(f64::from(copies) <= f64::from(n).ln() + 4.0 + f64::from(fanout), "{n} nodes, fan-out {fanout}");
        }
        assert_eq!(rounds_for(Rounds::Fixed(2), 3, 1_000), 2);
    }

    #[test]
    fn every_bit_is_drawn_and_no_other() {
        let mut rng = Rng::new(&[3; 32], 0);
        let bits = 1 << 63 | 1 << 5 | 1;
        let drawn = (0..200).fold(0, |drawn, _| drawn | 1_u64 << draw_bit(&mut rng, bits).expect("three bits"));
        assert_eq!(drawn, bits);
        assert_eq!(draw_bit(&mut rng, 0), None);
    }

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
