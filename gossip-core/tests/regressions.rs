//! Scenarios that the core once got wrong.

mod common;

use common::store::Store;
use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::{Broadcast, Durability, Event, Gossip, Instant, Order, PeerState, Record, Scope};

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
    let again = Store::of(&records).restore(config(5), Instant::ZERO).expect("they are its own");
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
    cluster.lose_every_third();
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
    let hello = Hello { nonce: 5, cookie: 0, flags: Hello::LINK, to: Address(address(0)) };
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
