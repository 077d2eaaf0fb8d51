//! What the caller did wrong. Every error says what happened to the state, and carries the limit.
//!
//! A peer can cause none of these: what a peer does wrong is a counter in [`Stats`](crate::Stats).

use core::fmt;
use core::net::SocketAddr;

use crate::ids::NodeId;
use crate::persist::Table;

/// A field of the [`Config`](crate::Config) is out of its bounds. No node was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The field's value lies below its bound. Durations are in microseconds.
    TooSmall {
        /// The field, as a path from the configuration.
        field: &'static str,
        /// What it was.
        value: u64,
        /// The least that is allowed.
        min: u64,
    },
    /// The field's value lies above its bound. Durations are in microseconds.
    TooLarge {
        /// The field, as a path from the configuration.
        field: &'static str,
        /// What it was.
        value: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// The field's value is of no use without another field.
    Needs {
        /// The field, as a path from the configuration.
        field: &'static str,
        /// The field that must be set as well.
        other: &'static str,
    },
    /// The field's value must be a multiple of another number.
    NoMultiple {
        /// The field, as a path from the configuration.
        field: &'static str,
        /// What it was.
        value: u64,
        /// Of what it must be a multiple.
        of: u64,
    },
    /// Nothing can be sent to this address: it is unspecified, or its port is 0.
    Address {
        /// The field, as a path from the configuration.
        field: &'static str,
        /// What it was.
        address: SocketAddr,
    },
    /// A static neighbor is named twice, or is this node itself.
    Neighbor {
        /// The node in question.
        node: NodeId,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { field, value, min } => write!(f, "{field} is {value}, but must be at least {min}"),
            Self::TooLarge { field, value, max } => write!(f, "{field} is {value}, but must be at most {max}"),
            Self::NoMultiple { field, value, of } => write!(f, "{field} is {value}, but must be a multiple of {of}"),
            Self::Address { field, address } => write!(f, "{field} is {address}, where nothing can be sent to"),
            Self::Needs { field, other } => write!(f, "this value of {field} needs {other} to be set"),
            Self::Neighbor { node } => write!(f, "membership.neighbors names node {node} twice, or names this node"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// The records given to [`Gossip::restore`](crate::Gossip::restore) are not what an earlier life handed out. No node was
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// A record's key or value does not parse.
    Malformed {
        /// The table that the record is from.
        table: Table,
    },
    /// There are more records than the configured limit has room for.
    TooMany {
        /// The table that overflowed.
        table: Table,
        /// The room, in records.
        max: u32,
    },
    /// The records are of a version of the stored format that this one does not read.
    Version {
        /// The version.
        version: u8,
    },
    /// The records belong to another node.
    OtherNode {
        /// The node that they belong to.
        node: NodeId,
    },
}

impl From<ConfigError> for RestoreError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Malformed { table } => write!(f, "a record of table {table} does not parse"),
            Self::TooMany { table, max } => write!(f, "more than {max} records in table {table}"),
            Self::Version { version } => write!(f, "the records are of version {version}, which is not known"),
            Self::OtherNode { node } => write!(f, "the records belong to node {node}"),
        }
    }
}

impl core::error::Error for RestoreError {}

/// A message or register change was not accepted. The state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError {
    /// No room now: everything stored is this node's own and held by nobody else yet, or waits to be polled. Or a whole
    /// [`Limits::window`](crate::Limits::window) of own messages is held by nobody else yet: more of them would be refused
    /// everywhere. Try again when the node has exchanged datagrams with others, or events were polled.
    Busy,
    /// The payload is longer than a message may be, or key and value together do not fit in one datagram.
    TooLarge {
        /// The most that would be accepted, in bytes.
        max: usize,
        /// The field of the configuration that bounds it.
        limit: &'static str,
    },
    /// The key is empty, too long, or starts with the zero byte, which is reserved.
    Key {
        /// The longest key, in bytes.
        max: usize,
    },
    /// All registers are taken by live values. Remove some, or raise `Limits::registers`.
    TooManyRegisters {
        /// The room, in registers of all nodes.
        max: u32,
    },
    /// There is a register left, but too few bytes for this key and value. Remove some, or raise
    /// `Limits::register_bytes`.
    RegisterBytes {
        /// The room, in bytes of all keys and values of all nodes.
        max: u32,
    },
    /// The node is leaving, or has left.
    Leaving,
    /// Planned, but not there yet.
    NotYet,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("no room now, try again later"),
            Self::TooLarge { max, limit } => write!(f, "too large: at most {max} bytes, by {limit}"),
            Self::Key { max } => write!(f, "a key has 1 to {max} bytes and does not start with the zero byte"),
            Self::TooManyRegisters { max } => write!(f, "all {max} registers are taken"),
            Self::RegisterBytes { max } => write!(f, "too little is left of {max} bytes for keys and values"),
            Self::Leaving => f.write_str("the node is leaving"),
            Self::NotYet => f.write_str("not supported yet"),
        }
    }
}

impl core::error::Error for SubmitError {}

/// A contact was not accepted. The state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// All places are taken. Forget one, or raise `Limits::contacts`.
    TooManyContacts {
        /// The room, in contacts.
        max: u32,
    },
    /// Nothing can be sent to this address: it is unspecified, or its port is 0.
    Address,
    /// A node with static neighbors links with nobody else.
    Static,
    /// The node is leaving, or has left.
    Leaving,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyContacts { max } => write!(f, "all {max} places for contacts are taken"),
            Self::Address => f.write_str("nothing can be sent to this address"),
            Self::Static => f.write_str("a node with static neighbors joins nobody else"),
            Self::Leaving => f.write_str("the node is leaving"),
        }
    }
}

impl core::error::Error for JoinError {}
