//! Messages that do not fit into one datagram: cut, passed on piece by piece, and put together once.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use common::store::Store;
use common::{Cluster, Packet, address, id, ms, secs};
use gossip_core::auth::{Auth, Envelope};
use gossip_core::pack::Packer;
use gossip_core::wire::{Blob, Data, HEADER_LEN, Kind, datagram_number};
use gossip_core::{Broadcast, Config, Durability, Event, MessageId, Order, Security, SubmitError};

/// A payload that is nowhere like itself.
fn text(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ salt).collect()
}

fn flood(_: usize, config: &mut Config) {
    config.broadcast = Broadcast::Flood { ttl: 16 };
}

fn submit(cluster: &mut Cluster, index: usize, order: Order, payload: &[u8]) -> MessageId {
    cluster.nodes[index].submit(cluster.now, order, payload).expect("the test leaves room for the message")
}

fn check(cluster: &Cluster) {
    cluster.nodes.iter().for_each(gossip_core::Gossip::check_invariants);
}

/// A payload in short, for messages that can be read.
fn sum(payload: &[u8]) -> u64 {
    payload.iter().fold(payload.len() as u64, |sum, &byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte))
}

/// What a node was handed.
fn handed(cluster: &Cluster, index: usize) -> Vec<(MessageId, u64)> {
    cluster.deliveries(index).map(|delivery| (delivery.id, sum(&delivery.payload))).collect()
}

fn gaps(cluster: &Cluster, index: usize) -> Vec<(u64, u64)> {
    let gap = |event: &Event| match *event {
        Event::Gap { first, last, .. } => Some((first, last)),
        _ => None,
    };
    cluster.events[index].iter().filter_map(gap).collect()
}

#[test]
fn a_large_message_comes_once_whole_and_under_the_number_of_its_first_chunk() {
    let mut cluster = Cluster::joined(5, flood);
    let payload = text(60_000, 1);
    let small = submit(&mut cluster, 0, Order::Unordered, b"before");
    let large = submit(&mut cluster, 0, Order::Unordered, &payload);
    let after = submit(&mut cluster, 0, Order::Unordered, b"after");
    let chunks = cluster.nodes[0].stats().chunks_submitted;
    assert_eq!(chunks, 60_000_u64.div_ceil(cluster.nodes[0].datagram_payload_max() as u64 - 4));
    assert_eq!((large.seq, after.seq), (small.seq + 1, small.seq + 1 + chunks));
    cluster.run(secs(2));
    for index in 0..5 {
        let mut handed = handed(&cluster, index);
        handed.sort();
        assert_eq!(handed, [(small, sum(b"before")), (large, sum(&payload)), (after, sum(b"after"))]);
        let view = cluster.nodes[index].get(large).expect("it is stored");
        assert_eq!((sum(&view.payload), view.last, view.delivered), (sum(&payload), after.seq - 1, true));
        assert_eq!(cluster.nodes[index].messages().count(), 3, "chunks are not shown");
        assert!(cluster.nodes[index].get(MessageId { seq: large.seq + 1, ..large }).is_none());
        assert_eq!(cluster.nodes[index].stats().assembled, 1);
    }
    assert!(cluster.nodes.iter().any(|node| node.stats().duplicates > chunks), "a flood repeats all of it");
    check(&cluster);
}

#[test]
fn any_order_of_arrival_will_do() {
    let mut cluster = Cluster::joined(2, flood);
    let payload = text(40_000, 2);
    let kept = Rc::new(RefCell::new(Vec::<Packet>::new()));
    let keep = Rc::clone(&kept);
    cluster.lose = Box::new(move |packet| {
        let is_chunk = packet.from == address(0) && packet.bytes.len() > 900;
        if is_chunk {
            keep.borrow_mut().push(packet.clone());
        }
        is_chunk
    });
    let large = submit(&mut cluster, 0, Order::Fifo, &payload);
    cluster.drain(0);
    cluster.lose = Box::new(|_| false);
    assert!(kept.borrow().len() > 30);
    for packet in kept.borrow_mut().iter_mut().rev() {
        cluster.nodes[1].handle_packet(cluster.now, packet.from, &mut packet.bytes);
        cluster.nodes[1].check_invariants();
    }
    cluster.drain(1);
    assert_eq!(handed(&cluster, 1), [(large, sum(&payload))], "without any repair");
}

#[test]
fn a_lost_chunk_is_repaired_and_the_order_of_messages_holds() {
    for broadcast in [Broadcast::Flood { ttl: 16 }, Broadcast::tree()] {
        let mut cluster = Cluster::joined(4, |_, config| config.broadcast = broadcast);
        let lost = Rc::new(RefCell::new(HashSet::new()));
        let seen = Rc::clone(&lost);
        let mut count = 0;
        cluster.lose = Box::new(move |packet| {
            count += 1;
            packet.bytes.len() > 900 && count % 5 == 0 && seen.borrow_mut().insert(count)
        });
        let large = submit(&mut cluster, 0, Order::Fifo, &text(30_000, 3));
        let next = submit(&mut cluster, 0, Order::Fifo, b"after it");
        cluster.run(secs(10));
        assert!(lost.borrow().len() > 10, "something was lost");
        for index in 0..4 {
            let ids: Vec<_> = handed(&cluster, index).into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, [large, next], "{broadcast:?} at node {index}");
            assert_eq!(gaps(&cluster, index), []);
        }
        check(&cluster);
    }
}

#[test]
fn what_is_too_large_is_refused_by_the_name_of_the_limit() {
    let refused = |configure: &dyn Fn(&mut Config)| {
        let mut cluster = Cluster::joined(1, |_, config| configure(config));
        let max = cluster.nodes[0].payload_max();
        submit(&mut cluster, 0, Order::Unordered, &text(max, 0));
        let answer = cluster.nodes[0].submit(cluster.now, Order::Unordered, &text(max + 1, 0));
        let Err(SubmitError::TooLarge { max: named, limit }) = answer else { panic!("{answer:?}") };
        assert_eq!(named, max);
        (max, limit)
    };
    assert_eq!(refused(&|_| {}), (65_536, "limits.message_bytes"));
    assert_eq!(refused(&|config| config.limits.message_bytes = 10), (10, "limits.message_bytes"));
    assert_eq!(refused(&|config| config.limits.window = 16), (16 * 1_082, "limits.window"));
    assert_eq!(refused(&|config| config.limits.messages = 10), (5 * 1_082, "limits.messages"));
    assert_eq!(refused(&|config| config.limits.payload_bytes = 9_000), (4 * 1_082, "limits.payload_bytes"));
    let whole = refused(&|config| {
        config.limits.message_bytes = 1 << 20;
        config.limits.payload_bytes = 4 << 20;
        config.limits.messages = 4_096;
        config.limits.window = 1_024;
    });
    assert_eq!(whole, (1 << 20, "limits.message_bytes"));
}

/// Two origins, and a node with room for 8 KiB of messages that are incomplete, which hears both of them and nobody else.
fn crowded() -> Cluster {
    let mut cluster = Cluster::joined(3, |index, config| {
        config.broadcast = Broadcast::Flood { ttl: 1 };
        config.limits.payload_bytes = if index == 1 { 16 << 10 } else { 1 << 20 };
    });
    cluster.connect(0, 2, false);
    cluster.run(ms(10));
    cluster
}

#[test]
fn an_incomplete_message_that_stalls_gives_way_and_is_pulled_again() {
    let mut cluster = crowded();
    let mut chunks = 0;
    let stalls = Rc::new(Cell::new(true));
    let stalling = Rc::clone(&stalls);
    cluster.lose = Box::new(move |packet| {
        let is_chunk = packet.from == address(0) && packet.to == address(1) && packet.bytes.len() > 900;
        chunks += u32::from(is_chunk);
        is_chunk && chunks > 3 && stalling.get()
    });
    let (first, second) = (text(6_000, 4), text(6_000, 5));
    let stalled = submit(&mut cluster, 0, Order::Unordered, &first);
    cluster.run(ms(100));
    let other = submit(&mut cluster, 2, Order::Unordered, &second);
    cluster.run(ms(300));
    assert!(cluster.nodes[1].stats().refused_reassembly > 0, "there is room for one of them");
    assert_eq!(handed(&cluster, 1), []);
    cluster.run(secs(2));
    check(&cluster);
    assert!(cluster.nodes[1].stats().expired > 0, "the one that stalls has given way");
    assert_eq!(handed(&cluster, 1), [(other, sum(&second))]);
    stalls.set(false);
    cluster.run(secs(3));
    assert_eq!(handed(&cluster, 1), [(other, sum(&second)), (stalled, sum(&first))], "it was not lost");
    assert_eq!(gaps(&cluster, 1), []);
    check(&cluster);
}

#[test]
fn an_incomplete_message_that_nobody_completes_is_told_as_lost_however_often_it_gives_way() {
    let mut cluster = Cluster::joined(3, |index, config| {
        config.broadcast = Broadcast::Flood { ttl: 1 };
        config.limits.payload_bytes = if index == 1 { 16 << 10 } else { 1 << 20 };
        config.timing.horizon = secs(20);
    });
    // Of either message one chunk reaches nobody.
    let payloads = [text(6_000, 4), text(6_000, 5)];
    let markers = payloads.clone().map(|payload| payload[2_200..2_300].to_vec());
    cluster.lose =
        Box::new(move |packet| packet.bytes.windows(100).any(|bytes| markers.iter().any(|marker| bytes == marker)));
    submit(&mut cluster, 0, Order::Unordered, &payloads[0]);
    submit(&mut cluster, 2, Order::Unordered, &payloads[1]);
    cluster.run(secs(15));
    assert!(cluster.nodes[1].stats().expired > 3, "they take turns");
    check(&cluster);
    cluster.run(secs(25));
    check(&cluster);
    assert_eq!(handed(&cluster, 1), []);
    for origin in [0, 2] {
        // In one piece, or the first number before others.
        let told: HashSet<_> = cluster.gaps(1, id(origin)).into_iter().collect();
        assert_eq!((told.len(), cluster.gaps(1, id(origin))), (6, (1..=6).collect()), "once");
    }
}

#[test]
fn who_has_most_set_aside_gives_way_at_once_to_who_has_less() {
    let mut cluster = crowded();
    let mut count = 0;
    let on = Rc::new(Cell::new(true));
    let is_on = Rc::clone(&on);
    // One of two chunks of each message.
    cluster.lose = Box::new(move |packet| {
        let is_chunk = packet.from == address(0) && packet.to == address(1) && packet.bytes.len() > 900;
        count += u32::from(is_chunk);
        is_chunk && (count % 2 == 0 || count > 6) && is_on.get()
    });
    let greedy: Vec<_> = (0..3).map(|salt| submit(&mut cluster, 0, Order::Unordered, &text(2_000, salt))).collect();
    cluster.run(ms(50));
    assert_eq!(cluster.nodes[1].stats().chunks_accepted, 3);
    let modest = submit(&mut cluster, 2, Order::Unordered, &text(2_400, 9));
    cluster.run(ms(10));
    assert_eq!(handed(&cluster, 1), [(modest, sum(&text(2_400, 9)))]);
    assert_eq!(cluster.nodes[1].stats().expired, 1, "the latest of the three has given way");
    check(&cluster);
    on.set(false);
    cluster.run(secs(5));
    let handed: HashSet<_> = handed(&cluster, 1).into_iter().map(|(id, _)| id).collect();
    assert_eq!(handed, greedy.into_iter().chain([modest]).collect());
    check(&cluster);
}

#[test]
fn what_a_slow_application_does_not_take_is_told_as_lost_as_a_whole() {
    let mut cluster = Cluster::joined(2, |_, config| {
        config.broadcast = Broadcast::Flood { ttl: 16 };
        config.limits.messages = 40;
    });
    cluster.listens[1] = false;
    let large = submit(&mut cluster, 0, Order::Unordered, &text(10_000, 6));
    cluster.run(ms(500));
    assert!(cluster.nodes[1].get(large).is_some_and(|view| !view.delivered));
    for number in 0..35 {
        cluster.submit(0, Order::Unordered, &number.to_string());
        cluster.run(ms(50));
    }
    check(&cluster);
    cluster.listens[1] = true;
    cluster.run(secs(1));
    assert_eq!(gaps(&cluster, 1), [(1, 10)], "all ten chunks, once");
    assert_eq!(cluster.delivered(1, id(0)), (11..=45).collect::<Vec<_>>());
}

#[test]
fn a_message_of_which_one_chunk_is_lost_is_told_once_as_a_whole() {
    for order in [Order::Fifo, Order::Unordered] {
        let mut cluster = Cluster::joined(3, |index, config| {
            config.broadcast = Broadcast::Flood { ttl: 16 };
            config.limits.messages = if index == 1 { 1_024 } else { 40 };
        });
        let payload = text(10_000, 7);
        let marker = payload[4_500..4_600].to_vec();
        cluster.lose = Box::new(move |packet| {
            packet.to == address(1) && packet.bytes.windows(marker.len()).any(|bytes| bytes == marker)
        });
        submit(&mut cluster, 0, order, &payload);
        for number in 0..60 {
            cluster.run(ms(50));
            submit(&mut cluster, 0, order, number.to_string().as_bytes());
        }
        cluster.run(secs(10));
        check(&cluster);
        assert_eq!(gaps(&cluster, 1), [(1, 10)], "all chunks, those that came too");
        assert_eq!(cluster.delivered(1, id(0)), (11..=70).collect::<Vec<_>>(), "{order:?}");
        assert_eq!(cluster.delivered(2, id(0)).len(), 61);
    }
}

/// A chunk as a member of the cluster could make it up in plain mode, in the name of a neighbor.
fn forged(cluster: &Cluster, number: u32, seq: u64, slot: &[u8]) -> Vec<u8> {
    let (sender, incarnation) = (id(0), cluster.nodes[0].incarnation());
    let data = Data {
        origin: sender,
        incarnation,
        seq,
        order: 0,
        flags: 0,
        previous: 0,
        total: 0,
        age_ms: 0,
        hops: 1,
        predecessors: Blob(&[]),
        chunk: Blob(slot),
        signature: Blob(&[]),
        path: Blob(&[]),
        payload: Blob(b"made up"),
    };
    let mut datagram = [0; 1_200];
    let mut packer = Packer::new(&mut datagram, 1_200);
    packer.frame(Kind::DATA, &data).expect("there is room");
    let len = HEADER_LEN + packer.len();
    let envelope = Envelope { sender, incarnation, number: datagram_number(1 << 20, number), to: Some(id(1)) };
    let auth = Auth::new(&Security::Plain, "gossip");
    auth.seal(&auth.subkey(sender, incarnation), &envelope, &mut datagram[..len]);
    datagram[..len].to_vec()
}

#[test]
fn a_chunk_that_contradicts_others_is_refused_and_what_cannot_be_is_counted() {
    let mut cluster = Cluster::joined(2, flood);
    let mut number = 0;
    let mut give = |cluster: &mut Cluster, seq, slot: &[u8]| {
        number += 1;
        let mut datagram = forged(cluster, number, seq, slot);
        let before = cluster.nodes[1].stats();
        cluster.nodes[1].handle_packet(cluster.now, address(0), &mut datagram);
        cluster.nodes[1].check_invariants();
        let after = cluster.nodes[1].stats();
        (after.accepted - before.accepted, after.refused_form - before.refused_form)
    };
    for slot in [&[0, 1][..], &[2, 2], &[0, 0x81, 0x08], &[0], &[0, 2, 0], &[9, 10], &[1, 0x80]] {
        assert_eq!(give(&mut cluster, 8, slot), (0, 1), "{slot:?}");
    }
    assert_eq!(give(&mut cluster, 2, &[1, 3]), (1, 0));
    assert_eq!(give(&mut cluster, 3, &[2, 4]), (0, 1), "another count");
    assert_eq!(give(&mut cluster, 3, &[1, 3]), (1, 0), "another message in the same place: nobody can tell who lies");
    assert_eq!(give(&mut cluster, 1, &[]), (1, 0), "and a third one");
    assert_eq!(give(&mut cluster, 4, &[2, 3]), (1, 0));
    cluster.drain(1);
    assert_eq!(cluster.delivered(1, id(0)), [1], "of those in chunks none is complete");
    // What can never be complete is no memory held for ever.
    cluster.run(secs(200));
    check(&cluster);
    assert_eq!(cluster.nodes[1].messages().filter(|view| view.id.origin == id(0)).count(), 0);
}

#[test]
fn a_restored_node_completes_what_it_had_begun_and_delivers_nothing_twice() {
    let mut cluster = Cluster::joined(3, |_, config| {
        config.broadcast = Broadcast::Flood { ttl: 16 };
        config.durability = Durability::Records;
    });
    let done = submit(&mut cluster, 0, Order::Fifo, &text(5_000, 1));
    cluster.run(ms(500));
    assert_eq!(handed(&cluster, 1).len(), 1);
    // Of the next one, most chunks come, before the node dies.
    let mut chunks = 0;
    cluster.lose = Box::new(move |packet| {
        let is_chunk = packet.to == address(1) && packet.bytes.len() > 900;
        chunks += u32::from(is_chunk);
        is_chunk && chunks > 12
    });
    let payload = text(40_000, 2);
    let begun = submit(&mut cluster, 0, Order::Fifo, &payload);
    cluster.run(ms(20));
    assert_eq!(handed(&cluster, 1).len(), 1);
    let config = cluster.nodes[1].config().clone();
    let store = Store::of(&cluster.records[1]);
    let mut again = store.restore(config, cluster.now).expect("its own records");
    again.check_invariants();
    assert!(again.get(done).is_some() && again.get(begun).is_none());
    again.join(cluster.now, address(0)).expect("room");
    cluster.replace(1, again);
    cluster.lose = Box::new(|_| false);
    cluster.run(secs(5));
    assert_eq!(handed(&cluster, 1), [(begun, sum(&payload))]);
    assert_eq!(gaps(&cluster, 1), []);
    check(&cluster);
}
