//! Short names for what every scenario needs.

use core::net::SocketAddr;
use core::time::Duration;

use gossip_core::{Config, Gossip, NodeId};

pub(crate) fn address(index: usize) -> SocketAddr {
    ([10, 0, (index / 200) as u8, (index % 200) as u8 + 1], 7_000).into()
}

pub(crate) fn id(index: usize) -> NodeId {
    NodeId(index as u64 + 1)
}

/// The configuration that [`Cluster::new`] starts from.
pub(crate) fn local(index: usize) -> Config {
    let mut config = Config::local(id(index));
    config.started_at = 1;
    config
}

pub(crate) fn seed(index: usize, life: u8) -> [u8; 32] {
    let mut seed = [life; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The start time in a node's incarnation.
pub(crate) fn start(node: &Gossip) -> u64 {
    node.incarnation().0 >> 20
}
