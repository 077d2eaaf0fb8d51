//! Graphs of who knows whom: degrees, clustering, path lengths, clusters.
//!
//! All but the in-degrees are about the graph without directions: two nodes are neighbors where one of them lists the
//! other.

use std::collections::VecDeque;

use crate::sim::rng::Rng;
use crate::sim::{Observer, Simulation};

/// Who knows whom, among the nodes that are counted.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The neighbors of each node, ascending; empty for one that is not counted.
    neighbors: Vec<Vec<u32>>,
    in_degrees: Vec<u32>,
    counted: Vec<bool>,
}

impl Graph {
    /// The graph of `lists`, one for each node; none for a node that is not counted, and listings of such do not count.
    pub(super) fn new(lists: &[Option<Vec<u32>>]) -> Self {
        let counted: Vec<bool> = lists.iter().map(Option::is_some).collect();
        let (mut neighbors, mut in_degrees) = (vec![Vec::new(); lists.len()], vec![0; lists.len()]);
        for (node, list) in lists.iter().enumerate() {
            for &other in list.iter().flatten().filter(|&&other| counted[other as usize]) {
                in_degrees[other as usize] += 1;
                neighbors[node].push(other);
                neighbors[other as usize].push(node as u32);
            }
        }
        for list in &mut neighbors {
            list.sort_unstable();
            list.dedup();
        }
        Self { neighbors, in_degrees, counted }
    }

    /// The links of a running cluster: those that both ends hold, between nodes that are up.
    pub(super) fn of_links<O: Observer>(simulation: &Simulation<O>) -> Self {
        let linked = |node: u32| -> Option<Vec<u32>> {
            let mut linked: Vec<u32> = simulation.view(node)?.neighbors().map(|link| link.node.0 as u32 - 1).collect();
            linked.sort_unstable();
            Some(linked)
        };
        Self::new(&mutual(&(0..simulation.size()).map(linked).collect::<Vec<_>>()))
    }

    /// A random graph in which every node has as many neighbors as here, but for a few pairs that would not fit: the ends
    /// of all edges are joined by chance (the configuration model; B. Bollobás, 1980).
    pub(super) fn shuffled(&self, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0x6472);
        let ends = self.neighbors.iter().enumerate().flat_map(|(node, of)| of.iter().map(move |_| node as u32));
        let mut ends: Vec<u32> = ends.collect();
        let mut lists: Vec<Option<Vec<u32>>> = self.counted.iter().map(|&counted| counted.then(Vec::new)).collect();
        let mut edges = std::collections::BTreeSet::new();
        // What would be a loop or a double edge is drawn again, together with the others of its kind.
        for _ in 0..100 {
            for i in (1..ends.len()).rev() {
                ends.swap(i, rng.below(i as u64 + 1) as usize);
            }
            let pairs = ends.as_chunks::<2>().0.iter();
            ends = pairs
                .flat_map(|&[a, b]| if a != b && edges.insert((a.min(b), a.max(b))) { None } else { Some([a, b]) })
                .flatten()
                .collect();
        }
        for (a, b) in edges {
            lists[a as usize].get_or_insert_default().push(b);
        }
        Self::new(&lists)
    }

    /// At most so many nodes, spread evenly: sources for shortest paths.
    pub(super) fn some_nodes(&self, most: usize) -> impl Iterator<Item = u32> + '_ {
        self.nodes().step_by(self.nodes().count().div_ceil(most).max(1))
    }

    /// The nodes that are counted.
    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.counted.len() as u32).filter(|&node| self.counted[node as usize])
    }

    /// The neighbors of each node, ascending.
    pub(super) fn neighbors(&self) -> &[Vec<u32>] {
        &self.neighbors
    }

    /// Neighbors, mean over nodes.
    pub(super) fn degree(&self) -> Option<f64> {
        mean(self.nodes().map(|node| self.neighbors[node as usize].len() as f64))
    }

    /// How many list each node.
    pub(super) fn in_degrees(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes().map(|node| self.in_degrees[node as usize])
    }

    /// The standard deviation of the in-degrees.
    pub(super) fn in_degree_sd(&self) -> Option<f64> {
        let middle = mean(self.in_degrees().map(f64::from))?;
        mean(self.in_degrees().map(|degree| (f64::from(degree) - middle).powi(2))).map(f64::sqrt)
    }

    /// The share of pairs of neighbors that are neighbors of each other, mean over nodes with two neighbors or more (D.
    /// Watts, S. Strogatz, *Collective dynamics of small-world networks*, 1998).
    pub(super) fn clustering(&self) -> Option<f64> {
        let mut marked = vec![false; self.counted.len()];
        let of = |node: u32, marked: &mut Vec<bool>| {
            let list = &self.neighbors[node as usize];
            list.iter().for_each(|&other| marked[other as usize] = true);
            let both =
                |other: &u32| self.neighbors[*other as usize].iter().filter(|&&third| marked[third as usize]).count();
            let ends: usize = list.iter().map(both).sum();
            list.iter().for_each(|&other| marked[other as usize] = false);
            ends as f64 / (list.len() * (list.len() - 1)) as f64
        };
        let many = self.nodes().filter(|&node| self.neighbors[node as usize].len() > 1);
        mean(many.map(|node| of(node, &mut marked)).collect::<Vec<_>>().into_iter())
    }

    /// The length of the shortest path, mean over all pairs of one of `sources` and a node that it reaches.
    pub(super) fn path(&self, sources: impl Iterator<Item = u32>) -> Option<f64> {
        let lengths = sources.flat_map(|source| self.distances(source)).flatten().filter(|&length| length > 0);
        mean(lengths.map(f64::from))
    }

    fn distances(&self, source: u32) -> Vec<Option<u32>> {
        let mut distances = vec![None; self.counted.len()];
        let mut queue = VecDeque::from([(source, 0)]);
        distances[source as usize] = Some(0);
        while let Some((node, length)) = queue.pop_front() {
            for &other in &self.neighbors[node as usize] {
                if distances[other as usize].is_none() {
                    distances[other as usize] = Some(length + 1);
                    queue.push_back((other, length + 1));
                }
            }
        }
        distances
    }

    /// The sizes of the clusters that are left when `removed` nodes are gone, the largest first.
    pub(super) fn clusters(&self, removed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut seen: Vec<bool> = (0..self.counted.len() as u32).map(&removed).collect();
        let mut sizes = Vec::new();
        for start in self.nodes() {
            if std::mem::replace(&mut seen[start as usize], true) {
                continue;
            }
            let (mut stack, mut size) = (vec![start], 0);
            while let Some(node) = stack.pop() {
                size += 1;
                for &other in &self.neighbors[node as usize] {
                    if !std::mem::replace(&mut seen[other as usize], true) {
                        stack.push(other);
                    }
                }
            }
            sizes.push(size);
        }
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes
    }
}

/// Keeps what both ends list. The lists are ascending.
fn mutual(lists: &[Option<Vec<u32>>]) -> Vec<Option<Vec<u32>>> {
    let lists_back =
        |from: u32, to: u32| lists[to as usize].as_ref().is_some_and(|list| list.binary_search(&from).is_ok());
    let keep = |(node, list): (usize, &Option<Vec<u32>>)| {
        let list = list.as_ref()?.iter().copied();
        Some(list.filter(|&other| lists_back(node as u32, other)).collect())
    };
    lists.iter().enumerate().map(keep).collect()
}

/// The mean; none of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u64);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A triangle of 0, 1, 2 with a tail to 3, and a pair apart; node 6 is not counted.
    fn graph() -> Graph {
        let list = |others: &[u32]| Some(others.to_vec());
        Graph::new(&[list(&[1, 2]), list(&[0, 2, 6]), list(&[3]), list(&[]), list(&[5]), list(&[]), None])
    }

    #[test]
    fn degrees_are_counted_with_and_without_directions() {
        assert_eq!(graph().degree(), Some(10.0 / 6.0));
        assert_eq!(graph().in_degrees().collect::<Vec<_>>(), [1, 1, 2, 1, 0, 1]);
        assert_eq!(graph().in_degree_sd(), Some((2.0_f64 / 6.0).sqrt()));
    }

    #[test]
    fn triangles_make_clustering() {
        // 0 and 1 see their only pair linked, 2 sees one of three.
        assert_eq!(graph().clustering(), Some((1.0 + 1.0 + 1.0 / 3.0) / 3.0));
    }

    #[test]
    fn paths_are_shortest() {
        assert_eq!(graph().path([3].into_iter()), Some(5.0 / 3.0));
        assert_eq!(graph().path([].into_iter()), None);
    }

    #[test]
    fn clusters_fall_apart_at_what_is_removed() {
        assert_eq!(graph().clusters(|_| false), [4, 2]);
        assert_eq!(graph().clusters(|node| node == 2), [2, 2, 1]);
    }

    #[test]
    fn a_link_has_two_ends() {
        let lists = [Some(vec![1, 2, 3]), Some(vec![0]), Some(vec![]), None];
        assert_eq!(mutual(&lists), [Some(vec![1]), Some(vec![0]), Some(vec![]), None]);
    }

    #[test]
    fn shuffling_keeps_degrees_and_opens_triangles() {
        // A ring in which each node knows the next three on both sides: highly clustered.
        let next = |node: u32| Some([1, 2, 3].map(|step| (node + step) % 600).to_vec());
        let ring = Graph::new(&(0..600).map(next).collect::<Vec<_>>());
        let random = ring.shuffled(1);
        assert!((ring.clustering().expect("nodes") - 0.6).abs() < 1e-9);
        assert!(random.clustering().expect("nodes") < 0.03);
        assert!(random.degree().expect("nodes") > 5.98);
        let path = |graph: &Graph| graph.path(graph.some_nodes(50)).expect("nodes");
        assert!(path(&random) < 4.5 && path(&ring) > 40.0);
        assert_eq!(ring.some_nodes(50).count(), 50);
    }
}
