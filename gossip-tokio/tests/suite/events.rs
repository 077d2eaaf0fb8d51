//! An application that is slow, or gone, is its own trouble alone.

use std::collections::BTreeSet;

use gossip_core::{Event, NodeId, Order};

use super::{builder, config, deliveries, event, linked, start, start_with, until};
use crate::adapter::{Builder, run};

/// Messages of one origin: more than a channel of one and a store of 64 hold.
const MESSAGES: u64 = 300;

#[test]
fn a_slow_application_delays_nobody_and_is_told_what_it_missed() {
    run(async {
        let (a, mut from_a) = start(1, &[]).await;
        let mut small = config(2);
        small.limits.messages = 64;
        let (slow, mut late) = start_with(Builder::new(small).event_capacity(1), &[a.local_addr()]).await;
        let (c, mut from_c) = start(3, &[a.local_addr()]).await;
        linked(&a, &[2, 3]).await;
        for number in 0..MESSAGES {
            a.submit(Order::Fifo, number.to_le_bytes().to_vec()).await.expect("there is room in time");
        }
        // Nobody has read anything of the slow one, and the others have it all.
        assert_eq!(deliveries(&mut from_c, MESSAGES as usize).await.len(), MESSAGES as usize);
        assert_eq!(deliveries(&mut from_a, MESSAGES as usize).await.len(), MESSAGES as usize);
        drop(c);
        slow.read(|gossip| gossip.id()).await.expect("the slow node answers");
        // Now it reads: each message is there, or said to be lost.
        let mut told = BTreeSet::new();
        let mut gapped = 0;
        while told.len() < MESSAGES as usize {
            let seqs = event(&mut late, "a delivery or a gap", |event| match event {
                Event::Deliver(message) => Some((message.id.seq, message.id.seq)),
                Event::Gap { origin: NodeId(1), first, last, .. } => Some((first, last)),
                _ => None,
            });
            let (first, last) = seqs.await;
            gapped += last - first;
            for seq in first..=last {
                assert!(told.insert(seq), "message {seq} was told twice");
            }
        }
        assert!(gapped > 0, "64 of {MESSAGES} were kept, so some were lost");
        assert_eq!(told, (1..=MESSAGES).collect());
    });
}

#[test]
fn a_node_whose_events_are_dropped_goes_on() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let mut small = config(2);
        small.limits.messages = 64;
        let (b, dropped) = start_with(Builder::new(small).event_capacity(1), &[a.local_addr()]).await;
        drop(dropped);
        linked(&a, &[2]).await;
        for number in 0..MESSAGES {
            a.submit(Order::Fifo, number.to_le_bytes().to_vec()).await.expect("there is room in time");
        }
        until(&b, "all messages", |gossip| gossip.stats().delivered == MESSAGES).await;
        let stats = b.read(gossip_core::Gossip::stats).await.expect("the node lives");
        assert_eq!(stats.gapped, 0, "what nobody listens to is discarded, not lost");
        b.submit(Order::Fifo, "still here").await.expect("there is room");
        until(&a, "the answer", |gossip| gossip.messages().any(|message| message.payload == "still here")).await;
    });
}

#[test]
fn a_node_whose_handles_are_dropped_goes_on() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let (b, mut from_b) = start_with(builder(2), &[a.local_addr()]).await;
        linked(&a, &[2]).await;
        drop(b);
        let id = a.submit(Order::Fifo, "hello").await.expect("there is room");
        assert_eq!(deliveries(&mut from_b, 1).await[0].id, id);
    });
}
