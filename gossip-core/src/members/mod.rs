//! Everybody whom this node has heard of.
//!
//! # Intuition
//!
//! A register of inhabitants. Whoever owns registers is in it, and as each node publishes its own address as one of its
//! registers, that is every member of the cluster. A row says in which life a node is, where it lives, how it is, and
//! up to which version this node knows its registers; the registers themselves live next door, in
//! [`register`](crate::register).
//!
//! # Whether it lives
//!
//! Each row has a *status*: a number that only rises within one life of its node, and of two that are told the higher one
//! is true. Even is alive, odd is dead, [`LEFT`] is gone by its own will. A certificate of death adds one to an even
//! number; only the node itself adds one to an odd one (it *refutes*). So everybody comes to agree, in whatever order
//! the news arrives, and twice the number of refutations can be read off it. It is not the incarnation: that names a life
//! and never changes in it.
//!
//! The *state* is what this node makes of the status and of its own experience: a member that stands but does not
//! answer here is *unreachable*, which is nobody else's business.
//!
//! # What is compared
//!
//! The root is the sum of fingerprints of all rows that stand: node, life, status, and up to where its registers are
//! known. The dead are not in it: who never heard of one that is dead lacks nothing, and nobody is taught of it; so a
//! row can be forgotten at any time, and does not come back.
//!
//! Rows are found by id, read in the order of ids, and drawn by chance. A row without a link is forgotten when its node
//! left or was unreachable for the horizon, and with sampled membership when nothing but its name was known for some
//! minutes (a link that was given up leaves such a row); where all rows are taken, a new node is refused and counted.

mod member;
mod status;

use core::hash::Hasher;

use crate::ids::{Incarnation, NodeId};
use crate::rng::Rng;
use crate::storage::{Bits, Index, List, Order, Slots};
use crate::time::Instant;
use crate::view::PeerState;

pub(crate) use member::{Concern, LEFT, Member, Told, is_gone};
use status::is_alive;

/// A row number of [`Members`].
pub(crate) type Row = u32;

/// Rows that are looked at, at most, for one that fits.
const DRAWS_MAX: usize = 32;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    rows: Slots<Member>,
    index: Index,
    order: Order,
    key: (u64, u64),
    /// Rows whose state may differ from what the application was told.
    changed: Bits,
    /// Rows whose status has changed, of which the sub-protocols are to be told.
    turned: Bits,
    /// Rows with an accusation that nobody looks into yet.
    accused: Bits,
    /// Rows that do not answer this node, dead for all or not; and of these, those that are not.
    silent: Bits,
    unreachable: Bits,
    /// How many rows are linked or known.
    alive: u32,
    /// How many rows are dead or have left.
    gone: u32,
    /// The sum of all fingerprints.
    root: u64,
    root_key: u64,
}

impl Members {
    pub(crate) fn new(capacity: usize, root_key: u64, rng: &mut Rng) -> Self {
        Self {
            rows: Slots::new(capacity),
            index: Index::new(capacity),
            order: Order::new(capacity),
            key: (rng.u64(), rng.u64()),
            changed: Bits::new(capacity),
            turned: Bits::new(capacity),
            accused: Bits::new(capacity),
            silent: Bits::new(capacity),
            unreachable: Bits::new(capacity),
            alive: 0,
            gone: 0,
            root: 0,
            root_key,
        }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Member>::heap_bytes(capacity)
            + Index::heap_bytes(capacity)
            + Order::heap_bytes(capacity)
            + 5 * Bits::heap_bytes(capacity)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn capacity(&self) -> Row {
        self.rows.capacity() as Row
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    /// Members that are linked or known: this node included, the unreachable not.
    pub(crate) fn alive(&self) -> u32 {
        self.alive
    }

    /// Members that are not known to be dead or to have left: this node included, and the unreachable too.
    pub(crate) fn standing(&self) -> u32 {
        self.rows.len() as u32 - self.gone
    }

    /// The fingerprint of all that stand: who knows the same has the same.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    pub(crate) fn find(&self, node: NodeId) -> Option<Row> {
        self.index.find(self.hash(node), |row| self.rows.get(row).is_some_and(|member| member.node == node))
    }

    pub(crate) fn get(&self, row: Row) -> Option<&Member> {
        self.rows.get(row)
    }

    /// For columns that are no state: use [`Members::set_state`] for that.
    pub(crate) fn get_mut(&mut self, row: Row) -> Option<&mut Member> {
        self.rows.get_mut(row)
    }

    /// The row of `node`, made where there is none and where there is room.
    pub(crate) fn find_or_insert(&mut self, now: Instant, node: NodeId, incarnation: Incarnation) -> Option<Row> {
        if let Some(row) = self.find(node) {
            return Some(row);
        }
        let row = self
            .rows
            .insert(Member {
                node,
                incarnation,
                address: None,
                state: PeerState::Known,
                since: now,
                status: 0,
                refuted_at: Instant::ZERO,
                accused: 0,
                told: Told::Nothing,
                complete: 0,
                reborn: false,
                claimed: 0,
                floor: 0,
                registers: List::default(),
                forgotten: 0,
            })
            .ok()?;
        self.index.insert(self.hash(node), row).expect("the index has room for every row");
        let position = self.position(node).expect_err("the node has just been looked for in vain");
        self.order.insert(position, row).expect("the order has room for every row");
        self.alive += 1;
        Some(row)
    }

    /// Where all rows are taken, drops one that says nothing but that its node is known by hearsay, the one unchanged for
    /// longest.
    pub(crate) fn drop_hearsay(&mut self, me: NodeId) {
        let oldest = self.rows.iter().filter(|(_, member)| member.is_hearsay() && member.node != me);
        let oldest = oldest.min_by_key(|(_, member)| member.since);
        if let Some((row, _)) = oldest.filter(|_| self.is_full()) {
            self.remove(row);
        }
    }

    /// Drops a row whose registers are gone.
    pub(crate) fn remove(&mut self, row: Row) {
        let Some(member) = self.rows.get(row) else { return };
        debug_assert!(member.registers.is_empty(), "the registers go first");
        let (node, state, gone) = (member.node, member.state, member.is_gone());
        self.root = self.root.wrapping_sub(member.fingerprint(self.root_key));
        self.index.remove(self.hash(node), row);
        let position = self.position(node).expect("every row is in the order");
        self.order.remove(position);
        self.changed.clear(row as usize);
        self.turned.clear(row as usize);
        self.accused.clear(row as usize);
        self.silent.clear(row as usize);
        self.unreachable.clear(row as usize);
        self.rows.remove(row);
        self.alive -= u32::from(is_alive(state));
        self.gone -= u32::from(gone);
    }

    /// Every live register of a node up to this version is known.
    pub(crate) fn set_complete(&mut self, row: Row, complete: u64) {
        self.change(row, |member| member.complete = complete);
    }

    /// Keeps the root in step with a row.
    fn change(&mut self, row: Row, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.rows.get_mut(row) else { return };
        let before = member.fingerprint(self.root_key);
        change(member);
        if !member.is_told_up() {
            self.changed.set(row as usize);
        }
        let after = member.fingerprint(self.root_key);
        self.root = self.root.wrapping_sub(before).wrapping_add(after);
    }

    /// Rows in the order of ids, from the first with an id of at least `node`.
    pub(crate) fn from(&self, node: NodeId) -> impl Iterator<Item = (Row, &Member)> {
        let start = self.position(node).unwrap_or_else(|position| position);
        (start..self.order.len()).filter_map(|position| {
            let row = self.order.get(position)?;
            Some((row, self.rows.get(row)?))
        })
    }

    /// All rows in the order of ids, from a place on that `start` chooses, in a circle.
    pub(crate) fn circle(&self, start: u64) -> impl Iterator<Item = (Row, &Member)> {
        let count = self.order.len();
        let start = (start % count.max(1) as u64) as usize;
        (0..count).filter_map(move |step| {
            let row = self.order.get((start + step) % count)?;
            Some((row, self.rows.get(row)?))
        })
    }

    /// A row drawn by chance that fits: the first that does from a random place on, within [`DRAWS_MAX`] rows. (All places are
    /// equally likely, so a long run of rows that do not fit favors the one behind it; nothing rests on that.)
    pub(crate) fn draw(&self, rng: &mut Rng, fits: impl Fn(&Member) -> bool) -> Option<Row> {
        let count = self.order.len();
        let start = rng.below(count as u32) as usize;
        (0..count.min(DRAWS_MAX)).find_map(|step| {
            let row = self.order.get((start + step) % count)?;
            fits(self.rows.get(row)?).then_some(row)
        })
    }

    /// A row drawn by chance that does not answer and fits, if only one of so many does.
    pub(crate) fn draw_silent(&self, rng: &mut Rng, fits: impl Fn(&Member) -> bool) -> Option<Row> {
        self.draw_among(&self.silent, rng, fits)
    }

    /// The same of those that are not dead for all.
    pub(crate) fn draw_unreachable(&self, rng: &mut Rng, fits: impl Fn(&Member) -> bool) -> Option<Row> {
        self.draw_among(&self.unreachable, rng, fits)
    }

    fn draw_among(&self, set: &Bits, rng: &mut Rng, fits: impl Fn(&Member) -> bool) -> Option<Row> {
        let mut at = rng.below(self.rows.capacity() as u32) as usize;
        for _ in 0..DRAWS_MAX {
            let row = set.next_wrapping(at)?;
            if fits(self.rows.get(row as Row)?) {
                return Some(row as Row);
            }
            at = row + 1;
        }
        None
    }

    /// Panics where a row cannot be found, a count or the root is wrong, or a state contradicts its status.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        self.rows.check_invariants();
        self.index.check_invariants();
        self.changed.check_invariants();
        let key = |row| self.rows.get(row).map(|member| member.node);
        self.order.check_invariants(|one, other| key(one).cmp(&key(other)));
        assert_eq!(self.order.len(), self.rows.len(), "rows in the order");
        assert!(self.order.iter().all(|row| key(row).is_some()), "the order names an empty row");
        assert!(self.changed.iter().all(|row| key(row as Row).is_some()), "an empty row has changed");
        assert!(self.rows.iter().all(|(row, member)| self.find(member.node) == Some(row)), "a row is not found");
        for (row, member) in self.rows.iter() {
            let unreachable = member.state == PeerState::Unreachable;
            assert_eq!(self.unreachable.contains(row as usize), unreachable, "node {}", member.node);
            assert_eq!(self.silent.contains(row as usize), unreachable || member.state == PeerState::Down);
        }
        let alive = self.rows.iter().filter(|(_, member)| is_alive(member.state)).count();
        assert_eq!(alive, self.alive as usize, "how many members are alive");
        let gone = self.rows.iter().filter(|(_, member)| member.is_gone()).count();
        assert_eq!(gone, self.gone as usize, "how many members are gone");
        let prints = self.rows.iter().map(|(_, member)| member.fingerprint(self.root_key));
        assert_eq!(prints.fold(0, u64::wrapping_add), self.root, "the root is the sum of all fingerprints");
        self.turned.check_invariants();
        for (_, member) in self.rows.iter() {
            let fits = match member.state {
                PeerState::Left => member.status == LEFT,
                PeerState::Down => member.is_gone() && member.status != LEFT,
                PeerState::Linked => member.status != LEFT,
                PeerState::Known | PeerState::Unreachable => !member.is_gone(),
            };
            assert!(fits, "node {} is {} with status {}", member.node, member.state, member.status);
        }
    }

    /// All rows.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Row, &Member)> {
        self.rows.iter()
    }

    fn position(&self, node: NodeId) -> Result<usize, usize> {
        self.order
            .search_by(|row| self.rows.get(row).map_or(core::cmp::Ordering::Greater, |member| member.node.cmp(&node)))
    }

    /// Keyed, so that nobody can choose ids that share a place.
    fn hash(&self, node: NodeId) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(node.0);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_sorted_and_counted() {
        let mut members = Members::new(4, 7, &mut Rng::new(&[1; 32], 0));
        for node in [30, 10, 20] {
            members.find_or_insert(Instant::ZERO, NodeId(node), Incarnation(1)).expect("room for four");
        }
        let sorted: std::vec::Vec<_> = members.from(NodeId(15)).map(|(_, member)| member.node.0).collect();
        assert_eq!((sorted, members.alive()), (std::vec![20, 30], 3));
        let row = members.find(NodeId(20)).expect("it is there");
        assert!(members.raise_status(Instant::ZERO, row, 1));
        assert_eq!((members.alive(), members.standing()), (2, 2));
        assert_eq!((members.next_changed(), members.next_changed()), (Some(row), None));
        members.check_invariants();
        members.remove(row);
        assert_eq!((members.find(NodeId(20)), members.len(), members.alive()), (None, 2, 2));
        members.check_invariants();
    }

    #[test]
    fn a_full_table_refuses_newcomers_only() {
        let mut members = Members::new(1, 7, &mut Rng::new(&[1; 32], 0));
        let row = members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1));
        assert_eq!(members.find_or_insert(Instant::ZERO, NodeId(2), Incarnation(1)), None);
        assert_eq!(members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1)), row);
    }

    #[test]
    fn who_knows_the_same_has_the_same_root_and_the_dead_are_not_in_it() {
        let root = |statuses: &[(u64, u32)]| {
            let mut members = Members::new(4, 7, &mut Rng::new(&[1; 32], 0));
            for &(node, status) in statuses {
                let row = members.find_or_insert(Instant::ZERO, NodeId(node), Incarnation(1)).expect("room");
                members.set_complete(row, 1);
                members.raise_status(Instant::ZERO, row, status);
            }
            members.root()
        };
        assert_eq!(root(&[(1, 0), (2, 2)]), root(&[(2, 2), (1, 0)]));
        assert_eq!(root(&[(1, 0), (2, 1)]), root(&[(1, 0)]));
        assert_ne!(root(&[(1, 0), (2, 2)]), root(&[(1, 0), (2, 0)]), "a refutation is compared");
    }
}
