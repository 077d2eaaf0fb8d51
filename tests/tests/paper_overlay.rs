//! The claims about the overlay: its graph is as good as a random one, and it survives the death of most of its nodes.

mod common;

use common::{figure, lab, size};

/// HyParView (2007, §5.2): all messages reach all survivors after 80 % died. That was with deaths known at once; over
/// time-outs only stored messages that are exchanged on new links can do it.
#[test]
fn four_of_five_die_and_the_others_miss_nothing() {
    let (nodes, messages, runs) = size((150, 100, 1), (1_000, 1_000, 10));
    let words = format!("overlay --nodes {nodes} --messages {messages} --runs {runs} --settle 10");
    let report = lab(&words);
    assert_eq!((figure(&report, "reliability_min"), figure(&report, "outside")), (1.0, 0.0));
    // The bound is for large clusters; 30 survivors have few whom they could still ask.
    assert!(figure(&report, "one_component_max_s") <= size(12.0, 6.0), "{report}");
    let bare = lab(&format!("{words} --no-repair"));
    assert!(figure(&bare, "reliability_mean") < 0.98, "it is the repair that does it: {bare}");
}

/// The graph of links is connected, and as short as a random graph of the same degrees.
#[test]
fn the_graph_is_as_good_as_a_random_one() {
    let nodes = size(200, 2_000);
    let report = lab(&format!("overlay --nodes {nodes} --fail 0 --messages 1 --settle 10"));
    assert_eq!(figure(&report, "components_before"), 1.0);
    let (path, random) = (figure(&report, "path"), figure(&report, "random_path"));
    assert!(path <= 1.03 * random, "{path}, a random graph {random}");
}

/// Newcomers that all knock at one door, without pauses, are spliced in all over the graph: it is no more clustered than
/// chance makes it, and as short.
#[test]
fn one_door_is_enough_for_a_random_graph() {
    // The clustering of one graph with ten links each deviates by a tenth, whatever its size, and the mean of twenty by a
    // fiftieth; three times that is allowed beyond the claim of 2 %.
    let (nodes, runs, tolerance) = size((300, 10, 0.15), (10_000, 20, 0.08));
    // One every two milliseconds, while each takes half a second to be spliced in.
    let spread = f64::from(nodes) / 500.0;
    let options = format!("--fail 0 --messages 1 --settle 10 --join-within {spread} --runs {runs}");
    let report = lab(&format!("overlay --nodes {nodes} {options}"));
    assert_eq!(figure(&report, "components_before"), f64::from(runs));
    let (path, random) = (figure(&report, "path"), figure(&report, "random_path"));
    assert!((path / random - 1.0).abs() <= 0.02, "{path}, a random graph {random}");
    let (clustering, random) = (figure(&report, "clustering"), figure(&report, "random_clustering"));
    assert!((clustering / random - 1.0).abs() <= tolerance, "{clustering}, random graphs {random}");
}
