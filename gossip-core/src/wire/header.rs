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
/// Each link of a sender gets a fresh epoch from a counter of the node; datagrams outside of links share epochs of their
/// own. So numbers never repeat under one sender and incarnation (a sender whose counter is at its end is silent), and
/// are consecutive on a link: the replay window and the estimate of loss work on them directly.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> impl Strategy<Value = Header> {
        (any::<(u8, bool, u32)>(), any::<(u64, u64, u64)>(), any::<[u8; 16]>()).prop_map(
            |((key_id, open, cluster), (sender, incarnation, number), tag)| Header {
                key_id,
                open,
                cluster,
                sender: NodeId(sender),
                incarnation: Incarnation(incarnation),
                number,
                tag,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in header()) {
            let mut bytes = [0xee; HEADER_LEN];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
        }

        #[test]
        fn what_is_read_is_written(mut bytes: [u8; HEADER_LEN]) {
            (bytes[0], bytes[2], bytes[3]) = (VERSION, bytes[2] & 1, 0);
            let mut again = [0xee; HEADER_LEN];
            Header::parse(&bytes).expect("version and flags are good").emit(&mut again);
            prop_assert_eq!(again, bytes);
        }

        #[test]
        fn a_part_of_a_header_is_none(header in header(), len in 0..HEADER_LEN) {
            let mut bytes = [0; HEADER_LEN];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes[..len]), Err(HeaderError::TooShort));
        }
    }

    #[test]
    fn other_versions_and_flags_are_refused() {
        let mut bytes = [0; HEADER_LEN];
        for version in (0..=u8::MAX).filter(|&version| version != VERSION) {
            bytes[0] = version;
            assert_eq!(Header::parse(&bytes), Err(HeaderError::Version));
        }
        bytes[0] = VERSION;
        for bit in 1..16 {
            bytes[2..4].copy_from_slice(&(1_u16 << bit).to_le_bytes());
            assert_eq!(Header::parse(&bytes), Err(HeaderError::Flags), "bit {bit}");
        }
    }

    #[test]
    fn numbers_of_a_link_are_consecutive() {
        assert_eq!(datagram_number(1, 2), 0x1_0000_0002);
        assert_eq!(datagram_number(3, 8) - datagram_number(3, 7), 1);
        assert!(datagram_number(4, 0) > datagram_number(3, u32::MAX));
    }
}
