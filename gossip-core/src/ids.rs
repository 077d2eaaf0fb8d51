//! Who is who, and which message is which.

use core::fmt;
use core::str::FromStr;

/// A node, independent of its address.
///
/// Chosen by the user, or derived from a name with [`NodeId::from_name`]. Two live nodes with one id make
/// [`Event::IdentityConflict`](crate::Event::IdentityConflict).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct NodeId(pub u64);

impl NodeId {
    /// An id made from a name: the first 64 bits of a fixed hash, the same on every target.
    ///
    /// Among `n` names two coincide with a probability of about `n² / 2⁶⁵` (a million names: 3 in 10⁸).
    pub fn from_name(name: &str) -> Self {
        use core::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher24::new_with_keys(0x676f_7373_6970_6964, 0);
        hasher.write(name.as_bytes());
        Self(hasher.finish())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        decimal(text).map(Self).ok_or(ParseIdError)
    }
}

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

/// One life of a node: larger in each later life, and the same through all of one, with one exception (below).
///
/// The upper 44 bits are the larger of "the persisted ones plus one" and the start time that the configuration names, in
/// milliseconds; the lower 20 are drawn from the seed. Message ids and register versions contain it, so a node that lost
/// its memory does not reuse an id. The exception: it rises at most once in the life of a [`Gossip`](crate::Gossip), when
/// the node learns that an earlier life of it had a higher one (its clock went back). Messages submitted before keep
/// their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// Bits drawn by chance.
    const CHANCE_BITS: u32 = 20;

    /// The latest start time that fits, in milliseconds: the year 2527, from the Unix epoch on.
    pub(crate) const START_MAX: u64 = (1 << (u64::BITS - Self::CHANCE_BITS)) - 1;

    /// Of a life that started at `start` milliseconds, at most [`Self::START_MAX`].
    pub(crate) const fn new(start: u64, chance: u32) -> Self {
        Self(start << Self::CHANCE_BITS | chance as u64 & ((1 << Self::CHANCE_BITS) - 1))
    }

    pub(crate) const fn start(self) -> u64 {
        self.0 >> Self::CHANCE_BITS
    }

    pub(crate) const fn chance(self) -> u32 {
        self.0 as u32 & ((1 << Self::CHANCE_BITS) - 1)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base62(self.0, f)
    }
}

/// The name of one message, unique for ever: the origin, its incarnation, and a sequence number that starts at 1.
///
/// The same text submitted twice is two messages with two ids. The printed form, such as `7-2tHq9Zk3LmA-15`, parses
/// back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct MessageId {
    /// The node that submitted the message.
    pub origin: NodeId,
    /// The life of the origin in which it did so.
    pub incarnation: Incarnation,
    /// The place of the message among all that the origin submitted in this life, from 1, without gaps. A message in chunks
    /// takes as many places, and is named by the first.
    pub seq: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.origin, self.incarnation, self.seq)
    }
}

impl FromStr for MessageId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut parts = text.split('-');
        let (Some(origin), Some(incarnation), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseIdError);
        };
        let id = Self {
            origin: origin.parse()?,
            incarnation: Incarnation(parse_base62(incarnation).ok_or(ParseIdError)?),
            seq: decimal(seq).ok_or(ParseIdError)?,
        };
        if id.seq == 0 { Err(ParseIdError) } else { Ok(id) }
    }
}

/// The text is not the printed form of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: expected a decimal node id, or origin-incarnation-number such as 7-2tHq9Zk3LmA-15")
    }
}

impl core::error::Error for ParseIdError {}

/// The version of a register's value: newest wins, compared by incarnation first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The life of the owner in which the value was set.
    pub incarnation: Incarnation,
    /// The place of this change among all changes of the owner's registers in this life, from 1.
    pub number: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.number)
    }
}

/// Like `u64::from_str`, but refuses a sign: `+7` and `7` must not be two spellings of one id.
fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn base62(mut value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0_u8; 11];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = DIGITS[(value % 62) as usize];
        value /= 62;
        if value == 0 {
            break;
        }
    }
    f.write_str(core::str::from_utf8(&text[start..]).expect("every digit is ASCII"))
}

fn parse_base62(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |value, byte| {
        let digit = DIGITS.iter().position(|&known| known == byte)?;
        value.checked_mul(62)?.checked_add(digit as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    proptest! {
        #[test]
        fn message_ids_parse_back(origin: u64, incarnation: u64, seq in 1..=u64::MAX) {
            let id = MessageId { origin: NodeId(origin), incarnation: Incarnation(incarnation), seq };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "7", "7-a", "7-a-0", "7-a-1-2", "+7-a-1", "7-a-+1", "7--1", "7-a_-1", "-7-a-1", "7-zzzzzzzzzzz-1"]
        {
            assert_eq!(text.parse::<MessageId>(), Err(ParseIdError), "{text}");
        }
    }

    #[test]
    fn names_hash_the_same_everywhere() {
        // Made by a second implementation of SipHash-2-4.
        assert_eq!(NodeId::from_name("alpha"), NodeId(0xe1a5_43f9_9a44_8f4b));
        assert_eq!(NodeId::from_name("beta"), NodeId(0x2ffe_8f10_256a_ff73));
    }
}
