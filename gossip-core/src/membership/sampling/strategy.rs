//! Which peer sampling protocol a node runs: a point in the space of Jelasity et al.
//!
//! Three questions span it. *With whom* does a node exchange ([`PeerSelection`])? *Who gives entries* to whom
//! ([`ViewPropagation`])? *Which entries stay* when there are more than the view holds ([`ViewSelection`])? The paper of
//! 2004 answers each in three ways, which makes 27 protocols; the one of 2007 replaces the last answer by two numbers,
//! the healer and the swapper.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::within;
use crate::error::ConfigError;

/// The smallest view that can be configured: below it, half a view has no room for anybody but the sender.
pub(crate) const VIEW_MIN: u16 = 4;

/// A smaller view is warned about: with it some choices fall apart without any failure (100 nodes with views of 8
/// and healer 4 in 50 of 50 runs, with views of 10 in 1).
const VIEW_SAFE: u16 = 10;

/// The most copies of an entry that one entry can stand for.
pub(crate) const COPIES_MAX: u8 = 16;

/// A peer sampling protocol. The view's size is [`Limits::view`](crate::Limits::view), called `c` here.
///
/// The default is what measured best in every respect together: the oldest entry is asked, both sides give half of their
/// view, one entry in sixty heals and the others swap. Every other choice stays possible; where one is known to
/// be unsafe, the application gets an [`Event::Warning`](crate::Event::Warning) that says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// With whom a node exchanges.
    pub peer_selection: PeerSelection,
    /// Who gives entries to whom.
    pub view_propagation: ViewPropagation,
    /// Which entries stay.
    pub view_selection: ViewSelection,
    /// How the age of an entry is told.
    pub freshness: Freshness,
}

/// With whom a node exchanges: which entry of its view it contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerSelection {
    /// The freshest entry. Unsafe: neighborhoods close in on themselves.
    Head,
    /// Any entry.
    Random,
    /// The oldest entry: the one that most needs to be looked at.
    Tail,
}

/// Who gives entries to whom in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewPropagation {
    /// The one who asks. Unsafe: a network grown from one contact becomes a star, or falls apart.
    Push,
    /// The one who is asked. Unsafe: every network becomes a star.
    Pull,
    /// Both.
    PushPull,
}

/// Which entries stay when there are more than the view holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewSelection {
    /// The freshest (2004); whole views are exchanged.
    Head,
    /// Any (2004); whole views are exchanged. Dead entries stay for long.
    Random,
    /// The oldest (2004); whole views are exchanged. Unsafe: newcomers are not taken up, and the dead are kept.
    Tail,
    /// The form of 2007; half views are exchanged. Of what is too much, the `healer` oldest entries go first, then
    /// `swapper` of those that were given away, then any. Together at most `c / 2`.
    Balanced {
        /// How many of the oldest entries go in each exchange: the larger, the sooner the dead are forgotten, and the
        /// more the network clusters. 1 to `c / 4` is safe.
        healer: u16,
        /// How many entries that the other side has got go in each exchange: the larger, the more even the degrees.
        swapper: u16,
    },
    /// Entries are leases (our own): each node puts `copies` of its own entry into the network a period, all when it
    /// asks and none when it is asked, and each lives for `lifetime` periods. So every node has had about as many copies made as
    /// any other, and no dead one is remembered for longer than a lifetime. Half views are exchanged, and all that was given goes
    /// first. `copies · lifetime` should be the size of the view.
    Lease {
        /// Copies of a node's own entry, 1 to 16. An entry that stands for several is halved when it is given away.
        copies: u8,
        /// Periods, from 2 on.
        lifetime: u8,
    },
}

/// How the age of an entry is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// By the clock: as old as the time since the node spoke for itself.
    Time,
    /// By counting, as in the papers, for comparison with them; the dead are forgotten later. In the form of 2007 every
    /// exchange of the node that holds it makes an entry half a period older. In the form of 2004 every hop makes
    /// it a period older, and so does every period (without that, as in the paper, the dead would never leave).
    Counted,
}

/// Why a choice is unsafe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsafe {
    /// [`PeerSelection::Head`]: severe clustering.
    Clustering,
    /// Without a healer nothing drives out the entries of dead nodes.
    DeadEntries,
    /// A healer above a quarter of the view: clustering, and at small sizes a partition without any failure.
    Healer,
    /// [`ViewSelection::Tail`]: newcomers are not taken up.
    Newcomers,
    /// [`ViewPropagation::Push`] or [`ViewPropagation::Pull`]: the network becomes a star, or falls apart.
    OneWay,
    /// A view below ten entries.
    SmallView,
}

impl Unsafe {
    /// All reasons, in the order in which the application hears of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Clustering, Self::DeadEntries, Self::Healer, Self::Newcomers, Self::OneWay, Self::SmallView];
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clustering => "asking the freshest entry closes neighborhoods in on themselves",
            Self::DeadEntries => "nothing drives out the entries of dead nodes",
            Self::Healer => "a healer above a quarter of the view makes the network cluster, and small ones fall apart",
            Self::Newcomers => "keeping the oldest entries leaves newcomers out",
            Self::OneWay => "exchanges in one direction make the network a star, or let it fall apart",
            Self::SmallView => "views below ten entries may fall apart",
        })
    }
}

impl Sampling {
    /// The safe default for views of `view` entries: the oldest entry, both ways, healer 1, swapper `view / 2 − 1`.
    pub const fn balanced(view: u16) -> Self {
        let swapper = (view / 2).saturating_sub(1);
        Self {
            peer_selection: PeerSelection::Tail,
            view_propagation: ViewPropagation::PushPull,
            view_selection: ViewSelection::Balanced { healer: 1, swapper },
            freshness: Freshness::Time,
        }
    }

    /// The 27 protocols of 2004, by their names `(peer selection, view selection, view propagation)`: what
    /// [`Display`](fmt::Display) prints and [`FromStr`] reads.
    pub fn classics() -> impl Iterator<Item = Self> {
        PeerSelection::ALL.into_iter().flat_map(|peer_selection| {
            [ViewSelection::Head, ViewSelection::Random, ViewSelection::Tail].into_iter().flat_map(
                move |view_selection| {
                    ViewPropagation::ALL.into_iter().map(move |view_propagation| Self {
                        peer_selection,
                        view_propagation,
                        view_selection,
                        freshness: Freshness::Time,
                    })
                },
            )
        })
    }

    /// Whether whole views are exchanged, as in 2004.
    pub(crate) const fn gives_whole_view(&self) -> bool {
        matches!(self.view_selection, ViewSelection::Head | ViewSelection::Random | ViewSelection::Tail)
    }

    /// How many entries one side gives at most, its own included, with views of `view`.
    pub(crate) const fn given(&self, view: u16) -> usize {
        match self.view_selection {
            ViewSelection::Balanced { .. } | ViewSelection::Lease { .. } => view as usize / 2,
            ViewSelection::Head | ViewSelection::Random | ViewSelection::Tail => view as usize + 1,
        }
    }

    /// What is unsafe about it, with views of `view`.
    pub(crate) fn risks(&self, view: u16) -> impl Iterator<Item = Unsafe> {
        let this = *self;
        Unsafe::ALL.into_iter().filter(move |risk| match risk {
            Unsafe::Clustering => this.peer_selection == PeerSelection::Head,
            Unsafe::DeadEntries => matches!(
                this.view_selection,
                ViewSelection::Random | ViewSelection::Tail | ViewSelection::Balanced { healer: 0, .. }
            ),
            Unsafe::Healer => {
                matches!(this.view_selection, ViewSelection::Balanced { healer, .. } if healer > (view / 4).max(1))
            }
            Unsafe::Newcomers => this.view_selection == ViewSelection::Tail,
            Unsafe::OneWay => this.view_propagation != ViewPropagation::PushPull,
            Unsafe::SmallView => view < VIEW_SAFE,
        })
    }

    pub(crate) fn check(&self, view: u16) -> Result<(), ConfigError> {
        match self.view_selection {
            ViewSelection::Balanced { healer, swapper } => {
                let both = u64::from(healer) + u64::from(swapper);
                within("membership.sampling.healer + swapper", both, 0, (view / 2).into())
            }
            ViewSelection::Lease { copies, lifetime } => {
                within("membership.sampling.copies", copies.into(), 1, COPIES_MAX.into())?;
                within("membership.sampling.lifetime", lifetime.into(), 2, u8::MAX.into())
            }
            ViewSelection::Head | ViewSelection::Random | ViewSelection::Tail => Ok(()),
        }
    }
}

impl PeerSelection {
    const ALL: [Self; 3] = [Self::Head, Self::Random, Self::Tail];

    const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Random => "rand",
            Self::Tail => "tail",
        }
    }
}

impl ViewPropagation {
    const ALL: [Self; 3] = [Self::Push, Self::Pull, Self::PushPull];

    const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::PushPull => "pushpull",
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}, {})", self.peer_selection.name(), self.view_selection, self.view_propagation.name())
    }
}

impl fmt::Display for ViewSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Random => f.write_str("rand"),
            Self::Tail => f.write_str("tail"),
            Self::Balanced { healer, swapper } => write!(f, "H={healer} S={swapper}"),
            Self::Lease { copies, lifetime } => write!(f, "C={copies} L={lifetime}"),
        }
    }
}

/// A name is not one of those that [`Sampling`] and its parts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSamplingError;

impl fmt::Display for ParseSamplingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a name such as (tail, H=1 S=29, pushpull) or (rand, head, push)")
    }
}

impl core::error::Error for ParseSamplingError {}

impl FromStr for PeerSelection {
    type Err = ParseSamplingError;

    fn from_str(text: &str) -> Result<Self, ParseSamplingError> {
        Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or(ParseSamplingError)
    }
}

impl FromStr for ViewPropagation {
    type Err = ParseSamplingError;

    fn from_str(text: &str) -> Result<Self, ParseSamplingError> {
        Self::ALL.into_iter().find(|choice| choice.name() == text).ok_or(ParseSamplingError)
    }
}

impl FromStr for ViewSelection {
    type Err = ParseSamplingError;

    fn from_str(text: &str) -> Result<Self, ParseSamplingError> {
        match text {
            "head" => Ok(Self::Head),
            "rand" => Ok(Self::Random),
            "tail" => Ok(Self::Tail),
            _ => {
                let (one, other) = text.split_once(' ').ok_or(ParseSamplingError)?;
                let balanced = number(one, "H=").zip(number(other, "S="));
                let balanced = balanced.map(|(healer, swapper)| Self::Balanced { healer, swapper });
                let lease = number(one, "C=").zip(number(other, "L="));
                let lease = lease.map(|(copies, lifetime)| Self::Lease { copies, lifetime });
                balanced.or(lease).ok_or(ParseSamplingError)
            }
        }
    }
}

fn number<T: FromStr>(text: &str, prefix: &str) -> Option<T> {
    text.strip_prefix(prefix)?.parse().ok()
}

impl FromStr for Sampling {
    type Err = ParseSamplingError;

    fn from_str(text: &str) -> Result<Self, ParseSamplingError> {
        let inside = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        let mut parts = inside.split(',').map(str::trim);
        let (Some(peer), Some(view), Some(propagation), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseSamplingError);
        };
        Ok(Self {
            peer_selection: peer.parse()?,
            view_propagation: propagation.parse()?,
            view_selection: view.parse()?,
            freshness: Freshness::Time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn all_27_have_names_that_parse_back() {
        let all: Vec<_> = Sampling::classics().collect();
        assert_eq!(all.len(), 27);
        let mut names: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert!(all.iter().zip(&names).all(|(one, name)| name.parse() == Ok(*one)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 27);
        assert_eq!("(rand, rand, push)".parse::<Sampling>().map(|lpbcast| lpbcast.given(30)), Ok(31));
    }

    #[test]
    fn the_form_of_2007_parses_back_and_nonsense_does_not_parse() {
        let balanced = Sampling::balanced(60);
        assert_eq!(balanced.to_string(), "(tail, H=1 S=29, pushpull)");
        assert_eq!(balanced.to_string().parse(), Ok(balanced));
        let lease = Sampling { view_selection: ViewSelection::Lease { copies: 4, lifetime: 9 }, ..balanced };
        assert_eq!((lease.to_string().as_str(), lease.to_string().parse()), ("(tail, C=4 L=9, pushpull)", Ok(lease)));
        for wrong in ["", "tail,rand", "tail,rand,push,pull", "first,rand,push", "tail,H=1,push", "tail,H=1 L=9,push"] {
            assert_eq!(wrong.parse::<Sampling>(), Err(ParseSamplingError), "{wrong}");
        }
    }

    #[test]
    fn the_default_is_safe_and_every_risk_has_a_choice() {
        assert_eq!(Sampling::balanced(60).risks(60).count() + Sampling::balanced(20).risks(20).count(), 0);
        let risks = |name: &str, view| name.parse::<Sampling>().expect("a name").risks(view).collect::<Vec<_>>();
        assert_eq!(risks("head,head,pushpull", 30), [Unsafe::Clustering]);
        assert_eq!(risks("tail,tail,pushpull", 30), [Unsafe::DeadEntries, Unsafe::Newcomers]);
        assert_eq!(risks("tail,H=15 S=0,push", 30), [Unsafe::Healer, Unsafe::OneWay]);
        assert_eq!(risks("rand,H=0 S=2,pull", 6), [Unsafe::DeadEntries, Unsafe::OneWay, Unsafe::SmallView]);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let half = Sampling::balanced(30);
        assert_eq!((half.check(30), half.check(31), Sampling::balanced(4).check(4)), (Ok(()), Ok(()), Ok(())));
        assert!(half.check(29).is_err(), "healer and swapper are more than half of the view");
        let lease = |copies, lifetime| Sampling { view_selection: ViewSelection::Lease { copies, lifetime }, ..half };
        assert!(lease(4, 9).check(30).is_ok() && lease(17, 9).check(30).is_err() && lease(4, 1).check(30).is_err());
    }
}
