//! Which nodes Maelstrom says are neighbors.

use clap::ValueEnum;

/// What the `topology` message of the workload proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Topology {
    /// A square, as far as the number of nodes makes one.
    Grid,
    /// One after the other.
    Line,
    /// Everybody with everybody.
    Total,
    /// Each node has up to four below it.
    Tree4,
}

impl Topology {
    /// The neighbors of `node`.
    #[must_use]
    pub fn neighbors(self, nodes: u32, node: u32) -> Vec<u32> {
        (0..nodes)
            .filter(|&other| other != node && self.are_neighbors(nodes, node.min(other), node.max(other)))
            .collect()
    }

    /// Whether `low` and a `high`er one are.
    fn are_neighbors(self, nodes: u32, low: u32, high: u32) -> bool {
        match self {
            Self::Grid => {
                let side = nodes.isqrt() + u32::from(nodes.isqrt().pow(2) < nodes);
                let beside = high - low == 1 && low / side == high / side;
                beside || high - low == side
            }
            Self::Line => high - low == 1,
            Self::Total => true,
            Self::Tree4 => (high - 1) / 4 == low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_what_they_are_called() {
        let table: [(Topology, u32, &[u32]); 7] = [
            (Topology::Grid, 0, &[1, 5]),
            (Topology::Grid, 7, &[2, 6, 8, 12]),
            (Topology::Grid, 24, &[19, 23]),
            (Topology::Line, 3, &[2, 4]),
            (Topology::Tree4, 0, &[1, 2, 3, 4]),
            (Topology::Tree4, 5, &[1, 21, 22, 23, 24]),
            (Topology::Tree4, 24, &[5]),
        ];
        for (topology, node, neighbors) in table {
            assert_eq!(topology.neighbors(25, node), neighbors, "{topology:?} {node}");
        }
        assert_eq!(Topology::Total.neighbors(25, 9).len(), 24);
    }
}
