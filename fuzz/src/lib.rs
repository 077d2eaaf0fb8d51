//! What the core must withstand, as functions of bytes.
//!
//! # Intuition
//!
//! A fuzzer invents inputs and keeps those that reach new code. Each target here is a plain function `run(&[u8])` that
//! panics if the core breaks a law, so the same body serves the fuzzer (`cargo +nightly fuzz run TARGET`) and, on a stable
//! compiler, the replay of the committed corpora (`cargo test -p gossip-tests --test corpora`).
//!
//! | target | the bytes are | the question |
//! |---|---|---|
//! | [`frames`] | one datagram, opened | does what was parsed come out the same when emitted? |
//! | [`datagram`] | a series of datagrams | does a node with a real link stay lawful, whatever it receives? |
//! | [`inputs`] | a series of inputs of every kind | the same for its user's calls, its clock, its storage and its restarts |
//!
//! The laws are in [`laws`], the node under attack and its friend in [`pair`]; [`forge`] makes datagrams that get past
//! the header. `cargo run -p gossip-fuzz --example seeds` writes the seeds of the corpora from a conversation of two real nodes.

pub mod datagram;
pub mod fabricate;
pub mod forge;
pub mod frames;
pub mod inputs;
pub mod laws;
pub mod pair;
pub mod trace;

use std::path::Path;

/// What a target's program does without a fuzzer: runs the body on the files named as arguments.
///
/// # Panics
///
/// If a file cannot be read, or the core breaks a law on it.
pub fn replay_arguments(run: fn(&[u8])) {
    for path in std::env::args().skip(1) {
        println!("{path}");
        run(&read(Path::new(&path)));
    }
}

/// Runs the body on every file of a target's committed corpus; returns how many there are.
///
/// # Panics
///
/// If a file cannot be read, or the core breaks a law on it.
pub fn replay_corpus(target: &str, run: fn(&[u8])) -> usize {
    let folder = corpus(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    paths.sort();
    for path in &paths {
        // Shown by the test harness only if the body panics.
        println!("{}", path.display());
        run(&read(path));
    }
    paths.len()
}

/// Where a target's committed corpus is.
pub fn corpus(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
