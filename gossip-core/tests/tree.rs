//! The shared tree, in a jar: who becomes the root, who whose child, and what liars can do about it.

mod common;

use common::{Cluster, id, ms, secs};
use gossip_core::{Broadcast, Config, NodeId, Order, TreeView};

fn tree(_: usize, config: &mut Config) {
    config.broadcast = Broadcast::tree();
}

fn place(cluster: &Cluster, index: usize) -> TreeView {
    cluster.nodes[index].trees().next().expect("one tree")
}

/// The root that all live nodes agree on; below it everyone has a parent that counts it.
fn root(cluster: &Cluster) -> NodeId {
    let root = place(cluster, cluster.alive().next().expect("somebody lives")).root.expect("there is a root");
    for index in cluster.alive() {
        let place = place(cluster, index);
        assert_eq!(place.root, Some(root), "node {index}");
        if id(index) == root {
            assert_eq!((place.parent, place.depth), (None, 0));
        } else {
            let parent = place.parent.expect("a node below the root has a parent").0 as usize - 1;
            assert!(self::place(cluster, parent).children.contains(&id(index)), "{parent} does not count {index}");
        }
    }
    root
}

#[test]
fn one_root_is_agreed_on_and_every_message_is_sent_once() {
    let mut cluster = Cluster::joined(12, tree);
    root(&cluster);
    let sent = |cluster: &Cluster| cluster.nodes.iter().map(|node| node.stats().data_sent).sum::<u64>();
    let before = sent(&cluster);
    for index in 0..12 {
        cluster.submit(index, Order::Unordered, "news");
    }
    cluster.run(secs(2));
    assert!((0..12).all(|index| cluster.texts(index).len() == 12));
    assert_eq!(sent(&cluster) - before, 12 * 11, "one copy for each of the others");
}

#[test]
fn another_root_follows_one_that_has_died_and_it_comes_back_as_one_of_many() {
    let mut cluster = Cluster::joined(8, tree);
    let first = root(&cluster);
    let index = first.0 as usize - 1;
    cluster.up[index] = false;
    cluster.run(secs(20));
    let second = root(&cluster);
    assert_ne!(second, first);
    cluster.up[index] = true;
    cluster.run(secs(20));
    let third = root(&cluster);
    cluster.submit(index, Order::Unordered, "I am back");
    cluster.run(secs(1));
    assert!((0..8).all(|other| cluster.texts(other).contains(&"I am back".into())), "below {third}");
}

#[test]
fn two_parts_grow_together_below_one_root() {
    let mut cluster = Cluster::joined(8, tree);
    let (left, right): (Vec<usize>, Vec<usize>) = (0..8).partition(|index| index % 2 == 0);
    cluster.connect_groups(&left, &right, false);
    cluster.run(secs(30));
    assert_ne!(place(&cluster, 0).root, place(&cluster, 1).root, "each part has a root of its own");
    cluster.connect_groups(&left, &right, true);
    cluster.run(secs(40));
    root(&cluster);
}

#[test]
fn a_node_without_a_tree_sends_to_everybody() {
    let mut cluster = Cluster::new(3, tree);
    for index in 1..3 {
        cluster.nodes[index].join(cluster.now, common::address(0)).expect("room for a contact");
    }
    cluster.run(ms(20));
    assert_eq!(place(&cluster, 0).root, None, "too early for a root");
    cluster.submit(1, Order::Unordered, "early");
    cluster.run(ms(20));
    assert!((0..3).all(|index| cluster.texts(index) == ["early"]));
}

#[test]
fn what_is_lost_on_the_way_is_fetched_or_sent_again() {
    let mut cluster = Cluster::joined(10, tree);
    let mut count = 0;
    cluster.lose = Box::new(move |_| {
        count += 1;
        count % 4 == 0
    });
    for number in 0..50 {
        cluster.submit(number % 10, Order::Unordered, "through the noise");
        cluster.run(ms(20));
    }
    cluster.run(secs(4));
    assert!((0..10).all(|index| cluster.texts(index).len() == 50));
    let resent: u64 = cluster.nodes.iter().map(|node| node.stats().resent).sum();
    assert!(resent > 50, "{resent} copies were sent again");
}

/// Digests name what is recent. What is older and was missed is found although news never stop, and so no table ever settles.
#[test]
fn what_was_missed_long_ago_is_found_in_a_stream_of_news() {
    let mut cluster = Cluster::joined(3, tree);
    let quiet = |cluster: &mut Cluster, connected| cluster.connect_groups(&[2], &[0, 1], connected);
    let stream = |cluster: &mut Cluster, count: usize| {
        for number in 0..count {
            cluster.submit(1, Order::Unordered, &number.to_string());
            cluster.run(ms(20));
        }
    };
    quiet(&mut cluster, false);
    cluster.submit(0, Order::Unordered, "the only one of its origin");
    stream(&mut cluster, 75);
    quiet(&mut cluster, true);
    let links = |cluster: &Cluster| cluster.nodes[2].neighbors().count();
    assert_eq!(links(&cluster), 2, "nobody has given up a link");
    let before = cluster.nodes[2].stats().links_lost;
    stream(&mut cluster, 250);
    assert!(cluster.texts(2).contains(&"the only one of its origin".into()));
    assert_eq!(cluster.nodes[2].stats().links_lost, before);
}

#[cfg(feature = "__internals")]
mod forged {
    use super::*;
    use common::address;
    use gossip_core::auth::{Auth, Envelope};
    use gossip_core::pack::Packer;
    use gossip_core::wire::{
        Address, Announce, Blob, Child, ChildOk, Data, DataAck, Digest, Fetch, HEADER_LEN, Injected, Kind, Wave,
        WaveRequest, datagram_number,
    };
    use gossip_core::{Incarnation, Security};

    /// A datagram that `sender` could have sent.
    fn forge(
        sender: (NodeId, Incarnation),
        to: Option<NodeId>,
        number: u64,
        write: impl FnOnce(&mut Packer<'_>),
    ) -> Vec<u8> {
        let auth = Auth::new(&Security::Plain, "gossip");
        let mut datagram = [0; 1_200];
        let mut packet = Packer::new(&mut datagram, 1_200);
        write(&mut packet);
        let len = HEADER_LEN + packet.len();
        let (sender, incarnation) = sender;
        auth.seal(
            &auth.subkey(sender, incarnation),
            &Envelope { sender, incarnation, number, to },
            &mut datagram[..len],
        );
        datagram[..len].to_vec()
    }

    /// Every frame of the tree, at its worst; `seed` makes each one different.
    fn lies(packet: &mut Packer<'_>, seed: u32) {
        let ids: Vec<u8> =
            (0..200_u32).flat_map(|i| (seed * 1_000 + i).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let (ids, path) = (Blob(&ids), Blob(&[0xff; 40]));
        let wave = Wave {
            tree: (seed % 3) as u8,
            root: NodeId(u64::from(seed) + 100),
            incarnation: Incarnation(1),
            address: Address(address(150)),
            priority: 255,
            number: u32::MAX.wrapping_sub(seed % 7),
            refresh_s: u16::MAX,
            cost: u32::MAX,
            depth: 255,
            path,
        };
        let written = match seed % 7 {
            0 => packet.frame(Kind::WAVE, &wave),
            1 => packet.frame(Kind::CHILD, &Child { tree: 0, number: seed }),
            2 => packet.frame(Kind::CHILD_OK, &ChildOk { tree: 0, number: seed, cost: 0, depth: 255, path }),
            3 => packet.frame(Kind::ANNOUNCE, &Announce { number: 0, ids }),
            4 => packet.frame(Kind::DIGEST, &Digest { number: seed, ids, span_ms: seed, older: 7 }),
            5 => packet.frame(Kind::FETCH, &Fetch { ids }),
            _ => packet.frame(Kind::DATA_ACK, &DataAck { highest: seed, missing: u64::MAX >> 1, flags: 255 }),
        };
        written.expect("each of them fits");
    }

    #[test]
    fn a_neighbor_that_lies_changes_no_bound_and_the_next_honest_wave_mends_it() {
        let mut cluster = Cluster::joined(5, tree);
        let liar = (id(1), cluster.nodes[1].incarnation());
        for seed in 0..2_000 {
            let number = datagram_number(1 << 20, seed + 1);
            let mut bytes = forge(liar, Some(id(0)), number, |packet| lies(packet, seed));
            cluster.nodes[0].handle_packet(cluster.now, address(1), &mut bytes);
            cluster.nodes[0].check_invariants();
            if seed % 50 == 0 {
                cluster.run(ms(20));
            }
        }
        // What it lied about is outlived: its link ends, as its true datagrams are taken for old ones.
        cluster.run(secs(180));
        root(&cluster);
    }

    fn message(origin: (NodeId, Incarnation), seq: u64) -> Data<'static> {
        Data {
            origin: origin.0,
            incarnation: origin.1,
            seq,
            order: 0,
            flags: 0,
            previous: 0,
            total: 0,
            age_ms: 0,
            hops: 1,
            predecessors: Blob(&[]),
            chunk: Blob(&[]),
            signature: Blob(&[]),
            path: Blob(&[]),
            payload: Blob(b"injected"),
        }
    }

    /// Hands the root an injected message; whether it was taken. The root says nothing about it in any case.
    fn inject(
        cluster: &mut Cluster,
        sender: (NodeId, Incarnation),
        origin: (NodeId, Incarnation),
        wave_before: u32,
    ) -> bool {
        let root = root(cluster);
        let index = root.0 as usize - 1;
        let (incarnation, number) = (cluster.nodes[index].incarnation(), place(cluster, index).wave);
        let data = message(origin, 1_000);
        let injected = Injected { tree: 0, incarnation, number: number.wrapping_sub(wave_before), data };
        let mut bytes = forge(sender, None, 1, |packet| packet.frame(Kind::INJECTED, &injected).expect("room"));
        let before = cluster.nodes[index].stats();
        cluster.nodes[index].handle_packet(cluster.now, address(170), &mut bytes);
        let after = cluster.nodes[index].stats();
        let taken = after.refused_ahead > before.refused_ahead || after.accepted > before.accepted;
        assert_eq!(after.refused_injected - before.refused_injected, u64::from(!taken));
        let mut buffer = [0; 1_200];
        let now = cluster.now;
        while let Some(transmit) = cluster.nodes[index].poll_transmit(now, &mut buffer) {
            assert_ne!(transmit.to, address(170), "nothing is answered");
        }
        taken
    }

    #[test]
    fn the_root_takes_messages_from_their_origins_only_and_by_present_waves_only() {
        let mut cluster = Cluster::joined(4, tree);
        let member = (1..5).map(NodeId).find(|&node| node != root(&cluster)).expect("three are not the root");
        let life = cluster.nodes[member.0 as usize - 1].incarnation();
        let other = (NodeId(90), Incarnation(1 << 40));
        assert!(!inject(&mut cluster, other, other, 0), "a stranger");
        assert!(!inject(&mut cluster, (member, Incarnation(7)), (member, Incarnation(7)), 0), "another life");
        assert!(!inject(&mut cluster, (member, life), other, 0), "somebody else's message");
        assert!(!inject(&mut cluster, (member, life), (member, life), 2), "an old wave");
        assert!(!inject(&mut cluster, (member, life), (member, life), u32::MAX), "a wave to come");
        assert!(inject(&mut cluster, (member, life), (member, life), 0));
        assert!(inject(&mut cluster, (member, life), (member, life), 1), "it may have missed the last wave");
    }

    /// Where nobody knows all members, a stranger may be one; but without a key anybody may say so.
    #[test]
    fn with_sampled_membership_the_root_listens_to_strangers_for_a_while() {
        let mut cluster = Cluster::joined(4, |_, config| {
            config.broadcast = Broadcast::tree();
            config.membership = gossip_core::Membership::sampled(&config.limits);
        });
        let stranger = |number: u64| (NodeId(1_000 + number), Incarnation(1 << 40));
        let taken = (0..200_u64).filter(|&number| inject(&mut cluster, stranger(number), stranger(number), 0)).count();
        assert_eq!(taken, 64, "of one address in one second");
        cluster.run(secs(1));
        assert!(inject(&mut cluster, stranger(500), stranger(500), 0));
        let other = (NodeId(90), Incarnation(1 << 40));
        assert!(!inject(&mut cluster, other, stranger(90), 0), "somebody else's message");
        let before = cluster.nodes[0].stats();
        assert!(inject(&mut cluster, stranger(500), stranger(500), 0), "a repeated one is let in, and");
        assert_eq!(cluster.nodes[0].stats().delivered, before.delivered);
    }

    #[test]
    fn waves_are_sent_on_request_but_not_more_often_than_their_gap() {
        let mut cluster = Cluster::joined(4, tree);
        let root = root(&cluster);
        let index = root.0 as usize - 1;
        let member = (1..5).map(NodeId).find(|&node| node != root).expect("three are not the root");
        let life = cluster.nodes[member.0 as usize - 1].incarnation();
        let first = place(&cluster, index).wave;
        for number in 0..200_u64 {
            let (incarnation, wave) = (cluster.nodes[index].incarnation(), place(&cluster, index).wave);
            let request = WaveRequest { tree: 0, incarnation, number: wave };
            let mut bytes = forge((member, life), None, number + 1, |packet| {
                packet.frame(Kind::WAVE_REQUEST, &request).expect("room");
            });
            cluster.nodes[index].handle_packet(cluster.now, address(170), &mut bytes);
            cluster.run(ms(10));
        }
        let waves = place(&cluster, index).wave - first;
        assert!((2..=7).contains(&waves), "{waves} waves in two seconds, with a gap of 300 ms");
    }
}
