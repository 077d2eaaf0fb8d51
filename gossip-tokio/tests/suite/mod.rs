//! What both adapters must do, on real sockets of the loopback interface.
//!
//! The same files are compiled against either crate: that is what "the same public shape" means. Nothing here is decided
//! by time, except that a test which waits in vain gives up after [`PATIENCE`].

mod calls;
mod ending;
mod events;
mod recording;
mod sockets;
mod spreading;
mod storing;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use gossip_core::{Config, Delivery, Event, Gossip, MessageId, NodeId, PeerState};

use crate::adapter::{Builder, Events, Node, sleep};

/// Far more than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(id: u64) -> Config {
    Config::local(NodeId(id))
}

async fn start(id: u64, contacts: &[SocketAddr]) -> (Node, Events) {
    start_with(builder(id), contacts).await
}

fn builder(id: u64) -> Builder {
    Builder::new(config(id))
}

async fn start_with(builder: Builder, contacts: &[SocketAddr]) -> (Node, Events) {
    let builder = contacts.iter().fold(builder, |builder, contact| builder.contact(*contact));
    builder.spawn().await.expect("the node starts")
}

/// Waits for what `look` sees in the node to be true.
async fn until(node: &Node, what: &str, look: impl Fn(&Gossip) -> bool + Send + Clone + 'static) {
    wait_for(what, async || node.read(look.clone()).await.expect("the node lives")).await;
}

async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the node has a link with each of `others`.
async fn linked(node: &Node, others: &[u64]) {
    let others: BTreeSet<_> = others.iter().copied().map(NodeId).collect();
    until(node, "links", move |gossip| {
        let links: BTreeSet<_> =
            gossip.peers().filter(|peer| peer.state == PeerState::Linked).map(|peer| peer.node).collect();
        links.is_superset(&others)
    })
    .await;
}

/// The first event that `pick` accepts; those before it are dropped.
async fn event<T>(events: &mut Events, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    within(what, async {
        loop {
            let event = events.recv().await.expect("the node lives");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
    .await
}

/// The next `count` messages.
async fn deliveries(events: &mut Events, count: usize) -> Vec<Delivery> {
    let message = |event| match event {
        Event::Deliver(message) => Some(message),
        _ => None,
    };
    let mut delivered = Vec::new();
    while delivered.len() < count {
        delivered.push(event(events, &format!("delivery {} of {count}", delivered.len()), message).await);
    }
    delivered
}

fn ids(delivered: &[Delivery]) -> BTreeSet<MessageId> {
    delivered.iter().map(|message| message.id).collect()
}

/// Gives up on `future` after [`PATIENCE`].
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut alarm = std::pin::pin!(sleep(PATIENCE));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        assert!(alarm.as_mut().poll(context).is_pending(), "waited in vain: {what}");
        Poll::Pending
    })
    .await
}

/// Polls once: what a call does before it first waits.
async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Holds the loop of `node` until what is returned is dropped.
async fn hold(node: &Node) -> std::sync::mpsc::Sender<()> {
    let (held, holds) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let read = node.read(move |_| {
        held.send(()).expect("the test waits for this");
        // Ends when the test drops the sender.
        let _ = released.recv();
    });
    // Asked once, the node looks, whether or not anybody waits for the answer.
    assert!(poll_once(std::pin::pin!(read)).await.is_pending());
    wait_for("the loop to be held", async || holds.try_recv().is_ok()).await;
    release
}
