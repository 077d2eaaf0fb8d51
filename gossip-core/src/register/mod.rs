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
//! Boards of members that left, or that were not reachable and changed nothing for the horizon, go.
//!
//! # Sources, and where this differs
//!
//! Per-owner versions with "newer than" deltas are Scuttlebutt (van Renesse et al. 2008, §3). There removals need a
//! collection that is known to be safe; here the interval that every update names makes forgetting safe at any time.

mod applying;
mod comparing;
mod own;
mod table;
mod writing;

use core::hash::Hasher;
use core::time::Duration;

use crate::comparison::Comparison;
use crate::config::Config;
use crate::event::{Event, Key, Scope};
use crate::ids::{Incarnation, NodeId, Version};
#[cfg(any(test, feature = "__internals"))]
use crate::members::Member;
use crate::members::{Members, Row};
use crate::pack::Packer;
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol};
use crate::rng::Rng;
use crate::storage::Grid;
use crate::time::Instant;
use crate::view::{PeerState, Reason, RegisterView};
use crate::wire::Update;

use table::{Registers, Slot, State};

/// Bytes kept for registers in each datagram: a few short ones.
const SHARE: usize = 200;

/// The key of a member's own address. Keys that start with the zero byte are not for users.
const MEMBER_KEY: &[u8] = &[0];

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

    /// A higher incarnation of this node than its own, if one was seen since the last call.
    pub(crate) fn take_superseded(&mut self) -> Option<Incarnation> {
        self.superseded.take()
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
        // Who comes back before the row goes is handed the whole board again.
        self.set_complete(cx.members, row, 0);
        if self.table.iter().all(|(_, register)| register.owner != row) {
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
