//! Do two nodes agree on what is older than their digests name?
//!
//! # Intuition
//!
//! Two bookkeepers whose books never close: there is always a letter on its way that one has entered and the other has not,
//! so their totals differ whenever they look. But the latest entries they read out to each other anyway. So each takes
//! off from its total all that was *not* read out and is recent, since that is on its way, and they compare what is left.
//!
//! # Rules
//!
//! - The writer of a digest says for which span it names what it got. Both ends take off what is not named and younger (by the
//!   age that it carries) than half of the span: what one end has got within that time, the other has got within
//!   the whole, or lacks it.
//! - Who lacks something that is named fetches it, and compares another time.
//! - [`ODD_MAX`] digests in a row that differ are believed: who lacks something old hears that from everybody, and rows that
//!   one end has forgotten a moment before the other are no difference. An end that cannot say, as it has forgotten what it
//!   would have to take off, or gets more than it can name, counts as different: then the tables themselves are compared.
//!
//! # Bounds
//!
//! One walk over the cards of half a span, and one fingerprint for each origin that is taken off from.
//!
//! # Source
//!
//! Our choice. Comparing recent updates by a list and the rest by a checksum is Demers et al. 1987, §1.3; there the list is
//! sent first and the checksums are compared when it was exchanged, which in a steady stream of messages never agree.

use core::time::Duration;

use super::digest::NAMES_MAX;
use super::recent::{CARDS_MAX, CardNo};
use super::{Forest, micros};
use crate::protocol::Cx;
use crate::store::Row;
use crate::time::Instant;
use crate::wire::Digest;

/// So many digests in a row are believed.
const ODD_MAX: u8 = 3;

/// A set of cards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named([u64; CARDS_MAX / 64]);

impl Named {
    pub(super) const NONE: Self = Self([0; CARDS_MAX / 64]);

    pub(super) fn insert(&mut self, place: CardNo) {
        self.0[usize::from(place) / 64] |= 1 << (place % 64);
    }

    fn contains(&self, place: CardNo) -> bool {
        self.0[usize::from(place) / 64] >> (place % 64) & 1 == 1
    }
}

impl Forest {
    /// The root of what was seen, without what is neither named nor as old as half of `span`; 0 where that is not known.
    pub(super) fn older(&self, cx: &Cx<'_>, named: &Named, span: Duration) -> u64 {
        let half = span / 2;
        let mut unseen = heapless::Vec::<(Row, u64), NAMES_MAX>::new();
        let mut ends = self.recent.len() < CARDS_MAX;
        for (place, card) in self.recent.latest() {
            if card.at == Instant::NEVER || card.at + half < cx.now {
                ends = true;
                break;
            }
            if named.contains(place) {
                continue;
            }
            let Some(message) = card.slot.and_then(|slot| cx.messages.get(slot)) else { return 0 };
            let is_young = Duration::from_millis(message.age_ms(cx.now).into()) < half;
            if is_young && unseen.push((message.row, message.id.seq)).is_err() {
                return 0;
            }
        }
        unseen.sort_unstable();
        // A sum may be 0; as good as any other is 1.
        if ends { cx.origins.root_without(&unseen).max(1) } else { 0 }
    }

    /// Whether what is older than a digest's names differs from what is here, by this and the digests before.
    pub(super) fn judge_older(&mut self, cx: &Cx<'_>, digest: &Digest<'_>) -> bool {
        let mut named = Named::NONE;
        for id in digest.ids.0.as_chunks::<4>().0.iter().take(NAMES_MAX) {
            match self.recent.find(u32::from_le_bytes(*id)) {
                Some(place) => named.insert(place),
                None => return false,
            }
        }
        let span = Duration::from_millis(digest.span_ms.into());
        let here = self.older(cx, &named, span);
        self.digests.odd = if here == digest.older && here != 0 { 0 } else { self.digests.odd + 1 };
        self.digests.odd >= ODD_MAX && core::mem::take(&mut self.digests.odd) > 0
    }

    /// How long ago names must have been accepted to be in a digest.
    pub(super) fn announce_age(&self, cx: &Cx<'_>) -> Duration {
        super::digest::AGE_MIN.max(micros(self.median_round_trip(cx.peers)) * 5)
    }
}
