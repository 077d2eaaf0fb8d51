//! The claims about broadcast: at what price and how fast a message reaches everybody, with and without losses, deaths and
//! replacements; and that Plumtree (2007), over the same links, takes more of each.
//!
//! What single clusters promise step by step is in `tree_laws.rs`.

mod common;
mod forest;

use common::{figure, lab, size};
use gossip_core::{Broadcast, Order};
use gossip_tests::sim::Weather;

/// Messages of random senders, 100 ms apart, with so much loss from the start.
fn broadcast(words: &str, loss: f64) -> serde_json::Value {
    lab(&format!("broadcast --loss {loss} --bootstrap-loss {loss} {words}"))
}

/// Nobody misses anything, whatever the loss, and nobody is told of a gap instead.
#[test]
fn everybody_gets_everything_at_any_loss() {
    let nodes = size(100, 1_000);
    for loss in size(&[0.2, 0.3][..], &[0.0, 0.05, 0.1, 0.2, 0.3]) {
        let report = broadcast(&format!("--nodes {nodes}"), *loss);
        let wrong = ["missed", "gapped", "duplicates"].map(|key| figure(&report, key));
        assert_eq!(wrong, [0.0; 3], "loss {loss}");
    }
}

/// Each payload is sent once to each node, and again where it is lost; nothing else is said but for acknowledgements where
/// there is loss; an injection at the root costs two copies more. The bounds are those for 10,000 nodes (iroh-gossip there, without
/// loss: 0.34 too many copies, 57 hops, the last one after 1,600 ms).
#[test]
fn the_price_is_one_copy_and_the_time_that_of_a_flood() {
    let (nodes, membership) = size((200, "full"), (10_000, "sampled"));
    // Loss, RMR, control per delivery, hops of the last one, p99 and mean of the last one in milliseconds.
    let bounds = [
        (0.0, 0.01, 0.05, 9.0, 175.0, 200.0),
        (0.05, 0.12, 1.2, 17.0, 260.0, 550.0),
        (0.1, 0.25, 1.2, 17.0, 330.0, 550.0),
    ];
    for (loss, rmr, control, ldh, p99, last) in bounds {
        let report = broadcast(&format!("--nodes {nodes} --membership {membership}"), loss);
        let rmr = rmr + 2.0 / f64::from(nodes);
        let bounds =
            [("rmr", rmr), ("control_per_delivery", control), ("ldh", ldh), ("p99_ms", p99), ("last_ms", last)];
        for (key, bound) in bounds {
            assert!(figure(&report, key) <= bound, "loss {loss}: {key} {} > {bound}", report[key]);
        }
        assert_eq!(figure(&report, "missed"), 0.0);
    }
}

/// With half of the links near, half of all deliveries come within 80 ms.
#[test]
fn five_hundred_nodes_hear_within_a_tenth_of_a_second() {
    let report = broadcast("--nodes 500", 0.0);
    let [p50, p99] = ["p50_ms", "p99_ms"].map(|key| figure(&report, key));
    assert!(p50 <= 80.0 && p99 <= 110.0, "p50 {p50} ms, p99 {p99} ms");
}

/// 30 % die with messages on their way.
#[test]
fn survivors_have_everything_within_two_seconds() {
    let words = size("--nodes 150", "--nodes 10000 --membership sampled");
    for loss in [0.0, 0.1] {
        let report = broadcast(&format!("{words} --kill 0.3"), loss);
        let whole = figure(&report, "whole_after_kill_s");
        assert!(whole <= 2.0 && figure(&report, "missed") == 0.0, "loss {loss}: whole after {whole} s");
    }
}

/// Half a percent of the nodes is replaced each second.
#[test]
fn those_who_stay_miss_nothing_while_others_come_and_go() {
    let words = size("--nodes 200 --messages 120", "--nodes 1000 --messages 320");
    let report = broadcast(&format!("{words} --churn 0.005"), 0.0);
    assert!(figure(&report, "replaced") >= size(11.0, 150.0));
    assert_eq!((figure(&report, "missed"), figure(&report, "duplicates")), (0.0, 0.0));
    let p99 = figure(&report, "p99_ms");
    assert!(p99 <= 210.0, "p99 {p99} ms");
}

/// The same messages over the same links under the same losses: Plumtree sends more of everything and is later, whether it is as
/// impatient as iroh-gossip or has patience.
#[test]
fn plumtree_beside_us_sends_more_and_is_later() {
    let nodes = size(250, 1_000);
    for (loss, graft) in [(0.0, 80), (0.0, 300), (0.05, 80), (0.1, 80)] {
        let report = broadcast(&format!("--nodes {nodes} --beside plumtree --graft-ms {graft}"), loss);
        for key in ["rmr", "control_per_delivery", "bytes_per_delivery", "ldh", "p50_ms", "p99_ms", "last_ms"] {
            let (ours, theirs) = (figure(&report, key), figure(&report, &format!("plumtree_{key}")));
            assert!(ours < theirs, "loss {loss}, patience {graft} ms: {key} {ours}, Plumtree {theirs}");
        }
        assert_eq!(figure(&report, "missed"), 0.0);
    }
}

/// A flood goes over each link once in each direction, but never back to whom it came from. (Where two tell each other at
/// the same time, neither is who the other one had it from.)
#[test]
fn a_flood_spares_whom_it_came_from() {
    let nodes = 30;
    let mut simulation = forest::cluster(1, nodes, Broadcast::Flood { ttl: 255 }, &Weather::fair(), ());
    let ends: usize =
        (0..nodes).filter_map(|node| simulation.view(node)).map(|gossip| gossip.neighbors().count()).sum();
    let before = simulation.counters()["data_sent"];
    simulation.submit(0, Order::Unordered, b"news");
    simulation.run_until(simulation.now() + 1_000_000);
    let sent = simulation.counters()["data_sent"] - before;
    assert_eq!(sent, ends as u64 - u64::from(nodes - 1), "{ends} ends of links");
}

/// Rounds that follow the size of the network: ln n + 2 copies from each node, rounded up, miss hardly anybody without repair.
#[test]
fn rumors_of_automatic_rounds_need_no_repair() {
    let nodes = size(100.0, 1_000.0);
    let report = lab(&format!("broadcast --nodes {nodes} --broadcast rumor --no-repair"));
    let (missed, copies) = (figure(&report, "missed"), 1.0 + figure(&report, "rmr"));
    // One node in e^(ln n + 2) is missed in the mean: 0.14 per message.
    assert!(missed <= 0.14 * figure(&report, "messages"), "{missed} missed");
    assert!(copies <= f64::ln(nodes) + 4.0 + 3.0, "{copies} copies");
}
