//! Chaos: a whole cluster, everything that can go wrong, and all checkers, from one seed.
//!
//! In the manner of TigerBeetle's VOPR. A seed draws a [`Plan`]: which faults there are, how often, and how the nodes are
//! configured. Not every seed has every fault (swarm testing, Groce et al. 2012): what is always on hides what
//! it suppresses. In the *safety* phase everything happens at once, and nothing wrong may be told or delivered. In the
//! *liveness* phase the faults stop, and within a stated time all must be whole, delivered or told.

mod plan;
mod run;
mod script;
mod twins;

pub use plan::{Kinds, Plan, Request};
pub use run::{Outcome, run, run_traced};
pub use script::{Deed, Script};
pub use twins::{Twin, differing};
