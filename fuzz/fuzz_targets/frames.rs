#![cfg_attr(fuzzing, no_main)]
#![allow(missing_docs)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_fuzz::frames::run(data));

#[cfg(not(fuzzing))]
fn main() {
    gossip_fuzz::replay_arguments(gossip_fuzz::frames::run);
}
