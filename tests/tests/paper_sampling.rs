//! What the papers on peer sampling claim, and what we claim beyond them: on networks small enough for every run, and where
//! `GOSSIP_LONG` is set at the size of the tables, 10,000 nodes with views of 30.

mod common;

use common::{figure, lab, size};
use serde_json::Value;

/// A network that begins with random views, measured after so many cycles.
fn sampling(options: &str) -> Value {
    let (nodes, view, cycles) = (size(400, 10_000), size(16, 30), size(60, 300));
    lab(&format!("sampling --nodes {nodes} --view {view} --cycles {cycles} {options}"))
}

/// Healer and swapper of a view, in the eighths that they are of half a view.
fn balanced(healer: u32, swapper: u32) -> String {
    let half = size(8, 15);
    format!("--healer {} --swapper {}", half * healer / 8, half * swapper / 8)
}

/// Healer 1, and swapper for the rest.
fn default() -> String {
    format!("--healer 1 --swapper {}", size(7, 14))
}

/// In-degrees of random graphs have the standard deviation √c, and about 2 c of n nodes are a node's neighbors.
fn random_sd() -> f64 {
    size(4.0, 5.44)
}

fn random_clustering() -> f64 {
    size(0.077, 0.0059)
}

/// One protocol, by its options, and what another simulation found for it: one that goes in cycles, without time, latency, or
/// anything in flight, written from the papers alone.
struct Anchor {
    options: &'static str,
    in_degree_sd: f64,
    /// Where the table has them.
    rest: Option<(f64, f64, f64)>,
}

const fn anchor(options: &'static str, in_degree_sd: f64) -> Anchor {
    Anchor { options, in_degree_sd, rest: None }
}

const fn row(options: &'static str, degree: f64, in_degree_sd: f64, clustering: f64, path: f64) -> Anchor {
    Anchor { options, in_degree_sd, rest: Some((degree, clustering, path)) }
}

/// Means over eight seeds.
const SMALL: [Anchor; 5] = [
    anchor("--peer-selection tail --healer 0 --swapper 8", 3.03),
    anchor("--peer-selection rand --healer 0 --swapper 8", 3.34),
    anchor("--peer-selection tail --healer 1 --swapper 7", 3.74),
    anchor("--peer-selection rand --healer 0 --swapper 0", 9.96),
    anchor("--peer-selection tail --healer 8 --swapper 0", 5.98),
];

/// One run each.
const FULL: [Anchor; 14] = [
    row("--peer-selection rand --view-propagation push --healer 0 --swapper 0", 57.5, 19.9, 0.041, 2.72),
    row("--peer-selection rand --view-propagation push --healer 15 --swapper 0", 52.9, 7.5, 0.115, 2.81),
    row("--peer-selection rand --view-propagation push --healer 0 --swapper 15", 57.3, 16.9, 0.046, 2.72),
    row("--peer-selection rand --healer 0 --swapper 0", 59.0, 23.1, 0.027, 2.69),
    row("--peer-selection rand --healer 1 --swapper 0", 58.9, 20.1, 0.028, 2.70),
    row("--peer-selection rand --healer 15 --swapper 0", 52.7, 10.9, 0.149, 2.83),
    row("--peer-selection rand --healer 0 --swapper 15", 59.3, 4.1, 0.0062, 2.70),
    row("--peer-selection rand --healer 1 --swapper 14", 59.2, 5.9, 0.0080, 2.70),
    row("--peer-selection rand --healer 7 --swapper 8", 58.2, 11.0, 0.036, 2.72),
    row("--peer-selection tail --healer 0 --swapper 0", 59.2, 21.8, 0.023, 2.68),
    row("--peer-selection tail --healer 15 --swapper 0", 55.1, 11.1, 0.107, 2.79),
    row("--peer-selection tail --healer 0 --swapper 15", 59.3, 3.6, 0.0062, 2.70),
    row("--peer-selection tail --healer 1 --swapper 14", 58.9, 5.2, 0.0077, 2.70),
    row("--peer-selection tail --healer 7 --swapper 8", 58.2, 11.1, 0.031, 2.72),
];

/// The graph of each protocol is the one that the papers' rules make, and not a consequence of our time, latencies and losses.
#[test]
fn the_graphs_are_those_of_the_tables() {
    // The deviation of the degrees of 400 nodes is itself uncertain by 1/√800 in one run: three are taken.
    let (anchors, runs, tolerance) = (size(&SMALL[..], &FULL[..]), size(3, 1), size(0.08, 0.05));
    for Anchor { options, in_degree_sd, rest } in anchors {
        let reports: Vec<Value> = (1..=runs).map(|seed| sampling(&format!("{options} --seed {seed}"))).collect();
        let mean = |key| reports.iter().map(|report| figure(report, key)).sum::<f64>() / reports.len() as f64;
        // The tables are rounded.
        let is_close = |key, anchor: f64, rounded: f64| {
            let found = mean(key);
            assert!((found - anchor).abs() <= tolerance * anchor + rounded, "{options}: {key} {found}, table {anchor}");
        };
        is_close("in_degree_sd", *in_degree_sd, size(0.0, 0.05));
        if let Some((degree, clustering, path)) = *rest {
            is_close("degree", degree, 0.05);
            is_close("clustering", clustering, 0.0005);
            is_close("path", path, 0.005);
        }
        assert!(reports.iter().all(|report| figure(report, "clusters") == 1.0), "{options}: a partition");
    }
}

/// Jelasity et al. 2007: the swapper is nearest to the random graph and has the most even degrees, blind selection the least
/// even ones, the healer clusters.
#[test]
fn the_swapper_evens_degrees_and_the_healer_clusters() {
    let [swapper, healer, blind] = [balanced(0, 8), balanced(8, 0), balanced(0, 0)].map(|options| sampling(&options));
    assert!(figure(&swapper, "in_degree_sd") < random_sd(), "{swapper}");
    assert!(figure(&blind, "in_degree_sd") > 2.0 * random_sd(), "{blind}");
    assert!(figure(&swapper, "clustering") < 1.25 * random_clustering(), "{swapper}");
    assert!(figure(&healer, "clustering") > 2.0 * random_clustering(), "{healer}");
    for report in [swapper, healer, blind] {
        assert_eq!(figure(&report, "clusters"), 1.0, "{report}");
    }
}

/// Jelasity et al. 2007: the more healer, the sooner the dead are forgotten; one already makes it exponentially fast. And
/// ages by the clock do it sooner than ages counted in exchanges.
#[test]
fn the_healer_forgets_the_dead() {
    let dead = |options: &str| sampling(&format!("--kill 0.5 {options}"));
    let zero = |report: &Value| figure(report, "dead_zero_cycle");
    let [healer, one, by_time] =
        [balanced(8, 0), default(), format!("{} --freshness time", default())].map(|options| dead(&options));
    let blind = dead(&format!("{} --peer-selection rand", balanced(0, 0)));
    assert!(zero(&healer) < zero(&one) && zero(&by_time) <= zero(&one), "{healer} {by_time} {one}");
    assert!(zero(&one) < 40.0, "{one}");
    assert!(figure(&blind, "dead_after_20") > 2.0 * figure(&one, "dead_after_20"), "{blind} {one}");
}

/// Jelasity et al. 2004 and 2007: grown from one contact, only push-pull makes a good graph; push makes a star or falls
/// apart, pull is a star.
#[test]
fn only_push_pull_grows_well() {
    let nodes = size(400.0, 10_000.0);
    let grown = |options: &str| sampling(&format!("--grow {options}"));
    let [both, push, pull] = ["pushpull", "push", "pull"].map(|way| grown(&format!("--view-propagation {way}")));
    assert!(figure(&both, "in_degree_sd") < 1.25 * random_sd() && figure(&both, "degree") > size(28.0, 57.0), "{both}");
    assert!(figure(&both, "clusters") == 1.0 && figure(&both, "clustering") < 1.5 * random_clustering(), "{both}");
    assert!(figure(&push, "degree") < 20.0 && figure(&push, "in_degree_max") > nodes / 2.0, "{push}");
    assert_eq!(figure(&pull, "in_degree_max"), nodes - 1.0, "{pull}");
    assert!((figure(&pull, "degree") - 2.0).abs() < 0.02, "{pull}");
}

/// Jelasity et al. 2004: who asks the freshest asks the same few again and again, and a network grown that
/// way hangs on its first node; who keeps the oldest ignores newcomers.
#[test]
fn the_unsafe_corners_of_2004_are_as_bad_as_said() {
    let nodes = size(400.0, 10_000.0);
    let [head, tail] = [("head", "head"), ("rand", "tail")]
        .map(|(peer, view)| sampling(&format!("--classic --grow --peer-selection {peer} --view-selection {view}")));
    assert!(
        figure(&head, "in_degree_max") > 0.97 * nodes && figure(&head, "clustering") > 4.0 * random_clustering(),
        "{head}"
    );
    assert!(
        figure(&tail, "in_degree_max") > 0.37 * nodes && figure(&tail, "clustering") > 4.0 * random_clustering(),
        "{tail}"
    );
}

#[test]
fn each_of_the_27_runs() {
    for peer in ["head", "rand", "tail"] {
        for view in ["head", "rand", "tail"] {
            for way in ["push", "pull", "pushpull"] {
                let report = lab(&format!(
                    "sampling --classic --nodes 40 --view 8 --cycles 10 --peer-selection {peer} --view-selection {view} \
                     --view-propagation {way}"
                ));
                assert!(figure(&report, "degree") > 1.0, "{peer},{view},{way}: {report}");
            }
        }
    }
}

/// Small views: (rand, healer) falls apart without any failure, the default does not.
#[test]
fn small_views_with_too_much_healer_fall_apart() {
    let tiny = |options: &str| lab(&format!("sampling --nodes 100 --view 6 --cycles 500 {options}"));
    assert!(figure(&tiny("--peer-selection rand --healer 3 --swapper 0"), "clusters") > 1.0);
    assert_eq!(figure(&tiny("--healer 1 --swapper 2"), "clusters"), 1.0);
}

/// Our own: even degrees, a quick end of the dead, and a network that holds together, all in one run.
#[test]
fn leases_are_even_and_forget_within_ten_cycles() {
    let (network, lease) = (
        size("--nodes 1000 --view 24 --cycles 40 --remove 0.7", "--nodes 10000 --view 32 --cycles 100 --remove 0.85"),
        size("--copies 3 --lifetime 8", "--copies 4 --lifetime 8"),
    );
    let report = lab(&format!("sampling {network} --peer-selection rand {lease} --kill 0.5"));
    assert!(figure(&report, "in_degree_sd") <= 4.0, "{report}");
    // At full size some of 150,000 entries may be left after ten cycles, and as many draws as of random views fall apart.
    assert!(figure(&report, "dead_zero_cycle") <= size(10.0, 11.0), "{report}");
    assert!(figure(&report, "torn_draws") <= size(0.0, 4.0) && figure(&report, "clusters") == 1.0, "{report}");
}

/// The number of nodes is known to everybody, nobody having counted them.
#[test]
fn the_size_is_estimated() {
    let (network, bound) = size(("--nodes 400 --view 16 --cycles 90", 0.3), ("--nodes 10000 --cycles 360", 0.15));
    let report = lab(&format!("sampling {network}"));
    assert!(figure(&report, "size_error") < bound, "{report}");
}
