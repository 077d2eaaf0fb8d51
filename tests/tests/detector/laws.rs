//! Laws that hold for a whole cluster, each with the mutant that it was written against.

use gossip_core::{Broadcast, Order, PeerState};
use gossip_tests::sim::rng::{Chance, Rng};

use crate::net::*;

/// Nodes and times are larger where `GOSSIP_LONG` is set, as `tests/ci.sh long` does.
fn size<T>(small: T, full: T) -> T {
    if std::env::var_os("GOSSIP_LONG").is_some() { full } else { small }
}

// ---- what an idle link carries

/// Whatever is sent over a link stands for its beat.
#[test]
fn links_that_carry_messages_carry_no_beats() {
    let flood = |birth| {
        let mut config = lan(birth);
        config.broadcast = Broadcast::Flood { ttl: 8 };
        config
    };
    let mut net = at_rest(30, 12, flood);
    let beats = |net: &mut Net, talk: bool| {
        let before = net.counters()["beats_sent"];
        for step in 0..100 {
            if talk {
                net.submit(step % 12, Order::Unordered, b"words").expect("it is up").expect("there is room");
            }
            net.run_until(net.now() + SECOND / 5);
        }
        (net.counters()["beats_sent"] - before) as f64 / 12.0 / 20.0
    };
    let (idle, busy) = (beats(&mut net, false), beats(&mut net, true));
    assert!((1.1..=1.3).contains(&idle), "{idle} beats a second of an idle node");
    assert!(busy < 0.3, "{busy} beats a second of a busy node");
}

// ---- what the remembered dead cost

/// From the moment of the split on, each side calls the other at a steady rate, which does not depend on its size: nodes
/// that threw no dice would all call in the same round, and then nobody for long.
#[test]
fn each_side_of_a_split_calls_at_the_rate_of_one_component() {
    for (nodes, apart) in size(&[(8, 1), (8, 3), (64, 32)][..], &[(8, 1), (8, 3), (64, 32), (1_000, 500)]) {
        let mut net = at_rest(31, *nodes, roomy);
        isolate(&mut net, &(0..*apart).collect::<Vec<_>>());
        run(&mut net, 40);
        net.observer.calls.clear();
        let start = net.now();
        run(&mut net, 60);
        for here in [true, false] {
            let mine = net.observer.calls.iter().filter(|&&(_, from)| (from < *apart) == here);
            let mut at: Vec<u64> = mine.map(|&(at, _)| at).collect();
            let rate = at.len() as f64 / 60.0;
            assert!((1.0..=3.0).contains(&rate), "{rate} calls a second, {apart} of {nodes} split off, {here}");
            at.push(net.now());
            let pauses = at.iter().scan(start, |last, &at| Some(at - std::mem::replace(last, at)));
            let longest = pauses.max().expect("there were calls");
            assert!(longest < 6 * SECOND, "nobody called for {longest} µs, {apart} of {nodes} split off, {here}");
        }
    }
}

// ---- what is missed and found

/// Who misses all the news of a death learns of it: a beat says that its tables are other ones, and whoever reads there of
/// the dead as of the living answers that.
#[test]
fn a_death_that_was_missed_is_learnt_from_tables() {
    let mut net = at_rest(32, 40, lan);
    let mut missed = 0;
    for victim in [3, 11, 19, 27] {
        let witness = (0..40)
            .find(|&node| net.is_up(node) && node != victim && state(&net, node, victim) == Some(PeerState::Known))
            .expect("not all are linked with it");
        let before = net.counters()["certificates"];
        net.crash(victim);
        while net.counters()["certificates"] == before {
            net.run_until(net.now() + SECOND / 100);
        }
        net.network().assign(witness, 1);
        net.network().cut(0, 1);
        net.run_until(net.now() + 6 * SECOND / 5);
        net.network().heal();
        net.network().assign(witness, 0);
        missed += u32::from(state(&net, witness, victim) != Some(PeerState::Down));
        run(&mut net, 7);
        assert_eq!(state(&net, witness, victim), Some(PeerState::Down), "node {witness} of {victim}");
    }
    assert!(missed >= 3, "the news was heard all the same: a vacuous test");
}

/// Two nodes that become neighbors give each other what either lacks at once, and not only at the next beat.
#[test]
fn a_new_link_brings_what_was_missed_at_once() {
    let mut net = at_rest(33, 24, lan);
    isolate(&mut net, &[7]);
    for step in 0..100 {
        net.submit(step % 7, Order::Unordered, b"while it was away").expect("it is up").expect("there is room");
        net.run_until(net.now() + SECOND / 5);
    }
    let linked = |net: &Net| holders(net, 7, |state| state == Some(PeerState::Linked)).len();
    assert_eq!(linked(&net), 0, "all have given it up");
    net.network().heal();
    while linked(&net) == 0 {
        net.run_until(net.now() + SECOND / 100);
    }
    net.run_until(net.now() + SECOND);
    assert_eq!(net.view(7).expect("it is up").messages().count(), 100);
}

// ---- what faults leave behind

/// Twenty seconds after the last fault all tables say the same, and the truth. (A node that was taken for dead twice of late
/// has four windows to speak before it is again, which is 18 s: so nobody crashes in the last ten seconds of the faults.)
#[test]
fn after_the_last_fault_all_tables_are_equal() {
    for seed in 0..size(6, 60) {
        let mut net = at_rest(seed, 24, lan);
        let mut rng = Rng::new(seed, 9);
        let mut apart: Vec<u32> = Vec::new();
        for step in 0..30 {
            let node = 1 + rng.below(23) as u32;
            match rng.below(6) {
                0 if net.is_up(node) && step < 25 => net.crash(node),
                0 | 1 if !net.is_up(node) => {
                    net.start(node, false);
                    net.join(node, 0).expect("a new node takes a contact");
                }
                2 => {
                    heal(&mut net, &apart);
                    apart = (0..24).filter(|_| rng.below(3) == 0).collect();
                    isolate(&mut net, &apart);
                }
                3 => heal(&mut net, &apart),
                4 => lossy(&mut net, rng.below(4) as f64 / 10.0),
                _ => {
                    let until = net.now() + rng.below(8 * SECOND);
                    net.network().hold(node, until);
                }
            }
            run(&mut net, 2);
        }
        heal(&mut net, &apart);
        net.network().weather.loss = Chance::NEVER;
        run(&mut net, 20);
        for of in 0..24 {
            let expected = net.is_up(of);
            let other = holders(&net, of, |state| is_alive(state) != expected);
            assert!(other.is_empty(), "seed {seed}: {other:?} are wrong about node {of}, which is up: {expected}");
        }
    }
}
