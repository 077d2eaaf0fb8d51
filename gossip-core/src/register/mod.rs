//! Registers: every node's own keys and values, known to everybody, the newest version wins.
//!
//! # Intuition
//!
//! Each node keeps a notice board, and everybody keeps a copy of all boards. Every change of a board gets the next number
//! of its owner. Two copies of a board are compared by one number, "complete up to": who is behind is handed the newer
//! notices, oldest first. What about notices that were taken down? A notice that is handed over says two numbers: its
//! own, and that of the notice before it; between the two there is *nothing*, and what one still has there is in doubt:
//! either its replacement is among the notices to come, or it was taken down. When all are handed over, what is still in
//! doubt goes. So a removal cannot be undone by an old copy, even when nobody remembers it any more.
//!
//! A node's address is a notice on its board, under a reserved key. That is the table of members.
//!
//! # State
//!
//! Per owner ([`Members`]): incarnation, `complete` (every live register up to this version is
//! here), `floor` (removals up to this version may be forgotten here), the registers in the order of versions. Per link:
//! which registers are still to be sent, and how far the comparison has got ([`Comparison`]).
//!
//! # Messages
//!
//! - `Updates`: registers, each with the version after which it comes. New ones go to every link but the one they came
//!   from, gathered for `batch_delay`.
//! - `Root`, `Frontiers`: the comparison. A page lists (owner, incarnation, complete). The reader sends what the writer
//!   lacks; if it lacks something itself, it answers with its own page from the same place on.
//!
//! # Rules
//!
//! - An update `(after, version]` extends `complete` iff `complete ≥ after`; it is applied either way, if its version is the
//!   newest of its key.
//! - Whoever is complete up to `version` may claim `after`; otherwise `after = version − 1`, which is always true, as
//!   each version belongs to one register.
//! - A later incarnation of the owner voids all registers of the earlier one.
//! - Who is behind the `floor` gets everything from 0 on: removals that it missed show as gaps between versions. What lies
//!   in such a gap is doubted, and goes at the *closing* update of the same link, which names no register.
//! - A closing update also tells how far the owner has got where its newest versions were removed and forgotten.
//!
//! # Bounds
//!
//! `Limits::registers` and `Limits::register_bytes` over all owners, `Limits::peers` owners. Without room a change is
//! refused and counted, `complete` stays, and the comparison brings it again. Removed registers stay for the horizon.
//! Boards of members that left, or that were not reachable for the horizon, go.
//!
//! # Sources, and where this differs
//!
//! Per-owner versions with "newer than" deltas are Scuttlebutt (van Renesse et al. 2008, §3). There removals need a
//! collection that is known to be safe; here the interval that every update names makes forgetting safe at any time.

mod own;
mod table;

use core::hash::Hasher;
use core::net::SocketAddr;
use core::time::Duration;

use crate::comparison::Comparison;
use crate::config::Config;
use crate::event::{Event, Key, Scope};
use crate::ids::{Incarnation, NodeId, Version};
use crate::members::{Member, Members, Row};
use crate::pack::{Full, Packer};
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::storage::Grid;
use crate::time::Instant;
use crate::view::{PeerState, Reason, RegisterView};
use crate::wire::{Blob, Kind, List, Page, PageHead, RegisterFrontier, RegisterState, Root, Update};

use table::{Change, Registers, Slot, State};

/// Bytes kept for registers in each datagram: a few short ones.
const SHARE: usize = 200;

/// The key of a member's own address. Keys that start with the zero byte are not for users.
const MEMBER_KEY: &[u8] = &[0];

/// Versions at or above this are refused, so that sums cannot overflow.
const VERSION_MAX: u64 = 1 << 62;

/// The sub-protocol.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    table: Registers,
    /// Links by registers: to be sent.
    owed: Grid,
    /// Links by owners: a closing update is to be sent.
    closings: Grid,
    comparison: Comparison,
    /// The sum of fingerprints of what is known completely.
    root: u64,
    root_key: u64,
    /// A higher incarnation of this node than its own, if one was seen.
    superseded: Option<Incarnation>,
    /// When gathered changes go out.
    flush_at: Instant,
    batch_delay: Duration,
    /// When to look for what is older than the horizon.
    sweep_at: Instant,
    horizon: Duration,
    repair: bool,
    records: bool,
    registers_max: u32,
    update_max: usize,
}

impl Register {
    pub(crate) fn new(config: &Config, root_key: u64, now: Instant, rng: &mut Rng) -> Self {
        let limits = &config.limits;
        let (links, registers) = (usize::from(limits.links), limits.registers as usize);
        let horizon = config.timing.horizon;
        Self {
            table: Registers::new(registers, limits.register_bytes, rng),
            owed: Grid::new(links, registers),
            closings: Grid::new(links, limits.peers as usize),
            comparison: Comparison::new(Due::Registers, links, config.timing.repair_period),
            root: 0,
            root_key,
            superseded: None,
            flush_at: Instant::NEVER,
            batch_delay: config.timing.batch_delay,
            sweep_at: now + horizon / 8,
            horizon,
            repair: config.repair == crate::config::Repair::On,
            records: config.durability == crate::config::Durability::Records,
            registers_max: limits.registers,
            update_max: usize::from(config.mtu) - crate::wire::HEADER_LEN - Update::OVERHEAD_MAX,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, peers: usize, registers: usize) -> usize {
        Registers::heap_bytes(registers)
            + Grid::heap_bytes(links, registers)
            + Grid::heap_bytes(links, peers)
            + Comparison::heap_bytes(links)
    }

    // ---- views

    pub(crate) fn get(&self, members: &Members, node: NodeId, key: &str) -> Option<RegisterView> {
        let slot = self.table.find(members.find(node)?, key.as_bytes())?;
        self.view(members, slot)
    }

    /// All registers with a value, by owner, the one changed longest ago first.
    pub(crate) fn iter<'a>(&'a self, members: &'a Members, prefix: &'a str) -> impl Iterator<Item = RegisterView> + 'a {
        members.from(NodeId(0)).flat_map(move |(row, _)| {
            let of_owner = self.table.of(members, row);
            of_owner
                .filter(|(_, register)| register.key().starts_with(prefix.as_bytes()))
                .filter_map(|(slot, _)| self.view(members, slot))
        })
    }

    fn view(&self, members: &Members, slot: Slot) -> Option<RegisterView> {
        let register = self.table.get(slot)?;
        if register.state != State::Value || register.is_reserved() {
            return None;
        }
        Some(RegisterView {
            node: members.get(register.owner)?.node,
            key: Key::new(register.owned_key()),
            version: register.version,
            value: register.owned_value(),
        })
    }

    pub(crate) fn next_event(&mut self, members: &Members) -> Option<Event> {
        loop {
            let slot = self.table.next_untold()?;
            let register = self.table.get(slot);
            let event = register.filter(|register| !register.is_reserved()).and_then(|register| {
                Some(Event::Register {
                    node: members.get(register.owner)?.node,
                    scope: Scope::Own,
                    key: Key::new(register.owned_key()),
                    version: register.version,
                    value: (register.state == State::Value).then(|| register.owned_value()),
                })
            });
            self.table.told(slot);
            if event.is_some() {
                return event;
            }
        }
    }

    // ---- frames

    /// A higher incarnation of this node than its own, if one was seen since the last call.
    pub(crate) fn take_superseded(&mut self) -> Option<Incarnation> {
        self.superseded.take()
    }

    pub(crate) fn on_updates(&mut self, cx: &mut Cx<'_>, from: PeerIdx, updates: List<'_, Update<'_>>) {
        for update in updates.iter() {
            self.on_update(cx, from, &update);
        }
    }

    fn on_update(&mut self, cx: &mut Cx<'_>, from: PeerIdx, update: &Update<'_>) {
        let sane = update.version < VERSION_MAX && update.after < update.version.max(1) && update.version > 0;
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
        self.doubt_between(cx, from, owner, update);
        let version = Version { incarnation: update.incarnation, number: update.version };
        if update.state == RegisterState::Nothing {
            self.extend(cx, owner, update.after, update.version);
            self.close(cx, from, owner, version);
        } else if self.apply(cx, from, owner, update, version) {
            self.extend(cx, owner, update.after, update.version);
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
    fn adopt(&mut self, cx: &mut Cx<'_>, row: Row, incarnation: Incarnation) {
        if cx.members.get(row).is_none_or(|member| member.incarnation >= incarnation) {
            return;
        }
        self.forget_all(cx, row, Version { incarnation, number: 0 });
        self.set_complete(cx.members, row, 0);
        let Some(member) = cx.members.get_mut(row) else { return };
        (member.incarnation, member.floor) = (incarnation, 0);
        if matches!(member.state, PeerState::Down | PeerState::Left) {
            cx.members.set_state(cx.now, row, PeerState::Known);
        }
    }

    fn forget_all(&mut self, cx: &mut Cx<'_>, row: Row, as_of: Version) {
        while let Some(slot) = cx.members.get(row).and_then(|member| member.registers.front()) {
            self.forget(cx.members, slot, as_of);
        }
    }

    fn forget(&mut self, members: &mut Members, slot: Slot, as_of: Version) {
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
    fn spread(&mut self, cx: &mut Cx<'_>, slot: Slot, except: Option<PeerIdx>) {
        for (peer, _) in cx.peers.iter() {
            if Some(peer) == except {
                self.owed.clear(peer.row(), slot as usize);
            } else {
                self.owed.set(peer.row(), slot as usize);
            }
        }
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
    }

    /// `(after, version]` is complete, and perhaps what follows it.
    fn extend(&mut self, cx: &mut Cx<'_>, owner: Row, after: u64, version: u64) {
        let Some(member) = cx.members.get(owner) else { return };
        if member.complete < after || member.complete >= version {
            return;
        }
        let complete = self.table.reach(cx.members, owner, version);
        self.set_complete(cx.members, owner, complete);
    }

    /// Keeps the root in step.
    fn set_complete(&mut self, members: &mut Members, row: Row, complete: u64) {
        let Some(member) = members.get_mut(row) else { return };
        let before = fingerprint(self.root_key, member.node, member.incarnation, member.complete);
        member.complete = complete;
        let after = fingerprint(self.root_key, member.node, member.incarnation, complete);
        self.root = self.root.wrapping_sub(before).wrapping_add(after);
    }

    pub(crate) fn on_root(&mut self, cx: &mut Cx<'_>, from: PeerIdx, root: Root) {
        if self.repair && root.sum != self.root {
            self.comparison.owe_page(cx.peers, from);
        }
    }

    pub(crate) fn on_frontiers(&mut self, cx: &mut Cx<'_>, from: PeerIdx, page: &Page<'_, RegisterFrontier>) {
        if !self.repair {
            return;
        }
        let mut behind = false;
        let mut next = page.head.node;
        for entry in page.entries.iter() {
            self.owe_unlisted(cx, from, next, Some(entry.owner));
            behind |= self.compare(cx, from, &entry);
            let Some(after) = entry.owner.0.checked_add(1) else { break };
            next = NodeId(after);
        }
        if !page.more {
            self.owe_unlisted(cx, from, next, None);
        }
        if behind {
            self.comparison.reply(cx.now, cx.peers, from, page.head);
        }
        if page.more {
            self.comparison.owe_root(cx.peers, from);
        }
        self.flush_at = self.flush_at.min(cx.now + self.batch_delay);
    }

    /// The peer does not know these owners at all.
    fn owe_unlisted(&mut self, cx: &Cx<'_>, to: PeerIdx, from: NodeId, end: Option<NodeId>) {
        for (row, member) in cx.members.from(from) {
            if end.is_some_and(|end| member.node >= end) {
                return;
            }
            if member.complete > 0 {
                self.owe_owner(cx, to, row, 0);
            }
        }
    }

    /// Compares one entry of a page. True if this node is behind.
    fn compare(&mut self, cx: &mut Cx<'_>, from: PeerIdx, entry: &RegisterFrontier) -> bool {
        let Some(row) = cx.members.find(entry.owner) else { return true };
        let Some(member) = cx.members.get(row) else { return true };
        let here = (member.incarnation, member.complete);
        let there = (entry.incarnation, entry.complete);
        if here.0 > there.0 {
            self.owe_owner(cx, from, row, 0);
        } else if here > there {
            let start = if there.1 < member.floor { 0 } else { there.1 };
            self.owe_owner(cx, from, row, start);
        }
        here < there && entry.owner != cx.me.node
    }

    /// Owes everything of an owner that is newer than `after`.
    fn owe_owner(&mut self, cx: &Cx<'_>, to: PeerIdx, owner: Row, after: u64) {
        let mut last = 0;
        for (slot, register) in self.table.of(cx.members, owner) {
            last = register.version.number;
            if last > after {
                self.owed.set(to.row(), slot as usize);
            }
        }
        let behind_floor = |member: &Member| after < member.floor;
        if cx.members.get(owner).is_some_and(|member| member.complete > last || behind_floor(member)) {
            self.closings.set(to.row(), owner as usize);
        }
    }

    /// Panics where the table is wrong, the root is not the sum of all owners, or something is owed of nothing, to
    /// nobody, or for ever.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, members: &Members) {
        self.table.check_invariants(members);
        let of = |member: &Member| fingerprint(self.root_key, member.node, member.incarnation, member.complete);
        let root = members.iter().fold(0_u64, |sum, (_, member)| sum.wrapping_add(of(member)));
        assert_eq!(root, self.root, "the root is the sum of all fingerprints");
        if self.repair {
            self.comparison.check_invariants(peers);
        }
        for grid in [&self.owed, &self.closings] {
            grid.check_invariants();
        }
        for row in 0..peers.capacity() {
            let mut owed = self.owed.columns_of(row).map(|slot| self.table.get(slot as Slot));
            assert!(owed.all(|register| register.is_some_and(|it| it.state != State::Forgotten)), "nothing is owed");
            assert!(self.closings.columns_of(row).all(|owner| members.get(owner as Row).is_some()), "nobody is closed");
            if !(self.owed.row_is_empty(row) && self.closings.row_is_empty(row)) {
                let peer = peers.at(row).expect("registers are owed to a link");
                let goes_out = self.flush_at != Instant::NEVER || peers.is_due(peer, Due::Registers);
                assert!(goes_out, "registers are owed without a mark");
            }
        }
    }

    // ---- writing

    fn write_updates(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
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
            let done: heapless::Vec<Slot, 64> = slots().take(written.min(64)).map(|(slot, _)| slot).collect();
            if done.is_empty() {
                return Err(Full);
            }
            for slot in done {
                self.owed.clear(to.row(), slot as usize);
            }
        }
        while let Some(owner) = self.closings.next_in_row(to.row(), 0) {
            if packet.list(Kind::UPDATES, self.closing(cx, owner as Row)) == 0 {
                return Err(Full);
            }
            self.closings.clear(to.row(), owner);
        }
        Ok(())
    }

    /// "After my last register of this owner there is nothing more."
    fn closing(&self, cx: &Cx<'_>, owner: Row) -> Option<Update<'static>> {
        let member = cx.members.get(owner)?;
        let last = self.table.of(cx.members, owner).last().map_or(0, |(_, register)| register.version.number);
        Some(Update {
            owner: member.node,
            incarnation: member.incarnation,
            after: last.min(member.complete.saturating_sub(1)),
            version: member.complete.max(1),
            state: RegisterState::Nothing,
            age_ms: 0,
            key: Blob(&[]),
            value: Blob(&[]),
        })
    }

    fn write_comparison(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        if let Some(head) = self.comparison.owed_page(to) {
            let entries = cx.members.from(head.node).filter(|(_, member)| member.complete > 0).map(|(_, member)| {
                RegisterFrontier { owner: member.node, incarnation: member.incarnation, complete: member.complete }
            });
            let paged = packet.page(Kind::REGISTER_FRONTIERS, &head, entries)?;
            let last =
                cx.members.from(head.node).filter(|(_, member)| member.complete > 0).nth(paged.entries.max(1) - 1);
            let next = last.filter(|_| paged.more).and_then(|(_, member)| member.node.0.checked_add(1));
            let next = next.map(|node| PageHead { node: NodeId(node), incarnation: Incarnation(0) });
            self.comparison.page_written(to, next);
        }
        if self.comparison.owes_root(to) {
            packet.frame(Kind::REGISTER_ROOT, &Root { sum: self.root, rows: cx.members.len() as u32 })?;
            self.comparison.root_written(to);
        }
        Ok(())
    }

    /// Peers for whom something was gathered are due now.
    fn flush(&mut self, cx: &mut Cx<'_>) {
        self.flush_at = Instant::NEVER;
        for row in 0..cx.peers.capacity() {
            if !(self.owed.row_is_empty(row) && self.closings.row_is_empty(row))
                && let Some(peer) = cx.peers.at(row)
            {
                cx.peers.mark(peer, Due::Registers);
            }
        }
    }

    /// Whether nothing is to be sent to anybody, gathered or due.
    pub(crate) fn is_spread(&self, cx: &Cx<'_>) -> bool {
        self.flush_at == Instant::NEVER && cx.peers.is_settled(Due::Registers)
    }

    /// Drops what is older than the horizon: removed registers, and members that are gone.
    fn sweep(&mut self, cx: &mut Cx<'_>) {
        self.sweep_at = cx.now + self.horizon / 8;
        let (now, horizon) = (cx.now, self.horizon);
        let is_old = |since: Instant| now.saturating_since(since) >= horizon;
        for slot in 0..self.registers_max {
            let Some(register) = self.table.get(slot) else { continue };
            if register.state == State::Removed && is_old(register.changed_at) {
                let version = register.version;
                if let Some(member) = cx.members.get_mut(register.owner) {
                    member.floor = member.floor.max(version.number);
                }
                self.forget(cx.members, slot, version);
            }
        }
        for row in 0..cx.members.capacity() {
            let gone = cx.members.get(row).is_some_and(|member| {
                matches!(member.state, PeerState::Down | PeerState::Left) && is_old(member.since)
            });
            if gone {
                self.forget_member(cx, row);
            }
        }
    }

    /// The row goes when the application was told of its registers' end; with the next sweep otherwise.
    fn forget_member(&mut self, cx: &mut Cx<'_>, row: Row) {
        let Some(member) = cx.members.get(row) else { return };
        let as_of = Version { incarnation: member.incarnation, number: member.complete + 1 };
        self.forget_all(cx, row, as_of);
        if self.table.iter().all(|(_, register)| register.owner != row) {
            self.set_complete(cx.members, row, 0);
            self.closings.clear_column(row as usize);
            cx.members.remove(row);
        }
    }
}

impl Protocol for Register {
    fn due(&self) -> Option<Due> {
        Some(Due::Registers)
    }

    fn on_fact(&mut self, cx: &mut Cx<'_>, fact: Fact) {
        match fact {
            Fact::LinkUp { peer } => {
                self.owed.clear_row(peer.row());
                self.closings.clear_row(peer.row());
                let link = cx.peers.get(peer).map(|link| (link.node, link.incarnation));
                if let Some((row, incarnation)) =
                    link.and_then(|(node, incarnation)| Some((cx.members.find(node)?, incarnation)))
                {
                    self.adopt(cx, row, incarnation);
                }
                if self.repair {
                    self.comparison.on_link_up(cx.now, cx.peers, peer);
                }
            }
            Fact::LinkDown { peer } => {
                self.owed.clear_row(peer.row());
                self.closings.clear_row(peer.row());
                self.comparison.on_link_down(peer);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Fact> {
        if self.flush_at <= cx.now {
            self.flush(cx);
        }
        if self.sweep_at <= cx.now {
            self.sweep(cx);
        }
        if self.repair {
            self.comparison.on_timeout(cx.now, cx.peers);
        }
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let written = self.write_comparison(cx, to, packet).and_then(|()| self.write_updates(cx, to, packet));
        if written.is_ok() {
            cx.peers.done(to, Due::Registers);
        }
    }

    fn deadline(&self) -> Instant {
        self.flush_at.min(self.sweep_at).min(self.comparison.deadline())
    }

    fn reason(&self) -> Reason {
        if self.flush_at <= self.sweep_at.min(self.comparison.deadline()) {
            Reason::Batch
        } else if self.sweep_at < self.comparison.deadline() {
            Reason::Expiry
        } else {
            Reason::Repair
        }
    }
}

/// One register as it is now, with the strongest true claim about what lies before it.
fn update<'a>(table: &'a Registers, members: &Members, now: Instant, slot: Slot) -> Option<Update<'a>> {
    let register = table.get(slot)?;
    let owner = members.get(register.owner)?;
    let version = register.version.number;
    let complete = owner.complete >= version;
    Some(Update {
        owner: owner.node,
        incarnation: register.version.incarnation,
        after: if complete { table.version_before(members, slot) } else { version - 1 },
        version,
        state: if register.state == State::Value { RegisterState::Value } else { RegisterState::Removed },
        age_ms: register.age_ms(now),
        key: Blob(register.key()),
        value: Blob(register.value()),
    })
}

/// The share of one owner in the root; nothing where nothing is known.
fn fingerprint(key: u64, node: NodeId, incarnation: Incarnation, complete: u64) -> u64 {
    if complete == 0 {
        return 0;
    }
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(key, 2);
    for number in [node.0, incarnation.0, complete] {
        hasher.write(&number.to_le_bytes());
    }
    hasher.finish()
}

/// Whether a key is not for users.
fn is_reserved(key: &[u8]) -> bool {
    key.first() == Some(&0)
}

/// A member's own address, as the value of its register.
fn encode_member(address: Option<SocketAddr>, leaving: bool) -> heapless::Vec<u8, 24> {
    let mut value = heapless::Vec::new();
    let _fits = value.push(u8::from(leaving));
    if let Some(address) = address {
        let mut bytes = [0; 20];
        if let Ok(bytes) = postcard::to_slice(&crate::wire::Address(address), &mut bytes) {
            let _fits = value.extend_from_slice(bytes);
        }
    }
    value
}
