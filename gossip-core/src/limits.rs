//! How much of everything is kept, in counts, and what that amounts to in bytes.

use crate::anti_entropy::AntiEntropy;
use crate::broadcast::Broadcast;
use crate::config::within;
use crate::error::ConfigError;
use crate::failure_detector::FailureDetector;
use crate::members::Members;
use crate::membership::{Membership, Sampler, VIEW_MIN};
use crate::mtu::Mtus;
use crate::peer::Peers;
use crate::register::Register;
use crate::storage::Bits;
use crate::store::{Messages, Origins, WINDOW_MAX};

/// The most links that a node can have.
pub(crate) const LINKS_MAX: u16 = 1_024;

/// The most links of which a set fits into one word.
pub(crate) const LINK_SET_MAX: u16 = 64;

/// The largest message, in bytes of payload.
const MESSAGE_MAX: u32 = 1 << 20;

/// The capacity of every table, allocated once in [`Gossip::new`](crate::Gossip::new).
///
/// [`Limits::bytes`] is the promise: the heap owned by one node never exceeds it, whatever is received (for a restored node,
/// see there).
///
/// The presets (our choice: `lan` and `wan` for a thousand members, `local` for what runs on one machine, `embedded` for
/// what fits beside a program in 64 KiB), with the promise for pointers of 64 bits:
///
/// | | `lan` | `wan` | `embedded` | `local` |
/// |---|---|---|---|---|
/// | `links` | 14 | 14 | 6 | 14 |
/// | `peers` | 1024 | 1024 | 32 | 256 |
/// | `contacts` | 8 | 8 | 2 | 8 |
/// | `view` | 60 | 60 | 20 | 60 |
/// | `messages` | 4096 | 8192 | 24 | 1024 |
/// | `payload_bytes`, KiB | 2048 | 8192 | 8 | 1024 |
/// | `message_bytes`, KiB | 64 | 64 | 4 | 64 |
/// | `origins` | 1024 | 1024 | 24 | 512 |
/// | `window` | 256 | 256 | 64 | 256 |
/// | `registers` | 4096 | 4096 | 52 | 1024 |
/// | `register_bytes`, KiB | 1024 | 1024 | 4 | 256 |
/// | `bytes()`, KiB, rounded up | 5165 | 12268 | 64 | 1973 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Links, 1 to 64; up to 1,024 with [`Repair::Off`](crate::Repair::Off) and without a tree, for experiments in which
    /// everybody is linked with everybody. Spreading, probing and repair run over links. With full membership a node asks for
    /// `links × 3/4` (10 of 14 in `lan`) and leaves the rest for those who ask it.
    pub links: u16,
    /// Known members, 1 to 65,535, this node included, and those who died or left as long as anybody lists them: nodes do not
    /// agree yet on whom to forget. A node without a place here is refused and counted (`refused_register` or `refused_full` in
    /// [`Stats`](crate::Stats)).
    pub peers: u32,
    /// Contacts given by [`Gossip::join`](crate::Gossip::join), 1 to 64.
    pub contacts: u16,
    /// Entries of the view with sampled membership, 4 to 1,000. At most half of them are from one network prefix (/16 of IPv4, /32
    /// of IPv6), as long as nodes elsewhere are heard of; private addresses are not counted.
    pub view: u16,
    /// Stored messages, 1 to 1,000,000.
    pub messages: u32,
    /// Bytes of stored payloads (and paths), at least one datagram, below 2³².
    pub payload_bytes: u32,
    /// The largest message, in bytes of payload, 1 to 1,048,576. What does not fit into one datagram goes in chunks. Nodes take
    /// messages of others that are larger, as far as [`Limits::reassembly_bytes`] allows.
    pub message_bytes: u32,
    /// Origins, counted per incarnation, 1 to 65,535.
    pub origins: u32,
    /// How far ahead of the first missing message of an origin others are accepted, 16 to 1,024, a multiple of 8. Each chunk of
    /// a larger message counts: a message of 1 MiB has 970 in datagrams of 1,200 bytes.
    pub window: u16,
    /// Registers of all nodes together, removed ones counted until the horizon; at least `peers`, as each member's
    /// address is one, at most 1,000,000.
    pub registers: u32,
    /// Bytes of keys and values of all registers, at least 64 per member, below 2³².
    pub register_bytes: u32,
}

impl Limits {
    pub(crate) const fn lan() -> Self {
        Self {
            links: 14,
            peers: 1_024,
            contacts: 8,
            view: 60,
            messages: 4_096,
            payload_bytes: 2 << 20,
            message_bytes: 64 << 10,
            origins: 1_024,
            window: 256,
            registers: 4_096,
            register_bytes: 1 << 20,
        }
    }

    pub(crate) const fn wan() -> Self {
        Self { messages: 8_192, payload_bytes: 8 << 20, ..Self::lan() }
    }

    pub(crate) const fn embedded() -> Self {
        Self {
            links: 6,
            peers: 32,
            contacts: 2,
            view: 20,
            messages: 24,
            payload_bytes: 8 << 10,
            message_bytes: 4 << 10,
            origins: 24,
            window: 64,
            registers: 52,
            register_bytes: 4 << 10,
        }
    }

    pub(crate) const fn local() -> Self {
        Self {
            links: 14,
            peers: 256,
            contacts: 8,
            view: 60,
            messages: 1_024,
            payload_bytes: 1 << 20,
            message_bytes: 64 << 10,
            origins: 512,
            window: 256,
            registers: 1_024,
            register_bytes: 256 << 10,
        }
    }

    /// The most bytes of heap that a node with these limits ever owns, for its tables and for all payloads it may hold.
    ///
    /// Each payload and register counts with the 32 bytes that its reference count takes. Not in it: what the allocator
    /// adds for itself; payloads that the application keeps after they left the store; and, in a node restored from more
    /// messages than these limits have places for, 32 bytes for each of the rest, until its removal was handed out by
    /// [`Gossip::poll_persist`](crate::Gossip::poll_persist).
    pub fn bytes(&self) -> usize {
        const REFERENCE_COUNT: usize = 32;
        const CLUSTER_NAME: usize = 64;
        let (links, contacts) = (usize::from(self.links), usize::from(self.contacts));
        let (peers, origins) = (self.peers as usize, self.origins as usize);
        let (messages, registers) = (self.message_slots(), self.registers as usize);
        [
            Peers::heap_bytes(links),
            Mtus::heap_bytes(links + contacts),
            Members::heap_bytes(peers),
            Origins::heap_bytes(origins),
            Messages::heap_bytes(messages),
            3 * Bits::heap_bytes(origins) + Bits::heap_bytes(messages),
            Membership::heap_bytes(links, contacts),
            Sampler::heap_bytes(self.view.into()),
            FailureDetector::heap_bytes(links),
            AntiEntropy::heap_bytes(links, messages, origins),
            Broadcast::heap_bytes(links, messages, origins),
            Register::heap_bytes(links, peers, registers),
            self.payload_bytes as usize + messages.saturating_mul(REFERENCE_COUNT),
            self.register_bytes as usize + registers.saturating_mul(REFERENCE_COUNT),
            CLUSTER_NAME,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Bytes of stored payloads that may be set aside for messages of which chunks are missing: half of
    /// [`Limits::payload_bytes`], our choice. So neither they nor the others can take all of the store. Where it does not
    /// suffice, the origin that has most set aside gives way to one that has less.
    pub const fn reassembly_bytes(&self) -> usize {
        self.payload_bytes as usize / 2
    }

    /// Places for messages: those that are kept, and an eighth for those that wait until their removal is recorded.
    pub(crate) const fn message_slots(&self) -> usize {
        let messages = self.messages as usize;
        messages + messages / 8 + 4
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("limits.links", self.links.into(), 1, LINKS_MAX.into())?;
        within("limits.peers", self.peers.into(), 1, 65_535)?;
        within("limits.contacts", self.contacts.into(), 1, 64)?;
        within("limits.view", self.view.into(), VIEW_MIN.into(), 1_000)?;
        within("limits.messages", self.messages.into(), 1, 1_000_000)?;
        within("limits.message_bytes", self.message_bytes.into(), 1, MESSAGE_MAX.into())?;
        within("limits.origins", self.origins.into(), 1, 65_535)?;
        within("limits.window", self.window.into(), 16, WINDOW_MAX)?;
        if !self.window.is_multiple_of(8) {
            return Err(ConfigError::NoMultiple { field: "limits.window", value: self.window.into(), of: 8 });
        }
        within("limits.registers", self.registers.into(), self.peers.into(), 1_000_000)?;
        within("limits.register_bytes", self.register_bytes.into(), u64::from(self.peers) * 64, u32::MAX.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    /// The figures of the presets on this page are what the presets say.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_documented_figures_are_true() {
        let kib = |bytes: usize| bytes.div_ceil(1 << 10);
        let columns = [Limits::lan(), Limits::wan(), Limits::embedded(), Limits::local()].map(|limits| {
            [
                limits.links.into(),
                limits.peers as usize,
                limits.contacts.into(),
                limits.view.into(),
                limits.messages as usize,
                kib(limits.payload_bytes as usize),
                kib(limits.message_bytes as usize),
                limits.origins as usize,
                limits.window.into(),
                limits.registers as usize,
                kib(limits.register_bytes as usize),
                kib(limits.bytes()),
            ]
        });
        let documented = crate::config::documented_rows(include_str!("limits.rs"));
        let documented: std::vec::Vec<_> = documented.collect();
        assert_eq!(documented.len(), columns[0].len());
        for (row, figures) in documented.into_iter().enumerate() {
            let actual: String = columns.iter().map(|column| std::format!(" {} |", column[row])).collect();
            assert_eq!(figures, actual.trim_start(), "row {row}");
        }
    }

    #[test]
    fn every_bound_is_named() {
        let too_small = Limits { links: 0, ..Limits::lan() };
        let odd = Limits { window: 20, ..Limits::lan() };
        let crowded = Limits { register_bytes: 1_023 * 64, ..Limits::lan() };
        assert_eq!(odd.check(), Err(ConfigError::NoMultiple { field: "limits.window", value: 20, of: 8 }));
        for (limits, field, min) in [(too_small, "limits.links", 1), (crowded, "limits.register_bytes", 1_024 * 64)] {
            let error = limits.check().expect_err("out of bounds");
            assert!(
                matches!(error, ConfigError::TooSmall { field: named, min: bound, .. } if (named, bound) == (field, min)),
                "{error}"
            );
        }
    }
}
