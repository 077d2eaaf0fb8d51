//! What a call of a system costs: allocations, heap, instructions.
//!
//! A counting allocator counts what the present thread allocates; the difference before and after a call is what the call
//! did. Instructions are counted from outside, by callgrind, which looks only at what happens within
//! [`metered`](Meter::metered): the simulator's own work is in no figure.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

/// Counts what the present thread allocates.
struct Counting;

thread_local! {
    /// Allocations so far.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes allocated and not freed.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE.set(LIVE.get() + bytes);
}

// SAFETY: every call is passed to the system's allocator unchanged, which keeps the contract; the counters are
// thread-local cells without destructor, so counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise about `pointer`, `layout` and `size` is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

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
        let (allocations, live) = (ALLOCATIONS.get(), LIVE.get());
        let result = on_the_meter(work);
        self.allocations += ALLOCATIONS.get() - allocations;
        self.live += LIVE.get() - live;
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
