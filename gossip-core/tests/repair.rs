//! All or told: what is lost is fetched, and what nobody has any more is told as a gap.

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use common::{Cluster, Packet, id, ms, secs};
use gossip_core::{Broadcast, Config, Event, Order, Rounds, SubmitError};

/// Every number from 1 to `last` was delivered to a node, or told as lost to it: each once.
fn all_or_told(cluster: &Cluster, index: usize, origin: usize, last: u64) {
    let mut told = BTreeMap::<u64, usize>::new();
    let (delivered, gaps) = (cluster.delivered(index, id(origin)), cluster.gaps(index, id(origin)));
    for seq in delivered.into_iter().chain(gaps) {
        *told.entry(seq).or_default() += 1;
    }
    let twice: Vec<_> = told.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "node {index} was told twice: {twice:?}");
    let silent: Vec<_> = (1..=last).filter(|seq| !told.contains_key(seq)).collect();
    assert!(silent.is_empty(), "node {index} was told nothing of {silent:?}");
    assert!(told.last_key_value().is_none_or(|(&seq, _)| seq <= last), "node {index} was told of the future");
}

/// Messages spread in a way that repairs nothing by itself: what is repaired is repaired by comparing tables.
fn rumor(config: &mut Config) {
    config.broadcast = Broadcast::Rumor { fanout: 3, rounds: Rounds::Auto };
}

/// Submits as fast as the node takes it, in steps of 10 ms.
fn submit_all(cluster: &mut Cluster, index: usize, order: impl Fn(usize) -> Order, count: usize) {
    for number in 0..count {
        let text = number.to_string();
        let mut patience = 3_000;
        while let Err(error) = cluster.nodes[index].submit(cluster.now, order(number), text.as_bytes()) {
            assert_eq!(error, SubmitError::Busy);
            cluster.run(ms(10));
            patience -= 1;
            assert!(patience > 0, "busy for 30 s at message {number}");
        }
    }
}

#[test]
fn if_the_first_copy_of_everything_is_lost_all_is_fetched() {
    let mut cluster = Cluster::joined(6, |_, _| {});
    let seen = Rc::new(RefCell::new(HashSet::new()));
    // The length of a datagram and its ends are as good as its contents: each kind gets lost once between two nodes.
    cluster.lose =
        Box::new(move |packet: &Packet| seen.borrow_mut().insert((packet.from, packet.to, packet.bytes.len())));
    for number in 0..50 {
        cluster.submit(number % 6, Order::Unordered, "a message of some length");
        cluster.run(ms(20));
    }
    cluster.run(secs(10));
    for index in 0..6 {
        assert_eq!(cluster.texts(index).len(), 50, "node {index}");
        assert_eq!(cluster.count(index, |event| matches!(event, Event::Gap { .. })), 0);
    }
}

#[test]
fn half_of_everything_may_be_lost() {
    let mut cluster = Cluster::joined(8, |_, _| {});
    let mut state = 1_u64;
    cluster.lose = Box::new(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 63 == 0
    });
    submit_all(&mut cluster, 3, |number| if number % 2 == 0 { Order::Fifo } else { Order::Unordered }, 100);
    cluster.run(secs(20));
    for index in 0..8 {
        assert_eq!(cluster.texts(index).len(), 100, "node {index}");
    }
}

#[test]
fn the_loss_of_the_very_last_message_is_found_by_comparison() {
    let mut cluster = Cluster::joined(2, |_, config| rumor(config));
    cluster.connect(0, 1, false);
    cluster.submit(0, Order::Unordered, "the last one");
    cluster.run(ms(150));
    cluster.connect(0, 1, true);
    cluster.run(secs(1));
    assert_eq!(cluster.texts(1), ["the last one"]);
    assert!(cluster.nodes[0].stats().repairs_sent > 0);
}

/// A cluster, and a newcomer as its last node that is not there yet.
fn with_newcomer(count: usize, configure: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = Cluster::new(count + 1, |_, config| configure(config));
    for index in 1..count {
        cluster.nodes[index].join(cluster.now, common::address(0)).expect("room");
    }
    cluster.run(secs(3));
    cluster
}

#[test]
fn a_newcomer_gets_what_is_stored_and_is_told_what_nobody_holds() {
    let mut cluster = with_newcomer(3, |config| {
        rumor(config);
        config.limits.messages = 20;
    });
    submit_all(&mut cluster, 0, |_| Order::Fifo, 50);
    cluster.run(secs(2));
    cluster.nodes[3].join(cluster.now, common::address(1)).expect("room");
    cluster.run(secs(10));
    all_or_told(&cluster, 3, 0, 50);
    assert_eq!(cluster.gaps(3, id(0)), (1..=30).collect::<Vec<_>>());
    assert_eq!(cluster.delivered(3, id(0)), (31..=50).collect::<Vec<_>>(), "in their order");
}

#[test]
fn a_newcomer_to_a_long_history_is_told_all_of_it_in_time() {
    let mut cluster = with_newcomer(2, |config| config.limits.messages = 64);
    submit_all(&mut cluster, 0, |_| Order::Unordered, 3_000);
    cluster.run(secs(2));
    cluster.nodes[2].join(cluster.now, common::address(1)).expect("room");
    cluster.run(secs(30));
    all_or_told(&cluster, 2, 0, 3_000);
}

#[test]
fn the_store_keeps_the_newest_by_count_and_by_bytes() {
    let mut cluster = Cluster::joined(2, |_, config| config.limits.messages = 10);
    submit_all(&mut cluster, 0, |_| Order::Unordered, 30);
    cluster.run(secs(1));
    for index in 0..2 {
        let kept: Vec<_> = cluster.nodes[index].messages().map(|message| message.id.seq).collect();
        assert_eq!(kept.len(), 10);
        assert!(kept.iter().all(|&seq| seq > 15), "node {index} keeps the newest: {kept:?}");
        all_or_told(&cluster, index, 0, 30);
    }
    let mut cluster = Cluster::joined(2, |_, config| config.limits.payload_bytes = 1_200);
    for _ in 0..10 {
        cluster.nodes[0].submit(cluster.now, Order::Unordered, &[7; 500]).expect("room for one");
        cluster.run(ms(200));
    }
    for index in 0..2 {
        let kept: Vec<_> = cluster.nodes[index].messages().map(|message| message.id.seq).collect();
        assert_eq!(kept, [9, 10], "room for two of 500 bytes");
        assert_eq!(cluster.texts(index).len(), 10);
    }
}

#[test]
fn what_is_older_than_the_horizon_goes() {
    let mut cluster = Cluster::joined(2, |_, config| config.timing.horizon = secs(4));
    cluster.submit(0, Order::Unordered, "old");
    cluster.run(secs(3));
    cluster.submit(0, Order::Unordered, "young");
    assert_eq!(cluster.nodes[1].messages().count(), 1);
    cluster.run(secs(2));
    for index in 0..2 {
        let kept: Vec<_> = cluster.nodes[index].messages().map(|message| message.id.seq).collect();
        assert_eq!(kept, [2], "node {index}");
    }
}

#[test]
fn a_lonely_node_is_busy_exactly_at_its_limit_and_takes_more_once_somebody_came() {
    for limit in [5, 100, 500] {
        let mut cluster = Cluster::new(2, |_, config| config.limits.messages = limit);
        let accepted =
            (0..1_000).take_while(|_| cluster.nodes[0].submit(cluster.now, Order::Fifo, b"x").is_ok()).count();
        assert_eq!(accepted as u32, limit.min(256), "the store, or the window of whoever comes");
        cluster.run(secs(5));
        assert_eq!(cluster.nodes[0].submit(cluster.now, Order::Fifo, b"x"), Err(SubmitError::Busy));
        assert_eq!(cluster.nodes[0].stats().evicted, 0);
        cluster.nodes[1].join(cluster.now, common::address(0)).expect("room");
        cluster.run(secs(5));
        cluster.submit(0, Order::Fifo, "one more");
        cluster.run(secs(2));
        let all: Vec<u64> = (1..=accepted as u64 + 1).collect();
        assert_eq!(cluster.delivered(1, id(0)), all);
    }
}

#[test]
fn a_lonely_node_is_busy_when_its_bytes_are_full() {
    let mut cluster = Cluster::new(1, |_, config| config.limits.payload_bytes = 1_200);
    let now = cluster.now;
    for _ in 0..3 {
        cluster.nodes[0].submit(now, Order::Fifo, &[7; 400]).expect("1,200 bytes");
    }
    assert_eq!(cluster.nodes[0].submit(now, Order::Fifo, b"x"), Err(SubmitError::Busy));
    cluster.nodes[0].submit(now, Order::Fifo, b"").expect("no byte");
}

#[test]
fn what_a_slow_application_misses_it_is_told() {
    for order in [Order::Unordered, Order::Fifo] {
        let mut cluster = Cluster::joined(3, |_, config| config.limits.messages = 32);
        cluster.listens[2] = false;
        submit_all(&mut cluster, 0, |_| order, 200);
        submit_all(&mut cluster, 1, |_| order, 50);
        cluster.run(secs(5));
        cluster.listens[2] = true;
        cluster.run(secs(5));
        for (origin, count) in [(0, 200), (1, 50)] {
            all_or_told(&cluster, 2, origin, count);
            all_or_told(&cluster, 1, origin, count);
        }
        let lost = cluster.gaps(2, id(0)).len() + cluster.gaps(2, id(1)).len();
        assert!((1..=218).contains(&lost), "the store kept {}", 250 - lost);
    }
}

#[test]
fn an_application_that_listens_now_and_then_misses_nothing_in_silence() {
    let mut cluster = Cluster::joined(4, |_, config| config.limits.messages = 24);
    for round in 0..40 {
        cluster.listens[3] = round % 7 == 0;
        cluster.listens[2] = round % 3 == 0;
        for origin in 0..2 {
            submit_all(&mut cluster, origin, |number| if number % 3 == 0 { Order::Fifo } else { Order::Unordered }, 9);
        }
        cluster.run(ms(70));
    }
    cluster.listens = vec![true; 4];
    cluster.run(secs(10));
    for (index, origin) in (0..4).flat_map(|index| [(index, 0), (index, 1)]) {
        all_or_told(&cluster, index, origin, 360);
    }
}

#[test]
fn a_partition_shorter_than_the_horizon_heals_and_nothing_is_missed() {
    for seconds in [1, 5, 30, 100] {
        let mut cluster = Cluster::joined(6, |_, _| {});
        cluster.connect_groups(&[0, 1, 2], &[3, 4, 5], false);
        for number in 0..20 {
            cluster.submit(if number % 2 == 0 { 0 } else { 5 }, Order::Fifo, "x");
            cluster.run(secs(seconds) / 20);
        }
        cluster.connect_groups(&[0, 1, 2], &[3, 4, 5], true);
        cluster.run(secs(20));
        for index in 0..6 {
            assert_eq!(cluster.texts(index).len(), 20, "node {index} after {seconds} s");
            assert_eq!(cluster.count(index, |event| matches!(event, Event::Gap { .. })), 0);
        }
    }
}

/// Nodes 1 and 2 lack the first messages of node 0, which has given them up, as has everybody who had them.
fn with_a_hole(horizon: u64) -> Cluster {
    let mut cluster = Cluster::joined(4, |index, config| {
        rumor(config);
        config.timing.horizon = secs(horizon);
        if index == 0 {
            config.limits.messages = 16;
        }
    });
    cluster.connect_groups(&[1, 2], &[0, 3], false);
    submit_all(&mut cluster, 0, |_| Order::Unordered, 40);
    cluster.run(ms(100));
    cluster.up[3] = false;
    cluster.connect_groups(&[1, 2], &[0], true);
    cluster
}

#[test]
fn a_hole_that_two_neighbors_share_is_given_up_after_a_while() {
    let mut cluster = with_a_hole(600);
    cluster.run(secs(1));
    let lost: Vec<_> = (1..=24).collect();
    assert_eq!((cluster.gaps(1, id(0)), cluster.gaps(2, id(0))), (vec![], vec![]), "not at once: the patience is 3 s");
    cluster.run(secs(9));
    assert_eq!((cluster.gaps(1, id(0)), cluster.gaps(2, id(0))), (lost.clone(), lost));
    all_or_told(&cluster, 1, 0, 40);
    all_or_told(&cluster, 2, 0, 40);
}

#[test]
fn a_hole_older_than_the_horizon_is_given_up_whatever_the_neighbors_say() {
    // Node 0 submits while only node 3 hears it; then both are gone, and node 1 has heard of it by a later message alone.
    let mut cluster = Cluster::joined(3, |_, config| {
        rumor(config);
        config.timing.horizon = secs(20);
    });
    cluster.connect(0, 1, false);
    cluster.connect(0, 2, false);
    cluster.submit(0, Order::Unordered, "missed");
    cluster.run(ms(1));
    let mut buffer = [0; 1_200];
    cluster.connect(0, 1, true);
    // The next message alone gets through: its origin dies right after it.
    while cluster.nodes[0].poll_transmit(cluster.now, &mut buffer).is_some() {}
    cluster.submit(0, Order::Unordered, "heard");
    cluster.drain(0);
    cluster.up[0] = false;
    cluster.run(secs(15));
    let heard = [1, 2].map(|index| cluster.delivered(index, id(0)));
    assert_eq!(heard, [vec![2], vec![2]]);
    assert_eq!((cluster.gaps(1, id(0)), cluster.gaps(2, id(0))), (vec![], vec![]), "somebody may come and have it");
    cluster.run(secs(15));
    assert_eq!((cluster.gaps(1, id(0)), cluster.gaps(2, id(0))), (vec![1], vec![1]));
}

#[test]
fn a_late_copy_of_what_was_told_as_lost_is_dropped() {
    let mut cluster = with_a_hole(600);
    cluster.run(secs(10));
    assert_eq!(cluster.gaps(1, id(0)).len(), 24);
    // Node 3 still has them all.
    cluster.connect_groups(&[1, 2], &[3], true);
    cluster.up[3] = true;
    cluster.run(secs(10));
    all_or_told(&cluster, 1, 0, 40);
    all_or_told(&cluster, 3, 0, 40);
}

#[test]
fn unordered_messages_do_not_wait_for_a_hole_and_fifo_messages_do() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.connect(0, 1, false);
    cluster.submit(0, Order::Fifo, "first");
    cluster.drain(0);
    cluster.connect(0, 1, true);
    cluster.submit(0, Order::Unordered, "quick");
    cluster.submit(0, Order::Fifo, "second");
    cluster.run(ms(3));
    assert_eq!(cluster.texts(1), ["quick"]);
    cluster.run(secs(2));
    assert_eq!(cluster.texts(1), ["quick", "first", "second"]);
}

#[test]
fn fifo_messages_wait_for_a_hole_and_go_on_after_its_gap() {
    let mut cluster = Cluster::joined(3, |index, config| {
        rumor(config);
        if index == 0 {
            config.limits.messages = 8;
        }
    });
    cluster.connect_groups(&[0, 2], &[1], false);
    submit_all(&mut cluster, 0, |_| Order::Fifo, 12);
    cluster.run(ms(100));
    cluster.up[2] = false;
    cluster.connect(0, 1, true);
    cluster.run(secs(10));
    let told: Vec<_> = cluster.events[1]
        .iter()
        .filter_map(|event| match event {
            Event::Gap { first, last, .. } => Some((*first, *last)),
            Event::Deliver(delivery) => Some((delivery.id.seq, delivery.id.seq)),
            _ => None,
        })
        .collect();
    assert_eq!(told[0], (1, 4), "the gap comes first");
    assert_eq!(told[1..], [5, 6, 7, 8, 9, 10, 11, 12].map(|seq| (seq, seq)));
}

#[test]
fn six_hundred_messages_at_once_pass_every_window() {
    for order in [Order::Unordered, Order::Fifo] {
        let mut cluster = Cluster::joined(8, |_, _| {});
        let mut count = 0_u32;
        cluster.lose = Box::new(move |_| {
            count += 1;
            count.is_multiple_of(5)
        });
        submit_all(&mut cluster, 4, |_| order, 600);
        cluster.run(secs(10));
        for index in 0..8 {
            let mut delivered = cluster.delivered(index, id(4));
            if order == Order::Unordered {
                delivered.sort_unstable();
            }
            assert_eq!(delivered, (1..=600).collect::<Vec<_>>(), "node {index}");
        }
    }
}

#[test]
fn a_full_house_of_origins_refuses_newcomers_and_counts_it() {
    let mut cluster = Cluster::joined(6, |index, config| {
        if index == 0 {
            config.limits.origins = 3;
        }
    });
    for index in 1..6 {
        cluster.submit(index, Order::Unordered, "x");
    }
    cluster.run(secs(2));
    assert_eq!(cluster.texts(0).len(), 2, "one row is its own");
    assert!(cluster.nodes[0].stats().refused_origin > 0);
    assert!((1..6).all(|index| cluster.texts(index).len() == 5));
}
