//! Registers: everybody's own keys, known to everybody.

mod common;

use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::{Config, Durability, Event, Gossip, Instant, KEY_MAX, NodeId, Scope, SubmitError};

/// Loses one in `n` datagrams, in an order that looks random.
fn lossy(cluster: &mut Cluster, n: u64) {
    let mut state = 7_u64;
    cluster.lose = Box::new(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).is_multiple_of(n)
    });
}

fn set(cluster: &mut Cluster, index: usize, key: &str, value: &str) {
    cluster.nodes[index].set(cluster.now, Scope::Own, key, value.as_bytes()).expect("room");
}

fn remove(cluster: &mut Cluster, index: usize, key: &str) {
    cluster.nodes[index].remove(cluster.now, Scope::Own, key).expect("room");
}

/// What a node knows: owner, key, value.
fn known(cluster: &Cluster, index: usize, prefix: &str) -> Vec<(NodeId, String, String)> {
    let registers = cluster.nodes[index].registers(prefix);
    registers.map(|r| (r.node, r.key.to_string(), String::from_utf8_lossy(&r.value).into_owned())).collect()
}

#[test]
fn what_is_set_overwritten_and_removed_under_loss_is_the_same_everywhere() {
    let mut cluster = Cluster::joined(8, |_, _| {});
    lossy(&mut cluster, 3);
    for round in 0..30 {
        for index in 0..8 {
            set(&mut cluster, index, &format!("key {}", round % 7), &format!("{index} {round}"));
            if (round + index) % 5 == 0 {
                remove(&mut cluster, index, &format!("key {}", (round + 3) % 7));
            }
        }
        cluster.run(ms(30));
    }
    cluster.run(secs(10));
    let mut expected = known(&cluster, 0, "");
    expected.sort();
    assert!(expected.len() > 30);
    for index in 0..8 {
        let mut here = known(&cluster, index, "");
        here.sort();
        assert_eq!(here, expected, "node {index}");
        let own =
            |all: &[(NodeId, String, String)]| all.iter().filter(|r| r.0 == id(index)).cloned().collect::<Vec<_>>();
        assert_eq!(own(&here), own(&expected));
    }
}

#[test]
fn events_replayed_give_what_the_view_shows() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    lossy(&mut cluster, 4);
    for round in 0..50 {
        set(&mut cluster, 1, &format!("{}", round % 6), &format!("{round}"));
        if round % 4 == 0 {
            remove(&mut cluster, 1, &format!("{}", (round + 2) % 6));
        }
        cluster.listens[3] = round % 5 == 0;
        cluster.run(ms(15));
    }
    cluster.listens[3] = true;
    cluster.run(secs(5));
    for index in [0, 1, 3] {
        let mut model = std::collections::BTreeMap::new();
        let mut last = std::collections::BTreeMap::new();
        for event in &cluster.events[index] {
            let Event::Register { node, key, version, value, .. } = event else { continue };
            let newest = last.insert(key.to_string(), *version);
            assert!(newest < Some(*version), "node {index}: {key} goes from {newest:?} to {version:?}");
            match value {
                Some(value) => model.insert((*node, key.to_string()), String::from_utf8_lossy(value).into_owned()),
                None => model.remove(&(*node, key.to_string())),
            };
        }
        let mut view: Vec<_> = known(&cluster, index, "");
        view.sort();
        assert_eq!(model.into_iter().map(|((node, key), value)| (node, key, value)).collect::<Vec<_>>(), view);
    }
}

#[test]
fn a_newcomer_learns_all_live_registers() {
    let mut cluster = Cluster::new(5, |_, _| {});
    for index in 1..4 {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room");
    }
    for index in 0..4 {
        for key in 0..40 {
            set(&mut cluster, index, &format!("{key}"), "value");
        }
        for key in 0..10 {
            remove(&mut cluster, index, &format!("{}", key * 4));
        }
    }
    cluster.run(secs(3));
    cluster.nodes[4].join(cluster.now, address(2)).expect("room");
    cluster.run(secs(3));
    assert_eq!(known(&cluster, 4, "").len(), 120);
    assert_eq!(known(&cluster, 4, ""), known(&cluster, 0, ""));
}

#[test]
fn a_removal_holds_against_a_node_that_was_away_for_less_than_the_horizon() {
    let mut cluster = Cluster::joined(4, |_, config| config.timing.horizon = secs(60));
    set(&mut cluster, 0, "keep", "1");
    set(&mut cluster, 0, "gone", "1");
    cluster.run(secs(1));
    cluster.connect_groups(&[3], &[0, 1, 2], false);
    cluster.run(secs(2));
    remove(&mut cluster, 0, "gone");
    cluster.run(secs(30));
    cluster.connect_groups(&[3], &[0, 1, 2], true);
    cluster.run(secs(20));
    assert!((0..4).all(|index| known(&cluster, index, "").len() == 1));
}

#[test]
fn a_removed_register_is_not_there_for_whoever_comes_later() {
    let mut cluster = Cluster::new(3, |_, config| config.timing.horizon = secs(5));
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    set(&mut cluster, 0, "gone", "1");
    cluster.run(secs(1));
    remove(&mut cluster, 0, "gone");
    cluster.run(secs(20));
    cluster.nodes[2].join(cluster.now, address(1)).expect("room");
    cluster.run(secs(2));
    assert_eq!(known(&cluster, 2, ""), []);
    assert_eq!(cluster.count(2, |event| matches!(event, Event::Register { .. })), 0);
}

#[test]
fn a_removal_is_no_news_to_whoever_never_had_the_register() {
    let mut cluster = Cluster::new(2, |_, _| {});
    set(&mut cluster, 0, "gone", "1");
    remove(&mut cluster, 0, "gone");
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(3));
    assert!(cluster.nodes[1].stats().registers_applied > 0, "the removal came");
    assert_eq!(cluster.count(1, |event| matches!(event, Event::Register { .. })), 0);
}

fn removals(cluster: &Cluster, index: usize) -> usize {
    cluster.count(index, |event| matches!(event, Event::Register { value: None, .. }))
}

#[test]
fn whoever_is_heard_of_through_others_is_not_forgotten_though_it_cannot_be_reached() {
    let mut cluster = Cluster::joined(3, |_, config| config.timing.horizon = secs(20));
    cluster.connect(0, 1, false);
    for round in 0..10 {
        set(&mut cluster, 1, "round", &round.to_string());
        cluster.run(secs(5));
        assert_eq!(known(&cluster, 0, ""), [(id(1), "round".into(), round.to_string())]);
    }
    let told = |event: &Event| *event == Event::PeerUnreachable { node: id(1) };
    assert_eq!(cluster.count(0, told), 1, "it was unreachable all the time");
    assert_eq!(removals(&cluster, 0), 0);
}

#[test]
fn the_board_of_a_member_that_was_forgotten_comes_back_with_it() {
    let mut cluster = Cluster::joined(3, |_, config| config.timing.horizon = secs(20));
    set(&mut cluster, 1, "color", "red");
    cluster.run(secs(1));
    cluster.connect(0, 1, false);
    cluster.connect(0, 2, false);
    for _ in 0..400 {
        if removals(&cluster, 0) > 0 {
            break;
        }
        cluster.run(ms(100));
    }
    assert_eq!((removals(&cluster, 0), known(&cluster, 0, "")), (1, vec![]), "the horizon is over");
    cluster.connect(0, 1, true);
    cluster.connect(0, 2, true);
    cluster.run(secs(20));
    assert_eq!(known(&cluster, 0, ""), [(id(1), "color".into(), "red".into())]);
}

#[test]
fn keys_have_bounds() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    let now = cluster.now;
    let long = "k".repeat(KEY_MAX);
    let wide = "ü".repeat(KEY_MAX / 2);
    let error = Err(SubmitError::Key { max: KEY_MAX });
    for bad in ["", &"k".repeat(KEY_MAX + 1), &"ü".repeat(KEY_MAX / 2 + 1), "\0", "\0key"] {
        assert_eq!(cluster.nodes[0].set(now, Scope::Own, bad, b"v"), error, "{bad:?}");
        assert_eq!(cluster.nodes[0].remove(now, Scope::Own, bad), error, "{bad:?}");
    }
    for good in [&*long, &*wide, "k", "a\0b", "日本", " "] {
        set(&mut cluster, 0, good, "v");
    }
    cluster.run(secs(1));
    let keys: Vec<_> = known(&cluster, 1, "").into_iter().map(|register| register.1).collect();
    assert_eq!(keys, [&*long, &*wide, "k", "a\0b", "日本", " "]);
    assert_eq!(cluster.nodes[0].set(now, Scope::Shared, "k", b"v"), Err(SubmitError::NotYet));
}

#[test]
fn values_have_an_exact_bound_and_what_is_accepted_arrives() {
    for mtu in [256, 1_200, 9_000] {
        for key in ["k".to_owned(), "k".repeat(KEY_MAX)] {
            let configure = |_, config: &mut Config| {
                config.mtu = mtu;
                config.limits.payload_bytes = 1 << 20;
            };
            let mut cluster = Cluster::joined(2, configure);
            let now = cluster.now;
            let Err(SubmitError::TooLarge { max, limit }) = cluster.nodes[0].set(now, Scope::Own, &key, &[1; 9_000])
            else {
                panic!("9,000 bytes beside the head are too many")
            };
            let too_large = cluster.nodes[0].set(now, Scope::Own, &key, &vec![1; max + 1]);
            assert_eq!(too_large, Err(SubmitError::TooLarge { max, limit }));
            cluster.nodes[0].set(now, Scope::Own, &key, &vec![1; max]).expect("exactly the bound");
            cluster.nodes[0].set(now, Scope::Own, "other", b"small").expect("room");
            cluster.run(secs(2));
            let value = cluster.nodes[1].register(id(0), &key).map(|register| register.value.len());
            assert_eq!(value, Some(max), "mtu {mtu}");
            assert_eq!(cluster.nodes[1].registers("").count(), 2);
        }
    }
}

#[test]
fn without_room_a_change_is_refused_and_changes_nothing() {
    let configure = |_, config: &mut Config| {
        (config.limits.peers, config.limits.registers) = (4, 10);
        config.limits.register_bytes = 400;
    };
    let mut cluster = Cluster::new(1, configure);
    let now = cluster.now;
    let node = &mut cluster.nodes[0];
    let full = Err(SubmitError::TooManyRegisters { max: 10 });
    let mut accepted = 0;
    while node.set(now, Scope::Own, &format!("{accepted}"), b"v").is_ok() {
        accepted += 1;
    }
    assert!((9..=10).contains(&accepted), "{accepted}, and perhaps its own address");
    assert_eq!(node.set(now, Scope::Own, "one more", b"v"), full);
    assert_eq!(node.registers("").count(), accepted);
    node.set(now, Scope::Own, "0", b"w").expect("an old key has its place");
    let too_many_bytes = Err(SubmitError::RegisterBytes { max: node.config().limits.register_bytes });
    assert_eq!(node.set(now, Scope::Own, "1", &[1; 400]), too_many_bytes);
    assert_eq!(node.register(id(0), "1").expect("the old value stays").value, &b"v"[..]);
}

#[test]
fn whoever_has_no_room_for_others_registers_counts_it_and_gets_them_when_there_is() {
    let mut cluster = Cluster::joined(3, |index, config| {
        if index == 2 {
            (config.limits.peers, config.limits.registers) = (8, 12);
            config.timing.horizon = secs(5);
        }
    });
    for key in 0..8 {
        set(&mut cluster, 0, &format!("{key}"), "v");
    }
    for key in 0..8 {
        set(&mut cluster, 1, &format!("{key}"), "v");
    }
    cluster.run(secs(2));
    assert!(cluster.nodes[2].stats().refused_register > 0);
    assert!(known(&cluster, 2, "").len() < 16);
    for key in 0..8 {
        remove(&mut cluster, 0, &format!("{key}"));
    }
    cluster.run(secs(20));
    assert_eq!(known(&cluster, 2, "").len(), 8, "the removed ones have made room");
}

#[test]
fn a_restart_without_records_voids_what_was_set_before() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    set(&mut cluster, 2, "color", "red");
    cluster.run(secs(1));
    assert!((0..3).all(|index| known(&cluster, index, "").len() == 1));
    let mut config = local(2);
    config.started_at = 2;
    let mut again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    again.join(cluster.now, address(1)).expect("room");
    cluster.replace(2, again);
    cluster.run(secs(3));
    for index in 0..2 {
        assert_eq!(known(&cluster, index, ""), []);
        let gone = |event: &Event| matches!(event, Event::Register { value: None, .. });
        assert_eq!(cluster.count(index, gone), 1);
    }
}

#[test]
fn registers_come_by_node_and_then_by_age_and_only_with_the_prefix() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    for key in ["b/2", "a/1", "b/1", "c"] {
        set(&mut cluster, 1, key, "v");
        set(&mut cluster, 0, key, "v");
    }
    set(&mut cluster, 0, "b/2", "newer");
    cluster.run(secs(1));
    let keys = |prefix| known(&cluster, 2, prefix).into_iter().map(|r| (r.0.0, r.1)).collect::<Vec<_>>();
    let expected = [(1, "b/1"), (1, "b/2"), (2, "b/2"), (2, "b/1")].map(|(node, key)| (node, key.to_owned()));
    assert_eq!(keys("b/"), expected);
    assert_eq!(keys("").len(), 8);
    assert_eq!(keys("x"), []);
}

#[test]
fn changes_between_two_looks_come_out_as_the_last_one() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.listens[1] = false;
    for number in 0..100 {
        set(&mut cluster, 0, "hot", &format!("{number}"));
        set(&mut cluster, 0, "shy", "there");
        remove(&mut cluster, 0, "shy");
        cluster.run(ms(7));
    }
    cluster.run(secs(1));
    cluster.listens[1] = true;
    cluster.events[1].clear();
    cluster.run(ms(10));
    let told: Vec<_> = cluster.events[1]
        .iter()
        .filter_map(|event| match event {
            Event::Register { key, value, .. } => Some((key.to_string(), value.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&("hot".to_owned(), Some(bytes::Bytes::from_static(b"99")))));
    assert!(told.contains(&("shy".to_owned(), None)));
}

#[test]
fn versions_grow_by_one_with_every_change() {
    let mut config = local(0);
    config.durability = Durability::None;
    let mut node = Gossip::new(config, seed(0, 1), Instant::ZERO).expect("in bounds");
    let versions: Vec<_> = (0..5)
        .map(|number| {
            let now = Instant::from_millis(number);
            if number == 2 { node.remove(now, Scope::Own, "k") } else { node.set(now, Scope::Own, "k", b"v") }
        })
        .map(|version| version.expect("room"))
        .collect();
    assert!(versions.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(versions.iter().all(|version| version.incarnation == node.incarnation()));
}
