//! What a node is told once, checked once, in [`Gossip::new`](crate::Gossip::new).
//!
//! Start from a preset ([`Config::lan`], [`Config::wan`], [`Config::embedded`], [`Config::local`]) and change fields.
//! Every number has a bound; an error names the field and the bound that it breaks.

mod budget;
mod mongering;
mod timing;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::auth::Security;
use crate::error::ConfigError;
use crate::ids::NodeId;
use crate::limits::{LINK_SET_MAX, LINKS_MAX, Limits};
use crate::membership::Sampling;
use crate::wire::HEADER_LEN;

pub use budget::Budget;
pub use mongering::{Feedback, Spread, Stop};
pub use timing::Timing;

/// The smallest datagram size that a node can be told to use, in bytes of UDP payload.
///
/// What IPv6 guarantees to carry whole (1,280 bytes) leaves 1,232; embedded radios have less. Below 256 bytes a header, one
/// message head and a useful payload do not fit together.
pub const MTU_MIN: u16 = 256;

/// The largest datagram size that a node can be told to use, in bytes of UDP payload: what fits in an IPv4 packet.
pub const MTU_MAX: u16 = 65_507;

/// The longest register key, in bytes: our choice, as long as a host name's label (RFC 1035 §2.3.4), and one byte of length.
pub const KEY_MAX: usize = 63;

/// The configuration of one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The name of the cluster, 1 to 64 bytes. Nodes with different names ignore each other; in
    /// [`Security::Plain`] the name also keys the check against corruption. It is no secret.
    pub cluster: String,
    /// How datagrams are protected. Default: [`Security::Plain`].
    pub security: Security,
    /// The address that others shall use. Default: none, the address that a peer observed at joining is used.
    pub advertise: Option<SocketAddr>,
    /// When this life of the node started, in milliseconds since any epoch that is the same for all its lives (the Unix
    /// epoch does), below 2⁴⁴. It becomes the upper part of the incarnation, so it must grow from life to life unless
    /// records are restored. Default 0, which is only right with records or for a node that never restarts.
    pub started_at: u64,
    /// The largest datagram sent, in bytes of UDP payload, [`MTU_MIN`] to [`MTU_MAX`]. Default 1,200: passes every
    /// path that carries IPv6, with room for tunnels (the same choice as QUIC, RFC 9000 §14).
    pub mtu: u16,
    /// Whom this node links with. Default [`Membership::Full`].
    pub membership: Membership,
    /// How new messages spread. Default: [`Broadcast::tree`].
    pub broadcast: Broadcast,
    /// Whether lost messages are found and fetched. Default [`Repair::On`].
    pub repair: Repair,
    /// What a restarted node does with stored messages. Default [`Redelivery::Never`].
    pub redelivery: Redelivery,
    /// Whether records are handed out and waited for. Default [`Durability::None`].
    pub durability: Durability,
    /// Whether messages submitted here record the nodes they pass (at most 16, 8 bytes each). Default false.
    pub trace_path: bool,
    /// Whether this node's own messages are delivered to it too. Default true.
    pub deliver_own: bool,
    /// The pace of everything periodic.
    pub timing: Timing,
    /// How much this node sends at most; none for as much as its socket takes. Default: 100 Mbit/s in `lan`, 10 Mbit/s in `wan`,
    /// 250 kbit/s in `embedded`, none in `local`.
    pub budget: Option<Budget>,
    /// How much of everything is kept.
    pub limits: Limits,
}

/// Whom a node links with. All spreading, probing and repair runs over links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Membership {
    /// Every node knows every member, and links with a random subset of them ([`Limits::links`]).
    Full,
    /// Every node knows some others, drawn by chance from all ([`Limits::view`]), and links with some of them. What a node
    /// keeps does not grow with the cluster.
    Sampled {
        /// How views are exchanged. [`Membership::sampled`] takes the safe choice.
        sampling: Sampling,
        /// The view that the node begins with, at most [`Limits::view`] nodes: may be empty where the node
        /// [joins](crate::Gossip::join), and may be what [`Gossip::current_view`](crate::Gossip::current_view) said in
        /// an earlier life.
        known: Vec<Neighbor>,
    },
    /// Links exactly with the configured neighbors. Each of them must name this node as well; one that does not is
    /// reported as [`Warning::NotNeighbor`](crate::Warning::NotNeighbor).
    ///
    /// Nothing is sent to anybody else unasked. A stranger's datagram gets at most one answer, no longer than itself: what
    /// proves its address, and then that it is no neighbor.
    Static {
        /// The neighbors, at most [`Limits::links`].
        neighbors: Vec<Neighbor>,
    },
}

impl Membership {
    /// [`Membership::Sampled`] with the safe default for the configured size of the view.
    pub const fn sampled(limits: &Limits) -> Self {
        Self::Sampled { sampling: Sampling::balanced(limits.view), known: Vec::new() }
    }
}

/// One configured neighbor, or a node known from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Its id.
    pub node: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// How a message travels when it is new. What this misses is found by repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Broadcast {
    /// Every node passes a new message to all its links but the one it came from, while the message has made fewer than
    /// `ttl` hops.
    Flood {
        /// The largest number of hops, 1 to 255.
        ttl: u8,
    },
    /// Every node passes a new message along a tree that all have agreed on beforehand, and what it misses is fetched at once
    /// by who misses it. All nodes of a cluster must say the same.
    Tree {
        /// Trees, 1 to 4; 1 with fewer than 8 [links](Limits::links). Each message, and each chunk of a larger one, goes over one
        /// of them, so that more of them share the load among more nodes; each costs its own waves. With four, a message of
        /// 1 MiB over lines of 10 Mbit/s is everywhere in about half of the time that it takes with one.
        trees: u8,
        /// In a cluster of so many nodes or more, the origin of a message sends it to the root of the tree as well, where that
        /// is two links away at least; 2 or more. It halves the way of a message, and costs two copies of each. The default,
        /// 200, makes that one in a hundred.
        inject_from: u32,
    },
    /// Every node passes a new message to `fanout` random links in each of `rounds` rounds, never back to where it came
    /// from in the first.
    Rumor {
        /// Links per round, 1 to 255.
        fanout: u8,
        /// How many rounds.
        rounds: Rounds,
    },
    /// Every node passes a new message on in rounds, [`Timing::round_period`] apart, until it has lost interest: rumor
    /// mongering in all the variants of Demers et al. 1987 §1.4. [`Broadcast::Rumor`] tells at once and then a fixed number of
    /// times; this can ask as well as tell, and can take the answer "I had heard that" into account. All nodes of a cluster
    /// should say the same.
    Mongering {
        /// Random links that each rumor is told to in a round, and links that are asked for rumors in a round; 1 to 64.
        fanout: u8,
        /// The largest number of hops, 1 to 255: who gets a message with so many does not pass it on.
        ttl: u8,
        /// Whether who knows tells, or who wants to know asks.
        spread: Spread,
        /// When a node loses interest in a rumor.
        stop: Stop,
        /// Whether it matters for that who had heard it already.
        feedback: Feedback,
    },
}

impl Broadcast {
    /// [`Broadcast::Tree`] with one tree, and messages injected at its root in clusters of 200 nodes or more.
    pub const fn tree() -> Self {
        Self::Tree { trees: 1, inject_from: 200 }
    }
}

/// How many rounds a rumor lasts at each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rounds {
    /// `⌈(ln n + 2) / fanout⌉` for an estimated size `n`: by the coupon argument of Demers et al. 1987 §1.3 a node is missed
    /// by all copies with a probability of about `e⁻² / n`.
    Auto,
    /// This many, 1 to 255.
    Fixed(u8),
}

/// Whether lost messages are found and fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Repair {
    /// Links compare what they have seen, and fetch what they lack.
    On,
    /// No repair: the delivery contract's "all or told" is given up. For experiments with bare rumors.
    Off,
}

/// What a restarted node does with stored messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Redelivery {
    /// At most once ever: what was stored counts as delivered.
    Never,
    /// At least once: what was not acknowledged by [`Gossip::acknowledge`](crate::Gossip::acknowledge) is delivered
    /// again after a restart. Needs [`Durability::Records`].
    UntilAcknowledged,
}

/// Whether the node keeps records for its next life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Durability {
    /// No records: everything counts as durable at once, and a restarted node starts empty.
    None,
    /// Records come out of [`Gossip::poll_persist`](crate::Gossip::poll_persist), and what depends on them waits for
    /// [`Gossip::handle_persisted`](crate::Gossip::handle_persisted).
    Records,
}

impl Config {
    /// Machines of one data center: round trips below some milliseconds.
    pub fn lan(id: NodeId) -> Self {
        Self {
            id,
            cluster: String::from("gossip"),
            security: Security::Plain,
            advertise: None,
            started_at: 0,
            mtu: 1_200,
            membership: Membership::Full,
            broadcast: Broadcast::tree(),
            repair: Repair::On,
            redelivery: Redelivery::Never,
            durability: Durability::None,
            trace_path: false,
            deliver_own: true,
            timing: Timing::lan(),
            budget: Some(Budget::LAN),
            limits: Limits::lan(),
        }
    }

    /// Sites around the world: round trips to some hundred milliseconds.
    pub fn wan(id: NodeId) -> Self {
        Self { timing: Timing::wan(), budget: Some(Budget::WAN), limits: Limits::wan(), ..Self::lan(id) }
    }

    /// Small devices: some tens of kilobytes, few peers, long periods.
    pub fn embedded(id: NodeId) -> Self {
        Self { timing: Timing::embedded(), budget: Some(Budget::EMBEDDED), limits: Limits::embedded(), ..Self::lan(id) }
    }

    /// Processes of one machine, as in tests and demonstrations: everything is quick.
    pub fn local(id: NodeId) -> Self {
        Self { timing: Timing::local(), budget: None, limits: Limits::local(), ..Self::lan(id) }
    }

    /// The same with few datagrams rather than speed: new messages wait for others at each hop, as long as register changes
    /// do ([`Timing::batch_delay`]).
    #[must_use]
    pub const fn frugal(mut self) -> Self {
        self.timing.data_delay = self.timing.batch_delay;
        self
    }

    /// The same with speed rather than few datagrams: nothing waits for company.
    #[must_use]
    pub const fn quick(mut self) -> Self {
        self.timing.data_delay = core::time::Duration::ZERO;
        self.timing.batch_delay = core::time::Duration::ZERO;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("cluster", self.cluster.len() as u64, 1, 64)?;
        within("mtu", self.mtu.into(), MTU_MIN.into(), MTU_MAX.into())?;
        if let Some(address) = self.advertise {
            sendable("advertise", address)?;
        }
        within("started_at", self.started_at, 0, crate::ids::Incarnation::START_MAX)?;
        self.check_broadcast()?;
        self.timing.check()?;
        self.budget.map_or(Ok(()), Budget::check)?;
        self.limits.check()?;
        self.check_links()?;
        match &self.membership {
            Membership::Full => {}
            Membership::Sampled { sampling, known } => {
                sampling.check(self.limits.view)?;
                within("membership.known", known.len() as u64, 0, self.limits.view.into())?;
            }
            Membership::Static { neighbors } => self.check_neighbors(neighbors)?,
        }
        if self.redelivery == Redelivery::UntilAcknowledged && self.durability == Durability::None {
            return Err(ConfigError::Needs { field: "redelivery", other: "durability" });
        }
        let payload_min = u64::from(self.mtu) - HEADER_LEN as u64;
        within("limits.payload_bytes", self.limits.payload_bytes.into(), payload_min, u32::MAX.into())
    }

    fn check_broadcast(&self) -> Result<(), ConfigError> {
        match self.broadcast {
            Broadcast::Flood { ttl } => within("broadcast.ttl", ttl.into(), 1, 255),
            Broadcast::Tree { trees, inject_from } => {
                within("broadcast.inject_from", inject_from.into(), 2, u32::MAX.into())?;
                within("broadcast.trees", trees.into(), 1, crate::broadcast::trees_max(self.limits.links).into())
            }
            Broadcast::Rumor { fanout, rounds } => {
                within("broadcast.fanout", fanout.into(), 1, 255)?;
                rounds.check("broadcast.rounds")
            }
            Broadcast::Mongering { fanout, ttl, stop, .. } => {
                within("broadcast.fanout", fanout.into(), 1, 64)?;
                within("broadcast.ttl", ttl.into(), 1, 255)?;
                stop.check()
            }
        }
    }

    /// Repair and trees keep sets of links in one word for each origin or message.
    fn check_links(&self) -> Result<(), ConfigError> {
        let sets = self.repair == Repair::On || matches!(self.broadcast, Broadcast::Tree { .. });
        let max = if sets { LINK_SET_MAX } else { LINKS_MAX };
        within("limits.links", self.limits.links.into(), 1, max.into())
    }

    fn check_neighbors(&self, neighbors: &[Neighbor]) -> Result<(), ConfigError> {
        within("membership.neighbors", neighbors.len() as u64, 0, self.limits.links.into())?;
        for (i, neighbor) in neighbors.iter().enumerate() {
            sendable("membership.neighbors", neighbor.address)?;
            let twice = neighbors[..i].iter().any(|other| other.node == neighbor.node);
            if twice || neighbor.node == self.id {
                return Err(ConfigError::Neighbor { node: neighbor.node });
            }
        }
        Ok(())
    }
}

impl Rounds {
    fn check(self, field: &'static str) -> Result<(), ConfigError> {
        match self {
            Self::Auto => Ok(()),
            Self::Fixed(rounds) => within(field, rounds.into(), 1, 255),
        }
    }
}

fn sendable(field: &'static str, address: SocketAddr) -> Result<(), ConfigError> {
    if crate::membership::is_usable(address) { Ok(()) } else { Err(ConfigError::Address { field, address }) }
}

/// `value` of `field` must lie in `min..=max`.
pub(crate) fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if value < min {
        Err(ConfigError::TooSmall { field, value, min })
    } else if value > max {
        Err(ConfigError::TooLarge { field, value, max })
    } else {
        Ok(())
    }
}

/// The figures of a table of presets in the documentation of a source file, row by row.
#[cfg(test)]
pub(crate) fn documented_rows(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.strip_prefix("/// | `")?.split_once(" | ")).map(|(_, figures)| figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rumor_cannot_be_is_named() {
        let stop = |rounds| Stop::Counter { rounds: Rounds::Fixed(rounds) };
        let coin = |one_in| Stop::Coin { one_in };
        let table = [
            ((1, 1, stop(1)), None),
            ((64, 255, coin(255)), None),
            ((1, 1, Stop::Counter { rounds: Rounds::Auto }), None),
            ((0, 1, stop(1)), Some("broadcast.fanout")),
            ((65, 1, stop(1)), Some("broadcast.fanout")),
            ((1, 0, stop(1)), Some("broadcast.ttl")),
            ((1, 1, stop(0)), Some("broadcast.stop.rounds")),
            ((1, 1, coin(0)), Some("broadcast.stop.one_in")),
        ];
        for ((fanout, ttl, stop), wrong) in table {
            let mut config = Config::local(NodeId(1));
            config.broadcast =
                Broadcast::Mongering { fanout, ttl, spread: Spread::Push, stop, feedback: Feedback::Blind };
            let named = config.check().err().map(|error| match error {
                ConfigError::TooSmall { field, .. } | ConfigError::TooLarge { field, .. } => field,
                other => panic!("{other}"),
            });
            assert_eq!(named, wrong, "{fanout} {ttl} {stop:?}");
        }
    }

    #[test]
    fn many_links_need_a_node_without_sets_of_links() {
        let mut config = Config::local(NodeId(1));
        config.limits.links = 1_000;
        config.broadcast = Broadcast::Flood { ttl: 1 };
        assert_eq!(config.check(), Err(ConfigError::TooLarge { field: "limits.links", value: 1_000, max: 64 }));
        (config.repair, config.broadcast) = (Repair::Off, Broadcast::Flood { ttl: 255 });
        assert_eq!(config.check(), Ok(()));
        config.broadcast = Broadcast::tree();
        assert_eq!(config.check(), Err(ConfigError::TooLarge { field: "limits.links", value: 1_000, max: 64 }));
    }

    #[test]
    fn trees_are_counted_and_injection_needs_others() {
        let refused = |trees, inject_from, links| {
            let mut config = Config::lan(NodeId(1));
            config.broadcast = Broadcast::Tree { trees, inject_from };
            config.limits.links = links;
            config.check().err()
        };
        assert_eq!((refused(4, 2, 8), refused(1, 200, 7)), (None, None));
        let too_many = |max| Some(ConfigError::TooLarge { field: "broadcast.trees", value: max + 1, max });
        assert_eq!((refused(5, 2, 8), refused(2, 2, 7)), (too_many(4), too_many(1)));
        assert_eq!(refused(1, 1, 8), Some(ConfigError::TooSmall { field: "broadcast.inject_from", value: 1, min: 2 }));
    }

    #[test]
    fn a_small_device_has_room_beside_a_program_in_64_kib() {
        assert!(Config::embedded(NodeId(1)).limits.bytes() <= 64 << 10);
    }

    #[test]
    fn presets_are_within_their_bounds() {
        for preset in [Config::lan, Config::wan, Config::embedded, Config::local] {
            assert_eq!(preset(NodeId(1)).check(), Ok(()));
        }
    }
}
