//! Does this node see losses? Only then are acknowledgements worth their price.
//!
//! # Intuition
//!
//! Letters from each pen friend are numbered. A missing number is no loss yet, it may just be late; if it is still missing a
//! little later, the mail is bad these days, and for the next six hundred letters one asks everybody for registered mail.
//! After so many without a loss one trusts the mail again.
//!
//! # Rules
//!
//! - A node is *careful* for its first 50 received datagrams, and for 600 after each loss.
//! - A number is lost if it has not come `max(20 ms, a quarter of the round trip)` after a higher one (RFC 8985 §6.2 takes the
//!   same quarter).
//!
//! # Bounds
//!
//! One comparison per datagram; one timer per link, only while a number is missing.
//!
//! # Where this differs
//!
//! One counter for the whole node and no average: an average with a threshold flickers at rare loss, and each flicker costs
//! the datagrams that tell the neighbors of it (measured for this project).

use core::time::Duration;

use alloc::boxed::Box;

use super::{Forest, Timer, micros, round_trip};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;

/// Datagrams for which a newborn node is careful.
const FIRST: u16 = 50;

/// Datagrams for which a node is careful after a loss.
const AFTER_LOSS: u16 = 600;

/// The least time that a datagram may be late.
const LATE: Duration = Duration::from_millis(20);

/// What has come over one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// Up to here all has come, or was counted as lost; of another epoch before the first.
    judged: u64,
    /// Something is missing below this number; 0 for nothing.
    upto: u64,
}

/// What has come over all links.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    careful: u16,
    gaps: Box<[Gap]>,
}

impl Loss {
    pub(super) fn new(links: usize) -> Self {
        Self { careful: FIRST, gaps: (0..links).map(|_| Gap { judged: 0, upto: 0 }).collect() }
    }

    pub(super) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<Gap>()
    }

    /// Whether losses are to be expected.
    pub(super) const fn is_careful(&self) -> bool {
        self.careful > 0
    }

    pub(super) fn forget_link(&mut self, row: usize) {
        self.gaps[row] = Gap { judged: 0, upto: 0 };
    }
}

impl Forest {
    /// A genuine datagram of this number came over a link.
    pub(crate) fn on_datagram(&mut self, now: Instant, from: PeerIdx, number: u64) {
        self.loss.careful = self.loss.careful.saturating_sub(1);
        let gap = &mut self.loss.gaps[from.row()];
        let began_anew = number >> 32 != gap.judged >> 32;
        if began_anew || number == gap.judged + 1 {
            gap.judged = gap.judged.max(number);
        } else if number > gap.judged && gap.upto == 0 {
            gap.upto = number;
            self.timers.set(Timer::Gap(from.row()), now + LATE);
        }
    }

    /// What is still missing is lost.
    pub(super) fn on_gap_timer(&mut self, cx: &mut Cx<'_>, row: usize) {
        let Some(window) = cx.peers.at(row).and_then(|peer| cx.peers.get(peer)).map(|link| link.window) else { return };
        let gap = &mut self.loss.gaps[row];
        let is_lost = !window.has_all(gap.judged, gap.upto);
        gap.judged = gap.upto;
        gap.upto = 0;
        if window.has_all(gap.judged, window.highest()) {
            gap.judged = gap.judged.max(window.highest());
        } else {
            gap.upto = window.highest();
            let late = LATE.max(micros(round_trip(cx.peers, row, &self.pace) / 4));
            self.timers.set(Timer::Gap(row), cx.now + late);
        }
        if is_lost {
            cx.stats.losses_seen += 1;
            self.become_careful(cx);
        }
    }

    fn become_careful(&mut self, cx: &mut Cx<'_>) {
        let was_careful = self.loss.is_careful();
        self.loss.careful = AFTER_LOSS;
        if !was_careful {
            self.ask_for_acks(cx);
        }
    }
}
