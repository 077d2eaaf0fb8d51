//! The claim about healing: a network comes together again by itself, whatever its split, where others never do.

mod common;

use common::{figure, lab, size};

fn heals(words: &str, within: f64) {
    let (nodes, runs) = size((32, 1), (1_000, 3));
    let report = lab(&format!("heal --nodes {nodes} --runs {runs} {words}"));
    assert_eq!(figure(&report, "missed"), 0.0, "{words}");
    let healed = figure(&report, "heal_max_s");
    assert!(healed <= within, "{words}: {healed} s");
}

#[test]
fn halves_find_each_other_after_a_short_and_a_long_time() {
    heals("--for 7", 30.0);
    heals(size("--for 40", "--for 600"), 30.0);
}

#[test]
fn a_small_part_finds_its_way_back_under_loss() {
    heals("--split 0.1 --for 20 --loss 0.1", 30.0);
}

#[test]
fn an_isolated_node_comes_home() {
    heals("--isolate --for 30", 30.0);
}
