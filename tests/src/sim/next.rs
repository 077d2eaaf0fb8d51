//! What waits in the event queue, packed: with time and order an entry is 24 bytes.

/// What happens next, in eight bytes: node, kind and a number of 28 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A datagram arrives; the number says where it lies.
    Arrival,
    /// The core wants a tick.
    Wake,
    /// A batch of records is written. From here on the number is the life of the node that it is meant for.
    Written,
    /// The process takes the next datagram from its socket.
    Serve,
    /// The process runs again.
    Resume,
    /// The socket or the application takes something again.
    Drain,
}

impl Next {
    const NUMBER_BITS: u32 = 28;
    const KINDS: [Kind; 6] = [Kind::Arrival, Kind::Wake, Kind::Written, Kind::Serve, Kind::Resume, Kind::Drain];

    pub(super) const fn new(node: u32, kind: Kind, number: u32) -> Self {
        assert!(number >> Self::NUMBER_BITS == 0, "2 GiB of datagrams in 16 ms, or 2²⁸ lives of a node");
        Self((node as u64) << 32 | (kind as u64) << Self::NUMBER_BITS | number as u64)
    }

    pub(super) const fn parts(self) -> (u32, Kind, u32) {
        let kind = Self::KINDS[(self.0 as u32 >> Self::NUMBER_BITS) as usize];
        ((self.0 >> 32) as u32, kind, self.0 as u32 & ((1 << Self::NUMBER_BITS) - 1))
    }
}
