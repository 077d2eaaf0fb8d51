//! What others reached and what is aimed at, with the source of each figure: the one table that a report judges by.
//!
//! A *rival* is what a paper or another program reached; a *floor* is what has to hold; a *goal* is what is aimed at. Sizes are those of the source
//! wherever the standard set can afford them; where ours is smaller, the source says what its size was.

/// One figure to hold ours against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    /// The runs that it is about, by their names in the standard set.
    pub(super) runs: &'static [&'static str],
    /// Which of their figures.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) bound: Bound,
    pub(super) source: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rival,
    Floor,
    Goal,
}

/// What holds: our figure is …
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Is(f64),
    /// Within a share of it.
    Near(f64, f64),
}

use Bound::{AtLeast, AtMost, Is, Near};
use Kind::{Floor, Goal, Rival};

impl Bound {
    pub(super) fn holds(self, ours: f64) -> bool {
        match self {
            AtMost(bound) => ours <= bound,
            AtLeast(bound) => ours >= bound,
            Is(figure) => (ours - figure).abs() < 1e-9,
            Near(figure, share) => (ours - figure).abs() <= share * figure + 1e-9,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtMost(bound) => write!(f, "≤ {bound}"),
            AtLeast(bound) => write!(f, "≥ {bound}"),
            Is(figure) => write!(f, "{figure}"),
            Near(figure, share) => write!(f, "{figure} ± {:.0} %", share * 100.0),
        }
    }
}

const fn anchor(
    kind: Kind,
    runs: &'static [&'static str],
    key: &'static str,
    bound: Bound,
    source: &'static str,
) -> Anchor {
    Anchor { runs, key, kind, bound, source }
}

/// Floors and goals are set by this project.
const OURS: &str = "";
const IROH: &str = "iroh-gossip 0.101.0, its own simulator, 10 to 50 ms, random senders";
const IROH_ONE: &str = "iroh-gossip 0.101.0, its own simulator, 10 to 50 ms, one sender";
const PLUMTREE: &str = "Leitão, Pereira, Rodrigues 2007, Plumtree, table 1 and figures, 10⁴ nodes";
const HYPARVIEW: &str = "Leitão, Pereira, Rodrigues 2007, HyParView, table 1, 10⁴ nodes";
const TIMEOUTS: &str = "HyParView's protocol with time-outs instead of instant detection, own model, 10⁴ nodes";
const RANDOM_GRAPH: &str = "a random graph of views of 30 among 10⁴ nodes";
const DEMERS_1: &str = "Demers et al. 1987, table 1";
const DEMERS_2: &str = "Demers et al. 1987, table 2";
const DEMERS_3: &str = "Demers et al. 1987, table 3";
const MAELSTROM_3D: &str = "Gossip Glomers 3d";
const MAELSTROM_3E: &str = "Gossip Glomers 3e";
const BEST_GLOMERS: &str = "the best result published for the challenge";
const SWIM: &str = "Das, Gupta, Motivala 2002, SWIM, §3";
const FOCA: &str = "foca, the last of 500 to 1,000 nodes knows after 120 to 480 s";
const LIFEGUARD: &str = "Dadgar, Phillips, Currey 2018, Lifeguard, table IV: 1.5 % of SWIM's";
const CASSANDRA: &str = "a model of Cassandra's gossip, 100 nodes";
const CASSANDRA_1000: &str = "a model of Cassandra's gossip, 1,000 nodes";
const VOPR: &str = "TigerBeetle's VOPR is the envelope of faults";

const B500: &[&str] = &["broadcast-500"];
const B1000: &[&str] = &["broadcast-1000"];
const B1000_ONE: &[&str] = &["broadcast-1000-one"];
const B10K: &[&str] = &["broadcast-10000"];
const LOSS5: &[&str] = &["broadcast-1000-loss-5"];
const LOSS10: &[&str] = &["broadcast-1000-loss-10"];
const KILL: &[&str] = &["broadcast-1000-kill"];
const BROADCASTS: &[&str] = &[
    "broadcast-500",
    "broadcast-1000",
    "broadcast-1000-one",
    "broadcast-1000-loss-5",
    "broadcast-1000-loss-10",
    "broadcast-1000-loss-30",
    "broadcast-1000-kill",
    "broadcast-10000",
];
const OVERLAY80: &[&str] = &["overlay-80"];
const OVERLAY80_LOSS: &[&str] = &["overlay-80-loss-10"];
const OVERLAY90: &[&str] = &["overlay-90"];
const OVERLAY95: &[&str] = &["overlay-95"];
const HEALS: &[&str] = &["heal-100", "heal-100-loss-10", "heal-100-loss-30", "heal-1000", "heal-isolate"];
const CRASHES: &[&str] = &["detect-crash", "detect-1000"];

/// All of them.
pub(super) const ANCHORS: &[Anchor] = &[
    // Broadcast.
    anchor(Floor, BROADCASTS, "missed", Is(0.0), OURS),
    anchor(Floor, BROADCASTS, "duplicates", Is(0.0), OURS),
    anchor(Rival, B10K, "rmr", AtMost(0.34), IROH),
    anchor(Floor, B10K, "rmr", AtMost(0.1), OURS),
    anchor(Goal, B10K, "rmr", AtMost(0.01), OURS),
    anchor(Rival, B10K, "control_per_delivery", AtMost(3.0), PLUMTREE),
    anchor(Goal, B10K, "control_per_delivery", AtMost(0.05), OURS),
    anchor(Rival, B10K, "ldh", AtMost(57.1), IROH),
    anchor(Rival, B10K, "ldh", AtMost(17.0), PLUMTREE),
    anchor(Goal, B10K, "ldh", AtMost(9.0), OURS),
    anchor(Goal, B10K, "p99_ms", AtMost(175.0), OURS),
    anchor(Rival, B10K, "last_ms", AtMost(1_600.0), IROH),
    anchor(Goal, B10K, "last_ms", AtMost(200.0), OURS),
    anchor(Rival, B1000, "rmr", AtMost(0.42), IROH),
    anchor(Goal, B1000, "rmr", AtMost(0.01), OURS),
    anchor(Rival, B1000, "ldh", AtMost(20.7), IROH),
    anchor(Rival, B1000, "last_ms", AtMost(606.0), IROH),
    anchor(Goal, B1000, "control_per_delivery", AtMost(0.05), OURS),
    anchor(Rival, B1000_ONE, "rmr", AtMost(0.07), IROH_ONE),
    anchor(Rival, B1000_ONE, "ldh", AtMost(13.0), IROH_ONE),
    anchor(Rival, B1000_ONE, "last_ms", AtMost(361.0), IROH_ONE),
    anchor(Goal, B500, "p50_ms", AtMost(80.0), OURS),
    anchor(Goal, B500, "p99_ms", AtMost(110.0), OURS),
    anchor(Goal, LOSS5, "rmr", AtMost(0.12), "set for 10⁴ nodes"),
    anchor(Goal, LOSS5, "p99_ms", AtMost(260.0), "set for 10⁴ nodes"),
    anchor(Goal, LOSS10, "rmr", AtMost(0.25), "set for 10⁴ nodes"),
    anchor(Goal, LOSS10, "p99_ms", AtMost(330.0), "set for 10⁴ nodes"),
    anchor(Goal, LOSS10, "last_ms", AtMost(550.0), "set for 10⁴ nodes"),
    anchor(Floor, KILL, "worst_ms", AtMost(2_000.0), OURS),
    anchor(Goal, KILL, "whole_after_kill_s", AtMost(1.5), OURS),
    // Burst.
    anchor(Floor, &["burst-50"], "missed", Is(0.0), OURS),
    // The overlay when most die at once.
    anchor(Rival, OVERLAY80, "reliability_mean", AtLeast(0.867), TIMEOUTS),
    anchor(Floor, OVERLAY80, "reliability_mean", Is(1.0), OURS),
    anchor(Floor, OVERLAY80, "one_component_s", AtMost(6.0), OURS),
    anchor(Goal, OVERLAY80, "one_component_s", AtMost(4.0), OURS),
    anchor(Goal, OVERLAY80_LOSS, "reliability_mean", Is(1.0), OURS),
    anchor(Floor, OVERLAY90, "reliability_mean", AtLeast(0.99), OURS),
    anchor(Goal, OVERLAY90, "reliability_mean", AtLeast(0.999), OURS),
    anchor(Rival, OVERLAY95, "reliability_mean", AtLeast(0.91), "HyParView, figure 2, instant detection, 10⁴ nodes"),
    anchor(Goal, OVERLAY95, "reliability_mean", AtLeast(0.99), OURS),
    anchor(Rival, OVERLAY80, "path", AtMost(6.385), HYPARVIEW),
    anchor(Rival, OVERLAY80, "ldh", AtMost(9.0), HYPARVIEW),
    // Peer sampling.
    anchor(Rival, &["sampling-default", "sampling-lease"], "clusters", Is(1.0), RANDOM_GRAPH),
    anchor(Rival, &["sampling-swapper"], "in_degree_sd", Near(3.6, 0.05), "own model of the protocol in cycles"),
    anchor(Rival, &["sampling-default"], "in_degree_sd", Near(5.2, 0.05), "own model of the protocol in cycles"),
    anchor(Rival, &["sampling-default"], "clustering", Near(0.0077, 0.07), "own model of the protocol in cycles"),
    anchor(Rival, &["sampling-default"], "path", Near(2.7, 0.05), "own model of the protocol in cycles"),
    anchor(Rival, &["sampling-lease"], "in_degree_sd", AtMost(5.44), RANDOM_GRAPH),
    anchor(Goal, &["sampling-lease"], "in_degree_sd", AtMost(4.0), OURS),
    anchor(Goal, &["sampling-lease"], "dead_zero_cycle", AtMost(10.0), OURS),
    anchor(Goal, &["sampling-lease"], "torn_draws", Is(0.0), OURS),
    // Rumor mongering.
    anchor(Rival, &["demers-push"], "residue", Near(0.18, 0.05), DEMERS_1),
    anchor(Rival, &["demers-push"], "traffic", Near(1.7, 0.05), DEMERS_1),
    anchor(Rival, &["demers-coin"], "residue", Near(0.2, 0.05), DEMERS_2),
    anchor(Rival, &["demers-coin"], "traffic", Near(1.6, 0.05), DEMERS_2),
    anchor(Rival, &["demers-pull"], "residue", Near(0.031, 0.05), DEMERS_3),
    anchor(Rival, &["demers-pull"], "traffic", Near(2.7, 0.05), DEMERS_3),
    anchor(Rival, &["demers-own", "demers-own-cycles"], "residue", AtMost(0.000_004), DEMERS_3),
    anchor(Rival, &["demers-own", "demers-own-cycles"], "traffic", AtMost(6.1), DEMERS_3),
    anchor(Goal, &["demers-own", "demers-own-cycles"], "misses", Is(0.0), OURS),
    anchor(Goal, &["demers-own", "demers-own-cycles"], "traffic", AtMost(2.0), OURS),
    anchor(Goal, &["demers-own-cycles"], "node_trials", AtLeast(1e7), OURS),
    anchor(Floor, &["demers-tables"], "rows_met", AtLeast(13.0), "the 13 rows of tables 1 to 3 of Demers et al. 1987"),
    // Glomers.
    anchor(
        Rival,
        &["glomers-fast"],
        "median_ms",
        AtMost(186.0),
        "a star without batches and acknowledgements, own model",
    ),
    anchor(Rival, &["glomers-fast"], "max_ms", AtMost(200.0), "a star without batches and acknowledgements, own model"),
    anchor(Floor, &["glomers-3d"], "msgs_per_op", AtMost(30.0), MAELSTROM_3D),
    anchor(Rival, &["glomers-3d"], "msgs_per_op", AtMost(1.99), BEST_GLOMERS),
    anchor(Goal, &["glomers-3d"], "msgs_per_op", AtMost(1.1), OURS),
    anchor(Floor, &["glomers-3d"], "median_ms", AtMost(400.0), MAELSTROM_3D),
    anchor(Floor, &["glomers-3d"], "max_ms", AtMost(600.0), MAELSTROM_3D),
    anchor(Floor, &["glomers-3e"], "msgs_per_op", AtMost(20.0), MAELSTROM_3E),
    anchor(Goal, &["glomers-3e"], "msgs_per_op", AtMost(0.45), OURS),
    anchor(Floor, &["glomers-3e"], "median_ms", AtMost(1_000.0), MAELSTROM_3E),
    anchor(Floor, &["glomers-3e"], "max_ms", AtMost(2_000.0), MAELSTROM_3E),
    anchor(Floor, &["glomers-fast", "glomers-3d", "glomers-3e", "glomers-partitions"], "lost", Is(0.0), OURS),
    // Failure detection.
    anchor(Rival, CRASHES, "first_suspicion_s", AtMost(1.58), SWIM),
    anchor(Goal, CRASHES, "first_suspicion_s", AtMost(1.3), OURS),
    anchor(Floor, CRASHES, "false_positives", Is(0.0), OURS),
    anchor(Rival, &["detect-1000"], "all_know_s", AtMost(120.0), FOCA),
    anchor(Floor, &["detect-1000"], "all_know_s", AtMost(10.0), OURS),
    anchor(Goal, &["detect-1000"], "all_know_s", AtMost(8.0), OURS),
    anchor(Rival, &["detect-slow"], "false_positives_to_swim", AtMost(0.015), LIFEGUARD),
    anchor(Floor, &["detect-slow"], "false_positives_to_swim", AtMost(0.01), OURS),
    anchor(Goal, &["detect-slow"], "false_positives", Is(0.0), OURS),
    anchor(Floor, &["detect-slow"], "datagrams_to_swim", AtMost(1.0), OURS),
    anchor(Goal, &["detect-slow"], "datagrams_to_swim", AtMost(0.8), OURS),
    anchor(Rival, &["detect-17"], "listed_min", AtLeast(12.0), "SWIM with suspicion at 10 % loss, 2002, §5"),
    anchor(Goal, &["detect-17"], "listed_min", Is(17.0), "set for losses up to 40 %"),
    // Healing.
    anchor(Floor, HEALS, "missed", Is(0.0), OURS),
    anchor(Floor, HEALS, "heal_s", AtMost(30.0), OURS),
    anchor(Rival, &["heal-100"], "heal_s", AtMost(50.0), CASSANDRA),
    anchor(Rival, &["heal-1000"], "heal_s", AtMost(500.0), CASSANDRA_1000),
    anchor(Goal, &["heal-100", "heal-1000"], "heal_s", AtMost(3.5), OURS),
    anchor(Goal, &["heal-100-loss-10"], "heal_s", AtMost(5.0), OURS),
    anchor(Goal, &["heal-100-loss-30"], "heal_s", AtMost(10.0), OURS),
    anchor(Goal, &["heal-isolate"], "heal_s", AtMost(2.5), OURS),
    // Chaos.
    anchor(Floor, &["chaos"], "violations", Is(0.0), VOPR),
];

/// What is known of one figure of one run.
pub(super) fn of<'a>(run: &'a str, key: &'a str) -> impl Iterator<Item = &'static Anchor> + 'a {
    ANCHORS.iter().filter(move |anchor| anchor.key == key && anchor.runs.contains(&run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::page::set::RUNS;

    #[test]
    fn every_anchor_is_about_a_run_of_the_set() {
        for anchor in ANCHORS {
            for run in anchor.runs {
                assert!(RUNS.iter().any(|it| it.name == *run), "{run} {}", anchor.key);
            }
        }
        for run in RUNS.iter().filter(|run| !run.words.contains("--tables")) {
            assert!(ANCHORS.iter().any(|anchor| anchor.runs.contains(&run.name)), "{}", run.name);
        }
    }

    #[test]
    fn bounds_bite() {
        assert!(AtMost(1.0).holds(1.0) && !AtMost(1.0).holds(1.1));
        assert!(AtLeast(1.0).holds(1.0) && !AtLeast(1.0).holds(0.9));
        assert!(Is(0.0).holds(0.0) && !Is(0.0).holds(1.0));
        assert!(Near(2.0, 0.05).holds(1.9) && !Near(2.0, 0.05).holds(1.8));
        assert_eq!(of("broadcast-10000", "rmr").count(), 3);
    }
}
