//! The program `lab`, as a user calls it.

use std::process::{Command, Output};

use gossip_core::recording::Recorded;
use gossip_core::{Config, Input, Instant, NodeId, Order};

fn lab(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(words.split(' ')).output().expect("the program starts")
}

fn json(words: &str) -> serde_json::Value {
    let output = lab(words);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().expect("a last line")).expect("the last line is JSON")
}

/// Refused with exit status 2, and a text that names the reason.
fn refused(words: &str, reason: &str) {
    let output = lab(words);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}: {text}");
    assert!(text.contains(reason), "{words}: {text}");
}

#[test]
fn broadcast_reports_all_keys_and_misses_nothing() {
    let report =
        json("broadcast --nodes 12 --messages 12 --warmup 4 --loss 0.1 --bootstrap-loss 0.1 --kill 0.2 --json");
    for key in [
        "rmr",
        "data_per_delivery",
        "control_per_delivery",
        "probes_per_delivery",
        "bytes_per_delivery",
        "ldh",
        "p50_ms",
        "p99_ms",
        "last_ms",
        "missed",
        "gapped",
        "duplicates",
        "max_node_share",
        "whole_after_kill_s",
    ] {
        assert!(report[key].is_number(), "{key}: {}", report[key]);
    }
    assert_eq!((report["missed"].as_u64(), report["duplicates"].as_u64()), (Some(0), Some(0)));
}

/// Every key is there, and a number, but for those that may be unknown.
fn has(report: &serde_json::Value, numbers: &[&str], known_or_not: &[&str]) {
    for key in numbers {
        assert!(report[key].is_number(), "{key}: {}", report[key]);
    }
    for key in known_or_not {
        assert!(report.get(key).is_some(), "{key}");
    }
}

#[test]
fn detect_reports_all_keys_beside_those_of_swim() {
    let report = json("detect --nodes 12 --crash 1 --slow 2 --slow-for 1 --seconds 30 --loss 0.05 --json");
    let numbers = [
        "first_suspicion_s",
        "false_positives",
        "false_positives_healthy",
        "listed_min",
        "datagrams_per_node_second",
        "bytes_per_node_second",
    ];
    has(&report, &numbers, &["all_know_s"]);
    has(&report, &numbers.map(|key| format!("swim_{key}")).each_ref().map(String::as_str), &["swim_all_know_s"]);
    assert!(report.get("lifeguard_listed_min").is_none());
}

#[test]
fn heal_reports_all_keys_and_a_split_heals() {
    let report = json("heal --nodes 8 --for 5 --json");
    has(&report, &["heal_s", "missed", "idle_bytes_while_split"], &[]);
    assert_eq!(report["missed"].as_u64(), Some(0));
}

#[test]
fn overlay_reports_all_keys_and_survivors_find_each_other() {
    let report = json("overlay --nodes 40 --fail 0.5 --messages 20 --settle 5 --json");
    has(&report, &["reliability_mean", "reliability_last_half", "one_component_s", "clustering", "path", "ldh"], &[]);
    assert_eq!((report["reliability_mean"].as_f64(), report["outside"].as_u64()), (Some(1.0), Some(0)));
}

#[test]
fn a_seed_is_a_result() {
    let hash =
        |seed| json(&format!("broadcast --nodes 8 --messages 5 --warmup 1 --json --seed {seed}"))["trace_hash"].clone();
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn chaos_reports_all_keys_and_no_violation() {
    let report = json("chaos --seeds 2 --nodes 2..8 --seconds 4 --json");
    for key in ["seeds", "node_hours", "events", "violations", "injected", "exercised"] {
        assert!(!report[key].is_null(), "{key}");
    }
    assert_eq!((report["seeds"].as_u64(), report["violations"].as_u64()), (Some(2), Some(0)));
    assert!(report["injected"]["crash"].is_number());
}

#[test]
fn pictures_and_tables_are_drawn() {
    let file = std::env::temp_dir().join(format!("gossip-lab-{}.svg", std::process::id()));
    let words = format!("broadcast --nodes 5 --messages 3 --warmup 1 --broadcast flood --svg {}", file.display());
    let output = lab(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("p99_ms") && table.contains("iroh-gossip"), "{table}");
    let svg = std::fs::read_to_string(&file).expect("the picture was written");
    std::fs::remove_file(&file).expect("the picture can be removed");
    assert!(svg.contains("<polyline"));
}

/// A recording of a node that submits to itself for a second.
fn recording() -> Vec<u8> {
    let at = Instant::from_millis;
    let config = Config::local(NodeId(1));
    let mut node = Recorded::new(config, [3; 32], at(0), Some(1 << 20)).expect("the configuration is right");
    let mut buffer = [0; 1_200];
    for millis in (0..1_000).step_by(50) {
        let contact = ([127, 0, 0, 1], 7_000).into();
        let input =
            if millis == 0 { Input::Join { contact } } else { Input::Submit { order: Order::Fifo, payload: b"x" } };
        node.handle(at(millis), input).expect("there is room");
        node.handle(at(millis), Input::Tick).expect("a tick is never refused");
        while node.poll_event().is_some() {}
        while node.poll_transmit(at(millis), &mut buffer).is_some() {}
    }
    node.take_recorded()
}

#[test]
fn a_recording_replays_and_a_damaged_one_does_not() {
    let file = std::env::temp_dir().join(format!("gossip-lab-{}.recording", std::process::id()));
    let words = format!("replay {} --json", file.display());
    let mut bytes = recording();
    std::fs::write(&file, &bytes).expect("the recording can be written");
    let report = json(&words);
    assert_eq!((report["matches"].as_bool(), report["inputs"].as_u64()), (Some(true), Some(40)));
    assert!(report["trace_hash"].is_string());
    let payload = bytes.iter().rposition(|&byte| byte == b'x').expect("the payload is in the recording");
    bytes[payload] = b'y';
    std::fs::write(&file, &bytes).expect("the recording can be written");
    let output = lab(&words);
    std::fs::remove_file(&file).expect("the recording can be removed");
    assert_eq!(output.status.code(), Some(1), "another payload makes another delivery");
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""matches":false"#));
}

#[test]
fn what_cannot_be_done_is_refused() {
    refused("replay /nowhere/at/all", "/nowhere/at/all");
    refused(concat!("replay ", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "Cargo.toml");
    refused("broadcast --churn 0.2", "--churn");
    refused("broadcast --beside flood", "plumtree");
    refused("broadcast --beside plumtree --kill 0.3", "--kill");
    refused("broadcast --beside plumtree --payload 2000", "chunks");
    refused("broadcast --warmup 100", "--warmup");
    refused("broadcast --payload 2000000", "limits.message_bytes");
    refused("broadcast --loss 1.5", "share");
    refused("broadcast --latency 50..10", "range");
    refused("detect --nodes 5 --crash 4", "--crash");
    refused("detect --nodes 5 --slow 6", "slow");
    refused("heal --for 1e9", "time");
    refused("overlay --fail 1.0", "share");
    refused("demers --variant push-deaf-coin", "push-deaf-coin");
    refused("demers --fanout 65", "broadcast.fanout");
    refused("demers --connection-limit 1", "--by cycles");
    refused("demers --by cycles --nodes 5 --fanout 4", "--fanout");
    refused("demers --tables --k 3", "--k");
    refused("hostile", "later issue");
    refused("compare", "gossip-peers");
    refused("chaoss", "no experiment");
    refused("chaos --seeds 2 --trace x", "--seeds 1");
}
