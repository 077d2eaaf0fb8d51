//! What a run came to, as figures.

use super::scene::Scene;
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, Value};
use crate::lab::spread::Spread;

/// How many kinds of control datagrams are counted apart, the most frequent ones.
const KINDS_SHOWN: usize = 12;

pub(super) fn of(scene: &Scene<'_>) -> Report {
    let (options, found, spread) = (scene.options, &scene.found, &scene.simulation.observer.0);
    let mut report = Report::new(format!(
        "broadcast: {} nodes, {} messages of {} bytes {} ms apart, loss {} %",
        options.nodes,
        spread.messages(),
        options.payload,
        options.gap_ms,
        options.loss * 100.0
    ));
    let seconds = |micros: Option<u64>| Value::Measure(micros.map(|micros| micros as f64 / 1e6));
    add_spread(&mut report, "", spread);
    let by_frames = spread.traffic.control_by_frames().into_iter().take(KINDS_SHOWN);
    report.add("control", Value::Counts(by_frames.map(|(name, count)| (name.into(), count)).collect()), "");
    report.add("probes_per_delivery", per_delivery(spread, spread.traffic.probes), "");
    report.add("digests_per_delivery", per_delivery(spread, spread.traffic.digests), "");
    report.add("gapped", Value::Count(spread.gapped()), "");
    report.add("duplicates", Value::Count(spread.duplicates), "0");
    report.add("whole_after_kill_s", seconds(found.whole_after_kill), "goal ≤ 1.5 after 30 %");
    report.add("replaced", Value::Count(found.replaced), "nodes, by others that have to join");
    report.add("joined_s", seconds(found.joined), "");
    let settled = found.settled;
    report.add("settled_s", seconds(settled.map(|it| it.after)), "until less than 0.1 % of links are new in 5 s");
    report.add("links_new", Value::Measure(settled.map(|it| it.changed as f64 / it.links as f64)), "");
    report.add("messages", Value::Count(spread.messages()), "");
    report.add("unreadable", Value::Count(spread.unreadable), "0");
    report.add("spins", Value::Count(spread.spins), "0");
    report.add("events", Value::Count(scene.simulation.processed()), "");
    report.add("trace_hash", Value::Text(format!("{:016x}", scene.simulation.trace_hash())), "");
    let mut curves = vec![coverage("mean over messages", spread)];
    if let Some(plumtree) = &found.plumtree {
        add_spread(&mut report, "plumtree_", plumtree);
        curves.push(coverage("Plumtree", plumtree));
    }
    report.svg = Some(plot::lines(&report.title, "milliseconds since submission", "share of nodes", &curves));
    report.verdict = verdict(scene);
    report
}

/// The figures by which ours and a reference are compared; the anchors stand beside ours.
fn add_spread(report: &mut Report, prefix: &str, spread: &Spread) {
    let mut add = |key: &str, value, anchor| {
        report.add(format!("{prefix}{key}"), value, if prefix.is_empty() { anchor } else { "" });
    };
    let (traffic, quantile) = (&spread.traffic, |part| Value::Measure(spread.quantile_ms(part)));
    add("rmr", Value::Measure(spread.rmr()), "iroh-gossip 0.34 at 10⁴ nodes; Plumtree 0; goal ≤ 0.01");
    add("data_per_delivery", per_delivery(spread, traffic.data), "1 is the least without batching");
    add("control_per_delivery", per_delivery(spread, traffic.control), "Plumtree 3.0; goal ≤ 0.05");
    add("bytes_per_delivery", per_delivery(spread, traffic.bytes), "about 308 for the datagram itself");
    add("ldh", Value::Measure(spread.ldh()), "iroh-gossip 57, Plumtree 17, 5-regular flood 8.15 at 10⁴");
    add("p50_ms", quantile(0.5), "goal ≤ 80 at 500 nodes");
    add("p99_ms", quantile(0.99), "goal ≤ 110 at 500 nodes, ≤ 175 at 10⁴");
    add("last_ms", Value::Measure(spread.last_ms()), "iroh-gossip 1,600 at 10⁴, 606 at 10³; goal ≤ 200");
    add("worst_ms", Value::Measure(spread.worst_ms()), "of all messages; ≤ 2,000 after 30 % are killed");
    add("missed", Value::Count(spread.missed()), "0");
    add("max_node_share", Value::Measure(traffic.max_node_share()), "");
}

fn per_delivery(spread: &Spread, count: u64) -> Value {
    let deliveries = spread.deliveries() as f64;
    Value::Measure((deliveries > 0.0).then(|| count as f64 / deliveries))
}

fn verdict(scene: &Scene<'_>) -> Option<String> {
    let spread = &scene.simulation.observer.0;
    let submitted = u64::from(scene.options.messages - scene.options.warmup);
    if spread.messages() < submitted {
        return Some(format!("only {} of {submitted} messages were accepted", spread.messages()));
    }
    let missed = !scene.options.no_repair && spread.missed() > 0;
    let broken = missed || spread.duplicates + spread.unreadable + spread.spins > 0;
    broken.then(|| {
        let (missed, Spread { duplicates, unreadable, spins, .. }) = (spread.missed(), spread);
        format!("{missed} missed, {duplicates} duplicates, {unreadable} unreadable, {spins} spins")
    })
}

/// The share of nodes that have a message, over the time since its submission.
fn coverage(name: &str, spread: &Spread) -> Curve {
    let latencies = spread.latencies();
    let all = spread.messages() as f64 * spread.nodes_but_one();
    let step = (latencies.len() / 400).max(1);
    let points = latencies.iter().enumerate().step_by(step);
    let mut points: Vec<(f64, f64)> =
        points.map(|(i, &latency)| (f64::from(latency) / 1e3, (i + 1) as f64 / all)).collect();
    points.extend(latencies.last().map(|&last| (f64::from(last) / 1e3, latencies.len() as f64 / all)));
    Curve { name: name.into(), points }
}
