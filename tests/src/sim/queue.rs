//! The event queue: what happens next.
//!
//! A calendar queue (Brown 1988, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set
//! problem"). Time is cut into days of 256 µs. The events of today lie in a small binary heap, those of the coming
//! second in an unsorted list per day, those after it in one large heap. Nearly all events are datagrams that arrive within
//! some tens of milliseconds, so a push is an append to a list that is warm in the cache, and a pop sorts only one
//! day. A heap alone would touch some twenty cache lines per event at a million nodes.
//!
//! Events at the same time come out in the order in which they went in; so a run is a function of its inputs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// 2⁸ µs per day: at a million nodes a day holds some thousand events, at a hundred nodes at most a few.
const DAY_LOG2: u32 = 8;
/// Days ahead that have a list of their own: about a second.
const DAYS: usize = 4_096;

/// Things that happen at given times, earliest first.
#[derive(Debug)]
pub struct Queue<T> {
    /// No event lies before this day, but for those in `current`.
    today: u64,
    current: BinaryHeap<Reverse<Entry<T>>>,
    /// The list of day `d` is at `d % DAYS`, for `today < d < today + DAYS`.
    days: Box<[Vec<Reverse<Entry<T>>>]>,
    /// Which lists are not empty.
    filled: [u64; DAYS / 64],
    far: BinaryHeap<Reverse<Entry<T>>>,
    pushed: u64,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    at: u64,
    number: u64,
    item: T,
}

impl<T: Copy> Queue<T> {
    /// An empty queue, at time 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            today: 0,
            current: BinaryHeap::new(),
            days: (0..DAYS).map(|_| Vec::new()).collect(),
            filled: [0; DAYS / 64],
            far: BinaryHeap::new(),
            pushed: 0,
            len: 0,
        }
    }

    /// How many things are waiting.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is waiting.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `item` happens at `at`, in microseconds. A time before the last one popped is allowed; it comes out next.
    pub fn push(&mut self, at: u64, item: T) {
        self.pushed += 1;
        self.len += 1;
        self.place(Entry { at, number: self.pushed, item });
    }

    /// The next thing, if it happens at `limit` or before, with its time.
    pub fn pop_until(&mut self, limit: u64) -> Option<(u64, T)> {
        if self.current.is_empty() {
            self.turn_to_next_day(limit)?;
        }
        if self.current.peek()?.0.at > limit {
            return None;
        }
        let Reverse(entry) = self.current.pop()?;
        self.len -= 1;
        Some((entry.at, entry.item))
    }

    fn place(&mut self, entry: Entry<T>) {
        let day = entry.at >> DAY_LOG2;
        if day <= self.today {
            self.current.push(Reverse(entry));
        } else if day - self.today < DAYS as u64 {
            let slot = day as usize % DAYS;
            self.filled[slot / 64] |= 1 << (slot % 64);
            self.days[slot].push(Reverse(entry));
        } else {
            self.far.push(Reverse(entry));
        }
    }

    /// Loads the next day that has an event, unless it starts after `limit`.
    fn turn_to_next_day(&mut self, limit: u64) -> Option<()> {
        let far = self.far.peek().map(|entry| entry.0.at >> DAY_LOG2);
        let day = match (self.next_filled(), far) {
            (Some(near), Some(far)) => near.min(far),
            (near, far) => near.or(far)?,
        };
        if day > limit >> DAY_LOG2 {
            return None;
        }
        self.today = day;
        let slot = day as usize % DAYS;
        self.filled[slot / 64] &= !(1 << (slot % 64));
        let loaded = std::mem::take(&mut self.days[slot]);
        let emptied = std::mem::replace(&mut self.current, loaded.into());
        self.days[slot] = emptied.into_vec();
        while self.far.peek().is_some_and(|entry| (entry.0.at >> DAY_LOG2) - day < DAYS as u64) {
            if let Some(Reverse(entry)) = self.far.pop() {
                self.place(entry);
            }
        }
        Some(())
    }

    /// The first day after today whose list is not empty.
    fn next_filled(&self) -> Option<u64> {
        let today = self.today as usize % DAYS;
        let words = self.filled.len();
        for step in 0..=words {
            let index = (today / 64 + step) % words;
            let mut word = self.filled[index];
            if step == 0 {
                word &= !0 << (today % 64);
            }
            if word != 0 {
                let slot = index * 64 + word.trailing_zeros() as usize;
                return Some(self.today + ((slot + DAYS - today) % DAYS) as u64);
            }
        }
        None
    }
}

impl<T: Copy> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The model: one heap of (time, order of arrival).
    #[derive(Default)]
    struct Model {
        heap: BinaryHeap<Reverse<(u64, u64)>>,
        pushed: u64,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        PopUntil(u64),
    }

    /// Delays on all scales: the same day, days with a list, the far heap.
    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![0..300_u64, 0..2_000_000_u64, 0..60_000_000_u64, Just(0), Just(1_048_576), Just(1_048_575)]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![delay().prop_map(Step::Push), delay().prop_map(Step::PopUntil)]
    }

    proptest! {
        #[test]
        fn comes_out_like_from_a_heap(steps in proptest::collection::vec(step(), 1..400)) {
            let (mut queue, mut model, mut now) = (Queue::new(), Model::default(), 0_u64);
            for step in steps {
                match step {
                    Step::Push(delay) => {
                        model.pushed += 1;
                        model.heap.push(Reverse((now + delay, model.pushed)));
                        queue.push(now + delay, model.pushed);
                    }
                    Step::PopUntil(ahead) => {
                        let limit = now + ahead;
                        while let Some((at, item)) = queue.pop_until(limit) {
                            prop_assert_eq!(Some(Reverse((at, item))), model.heap.pop());
                        }
                        prop_assert!(model.heap.peek().is_none_or(|next| next.0.0 > limit));
                        now = limit;
                    }
                }
                prop_assert_eq!(queue.len(), model.heap.len());
            }
            while let Some((at, item)) = queue.pop_until(u64::MAX) {
                prop_assert_eq!(Some(Reverse((at, item))), model.heap.pop());
            }
            prop_assert!(queue.is_empty() && model.heap.is_empty());
        }
    }
}
