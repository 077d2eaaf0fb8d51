//! How the network is parted: the packages of Maelstrom's `--nemesis partition`.

use crate::sim::Network;
use crate::sim::rng::Rng;

/// A way to part the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parted {
    /// One node from all others.
    One,
    /// Fewer than a third from the rest.
    MinorityThird,
    /// A bare majority from the rest.
    Majority,
    /// Every node sees a majority, no two see the same one: each reaches those next to it in a ring.
    MajoritiesRing,
}

impl Parted {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::One, Self::MinorityThird, Self::Majority, Self::MajoritiesRing];

    /// Parts `nodes` nodes, whoever is drawn. What is on its way already is lost too.
    pub fn apply(self, network: &mut Network, nodes: u32, rng: &mut Rng) {
        let order = shuffled(nodes, rng);
        let position = |node: u32| order.iter().position(|&other| other == node).map_or(0, |at| at as u32);
        let positions: Vec<u32> = (0..nodes).map(position).collect();
        let reaches = |a: u32, b: u32| {
            let [a, b] = [a, b].map(|node| positions[node as usize]);
            self.reaches(nodes, a, b)
        };
        for a in 0..nodes {
            for b in (0..nodes).filter(|&b| b != a && !reaches(a, b)) {
                network.part(a, b);
            }
        }
    }

    /// Whether two nodes still reach each other, by their places in a random order.
    fn reaches(self, nodes: u32, a: u32, b: u32) -> bool {
        let apart = |size: u32| (a < size) == (b < size);
        match self {
            Self::One => apart(1),
            Self::MinorityThird => apart((nodes.saturating_sub(1) / 3).max(1)),
            Self::Majority => apart(nodes / 2 + 1),
            Self::MajoritiesRing => {
                let distance = a.abs_diff(b);
                // A majority counts the node itself, and half of the others on either side of it.
                distance.min(nodes - distance) <= (nodes / 2).div_ceil(2)
            }
        }
    }
}

fn shuffled(nodes: u32, rng: &mut Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..nodes).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many nodes each of 25 reaches, itself included.
    fn seen(parted: Parted) -> Vec<usize> {
        (0..25).map(|a| (0..25).filter(|&b| a == b || parted.reaches(25, a, b)).count()).collect()
    }

    #[test]
    fn the_sizes_are_those_of_the_packages() {
        assert_eq!(seen(Parted::One)[..2], [1, 24]);
        assert_eq!(seen(Parted::MinorityThird)[7..9], [8, 17]);
        assert_eq!(seen(Parted::Majority)[12..14], [13, 12]);
        assert!(seen(Parted::MajoritiesRing).iter().all(|&count| count == 13));
    }

    #[test]
    fn who_reaches_is_reached() {
        for parted in Parted::ALL {
            for (a, b) in (0..25).flat_map(|a| (0..25).map(move |b| (a, b))) {
                assert_eq!(parted.reaches(25, a, b), parted.reaches(25, b, a), "{parted:?} {a} {b}");
            }
        }
    }
}
