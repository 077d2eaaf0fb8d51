//! The overlay as a graph: who is linked with whom, seen from outside.
//!
//! A link counts where both ends hold it and both are up.

use gossip_core::PeerState;

use crate::sim::rng::Rng;
use crate::sim::{Observer, Simulation};

/// Sources from which shortest paths are measured; all nodes where there are fewer. The mean over 200 sources of 10,000
/// nodes differs from that over all by some thousandths.
const SOURCES_MAX: usize = 200;

/// An undirected graph without loops and double edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// The neighbors of each node, in order.
    neighbors: Vec<Vec<u32>>,
    /// Which nodes are part of it.
    up: Vec<bool>,
}

impl Graph {
    /// The links of a running cluster.
    pub(super) fn of<O: Observer>(simulation: &Simulation<O>) -> Self {
        let up: Vec<bool> = (0..simulation.size()).map(|node| simulation.is_up(node)).collect();
        let linked = |node: u32| -> Vec<u32> {
            let peers = simulation.view(node).into_iter().flat_map(|gossip| gossip.peers());
            let linked = peers.filter(|peer| peer.state == PeerState::Linked).map(|peer| peer.node.0 as u32 - 1);
            linked.collect()
        };
        Self::new((0..simulation.size()).map(linked).collect(), up)
    }

    /// Keeps what both ends name, between nodes that are up.
    fn new(mut named: Vec<Vec<u32>>, up: Vec<bool>) -> Self {
        named.iter_mut().for_each(|neighbors| neighbors.sort_unstable());
        let mutual = |node: usize| {
            let both =
                |other: &&u32| up[**other as usize] && named[**other as usize].binary_search(&(node as u32)).is_ok();
            named[node].iter().filter(both).copied().collect()
        };
        let neighbors = (0..named.len()).map(|node| if up[node] { mutual(node) } else { Vec::new() }).collect();
        Self { neighbors, up }
    }

    /// A random graph in which every node has as many neighbors as here, but for a few pairs that would not fit: stubs
    /// are joined by chance (the configuration model, Bollobás 1980).
    pub(super) fn shuffled(&self, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0x6472);
        let stubs = self.neighbors.iter().enumerate().flat_map(|(node, of)| of.iter().map(move |_| node as u32));
        let mut stubs: Vec<u32> = stubs.collect();
        let mut neighbors = vec![Vec::new(); self.neighbors.len()];
        // What would be a loop or a double edge is drawn again, together with the others of its kind.
        for _ in 0..100 {
            for i in (1..stubs.len()).rev() {
                stubs.swap(i, rng.below(i as u64 + 1) as usize);
            }
            let mut refused = Vec::new();
            for pair in stubs.chunks_exact(2) {
                let (a, b) = (pair[0], pair[1]);
                if a == b || neighbors[a as usize].contains(&b) {
                    refused.extend(pair);
                } else {
                    neighbors[a as usize].push(b);
                    neighbors[b as usize].push(a);
                }
            }
            stubs = refused;
        }
        neighbors.iter_mut().for_each(|of| of.sort_unstable());
        Self { neighbors, up: self.up.clone() }
    }

    fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.up.len() as u32).filter(|&node| self.up[node as usize])
    }

    /// The mean number of neighbors.
    pub(super) fn degree(&self) -> Option<f64> {
        let nodes = self.nodes().count();
        (nodes > 0).then(|| self.neighbors.iter().map(Vec::len).sum::<usize>() as f64 / nodes as f64)
    }

    /// The sizes of the connected components, the largest first.
    pub(super) fn components(&self) -> Vec<u32> {
        let mut seen = vec![false; self.up.len()];
        let mut sizes: Vec<u32> = Vec::new();
        for start in self.nodes() {
            if !seen[start as usize] {
                sizes.push(self.walk(start, &mut seen).map(|_| 1).sum());
            }
        }
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    /// The mean over all nodes of the share of pairs of neighbors that are neighbors of each other; of a node with fewer than
    /// two it is 0 (Watts and Strogatz 1998).
    pub(super) fn clustering(&self) -> Option<f64> {
        let local = |node: u32| {
            let of = &self.neighbors[node as usize];
            let pairs = of.len() * of.len().saturating_sub(1);
            let closed =
                |&a: &u32| of.iter().filter(|&&b| self.neighbors[a as usize].binary_search(&b).is_ok()).count();
            if pairs == 0 { 0.0 } else { of.iter().map(closed).sum::<usize>() as f64 / pairs as f64 }
        };
        let nodes = self.nodes().count();
        (nodes > 0).then(|| self.nodes().map(local).sum::<f64>() / nodes as f64)
    }

    /// The mean length of the shortest paths between nodes that reach each other.
    pub(super) fn path(&self) -> Option<f64> {
        let nodes: Vec<u32> = self.nodes().collect();
        let step = nodes.len().div_ceil(SOURCES_MAX).max(1);
        let (mut sum, mut pairs) = (0_u64, 0_u64);
        for &source in nodes.iter().step_by(step) {
            for (_, distance) in self.walk(source, &mut vec![false; self.up.len()]) {
                sum += u64::from(distance);
                pairs += u64::from(distance > 0);
            }
        }
        (pairs > 0).then(|| sum as f64 / pairs as f64)
    }

    /// All nodes that `start` reaches, itself included, breadth first, with their distance.
    fn walk<'a>(&'a self, start: u32, seen: &'a mut [bool]) -> impl Iterator<Item = (u32, u32)> + 'a {
        seen[start as usize] = true;
        let mut queue = std::collections::VecDeque::from([(start, 0)]);
        std::iter::from_fn(move || {
            let (node, distance) = queue.pop_front()?;
            for &next in &self.neighbors[node as usize] {
                if !std::mem::replace(&mut seen[next as usize], true) {
                    queue.push_back((next, distance + 1));
                }
            }
            Some((node, distance))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring of six in which node 5 is down, node 0 and 2 are linked as well, and 3 names 1, but not the other way round.
    fn example() -> Graph {
        let named = vec![vec![1, 5, 2], vec![0, 2], vec![1, 3, 0], vec![2, 4, 1], vec![3, 5], vec![4, 0]];
        Graph::new(named, vec![true, true, true, true, true, false])
    }

    #[test]
    fn figures_of_a_small_graph() {
        let graph = example();
        assert_eq!(graph.components(), [5]);
        assert_eq!(graph.degree(), Some(2.0));
        // 0 and 1 see their only pair closed, 2 one of three, 3 none, 4 has no pair.
        assert!((graph.clustering().expect("there are nodes") - (1.0 + 1.0 + 1.0 / 3.0) / 5.0).abs() < 1e-9);
        // 0: 1 1 2 3; 1: 1 1 2 3; 2: 1 1 1 2; 3: 1 1 2 2; 4: 1 2 3 3.
        assert_eq!(graph.path(), Some(34.0 / 20.0));
    }

    #[test]
    fn parts_are_counted() {
        let graph = Graph::new(vec![vec![1], vec![0], vec![3], vec![2], vec![]], vec![true; 5]);
        assert_eq!(graph.components(), [2, 2, 1]);
        assert_eq!((graph.path(), graph.clustering()), (Some(1.0), Some(0.0)));
        assert_eq!(Graph::default().degree(), None);
    }

    #[test]
    fn shuffling_keeps_degrees_and_closes_few_triangles() {
        // A ring in which each node knows the next three on both sides: highly clustered.
        let nodes = 600_i64;
        let near = |node: i64| [-3, -2, -1, 1, 2, 3].map(|step| (node + step).rem_euclid(nodes) as u32).to_vec();
        let ring = Graph::new((0..nodes).map(near).collect(), vec![true; nodes as usize]);
        let random = ring.shuffled(1);
        assert!((ring.clustering().expect("nodes") - 0.6).abs() < 1e-9);
        assert!(random.clustering().expect("nodes") < 0.03);
        assert!(random.degree().expect("nodes") > 5.99);
        assert!(random.path().expect("nodes") < 4.5 && ring.path().expect("nodes") > 40.0);
    }
}
