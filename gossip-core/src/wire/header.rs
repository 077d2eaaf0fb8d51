//! The first 48 bytes of every datagram.
//!
//! ```text
//!  0        1        2                 4                                 8
//! ┌────────┬────────┬─────────────────┬─────────────────────────────────┐
//! │version │key id  │flags            │cluster check                    │
//! ├────────┴────────┴─────────────────┴─────────────────────────────────┤  8
//! │sender                                                               │
//! ├─────────────────────────────────────────────────────────────────────┤ 16
//! │incarnation of the sender                                            │
//! ├─────────────────────────────────────────────────────────────────────┤ 24
//! │datagram number: sequence (low half), link epoch (high half)         │
//! ├─────────────────────────────────────────────────────────────────────┤ 32
//! │tag                                                                  │
//! │                                                                     │
//! └─────────────────────────────────────────────────────────────────────┘ 48
//! ```
//!
//! All numbers are little-endian. The tag vouches for the 32 bytes before it, for the receiver and for all frames.

use crate::ids::{Incarnation, NodeId};

/// Bytes of the header.
pub const HEADER_LEN: usize = 48;

/// Bytes of the header that the tag vouches for: all before the tag.
pub const VOUCHED_LEN: usize = 32;

const VERSION: u8 = 1;

/// The datagram is for whoever reads it: the sender does not know the id of the receiver yet.
const FLAG_OPEN: u16 = 1;

/// What the outside of a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which key sealed the datagram; 0 in plain mode.
    pub key_id: u8,
    /// Addressed to anyone, because the sender does not know who lives at the address.
    pub open: bool,
    /// 32 bits of a hash of the cluster's name.
    pub cluster: u32,
    /// Who sends.
    pub sender: NodeId,
    /// In which life the sender does so.
    pub incarnation: Incarnation,
    /// Made by [`datagram_number`]; never repeated under one sender and incarnation, never 0.
    pub number: u64,
    /// The proof.
    pub tag: [u8; 16],
}

impl Header {
    /// Reads the header of a datagram; what follows it is not looked at.
    ///
    /// # Errors
    ///
    /// The datagram has no complete header, another version, or a flag that this version does not know.
    pub fn parse(datagram: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_LEN] = datagram.first_chunk().ok_or(HeaderError::TooShort)?;
        if bytes[0] != VERSION {
            return Err(HeaderError::Version);
        }
        let flags = u16::from_le_bytes(field(bytes, 2));
        if flags & !FLAG_OPEN != 0 {
            return Err(HeaderError::Flags);
        }
        Ok(Self {
            key_id: bytes[1],
            open: flags & FLAG_OPEN != 0,
            cluster: u32::from_le_bytes(field(bytes, 4)),
            sender: NodeId(u64::from_le_bytes(field(bytes, 8))),
            incarnation: Incarnation(u64::from_le_bytes(field(bytes, 16))),
            number: u64::from_le_bytes(field(bytes, 24)),
            tag: field(bytes, VOUCHED_LEN),
        })
    }

    /// Writes the header.
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        let flags = if self.open { FLAG_OPEN } else { 0 };
        out[0] = VERSION;
        out[1] = self.key_id;
        out[2..4].copy_from_slice(&flags.to_le_bytes());
        out[4..8].copy_from_slice(&self.cluster.to_le_bytes());
        out[8..16].copy_from_slice(&self.sender.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.incarnation.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.number.to_le_bytes());
        out[VOUCHED_LEN..].copy_from_slice(&self.tag);
    }
}

/// The number of a datagram: the epoch of its link and its place on the link, from 1.
///
/// Each link of a sender gets a fresh epoch from a counter of the node, so numbers never repeat under one sender and
/// incarnation, and are consecutive on a link: the replay window and the estimate of loss work on them directly.
pub const fn datagram_number(epoch: u32, sequence: u32) -> u64 {
    (epoch as u64) << 32 | sequence as u64
}

/// Why a datagram has no readable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Fewer than [`HEADER_LEN`] bytes.
    TooShort,
    /// The first byte is not 1.
    Version,
    /// A reserved flag is set.
    Flags,
}

/// `N` bytes from `at` on.
fn field<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
