//! Laws of the failure detector, read off the datagrams: what is said on the wire before somebody is called dead.

use std::collections::{BTreeMap, BTreeSet};

use gossip_core::auth::Opened;
use gossip_core::wire::{Ask, Frame, Frames, HEADER_LEN};
use gossip_core::{Config, Event, NodeId};
use gossip_tests::sim::rng::Chance;
use gossip_tests::sim::{Birth, Observer, Options, Simulation, Step, What};

const SECOND: u64 = 1_000_000;

/// The last round of one inquiry.
#[derive(Debug)]
struct Round {
    began: u64,
    subject: NodeId,
    denied_by: BTreeSet<u32>,
}

/// Who asked whom in a last round, who denied, and who said first that somebody is dead.
#[derive(Default)]
struct Court {
    /// Last rounds, by the asker and the number of its questions.
    rounds: BTreeMap<(u32, u32), Round>,
    /// For each subject whose death is told to others: when that was first done, and by whom.
    deaths: BTreeMap<NodeId, (u64, u32)>,
    /// Deaths told to the application, with the node that was told.
    told: Vec<(u64, u32, NodeId)>,
    ups: Vec<(u32, NodeId)>,
}

impl Observer for Court {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Sent { datagram, to: Some(to), .. } => {
                for frame in Frames::new(Opened::forged(&datagram[HEADER_LEN..])) {
                    let (kind, body) = frame.expect("the core writes whole frames");
                    self.read(step, *to, &Frame::parse(kind, body).expect("the core writes what it can read"));
                }
            }
            What::Told(Event::PeerDown { node }) => self.told.push((step.at, step.node, *node)),
            What::Told(Event::PeerUp { node, .. }) => self.ups.push((step.node, *node)),
            _ => {}
        }
    }
}

impl Court {
    fn read(&mut self, step: &Step<'_>, to: u32, frame: &Frame<'_>) {
        match frame {
            Frame::Ask(ask) if ask.flags & Ask::LAST != 0 => {
                let round = Round { began: step.at, subject: ask.subject, denied_by: BTreeSet::new() };
                self.rounds.entry((step.node, ask.number)).or_insert(round);
            }
            Frame::Deny(deny) => {
                if let Some(round) = self.rounds.get_mut(&(to, deny.number)) {
                    round.denied_by.insert(step.node);
                }
            }
            Frame::Statuses(statuses) => {
                for said in statuses.iter().filter(|said| said.status % 2 == 1) {
                    self.deaths.entry(said.node).or_insert((step.at, step.node));
                }
            }
            _ => {}
        }
    }

    /// How many denied in the last round whose leader was the first to say that `subject` is dead, and when it began.
    fn verdict(&self, subject: NodeId) -> Option<(usize, u64)> {
        let (_, leader) = *self.deaths.get(&subject)?;
        let rounds = self.rounds.iter().filter(|((asker, _), round)| *asker == leader && round.subject == subject);
        rounds.map(|(_, round)| (round.denied_by.len(), round.began)).max_by_key(|&(_, began)| began)
    }
}

const fn id(node: u32) -> NodeId {
    NodeId(node as u64 + 1)
}

fn lan(birth: Birth) -> Config {
    let mut config = Config::lan(id(birth.node));
    config.started_at = birth.life.into();
    config
}

/// Nodes that have met and come to rest.
fn at_rest(seed: u64, nodes: u32, loss: f64) -> Simulation<Court> {
    let mut net = Simulation::new(Options::new(seed, nodes), lan, Court::default());
    for node in 0..nodes {
        net.start(node, false);
        if node > 0 {
            net.join(node, node / 4).expect("a new node takes a contact");
        }
        net.run_until(net.now() + SECOND / 100);
    }
    net.run_until(net.now() + 30 * SECOND);
    net.network().weather.loss = Chance::of(loss);
    net
}

/// Mutants: a suspicion that is broadcast, one denial instead of two, no last round, no window.
#[test]
fn nobody_is_called_dead_before_two_have_denied_in_a_last_round() {
    for (seed, loss) in [(1, 0.0), (2, 0.1), (3, 0.3)] {
        let mut net = at_rest(seed, 24, loss);
        let window = u64::try_from(lan(Birth { node: 0, life: 1, at: 0 }).timing.suspicion_window.as_micros());
        let window = window.expect("some seconds");
        for victim in [3, 9, 17] {
            let crashed = net.now();
            net.crash(victim);
            net.run_until(net.now() + 15 * SECOND);
            let (told, leader) = net.observer.deaths[&id(victim)];
            let (denials, began) = net.observer.verdict(id(victim)).expect("the leader has held a last round");
            assert!(denials >= 2, "{denials} denied in the last round of node {leader}, loss {loss}");
            assert!(began >= crashed + window, "the last round began {} µs after the crash", began - crashed);
            assert!(told > began, "told before the last round");
        }
    }
}

/// The application hears of every member, although a node is linked with some of them only.
#[test]
fn everybody_is_told_of_all_members_that_come_and_die_and_return() {
    const NODES: u32 = 40;
    const VICTIM: u32 = 7;
    let mut net = at_rest(4, NODES, 0.0);
    for node in 0..NODES {
        let ups = net.observer.ups.iter().filter(|(at, _)| *at == node).map(|(_, of)| *of);
        let others: BTreeSet<NodeId> = (0..NODES).filter(|&other| other != node).map(id).collect();
        let told: Vec<NodeId> = ups.collect();
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), others, "node {node}");
        assert_eq!(told.len(), others.len(), "node {node} is told of each once");
    }
    let links = |at: u32| net.view(at).map_or(0, |node| node.neighbors().count());
    assert!((0..NODES).all(|at| links(at) < NODES as usize / 2), "most have no link: or the test is vacuous");
    net.crash(VICTIM);
    net.run_until(net.now() + 12 * SECOND);
    let downs: BTreeSet<u32> =
        net.observer.told.iter().filter(|(.., of)| *of == id(VICTIM)).map(|told| told.1).collect();
    assert_eq!(downs.len() as u32, NODES - 1, "who was told: {downs:?}");
    net.observer.ups.clear();
    net.start(VICTIM, false);
    net.join(VICTIM, 0).expect("a new node takes a contact");
    net.run_until(net.now() + 12 * SECOND);
    let back = net.observer.ups.iter().filter(|&&(at, of)| at != VICTIM && of == id(VICTIM));
    assert_eq!(back.count() as u32, NODES - 1, "each is told of the new life, once");
}
