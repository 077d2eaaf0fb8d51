#![allow(missing_docs, reason = "a program of one call")]
#![allow(unexpected_cfgs, reason = "cargo-fuzz sets `fuzzing`")]
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_fuzz::trio::run(data));

#[cfg(not(fuzzing))]
fn main() {
    gossip_fuzz::replay_arguments(gossip_fuzz::trio::run);
}
