//! Messages and registers reach everybody.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use gossip_core::{Event, NodeId, Order, Scope};

use super::{deliveries, event, ids, linked, start, until, within};
use crate::adapter::run;

#[test]
fn two_nodes_exchange_messages() {
    run(async {
        let (a, mut from_a) = start(1, &[]).await;
        let (b, mut from_b) = start(2, &[a.local_addr()]).await;
        let one = a.submit(Order::Fifo, "one").await.expect("there is room");
        let two = b.submit(Order::Unordered, "two").await.expect("there is room");
        assert_eq!((one.origin, two.origin), (NodeId(1), NodeId(2)));
        for events in [&mut from_a, &mut from_b] {
            let mut delivered = deliveries(events, 2).await;
            delivered.sort_by_key(|message| message.id);
            assert_eq!(delivered.iter().map(|message| message.id).collect::<Vec<_>>(), [one, two]);
            assert_eq!(delivered.iter().map(|message| &message.payload[..]).collect::<Vec<_>>(), [b"one", b"two"]);
        }
    });
}

#[test]
fn eight_nodes_exchange_messages_in_order() {
    run(async {
        let mut nodes = vec![start(0, &[]).await];
        let contact = nodes[0].0.local_addr();
        for id in 1..8 {
            nodes.push(start(id, &[contact]).await);
        }
        for round in 0..5_u8 {
            for (node, _) in &nodes {
                node.submit(Order::Fifo, vec![round]).await.expect("there is room");
            }
        }
        for (_, events) in &mut nodes {
            let delivered = deliveries(events, 40).await;
            assert_eq!(ids(&delivered).len(), 40);
            let mut rounds = BTreeMap::<_, Vec<u8>>::new();
            for message in delivered {
                rounds.entry(message.id.origin).or_default().extend(&message.payload);
            }
            assert_eq!(rounds.len(), 8);
            assert!(rounds.values().all(|rounds| rounds == &[0, 1, 2, 3, 4]), "{rounds:?}");
        }
    });
}

#[test]
fn registers_spread_and_go() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let (b, mut from_b) = start(2, &[a.local_addr()]).await;
        let set = a.set(Scope::Own, "web", "127.0.0.1:80").await.expect("there is room");
        let of_web = |event| match event {
            Event::Register { node: NodeId(1), key, version, value, .. } if key.as_str() == "web" => {
                Some((version, value))
            }
            _ => None,
        };
        assert_eq!(event(&mut from_b, "the value", of_web).await, (set, Some(Bytes::from("127.0.0.1:80"))));
        until(&b, "the view", |gossip| gossip.register(NodeId(1), "web").is_some()).await;
        let removed = a.remove(Scope::Own, "web").await.expect("it was there");
        assert!(removed > set);
        assert_eq!(event(&mut from_b, "the removal", of_web).await, (removed, None));
    });
}

#[test]
fn a_contact_can_be_given_later_and_forgotten() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let (b, _from_b) = start(2, &[]).await;
        let contact = a.local_addr();
        b.join(contact).await.expect("there is room");
        linked(&b, &[1]).await;
        linked(&a, &[2]).await;
        b.forget(contact).await.expect("the node lives");
        until(&b, "no contact", |gossip| gossip.contacts().count() == 0).await;
    });
}

#[test]
fn events_are_a_stream() {
    run(async {
        let (a, mut events) = start(1, &[]).await;
        let id = a.submit(Order::Fifo, "one").await.expect("there is room");
        let next = within("the stream", poll_fn(|context| Pin::new(&mut events).poll_next(context))).await;
        assert!(matches!(next, Some(Event::Deliver(message)) if message.id == id));
        assert_eq!(events.try_recv(), None);
        a.shutdown().await;
        while within("the end", poll_fn(|context| Pin::new(&mut events).poll_next(context))).await.is_some() {}
    });
}
