//! Rumors that are told or asked for in rounds, until they are old.

mod common;

use common::{Cluster, ms, secs};
use gossip_core::{Broadcast, Feedback, Order, Repair, Rounds, Spread, Stats, Stop};

/// Nodes that spread in this manner, without repair.
fn cluster(count: usize, spread: Spread, feedback: Feedback, stop: Stop, ttl: u8) -> Cluster {
    Cluster::joined(count, |_, config| {
        config.broadcast = Broadcast::Mongering { fanout: 1, ttl, spread, stop, feedback };
        config.repair = Repair::Off;
    })
}

const fn counter(k: u8) -> Stop {
    Stop::Counter { rounds: Rounds::Fixed(k) }
}

fn each(cluster: &Cluster, figure: impl Fn(&Stats) -> u64) -> Vec<u64> {
    cluster.nodes.iter().map(|node| figure(&node.stats())).collect()
}

fn reached(cluster: &Cluster) -> usize {
    (0..cluster.nodes.len()).filter(|&index| !cluster.texts(index).is_empty()).count()
}

#[test]
fn who_tells_stops_when_it_was_in_vain_so_often() {
    let mut cluster = cluster(2, Spread::Push, Feedback::Answers, counter(2), 255);
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(1));
    assert_eq!(cluster.texts(1), ["x"]);
    assert_eq!(each(&cluster, |stats| stats.data_sent), [3, 0], "once with success, twice in vain; never back");
    assert_eq!(each(&cluster, |stats| stats.heard_sent), [0, 2], "the copies in vain are answered");
    assert_eq!(each(&cluster, |stats| stats.cooled), [1, 1]);
}

#[test]
fn the_blind_tell_so_many_times_and_nobody_answers() {
    for k in [1, 3] {
        let mut cluster = cluster(12, Spread::Push, Feedback::Blind, counter(k), 255);
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(secs(2));
        let sent = each(&cluster, |stats| stats.data_sent);
        for (index, &sent) in sent.iter().enumerate() {
            assert_eq!(sent, if cluster.texts(index).is_empty() { 0 } else { k.into() }, "node {index}, k = {k}");
        }
        assert!(reached(&cluster) >= if k == 1 { 2 } else { 10 }, "k = {k}");
        assert_eq!(each(&cluster, |stats| stats.heard_sent + stats.inquiries_sent), [0; 12]);
    }
}

#[test]
fn the_hop_limit_holds() {
    let mut cluster = cluster(8, Spread::Push, Feedback::Blind, counter(4), 1);
    cluster.submit(0, Order::Unordered, "x");
    cluster.run(secs(2));
    assert_eq!(each(&cluster, |stats| stats.data_sent), [4, 0, 0, 0, 0, 0, 0, 0], "who got it in one hop keeps it");
    assert!((2..=5).contains(&reached(&cluster)));
}

#[test]
fn asking_goes_on_for_ever_and_telling_needs_news() {
    for (spread, inquires) in [(Spread::Push, false), (Spread::Pull, true), (Spread::PushPull, true)] {
        let mut cluster = cluster(4, spread, Feedback::Answers, counter(2), 255);
        let before = each(&cluster, |stats| stats.inquiries_sent);
        cluster.run(ms(1_000));
        for (before, after) in before.into_iter().zip(each(&cluster, |stats| stats.inquiries_sent)) {
            assert_eq!(after - before, if inquires { 100 } else { 0 }, "one in each round of 10 ms, {spread:?}");
        }
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(secs(1));
        assert_eq!(reached(&cluster), 4, "{spread:?}");
    }
}

#[test]
fn a_node_without_a_link_asks_nobody_and_sleeps() {
    let mut cluster = cluster(1, Spread::Pull, Feedback::Lists, counter(2), 255);
    cluster.run(secs(1));
    let next = cluster.nodes[0].poll_timeout().expect("old things are looked for now and then");
    assert!(next.saturating_since(cluster.now) > secs(1), "{next:?}");
}

#[test]
fn lists_keep_copies_from_being_sent_in_vain() {
    for (feedback, in_vain) in [(Feedback::Answers, true), (Feedback::Lists, false)] {
        let mut cluster = cluster(10, Spread::Pull, feedback, counter(5), 255);
        for text in ["a", "b", "c"] {
            cluster.submit(0, Order::Unordered, text);
        }
        cluster.run(secs(2));
        assert!((0..10).all(|index| cluster.texts(index).len() == 3), "{feedback:?}");
        let copies: u64 = each(&cluster, |stats| stats.data_sent).into_iter().sum();
        let heard: u64 = each(&cluster, |stats| stats.heard_sent).into_iter().sum();
        assert_eq!((copies > 3 * 9, heard > 0), (in_vain, in_vain), "{feedback:?}: {copies} copies, {heard} in vain");
    }
}

#[test]
fn what_rumors_miss_is_repaired() {
    let mut cluster = Cluster::joined(12, |_, config| {
        let (spread, stop, feedback) = (Spread::Push, counter(1), Feedback::Blind);
        config.broadcast = Broadcast::Mongering { fanout: 1, ttl: 255, spread, stop, feedback };
    });
    cluster.submit(0, Order::Fifo, "x");
    cluster.run(secs(5));
    assert_eq!(reached(&cluster), 12);
}
