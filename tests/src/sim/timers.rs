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
    pub(super) fn attend(&mut self, node: u32, mut drained: bool) {
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
            self.tick(node);
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
