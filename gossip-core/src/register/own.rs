//! This node's own registers, among them its address.

use core::net::SocketAddr;

use super::table::{Change, NoRoom, State};
use super::{MEMBER_KEY, Register, is_reserved};
use crate::config::KEY_MAX;
use crate::error::SubmitError;
use crate::ids::{Incarnation, Version};
use crate::members::{LEFT, Row};
use crate::peer::PeerIdx;
use crate::persist::{RECORD_KEY_MAX, Value};
use crate::protocol::{Cx, Me};
use crate::wire::{Address, Update};

/// Key and value of a record of an own register; no value where the register was removed.
pub(crate) type RegisterRecord = (heapless::Vec<u8, RECORD_KEY_MAX>, Option<Value>);

impl Register {
    /// Sets one of this node's own registers, or removes it.
    pub(crate) fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: Option<&[u8]>) -> Result<Version, SubmitError> {
        let key = key.as_bytes();
        if key.is_empty() || key.len() > KEY_MAX || is_reserved(key) {
            return Err(SubmitError::Key { max: KEY_MAX });
        }
        let max = self.update_max - key.len();
        if value.is_some_and(|value| value.len() > max) {
            return Err(SubmitError::TooLarge { max, limit: "mtu" });
        }
        let version = self.write_own(cx, key, value)?;
        if self.records
            && let Some(slot) = self.own(cx).and_then(|me| self.table.find(me, key))
        {
            self.table.want_record(slot);
        }
        Ok(version)
    }

    /// Tells everybody where this node is, and whether it leaves.
    pub(crate) fn publish_member(&mut self, cx: &mut Cx<'_>, address: Option<SocketAddr>, leaving: bool) {
        let value = encode_member(address, leaving);
        let slot = self.own(cx).and_then(|me| self.table.find(me, MEMBER_KEY));
        let known = slot.and_then(|slot| self.table.get(slot));
        let same_life = known.is_some_and(|register| register.version.incarnation == cx.me.incarnation);
        if !(same_life && known.is_some_and(|register| register.value() == value.as_slice())) {
            // The row was made for this register, and the first one always fits.
            let _version = self.write_own(cx, MEMBER_KEY, Some(&value));
        }
    }

    fn own(&self, cx: &Cx<'_>) -> Option<Row> {
        cx.members.find(cx.me.node)
    }

    fn write_own(&mut self, cx: &mut Cx<'_>, key: &[u8], value: Option<&[u8]>) -> Result<Version, SubmitError> {
        let (rows, bytes) = (self.registers_max, self.table.bytes_max());
        let full = |room| match room {
            NoRoom::Rows => SubmitError::TooManyRegisters { max: rows },
            NoRoom::Bytes => SubmitError::RegisterBytes { max: bytes },
        };
        let owner = self.own(cx).ok_or(full(NoRoom::Rows))?;
        self.adopt(cx, owner, cx.me.incarnation);
        let complete = cx.members.get(owner).map_or(0, |member| member.complete);
        let version = Version { incarnation: cx.me.incarnation, number: complete + 1 };
        let change = Change {
            owner,
            version,
            removed: value.is_none(),
            changed_at: cx.now,
            key,
            value: value.unwrap_or_default(),
        };
        let slot = self.table.put(cx.members, &change).map_err(full)?;
        cx.members.set_complete(owner, version.number);
        self.spread(cx, slot, None);
        Ok(version)
    }

    /// Gives all own registers new versions, in a new incarnation.
    pub(crate) fn renew(&mut self, cx: &mut Cx<'_>) {
        let Some(owner) = self.own(cx) else { return };
        // Numbers go on, so that what is renewed comes behind what is not yet.
        cx.members.begin_anew(cx.now, owner, cx.me.incarnation);
        loop {
            let oldest = cx.members.get(owner).and_then(|member| member.registers.front());
            let old = |register: &&super::table::Register| register.version.incarnation != cx.me.incarnation;
            let Some(register) = oldest.and_then(|slot| self.table.get(slot)).filter(old) else { return };
            let (key, value) = (register.owned_key(), register.owned_value());
            let value = (register.state == State::Value).then_some(&value[..]);
            if self.write_own(cx, &key, value).is_err() {
                debug_assert!(false, "what is in the table fits into it again");
                return;
            }
        }
    }

    /// Somebody has heard of this node in such a life. A higher incarnation is that of an earlier life, of which this one did
    /// not know, or of another node with this id.
    pub(super) fn note_own_life(&mut self, me: Me, incarnation: Incarnation) {
        self.superseded = self.superseded.max(Some(incarnation).filter(|&other| other > me.incarnation));
    }

    /// Somebody sends this node one of its own registers: fine if it is one.
    pub(super) fn on_own_echo(&mut self, cx: &mut Cx<'_>, from: PeerIdx, update: &Update<'_>) {
        let Some(owner) = self.own(cx) else { return };
        self.note_own_life(cx.me, update.incarnation);
        if update.incarnation == cx.me.incarnation
            && let Some(slot) = self.table.find(owner, update.key.0)
        {
            self.owed.clear(from.row(), slot as usize);
        }
    }

    /// A link has ended. Where it led may be where the member once was (its greeting came late); what the member itself told
    /// last counts, as nobody will tell it again.
    pub(super) fn recall_address(&self, cx: &mut Cx<'_>, peer: PeerIdx) {
        let owner = cx.peers.get(peer).and_then(|link| cx.members.find(link.node));
        let Some((owner, slot)) = owner.and_then(|owner| Some((owner, self.table.find(owner, MEMBER_KEY)?))) else {
            return;
        };
        if let Some(register) = self.table.get(slot).filter(|register| register.state == State::Value) {
            read_member(cx, owner, register.value());
        }
    }

    /// The next own register to record.
    pub(crate) fn next_record(&mut self) -> Option<RegisterRecord> {
        let slot = self.table.next_unrecorded()?;
        let register = self.table.get(slot)?;
        let key = heapless::Vec::from_slice(register.key()).expect("keys are checked when they are set");
        let value = (register.state == State::Value)
            .then(|| Value { head: heapless::Vec::new(), body: register.owned_value() });
        Some((key, value))
    }
}

/// A member told where it is, or that it leaves.
pub(super) fn read_member(cx: &mut Cx<'_>, owner: Row, value: &[u8]) {
    let Some((&leaving, address)) = value.split_first() else { return };
    let address = postcard::from_bytes::<Address>(address).ok().map(|address| address.0);
    let Some(member) = cx.members.get_mut(owner) else { return };
    if let Some(address) = address.filter(|&address| crate::membership::is_usable(address)) {
        member.address = Some(address);
    }
    if leaving != 0 {
        cx.members.raise_status(cx.now, owner, LEFT);
    }
}

/// A member's own address, as the value of its register.
fn encode_member(address: Option<SocketAddr>, leaving: bool) -> heapless::Vec<u8, 24> {
    let mut value = heapless::Vec::new();
    let _fits = value.push(u8::from(leaving));
    if let Some(address) = address {
        let mut bytes = [0; 20];
        if let Ok(bytes) = postcard::to_slice(&Address(address), &mut bytes) {
            let _fits = value.extend_from_slice(bytes);
        }
    }
    value
}
