//! What a call of a system costs: allocations, heap, instructions.
//!
//! A counting allocator counts what the present thread allocates; the difference before and after a call is what the call
//! did. Instructions are counted from outside, by callgrind, which looks only at what happens within
//! [`metered`](Meter::metered): the simulator's own work is in no figure.

use std::hint::black_box;

use gossip_tests::heap::{self, Counting};

#[global_allocator]
static COUNTING: Counting = Counting;

/// What the calls of one node have cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Allocations, reallocations included.
    pub allocations: u64,
    /// Bytes of heap that the node holds.
    pub live: i64,
}

impl Meter {
    /// Does `work`, and counts what it allocates, frees and keeps.
    pub fn metered<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (allocations, live) = (heap::allocations(), heap::live());
        let result = on_the_meter(work);
        self.allocations += heap::allocations() - allocations;
        self.live += heap::live() - live;
        result
    }
}

/// The only thing that callgrind looks at, by this name.
#[inline(never)]
fn on_the_meter<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Here callgrind writes down what it has counted since the last time, and begins anew; also by name.
#[inline(never)]
pub fn window_ends(window: Window) {
    black_box(window);
}

/// The parts of a run whose instructions are counted apart, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Everybody joins, and links settle.
    Settling,
    /// Nobody sends anything.
    Idle,
    /// Messages that are not measured.
    WarmingUp,
    /// Measured messages.
    Messages,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_a_call_allocates_and_keeps() {
        let mut meter = Meter::default();
        let outside: Vec<u8> = Vec::with_capacity(1_000);
        let kept = meter.metered(|| {
            let brief: Vec<u8> = black_box(Vec::with_capacity(500));
            drop(brief);
            let kept: Vec<u8> = Vec::with_capacity(300);
            kept
        });
        drop(outside);
        assert_eq!(meter, Meter { allocations: 2, live: 300 });
        meter.metered(|| drop(kept));
        assert_eq!(meter, Meter { allocations: 2, live: 0 });
    }
}
