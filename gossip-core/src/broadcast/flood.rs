//! Flood: everybody tells everybody at once.
//!
//! # Intuition
//!
//! Whoever hears something new tells all neighbors, except the one it came from. Nobody is missed, and nearly everybody
//! hears it as often as it has neighbors. It is the quickest way there is, so it is the yardstick of all others.
//!
//! # Bounds
//!
//! One bit per link for each accepted message; a message goes over a link at most once from each end, and over at most
//! `ttl` links in a row.

use super::copies::Copies;
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::store::Slot;

/// A new message starts its way.
pub(super) fn start(copies: &mut Copies, cx: &mut Cx<'_>, ttl: u8, slot: Slot, from: Option<PeerIdx>) {
    if cx.messages.get(slot).is_none_or(|message| message.hops >= ttl) {
        return;
    }
    for row in (0..cx.peers.capacity()).filter(|&row| Some(row) != from.map(PeerIdx::row)) {
        copies.owe(cx.peers, row, slot);
    }
}
