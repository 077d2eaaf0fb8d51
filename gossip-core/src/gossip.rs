//! The public verbs.

use core::net::SocketAddr;

use crate::config::Config;
use crate::error::{ConfigError, JoinError, RestoreError, SubmitError};
use crate::event::{Event, Order, Scope};
use crate::ids::{Incarnation, MessageId, NodeId, Version};
use crate::io::Transmit;
use crate::persist::{PersistSeq, Record, StoredRecord};
use crate::stats::Stats;
use crate::time::Instant;
use crate::view::{MessageView, PeerView, Reason, RegisterView};

/// One node of a gossip cluster, as a state machine without I/O.
#[derive(Clone, Debug)]
pub struct Gossip {
    config: Config,
}

#[allow(unused_variables, clippy::unused_self, missing_docs)]
impl Gossip {
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config })
    }

    pub fn restore<'a>(
        config: Config,
        seed: [u8; 32],
        now: Instant,
        records: impl IntoIterator<Item = StoredRecord<'a>>,
    ) -> Result<Self, RestoreError> {
        Ok(Self::new(config, seed, now)?)
    }

    /// A datagram came from `from`; it is opened in place. Never fails: what is wrong with it is counted in [`Stats`].
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {}

    /// Time has passed. Early or needless calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {}

    /// Accepts a message for everybody.
    pub fn submit(&mut self, now: Instant, order: Order, payload: &[u8]) -> Result<MessageId, SubmitError> {
        Err(SubmitError::Busy)
    }

    /// Sets one of this node's own registers.
    pub fn set(&mut self, now: Instant, scope: Scope, key: &str, value: &[u8]) -> Result<Version, SubmitError> {
        Err(SubmitError::Busy)
    }

    /// Removes one of this node's own registers.
    pub fn remove(&mut self, now: Instant, scope: Scope, key: &str) -> Result<Version, SubmitError> {
        Err(SubmitError::Busy)
    }

    /// The application is done with a delivered message: it is not delivered again after a restart.
    pub fn acknowledge(&mut self, id: MessageId) {}

    /// Adds a contact, which is greeted until somebody there answers, and again whenever this node has no link. Kept
    /// until [`Gossip::forget`].
    pub fn join(&mut self, now: Instant, contact: SocketAddr) -> Result<(), JoinError> {
        Ok(())
    }

    /// Drops a contact.
    pub fn forget(&mut self, contact: SocketAddr) {}

    /// Starts to leave: hands over what only this node holds, says goodbye, and ends with [`Event::Left`].
    pub fn leave(&mut self, now: Instant) {}

    /// All records up to `upto` are durable.
    pub fn handle_persisted(&mut self, now: Instant, upto: PersistSeq) {}

    /// The next datagram (or several of equal length for one peer), composed in `buffer` with the freshest contents.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        None
    }

    /// The next thing to tell the application.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// The next thing to make durable; none without [`Durability::Records`](crate::Durability::Records).
    #[must_use]
    pub fn poll_persist(&mut self) -> Option<Record> {
        None
    }

    /// When to call [`Gossip::handle_timeout`] next, after all outputs were drained.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Why [`Gossip::poll_timeout`] wants that tick.
    pub fn timeout_reason(&self) -> Option<Reason> {
        None
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// This life of it.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(1)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The largest payload that [`Gossip::submit`] accepts, in bytes.
    pub fn payload_max(&self) -> usize {
        1_000
    }

    /// How many members the cluster has, as far as this node knows, itself included.
    pub fn size_estimate(&self) -> u32 {
        1
    }

    /// The contacts.
    pub fn contacts(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        core::iter::empty()
    }

    /// The stored messages, in the order in which they were accepted.
    pub fn messages(&self) -> impl Iterator<Item = MessageView> + '_ {
        core::iter::empty()
    }

    /// One stored message.
    pub fn get(&self, id: MessageId) -> Option<MessageView> {
        None
    }

    /// Every other node that this one knows, by id.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        core::iter::empty()
    }

    /// The registers whose key starts with `prefix`, of all nodes, by node and key.
    pub fn registers<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = RegisterView> + 'a {
        core::iter::empty()
    }

    /// One register.
    pub fn register(&self, node: NodeId, key: &str) -> Option<RegisterView> {
        None
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
