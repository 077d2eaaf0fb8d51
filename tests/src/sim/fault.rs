//! Every way in which the simulated world is unkind, with a count of how often it really was.
//!
//! A campaign whose counts are zero has shown nothing; so each fault is counted where it takes effect, not where it was
//! asked for.

use std::fmt;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[doc = $doc])+ $name,)* }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name of the kind, as in `--json`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

faults! {
    /// A datagram was lost on the way.
    Lost = "lost",
    /// A datagram did not cross a partition.
    Cut = "cut",
    /// Of these, those whose way back was open at that time.
    CutOneWay = "cut_one_way",
    /// A further copy of a datagram was on its way.
    Duplicated = "duplicated",
    /// A datagram was held back on its own, so that later ones may overtake it.
    Reordered = "reordered",
    /// Bits of a datagram were flipped, or its tail was lost.
    Corrupted = "corrupted",
    /// A datagram waited in a clogged path.
    Clogged = "clogged",
    /// A datagram waited because its sender's or receiver's messages were held back.
    Held = "held",
    /// A datagram reached a node that is down.
    ToDead = "to_dead",
    /// A datagram was sent to an address that its node has left.
    ToOldAddress = "to_old_address",
    /// A datagram went to an address where nobody ever was.
    ToNowhere = "to_nowhere",
    /// A datagram found the receive buffer of a stalled node full.
    Overflow = "overflow",
    /// A node stopped without a word.
    Crash = "crash",
    /// A node started again with what it had stored.
    RestartKept = "restart_kept",
    /// A node started again with nothing.
    RestartEmpty = "restart_empty",
    /// A node started again with a clock that showed less than when an earlier life of it started.
    ClockBehind = "clock_behind",
    /// A record was lost because its node crashed before it was stored.
    RecordLost = "record_lost",
    /// A process stalled, and its inputs waited.
    Pause = "pause",
    /// A clock was set forward.
    ClockForward = "clock_forward",
    /// A clock was set back.
    ClockBack = "clock_back",
    /// A node got another address.
    Moved = "moved",
    /// A socket took no datagram for a while.
    SocketFull = "socket_full",
    /// An application took no event for a while.
    SlowApplication = "slow_application",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each fault happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    /// `fault` happened.
    pub const fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often `fault` happened.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Every fault with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.iter().map(|&fault| (fault, self.of(fault)))
    }
}
