//! Errors of the socket end nothing.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use gossip_core::Order;

use super::{Builder, config, deliveries, start, until, wait_for};
use crate::adapter::run;

/// The system refuses to send to these from an ordinary IPv4 socket: no datagram leaves.
fn refused() -> [SocketAddr; 2] {
    [([255, 255, 255, 255], 9).into(), (Ipv6Addr::LOCALHOST, 9).into()]
}

#[test]
fn an_address_that_the_system_refuses_harms_nobody() {
    run(async {
        let (a, _from_a) = start(1, &refused()).await;
        wait_for("refusals", async || a.socket_stats().await.expect("the node lives").send_failed >= 2).await;
        let (_b, mut from_b) = start(2, &[a.local_addr()]).await;
        let id = a.submit(Order::Fifo, "hello").await.expect("there is room");
        assert_eq!(deliveries(&mut from_b, 1).await[0].id, id);
    });
}

#[test]
fn a_contact_where_nobody_listens_harms_nobody() {
    run(async {
        let gone = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
        let (a, _from_a) = start(1, &[gone]).await;
        until(&a, "a greeting", |gossip| gossip.stats().datagrams_sent > 0).await;
        let (_b, mut from_b) = start(2, &[gone, a.local_addr()]).await;
        let id = a.submit(Order::Fifo, "hello").await.expect("there is room");
        assert_eq!(deliveries(&mut from_b, 1).await[0].id, id);
    });
}

#[test]
fn both_families_meet_on_one_socket() {
    run(async {
        let address = (Ipv6Addr::UNSPECIFIED, 0).into();
        let Ok((a, mut from_a)) = Builder::new(config(1)).bind(address).spawn().await else {
            eprintln!("no IPv6 here, nothing is tested");
            return;
        };
        let contact = SocketAddr::from(([127, 0, 0, 1], a.local_addr().port()));
        let (b, _from_b) = start(2, &[contact]).await;
        let id = b.submit(Order::Fifo, "hello").await.expect("there is room");
        assert_eq!(deliveries(&mut from_a, 1).await[0].id, id);
        // The node at the wide socket names the other one as that one names itself.
        let known = a.read(|gossip| gossip.peers().map(|peer| peer.address).collect::<Vec<_>>()).await;
        assert_eq!(known, Ok(vec![b.local_addr()]));
    });
}

#[test]
fn noise_is_counted_and_nothing_more() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let noise = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        for len in 0..100 {
            noise.send_to(&vec![0xA5; len * 13], a.local_addr()).expect("the loopback interface takes it");
        }
        until(&a, "the noise", |gossip| gossip.stats().datagrams_received > 0).await;
        let (_b, mut from_b) = start(2, &[a.local_addr()]).await;
        let id = a.submit(Order::Fifo, "hello").await.expect("there is room");
        assert_eq!(deliveries(&mut from_b, 1).await[0].id, id);
    });
}
