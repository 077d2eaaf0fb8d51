//! Datagrams of exchanges, packed when it is decided what to give, and sent when the caller polls.
//!
//! What a node gives away it has to remember until its view has changed for it; so the frame is written at once, and
//! waits here as bytes, which take less than half of the room of the entries.

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::pack::Packer;
use crate::wire::{ExchangeHead, FRAME_HEAD_LEN, HEADER_LEN, Kind, ViewEntry};

/// Replies that may wait: one, and one more for a caller that handles two datagrams before it polls.
const REPLIES: usize = 2;

/// Bytes of frame head and exchange head.
const HEADS_LEN: usize = FRAME_HEAD_LEN + 9;

/// One datagram without its header.
#[derive(Clone, Debug)]
struct Parcel {
    to: SocketAddr,
    /// Room for the header, then frames.
    bytes: Box<[u8]>,
    /// Bytes of frames; 0 where nothing waits.
    len: usize,
}

/// One request and some replies.
#[derive(Clone, Debug)]
pub(super) struct Parcels {
    request: Parcel,
    replies: [Parcel; REPLIES],
    mtu: usize,
}

impl Parcels {
    /// For at most `given` entries each; 0 where there are no exchanges.
    pub(super) fn new(given: usize, mtu: usize) -> Self {
        let size = if given == 0 { 0 } else { largest(given).min(mtu) };
        let parcel = || Parcel { to: SocketAddr::from(([0; 4], 0)), bytes: (0..size).map(|_| 0).collect(), len: 0 };
        Self { request: parcel(), replies: core::array::from_fn(|_| parcel()), mtu }
    }

    pub(super) const fn heap_bytes(given: usize) -> usize {
        (1 + REPLIES) * largest(given)
    }

    /// Packs a request, so long that a reply with `wanted` entries fits. In place of one that was not sent.
    pub(super) fn ask(
        &mut self,
        to: SocketAddr,
        head: &ExchangeHead,
        entries: impl Iterator<Item = ViewEntry>,
        wanted: usize,
    ) {
        self.request.write(to, self.mtu, Kind::VIEW_REQUEST, head, entries);
        let padded = HEADS_LEN + wanted * ViewEntry::USUAL_LEN;
        let len = self.request.len;
        let end = padded.min(self.request.bytes.len() - HEADER_LEN).max(len);
        self.request.bytes[HEADER_LEN + len..HEADER_LEN + end].fill(0);
        self.request.len = end;
    }

    /// Whether one more reply can wait.
    pub(super) fn has_room(&self) -> bool {
        self.replies.iter().any(|reply| reply.len == 0)
    }

    /// Packs a reply of at most `room` bytes of datagram, if one more can wait.
    pub(super) fn reply(
        &mut self,
        to: SocketAddr,
        room: usize,
        head: &ExchangeHead,
        entries: impl Iterator<Item = ViewEntry>,
    ) {
        let room = room.min(self.mtu);
        if let Some(reply) = self.replies.iter_mut().find(|reply| reply.len == 0) {
            reply.write(to, room, Kind::VIEW_REPLY, head, entries);
        }
    }

    /// Copies what waits behind the room for the header in `datagram`: where to, how many bytes, and whether it is the
    /// request.
    pub(super) fn pop(&mut self, datagram: &mut [u8]) -> Option<(SocketAddr, usize, bool)> {
        let is_request = self.request.len > 0;
        let parcel =
            if is_request { &mut self.request } else { self.replies.iter_mut().find(|reply| reply.len > 0)? };
        let (to, len) = (parcel.to, core::mem::take(&mut parcel.len));
        datagram[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&parcel.bytes[HEADER_LEN..HEADER_LEN + len]);
        Some((to, len, is_request))
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn holds_request(&self) -> bool {
        self.request.len > 0
    }

    pub(super) fn clear(&mut self) {
        self.request.len = 0;
        self.replies.iter_mut().for_each(|reply| reply.len = 0);
    }
}

impl Parcel {
    /// As many entries as fit; nothing, where not even the head fits.
    fn write(
        &mut self,
        to: SocketAddr,
        room: usize,
        kind: Kind,
        head: &ExchangeHead,
        entries: impl Iterator<Item = ViewEntry>,
    ) {
        let mut packet = Packer::new(&mut self.bytes, room);
        let written = packet.headed(kind, head, entries);
        (self.to, self.len) = (to, if written.is_ok() { packet.len() } else { 0 });
    }
}

/// The longest datagram with `given` entries.
const fn largest(given: usize) -> usize {
    HEADER_LEN + HEADS_LEN + given * ViewEntry::MAX_LEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::wire::Address;

    const HEAD: ExchangeHead = ExchangeHead { nonce: 1, flags: 3 };

    fn address() -> SocketAddr {
        ([10, 0, 0, 1], 7_000).into()
    }

    fn entries(count: u64) -> impl Iterator<Item = ViewEntry> {
        (0..count).map(|id| ViewEntry { id: NodeId(id), age_ds: 500, address: Address(address()) })
    }

    #[test]
    fn a_short_request_leaves_room_for_a_whole_reply() {
        let mut parcels = Parcels::new(30, 1_200);
        let mut datagram = [1; 1_200];
        parcels.ask(address(), &HEAD, entries(1), 30);
        let (_, asked, is_request) = parcels.pop(&mut datagram).expect("a request");
        assert!(is_request);
        parcels.reply(address(), HEADER_LEN + asked, &HEAD, entries(30));
        assert_eq!(parcels.pop(&mut datagram), Some((address(), asked, false)));
        assert_eq!(parcels.pop(&mut datagram), None);
        assert_eq!(asked, HEADS_LEN + 30 * ViewEntry::USUAL_LEN);
    }

    #[test]
    fn no_datagram_is_longer_than_it_may_be() {
        let mut parcels = Parcels::new(61, 256);
        let mut datagram = [0; 256];
        parcels.ask(address(), &HEAD, entries(61), 61);
        assert!(parcels.pop(&mut datagram).is_some_and(|(_, len, _)| HEADER_LEN + len <= 256));
        parcels.reply(address(), HEADER_LEN + 40, &HEAD, entries(61));
        assert!(parcels.pop(&mut datagram).is_some_and(|(_, len, _)| len <= 40));
    }

    #[test]
    fn a_third_reply_finds_no_room() {
        let mut parcels = Parcels::new(4, 1_200);
        for _ in 0..2 {
            assert!(parcels.has_room());
            parcels.reply(address(), 1_200, &HEAD, entries(1));
        }
        assert!(!parcels.has_room());
        parcels.clear();
        assert!(parcels.has_room() && parcels.pop(&mut [0; 1_200]).is_none());
    }
}
