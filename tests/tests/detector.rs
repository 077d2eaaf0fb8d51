//! The failure detector on simulated networks: how soon, how surely, and at what price.
//!
//! The figures in the names of constants are promises of the `lan` preset on paths of 10 to 50 ms.

use gossip_core::{Config, Event, Membership, Neighbor, NodeId, PeerState};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Birth, Observer, Options, Simulation, Step, What, address};

const SECOND: u64 = 1_000_000;
/// Bytes that IP and UDP add to a datagram.
const IP_UDP: u64 = 28;

/// What was told and sent.
#[derive(Default)]
struct Log {
    bytes: u64,
    told: Vec<(u64, u32, Event)>,
}

impl Observer for Log {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Sent { datagram, .. } => self.bytes += datagram.len() as u64 + IP_UDP,
            What::Told(event) => self.told.push((step.at, step.node, (*event).clone())),
            _ => {}
        }
    }
}

type Net = Simulation<Log>;

const fn id(node: u32) -> NodeId {
    NodeId(node as u64 + 1)
}

fn lan(birth: Birth) -> Config {
    let mut config = Config::lan(id(birth.node));
    config.started_at = birth.life.into();
    config
}

/// Nodes that have met and come to rest.
fn at_rest(seed: u64, nodes: u32, configure: impl Fn(Birth) -> Config + Send + 'static) -> Net {
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

fn run(net: &mut Net, seconds: u64) {
    net.run_until(net.now() + seconds * SECOND);
}

fn state(net: &Net, at: u32, of: u32) -> Option<PeerState> {
    net.view(at)?.peers().find(|peer| peer.node == id(of)).map(|peer| peer.state)
}

/// The nodes that are up and hold `of` in a state that is `wanted`.
fn holders(net: &Net, of: u32, wanted: impl Fn(Option<PeerState>) -> bool) -> Vec<u32> {
    (0..net.size()).filter(|&at| at != of && net.is_up(at) && wanted(state(net, at, of))).collect()
}

fn is_alive(state: Option<PeerState>) -> bool {
    matches!(state, Some(PeerState::Linked | PeerState::Known))
}

/// Everybody who is up holds everybody who is up for alive.
fn is_whole(net: &Net) -> bool {
    (0..net.size()).filter(|&of| net.is_up(of)).all(|of| holders(net, of, |state| !is_alive(state)).is_empty())
}

fn downs(net: &Net) -> Vec<(u32, NodeId)> {
    let down = |(_, at, event): &(u64, u32, Event)| match event {
        Event::PeerDown { node } => Some((*at, *node)),
        _ => None,
    };
    net.observer.told.iter().filter_map(down).collect()
}

/// Nothing passes between `group` and the others, both ways.
fn isolate(net: &mut Net, group: &[u32]) {
    for &node in group {
        net.network().assign(node, 1);
    }
    net.network().cut(0, 1);
    net.network().cut(1, 0);
}

fn lossy(net: &mut Net, share: f64) {
    net.network().weather.loss = Chance::of(share);
}

/// Crashes a node. After how many microseconds somebody suspects it, and after how many everybody knows.
fn crash(net: &mut Net, victim: u32) -> (u64, u64) {
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

// ---- how soon

#[test]
fn a_death_is_suspected_at_once_and_everybody_knows_in_time() {
    let mut net = at_rest(1, 60, lan);
    let mut suspected = 0;
    for victim in 0..8 {
        let (first, all) = crash(&mut net, 7 * victim + 1);
        assert!(all < 8 * SECOND, "everybody knows after {all} µs");
        suspected += first;
        run(&mut net, 5);
    }
    assert!(suspected / 8 < 1_300_000, "suspected after {} µs in the mean", suspected / 8);
}

#[test]
fn loss_delays_it_and_accuses_nobody() {
    for (loss, bound) in [(0.1, 10), (0.3, 12)] {
        let mut net = at_rest(2, 40, lan);
        lossy(&mut net, loss);
        run(&mut net, 60);
        assert_eq!(downs(&net), [], "at a loss of {loss}");
        for victim in 0..3 {
            let (_, all) = crash(&mut net, 9 * victim + 1);
            assert!(all < bound * SECOND, "at a loss of {loss} everybody knows after {all} µs");
        }
        assert!(is_whole(&net));
    }
}

// ---- how surely

/// Mutants that certify without witnesses, or on any silence, fail here.
#[test]
fn seventeen_of_seventeen_stay_at_heavy_loss() {
    for (seed, loss) in [(3, 0.2), (4, 0.3), (5, 0.4)] {
        let mut net = at_rest(seed, 17, lan);
        lossy(&mut net, loss);
        run(&mut net, 240);
        assert_eq!((downs(&net), net.counters()["certificates"]), (vec![], 0), "at a loss of {loss}");
        assert!(net.counters()["suspicions"] > 0, "not even a suspicion: a vacuous test");
    }
}

/// Who hears nobody accuses nobody; a stall below the window has no consequences at all.
#[test]
fn a_deaf_node_accuses_nobody() {
    let mut net = at_rest(6, 24, lan);
    for node in [3, 11, 19] {
        isolate(&mut net, &[node]);
        run(&mut net, 4);
        net.network().heal();
        net.network().assign(node, 0);
        run(&mut net, 10);
    }
    assert_eq!(downs(&net), []);
    assert!(net.counters()["deafnesses"] > 0 && net.counters()["certificates"] == 0);
    assert!(is_whole(&net));
}

#[test]
fn who_is_cut_off_for_long_is_dead_for_the_others_says_so_of_nobody_and_refutes() {
    let mut net = at_rest(7, 24, lan);
    isolate(&mut net, &[5]);
    run(&mut net, 30);
    assert!(holders(&net, 5, |state| state != Some(PeerState::Down)).is_empty(), "dead for all others");
    let unreachable = net.view(5).expect("it is up").peers().filter(|peer| peer.state == PeerState::Unreachable);
    assert!(unreachable.count() > 0, "it knows that it does not reach them");
    assert!(downs(&net).iter().all(|&(at, node)| at != 5 && node == id(5)));
    net.network().heal();
    run(&mut net, 10);
    assert!(is_whole(&net), "it has refuted");
    assert!(net.counters()["refutations"] > 0);
}

/// A minority of two cannot tell the death of the others from its own isolation.
#[test]
fn a_minority_of_two_calls_nobody_dead() {
    let mut net = at_rest(8, 12, lan);
    isolate(&mut net, &[2, 9]);
    run(&mut net, 60);
    assert!(downs(&net).iter().all(|&(at, _)| ![2, 9].contains(&at)), "{:?}", downs(&net));
    assert_eq!(holders(&net, 2, |state| state != Some(PeerState::Down)), [9]);
    net.network().heal();
    run(&mut net, 40);
    assert!(is_whole(&net));
}

#[test]
fn of_two_nodes_neither_is_dead_and_of_three_one_may_be() {
    for (nodes, expected) in [(2, PeerState::Unreachable), (3, PeerState::Down)] {
        let mut net = at_rest(9, nodes, lan);
        net.crash(1);
        run(&mut net, 15);
        assert!(holders(&net, 1, |state| state != Some(expected)).is_empty(), "{nodes} nodes");
        net.start(1, false);
        net.join(1, 0).expect("a new node takes a contact");
        run(&mut net, 5);
        assert!(is_whole(&net), "{nodes} nodes");
    }
}

#[test]
fn a_configured_neighbor_is_unreachable_and_asks_nobody() {
    let ring = |birth: Birth| {
        let mut config = lan(birth);
        let beside = [(birth.node + 1) % 5, (birth.node + 4) % 5];
        let neighbors = beside.map(|node| Neighbor { node: id(node), address: address(node, 0) }).to_vec();
        config.membership = Membership::Static { neighbors };
        config
    };
    let mut net = at_rest(10, 5, ring);
    net.crash(2);
    run(&mut net, 10);
    assert_eq!((state(&net, 1, 2), state(&net, 3, 2)), (Some(PeerState::Unreachable), Some(PeerState::Unreachable)));
    assert_eq!((downs(&net), net.counters()["asks_sent"]), (vec![], 0));
}

/// A path that is broken in one direction: others vouch, so nobody is dead, and the useless link ends.
#[test]
fn a_broken_path_is_no_death() {
    for both_ways in [false, true] {
        let mut net = at_rest(11, 16, lan);
        let peer = (1..16).find(|&peer| state(&net, 0, peer) == Some(PeerState::Linked)).expect("node 0 has links");
        net.network().assign(0, 1);
        net.network().assign(peer, 2);
        net.network().cut(2, 1);
        if both_ways {
            net.network().cut(1, 2);
        }
        run(&mut net, 120);
        assert_eq!(downs(&net), [], "both ways: {both_ways}");
        assert!(net.counters()["vouches"] > 0);
        assert_ne!(state(&net, 0, peer), Some(PeerState::Linked), "both ways: {both_ways}");
    }
}

/// Losing much in one direction only: probes tell what numbering cannot.
#[test]
fn asymmetric_loss_kills_nobody() {
    let mut net = at_rest(12, 16, lan);
    for round in 0..40 {
        // Half of the time nothing that node 4 sends arrives.
        net.network().assign(4, 1);
        net.network().cut(1, 0);
        net.run_until(net.now() + SECOND * (1 + round % 3) / 2);
        net.network().heal();
        net.run_until(net.now() + SECOND);
    }
    assert_eq!(downs(&net), []);
}

// ---- merging

/// After a split each side's tables call the other side dead. Who believed them would see its own side die.
#[test]
fn nobody_sees_its_own_side_die_when_a_split_heals() {
    for split in [6, 15] {
        let mut net = at_rest(13, 30, lan);
        let minority: Vec<u32> = (0..split).collect();
        isolate(&mut net, &minority);
        run(&mut net, 60);
        let is_other_side = |&(at, node): &(u32, NodeId)| (at < split) != (node.0 <= u64::from(split));
        assert!(downs(&net).iter().all(is_other_side), "while split");
        net.network().heal();
        run(&mut net, 20);
        assert!(downs(&net).iter().all(is_other_side), "and when it heals");
        assert!(is_whole(&net), "split off {split}");
        assert!(net.counters()["accusations"] > 0, "no table accused anybody: a vacuous test");
    }
}

#[test]
fn crashes_during_a_merge_are_found() {
    let mut net = at_rest(14, 24, lan);
    isolate(&mut net, &[0, 1, 2, 3, 4, 5, 6, 7]);
    run(&mut net, 40);
    net.network().heal();
    for victim in [3, 12, 20] {
        net.run_until(net.now() + SECOND / 2);
        net.crash(victim);
    }
    run(&mut net, 40);
    assert!(is_whole(&net));
    for victim in [3, 12, 20] {
        assert!(holders(&net, victim, is_alive).is_empty(), "node {victim}");
    }
}

// ---- the dead stay dead, and are forgotten

#[test]
fn the_dead_are_not_taught_and_do_not_come_back() {
    let short = |birth| {
        let mut config = lan(birth);
        config.timing.horizon = core::time::Duration::from_secs(60);
        config
    };
    let mut net = at_rest(15, 20, short);
    net.crash(7);
    net.crash(8);
    run(&mut net, 20);
    net.crash(9);
    net.start(9, false);
    net.join(9, 0).expect("a new node takes a contact");
    run(&mut net, 10);
    assert!(is_whole(&net));
    assert_eq!((state(&net, 9, 7), state(&net, 9, 8)), (None, None), "a newcomer lacks nothing");
    run(&mut net, 100);
    for node in (0..20).filter(|&node| net.is_up(node)) {
        assert_eq!(net.view(node).expect("it is up").peers().count(), 17, "node {node} has forgotten");
    }
    assert!(is_whole(&net));
}

#[test]
fn who_comes_back_in_a_new_life_is_welcome() {
    let mut net = at_rest(16, 16, lan);
    for round in 0..3 {
        net.crash(5);
        run(&mut net, if round == 1 { 1 } else { 12 });
        net.start(5, false);
        net.join(5, 0).expect("a new node takes a contact");
        run(&mut net, 8);
        assert!(is_whole(&net), "round {round}");
    }
}

// ---- at what price

#[test]
fn an_idle_node_pays_the_same_whatever_the_size() {
    for nodes in [2, 3, 8, 64] {
        let sealed = move |birth| {
            let mut config = lan(birth);
            config.security = gossip_core::Security::Sealed { key_id: 1, key: [7; 32] };
            config
        };
        let mut net = at_rest(17, nodes, sealed);
        run(&mut net, 20);
        net.observer = Log::default();
        run(&mut net, 60);
        let rate = net.observer.bytes / 60 / u64::from(nodes);
        assert!((90..=125).contains(&rate), "{rate} bytes a second of each of {nodes} nodes");
    }
}
