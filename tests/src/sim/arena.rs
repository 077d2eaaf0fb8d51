//! Where datagrams are while they travel.
//!
//! Bytes lie one after the other, with their exact length, in one chunk per 16 ms of *arrival* time. A chunk is given up
//! as a whole when its time has passed, so there is no free list, no fragment and no allocation per datagram; a handle
//! is the offset in its chunk, four bytes.

use std::collections::VecDeque;

/// 2¹⁴ µs per chunk.
const CHUNK_LOG2: u32 = 14;
/// Emptied chunks kept for reuse; more would keep the memory of a burst for ever.
const SPARE_CHUNKS: usize = 8;
/// Offsets are in units of this many bytes, so that 28 bits reach 2 GiB.
const UNIT: usize = 8;
/// The bytes before a datagram: sender, its port, the port aimed at, length.
const HEAD: usize = 12;

/// Where a datagram came from, and which of the receiver's ports it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The sender.
    pub from: u32,
    /// Which address the sender had.
    pub from_port: u16,
    /// Which address of the receiver it was sent to.
    pub to_port: u16,
}

/// Datagrams by arrival time.
#[derive(Debug, Default)]
pub struct Arena {
    /// The number of the first chunk.
    first: u64,
    chunks: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Arena {
    /// Keeps a datagram until its arrival at `at`. Returns what [`Arena::get`] needs to find it.
    ///
    /// # Panics
    ///
    /// Where more than 2 GiB arrive within 16 ms.
    pub fn put(&mut self, at: u64, label: Label, datagram: &[u8]) -> u32 {
        let index = ((at >> CHUNK_LOG2) - self.first) as usize;
        while self.chunks.len() <= index {
            self.chunks.push_back(self.spare.pop().unwrap_or_default());
        }
        let chunk = &mut self.chunks[index];
        let offset = chunk.len();
        chunk.extend_from_slice(&label.from.to_le_bytes());
        chunk.extend_from_slice(&label.from_port.to_le_bytes());
        chunk.extend_from_slice(&label.to_port.to_le_bytes());
        chunk.extend_from_slice(&(datagram.len() as u32).to_le_bytes());
        chunk.extend_from_slice(datagram);
        chunk.resize(chunk.len().next_multiple_of(UNIT), 0);
        u32::try_from(offset / UNIT).expect("less than 32 GiB of datagrams arrive within 16 ms")
    }

    /// The datagram that was put for `at`.
    pub fn get(&mut self, at: u64, handle: u32) -> (Label, &mut [u8]) {
        let index = ((at >> CHUNK_LOG2) - self.first) as usize;
        let bytes = &mut self.chunks[index][handle as usize * UNIT..];
        let (head, bytes) = bytes.split_at_mut(HEAD);
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let port = |i: usize| u16::from_le_bytes([head[i], head[i + 1]]);
        let label = Label { from: word(0), from_port: port(4), to_port: port(6) };
        let len = word(8) as usize;
        (label, &mut bytes[..len])
    }

    /// Gives up all datagrams whose time lies at least a chunk before `now`.
    pub fn release(&mut self, now: u64) {
        let upto = now >> CHUNK_LOG2;
        while self.first < upto {
            self.first += 1;
            let Some(mut chunk) = self.chunks.pop_front() else {
                self.first = upto;
                return;
            };
            if self.spare.len() < SPARE_CHUNKS {
                chunk.clear();
                self.spare.push(chunk);
            }
        }
    }

    /// The bytes held, used or not.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.chunks.iter().chain(&self.spare).map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Rng;

    #[test]
    fn datagrams_come_back_whole() {
        let mut arena = Arena::default();
        let mut rng = Rng::new(5, 0);
        let mut travelling = std::collections::BTreeMap::<(u64, u32), (Label, Vec<u8>)>::new();
        for now in (0..3_000_000).step_by(5_000) {
            while let Some(arrived) = travelling.first_entry().filter(|next| next.key().0 <= now) {
                let ((at, handle), (label, mut datagram)) = arrived.remove_entry();
                arena.release(at);
                assert_eq!(arena.get(at, handle), (label, &mut datagram[..]));
            }
            arena.release(now);
            let at = now + rng.range(0, 400_000);
            let label = Label { from: rng.next() as u32, from_port: rng.next() as u16, to_port: rng.next() as u16 };
            let datagram: Vec<u8> = (0..rng.below(300)).map(|i| (i ^ now) as u8).collect();
            travelling.insert((at, arena.put(at, label, &datagram)), (label, datagram));
        }
        assert!(arena.capacity() < 600 * 312 / 2, "what has arrived is given up");
    }
}
