//! What others say about registers: taken over, or doubted, or refused.

use core::time::Duration;

use super::table::{Change, Slot, State};
use super::{MEMBER_KEY, Register, own};
use crate::config::KEY_MAX;
use crate::ids::{Incarnation, NodeId, Version};
use crate::members::{Members, Row};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::wire::{List, RegisterState, Update};

/// Versions at or above this are refused, so that sums cannot overflow.
const VERSION_MAX: u64 = 1 << 62;

impl Register {
    pub(crate) fn on_updates(&mut self, cx: &mut Cx<'_>, from: PeerIdx, updates: List<'_, Update<'_>>) {
        for update in updates.iter() {
            self.on_update(cx, from, &update);
        }
    }

    fn on_update(&mut self, cx: &mut Cx<'_>, from: PeerIdx, update: &Update<'_>) {
        // A closing update may speak of no version at all; any other one has its own.
        let end = update.version.saturating_add(u64::from(update.state == RegisterState::Nothing));
        let sane = (1..VERSION_MAX).contains(&update.version) && update.ahead < VERSION_MAX && update.after < end;
        let known_state = !matches!(update.state, RegisterState::Other(_));
        if !sane || !known_state {
            cx.stats.refused_form += 1;
            return;
        }
        if update.owner == cx.me.node {
            self.on_own_echo(cx, from, update);
            return;
        }
        let Some(owner) = self.owner(cx, update.owner, update.incarnation) else { return };
        if cx.members.get(owner).is_some_and(|member| member.incarnation > update.incarnation) {
            cx.stats.refused_stale += 1;
            return;
        }
        if cx.members.get(owner).is_some_and(crate::members::Member::is_gone) {
            self.accuse(cx, from, owner);
        }
        if let Some(member) = cx.members.get_mut(owner) {
            member.claimed = member.claimed.max(update.version + update.ahead);
        }
        self.doubt_between(cx, from, owner, update);
        let version = Version { incarnation: update.incarnation, number: update.version };
        if update.state == RegisterState::Nothing {
            self.extend(cx, owner, update);
            self.close(cx, from, owner, version);
        } else if self.apply(cx, from, owner, update, version) {
            self.extend(cx, owner, update);
        }
    }

    /// The owner's row, in the given life or a later one; made where there is none.
    fn owner(&mut self, cx: &mut Cx<'_>, node: NodeId, incarnation: Incarnation) -> Option<Row> {
        let Some(row) = cx.members.find_or_insert(cx.now, node, incarnation) else {
            cx.stats.refused_register += 1;
            return None;
        };
        self.adopt(cx, row, incarnation);
        Some(row)
    }

    /// A later life of an owner voids what the earlier one wrote.
    pub(super) fn adopt(&mut self, cx: &mut Cx<'_>, row: Row, incarnation: Incarnation) {
        if cx.members.get(row).is_none_or(|member| member.incarnation >= incarnation) {
            return;
        }
        self.forget_all(cx, row, Version { incarnation, number: 0 });
        cx.members.set_complete(row, 0);
        cx.members.begin_anew(cx.now, row, incarnation);
    }

    pub(super) fn forget_all(&mut self, cx: &mut Cx<'_>, row: Row, as_of: Version) {
        while let Some(slot) = cx.members.get(row).and_then(|member| member.registers.front()) {
            self.forget(cx.members, slot, as_of);
        }
    }

    pub(super) fn forget(&mut self, members: &mut Members, slot: Slot, as_of: Version) {
        self.owed.clear_column(slot as usize);
        self.table.forget(members, slot, as_of);
    }

    /// Between two versions there is nothing: what is here all the same was removed, or replaced by what is still to come.
    fn doubt_between(&mut self, cx: &Cx<'_>, from: PeerIdx, owner: Row, update: &Update<'_>) {
        let end = update.version + u64::from(update.state == RegisterState::Nothing);
        self.table.doubt_between(cx.members, owner, update.after..end, from.row() as u8);
    }

    /// The peer has no more of this owner: what it said is not there, and has not replaced since, was removed.
    fn close(&mut self, cx: &mut Cx<'_>, from: PeerIdx, owner: Row, version: Version) {
        if cx.members.get(owner).is_none_or(|member| member.complete != version.number) {
            return;
        }
        let mut at = self.table.first_of(cx.members, owner);
        while let Some(slot) = at {
            at = self.table.after(cx.members, slot);
            if self.table.get(slot).is_some_and(|register| register.doubted_by == Some(from.row() as u8)) {
                self.forget(cx.members, slot, version);
            }
        }
    }

    /// Takes a register over if it is newer. False where there is no room: then it has to come again.
    fn apply(&mut self, cx: &mut Cx<'_>, from: PeerIdx, owner: Row, update: &Update<'_>, version: Version) -> bool {
        if let Some(slot) = self.table.find(owner, update.key.0) {
            let known = self.table.get(slot).map(|register| (register.version, register.state));
            if known.is_some_and(|(known, state)| known > version || known == version && state != State::Forgotten) {
                self.owed.clear(from.row(), slot as usize);
                if known.is_some_and(|(known, _)| known == version) {
                    self.table.trust(slot);
                }
                // A board that was forgotten is filled anew, but the application is told of its end first.
                let complete = cx.members.get(owner).map_or(0, |member| member.complete);
                return known.is_none_or(|(_, state)| state != State::Forgotten) || version.number <= complete;
            }
        }
        let age = Duration::from_millis(update.age_ms.into());
        let change = Change {
            owner,
            version,
            removed: update.state == RegisterState::Removed,
            changed_at: cx.now.before(age),
            key: update.key.0,
            value: update.value.0,
        };
        if change.removed && age >= self.horizon && self.table.find(owner, change.key).is_none() {
            // Whoever remembers this removal is about to forget it, as this node may have done: it would be news once more.
            return true;
        }
        if !self.is_well_formed(&change) {
            cx.stats.refused_form += 1;
            return true;
        }
        // Nothing tells which of the two is the true one, so the first one stays: versions are counted, and two with one
        // number would make a hole seem filled.
        if self.table.is_taken(cx.members, owner, version.number, change.key) {
            cx.stats.refused_reused_version += 1;
            return true;
        }
        let Ok(slot) = self.table.put(cx.members, &change) else {
            cx.stats.refused_register += 1;
            return false;
        };
        cx.stats.registers_applied += 1;
        cx.members.saw_alive(owner, change.changed_at);
        self.spread(cx, slot, Some(from));
        if change.key == MEMBER_KEY {
            own::read_member(cx, owner, change.value);
        }
        true
    }

    /// Whether an owner can have written this.
    fn is_well_formed(&self, change: &Change<'_>) -> bool {
        (1..=KEY_MAX).contains(&change.key.len())
            && core::str::from_utf8(change.key).is_ok()
            && change.key.len() + change.value.len() <= self.update_max
    }

    /// Sends a register to all links but one, after the batch delay.
    pub(super) fn spread(&mut self, cx: &mut Cx<'_>, slot: Slot, except: Option<PeerIdx>) {
        for (peer, _) in cx.peers.iter() {
            if Some(peer) == except {
                self.owed.clear(peer.row(), slot as usize);
            } else {
                self.owed.set(peer.row(), slot as usize);
            }
        }
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
        self.comparison.note_change(cx.now);
    }

    /// `(after, version]` is complete, and perhaps what follows it.
    fn extend(&mut self, cx: &mut Cx<'_>, owner: Row, update: &Update<'_>) {
        let Some(member) = cx.members.get_mut(owner) else { return };
        if member.complete < update.after || member.complete >= update.version {
            return;
        }
        // What was passed over may have been removed: nobody can learn of that from here by newer versions alone.
        let passed_over = update.version - u64::from(update.state != RegisterState::Nothing);
        if passed_over > member.complete {
            member.floor = member.floor.max(passed_over);
        }
        let complete = self.table.reach(cx.members, owner, update.version);
        cx.members.set_complete(owner, complete);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::gossip::Gossip;
    use crate::membership::NewLink;
    use crate::time::Instant;
    use crate::wire::Blob;

    const LIAR: NodeId = NodeId(3);

    /// A node with one link, over which changes of a third node's registers come.
    fn hear(updates: &[(u64, u64, &str)]) -> Gossip {
        hear_as(Config::local(NodeId(1)), updates)
    }

    fn hear_as(config: Config, updates: &[(u64, u64, &str)]) -> Gossip {
        let mut gossip = Gossip::new(config, [1; 32], Instant::ZERO).expect("a preset is in its bounds");
        let from = link(&mut gossip, NodeId(2));
        for &(after, version, key) in updates {
            hear_from(&mut gossip, from, RegisterState::Value, (after, version, 0, key));
        }
        gossip
    }

    fn link(gossip: &mut Gossip, node: NodeId) -> PeerIdx {
        let address = ([10, 0, 0, 2], 7_000).into();
        gossip.link(&NewLink { node, incarnation: Incarnation(1), address, number: 0, near: false, round_trip: 0 });
        gossip.peers.find(node).expect("it was linked")
    }

    fn hear_from(
        gossip: &mut Gossip,
        from: PeerIdx,
        state: RegisterState,
        (after, version, ahead, key): (u64, u64, u64, &str),
    ) {
        let (mut cx, protocols) = gossip.split();
        let value = Blob(if state == RegisterState::Value { b"x" } else { &[] });
        let (owner, incarnation, key) = (LIAR, Incarnation(1), Blob(key.as_bytes()));
        let update = Update { owner, incarnation, after, version, ahead, state, age_ms: 0, key, value };
        protocols.registers.on_update(&mut cx, from, &update);
        gossip.check_invariants();
    }

    fn keys(gossip: &Gossip) -> std::vec::Vec<std::string::String> {
        gossip.registers("").map(|register| register.key.as_str().into()).collect()
    }

    /// Others may still hold what the earlier life wrote, and nobody but this row knows better.
    #[test]
    fn an_earlier_life_is_not_learnt_again_within_the_horizon() {
        let mut config = Config::local(NodeId(1));
        config.membership = crate::config::Membership::sampled(&config.limits);
        let mut gossip = hear_as(config, &[(0, 1, "a")]);
        let (mut cx, protocols) = gossip.split();
        let row = cx.members.find(LIAR).expect("it has registers");
        protocols.registers.adopt(&mut cx, row, Incarnation(2));
        let eighth = gossip.config().timing.horizon / 8;
        let pass = |gossip: &mut Gossip, eighths: u32| {
            gossip.handle_timeout(Instant::ZERO + eighth * eighths);
            while gossip.poll_event().is_some() {}
        };
        (1..8).for_each(|eighths| pass(&mut gossip, eighths));
        let from = link(&mut gossip, NodeId(4));
        hear_from(&mut gossip, from, RegisterState::Value, (0, 1, 0, "a"));
        assert_eq!((gossip.stats().refused_stale, keys(&gossip)), (1, std::vec![]));
        (8..11).for_each(|eighths| pass(&mut gossip, eighths));
        assert_eq!(gossip.members.find(LIAR), None, "it is forgotten in the end");
    }

    /// What version 1 was is not here: perhaps it was removed, perhaps version 3 has replaced it.
    #[test]
    fn what_may_have_been_replaced_is_not_said_to_be_gone() {
        let mut gossip = hear(&[]);
        let from = gossip.peers.find(NodeId(2)).expect("it was linked");
        let claims = |gossip: &mut Gossip| {
            let (cx, protocols) = gossip.split();
            let owner = cx.members.find(LIAR).expect("it has registers");
            protocols.registers.closing(&cx, owner).map(|closing| (closing.after, closing.version))
        };
        hear_from(&mut gossip, from, RegisterState::Value, (5, 6, 0, "c"));
        assert_eq!((complete(&gossip), claims(&mut gossip)), (0, None));
        hear_from(&mut gossip, from, RegisterState::Value, (0, 2, 1, "b"));
        assert_eq!((complete(&gossip), claims(&mut gossip)), (2, None));
        hear_from(&mut gossip, from, RegisterState::Value, (2, 3, 0, "a"));
        assert_eq!((complete(&gossip), claims(&mut gossip)), (3, None));
        hear_from(&mut gossip, from, RegisterState::Nothing, (3, 5, 0, ""));
        assert_eq!((complete(&gossip), claims(&mut gossip)), (6, Some((6, 6))));
        let (mut cx, protocols) = gossip.split();
        let row = cx.members.find(LIAR).expect("it has registers");
        protocols.registers.adopt(&mut cx, row, Incarnation(2));
        assert_eq!((complete(&gossip), claims(&mut gossip)), (0, None), "a later life has begun");
    }

    /// One neighbor has replaced a register by what is still to come. Another one, in the row of its link, ends its board
    /// earlier: it has that register itself.
    #[test]
    fn what_a_link_doubted_is_not_removed_by_the_next_one_in_its_row() {
        for relinked in [false, true] {
            let mut gossip = hear(&[(0, 1, "a"), (0, 2, "b")]);
            let from = gossip.peers.find(NodeId(2)).expect("it was linked");
            let mut speaker = from;
            if relinked {
                gossip.unlink(from, crate::view::PeerState::Known, None);
                speaker = link(&mut gossip, NodeId(4));
                assert_eq!(speaker.row(), from.row());
            }
            hear_from(&mut gossip, speaker, RegisterState::Nothing, (2, 2, 0, ""));
            let left: &[&str] = if relinked { &["a", "b"] } else { &["b"] };
            assert_eq!(keys(&gossip), left);
        }
    }

    fn complete(gossip: &Gossip) -> u64 {
        let row = gossip.members.find(LIAR).expect("it has registers");
        gossip.members.get(row).map_or(0, |member| member.complete)
    }

    /// Else the two would pass for two versions, and a hole for filled.
    #[test]
    fn of_two_keys_with_one_version_the_first_stays() {
        let gossip = hear(&[(0, 1, "a"), (3, 4, "b"), (3, 4, "c"), (4, 5, "a"), (4, 5, "b"), (1, 2, "d")]);
        assert_eq!(gossip.stats().refused_reused_version, 2);
        let known: std::vec::Vec<_> =
            gossip.registers("").map(|register| (register.version.number, register.key)).collect();
        let known: std::vec::Vec<_> = known.iter().map(|(version, key)| (*version, key.as_str())).collect();
        assert_eq!(known, [(2, "d"), (4, "b"), (5, "a")]);
        assert_eq!(complete(&gossip), 2, "version 3 is missing");
    }

    #[test]
    fn the_same_change_again_is_no_second_one() {
        let gossip = hear(&[(0, 1, "a"), (0, 1, "a"), (1, 2, "a"), (0, 1, "a")]);
        assert_eq!((gossip.stats().refused_reused_version, complete(&gossip)), (0, 2));
    }
}
