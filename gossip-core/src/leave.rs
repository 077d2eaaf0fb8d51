//! Leaving: hand over, say goodbye, fall silent.
//!
//! ```text
//! Active ──leave──▶ Leaving ──all handed over, or patience over──▶ Goodbye ──said──▶ Left
//! ```
//!
//! Handed over is: every own message is held by somebody else, and the news that this node leaves (its own member
//! register) is on its way to all links. Without links there is nobody to hand over to. The goodbye goes over each
//! link once; if it is lost, the others know from the register.

use crate::error::SubmitError;
use crate::event::Event;
use crate::gossip::Gossip;
use crate::time::Instant;
use crate::view::PeerState;
use crate::wire::Unlink;

/// How long leaving takes at the most, in probe timeouts (our choice: some repair periods).
const PATIENCE: u32 = 20;

/// Where a node is between coming and going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Active,
    Leaving { until: Instant, check_at: Instant },
    Goodbye { until: Instant },
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
            Self::Goodbye { until } => until,
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
                    self.say_goodbye();
                    self.phase = Phase::Goodbye { until: self.now + pause };
                } else {
                    self.phase = Phase::Leaving { until, check_at: self.now + pause };
                }
            }
            Phase::Goodbye { until } if until <= self.now => self.phase = Phase::Left { told: false },
            Phase::Active | Phase::Leaving { .. } | Phase::Goodbye { .. } | Phase::Left { .. } => {}
        }
    }

    fn is_handed_over(&mut self) -> bool {
        let alone = self.peers.len() == 0;
        let shared = self.messages.unshared() == 0;
        let (cx, protocols) = self.split();
        alone || shared && protocols.registers.is_spread(&cx)
    }

    fn say_goodbye(&mut self) {
        for row in 0..self.peers.capacity() {
            if let Some(peer) = self.peers.at(row) {
                self.unlink(peer, PeerState::Known, Some(Unlink::LEAVING));
            }
        }
    }
}
