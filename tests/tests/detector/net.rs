//! Networks on which a detector is watched, and what is done to them.

use gossip_core::{Config, Event, Membership, NodeId, PeerState};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Birth, Observer, Options, Simulation, Step, What};

pub(crate) const SECOND: u64 = 1_000_000;
/// Bytes that IP and UDP add to a datagram.
pub(crate) const IP_UDP: u64 = 28;

/// What was told and sent.
#[derive(Default)]
pub(crate) struct Log {
    /// Who is cut off from the others.
    pub(crate) apart: Vec<u32>,
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) told: Vec<(u64, u32, Event)>,
    /// What crossed between groups of nodes, were it not for the partition: when, and from whom.
    pub(crate) calls: Vec<(u64, u32)>,
}

impl Log {
    fn is_apart(&self, node: u32) -> bool {
        self.apart.contains(&node)
    }
}

impl Observer for Log {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Sent { datagram, to, .. } => {
                self.datagrams += 1;
                self.bytes += datagram.len() as u64 + IP_UDP;
                if to.is_some_and(|to| self.is_apart(to) != self.is_apart(step.node)) {
                    self.calls.push((step.at, step.node));
                }
            }
            What::Told(event) => self.told.push((step.at, step.node, (*event).clone())),
            _ => {}
        }
    }
}

pub(crate) type Net = Simulation<Log>;

pub(crate) const fn id(node: u32) -> NodeId {
    NodeId(node as u64 + 1)
}

pub(crate) fn lan(birth: Birth) -> Config {
    let mut config = Config::lan(id(birth.node));
    config.started_at = birth.life.into();
    config
}

/// The same with room for a thousand members.
pub(crate) fn roomy(birth: Birth) -> Config {
    let mut config = lan(birth);
    config.limits.peers = config.limits.peers.max(1_100);
    config.limits.registers = config.limits.registers.max(2_200);
    config.limits.register_bytes = config.limits.register_bytes.max(128 * 1_100);
    config
}

/// Nodes that have met and come to rest.
pub(crate) fn at_rest(seed: u64, nodes: u32, configure: impl Fn(Birth) -> Config + Send + 'static) -> Net {
    let mut net = Simulation::new(Options::new(seed, nodes), configure, Log::default());
    for node in 0..nodes {
        net.start(node, false);
        if node > 0 && !matches!(net.view(node).expect("it is up").config().membership, Membership::Static { .. }) {
            net.join(node, node / 4).expect("a new node takes a contact");
        }
        net.run_until(net.now() + SECOND / 100);
    }
    net.run_until(net.now() + 30 * SECOND);
    net.observer = Log::default();
    net
}

pub(crate) fn run(net: &mut Net, seconds: u64) {
    net.run_until(net.now() + seconds * SECOND);
}

pub(crate) fn state(net: &Net, at: u32, of: u32) -> Option<PeerState> {
    net.view(at)?.peers().find(|peer| peer.node == id(of)).map(|peer| peer.state)
}

/// The nodes that are up and hold `of` in a state that is `wanted`.
pub(crate) fn holders(net: &Net, of: u32, wanted: impl Fn(Option<PeerState>) -> bool) -> Vec<u32> {
    (0..net.size()).filter(|&at| at != of && net.is_up(at) && wanted(state(net, at, of))).collect()
}

pub(crate) fn is_alive(state: Option<PeerState>) -> bool {
    matches!(state, Some(PeerState::Linked | PeerState::Known))
}

/// Everybody who is up holds everybody who is up for alive.
pub(crate) fn is_whole(net: &Net) -> bool {
    (0..net.size()).filter(|&of| net.is_up(of)).all(|of| holders(net, of, |state| !is_alive(state)).is_empty())
}

pub(crate) fn downs(net: &Net) -> Vec<(u32, NodeId)> {
    let down = |(_, at, event): &(u64, u32, Event)| match event {
        Event::PeerDown { node } => Some((*at, *node)),
        _ => None,
    };
    net.observer.told.iter().filter_map(down).collect()
}

/// Nothing passes between `group` and the others, both ways.
pub(crate) fn isolate(net: &mut Net, group: &[u32]) {
    net.observer.apart = group.to_vec();
    for &node in group {
        net.network().assign(node, 1);
    }
    net.network().cut(0, 1);
    net.network().cut(1, 0);
}

/// The end of [`isolate`].
pub(crate) fn heal(net: &mut Net, group: &[u32]) {
    net.network().heal();
    for &node in group {
        net.network().assign(node, 0);
    }
}

pub(crate) fn lossy(net: &mut Net, share: f64) {
    net.network().weather.loss = Chance::of(share);
}

/// Crashes a node. After how many microseconds somebody suspects it, and after how many everybody knows.
pub(crate) fn crash(net: &mut Net, victim: u32) -> (u64, u64) {
    let (start, suspicions) = (net.now(), net.counters()["suspicions"]);
    net.crash(victim);
    let mut suspected = None;
    loop {
        net.run_until(net.now() + SECOND / 50);
        let since = net.now() - start;
        if suspected.is_none() && net.counters()["suspicions"] > suspicions {
            suspected = Some(since);
        }
        if holders(net, victim, |state| state != Some(PeerState::Down)).is_empty() {
            return (suspected.expect("nobody certifies without a suspicion"), since);
        }
        assert!(since < 60 * SECOND, "nobody finds out");
    }
}
