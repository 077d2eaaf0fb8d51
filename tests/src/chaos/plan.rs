//! What a seed stands for.

use std::time::Duration;

use gossip_core::{
    Broadcast, Budget, Config, Durability, Feedback, Limits, Membership, Neighbor, NodeId, Redelivery, Rounds,
    Security, Spread, Stop, Timing,
};

use crate::sim::rng::{Chance, Rng, hash};
use crate::sim::{self, Birth, Drive, Late, Order, Weather, address};

/// What a campaign asks of each of its seeds.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The fewest nodes.
    pub nodes_min: u32,
    /// The most nodes.
    pub nodes_max: u32,
    /// How long the faults last, in virtual seconds.
    pub seconds: u32,
}

/// A horizon that passes while the faults last. Where nodes take their time to find each other again it is twice that
/// time: who was away for longer starts afresh.
const HORIZON: Duration = Duration::from_secs(30);

/// When a run begins, in milliseconds: nodes whose clocks have never been set would be another fault.
const BEGINNING: u64 = 1_000;

/// Everything that a seed draws.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u32,
    /// How long the faults last, in virtual seconds.
    pub seconds: u32,
    /// The world around the nodes.
    pub world: sim::Options,
    /// Which faults happen to nodes and paths.
    pub kinds: Kinds,
    /// Messages of each node in a second.
    pub rate: u32,
    /// The mean time between two faults of one kind, in microseconds.
    pub fault_gap: u64,
    /// Which preset the pace is from.
    preset: Preset,
    security: Security,
    broadcast: Broadcast,
    /// How messages spread instead, where it is neither flood nor simple rumor.
    pub newer: Option<Broadcast>,
    membership: Whom,
    /// A budget that is used up at times, and how long new messages wait for company.
    budget: Option<Budget>,
    data_delay: Duration,
    durability: Durability,
    redelivery: Redelivery,
    trace_path: bool,
    mtu: u16,
    pub(super) small: bool,
    /// Whether the horizon is short, so that it passes within the run.
    short: bool,
    /// Whether some nodes are silent for so long that they are forgotten.
    pub(super) quiet: bool,
    /// Whether some messages are larger than a datagram.
    pub large: bool,
}

/// Whom nodes know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    /// Everybody.
    Full,
    /// As many, drawn by chance.
    Sampled(u16),
    /// The symmetric neighbors of each node.
    Static(Vec<Vec<u32>>),
}

/// Which faults there are, apart from those of the network's weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Nodes crash and start again.
    pub crash: bool,
    /// Nodes leave, and come back.
    pub leave: bool,
    /// Processes stall.
    pub pause: bool,
    /// Clocks are set.
    pub clock: bool,
    /// Nodes start again with clocks that are behind.
    pub clock_behind: bool,
    /// Partitions, also of one direction.
    pub partition: bool,
    /// Paths are clogged, and the messages of nodes wait.
    pub clog: bool,
    /// Nodes get new addresses.
    pub moving: bool,
    /// Sockets are full.
    pub socket: bool,
    /// Applications are slow.
    pub application: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preset {
    Local,
    Lan,
    Wan,
}

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn draw(seed: u64, request: Request) -> Self {
        let rng = &mut Rng::new(seed, 100);
        let nodes = rng.range(u64::from(request.nodes_min), u64::from(request.nodes_max)) as u32;
        let preset = rng.pick(&[Preset::Local, Preset::Lan, Preset::Wan]);
        let membership = Whom::draw(nodes, rng);
        let durable = rng.chance(0.5);
        let mut kinds = Kinds::draw(rng);
        // Two neighbors that move at the same time would never find each other again: nobody else knows them.
        kinds.moving &= !matches!(membership, Whom::Static(_));
        let short = rng.chance(0.5);
        let pace = &mut Rng::new(seed, 105);
        // A clock that jumps by a quarter of the horizon makes its node forget too early what others still hold, and one that
        // is behind makes it keep what they have forgotten.
        kinds.clock &= !short;
        // From a stream of its own, so that the other faults of a seed are what they were without it.
        kinds.clock_behind = Rng::new(seed, 102).chance(0.4)
            && !short
            && Duration::from_secs(request.seconds.into()) < preset.config(id(0)).timing.horizon;
        let small = Rng::new(seed, 108).chance(0.4);
        let budget = pace.chance(0.4).then(|| Budget {
            bytes_per_second: pace.range(50_000, 500_000) as u32,
            datagrams_per_second: pace.range(300, 3_000) as u32,
        });
        Self {
            seed,
            nodes,
            seconds: request.seconds,
            world: world(seed, nodes, preset, rng),
            kinds,
            rate: if nodes <= 16 { rng.range(1, 4) as u32 } else { 1 },
            fault_gap: rng.range(1_000_000, 10_000_000),
            preset,
            security: if rng.chance(0.5) {
                Security::Sealed { key_id: rng.next() as u8 | 1, key: rng.bytes() }
            } else {
                Security::Plain
            },
            broadcast: flood_or_rumor(rng),
            newer: newer_broadcast(&mut Rng::new(seed, 104)),
            membership,
            large: Rng::new(seed, 107).chance(0.4),
            budget,
            data_delay: Duration::from_millis(if pace.chance(0.3) { pace.range(1, 50) } else { 0 }),
            durability: if durable { Durability::Records } else { Durability::None },
            redelivery: if durable && rng.chance(0.25) { Redelivery::UntilAcknowledged } else { Redelivery::Never },
            trace_path: rng.chance(0.25),
            mtu: rng.pick(&[256, 508, 1_200, 1_200, 1_452, 4_000]),
            small,
            short,
            quiet: rng.chance(0.5),
        }
    }

    /// Whether every node shall know every one.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.membership, Whom::Full)
    }

    /// Whether nodes are told whom to join, and find the others by themselves.
    #[must_use]
    pub const fn joins(&self) -> bool {
        !matches!(self.membership, Whom::Static(_))
    }

    /// Whether a restarted node can find its records again.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durability == Durability::Records
    }

    /// The configuration of a life of a node, with room for `lives` lives of all nodes together.
    #[must_use]
    pub fn configure(&self, birth: Birth, lives: u32) -> Config {
        let mut config = self.preset.config(id(birth.node));
        config.started_at = self.started_at(birth);
        config.timing.horizon = self.horizon();
        config.security = self.security.clone();
        config.broadcast = match self.newer.unwrap_or(self.broadcast) {
            // With so few links there is room for one.
            Broadcast::Tree { inject_from, .. } if self.small => Broadcast::Tree { trees: 1, inject_from },
            broadcast => broadcast,
        };
        config.budget = self.budget.or(config.budget);
        config.timing.data_delay = self.data_delay;
        config.durability = self.durability;
        config.redelivery = self.redelivery;
        config.trace_path = self.trace_path;
        config.mtu = self.mtu;
        self.limit(&mut config.limits, lives);
        match &self.membership {
            Whom::Full => {}
            Whom::Sampled(view) => {
                config.limits.view = *view;
                config.membership = Membership::sampled(&config.limits);
            }
            Whom::Static(neighbors) => {
                let named = neighbors[birth.node as usize].iter();
                let neighbors = named.map(|&node| Neighbor { node: id(node), address: address(node, 0) }).collect();
                config.membership = Membership::Static { neighbors };
            }
        }
        config
    }

    fn horizon(&self) -> Duration {
        let Timing { horizon, retry_cap, .. } = self.preset.config(id(0)).timing;
        if self.short { HORIZON.max(2 * retry_cap) } else { horizon }
    }

    /// What a process takes for the time when it starts, in milliseconds. Every second later life is mistaken where clocks are
    /// behind: by up to a minute, or as one is that was never set.
    fn started_at(&self, birth: Birth) -> u64 {
        let truth = BEGINNING + birth.at / 1_000;
        if birth.life == 1 || !self.kinds.clock_behind {
            return truth;
        }
        let mut rng = Rng::new(hash([self.seed, birth.node.into(), birth.life.into()]), 103);
        match rng.below(4) {
            0 => 0,
            1 => truth.saturating_sub(rng.range(1, 60_000)),
            _ => truth,
        }
    }

    /// Where the nodes are small, messages are pushed out and windows overrun, which must be told. Members, origins
    /// and registers always fit: what does not fit is refused by design, and no contract is kept for it.
    fn limit(&self, limits: &mut Limits, lives: u32) {
        limits.peers = self.nodes + 2;
        // A life that raises its incarnation is one more origin.
        limits.origins = if self.kinds.clock_behind { 2 * lives + 2 } else { lives + 2 };
        limits.registers = limits.peers + 8 * self.nodes;
        limits.register_bytes = 64 * limits.peers + 8 * 64 * self.nodes;
        if self.small {
            limits.messages = 2 * self.nodes + 16;
            limits.payload_bytes = 16_384.max(4 * u32::from(self.mtu));
            limits.window = 16;
            limits.links = 6;
        }
    }

    /// How long after the last fault everything must be whole again.
    ///
    /// A contact is retried within the cap, and the nodes on the way need some rounds of probes and repairs; a clock that was
    /// set back stands still, as the core sees it, until it has caught up (`clock_lag`). Where repairs wait for a budget, or large
    /// messages take turns in small stores, what does not come may not be told before the horizon; and what became known
    /// while it was waited for, not before another one.
    #[must_use]
    pub fn heal_bound(&self, clock_lag: u64) -> u64 {
        let Timing { retry_cap, beat_period, repair_period, .. } = self.preset.config(id(0)).timing;
        let waits = self.budget.is_some() || self.large && self.small;
        let last = if waits { 2 * self.horizon() } else { Duration::ZERO };
        let rounds = 2 * retry_cap + 20 * beat_period + 40 * repair_period + Duration::from_secs(10) + last;
        u64::try_from(rounds.as_micros()).unwrap_or(u64::MAX).saturating_add(clock_lag)
    }
}

/// The id of a node.
pub(super) const fn id(node: u32) -> NodeId {
    NodeId(node as u64 + 1)
}

impl Whom {
    fn draw(nodes: u32, rng: &mut Rng) -> Self {
        if nodes <= 16 && rng.chance(0.25) {
            Self::Static(neighbors(nodes, rng))
        } else if rng.chance(0.4) {
            Self::Sampled(rng.pick(&[8, 16, 60]))
        } else {
            Self::Full
        }
    }
}

impl Kinds {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            crash: rng.chance(0.6),
            leave: rng.chance(0.2),
            pause: rng.chance(0.5),
            clock: rng.chance(0.4),
            clock_behind: false,
            partition: rng.chance(0.6),
            clog: rng.chance(0.5),
            moving: rng.chance(0.3),
            socket: rng.chance(0.4),
            application: rng.chance(0.3),
        }
    }
}

impl Preset {
    fn config(self, id: NodeId) -> Config {
        match self {
            Self::Local => Config::local(id),
            Self::Lan => Config::lan(id),
            Self::Wan => Config::wan(id),
        }
    }

    /// The range of latencies that the preset is made for, in microseconds.
    const fn latency(self) -> (u64, u64) {
        match self {
            Self::Local => (50, 2_000),
            Self::Lan => (200, 50_000),
            Self::Wan => (5_000, 200_000),
        }
    }
}

fn world(seed: u64, nodes: u32, preset: Preset, rng: &mut Rng) -> sim::Options {
    let latency = preset.latency();
    let mut sometimes = |probability: f64, most: f64| {
        if rng.chance(probability) { Chance::of(rng.unit() * most) } else { Chance::NEVER }
    };
    let weather = Weather {
        latency,
        jitter: 0,
        loss: sometimes(0.7, 0.3),
        duplicate: sometimes(0.6, 0.5),
        duplicate_delay: 0,
        reorder: sometimes(0.5, 0.5),
        reorder_delay: 2 * latency.1,
        corrupt: sometimes(0.5, 0.1),
    };
    let socket_full = sometimes(0.3, 0.3);
    let late = Late { socket_full, socket_delay: latency.1, tick_delay: latency.1 };
    sim::Options {
        seed,
        nodes,
        weather: Weather { jitter: rng.pick(&[0, latency.1]), duplicate_delay: rng.range(0, 5_000_000), ..weather },
        drive: Drive {
            order: if rng.chance(0.3) { Order::Shuffled } else { Drive::prompt().order },
            tick_after_input: false,
            segments: rng.pick(&[1, 1, 4]),
            late: (socket_full > Chance::NEVER).then_some(late),
            repeat_one_in: 0,
            audit_one_in: 0,
        },
        bandwidth: 0,
        storage_delay: (50, rng.pick(&[200, 20_000, 200_000])),
        service: rng.pick(&[0, 0, 20]),
        acknowledge: Chance::of(0.75),
        drift_ppm: rng.pick(&[0, 100, 1_000]) as u32,
        young_clocks: rng.chance(0.5),
    }
}

fn flood_or_rumor(rng: &mut Rng) -> Broadcast {
    if rng.chance(0.5) {
        Broadcast::Flood { ttl: rng.pick(&[1, 3, 16, 255]) }
    } else {
        Broadcast::Rumor {
            fanout: rng.range(1, 5) as u8,
            rounds: rng.pick(&[Rounds::Auto, Rounds::Auto, Rounds::Fixed(1), Rounds::Fixed(3)]),
        }
    }
}

/// From a stream of its own, so that all else of a seed is what it was without it.
fn newer_broadcast(rng: &mut Rng) -> Option<Broadcast> {
    match rng.below(5) {
        0 | 1 => None,
        2 => Some(Broadcast::Mongering {
            fanout: rng.range(1, 3) as u8,
            ttl: rng.pick(&[2, 16, 255]),
            spread: rng.pick(&[Spread::Push, Spread::Pull, Spread::PushPull]),
            stop: rng.pick(&[
                Stop::Counter { rounds: Rounds::Auto },
                Stop::Counter { rounds: Rounds::Fixed(2) },
                Stop::Coin { one_in: 3 },
            ]),
            feedback: rng.pick(&[Feedback::Blind, Feedback::Answers, Feedback::Lists]),
        }),
        // Injection is for large clusters; here it is to happen in small ones.
        _ => Some(Broadcast::Tree { trees: rng.pick(&[1, 1, 2, 4]), inject_from: rng.pick(&[2, 8, 200]) }),
    }
}

/// A ring with chords: up to three neighbors each, symmetric and connected.
fn neighbors(nodes: u32, rng: &mut Rng) -> Vec<Vec<u32>> {
    let mut neighbors = vec![Vec::new(); nodes as usize];
    let mut link = |a: u32, b: u32| {
        let fits = |node: u32, neighbors: &[Vec<u32>]| neighbors[node as usize].len() < 3;
        if a != b && fits(a, &neighbors) && fits(b, &neighbors) && !neighbors[a as usize].contains(&b) {
            neighbors[a as usize].push(b);
            neighbors[b as usize].push(a);
        }
    };
    for node in 0..nodes {
        link(node, (node + 1) % nodes);
    }
    for _ in 0..2 * nodes {
        link(rng.below(u64::from(nodes)) as u32, rng.below(u64::from(nodes)) as u32);
    }
    neighbors
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::{Gossip, Instant};

    const REQUEST: Request = Request { nodes_min: 2, nodes_max: 64, seconds: 60 };

    #[test]
    fn every_plan_makes_nodes() {
        for seed in 0..300 {
            let plan = Plan::draw(seed, REQUEST);
            for node in [0, plan.nodes - 1] {
                let config = plan.configure(Birth { node, life: 1, at: 0 }, 2 * plan.nodes);
                assert!(Gossip::new(config, [0; 32], Instant::ZERO).is_ok(), "seed {seed}: {plan:?}");
            }
        }
    }

    #[test]
    fn neighbors_are_symmetric_and_at_most_three() {
        for (seed, nodes) in [(1, 2), (2, 3), (3, 9), (4, 16)] {
            let neighbors = neighbors(nodes, &mut Rng::new(seed, 0));
            for (node, named) in neighbors.iter().enumerate() {
                assert!((1..=3).contains(&named.len()));
                assert!(named.iter().all(|&peer| neighbors[peer as usize].contains(&(node as u32))));
            }
        }
    }

    #[test]
    fn seeds_differ_in_what_they_switch_on() {
        let plans: Vec<Plan> = (0..100).map(|seed| Plan::draw(seed, REQUEST)).collect();
        let share = |on: fn(&Plan) -> bool| plans.iter().filter(|plan| on(plan)).count();
        for (name, count) in [
            ("crash", share(|plan| plan.kinds.crash)),
            ("clock behind", share(|plan| plan.kinds.clock_behind)),
            ("partition", share(|plan| plan.kinds.partition)),
            ("static", share(|plan| !plan.joins())),
            ("sampled", share(|plan| matches!(plan.membership, Whom::Sampled(_)))),
            ("mongering", share(|plan| matches!(plan.newer, Some(Broadcast::Mongering { .. })))),
            ("tree", share(|plan| matches!(plan.newer, Some(Broadcast::Tree { .. })))),
            ("small", share(|plan| plan.small)),
            ("durable", share(Plan::is_durable)),
            ("short", share(|plan| plan.short)),
            ("quiet", share(|plan| plan.quiet)),
            ("large", share(|plan| plan.large)),
            ("young clocks", share(|plan| plan.world.young_clocks)),
            ("late", share(|plan| plan.world.drive.late.is_some())),
        ] {
            assert!((2..98).contains(&count), "{name}: {count} of 100");
        }
    }
}
