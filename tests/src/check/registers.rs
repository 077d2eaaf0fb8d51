//! Registers: what is told was set by its owner, versions only rise, and in the end all nodes hold the newest value.

use std::collections::{BTreeMap, HashMap};

use gossip_core::{Event, Gossip, NodeId, Version};

use crate::sim::rng::hash_bytes;
use crate::sim::{Observer, Simulation, Step, What};

/// Who set which register to what, and who was told.
#[derive(Debug, Default)]
pub struct Registers {
    set: HashMap<(NodeId, String), BTreeMap<Version, Option<u64>>>,
    /// The last version told to each node in its present life.
    told: HashMap<(u32, NodeId, String), Version>,
    owners: HashMap<u32, NodeId>,
    /// Changes told to anybody.
    pub changes: u64,
}

impl Registers {
    /// Writes a step down, and says what is wrong with it.
    pub(super) fn write(&mut self, step: &Step<'_>) -> Option<String> {
        match &step.what {
            What::Born { id, .. } => {
                self.owners.insert(step.node, *id);
                self.told.retain(|(node, ..), _| *node != step.node);
                None
            }
            What::Set { key, version, value } => {
                let owner = *self.owners.get(&step.node)?;
                let versions = self.set.entry((owner, (*key).to_owned())).or_default();
                let newest = versions.last_key_value().map(|(&newest, _)| newest);
                versions.insert(*version, value.map(|value| hash_bytes(0, value)));
                newest.filter(|newest| newest >= version).map(|newest| format!("{key}: {version} comes after {newest}"))
            }
            What::Told(Event::Register { node, key, version, value, .. }) => {
                self.changes += 1;
                self.tell(step.node, *node, key, *version, value.as_deref())
            }
            _ => None,
        }
    }

    fn tell(&mut self, at: u32, owner: NodeId, key: &str, version: Version, value: Option<&[u8]>) -> Option<String> {
        let name = (owner, key.to_owned());
        let before = self.told.insert((at, owner, key.to_owned()), version);
        match self.set.get(&name).and_then(|versions| versions.get(&version)) {
            None => return Some(format!("{owner}/{key}: nobody set version {version}")),
            Some(set) if *set != value.map(|value| hash_bytes(0, value)) => {
                return Some(format!("{owner}/{key}: version {version} has another value"));
            }
            Some(_) => {}
        }
        before
            .filter(|before| *before >= version)
            .map(|before| format!("{owner}/{key}: {version} comes after {before}"))
    }

    /// The first register of a live owner that a live node does not hold as its owner has set it last in its present
    /// life, in words.
    #[must_use]
    pub fn stale<O: Observer>(&self, simulation: &Simulation<O>) -> Option<(u32, String)> {
        let live = || (0..simulation.size()).filter_map(|node| Some((node, simulation.view(node)?)));
        for (_, owner) in live() {
            let own = self.set.iter().filter(|((id, _), _)| *id == owner.id());
            for ((id, key), versions) in own {
                let Some((version, value)) = versions.last_key_value() else { continue };
                if version.incarnation != owner.incarnation() {
                    continue;
                }
                let wrong = live().find(|(_, node)| held(node, *id, key) != value.map(|value| (*version, value)));
                if let Some((node, _)) = wrong {
                    return Some((node, format!("{id}/{key}: not at version {version}")));
                }
            }
        }
        None
    }
}

/// The version and the hash of the value that a node holds.
fn held(node: &Gossip, owner: NodeId, key: &str) -> Option<(Version, u64)> {
    node.register(owner, key).map(|register| (register.version, hash_bytes(0, &register.value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::history::History;
    use gossip_core::Incarnation;

    const fn version(number: u64) -> Version {
        Version { incarnation: Incarnation(1), number }
    }

    fn set(history: History, number: u64, value: Option<&[u8]>) -> History {
        history.then(0, What::Set { key: "k", version: version(number), value })
    }

    /// Needs no constructor for keys: told through the method that the event leads to.
    fn told(mut history: History, number: u64, value: Option<&[u8]>) -> Option<String> {
        history.checks.registers.tell(1, NodeId(1), "k", version(number), value)
    }

    #[test]
    fn objects_to_what_nobody_set() {
        assert!(told(set(History::two(), 1, Some(b"a")), 2, Some(b"a")).is_some());
        assert!(told(set(History::two(), 1, Some(b"a")), 1, Some(b"b")).is_some());
        assert!(told(set(History::two(), 1, Some(b"a")), 1, None).is_some());
    }

    #[test]
    fn objects_to_versions_that_go_back() {
        let mut history = set(set(History::two(), 1, Some(b"a")), 2, None);
        let mut tell = |number, value| history.checks.registers.tell(1, NodeId(1), "k", version(number), value);
        assert_eq!(tell(2, None), None);
        assert!(tell(1, Some(b"a")).is_some());
        assert_eq!(set(set(History::two(), 2, None), 1, None).broken(), ["registers"], "an owner that goes back");
    }

    #[test]
    fn accepts_a_version_that_was_left_out() {
        let history = set(set(History::two(), 1, Some(b"a")), 2, Some(b"b"));
        assert_eq!(told(history, 2, Some(b"b")), None);
    }
}
