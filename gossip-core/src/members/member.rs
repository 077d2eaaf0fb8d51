//! One inhabitant, as it stands in the register of all.
//!
//! What a row says of a node: its life, its address, its status, and how far its registers are known. And what follows
//! from it alone: what the application is to be told, and the share of the row in the root that two nodes compare.

use core::hash::Hasher;
use core::net::SocketAddr;

use crate::event::Event;
use crate::ids::{Incarnation, NodeId};
use crate::storage::List;
use crate::time::Instant;
use crate::view::PeerState;

/// The status of a node that said that it leaves. Odd, and beyond all others: it cannot be refuted.
pub(crate) const LEFT: u32 = u32::MAX;

/// Whether a status says that its node is no member any more.
pub(crate) const fn is_gone(status: u32) -> bool {
    status % 2 == 1
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Where it can be greeted, if it has told or been seen.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) state: PeerState,
    /// When the state became what it is; later where somebody has heard of the node since.
    pub(crate) since: Instant,
    /// An earlier life of it was known, whose registers this row keeps from coming back.
    pub(crate) reborn: bool,
    /// See the page of [`members`](super).
    pub(crate) status: u32,
    /// When it last refuted its death.
    pub(crate) refuted_at: Instant,
    /// A status that somebody's table says, which is to be looked into.
    pub(crate) accused: u32,
    /// What the application was told last.
    pub(crate) told: Told,
    /// Every live register up to this version is known here. Changed by [`Members::set_complete`](super::Members::set_complete).
    pub(crate) complete: u64,
    /// The latest version as of which anything was said of this board. Until it is complete up to there, what was replaced
    /// by then may be missing from it, and the replacement too.
    pub(crate) claimed: u64,
    /// Removed registers up to this version may have been forgotten here.
    pub(crate) floor: u64,
    /// The registers in the order of their versions.
    pub(crate) registers: List,
    /// All messages of its present life up to this number were seen or told as lost, by when what was seen of it was
    /// forgotten: should it speak again, they are not missing.
    pub(crate) forgotten: u64,
}

impl Member {
    /// What the application is to be told, if its knowledge is old.
    pub(crate) fn next_event(&mut self, concern: Concern) -> Option<Event> {
        let node = self.node;
        let was_up = matches!(self.told, Told::Up(..));
        match self.state {
            PeerState::Linked => {
                let address = self.address?;
                let up = Told::Up(self.incarnation, address);
                let news = self.told != up;
                self.told = up;
                news.then_some(Event::PeerUp { node, address })
            }
            PeerState::Unreachable => {
                self.told = if was_up { Told::Unreachable } else { self.told };
                was_up.then_some(Event::PeerUnreachable { node })
            }
            PeerState::Down | PeerState::Left => {
                let news = was_up || self.told == Told::Unreachable;
                self.told = Told::Down;
                news.then_some(Event::PeerDown { node })
            }
            PeerState::Known => match concern {
                // Of whom nothing but a name was heard may be long dead.
                Concern::Members if self.complete > 0 && !self.is_told_up() => {
                    let address = self.address?;
                    self.told = Told::Up(self.incarnation, address);
                    Some(Event::PeerUp { node, address })
                }
                Concern::Links if was_up => {
                    self.told = Told::Down;
                    Some(Event::PeerDown { node })
                }
                Concern::Members | Concern::Links | Concern::Neighbors => None,
            },
        }
    }

    /// Whether the application knows that it lives its present life.
    pub(super) fn is_told_up(&self) -> bool {
        matches!(self.told, Told::Up(incarnation, _) if incarnation == self.incarnation)
    }

    /// Whether nothing is known of it but that it is there: no link, no registers, no verdict.
    pub(crate) fn is_hearsay(&self) -> bool {
        self.state == PeerState::Known && self.complete == 0 && self.registers.is_empty()
    }

    pub(crate) const fn is_gone(&self) -> bool {
        is_gone(self.status)
    }

    /// Whether this copy of the board is what the board once was, as a whole. Only then is what is not there gone.
    pub(crate) const fn is_settled(&self) -> bool {
        self.complete >= self.claimed
    }

    /// Whether an accusation stands.
    pub(crate) const fn is_accused(&self) -> bool {
        is_gone(self.accused) && self.accused >= self.status
    }

    /// The share of this row in the root: nothing of it where it is gone, or where none of its registers is known.
    pub(super) fn fingerprint(&self, key: u64) -> u64 {
        if self.complete == 0 || self.is_gone() {
            return 0;
        }
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(key, 2);
        for number in [self.node.0, self.incarnation.0, self.complete, self.status.into()] {
            hasher.write(&number.to_le_bytes());
        }
        hasher.finish()
    }
}

/// Of whom the application is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concern {
    /// Of all members, linked or not.
    Members,
    /// Of links.
    Links,
    /// Of links, which are with configured neighbors: one that is not there at present is no news.
    Neighbors,
}

/// What the application knows of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Up(Incarnation, SocketAddr),
    Unreachable,
    Down,
}
