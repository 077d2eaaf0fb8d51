//! The nodes that this one is linked with.
//!
//! # Intuition
//!
//! A switchboard with a fixed number of plugs. Each plug in use has a label (who, where, in which life), the state of
//! the line (the numbers of the datagrams, the key of the far end), and a row of little flags: what this node still owes
//! the far end. Whoever composes datagrams asks "which plug has the most urgent flag up?" and goes there.
//!
//! A row is made when both ends have proven their addresses to each other, and removed when the link ends. Sub-protocols
//! keep columns of their own by the row's index; a [`PeerIdx`] kept longer than the row is found out by its generation.

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::auth::{Subkey, Window};
use crate::ids::{Incarnation, NodeId};
use crate::storage::Bits;
use crate::time::Instant;

/// A row of [`Peers`]: which plug, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdx {
    index: u16,
    generation: u16,
}

impl PeerIdx {
    /// The row number, for columns of sub-protocols.
    pub(crate) const fn row(self) -> usize {
        self.index as usize
    }
}

/// What this node can owe a peer, one kind per sub-protocol that writes frames. The order is the order of urgency, and
/// of writing into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Beats, probes, and questions about others.
    Detector = 0,
    /// What somebody lacks, and what this node lacks.
    Repair = 1,
    /// New messages.
    Broadcast = 2,
    /// Changes of registers.
    Registers = 3,
    /// Newcomers on their way.
    Membership = 4,
}

impl Due {
    /// The kinds, most urgent first.
    pub(crate) const ALL: [Self; 5] =
        [Self::Detector, Self::Repair, Self::Broadcast, Self::Registers, Self::Membership];

    /// Whether it may be sent, also where the budget is used up (`open` is false).
    pub(crate) const fn may_leave(self, open: bool) -> bool {
        open || matches!(self, Self::Detector)
    }
}

/// How many datagrams of more urgent kinds may leave while something of a kind waits for its turn at any link.
const PASSED_MAX: u8 = 8;

/// One link.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) address: SocketAddr,
    /// Opens what the peer seals.
    pub(crate) subkey: Subkey,
    /// Which datagrams of the peer have come.
    pub(crate) window: Window,
    /// When something genuine last came.
    pub(crate) heard: Instant,
    /// Kept for its low latency; the others were drawn by chance.
    pub(crate) near: bool,
    /// It does not answer at present: a replacement is looked for.
    pub(crate) suspected: bool,
    /// Smoothed round-trip time in microseconds; 0 before it was measured.
    pub(crate) round_trip: u32,
    /// When something was last sent.
    pub(crate) sent: Instant,
    /// The number of the last greeting that was answered, so that a repeated or overtaken one changes nothing.
    pub(crate) greeted: u64,
    /// The number of the latest datagram that the peer said it could not place.
    strayed: u64,
    /// Which kinds could place no frame in the last datagram, and go first in the next one: one bit for each [`Due`].
    pub(crate) turns: u8,
    /// The half of datagram numbers that is this link's alone.
    epoch: u32,
    sequence: u32,
}

impl Peer {
    /// The peer says that it could not place the datagram of this number: whether that is one of this link, and later
    /// than the last one of which it said so.
    pub(crate) fn is_news(&mut self, number: u64) -> bool {
        let sent =
            crate::wire::datagram_number(self.epoch, 1)..=crate::wire::datagram_number(self.epoch, self.sequence);
        let news = sent.contains(&number) && number > self.strayed;
        if news {
            self.strayed = number;
        }
        news
    }
}

/// The links, at most as many as configured.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    rows: Box<[Option<Peer>]>,
    /// Who is in each row, so that a search touches few bytes.
    nodes: Box<[NodeId]>,
    /// Which rows are in use.
    linked: Bits,
    generations: Box<[u16]>,
    due: [Bits; Due::ALL.len()],
    /// Where the search for the next due peer of each kind starts: takes turns among peers.
    cursors: [u16; Due::ALL.len()],
    /// How many datagrams went out for more urgent kinds since the last one for this one, while this one was owed.
    passed: [u8; Due::ALL.len()],
    len: u16,
    /// Links that a tree runs over: given up after others.
    pub(crate) trunks: u64,
    /// The latest epoch that was given out. At the end of them nothing new is begun: no number is ever used twice.
    epoch: u32,
    /// The numbers of datagrams outside of all links: an epoch, and the last sequence in it.
    open: (u32, u32),
}

impl Peers {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            rows: (0..capacity).map(|_| None).collect(),
            nodes: (0..capacity).map(|_| NodeId(0)).collect(),
            linked: Bits::new(capacity),
            generations: (0..capacity).map(|_| 0).collect(),
            due: core::array::from_fn(|_| Bits::new(capacity)),
            cursors: [0; Due::ALL.len()],
            passed: [0; Due::ALL.len()],
            len: 0,
            trunks: 0,
            epoch: 1,
            open: (1, 0),
        }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        capacity * (size_of::<Option<Peer>>() + size_of::<NodeId>() + size_of::<u16>())
            + (1 + Due::ALL.len()) * Bits::heap_bytes(capacity)
    }

    pub(crate) fn len(&self) -> usize {
        self.len.into()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Whether a tree runs over a link.
    pub(crate) fn is_trunk(&self, peer: PeerIdx) -> bool {
        self.trunks & bit(peer.row()) != 0
    }

    /// Links that are not in doubt.
    pub(crate) fn sound(&self) -> usize {
        self.iter().filter(|(_, peer)| !peer.suspected).count()
    }

    fn next_epoch(&mut self) -> Option<u32> {
        self.epoch = self.epoch.checked_add(1)?;
        Some(self.epoch)
    }

    /// A number for a datagram outside of all links, higher than the ones before. None after 2⁶⁴ of them.
    pub(crate) fn next_open_number(&mut self) -> Option<u64> {
        if self.open.1 == u32::MAX {
            self.open = (self.next_epoch()?, 0);
        }
        self.open.1 += 1;
        Some(crate::wire::datagram_number(self.open.0, self.open.1))
    }

    /// Adds a link. None where there is no room, or no epoch (after 2³² links in one life).
    pub(crate) fn insert(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        address: SocketAddr,
        subkey: Subkey,
        now: Instant,
    ) -> Option<PeerIdx> {
        debug_assert!(self.find(node).is_none(), "one link for each node");
        let index = (0..self.capacity()).find(|&row| !self.linked.contains(row))?;
        let epoch = self.next_epoch()?;
        self.rows[index] = Some(Peer {
            node,
            incarnation,
            address,
            subkey,
            window: Window::new(),
            heard: now,
            near: false,
            suspected: false,
            round_trip: 0,
            sent: now,
            greeted: 0,
            strayed: 0,
            turns: 0,
            epoch,
            sequence: 0,
        });
        self.nodes[index] = node;
        self.linked.set(index);
        self.generations[index] = self.generations[index].wrapping_add(1);
        self.len += 1;
        Some(self.idx(index))
    }

    pub(crate) fn remove(&mut self, peer: PeerIdx) -> Option<Peer> {
        self.get(peer)?;
        for due in &mut self.due {
            due.clear(peer.row());
        }
        self.len -= 1;
        self.linked.clear(peer.row());
        self.rows[peer.row()].take()
    }

    pub(crate) fn get(&self, peer: PeerIdx) -> Option<&Peer> {
        if self.generations[peer.row()] == peer.generation { self.rows[peer.row()].as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, peer: PeerIdx) -> Option<&mut Peer> {
        if self.generations[peer.row()] == peer.generation { self.rows[peer.row()].as_mut() } else { None }
    }

    /// The link with `node`. There are at most 64 rows, or 1,024 in experiments: a walk over ids is as quick as an index.
    pub(crate) fn find(&self, node: NodeId) -> Option<PeerIdx> {
        let mut from = 0;
        loop {
            let index = from + self.nodes[from..].iter().position(|&other| other == node)?;
            // Of who had the row before, the id is still there.
            if self.linked.contains(index) {
                return Some(self.idx(index));
            }
            from = index + 1;
        }
    }

    /// Whether there is a link with whoever lives at `address`.
    pub(crate) fn find_at(&self, address: SocketAddr) -> bool {
        self.rows.iter().flatten().any(|peer| peer.address == address)
    }

    /// The row as it is now, whatever it was before.
    pub(crate) fn at(&self, row: usize) -> Option<PeerIdx> {
        self.rows.get(row)?.as_ref()?;
        Some(self.idx(row))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerIdx, &Peer)> {
        self.rows.iter().enumerate().filter_map(|(index, row)| Some((self.idx(index), row.as_ref()?)))
    }

    /// The first link after `row`, in a circle: for turns.
    pub(crate) fn after(&self, row: usize) -> Option<PeerIdx> {
        let count = self.rows.len();
        (1..=count).find_map(|step| self.at((row + step) % count))
    }

    /// The set of links as one bit for each row; of the first 64 rows, where there are more.
    pub(crate) fn mask(&self) -> u64 {
        self.linked.words().first().copied().unwrap_or(0)
    }

    /// The set of links.
    pub(crate) const fn linked(&self) -> &Bits {
        &self.linked
    }

    /// The number of a datagram for `node` alone that belongs to no link any more: later than all of its link.
    pub(crate) fn next_last_number(&mut self) -> Option<u64> {
        Some(crate::wire::datagram_number(self.next_epoch()?, 1))
    }

    /// The lower half of the number that the next datagram to `peer` will have.
    pub(crate) fn upcoming(&self, peer: PeerIdx) -> u32 {
        self.get(peer).map_or(1, |row| row.sequence.wrapping_add(1).max(1))
    }

    /// The number of the next datagram to `peer`: this link's epoch, and a sequence without gaps from 1. None where
    /// there is no such link, or no number any more.
    pub(crate) fn next_number(&mut self, peer: PeerIdx) -> Option<u64> {
        if self.get(peer)?.sequence == u32::MAX {
            let fresh = self.next_epoch()?;
            let row = self.get_mut(peer)?;
            (row.epoch, row.sequence) = (fresh, 0);
        }
        let row = self.get_mut(peer)?;
        row.sequence += 1;
        Some(crate::wire::datagram_number(row.epoch, row.sequence))
    }

    pub(crate) fn mark(&mut self, peer: PeerIdx, what: Due) {
        if self.get(peer).is_some() {
            self.due[what as usize].set(peer.row());
        }
    }

    pub(crate) fn done(&mut self, peer: PeerIdx, what: Due) {
        self.due[what as usize].clear(peer.row());
    }

    pub(crate) fn is_due(&self, peer: PeerIdx, what: Due) -> bool {
        self.due[what as usize].contains(peer.row())
    }

    pub(crate) fn is_anything_due(&self, peer: PeerIdx) -> bool {
        self.due.iter().any(|due| due.contains(peer.row()))
    }

    /// Whether no peer is owed anything of this kind.
    pub(crate) fn is_settled(&self, what: Due) -> bool {
        self.due[what as usize].is_empty()
    }

    /// Whether anything is owed that waits where the budget is used up.
    pub(crate) fn owes_patiently(&self) -> bool {
        Due::ALL.into_iter().any(|due| !due.may_leave(false) && !self.is_settled(due))
    }

    /// The peer with the most urgent debt, or where a kind was passed over often, with that; peers with the same kind of debt
    /// take turns. Without budget (`open` is false) only what does not wait counts.
    pub(crate) fn most_urgent(&mut self, open: bool) -> Option<PeerIdx> {
        let owed = |due: &Due| due.may_leave(open) && !self.due[*due as usize].is_empty();
        let mut passed_over = Due::ALL.into_iter().filter(owed).filter(|&due| self.passed[due as usize] >= PASSED_MAX);
        let chosen = passed_over.next().or_else(|| Due::ALL.into_iter().find(owed))?;
        for due in Due::ALL.into_iter().filter(|&due| due as u8 > chosen as u8 && !self.due[due as usize].is_empty()) {
            self.passed[due as usize] = self.passed[due as usize].saturating_add(1);
        }
        self.passed[chosen as usize] = 0;
        let cursor = &mut self.cursors[chosen as usize];
        let index = self.due[chosen as usize].next_wrapping((*cursor).into())?;
        *cursor = ((index + 1) % self.rows.len()) as u16;
        Some(self.idx(index))
    }

    /// Panics where a debt is to nobody, a node has two links, or a number could be used twice.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len(), "how many links there are");
        self.linked.check_invariants();
        assert!(self.linked.iter().eq(self.iter().map(|(peer, _)| peer.row())), "which rows are in use");
        for due in &self.due {
            due.check_invariants();
            assert!(due.iter().all(|row| self.rows[row].is_some()), "something is owed to nobody");
        }
        for (idx, peer) in self.iter() {
            assert_eq!(self.find(peer.node), Some(idx), "node {} has two links", peer.node);
            assert!(peer.epoch <= self.epoch, "the epoch of the link with node {} lies in the future", peer.node);
            let others = self.iter().filter(|(_, other)| other.epoch == peer.epoch).count();
            assert_eq!(others, 1, "the link with node {} shares its epoch", peer.node);
        }
    }

    fn idx(&self, index: usize) -> PeerIdx {
        PeerIdx { index: index as u16, generation: self.generations[index] }
    }
}

/// A row as a set of links in one word; none of the rows beyond, for which no word has room.
pub(crate) const fn bit(row: usize) -> u64 {
    if row < u64::BITS as usize { 1 << row } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Auth, Security};

    fn peers() -> (Peers, [PeerIdx; 2]) {
        let auth = Auth::new(&Security::Plain, "test");
        let mut peers = Peers::new(3);
        let idx = [1, 2].map(|id| {
            let (node, incarnation) = (NodeId(id), Incarnation(1));
            let subkey = auth.subkey(node, incarnation);
            peers.insert(node, incarnation, ([127, 0, 0, 1], 1).into(), subkey, Instant::ZERO).expect("room for three")
        });
        (peers, idx)
    }

    #[test]
    fn a_row_kept_too_long_is_found_out() {
        let (mut peers, [first, second]) = peers();
        let old = peers.remove(first).expect("it is there");
        assert_eq!(peers.get(first).map(|row| row.node), None);
        let again = peers.insert(NodeId(3), old.incarnation, old.address, old.subkey, Instant::ZERO).expect("room");
        assert_eq!(again.row(), first.row());
        assert!(peers.get(first).is_none() && peers.get(again).is_some() && peers.get(second).is_some());
        peers.mark(first, Due::Repair);
        assert!(!peers.is_due(again, Due::Repair), "a debt to the former peer is nobody's");
    }

    #[test]
    fn the_most_urgent_kind_goes_first_and_peers_take_turns() {
        let (mut peers, [first, second]) = peers();
        peers.mark(first, Due::Registers);
        peers.mark(second, Due::Registers);
        peers.mark(second, Due::Detector);
        assert_eq!(peers.most_urgent(true), Some(second));
        peers.done(second, Due::Detector);
        assert_eq!(peers.most_urgent(true), Some(first));
        assert_eq!(peers.most_urgent(true), Some(second));
        assert_eq!(peers.most_urgent(true), Some(first));
    }

    #[test]
    fn nothing_waits_behind_more_urgent_kinds_for_ever() {
        let (mut peers, [first, second]) = peers();
        peers.mark(first, Due::Repair);
        peers.mark(second, Due::Registers);
        let turns: std::vec::Vec<_> = (0..20).map(|_| peers.most_urgent(true)).collect();
        let late = turns.iter().filter(|&&turn| turn == Some(second)).count();
        assert_eq!(late, 2, "one datagram after every {PASSED_MAX} of the more urgent kind");
    }

    #[test]
    fn without_budget_only_the_detector_speaks() {
        let (mut peers, [first, second]) = peers();
        peers.mark(first, Due::Repair);
        assert_eq!(peers.most_urgent(false), None);
        assert!(peers.owes_patiently());
        peers.mark(second, Due::Detector);
        assert_eq!(peers.most_urgent(false), Some(second));
        peers.done(first, Due::Repair);
        assert!(!peers.owes_patiently());
    }

    #[test]
    fn numbers_never_repeat() {
        let (mut peers, [first, second]) = peers();
        let mut numbers = std::vec![peers.next_number(first), peers.next_number(second), peers.next_number(first)];
        peers.get_mut(first).expect("it is there").sequence = u32::MAX;
        numbers.extend([peers.next_number(first), peers.next_number(first)]);
        assert!(numbers[3] > numbers[2] && numbers[4] == numbers[3].map(|number| number + 1));
        numbers.extend([peers.next_open_number(), peers.next_last_number()]);
        peers.open.1 = u32::MAX;
        numbers.extend([peers.next_open_number(), peers.next_open_number()]);
        assert!(numbers[5] < numbers[7] && numbers[7] < numbers[8], "numbers outside of links rise");
        assert!(numbers.iter().all(Option::is_some));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 9);
    }

    #[test]
    fn at_the_end_of_numbers_nothing_is_sent() {
        let (mut peers, [first, second]) = peers();
        peers.epoch = u32::MAX;
        for peer in [first, second] {
            peers.get_mut(peer).expect("it is there").sequence = u32::MAX - 1;
        }
        peers.open.1 = u32::MAX - 1;
        let last = [peers.next_number(first), peers.next_number(second), peers.next_open_number()];
        assert!(last.iter().all(Option::is_some) && last[0] != last[1] && last[1] != last[2]);
        assert_eq!([peers.next_number(first), peers.next_open_number(), peers.next_last_number()], [None; 3]);
        let row = peers.remove(second).expect("it is there");
        assert!(peers.insert(row.node, row.incarnation, row.address, row.subkey, Instant::ZERO).is_none());
    }
}
