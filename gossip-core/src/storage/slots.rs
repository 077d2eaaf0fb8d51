//! Where things live.
//!
//! A row of parking spaces. The number of a space is the name of what stands in it; the free ones form a chain through
//! themselves, so that finding one takes no search. The space left last is taken first: it is the one still in cache.
//! A number says nothing about *which* thing stands there now; who keeps it longer than the thing must be told.

use super::{NONE, at, rows};
use alloc::boxed::Box;

#[derive(Clone, Debug)]
enum Slot<T> {
    /// Empty; `next` is the empty slot to take after this one, or `NONE`.
    Free {
        next: u32,
    },
    Taken(T),
}

/// A slab of a fixed number of slots.
#[derive(Clone, Debug)]
pub(crate) struct Slots<T> {
    slots: Box<[Slot<T>]>,
    /// The first empty slot, or `NONE`.
    free: u32,
    len: u32,
}

impl<T> Slots<T> {
    /// `capacity` empty slots, to be taken from the first on.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = rows(capacity);
        let next = |slot: u32| if slot + 1 < capacity { slot + 1 } else { NONE };
        let slots = (0..capacity).map(|slot| Slot::Free { next: next(slot) }).collect();
        Self { slots, free: if capacity == 0 { NONE } else { 0 }, len: 0 }
    }

    /// Bytes of heap that `capacity` slots take, without what the things in them own.
    pub(crate) const fn heap_bytes(capacity: usize) -> usize {
        capacity.saturating_mul(size_of::<Slot<T>>())
    }

    /// Puts `thing` into an empty slot, the one left last, and answers its number; or gives `thing` back.
    pub(crate) fn insert(&mut self, thing: T) -> Result<u32, T> {
        let slot = self.free;
        let Some(Slot::Free { next }) = self.slots.get(at(slot)) else { return Err(thing) };
        self.free = *next;
        self.slots[at(slot)] = Slot::Taken(thing);
        self.len += 1;
        Ok(slot)
    }

    /// Empties `slot`, and answers what was there.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.slots.get_mut(at(slot)).filter(|place| matches!(place, Slot::Taken(_)))?;
        let Slot::Taken(thing) = core::mem::replace(place, Slot::Free { next: self.free }) else { return None };
        self.free = slot;
        self.len -= 1;
        Some(thing)
    }

    /// What is in `slot`.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        match self.slots.get(at(slot))? {
            Slot::Taken(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    /// What is in `slot`, to be changed.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slots.get_mut(at(slot))? {
            Slot::Taken(thing) => Some(thing),
            Slot::Free { .. } => None,
        }
    }

    /// The things with their slots, by ascending number. Linear in the capacity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// As [`Slots::iter`], without what is before slot `first`, which costs nothing.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        (first..).zip(self.slots.get(at(first)..).unwrap_or_default()).filter_map(|(number, slot)| match slot {
            Slot::Taken(thing) => Some((number, thing)),
            Slot::Free { .. } => None,
        })
    }

    /// The number of things.
    pub(crate) fn len(&self) -> usize {
        at(self.len)
    }

    /// The number of slots.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Whether every slot is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Panics where the chain of empty slots is not exactly the empty slots.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len(), "length");
        let mut slot = self.free;
        for left in (self.len()..self.capacity()).rev() {
            let Some(Slot::Free { next }) = self.slots.get(at(slot)) else {
                panic!("chain of empty slots breaks at {slot} with {left} left")
            };
            slot = *next;
        }
        assert_eq!(slot, NONE, "chain of empty slots does not end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    const CAPACITY: usize = 6;

    proptest! {
        #[test]
        fn behaves_like_a_map_with_a_stack_of_free_numbers(
            // An insertion, or the removal of a slot (one of them never exists).
            ops in prop::collection::vec(prop_oneof![Just(None), (0..CAPACITY as u32 + 1).prop_map(Some)], 0..100)
        ) {
            let (mut slots, mut model) = (Slots::new(CAPACITY), BTreeMap::new());
            let mut free: Vec<u32> = (0..CAPACITY as u32).rev().collect();
            for (step, op) in ops.into_iter().enumerate() {
                match op {
                    None => {
                        let expected = free.pop().ok_or(step);
                        prop_assert_eq!(slots.insert(step), expected);
                        expected.map(|slot| model.insert(slot, step)).ok();
                    }
                    Some(slot) => {
                        let expected = model.remove(&slot);
                        prop_assert_eq!(slots.remove(slot), expected);
                        free.extend(expected.map(|_| slot));
                    }
                }
                slots.check_invariants();
                prop_assert!(slots.iter().eq(model.iter().map(|(slot, thing)| (*slot, thing))));
                for first in 0..CAPACITY as u32 + 2 {
                    prop_assert!(slots.iter_from(first).eq(model.range(first..).map(|(slot, thing)| (*slot, thing))));
                }
                for slot in 0..CAPACITY as u32 + 1 {
                    prop_assert_eq!(slots.get(slot), model.get(&slot));
                    prop_assert_eq!(slots.get_mut(slot), model.get_mut(&slot));
                }
                prop_assert_eq!(slots.len(), model.len());
                prop_assert_eq!(slots.is_full(), model.len() == slots.capacity());
            }
        }

        #[test]
        fn takes_the_bytes_it_says(capacity in 0..500_usize) {
            let slots = Slots::<[u64; 3]>::new(capacity);
            prop_assert_eq!(Slots::<[u64; 3]>::heap_bytes(capacity), size_of_val(&*slots.slots));
        }
    }

    #[test]
    fn without_capacity_is_full() {
        let mut slots = Slots::new(0);
        slots.check_invariants();
        assert!(slots.is_full());
        assert_eq!(slots.insert('a'), Err('a'));
    }

    #[test]
    #[should_panic(expected = "chain of empty slots breaks at 1 with 1 left")]
    fn check_bites_on_a_broken_chain() {
        let mut slots = Slots::<u8>::new(3);
        slots.slots[1] = Slot::Taken(7);
        slots.len = 1;
        slots.check_invariants();
    }
}
