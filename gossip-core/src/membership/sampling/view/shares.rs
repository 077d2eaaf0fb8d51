//! Tests: no network prefix takes more than half of a view, whatever is given, and nobody pays for that who should not.

use super::*;
use core::net::SocketAddr;
use std::vec::Vec;

const PERIOD: Duration = Duration::from_secs(2);
const VIEW: u16 = 12;
/// Where the crowd lives.
const CROWD: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(99, 0, 0, 1)), 7_000);
const NAMES: [&str; 7] = [
    "tail,H=1 S=5,pushpull",
    "rand,H=6 S=0,pushpull",
    "rand,H=0 S=0,pushpull",
    "tail,head,pushpull",
    "rand,rand,push",
    "rand,tail,pushpull",
    "rand,C=3 L=4,pushpull",
];

fn view(name: &str) -> View {
    View::new(Some(name.parse().expect("a name")), VIEW, PERIOD)
}

/// One in the crowd, or in a network of its own.
fn descriptor(node: u64, in_crowd: bool, now: Instant) -> Descriptor {
    let elsewhere = SocketAddr::from(([20, node as u8, 0, 1], 7_000));
    Descriptor::fresh(now, NodeId(node), if in_crowd { CROWD } else { elsewhere })
}

fn of_crowd(view: &View) -> usize {
    view.iter().filter(|known| Prefix::of(known.address) == Prefix::of(CROWD)).count()
}

/// Somebody with a thousand addresses in one network answers every exchange with fresh ones of them.
fn besiege(view: &mut View, rng: &mut Rng) {
    for turn in 0..40 {
        let now = Instant::from_millis(1_000 + turn);
        let count = view.give(rng, Given::Asked, NodeId(99)).count() as u64;
        let fresh = (0..count).map(|card| (descriptor(1_000 + 50 * turn + card, true, now), 1));
        view.take(now, rng, Given::Asked, fresh);
        view.insert(descriptor(900_000 + turn, true, now));
    }
}

#[test]
fn an_insider_gets_half_of_a_view_at_the_most() {
    for name in NAMES {
        let (mut view, mut rng) = (view(name), Rng::new(&[2; 32], 0));
        (1..=u64::from(VIEW)).for_each(|node| assert!(view.insert(descriptor(node, false, Instant::ZERO))));
        besiege(&mut view, &mut rng);
        view.check_invariants(NodeId(99));
        assert_eq!(view.len(), usize::from(VIEW), "{name}");
        assert!(of_crowd(&view) <= usize::from(VIEW) / 2, "{name}: {} of {VIEW}", of_crowd(&view));
    }
}

#[test]
fn one_network_fills_whole_views_and_others_get_their_half_back() {
    for name in NAMES.into_iter().filter(|name| !name.contains(",tail,")) {
        let (mut view, mut rng) = (view(name), Rng::new(&[3; 32], 0));
        besiege(&mut view, &mut rng);
        assert_eq!(of_crowd(&view), usize::from(VIEW), "{name}: nobody else is there");
        for turn in 0..4 {
            let now = Instant::from_millis(2_000 + turn);
            view.give(&mut rng, Given::Asked, NodeId(99)).for_each(drop);
            let others = (0..3).map(|card| (descriptor(1 + 3 * turn + card, false, now), 1));
            view.take(now, &mut rng, Given::Asked, others);
        }
        besiege(&mut view, &mut rng);
        assert!(of_crowd(&view) <= usize::from(VIEW) / 2, "{name}: {} of {VIEW}", of_crowd(&view));
    }
}

/// So many nodes in one network, the others each in one of their own; all play by the default rules.
struct Town {
    views: Vec<Option<View>>,
    crowd: usize,
    /// How often each was asked.
    asked: Vec<u32>,
    rng: Rng,
    now: Instant,
}

impl Town {
    fn new(crowd: usize, others: usize) -> Self {
        let mut rng = Rng::new(&[4; 32], 0);
        let count = crowd + others;
        let mut views: Vec<View> = (0..count).map(|_| view("tail,H=1 S=5,pushpull")).collect();
        for (node, view) in views.iter_mut().enumerate() {
            while view.len() < VIEW.into() {
                let other = rng.below(count as u32) as usize;
                if other != node {
                    view.insert(descriptor(other as u64, other < crowd, Instant::ZERO));
                }
            }
        }
        Self {
            views: views.into_iter().map(Some).collect(),
            crowd,
            asked: std::vec![0; count],
            rng,
            now: Instant::ZERO,
        }
    }

    fn play(&mut self, periods: u32) {
        for _ in 0..periods {
            self.now = self.now + PERIOD;
            (0..self.views.len()).for_each(|node| self.turn(node));
        }
    }

    fn turn(&mut self, node: usize) {
        let Some(mut mine) = self.views[node].take() else { return };
        let whom = mine.select_peer(&mut self.rng, PeerSelection::Tail).expect("a view is never empty");
        let place = whom.node.0 as usize;
        self.asked[place] += 1;
        if let Some(theirs) = self.views[place].as_mut() {
            let own = |node: usize| (descriptor(node as u64, node < self.crowd, self.now), 1);
            let give = |view: &mut View, rng: &mut Rng, whom, to: usize, from: usize| -> Vec<(Descriptor, u8)> {
                let wanted = move |(one, _): &(Descriptor, u8)| one.node.0 != to as u64;
                core::iter::once(own(from)).chain(view.give(rng, whom, NodeId(to as u64))).filter(wanted).collect()
            };
            let question = give(&mut mine, &mut self.rng, Given::Asked, place, node);
            let answer = give(theirs, &mut self.rng, Given::Asking, node, place);
            theirs.take(self.now, &mut self.rng, Given::Asking, question.into_iter());
            mine.take(self.now, &mut self.rng, Given::Asked, answer.into_iter());
        } else {
            mine.disprove(&whom);
        }
        self.views[node] = Some(mine);
    }

    fn living(&self) -> impl Iterator<Item = &View> {
        self.views.iter().flatten()
    }

    /// Entries of those outside of the crowd, mean over views.
    fn of_others(&self) -> f64 {
        let entries: usize = self.living().map(|view| view.len() - of_crowd(view)).sum();
        entries as f64 / self.living().count() as f64
    }
}

#[test]
fn a_few_in_other_networks_are_known_to_all_and_not_overrun() {
    let mut town = Town::new(270, 30);
    town.play(60);
    assert!(town.living().all(|view| of_crowd(view) <= usize::from(VIEW) / 2));
    town.asked.fill(0);
    town.play(40);
    // Everybody asks once in a period, and there are ten times as many nodes as are elsewhere.
    let elsewhere = f64::from(town.asked[270..].iter().sum::<u32>()) / 30.0 / 40.0;
    assert!(elsewhere < 8.0, "each is asked {elsewhere} times in a period");
}

#[test]
fn when_the_others_die_they_are_forgotten() {
    let mut town = Town::new(270, 30);
    town.play(60);
    town.views[270..].fill(None);
    assert!(town.of_others() >= 5.9);
    town.play(26);
    assert_eq!(town.of_others(), 0.0);
}
