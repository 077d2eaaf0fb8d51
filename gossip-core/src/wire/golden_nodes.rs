//! Golden vectors of what whole nodes say: the roots of their tables, where they are, and their second greeting. Pinned in
//! `tests/golden/tables.hex`.
//!
//! They are never adjusted to the code. If one of these tests fails, old and new nodes talk without end of tables that are
//! equal, or do not find each other.

use core::net::{Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::golden::{LIFE, NODE, frame_bytes, hex, pinned, unhex};
use super::tests::only_frame;
use super::*;
use crate::auth::{Auth, Envelope, Opened, Security};
use crate::config::Config;
use crate::gossip::Gossip;
use crate::ids::{Incarnation, NodeId};
use crate::membership::NewLink;
use crate::store::Row;
use crate::time::Instant;
use crate::view::PeerState;

const FRIEND: NodeId = NodeId(9);
const OTHER: NodeId = NodeId(2);
const OTHER_LIFE: Incarnation = Incarnation(3);

fn securities() -> [(&'static str, Security); 2] {
    let key = core::array::from_fn(|at| at as u8);
    [("plain", Security::Plain), ("sealed", Security::Sealed { key_id: 1, key })]
}

fn v4() -> SocketAddr {
    ([192, 0, 2, 1], 7_001).into()
}

fn v6() -> SocketAddr {
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 65_535).into()
}

/// A node of the cluster "golden" in its [`LIFE`], taken up as one that met a higher incarnation of its own does.
fn node(security: &Security, mtu: u16) -> Gossip {
    let mut config = Config::local(NODE);
    (config.cluster, config.security, config.mtu) = ("golden".to_string(), security.clone(), mtu);
    let mut gossip = Gossip::new(config, [1; 32], Instant::ZERO).expect("within the bounds");
    gossip.me.incarnation = LIFE;
    gossip.subkey = gossip.auth.subkey(NODE, LIFE);
    let (mut cx, protocols) = gossip.split();
    protocols.registers.renew(&mut cx);
    gossip
}

/// The same, with a link to [`FRIEND`].
fn linked(security: &Security) -> Gossip {
    let mut gossip = node(security, 1_200);
    let address = ([192, 0, 2, 9], 7_009).into();
    let incarnation = Incarnation(1);
    gossip.link(&NewLink { node: FRIEND, incarnation, address, number: 0, near: false, round_trip: 0 });
    gossip
}

/// The next datagram, and its frames in the clear.
fn spoken(gossip: &mut Gossip, now: Instant) -> Option<(usize, Vec<u8>)> {
    let mut buffer = vec![0; gossip.config.mtu.into()];
    let len = gossip.poll_transmit(now, &mut buffer)?.len;
    let header = Header::parse(&buffer[..len]).expect("a header");
    let opened = gossip.auth.open(&gossip.subkey, FRIEND, &header, &mut buffer[..len]).expect("a good tag");
    Some((len, opened.body().to_vec()))
}

/// Hands each frame of a datagram to `look`.
fn each_frame(body: &[u8], mut look: impl FnMut(Frame<'_>)) {
    for frame in Frames::new(Opened::forged(body)) {
        let (kind, body) = frame.expect("a good length");
        look(Frame::parse(kind, body).expect("a known kind and a good body"));
    }
}

#[test]
fn roots_are_sent_as_pinned() {
    let pinned = pinned(include_str!("../../tests/golden/tables.hex"));
    for (name, security) in securities() {
        let key = Auth::new(&security, "golden").root_key();
        assert_eq!(hex(&key.to_le_bytes()), pinned[&std::format!("key-{name}")], "{name}");

        let mut gossip = linked(&security);
        see(&mut gossip, OTHER, OTHER_LIFE, 0, &[1, 2, 3, 4, 7, 8, 12]);
        assert_eq!(hex(&gossip.origins.root().to_le_bytes()), pinned[&std::format!("row-{name}")], "{name}");
        see(&mut gossip, NODE, LIFE, 300, &[302, 556]);
        // No part of the sum: nothing was seen of it, or others have forgotten it.
        see(&mut gossip, NodeId(3), LIFE, 0, &[]);
        let silent = see(&mut gossip, NodeId(4), LIFE, 7, &[]);
        gossip.origins.retire(silent);
        hear(&mut gossip, 128, b"book", b"Apple");

        let (mut roots, mut register_roots) = (vec![], vec![]);
        let (_, body) = spoken(&mut gossip, Instant::ZERO).expect("a new link is told both roots");
        each_frame(&body, |frame| match frame {
            Frame::Root(root) => roots.push(hex(&root.sum.to_le_bytes())),
            Frame::RegisterRoot(root) => register_roots.push(hex(&root.sum.to_le_bytes())),
            _ => {}
        });
        assert_eq!(roots, [pinned[&std::format!("root-{name}")].as_str()], "{name}");
        assert_eq!(register_roots, [pinned[&std::format!("register-root-{name}")].as_str()], "{name}");
    }
}

/// All up to `top` and each of `seqs` was seen of an origin. Its row.
fn see(gossip: &mut Gossip, node: NodeId, life: Incarnation, top: u64, seqs: &[u64]) -> Row {
    let row = gossip.origins.insert(Instant::ZERO, node, life).expect("room for a row");
    gossip.origins.pass_over(Instant::ZERO, row, top);
    for &seq in seqs {
        gossip.origins.see(Instant::ZERO, row, seq);
    }
    row
}

/// [`FRIEND`] tells of a register of [`OTHER`], and that nothing is left before it.
fn hear(gossip: &mut Gossip, version: u64, key: &[u8], value: &[u8]) {
    let update = Update {
        owner: OTHER,
        incarnation: OTHER_LIFE,
        after: 0,
        version,
        ahead: 0,
        state: RegisterState::Value,
        age_ms: 0,
        key: Blob(key),
        value: Blob(value),
    };
    let bytes = frame_bytes(|packer| assert_eq!(packer.list(Kind::UPDATES, [update]), 1));
    let Frame::Updates(updates) = only_frame(&bytes) else { panic!("another kind") };
    let from = gossip.peers.find(FRIEND).expect("it was linked");
    let (mut cx, protocols) = gossip.split();
    protocols.registers.on_updates(&mut cx, from, updates);
}

#[test]
fn members_are_published_as_pinned() {
    let pinned = pinned(include_str!("../../tests/golden/tables.hex"));
    for (name, address, leaving) in [
        ("member-v4", Some(v4()), false),
        ("member-v6", Some(v6()), false),
        ("member-nowhere", None, false),
        ("member-leaving", Some(v4()), true),
    ] {
        let mut gossip = linked(&Security::Plain);
        let (mut cx, protocols) = gossip.split();
        // One that is news in any case, and then the one that counts.
        protocols.registers.publish_member(&mut cx, Some(v6()), true);
        protocols.registers.publish_member(&mut cx, address, leaving);
        let later = Instant::ZERO + Duration::from_millis(10);
        gossip.handle_timeout(later);

        let mut published = Vec::<(String, String)>::new();
        while let Some((_, body)) = spoken(&mut gossip, later) {
            each_frame(&body, |frame| {
                if let Frame::Updates(updates) = frame {
                    published.extend(updates.iter().map(|update| (hex(update.key.0), hex(update.value.0))));
                }
            });
        }
        assert_eq!(published, [("00".to_string(), pinned[name].clone())], "{name}");
    }
}

#[test]
fn what_is_published_is_understood() {
    let pinned = pinned(include_str!("../../tests/golden/tables.hex"));
    for (name, address) in [("member-v4", Some(v4())), ("member-v6", Some(v6())), ("member-nowhere", None)] {
        let mut gossip = linked(&Security::Plain);
        hear(&mut gossip, 1, &[0], &unhex(&pinned[name]));
        assert_eq!(state(&gossip), (address, PeerState::Known), "{name}");
        // A later version may append to it.
        hear(&mut gossip, 2, &[0], &[&unhex(&pinned["member-leaving"])[..], b"more"].concat());
        assert_eq!(state(&gossip), (Some(v4()), PeerState::Left), "{name}");
    }
}

/// Where [`OTHER`] is thought to be, and how.
fn state(gossip: &Gossip) -> (Option<SocketAddr>, PeerState) {
    let row = gossip.members.find(OTHER).expect("it was heard of");
    let member = gossip.members.get(row).expect("a row in use");
    (member.address, member.state)
}

#[test]
fn the_second_greeting_is_padded_as_pinned() {
    let pinned = pinned(include_str!("../../tests/golden/tables.hex"));
    let expected = unhex(&pinned["second-hello"]);
    for (_, security) in securities() {
        for (mtu, whole) in [(1_200, 512), (300, 300)] {
            let mut gossip = node(&security, mtu);
            gossip.join(Instant::ZERO, v4()).expect("room for a contact");
            gossip.handle_timeout(Instant::ZERO);
            let (_, first) = spoken(&mut gossip, Instant::ZERO).expect("a contact is greeted");
            let Frame::Hello(hello) = only_frame(&first) else { panic!("another kind") };
            assert_eq!((hello.cookie, first.len()), (0, expected.len()), "the first one is not padded");

            let retry = Retry { echo: hello.nonce, cookie: 0x2122_2324_2526_2728 };
            gossip.handle_packet(Instant::ZERO, v4(), &mut from_friend(&gossip.auth, &retry));
            let (len, mut second) = spoken(&mut gossip, Instant::ZERO).expect("a Retry is answered");
            assert_eq!(len, whole);
            // The nonce is drawn by chance.
            second[3..11].copy_from_slice(&expected[3..11]);
            let (greeting, padding) = second.split_at(expected.len());
            assert_eq!(hex(greeting), hex(&expected));
            assert!(padding.iter().all(|&byte| byte == 0));
        }
    }
}

/// A datagram of [`FRIEND`] outside of links.
fn from_friend(auth: &Auth, retry: &Retry) -> Vec<u8> {
    let frames = frame_bytes(|packer| packer.frame(Kind::RETRY, retry).expect("room enough"));
    let mut datagram = [&[0; HEADER_LEN], &frames[..]].concat();
    let envelope = Envelope { sender: FRIEND, incarnation: Incarnation(1), number: datagram_number(1, 1), to: None };
    auth.seal(&auth.subkey(FRIEND, Incarnation(1)), &envelope, &mut datagram);
    datagram
}
