//! What the papers on peer sampling claim, and what we claim beyond them, on networks small enough for every run. The same
//! commands with the default sizes give the figures of the tables.

use std::process::Command;

use serde_json::Value;

/// The figures of `lab sampling` with these options.
fn sampling(options: &str) -> Value {
    let words = ["sampling", "--json"].into_iter().chain(options.split_whitespace());
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(words).output().expect("the program starts");
    assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().expect("a last line")).expect("the last line is JSON")
}

fn figure(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("{key}: {}", report[key]))
}

/// 400 nodes with views of 16 that begin at random.
fn small(options: &str) -> Value {
    sampling(&format!("--nodes 400 --view 16 --cycles 60 {options}"))
}

/// A random graph of 400 nodes with views of 16: in-degrees with a standard deviation of √16 = 4, clustering 0.077.
const RANDOM_SD: f64 = 4.0;
const RANDOM_CLUSTERING: f64 = 0.077;

/// Jelasity et al. 2007: the swapper is nearest to the random graph and has the most even degrees, blind selection the least
/// even ones, the healer clusters.
#[test]
fn the_swapper_evens_degrees_and_the_healer_clusters() {
    let [swapper, healer, blind] =
        ["--healer 0 --swapper 8", "--healer 8 --swapper 0", "--healer 0 --swapper 0"].map(small);
    assert!(figure(&swapper, "in_degree_sd") < RANDOM_SD, "{swapper}");
    assert!(figure(&blind, "in_degree_sd") > 2.0 * RANDOM_SD, "{blind}");
    assert!(figure(&swapper, "clustering") < 1.25 * RANDOM_CLUSTERING, "{swapper}");
    assert!(figure(&healer, "clustering") > 2.0 * RANDOM_CLUSTERING, "{healer}");
    for report in [swapper, healer, blind] {
        assert_eq!(figure(&report, "clusters"), 1.0, "{report}");
    }
}

/// Jelasity et al. 2007: the more healer, the sooner the dead are forgotten; one already makes it exponentially fast. And
/// ages by the clock do it sooner than ages counted in exchanges.
#[test]
fn the_healer_forgets_the_dead() {
    let dead = |options: &str| small(&format!("--kill 0.5 {options}"));
    let zero = |report: &Value| figure(report, "dead_zero_cycle");
    let [healer, one, by_time] =
        ["--healer 8 --swapper 0", "--healer 1 --swapper 7", "--healer 1 --swapper 7 --freshness time"].map(dead);
    let blind = dead("--healer 0 --swapper 0 --peer-selection rand");
    assert!(zero(&healer) < zero(&one) && zero(&by_time) <= zero(&one), "{healer} {by_time} {one}");
    assert!(zero(&one) < 40.0, "{one}");
    assert!(figure(&blind, "dead_after_20") > 2.0 * figure(&one, "dead_after_20"), "{blind} {one}");
}

/// Jelasity et al. 2004 and 2007: grown from one contact, only push-pull makes a good graph; push makes a star or falls
/// apart, pull is a star.
#[test]
fn only_push_pull_grows_well() {
    let grown = |options: &str| small(&format!("--grow {options}"));
    let [both, push, pull] = ["pushpull", "push", "pull"].map(|way| grown(&format!("--view-propagation {way}")));
    assert!(figure(&both, "in_degree_sd") < 1.25 * RANDOM_SD && figure(&both, "degree") > 28.0, "{both}");
    assert!(figure(&both, "clusters") == 1.0 && figure(&both, "clustering") < 1.5 * RANDOM_CLUSTERING, "{both}");
    assert!(figure(&push, "degree") < 20.0 && figure(&push, "in_degree_max") > 200.0, "{push}");
    assert_eq!(figure(&pull, "in_degree_max"), 399.0, "{pull}");
    assert!((figure(&pull, "degree") - 2.0).abs() < 0.02, "{pull}");
}

/// Jelasity et al. 2004: who asks the freshest asks the same few again and again, and a network grown that
/// way hangs on its first node; who keeps the oldest ignores newcomers.
#[test]
fn the_unsafe_corners_of_2004_are_as_bad_as_said() {
    let [head, tail] = [("head", "head"), ("rand", "tail")]
        .map(|(peer, view)| small(&format!("--classic --grow --peer-selection {peer} --view-selection {view}")));
    assert!(figure(&head, "in_degree_max") > 390.0 && figure(&head, "clustering") > 4.0 * RANDOM_CLUSTERING, "{head}");
    assert!(figure(&tail, "in_degree_max") > 150.0 && figure(&tail, "clustering") > 4.0 * RANDOM_CLUSTERING, "{tail}");
}

#[test]
fn each_of_the_27_runs() {
    for peer in ["head", "rand", "tail"] {
        for view in ["head", "rand", "tail"] {
            for way in ["push", "pull", "pushpull"] {
                let report = sampling(&format!(
                    "--classic --nodes 40 --view 8 --cycles 10 --peer-selection {peer} --view-selection {view} \
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
    let tiny = |options: &str| sampling(&format!("--nodes 100 --view 6 --cycles 500 {options}"));
    assert!(figure(&tiny("--peer-selection rand --healer 3 --swapper 0"), "clusters") > 1.0);
    assert_eq!(figure(&tiny("--healer 1 --swapper 2"), "clusters"), 1.0);
}

/// Our own: even degrees, a quick end of the dead, and a network that holds together, all in one run.
#[test]
fn leases_are_even_and_forget_within_ten_cycles() {
    let report = sampling(
        "--nodes 1000 --view 24 --cycles 40 --peer-selection rand --copies 3 --lifetime 8 --kill 0.5 --remove 0.7",
    );
    assert!(figure(&report, "in_degree_sd") <= 4.0, "{report}");
    assert!(figure(&report, "dead_zero_cycle") <= 10.0, "{report}");
    assert_eq!((figure(&report, "torn_draws"), figure(&report, "clusters")), (0.0, 1.0), "{report}");
}

/// The number of nodes is known to everybody, nobody having counted them.
#[test]
fn the_size_is_estimated() {
    let report = sampling("--nodes 400 --view 16 --cycles 90");
    assert!(figure(&report, "size_error") < 0.3, "{report}");
}
