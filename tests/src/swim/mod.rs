//! A reference SWIM with suspicion: what our failure detector is compared with, over the same simulated network.
//!
//! # Intuition
//!
//! Everybody holds the whole list of members and strikes names off it. Once a period a node pings one member (all of them
//! in turn, in a random order); without an answer in time it asks three others to ping for it; without an answer by
//! the end of the period it tells everybody that it *suspects* the member. Who hears that of himself denies it, with a
//! higher incarnation. Who does not deny in time is dead. News travel on pings, and on gossip of their own.
//!
//! # Sources, and where this differs
//!
//! Das, Gupta, Motivala 2002 (SWIM, §4: indirect probes, round robin, suspicion), with the constants of memberlist as
//! the Lifeguard paper uses them; Dadgar, Phillips, Currey 2018 (Lifeguard, §4) behind [`Config::lifeguard`]. Members
//! know each other from the start, and streams (push-pull of whole tables, pings over TCP) are left out: both favor SWIM in
//! what it sends. Written as a state machine without I/O, like the core: messages and timers in, messages, timers and
//! verdicts out.

mod cluster;
mod news;
mod node;
mod verdicts;

pub use cluster::{Cluster, Watch};
pub use news::{News, State};
pub use node::{Message, Node, Output, Probe, Timer};

const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// How a node of SWIM is set up. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// One member is probed in each period.
    pub period: u64,
    /// How long an answer may take before others are asked to probe.
    pub timeout: u64,
    /// How many others are asked.
    pub helpers: usize,
    /// The suspicion lasts `alpha · max(1, log₁₀ n)` periods.
    pub alpha: f64,
    /// News are also sent by themselves, once in this time,
    pub gossip_period: u64,
    /// to so many members.
    pub gossip_fanout: u32,
    /// News are sent `spread · ⌈log₁₀(n + 1)⌉` times by each node.
    pub spread: u32,
    /// The extensions of Lifeguard, where they are on.
    pub lifeguard: Option<Lifeguard>,
}

/// The extensions of Lifeguard: a node that answers late doubts itself first.
#[derive(Clone, Copy, Debug)]
pub struct Lifeguard {
    /// A suspicion of one accuser lasts so many times longer,
    pub beta: f64,
    /// and sinks to its least with so many further accusers.
    pub confirmations: u32,
    /// The most by which period and time-out are stretched, less one.
    pub health_max: u32,
}

impl Config {
    /// SWIM with suspicion, as in the Lifeguard paper: α = 5, the rest as memberlist for a LAN.
    #[must_use]
    pub const fn swim() -> Self {
        Self {
            period: SECOND,
            timeout: 500 * MILLISECOND,
            helpers: 3,
            alpha: 5.0,
            gossip_period: 200 * MILLISECOND,
            gossip_fanout: 3,
            spread: 4,
            lifeguard: None,
        }
    }

    /// The same with Lifeguard: β = 6, K = 3, health up to 8.
    #[must_use]
    pub const fn lifeguard() -> Self {
        Self { lifeguard: Some(Lifeguard { beta: 6.0, confirmations: 3, health_max: 8 }), ..Self::swim() }
    }

    /// How long a suspicion lasts among `nodes` members with `confirmations` accusers besides the first.
    #[must_use]
    pub fn suspicion(&self, nodes: usize, confirmations: u32) -> u64 {
        let least = self.alpha * (nodes as f64).log10().max(1.0) * self.period as f64;
        let Some(lifeguard) = self.lifeguard else { return least as u64 };
        let most = least * lifeguard.beta;
        let share = f64::from(confirmations + 1).ln() / f64::from(lifeguard.confirmations + 1).ln();
        (most - share * (most - least)).max(least) as u64
    }

    /// How often a node passes one piece of news on.
    fn retransmissions(&self, nodes: usize) -> u32 {
        self.spread * (nodes as f64 + 1.0).log10().ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_shorten_a_suspicion() {
        assert_eq!(Config::swim().suspicion(1_000, 0), 15 * SECOND);
        assert_eq!(Config::swim().suspicion(5, 0), 5 * SECOND);
        let suspicion = |confirmations| Config::lifeguard().suspicion(10, confirmations) / MILLISECOND;
        assert_eq!([0, 1, 3, 9].map(suspicion), [30_000, 17_500, 5_000, 5_000]);
    }
}
