//! Inputs and outputs as data: what simulators, fuzzers and recorders feed and compare.

use core::net::SocketAddr;

use crate::error::{JoinError, SubmitError};
use crate::event::{Event, Order, Scope};
use crate::gossip::Gossip;
use crate::ids::{MessageId, Version};
use crate::persist::{PersistSeq, Record};
use crate::time::Instant;

/// One datagram, or several of equal length for one peer, composed in the caller's buffer: send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// How many bytes of the buffer were filled.
    pub len: usize,
    /// Where the buffer holds several datagrams: the length of each but the last, which may be shorter.
    pub segment_size: Option<usize>,
}

/// Every input event as data.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// [`Gossip::acknowledge`].
    Acknowledge {
        /// The message.
        id: MessageId,
    },
    /// [`Gossip::forget`].
    Forget {
        /// The contact.
        contact: SocketAddr,
    },
    /// [`Gossip::join`].
    Join {
        /// The contact.
        contact: SocketAddr,
    },
    /// [`Gossip::leave`].
    Leave,
    /// [`Gossip::handle_packet`].
    Packet {
        /// Whom it came from.
        from: SocketAddr,
        /// What came; it is opened in place.
        datagram: &'a mut [u8],
    },
    /// [`Gossip::handle_persisted`].
    Persisted {
        /// Everything up to here is durable.
        upto: PersistSeq,
    },
    /// [`Gossip::remove`].
    Remove {
        /// Whose.
        scope: Scope,
        /// The key.
        key: &'a str,
    },
    /// [`Gossip::set`].
    Set {
        /// Whose.
        scope: Scope,
        /// The key.
        key: &'a str,
        /// The value.
        value: &'a [u8],
    },
    /// [`Gossip::submit`].
    Submit {
        /// The order.
        order: Order,
        /// The payload.
        payload: &'a [u8],
    },
    /// [`Gossip::handle_timeout`].
    Tick,
    /// [`Gossip::handle_too_long`].
    TooLong {
        /// Whom it was for.
        to: SocketAddr,
        /// Its length in bytes of UDP payload.
        len: usize,
    },
}

/// What an input was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The input has no answer.
    Done,
    /// The register has this version now.
    Set(Version),
    /// The message got this id.
    Submitted(MessageId),
}

/// Why an input was refused. The state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// A contact was not accepted.
    Join(JoinError),
    /// A message or register change was not accepted.
    Submit(SubmitError),
}

impl core::fmt::Display for InputError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Join(error) => error.fmt(f),
            Self::Submit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InputError {}

/// Every output action as data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a record is moved once, and in a box it would cost an allocation")]
pub enum Action {
    /// Hand it to the application.
    Deliver(Event),
    /// Make it durable.
    Persist(Record),
    /// Send the bytes in the buffer.
    Send(Transmit),
}

impl Gossip {
    /// Any input as data: calls the verb that it names.
    ///
    /// # Errors
    ///
    /// Those of the verb.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<Answer, InputError> {
        match input {
            Input::Acknowledge { id } => self.acknowledge(id),
            Input::Forget { contact } => self.forget(contact),
            Input::Join { contact } => self.join(now, contact).map_err(InputError::Join)?,
            Input::Leave => self.leave(now),
            Input::Packet { from, datagram } => self.handle_packet(now, from, datagram),
            Input::Persisted { upto } => self.handle_persisted(now, upto),
            Input::Remove { scope, key } => {
                return self.remove(now, scope, key).map(Answer::Set).map_err(InputError::Submit);
            }
            Input::Set { scope, key, value } => {
                return self.set(now, scope, key, value).map(Answer::Set).map_err(InputError::Submit);
            }
            Input::Submit { order, payload } => {
                return self.submit(now, order, payload).map(Answer::Submitted).map_err(InputError::Submit);
            }
            Input::Tick => self.handle_timeout(now),
            Input::TooLong { to, len } => self.handle_too_long(now, to, len),
        }
        Ok(Answer::Done)
    }

    /// Any output as data: records first, then events, then datagrams; none when all three are drained.
    #[must_use]
    pub fn poll_action(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Action> {
        if let Some(record) = self.poll_persist() {
            return Some(Action::Persist(record));
        }
        if let Some(event) = self.poll_event() {
            return Some(Action::Deliver(event));
        }
        self.poll_transmit(now, buffer).map(Action::Send)
    }
}
