//! The scenario of the Cortex-M program, on the host.
//!
//! Prints the hash of its trace; `tests/ci.sh firmware` runs the same file on an emulated board and compares.

extern crate alloc;

#[path = "../firmware/src/scenario.rs"]
mod scenario;

#[test]
fn the_scenario_has_one_trace() {
    let (first, second) = (scenario::run(), scenario::run());
    assert_eq!(first.trace, second.trace, "two runs differ on one machine");
    println!("{first}\ntrace {:016x}", first.trace);
}
