//! The counters as Prometheus reads them: text exposition format 0.0.4.

use std::fmt::Write;

use gossip_core::{Gossip, Stats};

/// Every counter, and the sizes of what the node holds.
pub(super) fn render(gossip: &Gossip) -> String {
    let mut text = counters(&gossip.stats());
    gauge(&mut text, "links", gossip.neighbors().count() as f64);
    gauge(&mut text, "links_suspected", gossip.neighbors().filter(|link| link.suspected).count() as f64);
    gauge(&mut text, "view", gossip.current_view().count() as f64);
    gauge(&mut text, "peers", gossip.peers().count() as f64);
    gauge(&mut text, "messages", gossip.messages().count() as f64);
    gauge(&mut text, "registers", gossip.registers("").count() as f64);
    gauge(&mut text, "size_estimate", gossip.size_estimate().into());
    let _ = writeln!(text, "# TYPE gossip_round_trip_seconds gauge");
    for peer in gossip.peers() {
        if let Some(time) = peer.round_trip {
            let _ = writeln!(text, "gossip_round_trip_seconds{{peer=\"{}\"}} {}", peer.node, time.as_secs_f64());
        }
    }
    text
}

// Writing to a `String` cannot fail, here and above.

fn counters(stats: &Stats) -> String {
    let mut text = String::new();
    for (name, value) in stats.iter() {
        let _ = writeln!(text, "# TYPE gossip_{name}_total counter\ngossip_{name}_total {value}");
    }
    text
}

fn gauge(text: &mut String, name: &str, value: f64) {
    let _ = writeln!(text, "# TYPE gossip_{name} gauge\ngossip_{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_type_and_a_value() {
        let mut stats = Stats::default();
        stats.delivered = 7;
        let text = counters(&stats);
        assert!(text.contains("# TYPE gossip_delivered_total counter\ngossip_delivered_total 7\n"));
        assert_eq!(text.lines().count(), 2 * stats.iter().count());
    }
}
