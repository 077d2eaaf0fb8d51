//! Who stands between a node and the root: enough to see a loop before it is made.
//!
//! # Intuition
//!
//! A family tree on a slip of paper: the initials of parent, grandparent and so on. Whoever looks for a new parent asks for
//! the slip, and does not choose one on whose slip its own initials are. Initials are short, so once in a while a stranger
//! has the same ones and is passed over without need; that costs a little latency and no more.
//!
//! # Bounds
//!
//! The nearest 16 ancestors, 2 bytes of a hash each (our choice: at d = 10 a million nodes are 11 deep). With a full slip
//! one of 4,096 strangers is taken for an ancestor. A loop of more than 16 nodes is not seen here; the next wave ends it.

use crate::ids::NodeId;

/// Ancestors that are named.
const MAX: usize = 16;

/// The slip of paper, root first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ancestors {
    len: u8,
    hashes: [u16; MAX],
}

impl Ancestors {
    /// Those of the root.
    pub(super) const NONE: Self = Self { len: 0, hashes: [0; MAX] };

    /// Bytes on the wire, at most.
    pub(super) const BYTES: usize = 2 * MAX;

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.hashes[..usize::from(self.len)].contains(&initials(node))
    }

    /// One generation further down.
    pub(super) fn and(mut self, parent: NodeId) -> Self {
        if usize::from(self.len) == MAX {
            self.hashes.rotate_left(1);
            self.len -= 1;
        }
        self.hashes[usize::from(self.len)] = initials(parent);
        self.len += 1;
        self
    }

    /// Reads a slip; of a longer one the nearest ancestors.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (pairs, _) = bytes.as_chunks::<2>();
        let mut ancestors = Self::NONE;
        for (hash, pair) in ancestors.hashes.iter_mut().zip(&pairs[pairs.len().saturating_sub(MAX)..]) {
            *hash = u16::from_le_bytes(*pair);
            ancestors.len += 1;
        }
        ancestors
    }

    pub(super) fn write<'b>(&self, buffer: &'b mut [u8; Self::BYTES]) -> &'b [u8] {
        let len = usize::from(self.len);
        for (pair, hash) in buffer.as_chunks_mut::<2>().0.iter_mut().zip(&self.hashes[..len]) {
            *pair = hash.to_le_bytes();
        }
        &buffer[..2 * len]
    }
}

/// 16 bits of a node's id, mixed, as ids may be consecutive numbers; alike on all nodes.
fn initials(node: NodeId) -> u16 {
    (mix(node.0) >> 48) as u16
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): neighbors become strangers.
pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_sixteen_are_named_and_come_back() {
        let all = (1..=20).fold(Ancestors::NONE, |ancestors, node| ancestors.and(NodeId(node)));
        assert!((5..=20).all(|node| all.contains(NodeId(node))) && !all.contains(NodeId(4)));
        let mut buffer = [0; Ancestors::BYTES];
        assert_eq!(Ancestors::read(all.write(&mut buffer)), all);
        let longer = [&[9; 8], all.write(&mut buffer)].concat();
        assert_eq!(Ancestors::read(&longer), all, "the nearest ones are the last");
        let few = Ancestors::NONE.and(NodeId(1));
        assert_eq!(Ancestors::read(&[few.write(&mut buffer), &[7]].concat()), few, "half a name is none");
    }
}
