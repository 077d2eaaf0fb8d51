//! The registers themselves.

use core::hash::Hasher;
use core::ops::Range;

use bytes::Bytes;

use crate::ids::Version;
#[cfg(any(test, feature = "__internals"))]
use crate::members::Member;
use crate::members::{Members, Row};
use crate::rng::Rng;
use crate::storage::{Bits, Index, Links, Slots};
use crate::time::Instant;

/// A slot number of [`Registers`].
pub(super) type Slot = u32;

/// One register.
#[derive(Clone, Debug)]
pub(super) struct Register {
    /// The owner's row in the table of members.
    pub(super) owner: Row,
    pub(super) version: Version,
    pub(super) state: State,
    pub(super) changed_at: Instant,
    /// The row of the link that said that there is no such register; it may be one that was replaced.
    pub(super) doubted_by: Option<u8>,
    key_len: u8,
    /// Key, then value.
    blob: Bytes,
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Value,
    /// It was removed; kept until the horizon, so that others learn of it.
    Removed,
    /// It is not there any more; kept until the application was told.
    Forgotten,
}

impl Register {
    pub(super) fn key(&self) -> &[u8] {
        &self.blob[..self.key_len.into()]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.blob[self.key_len.into()..]
    }

    pub(super) fn owned_key(&self) -> Bytes {
        self.blob.slice(..usize::from(self.key_len))
    }

    pub(super) fn owned_value(&self) -> Bytes {
        self.blob.slice(usize::from(self.key_len)..)
    }

    /// Time since it was changed, in milliseconds.
    pub(super) fn age_ms(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_since(self.changed_at).as_millis()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_reserved(&self) -> bool {
        super::is_reserved(self.key())
    }
}

/// A change of a register, from here or from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) owner: Row,
    pub(super) version: Version,
    pub(super) removed: bool,
    pub(super) changed_at: Instant,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

/// What there is no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// One more register.
    Rows,
    /// So many more bytes.
    Bytes,
}

/// All registers, by key and by version.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    slots: Slots<Register>,
    index: Index,
    key: (u64, u64),
    /// Each owner's registers by version; the lists are in the table of members.
    links: Links,
    /// Registers of which the application is to be told.
    untold: Bits,
    /// Own registers that are to be recorded.
    unrecorded: Bits,
    bytes: u32,
    bytes_max: u32,
}

impl Registers {
    pub(super) fn new(capacity: usize, bytes_max: u32, rng: &mut Rng) -> Self {
        Self {
            slots: Slots::new(capacity),
            index: Index::new(capacity),
            key: (rng.u64(), rng.u64()),
            links: Links::new(capacity),
            untold: Bits::new(capacity),
            unrecorded: Bits::new(capacity),
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        Slots::<Register>::heap_bytes(capacity)
            + Index::heap_bytes(capacity)
            + Links::heap_bytes(capacity)
            + 2 * Bits::heap_bytes(capacity)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Register> {
        self.slots.get(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Register)> {
        self.slots.iter()
    }

    pub(super) fn find(&self, owner: Row, key: &[u8]) -> Option<Slot> {
        self.index.find(self.hash(owner, key), |slot| {
            self.slots.get(slot).is_some_and(|register| register.owner == owner && register.key() == key)
        })
    }

    /// An owner's registers, oldest version first.
    pub(super) fn of<'a>(
        &'a self,
        members: &Members,
        owner: Row,
    ) -> impl Iterator<Item = (Slot, &'a Register)> + use<'a> {
        let list = members.get(owner).map(|member| member.registers).unwrap_or_default();
        core::iter::successors(list.front(), move |&slot| list.next(&self.links, slot))
            .filter_map(|slot| Some((slot, self.slots.get(slot)?)))
    }

    /// An owner's registers whose version is above `after`, newest first.
    pub(super) fn newer_than<'a>(
        &'a self,
        members: &Members,
        owner: Row,
        after: u64,
    ) -> impl Iterator<Item = (Slot, &'a Register)> + use<'a> {
        let list = members.get(owner).map(|member| member.registers).unwrap_or_default();
        core::iter::successors(list.back(), move |&slot| list.previous(&self.links, slot))
            .filter_map(|slot| Some((slot, self.slots.get(slot)?)))
            .take_while(move |(_, register)| register.version.number > after)
    }

    /// The highest version that is reached from `complete` in steps of one.
    pub(super) fn reach(&self, members: &Members, owner: Row, complete: u64) -> u64 {
        let newer = || self.newer_than(members, owner, complete);
        // Versions are distinct, so `count` of them fill the next numbers without a gap iff the highest is as far away.
        let mut reached = complete + newer().count() as u64;
        for (_, register) in newer() {
            if register.version.number > reached {
                reached = reached.saturating_sub(1);
            }
        }
        reached.max(complete)
    }

    /// Whether an owner has given this version to another key.
    pub(super) fn is_taken(&self, members: &Members, owner: Row, version: u64, key: &[u8]) -> bool {
        let mut newer = self.newer_than(members, owner, version.saturating_sub(1));
        newer.any(|(_, register)| register.version.number == version && register.key() != key)
    }

    /// The register with the lowest version of an owner.
    pub(super) fn first_of(&self, members: &Members, owner: Row) -> Option<Slot> {
        members.get(owner)?.registers.front()
    }

    /// The register with the next higher version of the same owner.
    pub(super) fn after(&self, members: &Members, slot: Slot) -> Option<Slot> {
        let register = self.slots.get(slot)?;
        members.get(register.owner)?.registers.next(&self.links, slot)
    }

    /// A link said that an owner has no register with a version above the start and below the end of `versions`. Whom
    /// another link has doubted before keeps that doubt.
    pub(super) fn doubt_between(&mut self, members: &Members, owner: Row, versions: Range<u64>, by: u8) {
        let list = members.get(owner).map(|member| member.registers).unwrap_or_default();
        let mut at = list.back();
        while let Some(slot) = at {
            at = list.previous(&self.links, slot);
            let newer = self.slots.get_mut(slot).filter(|register| register.version.number > versions.start);
            let Some(register) = newer else { return };
            if register.version.number < versions.end && register.doubted_by.is_none() {
                register.doubted_by = Some(by);
            }
        }
    }

    /// A register turned out to be there.
    pub(super) fn trust(&mut self, slot: Slot) {
        if let Some(register) = self.slots.get_mut(slot) {
            register.doubted_by = None;
        }
    }

    /// The version number of the register before this one, among those of its owner; 0 for none.
    pub(super) fn version_before(&self, members: &Members, slot: Slot) -> u64 {
        let Some(register) = self.slots.get(slot) else { return 0 };
        let list = members.get(register.owner).map(|member| member.registers).unwrap_or_default();
        let before = list.previous(&self.links, slot).and_then(|slot| self.slots.get(slot));
        before.map_or(0, |register| register.version.number)
    }

    /// The most bytes of keys and values.
    pub(super) const fn bytes_max(&self) -> u32 {
        self.bytes_max
    }

    /// Puts a change in its place. It must be newer than what is there.
    pub(super) fn put(&mut self, members: &mut Members, change: &Change<'_>) -> Result<Slot, NoRoom> {
        let found = self.find(change.owner, change.key);
        let len = (change.key.len() + change.value.len()) as u32;
        let freed = found.and_then(|slot| self.slots.get(slot)).map_or(0, |register| register.blob.len() as u32);
        if u64::from(self.bytes - freed) + u64::from(len) > u64::from(self.bytes_max) {
            return Err(NoRoom::Bytes);
        }
        let mut blob = alloc::vec::Vec::with_capacity(len as usize);
        blob.extend_from_slice(change.key);
        blob.extend_from_slice(change.value);
        let register = Register {
            owner: change.owner,
            version: change.version,
            state: if change.removed { State::Removed } else { State::Value },
            changed_at: change.changed_at,
            doubted_by: None,
            key_len: change.key.len() as u8,
            blob: Bytes::from(blob),
        };
        let slot = match found {
            Some(slot) => {
                self.unlist(members, slot);
                let place = self.slots.get_mut(slot).expect("it was found just now");
                *place = register;
                slot
            }
            None => {
                let slot = self.slots.insert(register).map_err(|_| NoRoom::Rows)?;
                self.index
                    .insert(self.hash(change.owner, change.key), slot)
                    .expect("the index has room for every slot");
                slot
            }
        };
        self.bytes = self.bytes - freed + len;
        self.list_by_version(members, slot);
        // That something is gone which was never there, or whose end was told before it was forgotten, is no news.
        if found.is_some() || !change.removed {
            self.untold.set(slot as usize);
        }
        Ok(slot)
    }

    /// A register that is known not to be there any more as of some version: out of its owner's list, and gone when the
    /// application was told.
    pub(super) fn forget(&mut self, members: &mut Members, slot: Slot, as_of: Version) {
        self.unlist(members, slot);
        let Some(register) = self.slots.get_mut(slot) else { return };
        let told = register.state == State::Removed && !self.untold.contains(slot as usize);
        register.state = State::Forgotten;
        register.version = as_of;
        if told || register.is_reserved() {
            self.free(slot);
        } else {
            self.untold.set(slot as usize);
        }
    }

    /// The next register of which the application is to be told; `told` then.
    pub(super) fn next_untold(&self) -> Option<Slot> {
        self.untold.first().map(|slot| slot as Slot)
    }

    pub(super) fn told(&mut self, slot: Slot) {
        self.untold.clear(slot as usize);
        if self.slots.get(slot).is_some_and(|register| register.state == State::Forgotten) {
            self.free(slot);
        }
    }

    pub(super) fn want_record(&mut self, slot: Slot) {
        self.unrecorded.set(slot as usize);
    }

    /// The next own register to record; settled then.
    pub(super) fn next_unrecorded(&mut self) -> Option<Slot> {
        let slot = self.unrecorded.first()?;
        self.unrecorded.clear(slot);
        Some(slot as Slot)
    }

    /// Panics where a register is not found, an owner's list is not in the order of versions, or a sum is wrong.
    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn check_invariants(&self, members: &Members) {
        self.slots.check_invariants();
        self.index.check_invariants();
        self.links.check_invariants();
        for bits in [&self.untold, &self.unrecorded] {
            bits.check_invariants();
            assert!(bits.iter().all(|slot| self.slots.get(slot as Slot).is_some()), "a mark without a register");
        }
        let bytes: usize = self.slots.iter().map(|(_, register)| register.blob.len()).sum();
        assert_eq!(bytes, self.bytes as usize, "the bytes of all registers");
        assert!(self.bytes <= self.bytes_max, "more bytes than the limit");
        let mut forgotten = 0;
        for (slot, register) in self.slots.iter() {
            assert_eq!(
                self.find(register.owner, register.key()),
                Some(slot),
                "register {slot} is not found by its key"
            );
            assert!(members.get(register.owner).is_some(), "register {slot} has no owner");
            let is_forgotten = register.state == State::Forgotten;
            assert!(!is_forgotten || self.untold.contains(slot as usize), "register {slot} is kept for nothing");
            forgotten += usize::from(is_forgotten);
        }
        let listed: usize = members.iter().map(|(row, member)| self.check_list(row, member)).sum();
        assert_eq!(listed + forgotten, self.slots.len(), "registers in the lists of their owners");
    }

    /// Returns the length of the list.
    #[cfg(any(test, feature = "__internals"))]
    fn check_list(&self, row: Row, member: &Member) -> usize {
        let list = member.registers;
        list.check_invariants(&self.links);
        let registers = || list.iter(&self.links).filter_map(|slot| self.slots.get(slot));
        assert_eq!(registers().count(), list.len(), "the list of node {} leads through an empty slot", member.node);
        let belongs = |register: &Register| {
            let lives = register.state != State::Forgotten && register.version.incarnation == member.incarnation;
            lives && register.owner == row
        };
        assert!(registers().all(belongs), "a register of another owner or life in the list of node {}", member.node);
        let ascends = |(one, next): (&Register, &Register)| one.version < next.version;
        assert!(registers().zip(registers().skip(1)).all(ascends), "the list of node {} does not ascend", member.node);
        list.len()
    }

    fn free(&mut self, slot: Slot) {
        let Some(register) = self.slots.get(slot) else { return };
        let hash = self.hash(register.owner, register.key());
        self.bytes -= register.blob.len() as u32;
        self.index.remove(hash, slot);
        self.untold.clear(slot as usize);
        self.unrecorded.clear(slot as usize);
        self.slots.remove(slot);
    }

    fn unlist(&mut self, members: &mut Members, slot: Slot) {
        let Some(register) = self.slots.get(slot) else { return };
        if self.links.is_linked(slot)
            && let Some(member) = members.get_mut(register.owner)
        {
            member.registers.remove(&mut self.links, slot);
        }
    }

    /// Nearly always the version is the newest, so the walk starts at the end.
    fn list_by_version(&mut self, members: &mut Members, slot: Slot) {
        let number = |slot| self.slots.get(slot).map_or(0, |register: &Register| register.version.number);
        let Some(member) = self.slots.get(slot).and_then(|register| members.get_mut(register.owner)) else { return };
        let mut behind = None;
        let mut at = member.registers.back();
        while let Some(other) = at.filter(|&other| number(other) > number(slot)) {
            behind = Some(other);
            at = member.registers.previous(&self.links, other);
        }
        match behind {
            Some(other) => member.registers.insert_before(&mut self.links, other, slot),
            None => member.registers.push_back(&mut self.links, slot),
        }
    }

    fn hash(&self, owner: Row, key: &[u8]) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(&owner.to_le_bytes());
        hasher.write(key);
        hasher.finish()
    }
}
