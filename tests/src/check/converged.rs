//! Contract 6: when nothing is broken any more, all live nodes are linked into one whole again, and know each other.

use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{NodeId, PeerState};

use crate::sim::{Observer, Simulation};

/// Who is linked with whom, and who knows whom, as the live nodes see it.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Each live node: the nodes that it is linked with.
    pub linked: BTreeMap<NodeId, BTreeSet<NodeId>>,
    /// Each live node: the nodes that it takes for members.
    pub known: BTreeMap<NodeId, BTreeSet<NodeId>>,
}

impl Links {
    /// Reads the views of all live nodes.
    #[must_use]
    pub fn of<O: Observer>(simulation: &Simulation<O>) -> Self {
        let mut links = Self::default();
        for gossip in (0..simulation.size()).filter_map(|node| simulation.view(node)) {
            let peers = |wanted: fn(PeerState) -> bool| {
                gossip.peers().filter(|peer| wanted(peer.state)).map(|peer| peer.node).collect::<BTreeSet<_>>()
            };
            links.linked.insert(gossip.id(), peers(|state| state == PeerState::Linked));
            links.known.insert(gossip.id(), peers(|state| matches!(state, PeerState::Linked | PeerState::Known)));
        }
        links
    }
}

/// What is wrong with the links, in words: they do not join all live nodes, or (where every node shall know every one,
/// `full`) somebody does not know a live node.
#[must_use]
pub fn unlinked(links: &Links, full: bool) -> Option<String> {
    let first = *links.linked.keys().next()?;
    let mut reached = BTreeSet::from([first]);
    let mut next = vec![first];
    while let Some(node) = next.pop() {
        // A link counts when both ends agree on it.
        for &peer in &links.linked[&node] {
            if links.linked.get(&peer).is_some_and(|back| back.contains(&node)) && reached.insert(peer) {
                next.push(peer);
            }
        }
    }
    if let Some(apart) = links.linked.keys().find(|node| !reached.contains(node)) {
        return Some(format!("no path of links from node {first} to node {apart}"));
    }
    let everyone: BTreeSet<NodeId> = links.linked.keys().copied().collect();
    let stranger = |(node, known): (&NodeId, &BTreeSet<NodeId>)| {
        let other = *everyone.iter().find(|other| *other != node && !known.contains(other))?;
        Some(format!("node {node} does not know node {other}"))
    };
    if full { links.known.iter().find_map(stranger) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(linked: &[(u64, &[u64])], known: &[(u64, &[u64])]) -> Links {
        let read = |rows: &[(u64, &[u64])]| {
            rows.iter().map(|(node, peers)| (NodeId(*node), peers.iter().copied().map(NodeId).collect())).collect()
        };
        Links { linked: read(linked), known: read(known) }
    }

    #[test]
    fn objects_to_two_halves_and_to_one_sided_links() {
        let halves = links(&[(1, &[2]), (2, &[1]), (3, &[4]), (4, &[3])], &[]);
        assert!(unlinked(&halves, false).is_some());
        let one_sided = links(&[(1, &[2]), (2, &[])], &[]);
        assert!(unlinked(&one_sided, false).is_some());
    }

    #[test]
    fn objects_to_a_stranger_where_all_shall_know_all() {
        let chain: &[(u64, &[u64])] = &[(1, &[2]), (2, &[1, 3]), (3, &[2])];
        assert!(unlinked(&links(chain, chain), true).is_some());
        assert_eq!(unlinked(&links(chain, chain), false), None, "a chain is whole");
        let known: &[(u64, &[u64])] = &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2, 9])];
        assert_eq!(unlinked(&links(chain, known), true), None, "a dead node may be remembered for a while");
    }
}
