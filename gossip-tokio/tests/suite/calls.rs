//! Many callers, impatient callers, and more calls than there is room for.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::Poll;

use gossip_core::{InputError, Order, SubmitError};

use super::{Builder, builder, config, deliveries, hold, ids, linked, poll_once, start, start_with, until, within};
use crate::adapter::{CallError, run, spawn};

#[test]
fn a_hundred_callers_are_all_answered() {
    run(async {
        let (a, _from_a) = start_with(builder(1).call_capacity(4), &[]).await;
        let (_b, mut from_b) = start(2, &[a.local_addr()]).await;
        let mut callers = Vec::new();
        for number in 0..100_u8 {
            let node = a.clone();
            callers.push(spawn(async move { node.submit(Order::Unordered, vec![number]).await }));
        }
        let mut submitted = BTreeSet::new();
        for caller in callers {
            let id = within("an answer", caller).await.expect("there is room in time");
            assert!(submitted.insert(id), "an id was given twice");
        }
        assert_eq!(submitted.iter().map(|id| id.seq).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
        assert_eq!(ids(&deliveries(&mut from_b, 100).await), submitted);
    });
}

#[test]
fn a_full_channel_is_told_to_who_does_not_wait() {
    run(async {
        let (a, _events) = start_with(builder(1).call_capacity(1), &[]).await;
        let held = hold(&a).await;
        let mut first = pin!(a.try_submit(Order::Fifo, "first"));
        assert_eq!(poll_once(first.as_mut()).await, Poll::Pending);
        assert_eq!(poll_once(pin!(a.try_submit(Order::Fifo, "second"))).await, Poll::Ready(Err(CallError::Full)));
        // Those who wait have a channel of their own, and wait for room in it.
        let mut third = pin!(a.submit(Order::Fifo, "third"));
        let mut fourth = pin!(a.submit(Order::Fifo, "fourth"));
        assert_eq!(poll_once(third.as_mut()).await, Poll::Pending);
        assert_eq!(poll_once(fourth.as_mut()).await, Poll::Pending);
        drop(held);
        let seqs = [within("first", first).await, within("third", third).await, within("fourth", fourth).await]
            .map(|id| id.expect("there is room").seq);
        assert_eq!(BTreeSet::from(seqs), BTreeSet::from([1, 2, 3]));
    });
}

#[test]
fn a_submit_waits_for_room() {
    run(async {
        let mut small = config(1);
        small.limits.messages = 8;
        let (a, _from_a) = start_with(Builder::new(small), &[]).await;
        // Nobody else has these, so none of them may be given up.
        for number in 0..8_u8 {
            a.submit(Order::Fifo, vec![number]).await.expect("the store has eight places");
        }
        let busy = Err(CallError::Refused(InputError::Submit(SubmitError::Busy)));
        assert_eq!(a.try_submit(Order::Fifo, "ninth").await, busy);
        let mut waiting = pin!(a.submit(Order::Fifo, "ninth"));
        assert_eq!(poll_once(waiting.as_mut()).await, Poll::Pending);
        // Other calls are not held up.
        assert_eq!(a.try_submit(Order::Fifo, "tenth").await, busy);
        assert_eq!(a.read(|gossip| gossip.stats().submitted).await, Ok(8));
        let (_b, mut from_b) = start(2, &[a.local_addr()]).await;
        assert_eq!(within("room", waiting).await.expect("somebody else has the first ones").seq, 9);
        let delivered = deliveries(&mut from_b, 9).await;
        assert_eq!(delivered[8].payload, "ninth");
    });
}

#[test]
fn a_dropped_submit_is_withdrawn() {
    run(async {
        let (a, mut events) = start(1, &[]).await;
        let held = hold(&a).await;
        {
            let mut withdrawn = pin!(a.submit(Order::Fifo, "withdrawn"));
            assert_eq!(poll_once(withdrawn.as_mut()).await, Poll::Pending);
        }
        drop(held);
        let id = a.submit(Order::Fifo, "kept").await.expect("there is room");
        assert_eq!(id.seq, 1);
        assert_eq!(deliveries(&mut events, 1).await[0].payload, "kept");
    });
}

#[test]
fn refusals_are_those_of_the_core() {
    run(async {
        let (a, _events) = start(1, &[]).await;
        let max = a.read(|gossip| gossip.payload_max()).await.expect("the node lives");
        let too_large = a.submit(Order::Fifo, vec![0; max + 1]).await;
        assert_eq!(
            too_large,
            Err(CallError::Refused(InputError::Submit(SubmitError::TooLarge { max, limit: "limits.message_bytes" })))
        );
        a.submit(Order::Fifo, vec![0; max]).await.expect("this is the longest that fits");
        let nowhere = a.join(([0, 0, 0, 0], 0).into()).await;
        assert!(matches!(nowhere, Err(CallError::Refused(InputError::Join(_)))), "{nowhere:?}");
    });
}

/// Acknowledging is a call like others; what it changes is the storage's matter.
#[test]
fn a_delivery_can_be_acknowledged() {
    run(async {
        let (a, _from_a) = start(1, &[]).await;
        let (b, mut from_b) = start(2, &[a.local_addr()]).await;
        linked(&a, &[2]).await;
        let id = a.submit(Order::Fifo, "hello").await.expect("there is room");
        let delivered = deliveries(&mut from_b, 1).await;
        b.acknowledge(delivered[0].id).await.expect("the node lives");
        until(&b, "the message", move |gossip| gossip.get(id).is_some_and(|message| message.delivered)).await;
    });
}
