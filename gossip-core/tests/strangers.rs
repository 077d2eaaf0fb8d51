//! Those who knock: what they get, and what it costs.

mod common;

use common::{Cluster, Packet, address, ms, secs};
use gossip_core::{Order, Scope};

/// What a node answers to one datagram: bytes to the sender, and datagrams to anybody.
fn answer(cluster: &mut Cluster, from: core::net::SocketAddr, bytes: &[u8]) -> (usize, usize) {
    cluster.run(ms(50));
    let node = &mut cluster.nodes[0];
    let mut buffer = [0; 1_200];
    while node.poll_transmit(cluster.now, &mut buffer).is_some() {}
    node.handle_packet(cluster.now, from, &mut bytes.to_vec());
    let (mut back, mut count) = (0, 0);
    while let Some(transmit) = node.poll_transmit(cluster.now, &mut buffer) {
        count += 1;
        back += if transmit.to == from { transmit.len } else { 0 };
    }
    (back, count)
}

/// Every datagram of a cluster's first seconds, with a message and a register on its way.
fn recorded() -> (Cluster, Vec<Packet>) {
    let mut cluster = Cluster::new(3, |_, _| {});
    cluster.log = Some(vec![]);
    for index in 1..3 {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room");
    }
    cluster.run(secs(1));
    cluster.submit(1, Order::Unordered, "a message that is long enough to be worth something to somebody");
    cluster.nodes[1].set(cluster.now, Scope::Own, "key", &[7; 300]).expect("room");
    cluster.run(secs(1));
    let log = cluster.log.take().expect("it was switched on");
    (cluster, log.into_iter().map(|(_, packet)| packet).collect())
}

#[test]
fn a_stranger_never_gets_more_bytes_than_it_sent() {
    let (mut cluster, log) = recorded();
    let stranger = address(120);
    let mut answered = 0;
    for packet in log.iter().filter(|packet| packet.to == address(0)) {
        let before = cluster.nodes[0].peers().collect::<Vec<_>>();
        let (back, count) = answer(&mut cluster, stranger, &packet.bytes);
        assert!(back <= packet.bytes.len(), "{} bytes were answered with {back}", packet.bytes.len());
        assert!(count <= 1);
        answered += count;
        let state =
            |peers: &[gossip_core::PeerView]| peers.iter().map(|p| (p.node, p.address, p.state)).collect::<Vec<_>>();
        assert_eq!(state(&cluster.nodes[0].peers().collect::<Vec<_>>()), state(&before), "nothing is kept");
    }
    assert!(answered > 5, "some were answered, or this test shows nothing");
}

#[test]
fn what_was_meant_for_others_is_answered_by_nobody_but_greetings() {
    let (mut cluster, log) = recorded();
    for packet in log.iter().filter(|packet| packet.to != address(0)) {
        let open = packet.bytes[2] & 1 == 1;
        let (back, count) = answer(&mut cluster, packet.from, &packet.bytes);
        assert!(back <= packet.bytes.len() && count <= 1);
        assert!(open || count == 0, "a datagram for another node is not genuine here");
    }
}

#[test]
fn junk_is_answered_by_nothing() {
    let (mut cluster, log) = recorded();
    let sample = &log.iter().find(|packet| packet.to == address(0)).expect("there was traffic").bytes;
    for len in 0..sample.len() {
        assert_eq!(answer(&mut cluster, address(120), &sample[..len]), (0, 0), "the first {len} bytes");
    }
    for at in 0..sample.len() {
        let mut damaged = sample.clone();
        damaged[at] ^= 0x20;
        assert_eq!(answer(&mut cluster, address(120), &damaged), (0, 0), "byte {at} damaged");
    }
    assert_eq!(answer(&mut cluster, address(120), &[0; 1_200]), (0, 0));
}

#[test]
fn a_flood_of_strangers_leaves_nothing_behind() {
    let (mut cluster, log) = recorded();
    let hello = &log.iter().find(|packet| packet.to == address(0)).expect("the first greeting").bytes;
    let before = format!("{:?}", cluster.nodes[0].peers().collect::<Vec<_>>());
    let now = cluster.now;
    for port in 1..5_000 {
        cluster.nodes[0].handle_packet(now, ([10, 9, 9, 9], port).into(), &mut hello.clone());
    }
    let mut buffer = [0; 1_200];
    let answers = std::iter::from_fn(|| cluster.nodes[0].poll_transmit(now, &mut buffer)).count();
    let places = usize::from(cluster.nodes[0].config().limits.links) + 16;
    assert!((1..=places).contains(&answers), "{answers} answers wait in {places} places");
    assert_eq!(format!("{:?}", cluster.nodes[0].peers().collect::<Vec<_>>()), before);
}

#[cfg(feature = "__internals")]
mod forged {
    use super::*;
    use common::id;
    use gossip_core::auth::{Auth, Envelope};
    use gossip_core::pack::Packer;
    use gossip_core::wire::{Address, HEADER_LEN, Hello, Kind, Unlink, Verdict, Welcome, datagram_number};
    use gossip_core::{Incarnation, NodeId, Security};

    /// A datagram that a liar who knows the cluster's name can make.
    fn forge(sender: u64, to: Option<NodeId>, number: u32, write: impl FnOnce(&mut Packer<'_>)) -> Vec<u8> {
        let auth = Auth::new(&Security::Plain, "gossip");
        let (sender, incarnation) = (NodeId(sender), Incarnation(1 << 32));
        let mut datagram = [0; 1_200];
        let mut packet = Packer::new(&mut datagram, 1_200);
        write(&mut packet);
        let len = HEADER_LEN + packet.len();
        let envelope = Envelope { sender, incarnation, number: datagram_number(number, 1), to };
        auth.seal(&auth.subkey(sender, incarnation), &envelope, &mut datagram[..len]);
        datagram[..len].to_vec()
    }

    #[test]
    fn a_guessed_cookie_opens_no_door() {
        let mut cluster = Cluster::new(1, |_, _| {});
        for number in 1..100 {
            let hello = Hello { nonce: 5, cookie: number.into(), flags: Hello::LINK, to: Address(address(0)) };
            let bytes = forge(9, None, number, |packet| {
                packet.frame(Kind::HELLO, &hello).expect("room");
                packet.pad(1_000);
            });
            let (back, count) = answer(&mut cluster, address(120), &bytes);
            assert!(back <= bytes.len() && count <= 1);
        }
        assert_eq!(cluster.nodes[0].peers().count(), 0);
        assert_eq!(cluster.nodes[0].stats().refused_cookie, 99);
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_void() {
        let mut cluster = Cluster::new(1, |_, _| {});
        cluster.nodes[0].join(cluster.now, address(3)).expect("room");
        let welcome =
            Welcome { nonce: 0, observed: Address(address(66)), verdict: Verdict::Linked, incarnation: Incarnation(0) };
        let bytes = forge(9, None, 1, |packet| packet.frame(Kind::WELCOME, &welcome).expect("room"));
        answer(&mut cluster, address(3), &bytes);
        assert_eq!((cluster.nodes[0].peers().count(), cluster.nodes[0].address()), (0, None));
        assert_eq!(cluster.nodes[0].stats().refused_unasked, 1);
    }

    #[test]
    fn a_goodbye_from_elsewhere_ends_no_link() {
        let mut cluster = Cluster::joined(2, |_, _| {});
        let unlink = Unlink { reason: Unlink::LEAVING };
        let bytes = forge(2, Some(id(0)), 900, |packet| packet.frame(Kind::UNLINK, &unlink).expect("room"));
        answer(&mut cluster, address(120), &bytes);
        assert_eq!(cluster.links(0), [id(1)]);
    }
}
