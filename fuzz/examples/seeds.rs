//! Writes the seeds of the corpora: what two real nodes say to each other, in the form that each target reads.
//!
//! A fuzzer that starts from nothing needs hours to invent a greeting. To be run again when the wire format changes:
//! `cargo run -p gossip-fuzz --example seeds`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use gossip_core::wire::HEADER_LEN;
use gossip_core::{Input, Order, Scope};
use gossip_fuzz::datagram::{FRIENDLY, PAUSE, Piece, RAW};
use gossip_fuzz::pair::{FRIEND, NODE, Pair, Setup, address};

/// Seeds per target, at most.
const FILES_MAX: usize = 60;
/// Pieces in one seed of the target `datagram`.
const PIECES: usize = 6;

fn main() -> std::io::Result<()> {
    let setups = [
        Setup::default(),
        Setup { flood: true, path: true, ..Setup::default() },
        Setup { narrow: true, durable: true, ..Setup::default() },
        Setup { fixed: true, ..Setup::default() },
    ];
    let talks: Vec<Vec<Vec<u8>>> = setups.into_iter().map(conversation).collect();
    write("frames", &various(&talks))?;
    write("datagram", &talks.iter().flat_map(|talk| talk.chunks(PIECES).map(attack)).collect::<Vec<_>>())?;
    write("inputs", &(1..=FILES_MAX as u64).map(noise).collect::<Vec<_>>())?;
    write("trio", &(1..=FILES_MAX as u64 / 2).map(noise).collect::<Vec<_>>())
}

/// Every datagram between two nodes that meet, talk over a network that loses a third, and part.
fn conversation(setup: Setup) -> Vec<Vec<u8>> {
    let mut pair = Pair::new(setup);
    let mut heard = Vec::new();
    let _ = pair.input(FRIEND, Input::Join { contact: address(NODE) });
    for turn in 0..600 {
        if turn > 100 && turn < 300 && turn % 20 == 0 {
            let order = if turn % 40 == 0 { Order::Fifo } else { Order::Unordered };
            for index in [NODE, FRIEND] {
                let _ = pair.input(index, Input::Submit { order, payload: b"a message" });
                let _ = pair.input(index, Input::Set { scope: Scope::Own, key: "key", value: &[turn as u8; 9] });
            }
        }
        if turn == 400 {
            let _ = pair.input(FRIEND, Input::Remove { scope: Scope::Own, key: "key" });
        }
        if turn == 500 {
            let _ = pair.input(FRIEND, Input::Leave);
        }
        for flying in &mut pair.flying {
            heard.extend(flying.iter().cloned());
            if (100..400).contains(&turn) && turn % 3 == 0 {
                flying.clear();
            }
        }
        pair.deliver();
        pair.wait(Duration::from_millis(50));
    }
    heard
}

/// Datagrams that differ in their kinds of frames or in their length.
fn various(talks: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let all = talks.iter().flatten().filter(|datagram| datagram.len() > HEADER_LEN);
    all.filter(|datagram| seen.insert((datagram[HEADER_LEN], datagram.len()))).cloned().collect()
}

/// The same datagrams again, some as they were, some in a new envelope.
fn attack(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (turn, datagram) in datagrams.iter().enumerate() {
        let frames = datagram.get(HEADER_LEN..).unwrap_or_default();
        match turn % 4 {
            0 => Piece { how: RAW, contents: datagram }.write(&mut bytes),
            1 => Piece { how: FRIENDLY | PAUSE, contents: frames }.write(&mut bytes),
            2 => Piece { how: FRIENDLY, contents: frames }.write(&mut bytes),
            _ => Piece { how: 0, contents: frames }.write(&mut bytes),
        }
    }
    bytes
}

/// Any bytes are a list of steps; xorshift (Marsaglia 2003) makes them the same on every machine.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(32 * seed as usize).collect()
}

fn write(target: &str, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    let folder = gossip_fuzz::corpus(target);
    fs::create_dir_all(&folder)?;
    // Spread over all of them where there are too many.
    let stride = seeds.len().div_ceil(FILES_MAX).max(1);
    for (number, seed) in seeds.iter().step_by(stride).enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), seed)?;
    }
    println!("{target}: {} of {} seeds", seeds.len().div_ceil(stride), seeds.len());
    Ok(())
}
