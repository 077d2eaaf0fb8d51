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
    /// Lives that began from records, or under another incarnation: they publish what they have under versions of their
    /// own.
    renewed: HashSet<(NodeId, Incarnation)>,
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
                    self.renewed.insert((*id, *incarnation));
                }
                self.told.retain(|(node, ..), _| *node != step.node);
                None
            }
            What::Raised { incarnation } => {
                let life = self.lives.get_mut(&step.node)?;
                self.over.insert(*life);
                life.1 = *incarnation;
                self.renewed.insert(*life);
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
        let life = self.lives.get(&node)?;
        let versions = self.set.entry((life.0, key.to_owned())).or_default();
        let newest = newest_of(versions, version.incarnation).map(|(newest, _)| newest);
        versions.insert(version, value.map(|value| hash_bytes(0, value)));
        newest.filter(|newest| *newest >= version).map(|newest| format!("{key}: {version} comes after {newest}"))
    }

    fn tell(&mut self, at: u32, owner: NodeId, key: &str, version: Version, value: Option<&[u8]>) -> Option<String> {
        let known = match value {
            Some(value) => self.was_set(owner, key, version, hash_bytes(0, value)),
            None => self.is_gone(owner, key, version),
        };
        if let Err(wrong) = known {
            return Some(format!("{owner}/{key}: {wrong} {version}"));
        }
        let told = (version, value.is_none());
        let before = self.told.insert((at, owner, key.to_owned()), told);
        before
            .filter(|before| *before >= told)
            .map(|before| format!("{owner}/{key}: {version} comes after {}", before.0))
    }

    /// A value was set under this version; or it was set in an earlier life, and a restored one publishes it anew.
    fn was_set(&mut self, owner: NodeId, key: &str, version: Version, value: u64) -> Result<(), &'static str> {
        let versions = self.set.entry((owner, key.to_owned())).or_default();
        match versions.get(&version) {
            Some(set) if *set == Some(value) => Ok(()),
            Some(_) => Err("another value was set as version"),
            None => {
                let renewed = self.renewed.contains(&(owner, version.incarnation));
                if !renewed || !versions.values().any(|before| *before == Some(value)) {
                    return Err("nobody set version");
                }
                versions.insert(version, Some(value));
                Ok(())
            }
        }
    }

    /// As of this version the register is gone: it was removed, or the life that had set it is over.
    fn is_gone(&self, owner: NodeId, key: &str, version: Version) -> Result<(), &'static str> {
        let versions = self.set.get(&(owner, key.to_owned())).ok_or("nobody ever set it, but it is gone as of")?;
        let Some((last, value)) = versions.range(..=version).next_back() else { return Ok(()) };
        let over = last.incarnation < version.incarnation || self.over.contains(&(owner, last.incarnation));
        if value.is_none() || over { Ok(()) } else { Err("nobody removed it, but it is gone as of") }
    }

    /// The first register of a live owner that a live node does not hold as its owner has set it last in its present
    /// life, in words.
    #[must_use]
    pub fn stale<O: Observer>(&self, simulation: &Simulation<O>) -> Option<(u32, String)> {
        let live = || (0..simulation.size()).filter_map(|node| Some((node, simulation.view(node)?)));
        for (_, owner) in live() {
            let own = self.set.iter().filter(|((id, _), _)| *id == owner.id());
            for ((id, key), versions) in own {
                let Some((version, value)) = newest_of(versions, owner.incarnation()) else { continue };
                let wrong = live().find(|(_, node)| held(node, *id, key) != value.map(|value| (version, value)));
                if let Some((node, _)) = wrong {
                    return Some((node, format!("{id}/{key}: not at version {version}")));
                }
            }
        }
        None
    }
}

/// What a register was last set to under one incarnation of its owner. Another life may have had a higher one, where the
/// clock was set back in between.
fn newest_of(versions: &BTreeMap<Version, Option<u64>>, incarnation: Incarnation) -> Option<(Version, Option<u64>)> {
    let of = |number| Version { incarnation, number };
    versions.range(of(0)..=of(u64::MAX)).next_back().map(|(&version, &value)| (version, value))
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
    fn accepts_own_values_under_versions_of_a_raised_incarnation_only() {
        let incarnation = Incarnation(3);
        let next = Version { incarnation, number: 1 };
        for (raised, value, accepted) in [(true, b"a", true), (true, b"b", false), (false, b"a", false)] {
            let mut history = set(History::two(), 1, Some(b"a"));
            if raised {
                history = history.then(0, What::Raised { incarnation });
            }
            assert_eq!(history.checks.registers.tell(1, NodeId(1), "k", next, Some(value)).is_none(), accepted);
        }
    }

    #[test]
    fn accepts_a_version_that_was_left_out() {
        let history = set(set(History::two(), 1, Some(b"a")), 2, Some(b"b"));
        assert_eq!(told(history, 2, Some(b"b")), None);
    }
}
