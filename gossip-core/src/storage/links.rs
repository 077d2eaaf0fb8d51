//! Which row follows which.
//!
//! Children who hold hands: each knows the one before and the one behind, and nobody stands in two lines at once. The
//! hands are here ([`Links`]), one pair for each slot of some table; a line ([`List`]) is three numbers, so there may
//! be as many lines as one likes (one for each origin, say). Entering and leaving cost the same anywhere in a line, and
//! no line overflows, since its members exist already.

use super::{NONE, at, rows};
use alloc::boxed::Box;

/// The hands of one slot: `NONE` at the ends of a list, and both the slot itself where it is in no list.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

/// The links of all slots of a table; each is in at most one [`List`] over them.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    links: Box<[Link]>,
}

impl Links {
    /// The links of `capacity` slots, none in a list.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { links: (0..rows(capacity)).map(|slot| Link { previous: slot, next: slot }).collect() }
    }

    /// Bytes of heap that the links of `capacity` slots take.
    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        capacity.saturating_mul(size_of::<Link>())
    }

    /// Whether `slot` is in a list.
    pub(crate) fn is_linked(&self, slot: u32) -> bool {
        self.links[at(slot)].next != slot
    }

    /// Panics where two neighbors do not hold each other's hand.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        for (slot, link) in (0..).zip(&self.links) {
            if link.next != NONE {
                assert_eq!(self.links[at(link.next)].previous, slot, "the slot after {slot} does not know it");
            }
            if link.previous != NONE {
                assert_eq!(self.links[at(link.previous)].next, slot, "the slot before {slot} does not know it");
            }
        }
    }
}

/// A doubly linked list of slots. The caller passes the same [`Links`] each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl Default for List {
    /// The empty list.
    fn default() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }
}

impl List {
    /// Adds `slot`, which is in no list, behind all others.
    pub(crate) fn push_back(&mut self, links: &mut Links, slot: u32) {
        self.link(links, self.tail, slot, NONE);
    }

    /// Adds `slot`, which is in no list, before `position`, which is in this one.
    pub(crate) fn insert_before(&mut self, links: &mut Links, position: u32, slot: u32) {
        debug_assert!(links.is_linked(position), "slot {position} is in no list");
        self.link(links, links.links[at(position)].previous, slot, position);
    }

    /// Takes out `slot`, which is in this list.
    pub(crate) fn remove(&mut self, links: &mut Links, slot: u32) {
        debug_assert!(links.is_linked(slot), "slot {slot} is in no list");
        let Link { previous, next } = links.links[at(slot)];
        self.join(links, previous, next);
        links.links[at(slot)] = Link { previous: slot, next: slot };
        self.len -= 1;
    }

    /// Takes out the first slot.
    pub(crate) fn pop_front(&mut self, links: &mut Links) -> Option<u32> {
        let slot = self.front()?;
        self.remove(links, slot);
        Some(slot)
    }

    /// The first slot.
    pub(crate) fn front(&self) -> Option<u32> {
        some(self.head)
    }

    /// The last slot.
    pub(crate) fn back(&self) -> Option<u32> {
        some(self.tail)
    }

    /// The slot after `slot`, which is in this list.
    pub(crate) fn next(&self, links: &Links, slot: u32) -> Option<u32> {
        debug_assert!(links.is_linked(slot), "slot {slot} is in no list");
        some(links.links[at(slot)].next)
    }

    /// The slot before `slot`, which is in this list.
    pub(crate) fn previous(&self, links: &Links, slot: u32) -> Option<u32> {
        debug_assert!(links.is_linked(slot), "slot {slot} is in no list");
        some(links.links[at(slot)].previous)
    }

    /// The slots from first to last.
    pub(crate) fn iter(&self, links: &Links) -> impl Iterator<Item = u32> {
        core::iter::successors(self.front(), |slot| self.next(links, *slot))
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        at(self.len)
    }

    /// Whether there is no slot.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Panics where the list does not lead from its head to its tail in as many steps as its length says.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, links: &Links) {
        let mut last = NONE;
        // One more than there should be, so that a list that runs in a circle is found out, but ends.
        for slot in self.iter(links).take(self.len() + 1) {
            assert_eq!(links.links[at(slot)].previous, last, "slot {slot} does not know the one before");
            last = slot;
        }
        assert_eq!(self.tail, last, "tail");
        assert_eq!(self.iter(links).take(self.len() + 1).count(), self.len(), "length");
    }

    /// Puts `slot` between two neighbors, each `NONE` where the list ends.
    fn link(&mut self, links: &mut Links, previous: u32, slot: u32, next: u32) {
        debug_assert!(!links.is_linked(slot), "slot {slot} is in a list");
        self.join(links, previous, slot);
        self.join(links, slot, next);
        self.len += 1;
    }

    /// Makes two slots neighbors; `NONE` stands for the end of the list.
    fn join(&mut self, links: &mut Links, previous: u32, next: u32) {
        match previous {
            NONE => self.head = next,
            slot => links.links[at(slot)].next = next,
        }
        match next {
            NONE => self.tail = previous,
            slot => links.links[at(slot)].previous = previous,
        }
    }
}

/// The slot, unless it is `NONE`.
const fn some(slot: u32) -> Option<u32> {
    if slot == NONE { None } else { Some(slot) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const CAPACITY: u32 = 8;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        PushBack,
        InsertBefore(u32),
        PopFront,
        Remove,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![Just(Op::PushBack), (0..CAPACITY).prop_map(Op::InsertBefore), Just(Op::PopFront), Just(Op::Remove),]
    }

    /// The operation on a list and on its model, where what it demands is given.
    fn apply(op: Op, slot: u32, links: &mut Links, list: &mut List, model: &mut VecDeque<u32>) {
        let free = !links.is_linked(slot);
        let place = model.iter().position(|other| *other == slot);
        match op {
            Op::PushBack if free => {
                list.push_back(links, slot);
                model.push_back(slot);
            }
            Op::InsertBefore(position) if free => {
                if let Some(place) = model.iter().position(|other| *other == position) {
                    list.insert_before(links, position, slot);
                    model.insert(place, slot);
                }
            }
            Op::PopFront => assert_eq!(list.pop_front(links), model.pop_front()),
            Op::Remove => {
                if let Some(place) = place {
                    list.remove(links, slot);
                    model.remove(place);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn lists_behave_like_queues_and_leave_each_other_alone(
            ops in prop::collection::vec((op(), 0..CAPACITY, 0..2_usize), 0..150)
        ) {
            let mut links = Links::new(CAPACITY as usize);
            let mut lists = [List::default(); 2];
            let mut models = [VecDeque::new(), VecDeque::new()];
            for (op, slot, which) in ops {
                apply(op, slot, &mut links, &mut lists[which], &mut models[which]);
                links.check_invariants();
                for (list, model) in lists.iter().zip(&models) {
                    list.check_invariants(&links);
                    prop_assert!(list.iter(&links).eq(model.iter().copied()));
                    prop_assert_eq!((list.front(), list.back()), (model.front().copied(), model.back().copied()));
                    prop_assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
                    for pair in model.iter().zip(model.iter().skip(1)) {
                        prop_assert_eq!(list.next(&links, *pair.0), Some(*pair.1));
                        prop_assert_eq!(list.previous(&links, *pair.1), Some(*pair.0));
                    }
                }
                for slot in 0..CAPACITY {
                    prop_assert_eq!(links.is_linked(slot), models.iter().any(|model| model.contains(&slot)));
                }
            }
        }

        #[test]
        fn takes_the_bytes_it_says(capacity in 0..500_usize) {
            prop_assert_eq!(Links::heap_bytes(capacity), size_of_val(&*Links::new(capacity).links));
        }
    }

    #[test]
    #[should_panic(expected = "the slot after 0 does not know it")]
    fn check_bites_on_a_broken_link() {
        let (mut links, mut list) = (Links::new(3), List::default());
        list.push_back(&mut links, 0);
        list.push_back(&mut links, 1);
        links.links[1].previous = NONE;
        links.check_invariants();
    }

    #[test]
    #[should_panic(expected = "length")]
    fn check_bites_on_a_wrong_length() {
        let (mut links, mut list) = (Links::new(3), List::default());
        list.push_back(&mut links, 0);
        list.len = 2;
        list.check_invariants(&links);
    }
}
