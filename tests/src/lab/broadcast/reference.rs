//! The same messages once more, by a reference Plumtree over the same links.
//!
//! What it sends is only what the protocol needs: no failure detector, no membership and no repair of what it loses for good,
//! all of which favors it in bytes. A datagram has the head that ours have.

use gossip_core::{Incarnation, MessageId, NodeId};

use super::Options;
use super::scene::PATIENCE;
use crate::lab::spread::Spread;
use crate::lab::traffic::Class;
use crate::plumtree::{Cluster, Config, Id, Message, Watch};
use crate::sim::Weather;

/// A message: when it was submitted, in microseconds since the first one, and who did it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission {
    pub(super) at: u64,
    pub(super) sender: u32,
}

/// Measured as ours are; the messages of the script that warm up are not.
pub(super) fn play(
    options: &Options,
    config: Config,
    links: &[Vec<u32>],
    weather: Weather,
    script: &[Submission],
) -> Spread {
    let spread = Spread::new(options.nodes);
    let mut cluster = Cluster::new(options.common.seed, links, config, weather, options.payload, spread);
    for (number, &Submission { at, sender }) in (0..).zip(script) {
        cluster.run_until(at);
        cluster.watch.measuring = number >= options.warmup;
        if cluster.watch.measuring {
            cluster.watch.submitted(at, sender, message_id(number));
        }
        cluster.broadcast(sender, number);
    }
    let end = cluster.now() + PATIENCE;
    while cluster.now() < end && !cluster.is_quiet() && cluster.watch.missed() > 0 {
        cluster.run_until(cluster.now() + 10_000);
    }
    cluster.watch.measuring = false;
    cluster.run_until(end);
    cluster.watch
}

/// Messages only have to be told apart.
const fn message_id(number: Id) -> MessageId {
    MessageId { origin: NodeId(1), incarnation: Incarnation(1), seq: number as u64 }
}

impl Watch for Spread {
    fn delivered(&mut self, at: u64, node: u32, id: Id, round: u16) {
        self.delivered(at, node, message_id(id), u8::try_from(round).unwrap_or(u8::MAX));
    }

    fn sent(&mut self, node: u32, message: Message, bytes: usize) {
        let class = if let Message::Gossip(id, _) = message {
            self.copied(message_id(id));
            Class::Data
        } else {
            Class::Control
        };
        if self.measuring {
            self.traffic.add(node, class, bytes);
        }
    }
}
