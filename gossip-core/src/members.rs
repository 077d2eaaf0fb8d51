//! Everybody whom this node has heard of.
//!
//! # Intuition
//!
//! A register of inhabitants. Whoever owns registers is in it, and as each node publishes its own address as one of its
//! registers, that is every member of the cluster. A row says in which life a node is, where it lives, how it is, and
//! up to which version this node knows its registers; the registers themselves live next door, in
//! [`register`](crate::register).
//!
//! Rows are found by id, read in the order of ids, and drawn by chance. A row without a link is forgotten when its node
//! left or was unreachable for the horizon; where all rows are taken, a new node is refused and counted.

use core::hash::Hasher;
use core::net::SocketAddr;

use crate::event::Event;
use crate::ids::{Incarnation, NodeId};
use crate::rng::Rng;
use crate::storage::{Bits, Index, List, Order, Slots};
use crate::time::Instant;
use crate::view::PeerState;

/// A row number of [`Members`].
pub(crate) type Row = u32;

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Where it can be greeted, if it has told or been seen.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) state: PeerState,
    /// When the state became what it is; later where somebody has heard of the node since.
    pub(crate) since: Instant,
    /// What the application was told last.
    pub(crate) told: Told,
    /// Every live register up to this version is known here.
    pub(crate) complete: u64,
    /// Removed registers up to this version may have been forgotten here.
    pub(crate) floor: u64,
    /// The registers in the order of their versions.
    pub(crate) registers: List,
    /// All messages of its present life up to this number were seen or told as lost, by when what was seen of it was
    /// forgotten: should it speak again, they are not missing.
    pub(crate) forgotten: u64,
}

impl Member {
    /// What the application is to be told, if its knowledge is old.
    pub(crate) fn next_event(&mut self, is_static: bool) -> Option<Event> {
        let node = self.node;
        let was_up = matches!(self.told, Told::Up(..));
        match self.state {
            PeerState::Linked => {
                let address = self.address?;
                let up = Told::Up(self.incarnation, address);
                let news = self.told != up;
                self.told = up;
                news.then_some(Event::PeerUp { node, address })
            }
            PeerState::Down | PeerState::Left => {
                self.told = Told::Down;
                let unreachable = is_static && self.state == PeerState::Down;
                let event = if unreachable { Event::PeerUnreachable { node } } else { Event::PeerDown { node } };
                was_up.then_some(event)
            }
            PeerState::Known => None,
        }
    }
}

/// What the application knows of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Up(Incarnation, SocketAddr),
    Down,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    rows: Slots<Member>,
    index: Index,
    order: Order,
    key: (u64, u64),
    /// Rows whose state may differ from what the application was told.
    changed: Bits,
    /// How many rows are neither down nor left.
    alive: u32,
}

impl Members {
    pub(crate) fn new(capacity: usize, rng: &mut Rng) -> Self {
        Self {
            rows: Slots::new(capacity),
            index: Index::new(capacity),
            order: Order::new(capacity),
            key: (rng.u64(), rng.u64()),
            changed: Bits::new(capacity),
            alive: 0,
        }
    }

    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Member>::heap_bytes(capacity)
            + Index::heap_bytes(capacity)
            + Order::heap_bytes(capacity)
            + Bits::heap_bytes(capacity)
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

    /// Members that are neither down nor left.
    pub(crate) fn alive(&self) -> u32 {
        self.alive
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
                told: Told::Nothing,
                complete: 0,
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

    /// Drops a row whose registers are gone.
    pub(crate) fn remove(&mut self, row: Row) {
        let Some(member) = self.rows.get(row) else { return };
        debug_assert!(member.registers.is_empty(), "the registers go first");
        let (node, state) = (member.node, member.state);
        self.index.remove(self.hash(node), row);
        let position = self.position(node).expect("every row is in the order");
        self.order.remove(position);
        self.changed.clear(row as usize);
        self.rows.remove(row);
        self.alive -= u32::from(is_alive(state));
    }

    /// A node that has left stays so for the rest of its life.
    pub(crate) fn set_state(&mut self, now: Instant, row: Row, state: PeerState) {
        if self.rows.get(row).is_some_and(|member| member.state != PeerState::Left) {
            self.put_state(now, row, state);
        }
    }

    /// A node begins a new life.
    pub(crate) fn begin_anew(&mut self, now: Instant, row: Row, incarnation: Incarnation) {
        let Some(member) = self.rows.get_mut(row) else { return };
        (member.incarnation, member.floor, member.forgotten) = (incarnation, 0, 0);
        if matches!(member.state, PeerState::Down | PeerState::Left) {
            self.put_state(now, row, PeerState::Known);
        }
    }

    /// Somebody has heard of a node: whoever is not reachable from here is not forgotten before the horizon has passed
    /// since then.
    pub(crate) fn saw_alive(&mut self, row: Row, at: Instant) {
        if let Some(member) = self.rows.get_mut(row) {
            member.since = member.since.max(at);
        }
    }

    fn put_state(&mut self, now: Instant, row: Row, state: PeerState) {
        let Some(member) = self.rows.get_mut(row) else { return };
        if member.state != state {
            self.alive = self.alive + u32::from(is_alive(state)) - u32::from(is_alive(member.state));
            (member.state, member.since) = (state, now);
        }
        self.changed.set(row as usize);
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

    /// A row drawn by chance that fits: the first that does from a random place on, within 32 rows. (All places are
    /// equally likely, so a long run of rows that do not fit favors the one behind it; nothing rests on that.)
    pub(crate) fn draw(&self, rng: &mut Rng, fits: impl Fn(&Member) -> bool) -> Option<Row> {
        let count = self.order.len();
        let start = rng.below(count as u32) as usize;
        (0..count.min(32)).find_map(|step| {
            let row = self.order.get((start + step) % count)?;
            fits(self.rows.get(row)?).then_some(row)
        })
    }

    /// The next row that may have something to tell the application, and is then settled.
    pub(crate) fn next_changed(&mut self) -> Option<Row> {
        let row = self.changed.first()?;
        self.changed.clear(row);
        Some(row as Row)
    }

    /// Panics where a row cannot be found, or too many or too few are counted as alive.
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
        let alive = self.rows.iter().filter(|(_, member)| is_alive(member.state)).count();
        assert_eq!(alive, self.alive as usize, "how many members are alive");
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

const fn is_alive(state: PeerState) -> bool {
    matches!(state, PeerState::Linked | PeerState::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_sorted_and_counted() {
        let mut members = Members::new(4, &mut Rng::new(&[1; 32], 0));
        for node in [30, 10, 20] {
            members.find_or_insert(Instant::ZERO, NodeId(node), Incarnation(1)).expect("room for four");
        }
        let sorted: std::vec::Vec<_> = members.from(NodeId(15)).map(|(_, member)| member.node.0).collect();
        assert_eq!((sorted, members.alive()), (std::vec![20, 30], 3));
        let row = members.find(NodeId(20)).expect("it is there");
        members.set_state(Instant::ZERO, row, PeerState::Down);
        assert_eq!((members.alive(), members.next_changed(), members.next_changed()), (2, Some(row), None));
        members.remove(row);
        assert_eq!((members.find(NodeId(20)), members.len(), members.alive()), (None, 2, 2));
    }

    #[test]
    fn a_full_table_refuses_newcomers_only() {
        let mut members = Members::new(1, &mut Rng::new(&[1; 32], 0));
        let row = members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1));
        assert_eq!(members.find_or_insert(Instant::ZERO, NodeId(2), Incarnation(1)), None);
        assert_eq!(members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1)), row);
    }
}
