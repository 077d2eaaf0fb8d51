//! How a life begins: with memory or without, under a name that no earlier life had.
//!
//! A node's name is its id and its incarnation, and the incarnation has to grow from life to life. Mostly the clock sees to
//! that, or a record does. Where neither did, the first neighbor that remembers a higher one says so, and the life goes
//! on under a new name.

use alloc::vec::Vec;

use super::Gossip;
use crate::anti_entropy::AntiEntropy;
use crate::auth::Auth;
use crate::broadcast::Broadcast;
use crate::config::{Config, Durability};
use crate::error::{ConfigError, RestoreError};
use crate::failure_detector::FailureDetector;
use crate::ids::Incarnation;
use crate::leave::Phase;
use crate::members::Members;
use crate::membership::{Membership, Sampler};
use crate::mtu::Mtus;
use crate::pacer::Pacer;
use crate::peer::Peers;
use crate::persist::{Gate, StoredRecord};
use crate::protocol::Me;
use crate::record::Clock;
use crate::register::Register;
use crate::rng::Rng;
use crate::route::Protocols;
use crate::stats::Stats;
use crate::storage::Bits;
use crate::store::{Messages, Origins};
use crate::time::Instant;
use crate::view::PeerState;

/// Streams of random numbers, one for each user, so that one more draw here shifts nothing there.
mod label {
    pub(super) const INCARNATION: u32 = 0;
    pub(super) const TABLES: u32 = 1;
    pub(super) const MEMBERSHIP: u32 = 2;
    pub(super) const DETECTOR: u32 = 3;
    pub(super) const BROADCAST: u32 = 4;
    pub(super) const REGISTERS: u32 = 5;
    pub(super) const SAMPLING: u32 = 6;
}

impl Gossip {
    /// Makes a node that remembers nothing of an earlier life.
    ///
    /// `seed` must be unpredictable and different for every life of every node (adapters take it from the system);
    /// with the same configuration, seed, inputs and polls a node does the same again, bit for bit. All memory but
    /// payloads is allocated here.
    ///
    /// # Errors
    ///
    /// The field of the configuration that is out of its bounds, and the bound.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self::build(config, seed, now, 0))
    }

    /// Makes a node that remembers what `records` say: what an earlier life of it handed out by
    /// [`Gossip::poll_persist`], as far as it got durable, in any order.
    ///
    /// The last gap of each origin on record is told again. Messages for which [`Limits`](crate::Limits) have no place
    /// any more are dropped, the oldest first, and their removals come out of [`Gossip::poll_persist`]; until then each takes
    /// 32 bytes beyond [`Limits::bytes`](crate::Limits::bytes).
    ///
    /// # Errors
    ///
    /// [`RestoreError::Config`] for a wrong configuration; [`RestoreError::Malformed`] where a record does not parse;
    /// [`RestoreError::Version`] where the records are of another version of the stored format; [`RestoreError::OtherNode`]
    /// where they are another node's; [`RestoreError::TooMany`] where the limits have no place for an origin or register on
    /// record, or none for a message even when all that may be given up is dropped. No node was made then.
    #[allow(single_use_lifetimes, reason = "an anonymous lifetime is not allowed here")]
    pub fn restore<'a>(
        config: Config,
        seed: [u8; 32],
        now: Instant,
        records: impl IntoIterator<Item = StoredRecord<'a>>,
    ) -> Result<Self, RestoreError> {
        config.check()?;
        let records: Vec<_> = records.into_iter().collect();
        let last = crate::restore::last_incarnation(&records, config.id)?;
        let after = last.map_or(0, |incarnation| (incarnation.start() + 1).min(Incarnation::START_MAX));
        let mut gossip = Self::build(config, seed, now, after);
        gossip.restore_records(records)?;
        Ok(gossip)
    }

    /// A node whose incarnation starts at `start` at the earliest.
    fn build(config: Config, seed: [u8; 32], told: Instant, start: u64) -> Self {
        let now = told.inward();
        let limits = &config.limits;
        let mut rng = Rng::new(&seed, label::INCARNATION);
        let incarnation = Incarnation::new(config.started_at.max(start), rng.u32());
        let me = Me { node: config.id, incarnation };
        let mut tables = Rng::new(&seed, label::TABLES);
        let auth = Auth::new(&config.security, &config.cluster);
        let root_key = auth.root_key();
        let mut members = Members::new(limits.peers as usize, root_key, &mut tables);
        members.find_or_insert(now, me.node, me.incarnation).expect("the first of at least one row");
        let mut origins = Origins::new(limits.origins as usize, limits.window, root_key, &mut tables);
        let own_row = origins.insert(now, me.node, me.incarnation).expect("the first of at least one row");
        let links = limits.links.into();
        let sampler = Sampler::new(&config, now, Rng::new(&seed, label::SAMPLING));
        let view = sampler.first_view(&config, now);
        let registers = Register::new(&config, now, Rng::new(&seed, label::REGISTERS), &mut tables);
        let protocols = sub_protocols(&config, &seed, now, root_key, sampler, registers);
        let mut gossip = Self {
            subkey: auth.subkey(me.node, me.incarnation),
            auth,
            me,
            now,
            told,
            clock: Clock::new(&config, now),
            gate: Gate::new(config.durability == Durability::Records),
            peers: Peers::new(links),
            pacer: Pacer::new(config.budget, config.mtu, now),
            mtus: Mtus::new(config.mtu, links + usize::from(limits.contacts)),
            members,
            view,
            origins,
            messages: Messages::new(limits, &mut tables),
            stats: Stats::default(),
            protocols,
            own_row,
            last_fifo: 0,
            raised: false,
            phase: Phase::Active,
            sweep_at: now + config.timing.horizon / 8,
            untold_gaps: Bits::new(limits.origins as usize),
            unrecorded_origins: Bits::new(limits.origins as usize),
            unrecorded_losses: Bits::new(limits.origins as usize),
            purged: Vec::new(),
            unrecorded_acknowledgements: Bits::new(limits.message_slots()),
            config,
        };
        gossip.publish_address();
        gossip
    }

    /// Tells everybody where this node is, if that is news: as the root of a tree in its waves, as a member in a register. No
    /// register with sampled membership, where nobody knows all.
    pub(crate) fn publish_address(&mut self) {
        let leaving = !self.phase.is_active();
        let sampled = matches!(self.config.membership, crate::config::Membership::Sampled { .. });
        let address = self.protocols.membership.address();
        let (mut cx, protocols) = self.split();
        protocols.broadcast.set_address(address);
        if sampled {
            return;
        }
        protocols.registers.publish_member(&mut cx, address, leaving);
    }

    /// An earlier life of this node had a higher incarnation than this one: its clock went back. Takes a higher one,
    /// once; if that does not help, another live node has this id. Messages that were submitted before keep their ids,
    /// as messages of one more life; registers get new versions.
    pub(crate) fn raise_incarnation(&mut self, above: Incarnation) {
        if self.raised || above < self.me.incarnation || above.start() >= Incarnation::START_MAX {
            return;
        }
        let incarnation = Incarnation::new(above.start() + 1, self.me.incarnation.chance());
        let silent = self.origins.get(self.own_row).is_some_and(|origin| origin.known == 0);
        if !silent && self.origins.is_full() {
            return;
        }
        if silent {
            self.forget_origin(self.own_row);
        }
        let Some(row) = self.origins.insert(self.now, self.me.node, incarnation) else { return };
        for peer in 0..self.peers.capacity() {
            if let Some(peer) = self.peers.at(peer) {
                self.unlink(peer, PeerState::Known, None);
            }
        }
        self.raised = true;
        self.own_row = row;
        self.last_fifo = 0;
        self.me.incarnation = incarnation;
        self.subkey = self.auth.subkey(self.me.node, incarnation);
        self.gate.void_incarnation();
        let (mut cx, protocols) = self.split();
        protocols.registers.renew(&mut cx);
        self.publish_address();
    }
}

/// All sub-protocols, each with its own stream of random numbers. (`registers` come made: they share the stream of the tables.)
fn sub_protocols(
    config: &Config,
    seed: &[u8; 32],
    now: Instant,
    id_key: u64,
    sampler: Sampler,
    registers: Register,
) -> Protocols {
    let stream = |label| Rng::new(seed, label);
    Protocols {
        membership: Membership::new(config, now, stream(label::MEMBERSHIP)),
        sampler,
        detector: FailureDetector::new(config, stream(label::DETECTOR)),
        repair: AntiEntropy::new(config),
        broadcast: Broadcast::new(config, id_key, now, stream(label::BROADCAST)),
        registers,
    }
}
