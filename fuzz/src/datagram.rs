//! Target `datagram`: whatever a node with a real link receives, it stays lawful.
//!
//! The bytes are a series of pieces: one byte that says who sends and how, two bytes of length, the contents. The contents
//! are either a datagram as it is, or frames, for which a valid header with a fitting tag is made. Clones of one linked
//! pair are attacked, so that each run starts from the same full tables.

use std::time::Duration;

use gossip_core::wire::Header;
use gossip_core::{Incarnation, Input, NodeId};

use crate::forge::Forger;
use crate::pair::{FRIEND, NODE, Pair, Setup, address, id};

/// The body of the target.
///
/// # Panics
///
/// If the node breaks a law.
pub fn run(data: &[u8]) {
    let mut pair = Pair::linked(Setup::default());
    let mut attack = Attack::new(&pair);
    for piece in pieces(data) {
        let (from, mut datagram) = attack.datagram(piece);
        let _ = pair.input(NODE, Input::Packet { from: address(from), datagram: &mut datagram });
        if piece.how & PAUSE != 0 {
            pair.wait(Duration::from_secs(1));
        }
    }
    // Whatever was started comes to its end: long enough for three probes and a repair.
    pair.wait(Duration::from_secs(20));
}

/// The frames are the friend's, over its link. Without it, they are a stranger's.
pub const FRIENDLY: u8 = 1;
/// The contents are a whole datagram, sent as they are.
pub const RAW: u8 = 2;
/// Time passes afterwards.
pub const PAUSE: u8 = 4;
/// Addressed to anybody, not to this node.
pub const OPEN: u8 = 8;

/// One step of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// A set of [`FRIENDLY`], [`RAW`], [`PAUSE`], [`OPEN`].
    pub how: u8,
    /// A datagram, or frames.
    pub contents: &'a [u8],
}

impl Piece<'_> {
    /// Appends the piece to the bytes that [`run`] takes.
    ///
    /// # Panics
    ///
    /// If the contents are longer than 65,535 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.how);
        out.extend(u16::try_from(self.contents.len()).expect("a datagram is not that long").to_le_bytes());
        out.extend(self.contents);
    }
}

/// The pieces of an attack; a last one whose length is too large takes what is left.
pub fn pieces(mut data: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (&[how, low, high], rest) = data.split_first_chunk()?;
        let (contents, rest) = rest.split_at(usize::from(u16::from_le_bytes([low, high])).min(rest.len()));
        data = rest;
        Some(Piece { how, contents })
    })
}

/// Where the attackers' numbers stand.
struct Attack {
    forger: Forger,
    friend: Incarnation,
    /// The friend's datagrams continue its link; a stranger counts from 1.
    numbers: [u64; 2],
}

impl Attack {
    fn new(pair: &Pair) -> Self {
        let last = pair.overheard[FRIEND].as_deref().and_then(|datagram| Header::parse(datagram).ok());
        Self {
            forger: Forger::new(pair.node(NODE).config()),
            friend: pair.node(FRIEND).incarnation(),
            numbers: [last.map_or(0, |header| header.number), 0],
        }
    }

    fn datagram(&mut self, piece: Piece<'_>) -> (usize, Vec<u8>) {
        let stranger = usize::from(piece.how & FRIENDLY == 0);
        let from = FRIEND + stranger;
        if piece.how & RAW != 0 {
            return (from, piece.contents.to_vec());
        }
        self.numbers[stranger] = self.numbers[stranger].saturating_add(1);
        let (sender, incarnation): (NodeId, _) =
            if stranger == 0 { (id(FRIEND), self.friend) } else { (id(from), Incarnation(1)) };
        let to = (piece.how & OPEN == 0).then_some(id(NODE));
        (from, self.forger.datagram(sender, incarnation, self.numbers[stranger], to, piece.contents))
    }
}
