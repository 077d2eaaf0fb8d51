//! The latest messages, under short names, and which neighbors have them.
//!
//! # Intuition
//!
//! A wheel of index cards. Each new message gets the next card, in place of the oldest one: a short name that all nodes
//! agree on, where the message hangs, and for each neighbor a tick, "has it". What has turned out of the wheel is the
//! business of `anti_entropy`.
//!
//! # Bounds
//!
//! [`CARDS_MAX`] cards, or as many as there are messages. A short name has 32 bits of a keyed hash: among 512 of them two are
//! alike once in 33,000 wheels. The second of two such messages then cannot be fetched by name, and comes by repair.

use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};

use alloc::boxed::Box;

use crate::ids::MessageId;
use crate::storage::{Grid, Index};
use crate::store::Slot;
use crate::time::Instant;

/// Cards on the wheel, at most (our choice: six seconds of 80 messages each).
pub(super) const CARDS_MAX: usize = 512;

/// A card's place on the wheel.
pub(super) type CardNo = u16;

/// On no card.
const NOWHERE: CardNo = CardNo::MAX;

/// One card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    /// The short name.
    pub(super) name: u32,
    /// Where the message is, if it is still kept.
    pub(super) slot: Option<Slot>,
    /// When it was accepted; never on an empty card.
    pub(super) at: Instant,
    /// Copies of it say so: it had to be fetched on its way.
    pub(super) alarm: bool,
}

const EMPTY: Card = Card { name: 0, slot: None, at: Instant::NEVER, alarm: false };

/// The wheel.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    cards: Box<[Card]>,
    next: usize,
    index: Index,
    /// The card of each message.
    places: Box<[CardNo]>,
    /// Links by cards: has it.
    known: Grid,
    key: u64,
}

impl Recent {
    pub(super) fn new(links: usize, messages: usize, key: u64) -> Self {
        let cards = cards(messages);
        Self {
            cards: (0..cards).map(|_| EMPTY).collect(),
            next: 0,
            index: Index::new(cards),
            places: (0..messages).map(|_| NOWHERE).collect(),
            known: Grid::new(links, cards),
            key,
        }
    }

    pub(super) const fn heap_bytes(links: usize, messages: usize) -> usize {
        let cards = cards(messages);
        cards * size_of::<Card>()
            + Index::heap_bytes(cards)
            + messages * size_of::<CardNo>()
            + Grid::heap_bytes(links, cards)
    }

    /// How many cards there are.
    pub(super) fn len(&self) -> usize {
        self.cards.len()
    }

    /// The short name of a message.
    pub(super) fn name(&self, id: MessageId) -> u32 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key, 0);
        hasher.write_u64(id.origin.0);
        hasher.write_u64(id.incarnation.0);
        hasher.write_u64(id.seq);
        hasher.finish() as u32
    }

    /// Who shares a limit with whom: what only the nodes of this cluster can foresee.
    pub(super) fn hash_address(&self, address: SocketAddr) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key, 1);
        match address.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.finish()
    }

    /// A card for a new message.
    pub(super) fn add(&mut self, now: Instant, slot: Slot, name: u32) -> CardNo {
        let at = self.next;
        self.next = (at + 1) % self.cards.len();
        let old = self.cards[at];
        if old.at != Instant::NEVER {
            self.index.remove(hash(old.name), at as u32);
            if let Some(slot) = old.slot {
                self.places[slot as usize] = NOWHERE;
            }
        }
        self.known.clear_column(at);
        self.cards[at] = Card { name, slot: Some(slot), at: now, alarm: false };
        self.index.insert(hash(name), at as u32).expect("the index has room for every card");
        self.places[slot as usize] = at as CardNo;
        at as CardNo
    }

    /// The message is not kept any more; its name is still known.
    pub(super) fn evict(&mut self, slot: Slot) {
        let place = core::mem::replace(&mut self.places[slot as usize], NOWHERE);
        if let Some(card) = self.cards.get_mut(usize::from(place)) {
            card.slot = None;
        }
    }

    /// The card of a short name.
    pub(super) fn find(&self, name: u32) -> Option<CardNo> {
        let at = self.index.find(hash(name), |at| self.cards[at as usize].name == name)?;
        Some(at as CardNo)
    }

    pub(super) fn place(&self, slot: Slot) -> Option<CardNo> {
        Some(self.places[slot as usize]).filter(|&place| place != NOWHERE)
    }

    pub(super) fn get(&self, place: CardNo) -> Card {
        self.cards[usize::from(place)]
    }

    pub(super) fn get_mut(&mut self, place: CardNo) -> &mut Card {
        &mut self.cards[usize::from(place)]
    }

    /// The card that is used next: what is known by its place is void.
    pub(super) fn upcoming(&self) -> CardNo {
        self.next as CardNo
    }

    /// All cards, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = (CardNo, Card)> + '_ {
        let places = (0..self.next).rev().chain((self.next..self.cards.len()).rev());
        places.map(|at| (at as CardNo, self.cards[at]))
    }

    /// The latest message.
    pub(super) fn newest(&self) -> Option<Card> {
        self.latest().next().map(|(_, card)| card).filter(|card| card.at != Instant::NEVER)
    }

    /// A neighbor has it.
    pub(super) fn know(&mut self, row: usize, place: CardNo) {
        self.known.set(row, place.into());
    }

    pub(super) fn knows(&self, row: usize, place: CardNo) -> bool {
        self.known.contains(row, place.into())
    }

    /// Another neighbor sits there now.
    pub(super) fn forget_link(&mut self, row: usize) {
        self.known.clear_row(row);
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, messages: &crate::store::Messages) {
        self.index.check_invariants();
        self.known.check_invariants();
        for (at, card) in self.cards.iter().enumerate() {
            let Some(slot) = card.slot else { continue };
            assert_eq!(usize::from(self.places[slot as usize]), at, "a card and its message do not agree");
            assert!(messages.is_kept(slot), "a card says that a message is kept");
        }
    }
}

const fn cards(messages: usize) -> usize {
    if messages < CARDS_MAX { messages } else { CARDS_MAX }
}

/// Names are keyed hashes already; this spreads them over all bits.
const fn hash(name: u32) -> u64 {
    super::ancestors::mix(name as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, NodeId};

    #[test]
    fn the_oldest_card_goes_first() {
        let mut recent = Recent::new(2, 3, 7);
        let places: std::vec::Vec<_> = (0..4).map(|slot| recent.add(Instant::ZERO, slot % 3, slot + 100)).collect();
        assert_eq!(places, [0, 1, 2, 0]);
        assert_eq!((recent.find(100), recent.find(101), recent.find(103)), (None, Some(1), Some(0)));
        assert_eq!(recent.place(0), Some(0));
    }

    #[test]
    fn a_name_outlives_its_message_but_no_neighbor() {
        let mut recent = Recent::new(2, 3, 7);
        let place = recent.add(Instant::ZERO, 2, 5);
        recent.know(1, place);
        recent.evict(2);
        assert_eq!((recent.find(5), recent.get(place).slot, recent.place(2)), (Some(place), None, None));
        assert!(recent.knows(1, place) && !recent.knows(0, place));
        recent.forget_link(1);
        assert!(!recent.knows(1, place));
    }

    #[test]
    fn names_are_alike_under_one_key_and_differ_by_every_part() {
        let id =
            |origin, incarnation, seq| MessageId { origin: NodeId(origin), incarnation: Incarnation(incarnation), seq };
        let (one, other) = (Recent::new(1, 1, 7), Recent::new(1, 1, 8));
        let name = one.name(id(1, 2, 3));
        assert_eq!(Recent::new(9, 9, 7).name(id(1, 2, 3)), name);
        for different in [one.name(id(2, 2, 3)), one.name(id(1, 3, 3)), one.name(id(1, 2, 4)), other.name(id(1, 2, 3))]
        {
            assert_ne!(different, name);
        }
    }
}
