//! The core on bare metal: no operating system, no standard library, a heap of 256 KiB.
//!
//! Runs the [scenario] on an emulated Cortex-M3, prints the hash of its trace over semihosting and exits. The hash must be
//! the one that the same scenario has on a 64-bit machine: the core gives the same outputs on every target and pointer
//! width. `cargo run --release` in this folder does it; `tests/ci.sh firmware` compares as well.
#![no_std]
#![no_main]

extern crate alloc;

use cortex_m as _; // for its critical section, which the allocator needs
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use embedded_alloc::LlffHeap;
use panic_semihosting as _;

mod scenario;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

const HEAP_BYTES: usize = 256 << 10;

#[entry]
fn main() -> ! {
    // SAFETY: the macro reserves the memory for the heap alone, and this is the only call, before any allocation.
    unsafe {
        embedded_alloc::init!(HEAP, HEAP_BYTES);
    }
    let outcome = scenario::run();
    hprintln!("{}", outcome);
    hprintln!("ok");
    hprintln!("trace {:016x}", outcome.trace);
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("the emulator ends at the exit call")
}
