//! The failure detector on simulated networks: how soon, how surely, and at what price.
//!
//! The figures are promises of the `lan` preset on paths of 10 to 50 ms.

mod laws;
mod merging;
mod net;
mod verdicts;
