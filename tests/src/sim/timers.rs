//! Timers: one wake-up per node, derived from its `poll_timeout` after every drain.

use gossip_core::Gossip;

use crate::sim::next::{Kind, Next};
use crate::sim::node::NEVER;
use crate::sim::rng::{hash, within};
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

/// After a full drain a node gets at least so much rest before the next tick, where law 2 is broken or its socket is
/// full: without it the simulation would not advance.
const REST: u64 = 1_000;

impl<O: Observer> Simulation<O> {
    /// A wake-up; most are stale or early, as nothing is ever taken out of the queue.
    pub(super) fn wake(&mut self, node: u32, at: u64) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        if state.wake != at {
            return;
        }
        state.wake = NEVER;
        if state.gossip.is_some() && !state.is_paused(now) {
            self.attend(node, true);
        }
    }

    /// The node's clock was set: its wake-up lies elsewhere in real time now.
    pub(super) fn look_at_clock(&mut self, node: u32) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        state.wake = NEVER;
        if state.gossip.is_some() && !state.is_paused(now) {
            let drained = state.is_writable(now) && state.is_listening(now);
            self.attend(node, drained);
        }
    }

    /// After an input: drains all outputs and sees to the next deadline.
    pub(super) fn settle(&mut self, node: u32) {
        let mut drained = self.drain(node);
        if self.nodes[node as usize].acknowledges {
            self.acknowledge(node);
            drained = self.drain(node);
        }
        // The law is about nodes that are drained; what waits in one that is not may well be due.
        if drained && self.options.drive.tick_after_input {
            self.tick(node);
            drained = self.drain(node);
        }
        self.attend(node, drained);
    }

    /// Ticks a node that is due, or arranges to be back when it is.
    pub(super) fn attend(&mut self, node: u32, drained: bool) {
        self.attend_by(node, drained, Self::tick);
    }

    fn attend_by(&mut self, node: u32, mut drained: bool, tick: impl Fn(&mut Self, u32)) {
        let mut ticked = false;
        loop {
            let state = &self.nodes[node as usize];
            let local = state.local(self.now);
            let Some(deadline) = state.gossip.as_ref().and_then(Gossip::poll_timeout) else { return };
            if deadline > local {
                self.wake_at(node, state.clock.real(deadline.as_micros()));
                return;
            }
            if ticked {
                let reason = state.gossip.as_ref().and_then(Gossip::timeout_reason);
                if drained {
                    self.step(node, What::Spun { reason });
                }
                self.wake_at(node, self.now + REST);
                return;
            }
            tick(self, node);
            drained = self.drain(node);
            ticked = true;
        }
    }

    fn wake_at(&mut self, node: u32, mut at: u64) {
        let state = &mut self.nodes[node as usize];
        if let Some(late) = self.options.drive.late {
            at = at.saturating_add(within(hash([self.options.seed, u64::from(node), at]), 0, late.tick_delay));
        }
        if at < state.wake {
            state.wake = at;
            self.queue.push(at, Next::new(node, Kind::Wake, 0));
        }
    }

    fn tick(&mut self, node: u32) {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        let local = state.local(now);
        let Some(gossip) = &mut state.gossip else { return };
        let reason = gossip.timeout_reason();
        gossip.handle_timeout(local);
        self.step(node, What::Ticked { reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Options, Step};
    use gossip_core::{Config, NodeId};

    /// How often a law was seen broken.
    #[derive(Default)]
    struct Spins(u32);

    impl Observer for Spins {
        fn observe(&mut self, step: &Step<'_>) {
            self.0 += u32::from(matches!(step.what, What::Spun { reason: Some(_) }));
        }
    }

    /// A node that is due, with the ticks that it gets; and how often it was seen to spin.
    fn spins(drained: bool, tick: impl Fn(&mut Simulation<Spins>, u32)) -> u32 {
        let mut simulation = Simulation::new(Options::new(1, 2), |_| Config::local(NodeId(1)), Spins::default());
        simulation.start(0, false);
        simulation.join(0, 1).expect("a new node takes a contact");
        (simulation.now, simulation.nodes[0].wake) = (1_000_000, NEVER);
        let due = simulation.view(0).and_then(Gossip::poll_timeout);
        assert!(due.is_some_and(|due| due <= simulation.local(0)), "the node greets its contact again");
        if !drained {
            simulation.nodes[0].extra().full_until = u64::MAX;
        }
        simulation.attend_by(0, drained, tick);
        assert!(simulation.nodes[0].wake > simulation.now, "time goes on");
        simulation.observer.0
    }

    #[test]
    fn notices_a_node_that_does_not_act_on_its_tick() {
        assert_eq!(spins(true, |_, _| {}), 1);
    }

    #[test]
    fn has_nothing_against_one_that_does_or_that_is_not_drained() {
        assert_eq!(spins(true, Simulation::tick), 0);
        assert_eq!(spins(false, |_, _| {}), 0);
    }
}
