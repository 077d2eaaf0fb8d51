//! Is this datagram genuine, and is it new?
//!
//! # Intuition
//!
//! Every datagram carries a tag that only someone with the right key can make, over all that matters: the header, the
//! receiver, the frames. With [`Security::Sealed`] the key is the cluster's secret, the frames are encrypted besides,
//! and a tag cannot be forged. With [`Security::Plain`] the "key" is made from the cluster's name: that finds damage
//! and strays from other clusters, but stops nobody who wants to lie.
//!
//! A genuine datagram can still be recorded and sent again. Hence the number in the header, which the sender never
//! repeats, and a [`Window`] per peer over the numbers seen.
//!
//! The order for an arriving datagram: [`Header::parse`](crate::wire::Header::parse), [`Auth::check`], find the peer and
//! its subkey, [`Window::test`], [`Auth::open`], and only then [`Window::mark`] — else a forger could make the window
//! refuse what is genuine. Each step costs more than the one before it, and is reached by fewer datagrams.

mod replay;
mod seal;

pub use replay::Window;
pub use seal::{Auth, Envelope, Subkey};

use core::fmt;

use crate::wire::HeaderError;

/// How datagrams are protected. All nodes of a cluster must agree.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Security {
    /// Readable, with a check of 64 bits against damage and against strays from clusters of another name. Whoever knows
    /// the name can forge: for networks that only friends can reach, and for simulations.
    Plain,
    /// Encrypted and authenticated by XChaCha20-Poly1305.
    Sealed {
        /// Goes in the clear in each datagram and tells the receiver which key is meant. Any number; 0 is what plain
        /// mode sends, so another one makes a mixture of modes easier to recognize.
        key_id: u8,
        /// The secret of the cluster, 32 random bytes.
        key: [u8; 32],
    },
}

/// Does not print the key.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("Plain"),
            Self::Sealed { key_id, .. } => f.debug_struct("Sealed").field("key_id", key_id).finish_non_exhaustive(),
        }
    }
}

/// The frames of a datagram that was found genuine: a witness, made by [`Auth::open`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'d> {
    body: &'d [u8],
}

impl<'d> Opened<'d> {
    /// Bytes that claim to be genuine, for tests of what comes behind.
    #[cfg(any(test, feature = "__internals"))]
    pub const fn forged(body: &'d [u8]) -> Self {
        Self { body }
    }

    /// The frames as bytes.
    pub const fn body(self) -> &'d [u8] {
        self.body
    }
}

/// Why a datagram was refused before a frame of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// No complete header.
    TooShort,
    /// Another version of the protocol.
    Version,
    /// A flag that this version does not know.
    Flags,
    /// Sealed with another key, or not sealed at all.
    KeyId,
    /// From a cluster of another name.
    Cluster,
    /// Damaged, forged, or meant for another node.
    Tag,
}

impl From<HeaderError> for Reject {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::TooShort => Self::TooShort,
            HeaderError::Version => Self::Version,
            HeaderError::Flags => Self::Flags,
        }
    }
}
