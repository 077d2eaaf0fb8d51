//! The network: when, how often and how intact a datagram arrives.
//!
//! The fate of a datagram is a hash of the seed, its sender and its number among the sender's datagrams. It is drawn from
//! no generator, so it does not matter in which order anything else is drawn. The latency of a pair is a hash of the
//! pair: it costs no memory, whatever the number of nodes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::sim::fault::{Fault, Faults};
use crate::sim::rng::{Chance, hash, mix, within};

/// What the network does to datagrams. Times are in microseconds.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The range from which the one-way latency of each pair is drawn, once, the same both ways.
    pub latency: (u64, u64),
    /// Up to this much is added to the latency of each datagram.
    pub jitter: u64,
    /// Datagrams lost.
    pub loss: Chance,
    /// Datagrams that arrive twice or more.
    pub duplicate: Chance,
    /// A further copy arrives at most so much later.
    pub duplicate_delay: u64,
    /// Datagrams that are held back on their own.
    pub reorder: Chance,
    /// They are held back by at most so much.
    pub reorder_delay: u64,
    /// Datagrams with flipped bits or a lost tail.
    pub corrupt: Chance,
}

impl Weather {
    /// 10 to 50 ms, and nothing is lost, repeated, overtaken or damaged.
    #[must_use]
    pub const fn fair() -> Self {
        Self {
            latency: (10_000, 50_000),
            jitter: 0,
            loss: Chance::NEVER,
            duplicate: Chance::NEVER,
            duplicate_delay: 0,
            reorder: Chance::NEVER,
            reorder_delay: 0,
            corrupt: Chance::NEVER,
        }
    }
}

/// One copy of a datagram on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// When it arrives.
    pub at: u64,
    /// Where it is damaged: a hash that says how.
    pub damage: Option<u64>,
}

/// What becomes of a datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    copies: [Copied; Self::COPIES_MAX],
    len: usize,
    /// Which faults it met, as a set.
    faults: u32,
}

impl Fate {
    const COPIES_MAX: usize = 3;

    /// The copies that will arrive somewhere, none where it is lost.
    #[must_use]
    pub fn copies(&self) -> &[Copied] {
        &self.copies[..self.len]
    }

    /// The faults that it met.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        Fault::ALL.iter().copied().filter(|&fault| self.faults & 1 << fault as u32 != 0)
    }

    const fn met(&mut self, fault: Fault) {
        self.faults |= 1 << fault as u32;
    }

    const fn arrive(&mut self, copy: Copied) {
        self.copies[self.len] = copy;
        self.len += 1;
    }
}

/// Groups of nodes between which a partition may lie.
pub const GROUPS: usize = 8;

/// All paths between all nodes.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    /// What it does to datagrams; may be changed while the simulation runs.
    pub weather: Weather,
    /// The group of each node.
    groups: Vec<u8>,
    /// For each group the set of groups that its datagrams do not reach.
    blocked: [u8; GROUPS],
    /// Paths on which nothing arrives.
    parted: HashSet<u64, BuildHasherDefault<PairHasher>>,
    /// Until when each clogged path (from, to) lets nothing through.
    clogs: HashMap<u64, u64, BuildHasherDefault<PairHasher>>,
    /// Until when nothing leaves or reaches each held node.
    holds: HashMap<u64, u64, BuildHasherDefault<PairHasher>>,
    /// The latest arrival on each path, needed only where jitter could make datagrams overtake each other.
    latest: HashMap<u64, u64, BuildHasherDefault<PairHasher>>,
}

impl Network {
    /// A network of `nodes` without partitions.
    #[must_use]
    pub fn new(seed: u64, nodes: u32, weather: Weather) -> Self {
        Self {
            seed: mix(seed),
            weather,
            groups: vec![0; nodes as usize],
            blocked: [0; GROUPS],
            parted: HashSet::default(),
            clogs: HashMap::default(),
            holds: HashMap::default(),
            latest: HashMap::default(),
        }
    }

    /// Puts `node` into `group`, below [`GROUPS`]. All nodes start in group 0.
    pub fn assign(&mut self, node: u32, group: u8) {
        self.groups[node as usize] = group % GROUPS as u8;
    }

    /// From now on nothing that group `from` sends reaches group `to`. The way back stays as it was.
    pub const fn cut(&mut self, from: u8, to: u8) {
        self.blocked[from as usize % GROUPS] |= 1 << (to as usize % GROUPS);
    }

    /// From now on nothing arrives on the path from `from` to `to`, what is under way included.
    pub fn part(&mut self, from: u32, to: u32) {
        self.parted.insert(pair(from, to));
    }

    /// Whether what arrives on a path now is lost.
    #[must_use]
    pub fn is_parted(&self, from: u32, to: u32) -> bool {
        !self.parted.is_empty() && self.parted.contains(&pair(from, to))
    }

    /// Ends all partitions, unclogs all paths and holds nobody any more.
    pub fn heal(&mut self) {
        self.groups.fill(0);
        self.blocked = [0; GROUPS];
        self.parted.clear();
        self.clogs.clear();
        self.holds.clear();
    }

    /// Whether a datagram of `from` can reach `to` now.
    #[must_use]
    pub fn connected(&self, from: u32, to: u32) -> bool {
        let [from, to] = [from, to].map(|node| self.groups[node as usize] as usize);
        self.blocked[from] & 1 << to == 0
    }

    /// Nothing sent from `from` to `to` arrives before `until`; then all of it does.
    pub fn clog(&mut self, from: u32, to: u32, until: u64) {
        self.clogs.insert(pair(from, to), until);
    }

    /// The messages of `node` wait, those that it sends and those that reach it, and come at `until`; its timers run on. What
    /// the Lifeguard paper (Dadgar, Phillips, Currey 2018, §5) calls an anomaly.
    pub fn hold(&mut self, node: u32, until: u64) {
        self.holds.insert(node.into(), until);
    }

    /// Until when the messages of `node` wait, where they do.
    #[must_use]
    pub fn held(&self, node: u32, now: u64) -> Option<u64> {
        if self.holds.is_empty() {
            return None;
        }
        self.holds.get(&u64::from(node)).copied().filter(|&until| until > now)
    }

    /// The latency between two nodes, in microseconds.
    #[must_use]
    pub const fn latency(&self, a: u32, b: u32) -> u64 {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let h = hash([self.seed, 1, pair(low, high)]);
        within(h, self.weather.latency.0, self.weather.latency.1)
    }

    /// What becomes of datagram `number` of `from`, sent to `to` at `now`. What it meets is counted in `counts`.
    pub fn route(&mut self, now: u64, from: u32, to: u32, number: u64, counts: &mut Faults) -> Fate {
        let mut fate = Fate::default();
        let h = hash([self.seed, u64::from(from), number]);
        if !self.connected(from, to) {
            fate.met(Fault::Cut);
            if self.connected(to, from) {
                fate.met(Fault::CutOneWay);
            }
        } else if self.weather.loss.hit(h) {
            fate.met(Fault::Lost);
        } else {
            self.deliver(now, from, to, h, &mut fate);
        }
        for fault in fate.faults() {
            counts.count(fault);
        }
        fate
    }

    fn deliver(&mut self, now: u64, from: u32, to: u32, h: u64, fate: &mut Fate) {
        let departure = self.held(from, now);
        if departure.is_some() {
            fate.met(Fault::Held);
        }
        let mut at = departure.unwrap_or(now) + self.latency(from, to);
        if self.weather.jitter > 0 {
            at += within(hash([h, 2]), 0, self.weather.jitter);
        }
        if let Some(&until) = self.clogs.get(&pair(from, to)).filter(|&&until| until > at) {
            fate.met(Fault::Clogged);
            at = until;
        }
        if self.weather.reorder.hit(hash([h, 3])) {
            fate.met(Fault::Reordered);
            at += within(hash([h, 4]), 1, self.weather.reorder_delay.max(1));
        } else if self.weather.jitter > 0 {
            let latest = self.latest.entry(pair(from, to)).or_default();
            at = at.max(*latest);
            *latest = at;
        }
        let damage = self.weather.corrupt.hit(hash([h, 5])).then(|| hash([h, 6]));
        if damage.is_some() {
            fate.met(Fault::Corrupted);
        }
        fate.arrive(Copied { at, damage });
        for copy in 0..2 {
            if self.weather.duplicate.hit(hash([h, 7, copy])) {
                fate.met(Fault::Duplicated);
                let later = within(hash([h, 8, copy]), 0, self.weather.duplicate_delay);
                fate.arrive(Copied { at: at + later, damage: None });
            } else {
                break;
            }
        }
    }
}

/// Damages a datagram as `damage` says: one to seven bits flipped, or (one time in eight) its tail lost. Returns its
/// length afterwards.
pub fn corrupt(datagram: &mut [u8], damage: u64) -> usize {
    let len = datagram.len() as u64;
    if len == 0 {
        return 0;
    }
    if damage.is_multiple_of(8) {
        return within(mix(damage), 0, len - 1) as usize;
    }
    for flip in 0..damage % 8 {
        let bit = within(hash([damage, flip]), 0, len * 8 - 1);
        datagram[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
    datagram.len()
}

const fn pair(a: u32, b: u32) -> u64 {
    (a as u64) << 32 | b as u64
}

/// Pairs of nodes are their own hash, once mixed: the default hasher would defend against an attacker who is not here.
#[derive(Clone, Copy, Debug, Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |state, &byte| mix(state ^ u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(network: &mut Network, counts: &mut Faults) -> Vec<u64> {
        (0..1_000).flat_map(|i| network.route(i * 100, 0, 1, i, counts).copies().to_vec()).map(|copy| copy.at).collect()
    }

    #[test]
    fn a_pair_has_one_latency_both_ways() {
        let mut network = Network::new(1, 3, Weather::fair());
        let mut counts = Faults::default();
        let there = network.route(0, 0, 1, 1, &mut counts).copies()[0].at;
        assert_eq!(there, network.route(0, 1, 0, 9, &mut counts).copies()[0].at);
        assert_ne!(there, network.route(0, 0, 2, 1, &mut counts).copies()[0].at);
        assert!((10_000..=50_000).contains(&there));
    }

    #[test]
    fn each_path_is_first_in_first_out_under_jitter_and_not_under_reordering() {
        let mut network = Network::new(1, 2, Weather { jitter: 20_000, ..Weather::fair() });
        let mut counts = Faults::default();
        let times = arrivals(&mut network, &mut counts);
        assert!(times.is_sorted() && times.len() == 1_000);
        network.weather.reorder = Chance::of(0.2);
        network.weather.reorder_delay = 30_000;
        assert!(!arrivals(&mut network, &mut counts).is_sorted());
        assert!(counts.of(Fault::Reordered) > 100);
    }

    #[test]
    fn a_partition_can_have_one_direction() {
        let mut network = Network::new(1, 2, Weather::fair());
        network.assign(1, 3);
        network.cut(0, 3);
        let mut counts = Faults::default();
        assert!(network.route(0, 0, 1, 1, &mut counts).copies().is_empty());
        assert_eq!(network.route(0, 1, 0, 1, &mut counts).copies().len(), 1);
        assert_eq!((counts.of(Fault::Cut), counts.of(Fault::CutOneWay)), (1, 1));
        network.heal();
        assert_eq!(network.route(0, 0, 1, 1, &mut counts).copies().len(), 1);
    }

    #[test]
    fn what_is_parted_is_lost_where_it_arrives() {
        let mut network = Network::new(1, 2, Weather::fair());
        network.part(0, 1);
        assert_eq!(network.route(0, 0, 1, 1, &mut Faults::default()).copies().len(), 1);
        assert!(network.is_parted(0, 1) && !network.is_parted(1, 0));
        network.heal();
        assert!(!network.is_parted(0, 1));
    }

    #[test]
    fn a_clog_delays_and_keeps_the_order() {
        let mut network = Network::new(1, 2, Weather::fair());
        network.clog(0, 1, 80_000);
        let mut counts = Faults::default();
        let times = arrivals(&mut network, &mut counts);
        assert!(times.is_sorted() && times[0] == 80_000 && times.len() == 1_000);
        assert!(counts.of(Fault::Clogged) > 100);
    }

    #[test]
    fn what_a_held_node_sends_leaves_later() {
        let mut network = Network::new(1, 2, Weather::fair());
        let mut counts = Faults::default();
        let latency = network.latency(0, 1);
        network.hold(0, 70_000);
        let times = arrivals(&mut network, &mut counts);
        assert_eq!((times[0], times[1_000 - 1]), (70_000 + latency, 99_900 + latency));
        assert_eq!(counts.of(Fault::Held), 700);
        assert_eq!((network.held(0, 69_999), network.held(0, 70_000), network.held(1, 0)), (Some(70_000), None, None));
    }

    #[test]
    fn damage_changes_or_shortens_the_datagram() {
        for seed in 0..200 {
            let mut datagram = [0x55_u8; 40];
            let len = corrupt(&mut datagram, mix(seed));
            // An even number of flips may meet in one bit; that is rare, and such a datagram is whole again.
            assert!(len < 40 || datagram != [0x55; 40] || mix(seed) % 8 > 1);
        }
        assert_eq!(corrupt(&mut [], 3), 0);
    }
}
