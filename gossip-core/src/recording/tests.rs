use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::auth::Security;
use crate::event::Order;
use crate::ids::NodeId;

const SEED: [u8; 32] = [7; 32];

fn address(node: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_000 + node as u16))
}

fn config(node: u64) -> Config {
    let mut config = Config::local(NodeId(node));
    config.started_at = 1;
    config.security = Security::Sealed { key_id: 1, key: [9; 32] };
    config
}

fn start(node: u64, bytes_max: usize) -> Recorded {
    Recorded::new(config(node), SEED, Instant::ZERO, Some(bytes_max)).expect("the configuration is a preset")
}

/// Lets two nodes talk for two seconds over a network that takes a millisecond, each with a message every 100 ms; gives
/// what was recorded of the second node, and how many inputs it had.
fn talk(bytes_max: usize) -> (Vec<u8>, u64) {
    let mut nodes = [start(0, bytes_max), start(1, bytes_max)];
    let mut recording = Vec::new();
    let mut on_the_way: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    nodes[1].handle(Instant::ZERO, Input::Join { contact: address(0) }).expect("there is room for one contact");
    let mut inputs = 1;
    for now in (0..2_000).map(Instant::from_millis) {
        for (to, from, mut datagram) in core::mem::take(&mut on_the_way) {
            let packet = Input::Packet { from: address(from), datagram: &mut datagram };
            nodes[to as usize].handle(now, packet).expect("a packet is not refused");
            inputs += to;
        }
        for (i, node) in (0..).zip(&mut nodes) {
            if now.as_micros().is_multiple_of(100_000) {
                let text = alloc::format!("{i} at {now}");
                let message = Input::Submit { order: Order::Fifo, payload: text.as_bytes() };
                node.handle(now, message).expect("there is room for 20 messages");
                inputs += i;
            }
            if now == Instant::from_millis(1_000) {
                let complaint = Input::TooLong { to: address(1 - i), len: 1_200 };
                node.handle(now, complaint).expect("a complaint is not refused");
                inputs += i;
            }
            if node.poll_timeout().is_some_and(|deadline| deadline <= now) {
                node.handle(now, Input::Tick).expect("a tick is not refused");
                inputs += i;
            }
            while node.poll_event().is_some() {}
            while node.poll_persist().is_some() {}
            let mut buffer = [0; 1_200];
            while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
                on_the_way.push((1 - i, i, buffer[..transmit.len].to_vec()));
            }
        }
        recording.extend(nodes[1].take_recorded());
    }
    (recording, inputs)
}

#[test]
fn a_recording_replays_to_the_same_outputs() {
    let (recording, inputs) = talk(1 << 24);
    let replayed = replay(&recording).expect("it was just recorded");
    assert_eq!(replayed.first_difference, None);
    assert_eq!(replayed.ending, Ending::Whole);
    assert_eq!(replayed.inputs, inputs);
    assert_eq!(replayed.recorded_by, env!("CARGO_PKG_VERSION"));
    assert!(replayed.outputs > 40, "the node delivered and sent something: {}", replayed.outputs);
    let stats = replayed.gossip.stats();
    assert_eq!((stats.submitted, stats.too_long), (20, 1));
    assert_eq!(replay(&recording).expect("as before").trace_hash, replayed.trace_hash);
}

/// The check bites: another seed in the head makes other outputs.
#[test]
fn a_difference_is_found() {
    let (mut recording, _) = talk(1 << 24);
    let at = recording.windows(SEED.len()).position(|window| window == SEED).expect("the seed is in the head");
    recording[at] ^= 1;
    let difference = replay(&recording).expect("it still parses").first_difference.expect("the outputs differ");
    assert_ne!(difference.output, String::new());
}

#[test]
fn the_bound_ends_the_recording_and_not_the_node() {
    let (whole, inputs) = talk(1 << 24);
    let (bounded, same_inputs) = talk(5_000);
    assert_eq!(inputs, same_inputs);
    assert!(bounded.len() <= 5_000);
    assert_eq!(bounded[..bounded.len() - END_LEN], whole[..bounded.len() - END_LEN]);
    let replayed = replay(&bounded).expect("it was just recorded");
    assert_eq!(replayed.ending, Ending::Bound);
    assert!(replayed.matches());
}

#[test]
fn a_bound_below_the_head_records_nothing() {
    let mut node = start(0, 20);
    assert!(!node.is_recording());
    assert!(matches!(replay(&node.take_recorded()), Err(RecordingError::NotARecording)));
}

#[test]
fn an_unrecorded_node_records_nothing() {
    let mut node = Recorded::new(config(0), SEED, Instant::ZERO, None).expect("the configuration is a preset");
    node.handle(Instant::ZERO, Input::Tick).expect("a tick is not refused");
    assert!(!node.is_recording());
    assert_eq!(node.recorded_len(), 0);
}

#[test]
fn a_head_that_wants_all_memory_is_refused() {
    let mut config = config(0);
    config.limits.payload_bytes = u32::MAX;
    let recorder = Recorder::new(&config, SEED, Instant::ZERO, None, 1 << 20);
    assert!(matches!(replay(&recorder.bytes), Err(RecordingError::TooLarge { .. })));
}

#[test]
fn a_buffer_that_no_recorder_hands_on_is_refused() {
    for room in [0, 1_199, BUFFER_MAX as u32 + 1] {
        let mut recorder = Recorder::new(&config(0), SEED, Instant::ZERO, None, 1 << 20);
        let offset = recorder.bytes.len();
        recorder.append(Instant::ZERO, &Step::PollTransmit { room, hash: None });
        assert_eq!(replay(&recorder.bytes).map(|_| ()), Err(RecordingError::Malformed { offset }));
    }
}

/// A file that a crash cut off tells everything up to there.
#[test]
fn every_beginning_of_a_recording_replays() {
    let (recording, _) = talk(12_000);
    let mut inputs = 0;
    let mut cut = 0;
    for len in (0..recording.len()).step_by(97) {
        match replay(&recording[..len]) {
            Ok(replayed) => {
                assert!(replayed.matches());
                assert!(replayed.inputs >= inputs);
                inputs = replayed.inputs;
                cut += u32::from(replayed.ending == Ending::Cut);
            }
            Err(error) => assert!(error == RecordingError::NotARecording && inputs == 0, "{error}"),
        }
    }
    assert!(inputs > 0 && cut > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_safe(bytes: Vec<u8>) {
        let _ = replay(&bytes);
        let mut recording = MAGIC.to_vec();
        recording.extend(bytes);
        let _ = replay(&recording);
    }

    #[test]
    fn damage_is_safe(at: proptest::sample::Index, change in 1_u8..) {
        static RECORDING: LazyLock<Vec<u8>> = LazyLock::new(|| talk(20_000).0);
        let mut recording = RECORDING.clone();
        recording[at.index(RECORDING.len())] ^= change;
        let _ = replay(&recording);
    }
}
