//! Coming, moving, coming back and going.

mod common;

use core::time::Duration;

use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::{Config, Event, Gossip, JoinError, Membership, Order, PeerState, Scope, SubmitError};

fn everybody_knows_everybody(count: usize) {
    let mut cluster = Cluster::joined(count, |_, _| {});
    cluster.run(secs(10));
    for index in 0..count {
        assert_eq!(cluster.nodes[index].peers().count(), count - 1, "node {index} knows all");
        assert_eq!(cluster.nodes[index].size_estimate(), count as u32);
        let links = cluster.links(index);
        let max = usize::from(cluster.nodes[index].config().limits.links);
        assert!(links.len() >= (count - 1).min(max / 2), "node {index} has {} links", links.len());
        assert!(links.len() <= max);
        for other in links {
            let back = cluster.links(other.0 as usize - 1);
            assert!(back.contains(&id(index)), "{index} is linked with {other}, but not the other way round");
        }
    }
    cluster.submit(count - 1, Order::Unordered, "hello");
    cluster.run(secs(2));
    assert!((0..count).all(|index| cluster.texts(index) == ["hello"]));
}

#[test]
fn ten_nodes_meet_through_one_contact() {
    everybody_knows_everybody(10);
}

#[test]
fn forty_nodes_meet_through_one_contact() {
    everybody_knows_everybody(40);
}

/// When datagrams from `from` to `to` were sent, one instant for each.
fn greetings(cluster: &Cluster, from: usize, to: usize) -> Vec<Duration> {
    let log = cluster.log.iter().flatten();
    let sent = log.filter(|(_, packet)| packet.from == address(from) && packet.to == address(to));
    sent.map(|(at, _)| at.saturating_since(gossip_core::Instant::ZERO)).collect()
}

#[test]
fn a_lonely_node_greets_its_contact_every_retry_first_for_ever_and_joins_when_it_comes_up() {
    let mut cluster = Cluster::new(2, |_, config| config.timing.retry_first = ms(500));
    cluster.up[0] = false;
    cluster.log = Some(vec![]);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(300));
    let times = greetings(&cluster, 1, 0);
    assert!((600..=601).contains(&times.len()), "{} greetings in 300 s", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == ms(500)));
    cluster.up[0] = true;
    cluster.run(secs(1));
    assert_eq!(cluster.links(1), [id(0)]);
}

#[test]
fn a_linked_node_greets_a_silent_contact_with_doubling_pauses_and_then_for_ever_in_its_turn() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.log = Some(vec![]);
    cluster.nodes[1].join(cluster.now, address(77)).expect("room");
    cluster.run(secs(60));
    let times = greetings(&cluster, 1, 77);
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(pauses[..7], [100, 200, 400, 800, 1_600, 2_000, 2_000]);
    // One of two nodes, at two turns a beat period: four in a second.
    let calm = times.iter().filter(|at| **at > times[0] + secs(20)).count();
    assert!((80..=240).contains(&calm), "{calm} greetings in 40 s");
}

#[test]
fn a_node_whose_contact_is_itself_stays_calm_and_can_still_be_joined() {
    let mut cluster = Cluster::new(2, |_, _| {});
    cluster.nodes[0].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    assert_eq!(cluster.events[0], [], "no conflict with itself");
    assert!(cluster.links(0).is_empty());
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(1));
    assert_eq!((cluster.links(0), cluster.links(1)), (vec![id(1)], vec![id(0)]));
}

#[test]
fn a_forgotten_contact_is_not_greeted_any_more_and_its_link_stays() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.nodes[1].join(cluster.now, address(50)).expect("room");
    cluster.run(ms(50));
    cluster.nodes[1].forget(address(50));
    cluster.nodes[1].forget(address(0));
    assert_eq!(cluster.nodes[1].contacts().count(), 0);
    cluster.log = Some(vec![]);
    cluster.run(secs(5));
    assert_eq!(greetings(&cluster, 1, 50), []);
    assert_eq!(cluster.links(1), [id(0)]);
}

#[test]
fn what_cannot_be_joined_is_refused_with_the_reason() {
    let mut cluster = Cluster::new(1, |_, _| {});
    let now = cluster.now;
    let node = &mut cluster.nodes[0];
    for bad in ["0.0.0.0:7000", "10.0.0.1:0", "[::]:7000"] {
        assert_eq!(node.join(now, bad.parse().expect("an address")), Err(JoinError::Address), "{bad}");
    }
    let max = node.config().limits.contacts;
    for index in 0..usize::from(max) {
        assert_eq!(node.join(now, address(index + 1)), Ok(()));
    }
    assert_eq!(node.join(now, address(1)), Ok(()), "the same one again");
    assert_eq!(node.join(now, address(99)), Err(JoinError::TooManyContacts { max: max.into() }));
    node.forget(address(1));
    assert_eq!(node.join(now, address(99)), Ok(()));
    node.leave(now);
    assert_eq!(node.join(now, address(2)), Err(JoinError::Leaving));
}

#[test]
fn peers_follow_a_node_that_moves_and_no_message_is_missed() {
    let mut cluster = Cluster::joined(5, |_, _| {});
    let there = address(150);
    cluster.addresses[2] = there;
    cluster.submit(2, Order::Unordered, "from the new place");
    cluster.submit(0, Order::Unordered, "to the new place");
    cluster.run(secs(5));
    for index in 0..5 {
        let mut texts = cluster.texts(index);
        texts.sort();
        assert_eq!(texts, ["from the new place", "to the new place"], "node {index}");
    }
    for index in [0, 1, 3, 4] {
        let seen = cluster.nodes[index].peers().find(|peer| peer.node == id(2)).expect("known");
        assert_eq!((seen.address, seen.state), (there, PeerState::Linked), "node {index}");
        let up = Event::PeerUp { node: id(2), address: there };
        assert_eq!(cluster.count(index, |event| *event == up), 1, "node {index} is told once");
    }
    assert_eq!(cluster.nodes[2].address(), Some(there));
}

#[test]
fn an_idle_node_that_moves_is_found_again() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    cluster.addresses[1] = address(150);
    cluster.run(secs(5));
    let seen = cluster.nodes[0].peers().next().expect("known");
    assert_eq!((seen.address, seen.state), (address(150), PeerState::Linked));
}

#[test]
fn a_restarted_node_is_up_again_and_its_old_registers_are_void() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    cluster.nodes[2].set(cluster.now, Scope::Own, "color", b"red").expect("room");
    cluster.nodes[2].set(cluster.now, Scope::Own, "shape", b"round").expect("room");
    cluster.run(secs(1));
    assert_eq!(cluster.nodes[0].registers("").count(), 2);
    let mut config = local(2);
    config.started_at = 9;
    let mut again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    again.join(cluster.now, address(0)).expect("room");
    again.set(cluster.now, Scope::Own, "color", b"blue").expect("room");
    cluster.events.iter_mut().for_each(Vec::clear);
    cluster.replace(2, again);
    cluster.run(secs(3));
    for index in [0, 1] {
        let up = |event: &Event| matches!(event, Event::PeerUp { node, .. } if *node == id(2));
        assert_eq!(cluster.count(index, up), 1, "node {index} is told of the new life once");
        let registers: Vec<_> = cluster.nodes[index].registers("").map(|r| (r.key.to_string(), r.value)).collect();
        assert_eq!(registers, [("color".to_owned(), bytes::Bytes::from_static(b"blue"))], "node {index}");
        let gone = |event: &Event| matches!(event, Event::Register { key, value: None, .. } if key.as_str() == "shape");
        assert_eq!(cluster.count(index, gone), 1, "node {index} is told that the old one is gone");
    }
}

/// Two nodes with the id of node 1, the second with a later incarnation, both in touch with node 0.
fn twins(speak: bool) -> Cluster {
    let mut cluster = Cluster::new(3, |index, config| {
        if index == 2 {
            (config.id, config.started_at) = (id(1), 5);
        }
    });
    for index in [1, 2] {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room");
        if speak {
            cluster.submit(index, Order::Unordered, "me");
        }
        cluster.run(secs(1));
    }
    cluster.run(secs(10));
    cluster
}

#[test]
fn two_live_nodes_with_one_id_are_both_told() {
    let cluster = twins(true);
    let conflict = |event: &Event| matches!(event, Event::IdentityConflict { .. });
    for index in [1, 2] {
        // Each of them takes a later life once, and is told of the other's earlier and later one.
        assert!((1..=2).contains(&cluster.count(index, conflict)), "node {index}: {:?}", cluster.events[index]);
        let elsewhere =
            |event: &&Event| matches!(event, Event::IdentityConflict { address: at, .. } if *at != address(3 - index));
        assert_eq!(cluster.events[index].iter().find(elsewhere), None, "they are told where the other one is");
    }
}

/// A node that lived before, and comes back with a clock that is behind.
fn with_its_clock_back() -> Cluster {
    let mut cluster = Cluster::joined(3, |_, config| config.started_at = 100);
    let mut config = local(2);
    config.started_at = 50;
    let again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    cluster.replace(2, again);
    cluster.nodes[2].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(5));
    cluster
}

#[test]
fn a_clock_that_went_back_is_made_good_before_anything_was_said() {
    let mut cluster = with_its_clock_back();
    assert!(cluster.nodes[2].incarnation().0 >> 20 > 100);
    assert_eq!(cluster.links(2).len(), 2);
    cluster.submit(2, Order::Unordered, "here again");
    cluster.run(secs(2));
    assert!((0..3).all(|index| cluster.texts(index) == ["here again"]));
}

/// The others call it before it calls anybody, and nothing that it published tells of its earlier life.
#[test]
fn a_clock_that_went_back_is_made_good_also_where_the_others_call() {
    let sampled = |config: &mut Config| config.membership = Membership::sampled(&config.limits);
    let mut cluster = Cluster::joined(3, |_, config| {
        config.started_at = 100;
        sampled(config);
    });
    let before = cluster.nodes[2].incarnation();
    let mut config = local(2);
    config.started_at = 50;
    sampled(&mut config);
    let again = Gossip::new(config, seed(2, 2), cluster.now).expect("in bounds");
    assert!(again.incarnation() < before);
    cluster.replace(2, again);
    cluster.run(secs(20));
    assert!(cluster.nodes[2].incarnation() > before);
    cluster.nodes[2].set(cluster.now, Scope::Own, "color", b"blue").expect("room");
    cluster.run(secs(5));
    let colors = (0..3).map(|index| cluster.nodes[index].register(id(2), "color").map(|register| register.value));
    assert_eq!(colors.flatten().count(), 3);
}

#[test]
fn who_leaves_hands_over_the_last_message_even_over_a_bad_wire() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    cluster.lose_every_third();
    cluster.submit(3, Order::Fifo, "the last word");
    cluster.nodes[3].leave(cluster.now);
    assert_eq!(cluster.nodes[3].submit(cluster.now, Order::Fifo, b"x"), Err(SubmitError::Leaving));
    cluster.run(secs(3));
    assert_eq!(cluster.events[3].last(), Some(&Event::Left));
    assert_eq!(cluster.nodes[3].poll_timeout(), None);
    for index in 0..3 {
        assert_eq!(cluster.texts(index), ["the last word"], "node {index}");
        let down = |event: &Event| *event == Event::PeerDown { node: id(3) };
        assert_eq!(cluster.count(index, down), 1, "node {index} is told once");
    }
    cluster.log = Some(vec![]);
    cluster.run(secs(10));
    let log = cluster.log.take().expect("it was switched on");
    assert!(log.iter().all(|(_, packet)| packet.from != address(3)), "who has left is silent");
}

#[test]
fn everybody_knows_that_who_left_has_left() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    cluster.nodes[3].leave(cluster.now);
    cluster.run(secs(10));
    for index in 0..3 {
        let state = cluster.nodes[index].peers().find(|peer| peer.node == id(3)).map(|peer| peer.state);
        assert_eq!((state, cluster.nodes[index].size_estimate()), (Some(PeerState::Left), 3), "node {index}");
    }
}

#[test]
fn who_is_alone_leaves_at_once() {
    let mut cluster = Cluster::new(1, |_, _| {});
    cluster.submit(0, Order::Unordered, "nobody hears it");
    cluster.nodes[0].leave(cluster.now);
    cluster.run(ms(100));
    assert_eq!(cluster.events[0].last(), Some(&Event::Left));
}

/// A greeting that comes late may lead to where a node once was. What the node itself told last counts when that link ends.
#[test]
fn who_is_silent_is_looked_for_where_it_says_that_it_lives() {
    let home = address(7);
    let mut cluster = Cluster::joined(2, |index, config| config.advertise = (index == 1).then_some(home));
    let known = |cluster: &Cluster| cluster.nodes[0].peers().map(|peer| (peer.address, peer.state)).collect::<Vec<_>>();
    cluster.up[1] = false;
    cluster.run(secs(20));
    cluster.up[1] = true;
    cluster.run(secs(5));
    assert_eq!(known(&cluster), [(address(1), PeerState::Linked)], "it speaks from elsewhere");
    cluster.up[1] = false;
    cluster.run(secs(20));
    assert_eq!(known(&cluster), [(home, PeerState::Unreachable)]);
    cluster.log = Some(vec![]);
    cluster.run(secs(20));
    assert!(cluster.log.iter().flatten().any(|(_, packet)| packet.to == home), "nobody calls there");
}
