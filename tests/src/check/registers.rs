//! Registers: what is told was set by its owner, versions only rise, and in the end all nodes hold the newest value.

use std::collections::{BTreeMap, HashMap, HashSet};

use gossip_core::{Event, Gossip, Incarnation, NodeId, Version};

use crate::sim::rng::hash_bytes;
use crate::sim::{Observer, Simulation, Step, What};

/// Who set which register to what, and who was told.
#[derive(Debug, Default)]
pub struct Registers {
    set: HashMap<(NodeId, String), BTreeMap<Version, Option<u64>>>,
    /// The last version told to each node in its present life, and whether as removed.
    told: HashMap<(u32, NodeId, String), (Version, bool)>,
    /// The present life of each node.
    lives: HashMap<u32, (NodeId, Incarnation)>,
    /// Lives that are over: their registers may vanish without having been removed.
    over: HashSet<(NodeId, Incarnation)>,
    /// Lives that began from records: they publish what they found under versions of their own.
    restored: HashSet<(NodeId, Incarnation)>,
    /// Changes told to anybody.
    pub changes: u64,
}

impl Registers {
    /// Writes a step down, and says what is wrong with it.
    pub(super) fn write(&mut self, step: &Step<'_>) -> Option<String> {
        match &step.what {
            What::Born { id, incarnation, restored, .. } => {
                self.lives.insert(step.node, (*id, *incarnation));
                if *restored {
                    self.restored.insert((*id, *incarnation));
                }
                self.told.retain(|(node, ..), _| *node != step.node);
                None
            }
            What::Crashed | What::Leaving => {
                self.over.extend(self.lives.get(&step.node));
                None
            }
            What::Set { key, version, value } => self.set(step.node, key, *version, *value),
            What::Told(Event::Register { node, key, version, value, .. }) => {
                self.changes += 1;
                self.tell(step.node, *node, key, *version, value.as_deref())
            }
            _ => None,
        }
    }

    fn set(&mut self, node: u32, key: &str, version: Version, value: Option<&[u8]>) -> Option<String> {
        let life = self.lives.get_mut(&node)?;
        life.1 = version.incarnation;
        let versions = self.set.entry((life.0, key.to_owned())).or_default();
        let newest = versions.last_key_value().map(|(&newest, _)| newest);
        versions.insert(version, value.map(|value| hash_bytes(0, value)));
        newest.filter(|newest| *newest >= version).map(|newest| format!("{key}: {version} comes after {newest}"))
    }

    fn tell(&mut self, at: u32, owner: NodeId, key: &str, version: Version, value: Option<&[u8]>) -> Option<String> {
        let life = (owner, version.incarnation);
        let value = value.map(|value| hash_bytes(0, value));
        let versions = self.set.entry((owner, key.to_owned())).or_default();
        let alive = versions
            .range(..=version)
            .next_back()
            .filter(|(set, value)| set.incarnation == version.incarnation && value.is_some());
        match versions.get(&version) {
            // A removal is told as of some version, at which the register must not be alive.
            _ if value.is_none() && (alive.is_none() || self.over.contains(&life)) => {}
            Some(set) if *set == value => {}
            Some(_) => return Some(format!("{owner}/{key}: version {version} has another value")),
            None => {
                if !self.restored.contains(&life) || !versions.values().any(|before| *before == value) {
                    return Some(format!("{owner}/{key}: nobody set version {version}"));
                }
                versions.insert(version, value);
            }
        }
        let told = (version, value.is_none());
        let before = self.told.insert((at, owner, key.to_owned()), told);
        before
            .filter(|before| *before >= told)
            .map(|before| format!("{owner}/{key}: {version} comes after {}", before.0))
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
    fn accepts_that_the_registers_of_a_life_vanish_with_it_but_not_before() {
        let history = set(History::two(), 1, Some(b"a")).then(0, What::Crashed);
        assert_eq!(told(history, 1, None), None);
        assert!(told(set(History::two(), 1, Some(b"a")), 1, None).is_some());
    }

    #[test]
    fn accepts_old_values_under_versions_of_a_restored_life_only() {
        let next = Version { incarnation: Incarnation(2), number: 1 };
        for (restored, value, accepted) in [(true, b"a", true), (true, b"b", false), (false, b"a", false)] {
            let history = set(History::two(), 1, Some(b"a")).then(0, What::Crashed).born(0, 2, restored);
            let mut registers = history.checks.registers;
            assert_eq!(registers.tell(1, NodeId(1), "k", next, Some(value)).is_none(), accepted);
        }
    }

    #[test]
    fn accepts_a_version_that_was_left_out() {
        let history = set(set(History::two(), 1, Some(b"a")), 2, Some(b"b"));
        assert_eq!(told(history, 2, Some(b"b")), None);
    }
}
