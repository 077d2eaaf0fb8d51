//! How a node ends.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use gossip_core::{Durability, Event, NodeId, Order};

use super::{builder, config, event, linked, start, start_with, wait_for, within};
use crate::adapter::{Builder, CallError, run};

#[test]
fn a_shutdown_is_polite() {
    run(async {
        // Nobody is probed during the test, so only a goodbye can tell.
        let patient = |id| {
            let mut config = config(id);
            config.timing.beat_period = Duration::from_secs(3_600);
            Builder::new(config)
        };
        let (a, mut from_a) = start_with(patient(1), &[]).await;
        let (b, mut from_b) = start_with(patient(2), &[a.local_addr()]).await;
        linked(&a, &[2]).await;
        linked(&b, &[1]).await;
        within("the shutdown", a.shutdown()).await;
        event(&mut from_b, "the goodbye", |event| (event == Event::PeerDown { node: NodeId(1) }).then_some(())).await;
        event(&mut from_a, "the own end", |event| (event == Event::Left).then_some(())).await;
        assert_eq!(within("the end of the events", from_a.recv()).await, None);
        assert_eq!(a.submit(Order::Fifo, "late").await, Err(CallError::Closed));
        assert_eq!(a.try_submit(Order::Fifo, "late").await, Err(CallError::Closed));
        assert_eq!(a.leave().await, Err(CallError::Closed));
        assert_eq!(a.read(|gossip| gossip.id()).await, Err(CallError::Closed));
        within("a second shutdown", a.shutdown()).await;
        UdpSocket::bind(a.local_addr()).expect("the port is free once the shutdown has returned");
    });
}

#[test]
fn leaving_is_an_event_and_the_handles_live_on() {
    run(async {
        let (a, mut events) = start(1, &[]).await;
        a.leave().await.expect("the node lives");
        event(&mut events, "the own end", |event| (event == Event::Left).then_some(())).await;
        assert!(matches!(a.submit(Order::Fifo, "late").await, Err(CallError::Refused(_))));
        assert_eq!(a.read(|gossip| gossip.id()).await, Ok(NodeId(1)));
        within("the shutdown", a.shutdown()).await;
    });
}

#[test]
fn a_node_that_nobody_holds_ends() {
    run(async {
        for events_first in [true, false] {
            let (node, events) = start(1, &[]).await;
            let address = node.local_addr();
            let second = node.clone();
            assert_eq!(UdpSocket::bind(address).map_err(|error| error.kind()).err(), Some(ErrorKind::AddrInUse));
            if events_first {
                drop(events);
                drop((node, second));
            } else {
                drop((node, second));
                drop(events);
            }
            wait_for("the port to be free", async || UdpSocket::bind(address).is_ok()).await;
        }
    });
}

#[test]
fn what_cannot_start_says_why() {
    run(async {
        let (a, _events) = start(1, &[]).await;
        let taken = builder(2).bind(a.local_addr()).spawn().await.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(taken, Err(ErrorKind::AddrInUse));

        let mut wrong = config(2);
        wrong.mtu = 3;
        let error = Builder::new(wrong).spawn().await.map(|_| ()).expect_err("no datagram has three bytes");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("mtu"), "{error}");

        let nowhere = builder(2).contact(([127, 0, 0, 1], 0).into()).spawn().await.map(|_| ());
        assert_eq!(nowhere.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));

        let mut forgetful = config(2);
        forgetful.durability = Durability::Records;
        let nothing = Builder::new(forgetful).spawn().await.map(|_| ());
        assert_eq!(nothing.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    });
}
