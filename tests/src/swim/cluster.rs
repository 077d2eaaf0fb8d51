//! Many nodes of SWIM over the simulator's network.
//!
//! The same latencies, losses, holds and partitions as for the real core, from the same seed; only the nodes differ.

use gossip_core::wire::HEADER_LEN;

use super::Config;
use super::news::{News, State};
use super::node::{Message, Node, Output, Timer};
use crate::sim::{Faults, Network, Queue, Weather};

/// What is measured of a cluster.
pub trait Watch {
    /// `observer` changed its mind about `member`.
    fn verdict(&mut self, at: u64, observer: u32, member: u32, state: State);
    /// A node sent a datagram of so many bytes of UDP payload.
    fn sent(&mut self, bytes: usize);
}

/// A cluster whose nodes all know each other.
#[derive(Debug)]
pub struct Cluster<W> {
    /// What reads verdicts and traffic.
    pub watch: W,
    nodes: Vec<Node>,
    up: Vec<bool>,
    /// Until when each process stalls, timers and all.
    stalled: Vec<u64>,
    sent: Vec<u64>,
    network: Network,
    faults: Faults,
    now: u64,
    queue: Queue<Next>,
    letters: Letters,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Arrival(usize),
    Timer(u32, Timer),
}

#[derive(Clone, Debug)]
struct Letter {
    from: u32,
    to: u32,
    message: Message,
    news: Vec<News>,
}

/// Letters on their way; places are used again.
#[derive(Debug, Default)]
struct Letters {
    places: Vec<Option<Letter>>,
    free: Vec<usize>,
}

impl Letters {
    fn put(&mut self, letter: Letter) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(letter);
        place
    }

    fn take(&mut self, place: usize) -> Option<Letter> {
        self.free.push(place);
        self.places[place].take()
    }
}

impl<W: Watch> Cluster<W> {
    /// All nodes up at time 0, with the network that a [`Simulation`](crate::sim::Simulation) of this seed has.
    pub fn new(seed: u64, nodes: u32, config: Config, weather: Weather, watch: W) -> Self {
        let mut cluster = Self {
            watch,
            nodes: Vec::new(),
            up: vec![true; nodes as usize],
            stalled: vec![0; nodes as usize],
            sent: vec![0; nodes as usize],
            network: Network::new(seed, nodes, weather),
            faults: Faults::default(),
            now: 0,
            queue: Queue::new(),
            letters: Letters::default(),
            outputs: Vec::new(),
        };
        for node in 0..nodes {
            let state = Node::new(node, nodes, config, seed, &mut cluster.outputs);
            cluster.nodes.push(state);
            cluster.drain(node);
        }
        cluster
    }

    /// The time, in microseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The network, to change its weather, hold and cut it.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// A node.
    pub fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: u32) -> bool {
        self.up[node as usize]
    }

    /// The process is gone.
    pub fn crash(&mut self, node: u32) {
        self.up[node as usize] = false;
    }

    /// The process stalls for a while; messages wait in its socket and come before its timers.
    pub fn pause(&mut self, node: u32, for_micros: u64) {
        self.stalled[node as usize] = self.now + for_micros;
    }

    /// Lets everything happen that happens until `limit`, and sets the time to it.
    pub fn run_until(&mut self, limit: u64) {
        while let Some((at, next)) = self.queue.pop_until(limit) {
            self.now = self.now.max(at);
            match next {
                Next::Arrival(place) => self.arrive(place),
                Next::Timer(node, timer) => self.ring(node, timer),
            }
        }
        self.now = self.now.max(limit);
    }

    fn arrive(&mut self, place: usize) {
        let Some(letter) = self.letters.take(place) else { return };
        let to = letter.to as usize;
        let held = self.network.held(letter.to, self.now).unwrap_or(0).max(self.stalled[to]);
        if held > self.now {
            let place = self.letters.put(letter);
            self.queue.push(held, Next::Arrival(place));
        } else if self.up[to] {
            let Letter { from, to, message, news } = letter;
            self.nodes[to as usize].on_message(self.now, from, message, &news, &mut self.outputs);
            self.drain(to);
        }
    }

    fn ring(&mut self, node: u32, timer: Timer) {
        let stalled = self.stalled[node as usize];
        if stalled > self.now {
            // One microsecond later than the messages that waited.
            self.queue.push(stalled + 1, Next::Timer(node, timer));
        } else if self.up[node as usize] {
            self.nodes[node as usize].on_timer(self.now, timer, &mut self.outputs);
            self.drain(node);
        }
    }

    fn drain(&mut self, node: u32) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Send(to, message, news) => self.send(&Letter { from: node, to, message, news }),
                Output::Wake(at, timer) => self.queue.push(at, Next::Timer(node, timer)),
                Output::Verdict(member, state) => self.watch.verdict(self.now, node, member, state),
            }
        }
    }

    fn send(&mut self, letter: &Letter) {
        self.watch.sent(HEADER_LEN + Message::bytes(letter.news.len()));
        let sent = &mut self.sent[letter.from as usize];
        *sent += 1;
        let fate = self.network.route(self.now, letter.from, letter.to, *sent, &mut self.faults);
        for copy in fate.copies() {
            let place = self.letters.put(letter.clone());
            self.queue.push(copy.at, Next::Arrival(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Chance;

    const SECOND: u64 = 1_000_000;

    /// The verdicts on each member, and the number of datagrams.
    #[derive(Debug, Default)]
    struct Notes {
        verdicts: Vec<(u64, u32, u32, State)>,
        datagrams: u64,
    }

    impl Watch for Notes {
        fn verdict(&mut self, at: u64, observer: u32, member: u32, state: State) {
            self.verdicts.push((at, observer, member, state));
        }

        fn sent(&mut self, _: usize) {
            self.datagrams += 1;
        }
    }

    fn cluster(nodes: u32, config: Config) -> Cluster<Notes> {
        Cluster::new(3, nodes, config, Weather::fair(), Notes::default())
    }

    #[test]
    fn healthy_nodes_ping_and_answer_and_accuse_nobody() {
        let mut cluster = cluster(16, Config::swim());
        cluster.run_until(60 * SECOND);
        assert_eq!(cluster.watch.verdicts, []);
        let per_node_second = cluster.watch.datagrams as f64 / 16.0 / 60.0;
        assert!((1.95..2.05).contains(&per_node_second), "a ping and an answer each second: {per_node_second}");
    }

    #[test]
    fn a_crash_is_suspected_and_then_known_to_all() {
        for config in [Config::swim(), Config::lifeguard()] {
            let mut cluster = cluster(32, config);
            cluster.run_until(10 * SECOND);
            cluster.crash(5);
            cluster.run_until(60 * SECOND);
            assert!((0..32).filter(|&node| node != 5).all(|node| cluster.node(node).listed() == 31));
            let first =
                |wanted| cluster.watch.verdicts.iter().find(|(_, _, member, state)| *member == 5 && *state == wanted);
            let (suspected, ..) = first(State::Suspect).expect("somebody suspected it");
            let (dead, ..) = first(State::Dead).expect("somebody declared it dead");
            assert!(dead - suspected >= 7 * SECOND, "a suspicion of 32 members lasts 7.5 s: {}", dead - suspected);
            assert!(cluster.watch.verdicts.iter().all(|(_, _, member, _)| *member == 5));
        }
    }

    #[test]
    fn a_held_node_denies_when_it_hears_of_it() {
        let mut cluster = cluster(32, Config::swim());
        cluster.run_until(10 * SECOND);
        cluster.network().hold(5, 14 * SECOND);
        cluster.run_until(40 * SECOND);
        let suspected =
            cluster.watch.verdicts.iter().any(|(_, _, member, state)| *member == 5 && *state == State::Suspect);
        assert!(
            suspected
                && cluster.watch.verdicts.iter().all(|(_, _, member, state)| *member != 5 || *state != State::Dead)
        );
        assert!((0..32).all(|node| cluster.node(node).listed() == 32));
    }

    /// What the comparison rests on: slow members make SWIM accuse healthy ones, and Lifeguard hardly ever.
    #[test]
    fn slow_members_make_false_positives_and_lifeguard_fewer() {
        let false_positives = |config| {
            let mut cluster = cluster(64, config);
            for start in (10..100).step_by(17) {
                cluster.run_until(start * SECOND);
                for node in 0..16 {
                    cluster.network().hold(node, (start + 16) * SECOND);
                }
            }
            cluster.run_until(110 * SECOND);
            let healthy = |(_, _, member, state): &&(u64, u32, u32, State)| *member >= 16 && *state == State::Dead;
            cluster.watch.verdicts.iter().filter(healthy).count()
        };
        let (swim, lifeguard) = (false_positives(Config::swim()), false_positives(Config::lifeguard()));
        assert!(swim > 1_000 && lifeguard * 50 < swim, "SWIM {swim}, Lifeguard {lifeguard}");
    }

    #[test]
    fn a_seed_is_a_run() {
        let run = |seed| {
            let weather = Weather { loss: Chance::of(0.2), ..Weather::fair() };
            let mut cluster = Cluster::new(seed, 24, Config::lifeguard(), weather, Notes::default());
            cluster.pause(3, 9 * SECOND);
            cluster.run_until(60 * SECOND);
            (cluster.watch.datagrams, cluster.watch.verdicts)
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
