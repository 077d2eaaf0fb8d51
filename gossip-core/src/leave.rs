//! Leaving: hand over, say goodbye, fall silent.
//!
//! ```text
//! Active ──leave──▶ Leaving ──all handed over, or patience over──▶ Goodbye ──said──▶ Left
//! ```
//!
//! Handed over is: every own message is held by somebody else, and the news that this node leaves (its own member
//! register) is on its way to all links. Without links there is nobody to hand over to. The goodbye goes over each
//! link three times, a fraction of a round trip apart, as nobody answers it: at 30 % loss a neighbor misses all in one case
//! of 37. Each neighbor that hears one of them tells all others, and so does the register, so everybody knows within
//! one dissemination from the first goodbye on. Only with sampled membership, where nobody knows all, do
//! neighbors alone hear of it; views forget a node that does not answer.

use crate::error::SubmitError;
use crate::event::Event;
use crate::gossip::Gossip;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::Unlink;

/// How long leaving takes at the most, in probe timeouts (our choice: some repair periods).
const PATIENCE: u32 = 20;

/// How often a goodbye is said (our choice).
const GOODBYES: u8 = 3;

/// Where a node is between coming and going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Active,
    Leaving { until: Instant, check_at: Instant },
    Goodbye { until: Instant, more: u8 },
    Left { told: bool },
}

impl Phase {
    pub(crate) fn is_active(self) -> bool {
        self == Self::Active
    }

    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Left { .. })
    }

    pub(crate) fn check_active(self) -> Result<(), SubmitError> {
        if self.is_active() { Ok(()) } else { Err(SubmitError::Leaving) }
    }

    pub(crate) const fn deadline(self) -> Instant {
        match self {
            Self::Active | Self::Left { .. } => Instant::NEVER,
            Self::Leaving { check_at, .. } => check_at,
            Self::Goodbye { until, .. } => until,
        }
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        match self {
            Self::Left { told } if !*told => {
                *told = true;
                Some(Event::Left)
            }
            _ => None,
        }
    }
}

impl Gossip {
    pub(crate) fn start_leave(&mut self) {
        if !self.phase.is_active() {
            return;
        }
        let until = self.now + self.config.timing.probe_timeout * PATIENCE;
        self.phase = Phase::Leaving { until, check_at: self.now };
        self.protocols.membership.close();
        self.protocols.sampler.close();
        self.publish_address();
    }

    pub(crate) fn run_leave(&mut self) {
        let pause = self.config.timing.probe_timeout / 4;
        match self.phase {
            Phase::Leaving { until, check_at } if check_at <= self.now => {
                if self.is_handed_over() || until <= self.now {
                    self.phase = Phase::Goodbye { until: self.now, more: GOODBYES };
                    self.run_leave();
                } else {
                    self.phase = Phase::Leaving { until, check_at: self.now + pause };
                }
            }
            Phase::Goodbye { until, more } if until <= self.now => {
                let is_over = more == 0 || self.peers.len() == 0;
                self.phase = if is_over {
                    Phase::Left { told: false }
                } else {
                    self.say_goodbye(more == 1);
                    Phase::Goodbye { until: self.now + pause, more: more - 1 }
                };
            }
            Phase::Active | Phase::Leaving { .. } | Phase::Goodbye { .. } | Phase::Left { .. } => {}
        }
    }

    fn is_handed_over(&mut self) -> bool {
        let alone = self.peers.len() == 0;
        let shared = self.messages.unshared() == 0;
        let (cx, protocols) = self.split();
        alone || shared && protocols.registers.is_spread(&cx)
    }

    /// Says goodbye to all neighbors; for the last time, the links end.
    fn say_goodbye(&mut self, last: bool) {
        for row in 0..self.peers.capacity() {
            let Some(peer) = self.peers.at(row) else { continue };
            if last {
                self.unlink(peer, PeerState::Known, Some(Unlink::LEAVING));
            } else if let Some(link) = self.peers.get(peer) {
                self.protocols.membership.say_unlink(link.node, link.address, Unlink::LEAVING);
            }
        }
    }
}
