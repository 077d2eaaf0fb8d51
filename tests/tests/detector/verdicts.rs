//! How soon a death is known, how surely nobody else is accused, and at what price.

use gossip_core::{Membership, Neighbor, PeerState};
use gossip_tests::sim::{Birth, address};

use crate::net::*;

// ---- how soon

#[test]
fn a_death_is_suspected_at_once_and_everybody_knows_in_time() {
    let mut net = at_rest(1, 60, lan);
    let mut suspected = 0;
    for victim in 0..8 {
        let (first, all) = crash(&mut net, 7 * victim + 1);
        assert!(all < 8 * SECOND, "everybody knows after {all} µs");
        suspected += first;
        run(&mut net, 5);
    }
    assert!(suspected / 8 < 1_300_000, "suspected after {} µs in the mean", suspected / 8);
}

#[test]
fn loss_delays_it_and_accuses_nobody() {
    for (loss, bound) in [(0.1, 10), (0.3, 12)] {
        let mut net = at_rest(2, 40, lan);
        lossy(&mut net, loss);
        run(&mut net, 60);
        assert_eq!(downs(&net), [], "at a loss of {loss}");
        for victim in 0..3 {
            let (_, all) = crash(&mut net, 9 * victim + 1);
            assert!(all < bound * SECOND, "at a loss of {loss} everybody knows after {all} µs");
        }
        assert!(is_whole(&net));
    }
}

// ---- how surely

/// Mutants that certify without witnesses, or on any silence, fail here.
#[test]
fn seventeen_of_seventeen_stay_at_heavy_loss() {
    for (seed, loss) in [(3, 0.2), (4, 0.3), (5, 0.4)] {
        let mut net = at_rest(seed, 17, lan);
        lossy(&mut net, loss);
        run(&mut net, 240);
        assert_eq!((downs(&net), net.counters()["certificates"]), (vec![], 0), "at a loss of {loss}");
        assert!(net.counters()["suspicions"] > 0, "not even a suspicion: a vacuous test");
    }
}

/// Who hears nobody accuses nobody; a stall below the window has no consequences at all.
#[test]
fn a_deaf_node_accuses_nobody() {
    let mut net = at_rest(6, 24, lan);
    for node in [3, 11, 19] {
        isolate(&mut net, &[node]);
        run(&mut net, 4);
        net.network().heal();
        net.network().assign(node, 0);
        run(&mut net, 10);
    }
    assert_eq!(downs(&net), []);
    assert!(net.counters()["deafnesses"] > 0 && net.counters()["certificates"] == 0);
    assert!(is_whole(&net));
}

#[test]
fn who_is_cut_off_for_long_is_dead_for_the_others_says_so_of_nobody_and_refutes() {
    let mut net = at_rest(7, 24, lan);
    isolate(&mut net, &[5]);
    run(&mut net, 30);
    assert!(holders(&net, 5, |state| state != Some(PeerState::Down)).is_empty(), "dead for all others");
    let unreachable = net.view(5).expect("it is up").peers().filter(|peer| peer.state == PeerState::Unreachable);
    assert!(unreachable.count() > 0, "it knows that it does not reach them");
    assert!(downs(&net).iter().all(|&(at, node)| at != 5 && node == id(5)));
    net.network().heal();
    run(&mut net, 10);
    assert!(is_whole(&net), "it has refuted");
    assert!(net.counters()["refutations"] > 0);
}

/// A minority of two cannot tell the death of the others from its own isolation.
#[test]
fn a_minority_of_two_calls_nobody_dead() {
    let mut net = at_rest(8, 12, lan);
    isolate(&mut net, &[2, 9]);
    run(&mut net, 60);
    assert!(downs(&net).iter().all(|&(at, _)| ![2, 9].contains(&at)), "{:?}", downs(&net));
    assert_eq!(holders(&net, 2, |state| state != Some(PeerState::Down)), [9]);
    net.network().heal();
    run(&mut net, 40);
    assert!(is_whole(&net));
}

#[test]
fn of_two_nodes_neither_is_dead_and_of_three_one_may_be() {
    for (nodes, expected) in [(2, PeerState::Unreachable), (3, PeerState::Down)] {
        let mut net = at_rest(9, nodes, lan);
        net.crash(1);
        run(&mut net, 15);
        assert!(holders(&net, 1, |state| state != Some(expected)).is_empty(), "{nodes} nodes");
        net.start(1, false);
        net.join(1, 0).expect("a new node takes a contact");
        run(&mut net, 5);
        assert!(is_whole(&net), "{nodes} nodes");
    }
}

#[test]
fn a_configured_neighbor_is_unreachable_and_asks_nobody() {
    let ring = |birth: Birth| {
        let mut config = lan(birth);
        let beside = [(birth.node + 1) % 5, (birth.node + 4) % 5];
        let neighbors = beside.map(|node| Neighbor { node: id(node), address: address(node, 0) }).to_vec();
        config.membership = Membership::Static { neighbors };
        config
    };
    let mut net = at_rest(10, 5, ring);
    net.crash(2);
    run(&mut net, 10);
    assert_eq!((state(&net, 1, 2), state(&net, 3, 2)), (Some(PeerState::Unreachable), Some(PeerState::Unreachable)));
    assert_eq!((downs(&net), net.counters()["asks_sent"]), (vec![], 0));
}

/// A path that is broken in one direction: others vouch, so nobody is dead, and the useless link ends.
#[test]
fn a_broken_path_is_no_death() {
    for both_ways in [false, true] {
        let mut net = at_rest(11, 16, lan);
        let peer = (1..16).find(|&peer| state(&net, 0, peer) == Some(PeerState::Linked)).expect("node 0 has links");
        net.network().assign(0, 1);
        net.network().assign(peer, 2);
        net.network().cut(2, 1);
        if both_ways {
            net.network().cut(1, 2);
        }
        run(&mut net, 120);
        assert_eq!(downs(&net), [], "both ways: {both_ways}");
        assert!(net.counters()["vouches"] > 0);
        assert_ne!(state(&net, 0, peer), Some(PeerState::Linked), "both ways: {both_ways}");
    }
}

/// Losing much in one direction only: probes tell what numbering cannot.
#[test]
fn asymmetric_loss_kills_nobody() {
    let mut net = at_rest(12, 16, lan);
    for round in 0..40 {
        // Half of the time nothing that node 4 sends arrives.
        net.network().assign(4, 1);
        net.network().cut(1, 0);
        net.run_until(net.now() + SECOND * (1 + round % 3) / 2);
        net.network().heal();
        net.run_until(net.now() + SECOND);
    }
    assert_eq!(downs(&net), []);
}

// ---- at what price

#[test]
fn an_idle_node_pays_the_same_whatever_the_size() {
    for nodes in [2, 3, 8, 64] {
        let sealed = move |birth| {
            let mut config = lan(birth);
            config.security = gossip_core::Security::Sealed { key_id: 1, key: [7; 32] };
            config
        };
        let mut net = at_rest(17, nodes, sealed);
        // The waves of a young root follow each other soon; in the end they come every ten minutes.
        run(&mut net, 150);
        net.observer = Log::default();
        run(&mut net, 60);
        let rate = net.observer.bytes / 60 / u64::from(nodes);
        assert!((90..=125).contains(&rate), "{rate} bytes a second of each of {nodes} nodes");
    }
}
