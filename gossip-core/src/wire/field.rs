//! The fields that serde does not write the way the format wants them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Incarnation, NodeId};

/// Bytes with their length in front (a varint), borrowed when read.
///
/// serde writes a `&[u8]` as a sequence, byte by byte; this is the same on the wire, in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blob<'a>(pub &'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// A socket address: the family (4 or 6, one byte), the address (4 or 16 bytes), the port (2 bytes).
///
/// Flow label and scope id mean something only on the machine that made them, so they are not sent, and are 0 when
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let port = self.0.port().to_le_bytes();
        match self.0.ip() {
            IpAddr::V4(ip) => (4_u8, ip.octets(), port).serialize(serializer),
            IpAddr::V6(ip) => (6_u8, ip.octets(), port).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(3, AddressVisitor)
    }
}

struct AddressVisitor;

impl<'de> Visitor<'de> for AddressVisitor {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a family of 4 or 6, an address and a port")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Address, A::Error> {
        let ip = match next::<u8, A>(&mut fields)? {
            4 => IpAddr::V4(Ipv4Addr::from(next::<[u8; 4], A>(&mut fields)?)),
            6 => IpAddr::V6(Ipv6Addr::from(next::<[u8; 16], A>(&mut fields)?)),
            family => return Err(A::Error::invalid_value(Unexpected::Unsigned(u64::from(family)), &self)),
        };
        let port = u16::from_le_bytes(next(&mut fields)?);
        Ok(Address(SocketAddr::new(ip, port)))
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::missing_field("address"))
}

/// For `#[serde(with = "fixed")]`: eight bytes, little-endian, whatever the value.
///
/// Ids and incarnations are random in their high bits, where a varint would take ten bytes.
pub(super) mod fixed {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Word};

    pub(crate) fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.word().to_le_bytes().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        <[u8; 8]>::deserialize(deserializer).map(|bytes| T::from_word(u64::from_le_bytes(bytes)))
    }
}

/// What is 64 bits wide.
pub(super) trait Word {
    fn word(&self) -> u64;
    fn from_word(word: u64) -> Self;
}

impl Word for u64 {
    fn word(&self) -> u64 {
        *self
    }

    fn from_word(word: u64) -> Self {
        word
    }
}

impl Word for NodeId {
    fn word(&self) -> u64 {
        self.0
    }

    fn from_word(word: u64) -> Self {
        Self(word)
    }
}

impl Word for Incarnation {
    fn word(&self) -> u64 {
        self.0
    }

    fn from_word(word: u64) -> Self {
        Self(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_come_back(ip: IpAddr, port: u16) {
            let address = Address(SocketAddr::new(ip, port));
            let mut bytes = [0; 19];
            let written = postcard::to_slice(&address, &mut bytes).expect("19 bytes are enough");
            prop_assert_eq!(written.len(), if ip.is_ipv4() { 7 } else { 19 });
            prop_assert_eq!(postcard::take_from_bytes::<Address>(written), Ok((address, &[][..])));
        }
    }

    #[test]
    fn other_families_are_refused() {
        for family in (0..=u8::MAX).filter(|family| ![4, 6].contains(family)) {
            let mut bytes = [1; 19];
            bytes[0] = family;
            assert!(postcard::from_bytes::<Address>(&bytes).is_err(), "family {family}");
        }
    }

    #[test]
    fn what_only_the_sender_understands_is_not_sent() {
        let ip = Ipv6Addr::LOCALHOST;
        let local = SocketAddr::V6(core::net::SocketAddrV6::new(ip, 7000, 5, 9));
        let mut bytes = [0; 19];
        let written = postcard::to_slice(&Address(local), &mut bytes).expect("19 bytes are enough");
        assert_eq!(postcard::from_bytes(written), Ok(Address(SocketAddr::new(IpAddr::V6(ip), 7000))));
    }

    #[test]
    fn a_blob_is_as_long_as_it_says() {
        assert_eq!(postcard::take_from_bytes(b"\x02abc"), Ok((Blob(b"ab"), &b"c"[..])));
        assert!(postcard::from_bytes::<Blob<'_>>(b"\x03ab").is_err());
        assert!(postcard::from_bytes::<Blob<'_>>(b"\xff\xff\xff\xff\x0f").is_err());
    }
}
