//! The laws that hold for every node at every time.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Cluster, Packet, address, id, ms, secs};
use gossip_core::{Broadcast, Config, Event, Gossip, Instant, Order, PeerState, Rounds, Scope};

/// Six nodes with all sorts of traffic over a bad wire, one of which sleeps for a while and one leaves.
fn busy(configure: impl Fn(usize, &mut Config), prepare: impl Fn(&mut Cluster)) -> Cluster {
    let mut cluster = Cluster::new(6, configure);
    cluster.log = Some(vec![]);
    prepare(&mut cluster);
    let count = Rc::new(Cell::new(0_u64));
    cluster.lose = Box::new(move |_| {
        count.set(count.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (count.get() >> 40).is_multiple_of(6)
    });
    for index in 1..6 {
        cluster.nodes[index].join(cluster.now, address(index - 1)).expect("room");
    }
    for round in 0..60 {
        let order = if round % 2 == 0 { Order::Fifo } else { Order::Unordered };
        let payload = vec![round as u8; round * 17 % 1_000];
        let _busy = cluster.nodes[round % 5].submit(cluster.now, order, &payload);
        let value = round.to_string();
        cluster.nodes[round % 4]
            .set(cluster.now, Scope::Own, &format!("{}", round % 5), value.as_bytes())
            .expect("room");
        match round {
            20 => cluster.up[3] = false,
            40 => cluster.up[3] = true,
            50 => cluster.nodes[5].leave(cluster.now),
            _ => {}
        }
        cluster.run(ms(60));
    }
    cluster.run(secs(3));
    cluster
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let [first, second] = [(); 2].map(|()| busy(|_, _| {}, |_| {}).trace());
    assert!(first == second && first.len() > 100_000);
}

#[test]
fn another_seed_gives_other_outputs() {
    let mut other = Config::local(id(0));
    other.started_at = 1;
    let [first, second] = [1, 2].map(|seed| Gossip::new(other.clone(), [seed; 32], Instant::ZERO).expect("in bounds"));
    assert_ne!(first.incarnation(), second.incarnation());
}

#[test]
fn the_order_in_which_outputs_are_taken_does_not_matter() {
    let expected = busy(|_, _| {}, |_| {}).trace();
    for drains in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert!(busy(|_, _| {}, |cluster| cluster.drains = drains).trace() == expected, "{drains:?}");
    }
}

#[test]
fn a_tick_after_every_datagram_changes_nothing() {
    let expected = busy(|_, _| {}, |_| {}).trace();
    assert!(busy(|_, _| {}, |cluster| cluster.ticked = true).trace() == expected);
}

#[test]
fn a_tick_before_its_time_does_nothing() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    let mut buffer = [0; 1_200];
    for round in 0..300 {
        if round % 3 == 0 {
            cluster.submit(round % 4, Order::Fifo, "x");
        }
        cluster.run(core::time::Duration::from_micros(2_700));
        for index in 0..4 {
            let mut node = cluster.nodes[index].clone();
            let next = node.poll_timeout().expect("a linked node always has a next probe");
            let early = Instant::from_micros(next.as_micros() - 1);
            if early <= cluster.now {
                continue;
            }
            node.handle_timeout(early);
            assert_eq!(node.poll_timeout(), Some(next));
            assert_eq!((node.poll_event(), node.poll_transmit(early, &mut buffer)), (None, None));
            assert_eq!(node.stats(), cluster.nodes[index].stats());
        }
    }
}

#[test]
fn every_datagram_fits_the_mtu_and_is_understood() {
    for mtu in [256, 400, 1_200, 9_000] {
        let configure = |_: usize, config: &mut Config| {
            config.mtu = mtu;
            config.trace_path = mtu > 300;
        };
        let cluster = busy(configure, |_| {});
        let longest =
            cluster.log.iter().flatten().map(|(_, packet)| packet.bytes.len()).max().expect("there was traffic");
        assert!(longest <= mtu.into() && longest + 100 > usize::from(mtu).min(900), "{longest} bytes");
        for node in &cluster.nodes {
            let stats = node.stats();
            let refused = [stats.refused_short, stats.refused_tag, stats.refused_frame, stats.unknown_frame];
            let more = [stats.refused_form, stats.refused_version, stats.refused_flags, stats.refused_replay];
            assert_eq!((refused, more), ([0; 4], [0; 4]), "mtu {mtu}");
        }
    }
}

/// A node as text, without its counters.
fn state(node: &Gossip) -> String {
    format!("{node:?}").replace(&format!("{:?}", node.stats()), "")
}

#[test]
fn a_repeated_datagram_changes_only_counters() {
    let mut cluster = Cluster::joined(4, |_, _| {});
    let mut repeated = 0;
    for round in 0..40 {
        cluster.log = Some(vec![]);
        cluster.submit(round % 4, Order::Fifo, "x");
        cluster.nodes[round % 3].set(cluster.now, Scope::Own, "key", &[round as u8]).expect("room");
        cluster.run(ms(35));
        let log = cluster.log.take().expect("it was switched on");
        let arrived = log.into_iter().filter(|(at, _)| *at + common::DELAY <= cluster.now);
        for (_, Packet { from, to, mut bytes }) in arrived {
            let index = (0..4).find(|&index| address(index) == to).expect("one of the four");
            // Any input tells the time, so nothing at all comes first.
            cluster.nodes[index].handle_packet(cluster.now, from, &mut []);
            let mut node = cluster.nodes[index].clone();
            node.handle_packet(cluster.now, from, &mut bytes);
            assert!(state(&node) == state(&cluster.nodes[index]), "node {index} has changed");
            assert_eq!(node.stats().refused_replay, cluster.nodes[index].stats().refused_replay + 1);
            repeated += 1;
        }
    }
    assert!(repeated > 500, "{repeated} datagrams");
}

#[test]
fn a_large_buffer_is_filled_with_segments_of_one_length_that_open_alone() {
    let mut cluster = Cluster::joined(2, |_, config| {
        config.broadcast = Broadcast::Rumor { fanout: 1, rounds: Rounds::Fixed(1) };
    });
    for number in 0..40 {
        cluster.nodes[0].submit(cluster.now, Order::Fifo, &[number; 1_000]).expect("room");
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut batches, mut datagrams) = (0, 0);
    while let Some(transmit) = cluster.nodes[0].poll_transmit(cluster.now, &mut buffer) {
        let segment = transmit.segment_size.unwrap_or(transmit.len);
        assert!(transmit.segment_size.is_none_or(|segment| segment < transmit.len), "one datagram is no batch");
        assert!(segment <= 1_200);
        batches += 1;
        for datagram in buffer[..transmit.len].chunks_mut(segment) {
            cluster.nodes[1].handle_packet(cluster.now, address(0), datagram);
            datagrams += 1;
        }
    }
    let payloads: Vec<_> = std::iter::from_fn(|| cluster.nodes[1].poll_event())
        .filter_map(|event| if let Event::Deliver(delivery) = event { Some(delivery.payload[0]) } else { None })
        .collect();
    assert_eq!(payloads, (0..40).collect::<Vec<_>>());
    assert!(datagrams >= 40 && batches <= 4, "{datagrams} datagrams in {batches} batches");
}

#[test]
fn large_repairs_are_not_starved_by_an_endless_stream_of_small_messages() {
    let mut cluster =
        Cluster::joined(2, |_, config| config.broadcast = Broadcast::Rumor { fanout: 1, rounds: Rounds::Fixed(1) });
    cluster.connect(0, 1, false);
    for _ in 0..60 {
        cluster.nodes[0].submit(cluster.now, Order::Unordered, &[1; 1_000]).expect("room");
    }
    cluster.run(ms(40));
    cluster.connect(0, 1, true);
    // From here on the socket of node 0 takes one datagram in 1 ms, and the application has always more than that.
    let mut buffer = [0; 1_200];
    let (mut datagrams, mut owed_since) = (0, None);
    for _ in 0..3_000 {
        cluster.now = cluster.now + ms(1);
        let now = cluster.now;
        for _ in 0..15 {
            let _busy = cluster.nodes[0].submit(now, Order::Unordered, &[2; 100]);
        }
        let [first, second] = &mut cluster.nodes[..] else { panic!("two nodes") };
        first.handle_timeout(now);
        second.handle_timeout(now);
        while second.poll_event().is_some() {}
        while let Some(transmit) = second.poll_transmit(now, &mut buffer) {
            first.handle_packet(now, address(1), &mut buffer[..transmit.len]);
        }
        if let Some(transmit) = first.poll_transmit(now, &mut buffer) {
            second.handle_packet(now, address(0), &mut buffer[..transmit.len]);
            datagrams += 1;
        }
        if owed_since.is_none() && first.stats().repairs_sent > 0 {
            owed_since = Some(datagrams);
        }
        let large = second.messages().filter(|message| message.payload.len() == 1_000).count();
        if large == 60 {
            let since = owed_since.expect("they are repairs");
            assert!(datagrams - since < 200, "60 repairs took {} datagrams", datagrams - since);
            return;
        }
    }
    panic!("60 repairs were not sent in {datagrams} datagrams");
}

#[test]
fn nobody_is_due_for_nothing_in_a_healthy_run() {
    let mut cluster = Cluster::joined(8, |_, _| {});
    for round in 0..50 {
        cluster.submit(round % 8, Order::Unordered, "x");
        cluster.nodes[round % 8].set(cluster.now, Scope::Own, "key", &[round as u8]).expect("room");
        cluster.run(ms(100));
    }
    let (empty, sent) = cluster
        .nodes
        .iter()
        .map(Gossip::stats)
        .fold((0, 0), |(empty, sent), stats| (empty + stats.empty_turns, sent + stats.datagrams_sent));
    assert!(sent > 2_000 && empty * 100 <= sent, "{empty} empty turns beside {sent} datagrams");
}

#[test]
fn a_socket_that_is_full_for_a_second_loses_nothing() {
    let mut cluster = Cluster::joined(3, |_, _| {});
    cluster.drains = [0, 1, 1];
    for number in 0..30 {
        cluster.submit(number % 3, Order::Fifo, "x");
        cluster.run(ms(30));
    }
    cluster.drains = [0, 1, 2];
    cluster.run(secs(5));
    for index in 0..3 {
        assert_eq!(cluster.texts(index).len(), 30);
        assert_eq!(cluster.count(index, |event| matches!(event, Event::PeerDown { .. })), 0, "no link was lost");
    }
}

#[test]
fn time_that_goes_back_is_counted_and_harmless() {
    let mut cluster = Cluster::joined(2, |_, _| {});
    let before = cluster.nodes[0].stats().time_went_back;
    cluster.nodes[0].handle_timeout(Instant::ZERO);
    cluster.nodes[0].submit(Instant::ZERO, Order::Fifo, b"x").expect("room");
    assert_eq!(cluster.nodes[0].stats().time_went_back, before + 2);
    cluster.run(secs(1));
    assert_eq!(cluster.texts(1), ["x"]);
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
