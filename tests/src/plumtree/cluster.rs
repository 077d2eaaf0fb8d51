//! Many nodes of Plumtree over the simulator's network.
//!
//! The same latencies and losses as for the real core, from the same seed; only the nodes differ.

use gossip_core::wire::HEADER_LEN;

use super::Config;
use super::node::{Id, Message, Node, Output};
use crate::sim::{Faults, Network, Queue, Weather};

/// What is measured of a cluster.
pub trait Watch {
    /// A node delivered a message that had crossed so many links.
    fn delivered(&mut self, at: u64, node: u32, id: Id, round: u16);
    /// A node sent a datagram of so many bytes of UDP payload.
    fn sent(&mut self, node: u32, message: Message, bytes: usize);
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster<W> {
    /// What reads deliveries and traffic.
    pub watch: W,
    nodes: Vec<Node>,
    sent: Vec<u64>,
    /// The bytes of every payload.
    payload: usize,
    network: Network,
    faults: Faults,
    now: u64,
    queue: Queue<Next>,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Arrival { from: u32, to: u32, message: Message },
    Timer(u32, Id),
}

impl<W: Watch> Cluster<W> {
    /// One node for each list of neighbors, all up at time 0, with the network that a [`Simulation`](crate::sim::Simulation)
    /// of this seed has. All messages have so many bytes of payload.
    pub fn new(seed: u64, links: &[Vec<u32>], config: Config, weather: Weather, payload: usize, watch: W) -> Self {
        Self {
            watch,
            nodes: links.iter().map(|neighbors| Node::new(config, neighbors)).collect(),
            sent: vec![0; links.len()],
            payload,
            network: Network::new(seed, links.len() as u32, weather),
            faults: Faults::default(),
            now: 0,
            queue: Queue::new(),
            outputs: Vec::new(),
        }
    }

    /// The time, in microseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Whether nothing is under way and no timer runs: nothing will ever happen by itself.
    pub const fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// A node.
    pub fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// A node sends a message of its own.
    pub fn broadcast(&mut self, node: u32, id: Id) {
        self.nodes[node as usize].broadcast(id, &mut self.outputs);
        self.drain(node);
    }

    /// Lets everything happen that happens until `limit`, and sets the time to it.
    pub fn run_until(&mut self, limit: u64) {
        while let Some((at, next)) = self.queue.pop_until(limit) {
            self.now = self.now.max(at);
            let (Next::Arrival { to: node, .. } | Next::Timer(node, _)) = next;
            let (state, out) = (&mut self.nodes[node as usize], &mut self.outputs);
            match next {
                Next::Arrival { from, message, .. } => state.on_message(self.now, from, message, out),
                Next::Timer(_, id) => state.on_timer(self.now, id, out),
            }
            self.drain(node);
        }
        self.now = self.now.max(limit);
    }

    fn drain(&mut self, node: u32) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Send(to, message) => self.send(node, to, message),
                Output::Wake(at, id) => self.queue.push(at, Next::Timer(node, id)),
                Output::Deliver(id, round) => self.watch.delivered(self.now, node, id, round),
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, message: Message) {
        self.watch.sent(from, message, HEADER_LEN + message.bytes(self.payload));
        let sent = &mut self.sent[from as usize];
        *sent += 1;
        let fate = self.network.route(self.now, from, to, *sent, &mut self.faults);
        for copy in fate.copies() {
            self.queue.push(copy.at, Next::Arrival { from, to, message });
        }
    }
}

/// What the paper claims, in its setting: one message after the other, nothing is lost.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::{Chance, Rng};

    const SECOND: u64 = 1_000_000;
    const NODES: u32 = 400;
    const PATIENT: Config = Config { first_timeout: SECOND, next_timeout: SECOND / 2, threshold: None };

    /// Of each message: copies, control messages, deliveries, and the last round.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Count {
        copies: u32,
        control: u32,
        reached: u32,
        last_round: u16,
    }

    #[derive(Debug, Default)]
    struct Counts(Vec<Count>);

    impl Counts {
        fn last(&mut self) -> &mut Count {
            self.0.last_mut().expect("messages are counted one after the other")
        }
    }

    impl Watch for Counts {
        fn delivered(&mut self, _: u64, _: u32, _: Id, round: u16) {
            let count = self.last();
            count.reached += 1;
            count.last_round = count.last_round.max(round);
        }

        fn sent(&mut self, _: u32, message: Message, _: usize) {
            let count = self.last();
            *if matches!(message, Message::Gossip(..)) { &mut count.copies } else { &mut count.control } += 1;
        }
    }

    /// Every node is linked with `degree` others in the mean: a ring, so that it is connected, and chance.
    fn links(nodes: u32, degree: u32) -> Vec<Vec<u32>> {
        let mut rng = Rng::new(11, 0);
        let mut links = vec![std::collections::BTreeSet::new(); nodes as usize];
        let ring = (0..nodes).map(|node| (node, (node + 1) % nodes)).collect::<Vec<_>>();
        let chance = (0..nodes * (degree - 2) / 2).map(|_| [(); 2].map(|()| rng.below(nodes.into()) as u32));
        for (one, other) in ring.into_iter().chain(chance.map(|[one, other]| (one, other))).filter(|(a, b)| a != b) {
            links[one as usize].insert(other);
            links[other as usize].insert(one);
        }
        links.into_iter().map(|of| of.into_iter().collect()).collect()
    }

    /// So many messages, each when the last one has come to rest. The sender of each is drawn from the first nodes.
    fn messages(config: Config, loss: f64, senders: u32, count: u32, gap: u64) -> (Cluster<Counts>, Vec<Count>) {
        let weather = Weather { loss: Chance::of(loss), ..Weather::fair() };
        let mut cluster = Cluster::new(5, &links(NODES, 6), config, weather, 256, Counts::default());
        let mut rng = Rng::new(5, 1);
        for id in 0..count {
            cluster.watch.0.push(Count::default());
            cluster.broadcast(rng.below(senders.into()) as u32, id);
            cluster.run_until(cluster.now() + gap);
        }
        let counts = cluster.watch.0.clone();
        (cluster, counts)
    }

    fn mean(counts: &[Count], of: impl Fn(&Count) -> u32) -> f64 {
        f64::from(counts.iter().map(of).sum::<u32>()) / counts.len() as f64
    }

    /// Relative message redundancy: the first message floods; soon each is sent once to each node.
    #[test]
    fn the_first_messages_make_a_tree_and_the_others_use_it() {
        for senders in [1, NODES] {
            let (cluster, counts) = messages(PATIENT, 0.0, senders, 12, 10 * SECOND);
            assert!(counts[0].copies > 3 * (NODES - 1), "the first one floods: {:?}", counts[0]);
            assert!(counts.iter().all(|count| count.reached == NODES));
            assert!(counts[4..].iter().all(|count| count.copies == NODES - 1), "{counts:?}");
            // What is eager is so at both ends, and a tree: one link less than nodes.
            let eager: usize = (0..NODES).map(|node| cluster.node(node).eager().count()).sum();
            assert_eq!(eager, 2 * (NODES as usize - 1));
        }
    }

    /// The paper's table 1: the links beside the tree carry one announcement in each direction, and nothing else is said. With five
    /// links that makes three for each delivery.
    #[test]
    fn each_link_outside_the_tree_carries_two_announcements() {
        let (_, counts) = messages(PATIENT, 0.0, 1, 12, 10 * SECOND);
        let ends: usize = links(NODES, 6).iter().map(Vec::len).sum();
        let outside = ends as u32 - 2 * (NODES - 1);
        assert!(counts[4..].iter().all(|count| count.control == outside), "{outside}: {counts:?}");
    }

    /// Last delivery hop: the tree is made by the first sender, and longer for all others; the threshold
    /// makes it shorter again.
    #[test]
    fn from_random_senders_the_last_hop_is_farther_and_the_threshold_brings_it_nearer() {
        let last_round = |threshold, senders| {
            let config = Config { threshold, first_timeout: SECOND / 5, ..PATIENT };
            let (_, counts) = messages(config, 0.0, senders, 60, 10 * SECOND);
            mean(&counts[20..], |count| count.last_round.into())
        };
        let (one, random, optimized) = (last_round(None, 1), last_round(None, NODES), last_round(Some(3), NODES));
        assert!(random >= 1.3 * one, "one sender {one}, random ones {random}");
        assert!(optimized <= random - 1.0, "{random}, optimized {optimized}");
    }

    /// Repair of the tree: a lost payload is asked for where it was announced.
    #[test]
    fn what_is_lost_is_grafted() {
        let (_, counts) = messages(PATIENT, 0.05, 1, 20, 30 * SECOND);
        let reached = mean(&counts, |count| count.reached) / f64::from(NODES);
        assert!(reached > 0.999, "{reached}");
        assert!(mean(&counts[4..], |count| count.copies) > 1.03 * f64::from(NODES), "{counts:?}");
    }

    /// Why it is no more than a reference: prunes of one message destroy the tree of the next one that overlaps with it.
    #[test]
    fn messages_that_overlap_are_sent_again_and_again() {
        let rmr = |gap| {
            let (_, counts) = messages(Config::rival(), 0.0, NODES, 60, gap);
            mean(&counts[20..], |count| count.copies) / f64::from(NODES - 1) - 1.0
        };
        let (apart, overlapping) = (rmr(10 * SECOND), rmr(SECOND / 10));
        assert!(overlapping > apart + 0.05, "{apart} apart, {overlapping} overlapping");
    }

    #[test]
    fn a_seed_is_a_run() {
        let run = || messages(Config::rival(), 0.1, NODES, 10, SECOND / 10).1;
        assert_eq!(run(), run());
    }
}
