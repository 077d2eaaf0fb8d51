//! What a test asks a cluster.

use gossip_core::{Delivery, Event, Gossip, MessageId, NodeId, Order, PeerState};

use super::Cluster;

impl Cluster {
    /// All that the cluster has done, as text.
    pub(crate) fn trace(&self) -> String {
        let stats: Vec<_> = self.nodes.iter().map(Gossip::stats).collect();
        format!("{:?}\n{:?}\n{stats:?}", self.log, self.events)
    }

    pub(crate) fn submit(&mut self, index: usize, order: Order, text: &str) -> MessageId {
        self.nodes[index].submit(self.now, order, text.as_bytes()).expect("the test leaves room for the message")
    }

    pub(crate) fn deliveries(&self, index: usize) -> impl Iterator<Item = &Delivery> {
        self.events[index]
            .iter()
            .filter_map(|event| if let Event::Deliver(delivery) = event { Some(delivery) } else { None })
    }

    pub(crate) fn texts(&self, index: usize) -> Vec<String> {
        self.deliveries(index).map(|delivery| String::from_utf8_lossy(&delivery.payload).into_owned()).collect()
    }

    /// Which numbers of an origin a node was told as lost.
    pub(crate) fn gaps(&self, index: usize, origin: NodeId) -> Vec<u64> {
        let gaps = self.events[index].iter().filter_map(|event| match *event {
            Event::Gap { origin: of, first, last, .. } if of == origin => Some(first..=last),
            _ => None,
        });
        gaps.flatten().collect()
    }

    /// Which numbers of an origin a node was handed.
    pub(crate) fn delivered(&self, index: usize, origin: NodeId) -> Vec<u64> {
        self.deliveries(index).filter(|delivery| delivery.id.origin == origin).map(|delivery| delivery.id.seq).collect()
    }

    /// The nodes that a node is linked with.
    pub(crate) fn links(&self, index: usize) -> Vec<NodeId> {
        self.nodes[index].peers().filter(|peer| peer.state == PeerState::Linked).map(|peer| peer.node).collect()
    }

    pub(crate) fn count(&self, index: usize, fits: impl Fn(&Event) -> bool) -> usize {
        self.events[index].iter().filter(|event| fits(event)).count()
    }
}
