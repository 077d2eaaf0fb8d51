//! What can be looked at without changing anything.

use core::net::SocketAddr;
use core::time::Duration;

use super::Gossip;
use crate::config::Config;
use crate::event::Path;
use crate::ids::{Incarnation, MessageId, NodeId};
use crate::stats::Stats;
use crate::view::{LinkView, MessageView, PeerView, RegisterView, TreeView, ViewEntry};
use crate::wire::{Chunk, Data, HEADER_LEN};

impl Gossip {
    /// This node.
    pub fn id(&self) -> NodeId {
        self.me.node
    }

    /// This life of it.
    pub fn incarnation(&self) -> Incarnation {
        self.me.incarnation
    }

    /// Where this node can be reached, as far as it was told: the advertised address, or the one that others see.
    pub fn address(&self) -> Option<SocketAddr> {
        self.protocols.membership.address()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The largest payload that [`Gossip::submit`] accepts, in bytes: [`Limits::message_bytes`](crate::Limits::message_bytes),
    /// or less where nodes with the same configuration could not put more together.
    pub fn payload_max(&self) -> usize {
        self.payload_limit().0
    }

    /// The largest payload that goes in one datagram, in bytes, with all heads, and with the longest path where paths are
    /// traced. Larger ones go in chunks.
    pub fn datagram_payload_max(&self) -> usize {
        usize::from(self.config.mtu) - HEADER_LEN - Data::OVERHEAD_MAX - self.path_max()
    }

    /// [`Self::payload_max`], and the field of the configuration that bounds it.
    pub(crate) fn payload_limit(&self) -> (usize, &'static str) {
        let limits = &self.config.limits;
        let chunk = self.datagram_payload_max() - Chunk::LEN_MAX;
        let together = limits.reassembly_bytes() / (chunk + self.path_max());
        let chunks = [
            (usize::from(limits.window), "limits.window"),
            (limits.messages as usize / 2, "limits.messages"),
            (together, "limits.payload_bytes"),
        ];
        let (most, limit) = chunks.into_iter().min_by_key(|&(most, _)| most).expect("three of them");
        let most = if most < 2 { self.datagram_payload_max() } else { most * chunk };
        [(limits.message_bytes as usize, "limits.message_bytes"), (most, limit)]
            .into_iter()
            .min_by_key(|&(most, _)| most)
            .expect("two of them")
    }

    /// Into pieces of how many bytes a payload is cut: equal ones, as long as they may be.
    pub(crate) fn chunk_size(&self, len: usize) -> usize {
        if len <= self.datagram_payload_max() {
            return len.max(1);
        }
        len.div_ceil(len.div_ceil(self.datagram_payload_max() - Chunk::LEN_MAX))
    }

    fn path_max(&self) -> usize {
        if self.config.trace_path { Path::MAX * 8 } else { 0 }
    }

    /// How many members the cluster has, as far as this node knows, itself included: exact once joining and leaving has
    /// been told to everybody, at most [`Limits::peers`](crate::Limits::peers). With sampled membership an estimate: at
    /// first 13 % off (one standard deviation), and about 5 % after some epochs of forty exchanges.
    pub fn size_estimate(&self) -> u32 {
        self.protocols.sampler.size(&self.view).unwrap_or(self.members.alive())
    }

    /// The contacts.
    pub fn contacts(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.protocols.membership.contacts()
    }

    /// The stored messages, in the order in which they were accepted (one in chunks: its first chunk); own ones that nobody
    /// else holds yet come last. Without those of which a chunk is missing. The payload of one in chunks is put together anew.
    pub fn messages(&self) -> impl Iterator<Item = MessageView> + '_ {
        self.messages.iter().filter_map(|(slot, _)| self.messages.view(slot))
    }

    /// One stored message, unless a chunk of it is missing.
    pub fn get(&self, id: MessageId) -> Option<MessageView> {
        self.messages.view(self.find(id)?)
    }

    /// Whether the record of a stored message is durable; always, without [`Durability::Records`](crate::Durability::Records).
    pub fn is_durable(&self, id: MessageId) -> bool {
        self.find(id).is_some_and(|slot| self.messages.are_records(slot, |record| self.gate.is_durable(record)))
    }

    /// Every other node whose address this one knows or knew, by id.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.members.from(NodeId(0)).filter(|(_, member)| member.node != self.me.node).filter_map(|(_, member)| {
            let link = self.peers.find(member.node);
            Some(PeerView {
                node: member.node,
                incarnation: member.incarnation,
                address: member.address?,
                state: member.state,
                round_trip: link.and_then(|peer| self.protocols.detector.round_trip(peer)),
                loss: link.map(|peer| self.protocols.detector.loss(peer) as u16),
            })
        })
    }

    /// The links of this node, in no particular order: its active view. Spreading, beats and repair run over them.
    pub fn neighbors(&self) -> impl Iterator<Item = LinkView> + '_ {
        self.peers.iter().map(|(_, link)| LinkView {
            node: link.node,
            incarnation: link.incarnation,
            address: link.address,
            near: link.near,
            suspected: link.suspected,
            silent: self.now.saturating_since(link.heard),
            round_trip: (link.round_trip > 0).then(|| Duration::from_micros(link.round_trip.into())),
        })
    }

    /// With sampled membership the nodes that this one knows by hearsay, at most [`Limits::view`](crate::Limits::view):
    /// a random part of all, from which links are drawn. Empty otherwise. In no particular order.
    pub fn current_view(&self) -> impl Iterator<Item = ViewEntry> + '_ {
        self.view.iter().map(|descriptor| ViewEntry {
            node: descriptor.node,
            address: descriptor.address,
            age: descriptor.born.age(self.view.clock(self.now)),
        })
    }

    /// This node's place in each tree, with [`Broadcast::Tree`](crate::Broadcast::Tree); none otherwise.
    pub fn trees(&self) -> impl Iterator<Item = TreeView> + '_ {
        self.protocols.broadcast.trees(&self.peers)
    }

    /// The registers whose key starts with `prefix`, of all nodes, by node; of one node the one
    /// changed longest ago first.
    pub fn registers<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = RegisterView> + 'a {
        self.protocols.registers.iter(&self.members, prefix)
    }

    /// One register.
    pub fn register(&self, node: NodeId, key: &str) -> Option<RegisterView> {
        self.protocols.registers.get(&self.members, node, key)
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
