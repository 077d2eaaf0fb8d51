//! What a failure detector says of whom, against what is true.

use gossip_core::Event;

use crate::lab::IP_UDP;
use crate::sim::{Observer, Step, What};
use crate::swim::{State, Watch};

/// Never.
const NEVER: u64 = u64::MAX;

/// Knows the truth, and hears all verdicts.
#[derive(Clone, Debug)]
pub(super) struct Court {
    slow: Vec<bool>,
    dead: Vec<bool>,
    crashes: Vec<Crash>,
    /// Whom each node holds for dead.
    condemned: Vec<Vec<bool>>,
    /// Whether traffic and false verdicts count now.
    pub(super) measuring: bool,
    /// Whether events tell of members. With sampled membership they tell of links, which end for other reasons too.
    pub(super) hears_events: bool,
    pub(super) false_positives: u64,
    pub(super) false_positives_healthy: u64,
    pub(super) slow_declared: u64,
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// A crash, and when it was noticed.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    pub(super) victim: u32,
    pub(super) at: u64,
    /// When somebody first doubted.
    pub(super) suspected: Option<u64>,
    /// When each node first held the victim for dead.
    known: Vec<u64>,
}

impl Court {
    pub(super) fn new(slow: Vec<bool>) -> Self {
        Self {
            dead: vec![false; slow.len()],
            condemned: vec![vec![false; slow.len()]; slow.len()],
            slow,
            crashes: Vec::new(),
            measuring: false,
            hears_events: true,
            false_positives: 0,
            false_positives_healthy: 0,
            slow_declared: 0,
            datagrams: 0,
            bytes: 0,
        }
    }

    /// `victim` crashes now.
    pub(super) fn crashed(&mut self, at: u64, victim: u32) {
        self.dead[victim as usize] = true;
        let known = self.condemned.iter().map(|held| if held[victim as usize] { at } else { NEVER }).collect();
        self.crashes.push(Crash { victim, at, suspected: None, known });
    }

    /// The victim of the last crash, while nobody has doubted it.
    pub(super) fn unsuspected(&self) -> Option<u32> {
        self.crashes.last().filter(|crash| crash.suspected.is_none()).map(|crash| crash.victim)
    }

    /// Somebody doubts `member`.
    pub(super) fn suspected(&mut self, at: u64, member: u32) {
        if let Some(crash) = self.crashes.iter_mut().find(|crash| crash.victim == member) {
            crash.suspected.get_or_insert(at);
        }
    }

    /// `observer` holds `member` for dead, or not any more.
    pub(super) fn judged(&mut self, at: u64, observer: u32, member: u32, dead: bool) {
        let was = std::mem::replace(&mut self.condemned[observer as usize][member as usize], dead);
        if dead && !was {
            self.condemned(at, observer, member);
        }
    }

    /// Who is up, as far as this court knows.
    pub(super) fn survivors(&self) -> impl Iterator<Item = u32> + use<> {
        let up: Vec<u32> = (0..self.dead.len() as u32).filter(|&node| !self.dead[node as usize]).collect();
        up.into_iter()
    }

    fn condemned(&mut self, at: u64, observer: u32, member: u32) {
        if self.dead[member as usize] {
            self.suspected(at, member);
            if let Some(crash) = self.crashes.iter_mut().find(|crash| crash.victim == member) {
                let known = &mut crash.known[observer as usize];
                *known = at.min(*known);
            }
        } else if self.measuring {
            let healthy = u64::from(!self.slow[observer as usize]);
            if self.slow[member as usize] {
                self.slow_declared += healthy;
            } else {
                self.false_positives += 1;
                self.false_positives_healthy += healthy;
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        if self.measuring {
            self.datagrams += 1;
            self.bytes += bytes as u64 + IP_UDP;
        }
    }

    /// For each crash the seconds until each survivor knew of it, in order, and how many never did.
    pub(super) fn knowledge(&self) -> impl Iterator<Item = (Vec<f64>, u64)> + '_ {
        self.crashes.iter().map(|crash| {
            let survivors = crash.known.iter().zip(&self.dead).filter(|(_, dead)| !**dead);
            let (known, never): (Vec<u64>, Vec<u64>) = survivors.map(|(at, _)| *at).partition(|&at| at != NEVER);
            let mut after: Vec<f64> = known.iter().map(|at| (at - crash.at) as f64 / 1e6).collect();
            after.sort_by(f64::total_cmp);
            (after, never.len() as u64)
        })
    }

    /// For each crash that anybody noticed, the seconds until the first doubt.
    pub(super) fn first_suspicions(&self) -> impl Iterator<Item = f64> + '_ {
        self.crashes.iter().filter_map(|crash| Some((crash.suspected? - crash.at) as f64 / 1e6))
    }
}

/// The real core, by its events.
impl Observer for Court {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Told(Event::PeerDown { node }) if self.hears_events => {
                self.judged(step.at, step.node, node.0 as u32 - 1, true);
            }
            What::Told(Event::PeerUp { node, .. }) if self.hears_events => {
                self.judged(step.at, step.node, node.0 as u32 - 1, false);
            }
            What::Sent { datagram, .. } => self.count(datagram.len()),
            _ => {}
        }
    }
}

impl Watch for Court {
    fn verdict(&mut self, at: u64, observer: u32, member: u32, state: State) {
        match state {
            State::Suspect => self.suspected(at, member),
            State::Dead => self.judged(at, observer, member, true),
            State::Alive => self.judged(at, observer, member, false),
        }
    }

    fn sent(&mut self, bytes: usize) {
        self.count(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_judged_by_the_truth() {
        let mut court = Court::new(vec![false, false, true, false]);
        court.judged(5, 0, 1, true);
        court.measuring = true;
        court.judged(6, 0, 1, true);
        assert_eq!(court.false_positives, 0, "it is no news");
        court.judged(6, 0, 1, false);
        court.judged(6, 0, 1, true);
        court.judged(6, 2, 1, true);
        court.judged(7, 0, 2, true);
        assert_eq!((court.false_positives, court.false_positives_healthy, court.slow_declared), (2, 1, 1));
        court.crashed(1_000_000, 3);
        assert_eq!(court.unsuspected(), Some(3));
        court.suspected(2_500_000, 3);
        court.judged(3_000_000, 0, 3, true);
        court.judged(9_000_000, 0, 3, true);
        court.judged(5_000_000, 2, 3, true);
        assert_eq!(court.first_suspicions().collect::<Vec<_>>(), [1.5]);
        assert_eq!(court.knowledge().collect::<Vec<_>>(), [(vec![2.0, 4.0], 1)]);
        assert_eq!(court.false_positives, 2, "the dead may be called dead");
        assert_eq!(court.survivors().collect::<Vec<_>>(), [0, 1, 2]);
        court.count(72);
        assert_eq!((court.datagrams, court.bytes), (1, 100));
    }
}
