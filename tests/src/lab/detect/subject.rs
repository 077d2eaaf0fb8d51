//! Who stands trial: a cluster of the real core, or one of the reference SWIM. Both are treated alike.

use gossip_core::{Config, Gossip, NodeId, PeerState};

use super::Options;
use super::court::Court;
use crate::lab::joining::{self, Members};
use crate::sim::rng::{Chance, Rng};
use crate::sim::{self, Birth, Simulation, Weather};
use crate::swim;

/// How often the views of a victim's neighbors are looked at for a first doubt, in microseconds: a doubt is a local
/// matter, and no event.
const LOOK_FOR_DOUBT: u64 = 10_000;
/// How often the members of all nodes are looked at, in microseconds, where events tell of links alone.
const LOOK: u64 = 200_000;

/// A cluster under test.
pub(super) trait Subject {
    /// The time, in microseconds.
    fn now(&self) -> u64;
    /// Lets everything happen until then.
    fn run_until(&mut self, at: u64);
    /// A process is gone.
    fn crash(&mut self, node: u32);
    /// The messages of a node wait; with `stall` its timers as well.
    fn slow(&mut self, node: u32, for_micros: u64, stall: bool);
    /// How many members a node that is up lists, itself included.
    fn listed(&self, node: u32) -> Option<u32>;
    /// Who hears the verdicts.
    fn court(&mut self) -> &mut Court;
}

/// The real core.
pub(super) struct Real {
    simulation: Simulation<Court>,
    /// Who was linked with the last victim.
    neighbors: Vec<u32>,
    members: Members,
}

impl Real {
    /// A cluster that has joined.
    pub(super) fn new(options: &Options, seed: u64, mut court: Court) -> Self {
        court.hears_events = options.membership == Members::Full;
        let nodes = options.nodes;
        let mut world = sim::Options::new(seed, nodes);
        world.weather = weather(options, 0.0);
        let members = options.membership;
        let mut simulation = Simulation::new(world, move |birth| configure(birth, members, nodes), court);
        joining::join_all(&mut simulation, members, &mut Rng::new(seed, 1), 1_000_000);
        simulation.network().weather = weather(options, options.loss);
        Self { simulation, neighbors: Vec::new(), members }
    }

    /// Whether a neighbor of the victim does not take it for a sound link any more.
    fn look_for_doubt(&mut self, victim: u32) {
        let trusts = |observer: u32| {
            let mut links = self.simulation.view(observer)?.neighbors();
            Some(links.any(|link| link.node == id(victim) && !link.suspected))
        };
        if self.neighbors.iter().any(|&observer| trusts(observer) == Some(false)) {
            let now = self.simulation.now();
            self.simulation.observer.suspected(now, victim);
        }
    }

    /// Hears what all nodes hold of the members that they know.
    fn look(&mut self) {
        let now = self.simulation.now();
        for observer in self.simulation.observer.survivors() {
            let peers = self.simulation.view(observer).into_iter().flat_map(Gossip::peers);
            let judged: Vec<(u32, bool)> =
                peers.map(|peer| (peer.node.0 as u32 - 1, peer.state == PeerState::Down)).collect();
            for (member, dead) in judged {
                self.simulation.observer.judged(now, observer, member, dead);
            }
        }
    }
}

impl Subject for Real {
    fn now(&self) -> u64 {
        self.simulation.now()
    }

    fn run_until(&mut self, at: u64) {
        while self.simulation.now() < at {
            let next = at.min((self.simulation.now() / LOOK + 1) * LOOK);
            while let Some(victim) = self.simulation.observer.unsuspected().filter(|_| self.simulation.now() < next) {
                self.simulation.run_until(next.min(self.simulation.now() + LOOK_FOR_DOUBT));
                self.look_for_doubt(victim);
            }
            self.simulation.run_until(next);
            if self.members == Members::Sampled {
                self.look();
            }
        }
    }

    fn crash(&mut self, node: u32) {
        let links = |other: u32| self.simulation.view(other).into_iter().flat_map(Gossip::neighbors);
        self.neighbors =
            (0..self.simulation.size()).filter(|&other| links(other).any(|link| link.node == id(node))).collect();
        let now = self.simulation.now();
        self.simulation.observer.crashed(now, node);
        self.simulation.crash(node);
    }

    fn slow(&mut self, node: u32, for_micros: u64, stall: bool) {
        let until = self.simulation.now() + for_micros;
        if stall {
            self.simulation.pause(node, for_micros);
        } else {
            self.simulation.network().hold(node, until);
        }
    }

    fn listed(&self, node: u32) -> Option<u32> {
        self.simulation.view(node).map(Gossip::size_estimate)
    }

    fn court(&mut self) -> &mut Court {
        &mut self.simulation.observer
    }
}

/// The reference: everybody knows everybody from the start.
pub(super) struct Reference(swim::Cluster<Court>);

impl Reference {
    pub(super) fn new(options: &Options, config: swim::Config, seed: u64, court: Court) -> Self {
        Self(swim::Cluster::new(seed, options.nodes, config, weather(options, options.loss), court))
    }
}

impl Subject for Reference {
    fn now(&self) -> u64 {
        self.0.now()
    }

    fn run_until(&mut self, at: u64) {
        self.0.run_until(at);
    }

    fn crash(&mut self, node: u32) {
        let now = self.0.now();
        self.0.watch.crashed(now, node);
        self.0.crash(node);
    }

    fn slow(&mut self, node: u32, for_micros: u64, stall: bool) {
        let until = self.0.now() + for_micros;
        if stall {
            self.0.pause(node, for_micros);
        } else {
            self.0.network().hold(node, until);
        }
    }

    fn listed(&self, node: u32) -> Option<u32> {
        self.0.is_up(node).then(|| self.0.node(node).listed())
    }

    fn court(&mut self) -> &mut Court {
        &mut self.0.watch
    }
}

fn weather(options: &Options, loss: f64) -> Weather {
    let latency = (options.latency.0 * 1_000, options.latency.1 * 1_000);
    Weather { latency, loss: Chance::of(loss), ..Weather::fair() }
}

const fn id(node: u32) -> NodeId {
    NodeId(node as u64 + 1)
}

fn configure(birth: Birth, members: Members, nodes: u32) -> Config {
    let mut config = Config::lan(id(birth.node));
    config.started_at = birth.life.into();
    members.configure(&mut config, nodes, 0);
    config
}
