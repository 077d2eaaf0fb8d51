//! What others say about registers: taken over, or doubted, or refused.

use super::table::{self, Change, Slot, State};
use super::{MEMBER_KEY, Register, own};
use crate::ids::{Incarnation, NodeId, Version};
use crate::members::{Members, Row};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
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
        let sane = (1..VERSION_MAX).contains(&update.version) && update.after < end;
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
        let stale = |register: &table::Register| register.version.number < end && register.doubted_by.is_none();
        loop {
            let mut newer = self.table.newer_than(cx.members, owner, update.after);
            let Some(slot) = newer.find(|(_, register)| stale(register)).map(|(slot, _)| slot) else { return };
            drop(newer);
            self.table.doubt(slot, Some(from.row() as u8));
        }
    }

    /// The peer has no more of this owner: what it said is not there, and has not replaced since, was removed.
    fn close(&mut self, cx: &mut Cx<'_>, from: PeerIdx, owner: Row, version: Version) {
        if cx.members.get(owner).is_none_or(|member| member.complete != version.number) {
            return;
        }
        let doubted = |register: &table::Register| register.doubted_by == Some(from.row() as u8);
        loop {
            let mut all = self.table.of(cx.members, owner);
            let Some(slot) = all.find(|(_, register)| doubted(register)).map(|(slot, _)| slot) else { return };
            drop(all);
            self.forget(cx.members, slot, version);
        }
    }

    /// Takes a register over if it is newer. False where there is no room.
    fn apply(&mut self, cx: &mut Cx<'_>, from: PeerIdx, owner: Row, update: &Update<'_>, version: Version) -> bool {
        if let Some(slot) = self.table.find(owner, update.key.0) {
            let known = self.table.get(slot).map(|register| (register.version, register.state));
            if known.is_some_and(|(known, state)| known > version || known == version && state != State::Forgotten) {
                self.owed.clear(from.row(), slot as usize);
                if known.is_some_and(|(known, _)| known == version) {
                    self.table.doubt(slot, None);
                }
                return true;
            }
        }
        let change = Change {
            owner,
            version,
            removed: update.state == RegisterState::Removed,
            changed_at: Instant::from_micros(cx.now.as_micros().saturating_sub(u64::from(update.age_ms) * 1_000)),
            key: update.key.0,
            value: update.value.0,
        };
        if change.key.is_empty()
            || change.key.len() > crate::config::KEY_MAX
            || core::str::from_utf8(change.key).is_err()
            || change.key.len() + change.value.len() > self.update_max
        {
            cx.stats.refused_form += 1;
            return true;
        }
        let Ok(slot) = self.table.put(cx.members, &change) else {
            cx.stats.refused_register += 1;
            return false;
        };
        cx.stats.registers_applied += 1;
        self.spread(cx, slot, Some(from));
        if change.key == MEMBER_KEY {
            own::read_member(cx, owner, change.value);
        }
        true
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
