//! Registers on their way out, each with the strongest true claim about what lies before it.

use super::Register;
use super::table::{self, Registers, Slot, State};
use crate::members::{Members, Row};
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::time::Instant;
use crate::wire::{Blob, Kind, RegisterState, Update};

impl Register {
    pub(super) fn write_updates(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        while let Some(first) = self.owed.next_in_row(to.row(), 0) {
            let Some(owner) = self.table.get(first as Slot).map(|register| register.owner) else {
                self.owed.clear(to.row(), first);
                continue;
            };
            // In the order of versions, so that each one extends what the reader has.
            let (table, owed, members, now) = (&self.table, &self.owed, &*cx.members, cx.now);
            let slots = || table.of(members, owner).filter(|(slot, _)| owed.contains(to.row(), *slot as usize));
            let updates = slots().filter_map(|(slot, _)| update(table, members, now, slot));
            let written = packet.list(Kind::UPDATES, updates);
            let mut done: heapless::Vec<Slot, 64> = slots().take(written.min(64)).map(|(slot, _)| slot).collect();
            if done.is_empty() {
                let never_fits = |register: &table::Register| len_max(register) > cx.room(to);
                let (slot, _) = slots().next().filter(|(_, register)| never_fits(register)).ok_or(Full)?;
                cx.stats.unsendable += 1;
                let _fits = done.push(slot);
            }
            for slot in done {
                self.owed.clear(to.row(), slot as usize);
            }
        }
        while let Some(owner) = self.closings.next_in_row(to.row(), 0) {
            if let Some(closing) = self.closing(cx, owner as Row)
                && packet.list(Kind::UPDATES, [closing]) == 0
            {
                return Err(Full);
            }
            self.closings.clear(to.row(), owner);
        }
        Ok(())
    }

    /// "After my last register of this owner there is nothing more." From a board that is not settled it would be wrong,
    /// and as that board is behind somebody else's, it is compared again. Nor can anything be said of one of which nothing is
    /// known: the owner may have begun a later life since the closing was owed.
    pub(super) fn closing(&self, cx: &Cx<'_>, owner: Row) -> Option<Update<'static>> {
        let member = cx.members.get(owner).filter(|member| member.complete > 0 && member.is_settled())?;
        let last = self.table.of(cx.members, owner).last().map_or(0, |(_, register)| register.version.number);
        Some(Update {
            owner: member.node,
            incarnation: member.incarnation,
            after: last.min(member.complete),
            version: member.complete,
            ahead: 0,
            state: RegisterState::Nothing,
            age_ms: 0,
            key: Blob(&[]),
            value: Blob(&[]),
        })
    }
}

/// The most bytes that the frame of one register takes.
fn len_max(register: &table::Register) -> usize {
    Update::OVERHEAD_MAX + register.key().len() + register.value().len()
}

/// One register as it is now, with the strongest true claim about what lies before it.
fn update<'a>(table: &'a Registers, members: &Members, now: Instant, slot: Slot) -> Option<Update<'a>> {
    let register = table.get(slot)?;
    let owner = members.get(register.owner)?;
    let version = register.version.number;
    let claims = owner.complete >= version && owner.is_settled();
    Some(Update {
        owner: owner.node,
        incarnation: register.version.incarnation,
        after: if claims { table.version_before(members, slot) } else { version - 1 },
        version,
        ahead: if claims { owner.complete - version } else { 0 },
        state: if register.state == State::Value { RegisterState::Value } else { RegisterState::Removed },
        age_ms: register.age_ms(now),
        key: Blob(register.key()),
        value: Blob(register.value()),
    })
}
