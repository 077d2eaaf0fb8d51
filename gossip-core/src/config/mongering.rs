//! The choices of [`Broadcast::Mongering`](super::Broadcast::Mongering).

use serde::{Deserialize, Serialize};

use super::{Rounds, within};
use crate::error::ConfigError;

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Spread {
    /// Who has a rumor tells it. Costs nothing where there is none.
    Push,
    /// Everybody asks for rumors in each round. That costs a datagram per node and round also where there is none; in return
    /// the last ones get it far more surely.
    Pull,
    /// Both.
    PushPull,
}

/// When a node loses interest in a rumor: it is judged after each round in which there was a contact about it, that is, it
/// was told to somebody, or to somebody who asked. In any case interest ends after 255 rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stop {
    /// After so many rounds. With feedback: after so many rounds in a row in which everybody in contact had heard it.
    Counter {
        /// How many.
        rounds: Rounds,
    },
    /// With a probability of `1 / one_in` after each round. With feedback: after each round in which everybody in contact had
    /// heard it.
    Coin {
        /// 1 to 255.
        one_in: u8,
    },
}

/// Whether it matters who had heard a rumor already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Feedback {
    /// It does not: *blind* in the words of the paper.
    Blind,
    /// Who gets a copy of what it knew when its round began answers so.
    Answers,
    /// The same, and who asks says what it has heard lately, so that it is not sent that in vain. A message then travels
    /// about once to each node where nobody pushes.
    Lists,
}

impl Stop {
    pub(super) fn check(self) -> Result<(), ConfigError> {
        match self {
            Self::Counter { rounds } => rounds.check("broadcast.stop.rounds"),
            Self::Coin { one_in } => within("broadcast.stop.one_in", one_in.into(), 1, 255),
        }
    }
}
