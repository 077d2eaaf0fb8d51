//! Splits that heal, and lives that end and begin again.

use gossip_core::NodeId;

use crate::net::*;

// ---- merging

/// After a split each side's tables call the other side dead. Who believed them would see its own side die.
#[test]
fn nobody_sees_its_own_side_die_when_a_split_heals() {
    for split in [6, 15] {
        let mut net = at_rest(13, 30, lan);
        let minority: Vec<u32> = (0..split).collect();
        isolate(&mut net, &minority);
        run(&mut net, 60);
        let is_other_side = |&(at, node): &(u32, NodeId)| (at < split) != (node.0 <= u64::from(split));
        assert!(downs(&net).iter().all(is_other_side), "while split");
        net.network().heal();
        run(&mut net, 20);
        assert!(downs(&net).iter().all(is_other_side), "and when it heals");
        assert!(is_whole(&net), "split off {split}");
        assert!(net.counters()["accusations"] > 0, "no table accused anybody: a vacuous test");
    }
}

#[test]
fn crashes_during_a_merge_are_found() {
    let mut net = at_rest(14, 24, lan);
    isolate(&mut net, &[0, 1, 2, 3, 4, 5, 6, 7]);
    run(&mut net, 40);
    net.network().heal();
    for victim in [3, 12, 20] {
        net.run_until(net.now() + SECOND / 2);
        net.crash(victim);
    }
    run(&mut net, 40);
    assert!(is_whole(&net));
    for victim in [3, 12, 20] {
        assert!(holders(&net, victim, is_alive).is_empty(), "node {victim}");
    }
}

// ---- the dead stay dead, and are forgotten

#[test]
fn the_dead_are_not_taught_and_do_not_come_back() {
    let short = |birth| {
        let mut config = lan(birth);
        config.timing.horizon = core::time::Duration::from_secs(60);
        config
    };
    let mut net = at_rest(15, 20, short);
    net.crash(7);
    net.crash(8);
    run(&mut net, 20);
    net.crash(9);
    net.start(9, false);
    net.join(9, 0).expect("a new node takes a contact");
    run(&mut net, 10);
    assert!(is_whole(&net));
    assert_eq!((state(&net, 9, 7), state(&net, 9, 8)), (None, None), "a newcomer lacks nothing");
    run(&mut net, 100);
    for node in (0..20).filter(|&node| net.is_up(node)) {
        assert_eq!(net.view(node).expect("it is up").peers().count(), 17, "node {node} has forgotten");
    }
    assert!(is_whole(&net));
}

#[test]
fn who_comes_back_in_a_new_life_is_welcome() {
    let mut net = at_rest(16, 16, lan);
    for round in 0..3 {
        net.crash(5);
        run(&mut net, if round == 1 { 1 } else { 12 });
        net.start(5, false);
        net.join(5, 0).expect("a new node takes a contact");
        run(&mut net, 8);
        assert!(is_whole(&net), "round {round}");
    }
}
