//! Datagrams that get past the header: the right cluster, a fresh number, a tag that fits.
//!
//! In plain mode whoever knows the cluster's name can do this; with a key, an insider can. A fuzzer that had to guess the
//! tag would never see what lies behind it.

use gossip_core::auth::{Auth, Envelope};
use gossip_core::wire::{HEADER_LEN, Header};
use gossip_core::{Config, Incarnation, NodeId};

/// Somebody who knows how a cluster's datagrams are made.
#[derive(Debug)]
pub struct Forger {
    auth: Auth,
}

impl Forger {
    /// For the cluster that `config` belongs to.
    pub fn new(config: &Config) -> Self {
        Self { auth: Auth::new(&config.security, &config.cluster) }
    }

    /// A datagram with these frames, in the name of `sender`, for `to` or for anybody.
    pub fn datagram(
        &self,
        sender: NodeId,
        incarnation: Incarnation,
        number: u64,
        to: Option<NodeId>,
        frames: &[u8],
    ) -> Vec<u8> {
        let mut datagram = vec![0; HEADER_LEN];
        datagram.extend_from_slice(frames);
        let envelope = Envelope { sender, incarnation, number: number.max(1), to };
        self.auth.seal(&self.auth.subkey(sender, incarnation), &envelope, &mut datagram);
        datagram
    }

    /// The header and the frames of a datagram that `me` would find genuine.
    pub fn open(&self, me: NodeId, datagram: &[u8]) -> Option<(Header, Vec<u8>)> {
        let header = Header::parse(datagram).ok()?;
        let subkey = self.auth.subkey(header.sender, header.incarnation);
        let mut copy = datagram.to_vec();
        let opened = self.auth.open(&subkey, me, &header, &mut copy).ok()?;
        Some((header, opened.body().to_vec()))
    }
}
