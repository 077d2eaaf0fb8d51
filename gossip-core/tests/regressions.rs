//! Scenarios that the core once got wrong.

mod common;

use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::{
    Broadcast, Durability, Event, Gossip, Instant, Order, PeerState, Record, Redelivery, RestoreError, Scope,
    StoredRecord, Table,
};

// ---- joining

#[test]
fn a_superseded_node_takes_a_later_life_whatever_it_has_said() {
    let mut cluster = Cluster::joined(3, |_, config| config.started_at = 100);
    let mut config = local(2);
    config.started_at = 50;
    let again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    cluster.replace(2, again);
    let early = cluster.submit(2, Order::Unordered, "too early");
    cluster.nodes[2].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    assert_eq!(cluster.links(2).len(), 2, "every other node knew a later incarnation");
    assert!(cluster.nodes[2].incarnation() > early.incarnation);
    assert!(cluster.nodes[0].get(early).is_some(), "what was submitted before keeps its id");
}

#[test]
fn an_incarnation_that_could_be_raised_is_no_conflict() {
    let mut cluster = Cluster::joined(3, |_, config| config.started_at = 100);
    let mut config = local(2);
    config.started_at = 50;
    let again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    cluster.replace(2, again);
    cluster.nodes[2].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    assert!(cluster.nodes[2].incarnation().0 >> 20 > 100);
    let conflict = |event: &Event| matches!(event, Event::IdentityConflict { .. });
    assert_eq!(cluster.count(2, conflict), 0, "{:?}", cluster.events[2]);
}

#[test]
fn two_silent_nodes_with_one_id_do_not_outbid_each_other_for_ever() {
    let mut cluster = Cluster::new(3, |index, config| {
        if index == 2 {
            (config.id, config.started_at) = (id(1), 5);
        }
    });
    for index in [1, 2] {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room");
        cluster.run(secs(1));
    }
    cluster.run(secs(60));
    let incarnations = [1, 2].map(|index| cluster.nodes[index].incarnation().0 >> 20);
    let links_made = cluster.nodes[0].stats().links_made;
    assert!(
        incarnations.iter().all(|&start| start <= 7),
        "raised at most once each: {incarnations:?}, {links_made} links"
    );
}

#[test]
fn a_raised_incarnation_keeps_the_restored_registers() {
    let config = |started_at| {
        let mut config = local(1);
        (config.durability, config.started_at) = (Durability::Records, started_at);
        config
    };
    let mut first = Gossip::new(config(5), seed(1, 1), Instant::ZERO).expect("in bounds");
    first.set(Instant::ZERO, Scope::Own, "color", b"red").expect("room");
    let records: Vec<Record> = std::iter::from_fn(|| first.poll_persist()).collect();
    // The others know a later life: the records are an old backup.
    let mut cluster = Cluster::joined(2, |index, config| {
        if index == 1 {
            config.started_at = 50;
        }
    });
    let again = restore(config(5), &records).expect("they are its own");
    cluster.replace(1, again);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    assert!(cluster.nodes[1].incarnation().0 >> 20 > 50, "raised");
    assert!(cluster.nodes[1].register(id(1), "color").is_some(), "its own register is still there");
    assert!(cluster.nodes[0].register(id(1), "color").is_some(), "and others know it");
}

#[test]
fn who_has_left_stays_left_even_if_its_goodbye_was_lost() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    let mut count = 0;
    cluster.lose = Box::new(move |_| {
        count += 1;
        count % 3 == 0
    });
    cluster.submit(3, Order::Fifo, "the last word");
    cluster.nodes[3].leave(cluster.now);
    cluster.run(secs(13));
    for index in 0..3 {
        let state = cluster.nodes[index].peers().find(|peer| peer.node == id(3)).map(|peer| peer.state);
        assert_eq!(state, Some(PeerState::Left), "node {index}");
    }
}

#[test]
fn a_greeting_that_arrives_again_after_the_goodbye_brings_no_link_back() {
    let mut cluster = Cluster::new(2, |_, _| {});
    cluster.log = Some(vec![]);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(1));
    let log = cluster.log.take().expect("it was switched on");
    let open = log.iter().filter(|(_, packet)| packet.to == address(0) && packet.bytes[2] & 1 == 1);
    let hello = open.map(|(_, packet)| packet).max_by_key(|packet| packet.bytes.len()).expect("the padded one").clone();
    cluster.nodes[1].leave(cluster.now);
    cluster.run(secs(2));
    cluster.events[0].clear();
    cluster.send(hello);
    cluster.run(ms(100));
    assert_eq!((cluster.links(0), cluster.events[0].as_slice()), (vec![], &[][..]));
}

#[test]
fn a_greeting_that_was_overtaken_by_a_later_one_changes_nothing() {
    // The first answer is lost, so there are two greetings with a good cookie; the first one arrives once more.
    let mut cluster = Cluster::new(2, |_, _| {});
    cluster.log = Some(vec![]);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    let mut lost = false;
    cluster.lose = Box::new(move |packet| {
        let welcome = packet.from == address(0) && packet.bytes.len() > 80 && !lost;
        lost |= welcome;
        welcome
    });
    cluster.run(secs(2));
    assert_eq!(cluster.links(0), [id(1)]);
    let log = cluster.log.take().expect("it was switched on");
    let mut greetings = log.into_iter().map(|(_, packet)| packet).filter(|packet| packet.bytes.len() == 512);
    let first = greetings.next().expect("padded, as it has a cookie");
    assert!(greetings.next().is_some(), "there is a second one");
    let before = cluster.nodes[0].stats().links_made;
    cluster.send(first);
    cluster.run(ms(10));
    assert_eq!(cluster.nodes[0].stats().links_made, before, "the link was not begun anew");
}

#[test]
fn a_node_short_of_links_goes_on_looking_when_its_candidates_do_not_answer() {
    let mut cluster = Cluster::joined(10, |_, config| config.limits.links = 12);
    // The newcomer reaches nodes 0 and 9 only.
    let mut newcomer = local(10);
    newcomer.limits.links = 4;
    cluster.nodes.push(Gossip::new(newcomer, seed(10, 1), cluster.now).expect("in bounds"));
    cluster.addresses.push(address(10));
    cluster.up.push(true);
    cluster.listens.push(true);
    cluster.stores.push(true);
    cluster.events.push(vec![]);
    cluster.records.push(vec![]);
    cluster.connect_groups(&[10], &[1, 2, 3, 4, 5, 6, 7, 8], false);
    cluster.nodes[10].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(60));
    let known = cluster.nodes[10].peers().find(|peer| peer.node == id(9)).map(|peer| peer.state);
    assert!(matches!(known, Some(PeerState::Known | PeerState::Linked)), "it has heard of node 9: {known:?}");
    assert_eq!(cluster.links(10), [id(0), id(9)], "it wants three links, and node 9 has room");
}

// ---- spreading and repair

#[test]
fn a_node_knows_that_its_messages_are_shared_when_nobody_sends_them_back() {
    let mut cluster = Cluster::joined(2, |_, config| config.broadcast = Broadcast::Flood { ttl: 8 });
    for burst in 0..5 {
        while cluster.nodes[0].submit(cluster.now, Order::Unordered, b"x").is_ok() {}
        cluster.run(secs(10));
        let submitted = cluster.nodes[0].stats().submitted;
        assert_eq!(cluster.texts(1).len() as u64, submitted);
        assert!(submitted >= 256 * (burst + 1), "busy for ever after {submitted} messages, all delivered");
    }
}

#[test]
fn an_own_message_that_nobody_holds_outlives_the_horizon() {
    let mut cluster = Cluster::new(1, |_, config| config.timing.horizon = secs(2));
    let id = cluster.submit(0, Order::Unordered, "nobody else has it");
    cluster.run(secs(10));
    assert!(cluster.nodes[0].get(id).is_some(), "an own message that nobody else holds yet is never evicted");
}

#[test]
fn a_probe_that_found_no_room_is_sent_all_the_same() {
    // The smallest MTU: what is kept for new messages is more than there is.
    for mtu in [1_200, 256] {
        probes_are_composed(mtu);
    }
}

fn probes_are_composed(mtu: u16) {
    let mut cluster = Cluster::joined(3, |_, config| {
        config.mtu = mtu;
        config.broadcast = Broadcast::Flood { ttl: 3 };
    });
    for _ in 0..40 {
        // Node 0 hears of one message from both others, and has a probe to send, before its socket is free again.
        let now = cluster.nodes[0].poll_timeout().expect("there are links to probe");
        cluster.run(now.saturating_since(cluster.now) - core::time::Duration::from_micros(1));
        if cluster.nodes[0].timeout_reason() != Some(gossip_core::Reason::Probe) {
            cluster.run(ms(1));
            continue;
        }
        let mut node = cluster.nodes[0].clone();
        let (mut first, mut second) = (cluster.nodes[1].clone(), cluster.nodes[2].clone());
        let mut buffer = [0; 1_200];
        let buffer = &mut buffer[..mtu.into()];
        first.submit(now, Order::Unordered, b"x").expect("room");
        while let Some(transmit) = first.poll_transmit(now, buffer) {
            let (to, index) = if transmit.to == address(0) { (&mut node, 1) } else { (&mut second, 1) };
            to.handle_packet(now, address(index), &mut buffer[..transmit.len]);
        }
        while let Some(transmit) = second.poll_transmit(now, buffer) {
            if transmit.to == address(0) {
                node.handle_packet(now, address(2), &mut buffer[..transmit.len]);
            }
        }
        node.handle_timeout(now);
        // From now on both others are silent for good.
        while node.poll_transmit(now, buffer).is_some() {}
        while let Some(at) = node.poll_timeout().filter(|&at| at < now + secs(60)) {
            node.handle_timeout(at);
            while node.poll_transmit(at, buffer).is_some() {}
        }
        let linked = node.peers().filter(|peer| peer.state == PeerState::Linked).count();
        assert_eq!(linked, 0, "links with the dead after a minute, mtu {mtu}");
        cluster.run(ms(2));
    }
}

// ---- records

fn stored(records: &[Record]) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let mut store = std::collections::BTreeMap::new();
    for record in records {
        let key = (record.table, record.key().to_vec());
        match record.value() {
            Some(value) => store.insert(key, value.to_vec()),
            None => store.remove(&key),
        };
    }
    store.into_iter().map(|((table, key), value)| (table, key, value)).collect()
}

fn restore(config: gossip_core::Config, records: &[Record]) -> Result<Gossip, RestoreError> {
    let stored = stored(records);
    let records = stored.iter().map(|(table, key, value)| StoredRecord { table: *table, key, value });
    Gossip::restore(config, [9; 32], Instant::ZERO, records)
}

/// A pair of which node 1 keeps records.
fn recording(configure: impl Fn(&mut gossip_core::Config)) -> Cluster {
    Cluster::joined(2, |index, config| {
        configure(config);
        if index == 1 {
            config.durability = Durability::Records;
        }
    })
}

#[test]
fn a_full_store_with_records_gives_up_one_message_for_one() {
    let mut cluster = recording(|config| config.limits.messages = 16);
    for count in 0..40_u64 {
        let submitted = cluster.nodes[0].submit(cluster.now, Order::Unordered, b"x");
        assert!(submitted.is_ok(), "node 0 keeps no records: {submitted:?}");
        cluster.run(ms(100));
        let stats = cluster.nodes[1].stats();
        assert_eq!(
            stats.evicted,
            count.saturating_sub(15),
            "message {count}; refused for room: {}",
            stats.refused_store
        );
    }
}

#[test]
fn a_node_that_was_off_for_longer_than_the_horizon_starts_again() {
    let mut cluster = recording(|config| config.limits.messages = 64);
    for count in 0..1_000 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(if count % 16 == 0 { 50 } else { 5 }));
    }
    assert_eq!(cluster.texts(1).len(), 1_000);
    let mut config = cluster.nodes[1].config().clone();
    config.started_at = 1_000;
    let again = restore(config, &cluster.records[1]);
    assert!(again.is_ok(), "{:?}", again.err());
}

#[test]
fn forgotten_origins_leave_the_store_too() {
    let configure = |config: &mut gossip_core::Config| {
        config.timing.horizon = secs(1);
        config.limits.origins = 4;
        config.limits.messages = 4;
        config.started_at = 0;
    };
    let mut cluster = recording(configure);
    for life in 2..12 {
        for _ in 0..6 {
            cluster.submit(0, Order::Unordered, "x");
            cluster.run(ms(200));
        }
        cluster.run(secs(3));
        let mut config = cluster.nodes[0].config().clone();
        config.started_at = life;
        let mut again = Gossip::new(config, seed(0, life as u8), cluster.now).expect("in bounds");
        again.join(cluster.now, address(1)).expect("room");
        cluster.replace(0, again);
        cluster.run(secs(3));
    }
    let origins = stored(&cluster.records[1]).iter().filter(|(table, ..)| *table == Table::Origins).count();
    let again = restore(cluster.nodes[1].config().clone(), &cluster.records[1]);
    assert!(again.is_ok(), "{:?}: {origins} records of origins, room for 4", again.err());
}

#[test]
fn every_prefix_of_the_records_can_be_restored_even_if_they_are_taken_late() {
    // Nodes 1 and 2 lack the first messages, which node 3 takes with it, and node 0 gives up.
    let mut cluster = Cluster::joined(4, |index, config| {
        if index == 0 {
            config.limits.messages = 64;
        }
        if index == 1 {
            config.durability = Durability::Records;
        }
    });
    cluster.connect_groups(&[0, 3], &[1, 2], false);
    for _ in 0..93 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(50));
    }
    cluster.up[3] = false;
    cluster.connect_groups(&[0], &[1, 2], true);
    for _ in 0..150 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    // Node 1 stores nothing for a while; in it the hole is given up, and the window moves on.
    cluster.stores[1] = false;
    cluster.run(secs(20));
    for _ in 0..100 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(5));
    }
    let durable = cluster.records[1].len();
    cluster.stores[1] = true;
    cluster.run(secs(1));
    assert!(cluster.gaps(1, id(0)).starts_with(&[1, 2, 3]), "the hole was given up");
    let records = &cluster.records[1];
    for prefix in durable..=records.len() {
        let again = restore(cluster.nodes[1].config().clone(), &records[..prefix]);
        assert!(again.is_ok(), "{prefix} of {}: {:?}", records.len(), again.err());
    }
}

#[test]
fn a_gap_that_was_not_told_before_a_crash_is_told_after_it() {
    // Node 1 lacks the first messages, which nobody has any more, and its application sleeps.
    let mut cluster = Cluster::joined(3, |index, config| match index {
        0 => config.limits.messages = 16,
        1 => (config.durability, config.redelivery) = (Durability::Records, Redelivery::UntilAcknowledged),
        _ => {}
    });
    cluster.connect_groups(&[1], &[0, 2], false);
    for _ in 0..30 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(50));
    }
    cluster.up[2] = false;
    cluster.listens[1] = false;
    cluster.connect(0, 1, true);
    cluster.run(secs(10));
    assert!(cluster.nodes[1].stats().gapped > 0, "the loss is known, and on record");
    let mut config = cluster.nodes[1].config().clone();
    config.started_at = 2;
    let mut again = restore(config, &cluster.records[1]).expect("its own");
    again.join(cluster.now, address(0)).expect("room");
    cluster.replace(1, again);
    cluster.listens[1] = true;
    cluster.run(secs(20));
    let mut told = [cluster.gaps(1, id(0)), cluster.delivered(1, id(0))].concat();
    told.sort_unstable();
    assert_eq!(told, (1..=30).collect::<Vec<_>>(), "at least once, or told");
}

#[test]
fn what_does_not_fit_any_more_leaves_the_store_too() {
    let mut cluster = recording(|_| {});
    for _ in 0..40 {
        cluster.submit(0, Order::Unordered, "x");
        cluster.run(ms(20));
    }
    let mut config = cluster.nodes[1].config().clone();
    config.limits.messages = 16;
    let mut again = restore(config, &cluster.records[1]).expect("a lower limit is no error");
    let mut records = cluster.records[1].clone();
    while let Some(record) = again.poll_persist() {
        records.push(record);
    }
    let kept = stored(&records).iter().filter(|(table, ..)| *table == Table::Messages).count();
    assert_eq!((again.messages().count(), kept), (16, 16), "in the node, and in its store");
}

// ---- registers

#[test]
fn a_live_register_survives_at_a_node_that_slept_past_the_horizon() {
    let mut cluster = Cluster::joined(4, |_, config| config.timing.horizon = secs(20));
    cluster.nodes[0].set(cluster.now, Scope::Own, "keep", b"1").expect("room");
    cluster.nodes[0].set(cluster.now, Scope::Own, "gone", b"1").expect("room");
    cluster.run(secs(1));
    cluster.up[3] = false;
    cluster.nodes[0].remove(cluster.now, Scope::Own, "gone").expect("room");
    for number in 0..40 {
        cluster.nodes[0].set(cluster.now, Scope::Own, "keep", number.to_string().as_bytes()).expect("room");
        cluster.run(secs(1));
    }
    cluster.up[3] = true;
    cluster.run(secs(10));
    for index in 0..4 {
        let registers: Vec<_> = cluster.nodes[index].registers("").map(|r| (r.key.to_string(), r.value)).collect();
        assert_eq!(registers, [("keep".to_owned(), bytes::Bytes::from_static(b"39"))], "node {index}");
    }
    assert_eq!(
        cluster.count(3, |e| matches!(e, Event::Register { key, value: None, .. } if key.as_str() == "gone")),
        1
    );
}

#[test]
fn a_removed_register_is_not_resurrected_by_a_newcomer_without_its_tombstone() {
    // Nodes 0 and 1 know of the removal; node 2 sleeps; node 3 comes when the tombstone is forgotten.
    let mut cluster = Cluster::new(4, |_, config| config.timing.horizon = secs(20));
    for index in [1, 2] {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room");
    }
    cluster.nodes[0].set(cluster.now, Scope::Own, "keep", b"1").expect("room");
    cluster.nodes[0].set(cluster.now, Scope::Own, "gone", b"1").expect("room");
    cluster.run(secs(3));
    assert!(cluster.nodes[2].register(id(0), "gone").is_some());
    cluster.up[2] = false;
    cluster.nodes[0].remove(cluster.now, Scope::Own, "gone").expect("room");
    cluster.run(secs(30));
    cluster.nodes[3].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(3));
    cluster.nodes[0].set(cluster.now, Scope::Own, "new", b"1").expect("room");
    cluster.run(secs(3));
    assert_eq!(cluster.nodes[3].registers("").count(), 2);
    // The sleeper wakes up and meets the newcomer alone.
    cluster.connect_groups(&[2], &[0, 1], false);
    cluster.up[2] = true;
    cluster.nodes[2].join(cluster.now, address(3)).expect("room");
    cluster.run(secs(5));
    assert_eq!(cluster.links(2), [id(3)]);
    let keys: Vec<_> = cluster.nodes[2].registers("").map(|register| register.key.to_string()).collect();
    assert_eq!(keys, ["keep", "new"]);
}

#[cfg(feature = "__internals")]
#[test]
fn a_datagram_of_many_greetings_gets_one_answer_that_is_no_longer() {
    use gossip_core::auth::{Auth, Envelope};
    use gossip_core::pack::Packer;
    use gossip_core::wire::{Address, HEADER_LEN, Hello, Kind, datagram_number};
    use gossip_core::{Incarnation, NodeId, Security};

    let mut cluster = Cluster::new(1, |_, _| {});
    let hello = Hello { nonce: 5, cookie: 0, flags: Hello::LINK, to: Address(address(0)), round_trip: 0 };
    let mut datagram = [0; 1_200];
    let mut packet = Packer::new(&mut datagram, 1_200);
    while packet.frame(Kind::HELLO, &hello).is_ok() {}
    let len = HEADER_LEN + packet.len();
    let auth = Auth::new(&Security::Plain, "gossip");
    let (sender, incarnation) = (NodeId(9), Incarnation(1 << 32));
    let envelope = Envelope { sender, incarnation, number: datagram_number(1, 1), to: None };
    auth.seal(&auth.subkey(sender, incarnation), &envelope, &mut datagram[..len]);
    cluster.nodes[0].handle_packet(cluster.now, address(120), &mut datagram[..len]);
    let mut buffer = [0; 1_200];
    let answers = std::iter::from_fn(|| cluster.nodes[0].poll_transmit(cluster.now, &mut buffer));
    let lens: Vec<_> = answers.map(|transmit| transmit.len).collect();
    assert!(
        lens.len() <= 1 && lens.iter().sum::<usize>() <= len,
        "{len} bytes gave {} bytes",
        lens.iter().sum::<usize>()
    );
}
