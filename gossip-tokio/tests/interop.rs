//! Nodes on tokio and nodes on smol make one cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_core::{Config, Event, MessageId, NodeId, Order};

/// Far more than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn four_and_four_nodes_agree() {
    let contact = gossip_tokio::Builder::new(Config::local(NodeId(0))).spawn().await.expect("the node starts");
    let address = contact.0.local_addr();
    let mut on_tokio = vec![contact];
    let mut on_smol = Vec::new();
    for id in 1..4 {
        let config = Config::local(NodeId(id));
        on_tokio.push(gossip_tokio::Builder::new(config).contact(address).spawn().await.expect("the node starts"));
    }
    for id in 4..8 {
        let config = Config::local(NodeId(id));
        on_smol.push(gossip_smol::Builder::new(config).contact(address).spawn().await.expect("the node starts"));
    }
    let mut submitted = BTreeSet::new();
    for (node, _) in &on_tokio {
        submitted.insert(node.submit(Order::Fifo, "tokio").await.expect("there is room"));
    }
    for (node, _) in &on_smol {
        submitted.insert(node.submit(Order::Fifo, "smol").await.expect("there is room"));
    }
    assert_eq!(submitted.len(), 8);
    for (_, events) in &mut on_tokio {
        assert_eq!(deliveries(async || events.recv().await).await, submitted);
    }
    for (_, events) in &mut on_smol {
        assert_eq!(deliveries(async || events.recv().await).await, submitted);
    }
}

/// The next eight messages.
async fn deliveries(mut next: impl AsyncFnMut() -> Option<Event>) -> BTreeSet<MessageId> {
    let mut delivered = BTreeSet::new();
    while delivered.len() < 8 {
        let event = tokio::time::timeout(PATIENCE, next()).await.expect("waited in vain for a delivery");
        if let Event::Deliver(message) = event.expect("the node lives") {
            assert!(delivered.insert(message.id), "{} came twice", message.id);
        }
    }
    delivered
}
