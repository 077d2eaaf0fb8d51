//! What is done to a cluster, and when: drawn in one go, so that what happens in a run changes nothing in it.

use gossip_core::Order;

use crate::chaos::plan::Plan;
use crate::sim::rng::Rng;
use crate::sim::{Observer, Simulation};

const SECOND: u64 = 1_000_000;
/// All nodes start within this time, before the first fault.
const WARM_UP: u64 = 2 * SECOND;
/// When those nodes submit nothing that are silent for so long that they are forgotten.
const QUIET: std::ops::Range<u64> = 8 * SECOND..56 * SECOND;
/// The largest messages, in datagrams.
const CHUNKS_MAX: u64 = 16;
/// Registers of each node.
const KEYS: [&str; 3] = ["color", "load", "site/rack"];

/// One thing done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A node starts, with its records or without.
    Start {
        /// Which.
        node: u32,
        /// Whether with its records.
        keep: bool,
    },
    /// A node's process ends without a word.
    Crash {
        /// Which.
        node: u32,
    },
    /// A node says goodbye.
    Leave {
        /// Which.
        node: u32,
    },
    /// A process stalls.
    Pause {
        /// Which.
        node: u32,
        /// How long, in microseconds.
        micros: u64,
    },
    /// A clock is set.
    Clock {
        /// Whose.
        node: u32,
        /// By how much, in microseconds.
        by: i64,
    },
    /// A node gets another address.
    Move {
        /// Which.
        node: u32,
    },
    /// A socket takes nothing.
    FillSocket {
        /// Whose.
        node: u32,
        /// How long, in microseconds.
        micros: u64,
    },
    /// An application takes nothing.
    Slow {
        /// Whose.
        node: u32,
        /// How long, in microseconds.
        micros: u64,
    },
    /// The nodes fall into groups, and the first one cannot reach the second one any more.
    Cut {
        /// The group of each node.
        groups: Vec<u8>,
        /// Whether the way back is open.
        one_way: bool,
    },
    /// All partitions end.
    Heal,
    /// A path lets nothing through for a while.
    Clog {
        /// From here.
        from: u32,
        /// To there.
        to: u32,
        /// How long, in microseconds.
        micros: u64,
    },
    /// All messages of a node wait, while its timers run.
    Hold {
        /// Which.
        node: u32,
        /// How long, in microseconds.
        micros: u64,
    },
    /// A message.
    Submit {
        /// From whom.
        node: u32,
        /// Its order.
        order: Order,
        /// Its length, as a share of the longest payload of a datagram, in 255ths: more than 255 goes in chunks.
        len: u16,
    },
    /// A register.
    Set {
        /// Whose.
        node: u32,
        /// Which.
        key: &'static str,
        /// Whether it is removed.
        remove: bool,
    },
}

/// Everything that is done, in the order of time.
#[derive(Clone, Debug)]
pub struct Script {
    /// What, and when, in microseconds.
    pub deeds: Vec<(u64, Deed)>,
    /// When the last fault is over, in microseconds.
    pub end: u64,
    /// How many lives the nodes may have, together.
    pub lives: u32,
}

impl Script {
    /// The script of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let (rng, chunks) = (Rng::new(plan.seed, 101), Rng::new(plan.seed, 106));
        let mut writer = Writer { plan, rng, chunks, deeds: Vec::new(), end: u64::from(plan.seconds) * SECOND };
        writer.starts();
        writer.work();
        writer.process_faults();
        writer.network_faults();
        let Writer { mut deeds, .. } = writer;
        deeds.sort_by_key(|(at, _)| *at);
        let starts = deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Start { .. })).count() as u32;
        // Who is down at the end is started once more.
        let lives = starts + plan.nodes;
        let end = deeds.iter().map(|(at, deed)| at + deed.lasts()).max().unwrap_or(0);
        Self { deeds, end: end.max(u64::from(plan.seconds) * SECOND), lives }
    }

    /// The beginning of the script, up to `end`.
    #[must_use]
    pub fn until(mut self, end: u64) -> Self {
        self.deeds.retain(|(at, _)| *at <= end);
        Self { end, ..self }
    }
}

impl Deed {
    /// How long its effect lasts by itself.
    const fn lasts(&self) -> u64 {
        match self {
            Self::Pause { micros, .. }
            | Self::FillSocket { micros, .. }
            | Self::Slow { micros, .. }
            | Self::Clog { micros, .. }
            | Self::Hold { micros, .. } => *micros,
            _ => 0,
        }
    }

    /// Does it. What cannot be done (the node is down, or up) is left out: scripts do not know.
    pub(super) fn perform<O: Observer>(&self, plan: &Plan, simulation: &mut Simulation<O>) {
        match *self {
            Self::Start { node, keep } if !simulation.is_up(node) => start(plan, simulation, node, keep),
            Self::Start { .. } => {}
            Self::Crash { node } => simulation.crash(node),
            Self::Leave { node } => simulation.leave(node),
            Self::Pause { node, micros } => simulation.pause(node, micros),
            Self::Clock { node, by } => simulation.step_clock(node, by),
            Self::Move { node } => simulation.move_address(node),
            Self::FillSocket { node, micros } => simulation.fill_socket(node, micros),
            Self::Slow { node, micros } => simulation.slow_application(node, micros),
            Self::Cut { ref groups, one_way } => {
                let network = simulation.network();
                network.heal();
                for (node, &group) in groups.iter().enumerate() {
                    network.assign(node as u32, group);
                }
                network.cut(0, 1);
                if !one_way {
                    network.cut(1, 0);
                }
            }
            Self::Heal => simulation.network().heal(),
            Self::Clog { from, to, micros } => {
                let until = simulation.now() + micros;
                simulation.network().clog(from, to, until);
            }
            Self::Hold { node, micros } => {
                let until = simulation.now() + micros;
                simulation.network().hold(node, until);
            }
            Self::Submit { node, order, len } => submit(simulation, node, order, len),
            Self::Set { node, key, remove } => {
                let value = simulation.now().to_le_bytes();
                simulation.set(node, key, (!remove).then_some(&value));
            }
        }
    }
}

/// Starts a node and names it its contacts: node 0, which never moves, and a neighbor of its number, so that node 0 has
/// somebody too.
pub(super) fn start<O: Observer>(plan: &Plan, simulation: &mut Simulation<O>, node: u32, keep: bool) {
    simulation.start(node, keep && plan.is_durable());
    if plan.joins() {
        for contact in [0, (node + 1) % plan.nodes] {
            if contact != node {
                simulation.join(node, contact).expect("a new node takes two contacts");
            }
        }
    }
}

/// Submits a payload that nobody else submits: the time and the node are in it, as far as there is room.
pub(super) fn submit<O: Observer>(simulation: &mut Simulation<O>, node: u32, order: Order, len: u16) {
    let Some(gossip) = simulation.view(node) else { return };
    let len = (gossip.datagram_payload_max() * usize::from(len) / 255).min(gossip.payload_max());
    let text = [simulation.now().to_le_bytes(), u64::from(node).to_le_bytes()].concat();
    let payload: Vec<u8> = text.iter().cycle().take(len).copied().collect();
    simulation.submit(node, order, &payload);
}

struct Writer<'a> {
    plan: &'a Plan,
    rng: Rng,
    /// A stream of its own, so that all else of a seed is what it was without large messages.
    chunks: Rng,
    deeds: Vec<(u64, Deed)>,
    end: u64,
}

impl Writer<'_> {
    fn starts(&mut self) {
        for node in 0..self.plan.nodes {
            let at = if node == 0 { 0 } else { self.rng.range(0, WARM_UP / 2) };
            self.deeds.push((at, Deed::Start { node, keep: false }));
        }
    }

    /// Each node submits at its rate, and changes a register now and then.
    fn work(&mut self) {
        let step = SECOND / u64::from(self.plan.rate);
        for node in 0..self.plan.nodes {
            let quiet = self.plan.quiet && self.rng.chance(0.3);
            for start in (WARM_UP..self.end).step_by(step as usize).filter(|at| !quiet || !QUIET.contains(at)) {
                let order = self.rng.pick(&[Order::Unordered, Order::Fifo]);
                let len = if self.rng.chance(0.05) { 255 } else { self.rng.range(0, 60) as u16 };
                let large = self.plan.large && self.chunks.chance(0.1);
                let len = if large { self.chunks.range(256, CHUNKS_MAX * 255) as u16 } else { len };
                let at = start + self.rng.below(step);
                self.deeds.push((at, Deed::Submit { node, order, len }));
            }
            for at in self.times(5 * SECOND) {
                let (key, remove) = (self.rng.pick(&KEYS), self.rng.chance(0.2));
                self.deeds.push((at, Deed::Set { node, key, remove }));
            }
        }
    }

    fn process_faults(&mut self) {
        let (kinds, gap) = (self.plan.kinds, self.plan.fault_gap);
        if kinds.crash {
            self.each(gap, |rng, node, at, deeds| {
                let back = at + rng.range(SECOND / 100, 10 * SECOND);
                deeds.push((at, Deed::Crash { node }));
                deeds.push((back, Deed::Start { node, keep: rng.chance(0.7) }));
            });
        }
        if kinds.leave {
            self.each(3 * gap, |rng, node, at, deeds| {
                let gone = at + rng.range(SECOND, 3 * SECOND);
                deeds.push((at, Deed::Leave { node }));
                deeds.push((gone, Deed::Crash { node }));
                deeds.push((gone + rng.range(SECOND / 10, 10 * SECOND), Deed::Start { node, keep: rng.chance(0.5) }));
            });
        }
        if kinds.pause {
            self.each(gap, |rng, node, at, deeds| {
                deeds.push((at, Deed::Pause { node, micros: rng.range(SECOND / 100, 5 * SECOND) }));
            });
        }
        if kinds.clock {
            self.each(2 * gap, |rng, node, at, deeds| {
                let by =
                    if rng.chance(0.5) { rng.range(1, 10 * SECOND) as i64 } else { -(rng.range(1, SECOND) as i64) };
                deeds.push((at, Deed::Clock { node, by }));
            });
        }
        if kinds.moving {
            self.each(2 * gap, |_, node, at, deeds| {
                if node != 0 {
                    deeds.push((at, Deed::Move { node }));
                }
            });
        }
        if kinds.socket {
            self.each(gap, |rng, node, at, deeds| {
                deeds.push((at, Deed::FillSocket { node, micros: rng.range(1_000, 2 * SECOND) }));
            });
        }
        if kinds.application {
            self.each(gap, |rng, node, at, deeds| {
                deeds.push((at, Deed::Slow { node, micros: rng.range(1_000, 5 * SECOND) }));
            });
        }
    }

    fn network_faults(&mut self) {
        let (kinds, gap, nodes) = (self.plan.kinds, self.plan.fault_gap, self.plan.nodes);
        if kinds.partition {
            for at in self.times(2 * gap) {
                let rng = &mut self.rng;
                // From a lone node to halves.
                let share = rng.unit();
                let lone = rng.below(u64::from(nodes)) as u32;
                let groups = (0..nodes).map(|node| u8::from(node == lone || rng.chance(share * 0.5))).collect();
                self.deeds.push((at, Deed::Cut { groups, one_way: rng.chance(0.4) }));
                self.deeds.push((at + rng.range(SECOND / 10, 15 * SECOND), Deed::Heal));
            }
        }
        if kinds.clog {
            self.each(gap, |rng, from, at, deeds| {
                let to = rng.below(u64::from(nodes)) as u32;
                deeds.push((at, Deed::Clog { from, to, micros: rng.range(SECOND / 100, 5 * SECOND) }));
            });
            self.each(2 * gap, |rng, node, at, deeds| {
                deeds.push((at, Deed::Hold { node, micros: rng.range(SECOND / 100, 5 * SECOND) }));
            });
        }
    }

    /// Lets something happen to random nodes at random times, every `gap` in the mean.
    fn each(&mut self, gap: u64, mut happen: impl FnMut(&mut Rng, u32, u64, &mut Vec<(u64, Deed)>)) {
        for at in self.times(gap) {
            let node = self.rng.below(u64::from(self.plan.nodes)) as u32;
            happen(&mut self.rng, node, at, &mut self.deeds);
        }
    }

    /// Random times after the warm-up, `gap` apart in the mean.
    fn times(&mut self, gap: u64) -> Vec<u64> {
        let mut times = Vec::new();
        let mut at = WARM_UP;
        loop {
            at += (-(1.0 - self.rng.unit()).ln() * gap as f64) as u64 + 1;
            if at >= self.end {
                return times;
            }
            times.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Request;

    #[test]
    fn every_node_speaks_in_every_second() {
        let mut plan = Plan::draw(7, Request { nodes_min: 5, nodes_max: 5, seconds: 10 });
        plan.quiet = false;
        let script = Script::of(&plan);
        assert!(script.deeds.is_sorted_by_key(|(at, _)| *at));
        for node in 0..5 {
            for second in 2..10 {
                let speaks = |(at, deed): &(u64, Deed)| {
                    at / SECOND == second && matches!(deed, Deed::Submit { node: by, .. } if *by == node)
                };
                assert!(script.deeds.iter().any(speaks), "node {node} in second {second}");
            }
        }
    }
}
