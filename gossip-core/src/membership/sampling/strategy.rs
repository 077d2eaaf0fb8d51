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
                    })
                },
            )
        })
    }

    /// How many entries one side gives at most, its own included, with views of `view`.
    pub(crate) const fn given(&self, view: u16) -> usize {
        match self.view_selection {
            ViewSelection::Balanced { .. } => view as usize / 2,
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
        let ViewSelection::Balanced { healer, swapper } = self.view_selection else { return Ok(()) };
        within("membership.sampling.healer + swapper", u64::from(healer) + u64::from(swapper), 0, (view / 2).into())
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
                let (healer, swapper) = text.split_once(' ').ok_or(ParseSamplingError)?;
                let number = |text: &str, prefix| text.strip_prefix(prefix)?.parse().ok();
                let (healer, swapper) = (number(healer, "H="), number(swapper, "S="));
                Ok(Self::Balanced {
                    healer: healer.ok_or(ParseSamplingError)?,
                    swapper: swapper.ok_or(ParseSamplingError)?,
                })
            }
        }
    }
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
        for wrong in ["", "tail,rand", "tail,rand,push,pull", "first,rand,push", "tail,H=1,push", "tail,H=1 S=x,push"] {
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
    }
}
