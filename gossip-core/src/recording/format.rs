//! The entries of a recording, and the fingerprint of the outputs.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::hash::Hasher;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::config::Config;
use crate::event::{Event, Order, Scope};
use crate::ids::MessageId;
use crate::io::{Answer, Input, InputError, Transmit};
use crate::persist::{PersistSeq, Record};

/// What every recording starts with. The last byte is the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"gossip\0\x01";

#[derive(Serialize, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) version: &'a str,
    pub(super) config: Config,
    pub(super) seed: [u8; 32],
    pub(super) now: u64,
    /// None: made by `new`. Otherwise by `restore`, from so many rows that follow.
    pub(super) records: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Row<'a> {
    pub(super) table: u8,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

/// One call. Before each stands the time in microseconds since the entry before, modulo 2⁶⁴.
#[derive(Serialize, Deserialize)]
pub(super) enum Step<'a> {
    Acknowledge { id: MessageId },
    End,
    Forget { contact: Address },
    Join { contact: Address },
    Leave,
    Packet { from: Address, datagram: &'a [u8] },
    Persisted { upto: u64 },
    PollEvent { hash: Option<TraceHash> },
    PollPersist { hash: Option<TraceHash> },
    PollTransmit { room: u32, hash: Option<TraceHash> },
    Remove { scope: Scope, key: &'a str },
    Set { scope: Scope, key: &'a str, value: &'a [u8] },
    Submit { order: Order, payload: &'a [u8] },
    Tick,
    TooLong { to: Address, len: u32 },
}

/// "The bound was reached", and its length in bytes.
pub(super) const END: (u64, Step<'_>) = (0, Step::End);
pub(super) const END_LEN: usize = 2;

impl<'a> Step<'a> {
    pub(super) fn of(input: &'a Input<'_>) -> Self {
        match input {
            Input::Acknowledge { id } => Self::Acknowledge { id: *id },
            Input::Forget { contact } => Self::Forget { contact: (*contact).into() },
            Input::Join { contact } => Self::Join { contact: (*contact).into() },
            Input::Leave => Self::Leave,
            Input::Packet { from, datagram } => Self::Packet { from: (*from).into(), datagram },
            Input::Persisted { upto } => Self::Persisted { upto: upto.0 },
            Input::Remove { scope, key } => Self::Remove { scope: *scope, key },
            Input::Set { scope, key, value } => Self::Set { scope: *scope, key, value },
            Input::Submit { order, payload } => Self::Submit { order: *order, payload },
            Input::Tick => Self::Tick,
            // No datagram is as long as that: what is beyond is all the same to a node.
            Input::TooLong { to, len } => {
                Self::TooLong { to: (*to).into(), len: u32::try_from(*len).unwrap_or(u32::MAX) }
            }
        }
    }

    /// The input that this step records; none for a poll. A datagram is opened in place, so it is copied to `datagram`.
    pub(super) fn input<'b>(&'b self, scratch: &'b mut Vec<u8>) -> Option<Input<'b>> {
        Some(match self {
            Self::Acknowledge { id } => Input::Acknowledge { id: *id },
            Self::Forget { contact } => Input::Forget { contact: (*contact).into() },
            Self::Join { contact } => Input::Join { contact: (*contact).into() },
            Self::Leave => Input::Leave,
            Self::Packet { from, datagram } => {
                scratch.clear();
                scratch.extend_from_slice(datagram);
                Input::Packet { from: (*from).into(), datagram: scratch }
            }
            Self::Persisted { upto } => Input::Persisted { upto: PersistSeq(*upto) },
            Self::Remove { scope, key } => Input::Remove { scope: *scope, key },
            Self::Set { scope, key, value } => Input::Set { scope: *scope, key, value },
            Self::Submit { order, payload } => Input::Submit { order: *order, payload },
            Self::Tick => Input::Tick,
            Self::TooLong { to, len } => Input::TooLong { to: (*to).into(), len: *len as usize },
            Self::End | Self::PollEvent { .. } | Self::PollPersist { .. } | Self::PollTransmit { .. } => return None,
        })
    }
}

/// An address with its scope, which serde's own form of it leaves out.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Address {
    V4([u8; 4], u16),
    V6([u8; 16], u16, u32),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::V4(v4.ip().octets(), v4.port()),
            SocketAddr::V6(v6) => Self::V6(v6.ip().octets(), v6.port(), v6.scope_id()),
        }
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        match address {
            Address::V4(ip, port) => Self::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port)),
            Address::V6(ip, port, scope) => Self::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)),
        }
    }
}

pub(super) type TraceHash = [u8; 8];

/// The running hash of all outputs, and of the answers between them.
#[derive(Clone, Debug)]
pub(super) struct Trace(SipHasher24);

impl Trace {
    pub(super) fn new() -> Self {
        // Any fixed key does: the hash finds differences, it does not defend against forgery.
        Self(SipHasher24::new_with_keys(0x7265_636f_7264_6564, 0x676f_7373_6970_3031))
    }

    pub(super) fn answer(&mut self, answer: &Result<Answer, InputError>) {
        self.absorb(&format_args!("{answer:?}\n"));
    }

    pub(super) fn transmit(&mut self, transmit: Option<Transmit>, buffer: &[u8]) -> Option<TraceHash> {
        let transmit = transmit?;
        self.absorb(&format_args!("{transmit:?}\n"));
        self.0.write(&buffer[..transmit.len]);
        Some(self.hash())
    }

    pub(super) fn event(&mut self, event: Option<&Event>) -> Option<TraceHash> {
        self.absorb(&format_args!("{:?}\n", event?));
        Some(self.hash())
    }

    pub(super) fn record(&mut self, record: Option<&Record>) -> Option<TraceHash> {
        self.absorb(&format_args!("{:?}\n", record?));
        Some(self.hash())
    }

    pub(super) fn hash(&self) -> TraceHash {
        self.0.finish().to_le_bytes()
    }

    fn absorb(&mut self, text: &fmt::Arguments<'_>) {
        struct Sink<'a>(&'a mut SipHasher24);
        impl Write for Sink<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        Sink(&mut self.0).write_fmt(*text).expect("the sink takes everything");
    }
}
