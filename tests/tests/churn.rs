//! Nodes come and go all the time, and those who stay miss nothing and gather nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gossip_core::{Config, Event, Membership, MessageId, NodeId, Order, PeerState};
use gossip_tests::sim::rng::Rng;
use gossip_tests::sim::{Birth, Observer, Options, Simulation, Step, What};

const SECOND: u64 = 1_000_000;
/// How long the dead may be taken for alive: a neighbor misses one within a round of beats of ten links and some probes, and
/// gives a suspect up after four windows.
const BELIEVED: u64 = 30 * SECOND;
/// How long the name of somebody is kept who was linked once and whose link gave way to another: twice an eighth of the horizon,
/// and a little more.
const REMEMBERED: u64 = 200 * SECOND;
/// Of an id, the part that says where its node lives; the rest says in which life.
const PLACE_BITS: u32 = 16;

/// The node in a place. Every life is another node.
const fn id(place: u32, life: u32) -> NodeId {
    NodeId((life as u64) << PLACE_BITS | (place as u64 + 1))
}

#[derive(Default)]
struct Log {
    delivered: BTreeMap<MessageId, BTreeSet<u32>>,
    died: BTreeMap<NodeId, u64>,
    /// Who was said to be there long after it was gone.
    resurrected: Vec<String>,
}

impl Observer for Log {
    fn observe(&mut self, step: &Step<'_>) {
        match &step.what {
            What::Delivered { id, .. } => {
                self.delivered.entry(*id).or_default().insert(step.node);
            }
            What::Told(Event::PeerUp { node, .. }) if self.is_long_gone(step.at, *node) => {
                self.resurrected.push(format!("{node} is up, says node {} at {} us", step.node, step.at));
            }
            _ => {}
        }
    }
}

impl Log {
    fn is_long_gone(&self, now: u64, node: NodeId) -> bool {
        self.died.get(&node).is_some_and(|died| now > died + BELIEVED)
    }
}

fn configure(birth: Birth, nodes: u32) -> Config {
    let mut config = Config::lan(id(birth.node, birth.life));
    config.started_at = birth.at / 1_000;
    // So long the rows of the dead stay: tables are compared in the middle and at the end, and have to be full by the middle.
    config.timing.horizon = Duration::from_secs(240);
    config.limits.peers = 256;
    // Half of them submit.
    config.limits.origins = nodes;
    config.membership = Membership::sampled(&config.limits);
    config
}

/// A cluster in which the nodes of the second half are replaced, each by another one.
struct Town {
    net: Simulation<Log>,
    rng: Rng,
    lives: Vec<u32>,
    submitted: Vec<MessageId>,
}

impl Town {
    fn new(seed: u64, nodes: u32) -> Self {
        let net = Simulation::new(Options::new(seed, nodes), move |birth| configure(birth, nodes), Log::default());
        let mut town = Self { net, rng: Rng::new(seed, 7), lives: vec![0; nodes as usize], submitted: Vec::new() };
        for place in 0..nodes {
            town.move_in(place);
            town.wait(SECOND / 100);
        }
        town.wait(20 * SECOND);
        town
    }

    fn wait(&mut self, micros: u64) {
        self.net.run_until(self.net.now() + micros);
    }

    /// Somebody who stays.
    fn resident(&mut self) -> u32 {
        self.rng.below(self.lives.len() as u64 / 2) as u32
    }

    fn move_in(&mut self, place: u32) {
        self.net.start(place, false);
        self.lives[place as usize] += 1;
        let contact = self.resident();
        if place > 0 {
            self.net.join(place, contact.min(place - 1)).expect("a new node takes a contact");
        }
    }

    fn replace_one(&mut self) {
        let residents = self.lives.len() as u64 / 2;
        let place = (residents + self.rng.below(residents)) as u32;
        self.net.crash(place);
        let now = self.net.now();
        self.net.observer.died.insert(id(place, self.lives[place as usize]), now);
        self.move_in(place);
    }

    fn submit(&mut self) {
        let (resident, payload): (u32, [u8; 32]) = (self.resident(), self.rng.bytes());
        let message = self.net.submit(resident, Order::Unordered, &payload).expect("it is up");
        self.submitted.push(message.expect("there is room"));
    }

    /// A share of the nodes is replaced each second, and one message submitted.
    fn churn(&mut self, share: f64, seconds: u64) {
        let gap = (SECOND as f64 / (share * self.lives.len() as f64)) as u64;
        let (start, end) = (self.net.now(), self.net.now() + seconds * SECOND);
        let mut next_message = start;
        while self.net.now() < end {
            self.wait(gap);
            self.replace_one();
            if self.net.now() >= next_message {
                next_message += SECOND;
                self.submit();
            }
        }
    }

    /// Messages that a resident has not got, counted for each resident.
    fn missed(&self) -> usize {
        let residents = self.lives.len() as u32 / 2;
        let lacks = |message| {
            let got = self.net.observer.delivered.get(message);
            (0..residents).filter(|node| !got.is_some_and(|got| got.contains(node))).count()
        };
        self.submitted.iter().map(lacks).sum()
    }

    /// The rows of the largest table of members.
    fn largest_table(&self) -> usize {
        let tables = (0..self.lives.len() as u32).filter_map(|node| self.net.view(node));
        tables.map(|gossip| gossip.peers().count()).max().unwrap_or(0)
    }

    /// Who lists somebody as known or linked that is long gone.
    fn reminded(&self) -> Vec<String> {
        let (now, log) = (self.net.now(), &self.net.observer);
        let mut found = Vec::new();
        for gossip in (0..self.lives.len() as u32).filter_map(|node| self.net.view(node)) {
            let alive = gossip.peers().filter(|peer| matches!(peer.state, PeerState::Known | PeerState::Linked));
            let gone = alive.filter(|peer| log.is_long_gone(now, peer.node));
            found.extend(gone.map(|peer| format!("{} lists {}", gossip.id(), peer.node)));
        }
        found
    }

    /// Who takes somebody for alive who is long gone: it has a link with it, or heard that it spoke after its death. What a
    /// table of members says of others than links is hearsay, which may be old.
    fn believers(&self) -> Vec<String> {
        let (now, log) = (self.net.now(), &self.net.observer);
        let mut found = Vec::new();
        for gossip in (0..self.lives.len() as u32).filter_map(|node| self.net.view(node)) {
            let linked = gossip.neighbors().filter(|link| log.is_long_gone(now, link.node));
            found.extend(linked.map(|link| format!("{} is linked with {link}", gossip.id())));
            let spoke = |age: Duration| now.saturating_sub(age.as_micros() as u64);
            let heard = gossip.current_view().filter(|entry| log.is_long_gone(spoke(entry.age), entry.node));
            found.extend(heard.map(|entry| format!("{} heard of {entry}", gossip.id())));
        }
        found
    }
}

/// Replaces 0.5 % of the nodes each second, at full size where `GOSSIP_LONG` is set.
#[test]
fn those_who_stay_miss_nothing_and_the_dead_stay_dead() {
    let is_long = std::env::var_os("GOSSIP_LONG").is_some();
    let (nodes, seconds) = if is_long { (1_000, 600) } else { (60, 120) };
    let mut town = Town::new(1, nodes);
    town.churn(0.005, seconds / 2);
    let before = town.largest_table();
    town.churn(0.005, seconds / 2);
    let after = town.largest_table();
    town.wait(BELIEVED + 10 * SECOND);
    let log = &town.net.observer;
    assert!(log.resurrected.is_empty(), "{:#?}", log.resurrected);
    let believers = town.believers();
    assert!(believers.is_empty(), "{} of {nodes}: {:#?}", believers.len(), &believers[..believers.len().min(10)]);
    assert_eq!(town.missed(), 0, "of {} messages", town.submitted.len());
    town.wait(REMEMBERED);
    let reminded = town.reminded();
    assert!(reminded.is_empty(), "{} of {nodes}: {:#?}", reminded.len(), &reminded[..reminded.len().min(10)]);
    println!("{nodes} nodes, {seconds} s: largest table {before}, then {after}");
    assert!(after <= before + before / 4 + 8, "the largest table of members has grown from {before} rows to {after}");
}
