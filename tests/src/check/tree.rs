//! The shared tree: one root that all reach, every parent knows its children, and nothing is sent without need.
//!
//! Two rules. When nothing is broken any more, the parents of all live nodes form one tree. And while nothing is broken, a
//! message costs one copy for each node, and no repair at all; where it is injected at the root, two copies more.

use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{NodeId, TreeView};

use crate::sim::{Observer, Simulation};

/// The places of all live nodes in all trees.
#[derive(Clone, Debug, Default)]
pub struct Trees {
    /// Each tree: each live node and its place.
    pub places: Vec<BTreeMap<NodeId, Position>>,
}

/// The place of one node in one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Whom it takes for the root.
    pub root: Option<NodeId>,
    /// Its parent.
    pub parent: Option<NodeId>,
    /// Its children.
    pub children: BTreeSet<NodeId>,
}

impl From<TreeView> for Position {
    fn from(view: TreeView) -> Self {
        Self { root: view.root, parent: view.parent, children: view.children.into_iter().collect() }
    }
}

impl Trees {
    /// Reads the views of all live nodes; no tree where the nodes spread in another way.
    #[must_use]
    pub fn of<O: Observer>(simulation: &Simulation<O>) -> Self {
        let mut trees = Self::default();
        for gossip in (0..simulation.size()).filter_map(|node| simulation.view(node)) {
            for (index, view) in gossip.trees().enumerate() {
                if trees.places.len() <= index {
                    trees.places.push(BTreeMap::new());
                }
                trees.places[index].insert(gossip.id(), view.into());
            }
        }
        trees
    }
}

/// What is wrong with the trees, in words.
#[must_use]
pub fn untreed(trees: &Trees) -> Option<String> {
    trees.places.iter().enumerate().find_map(|(index, places)| Some(format!("tree {index}: {}", wrong(places)?)))
}

fn wrong(places: &BTreeMap<NodeId, Position>) -> Option<String> {
    if places.len() < 2 {
        return None;
    }
    let roots: BTreeSet<Option<NodeId>> = places.values().map(|position| position.root).collect();
    let root = match roots.into_iter().collect::<Vec<_>>()[..] {
        [Some(root)] if places.contains_key(&root) => root,
        [root] => return Some(format!("the root is {root:?}, which is not up")),
        ref roots => return Some(format!("the nodes name {} roots, {roots:?}", roots.len())),
    };
    places.iter().find_map(|(node, position)| {
        match position.parent {
            None if *node != root => return Some(format!("node {node} has no parent, and is not the root {root}")),
            Some(parent) if *node == root => return Some(format!("the root {root} has the parent {parent}")),
            None => {}
            Some(parent) => {
                let counts = places.get(&parent).is_some_and(|parent| parent.children.contains(node));
                if !counts {
                    return Some(format!("node {parent} does not count its child {node}"));
                }
            }
        }
        let strange = |child: &&NodeId| places.get(child).is_none_or(|child| child.parent != Some(*node));
        if let Some(child) = position.children.iter().find(strange) {
            return Some(format!("node {node} counts {child}, which is not its child"));
        }
        let up = |node: &NodeId| places.get(node)?.parent;
        let way = std::iter::successors(Some(*node), up).take(places.len() + 1).count();
        (way > places.len()).then(|| format!("node {node} is in a loop or below one"))
    })
}

/// What was sent without need, by the sums of all counters before and after: more than `duplicates` copies too many, or
/// any repair.
#[must_use]
pub fn wasted(
    before: &BTreeMap<&'static str, u64>,
    after: &BTreeMap<&'static str, u64>,
    duplicates: u64,
) -> Option<String> {
    let spent = |name: &str| after.get(name).copied().unwrap_or(0) - before.get(name).copied().unwrap_or(0);
    let allowed = [("duplicates", duplicates), ("fetches_sent", 0), ("resent", 0), ("acks_sent", 0), ("unparented", 0)];
    let (name, most) = allowed.into_iter().find(|&(name, most)| spent(name) > most)?;
    Some(format!("{name}: {} instead of {most} at most", spent(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of nodes with their parents; 1 is the root.
    fn tree(parents: &[(u64, u64)]) -> Trees {
        let mut places: BTreeMap<NodeId, Position> = BTreeMap::new();
        places.entry(NodeId(1)).or_default();
        for &(node, parent) in parents {
            places.entry(NodeId(node)).or_default().parent = Some(NodeId(parent));
            places.entry(NodeId(parent)).or_default().children.insert(NodeId(node));
        }
        for position in places.values_mut() {
            position.root = Some(NodeId(1));
        }
        Trees { places: vec![places] }
    }

    #[test]
    fn a_tree_is_fine() {
        assert_eq!(untreed(&tree(&[(2, 1), (3, 1), (4, 2)])), None);
        assert_eq!(untreed(&Trees::default()), None);
    }

    #[test]
    fn objects_to_loops_orphans_and_strangers() {
        let whole = || tree(&[(2, 1), (3, 2), (4, 3)]);
        let broken: [fn(&mut BTreeMap<NodeId, Position>); 6] = [
            |places| places.get_mut(&NodeId(3)).expect("it is there").parent = None,
            |places| places.get_mut(&NodeId(1)).expect("it is there").parent = Some(NodeId(2)),
            |places| places.get_mut(&NodeId(2)).expect("it is there").children.clear(),
            |places| places.get_mut(&NodeId(4)).expect("it is there").children.extend([NodeId(1)]),
            |places| places.get_mut(&NodeId(4)).expect("it is there").root = Some(NodeId(2)),
            |places| places.values_mut().for_each(|position| position.root = Some(NodeId(9))),
        ];
        for breaks in broken {
            let mut trees = whole();
            breaks(&mut trees.places[0]);
            assert!(untreed(&trees).is_some(), "{trees:?}");
        }
        assert!(untreed(&tree(&[(2, 4), (3, 2), (4, 3)])).is_some(), "a loop");
    }

    #[test]
    fn objects_to_one_copy_too_many_and_to_any_repair() {
        let counters = |duplicates, fetches| BTreeMap::from([("duplicates", duplicates), ("fetches_sent", fetches)]);
        assert_eq!(wasted(&counters(5, 1), &counters(7, 1), 2), None);
        assert!(wasted(&counters(5, 1), &counters(8, 1), 2).is_some());
        assert!(wasted(&counters(5, 1), &counters(5, 2), 2).is_some());
    }
}
