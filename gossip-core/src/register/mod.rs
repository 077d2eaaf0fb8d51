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
//! here), `claimed` (what was heard is true as of this version), `floor` (removals up to this version may be forgotten here), the registers in the order of versions. Per link:
//! which registers are still to be sent, and how far the comparison has got ([`Comparison`]).
//!
//! # Messages
//!
//! - `Updates`: registers, each with the version after which it comes. New ones go to every link but the one they came
//!   from, gathered for `batch_delay`.
//! - `Root`, `Frontiers`: the comparison. A page lists (owner, incarnation, complete, status) of all that stand. The reader
//!   sends what the writer lacks; if it lacks something itself, it answers with its own page from the same place on.
//! - `Statuses`, `Accusations`: what is said about members, see [`status`].
//!
//! # Rules
//!
//! - An update `(after, version]` extends `complete` iff `complete ≥ after`; it is applied either way, if its version is the
//!   newest of its key.
//! - Whoever is complete up to `version` may claim `after`; otherwise `after = version − 1`, which is always true, as
//!   each version belongs to one register. The claim is true as of the version up to which its writer is complete, and says
//!   so (`ahead`): what is not there may have been replaced later. A reader who has not got that far has a copy that is
//!   neither what the board was nor what it is. Such a copy is not *settled*, and claims nothing.
//! - A later incarnation of the owner voids all registers of the earlier one.
//! - Who is behind the `floor` gets everything from 0 on: removals that it missed show as gaps between versions. What lies
//!   in such a gap is doubted, and goes at the *closing* update of the same link, which names no register.
//! - A closing update also tells how far the owner has got where its newest versions were removed and forgotten.
//! - What a member published that is dead or has left stays where it is, until the horizon, and is not passed on.
//!
//! # Bounds
//!
//! `Limits::registers` and `Limits::register_bytes` over all owners, `Limits::peers` owners. Without room a change is
//! refused and counted, `complete` stays, and the comparison brings it again. Removed registers stay for the horizon.
//! Boards of members that left, or that were not reachable and changed nothing for the horizon, go; they come again
//! where a link still has them (see [`members`](crate::members)).
//!
//! # Sources, and where this differs
//!
//! Per-owner versions with "newer than" deltas are Scuttlebutt (van Renesse et al. 2008, §3). There removals need a
//! collection that is known to be safe; here the interval that every update names makes forgetting safe at any time.

mod applying;
mod comparing;
mod own;
mod status;
mod table;
mod writing;

use core::time::Duration;

use crate::comparison::Comparison;
use crate::config::Config;
use crate::event::{Event, Key, Scope};
use crate::ids::{Incarnation, NodeId, Version};
use crate::members::{Members, Row};
use crate::pack::Packer;
#[cfg(any(test, feature = "__internals"))]
use crate::peer::Peers;
use crate::peer::{Due, PeerIdx};
use crate::protocol::{Cx, Fact, Protocol, Table};
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
    /// Links by members: its status is to be sent.
    statuses: Grid,
    /// Links by members: the peer takes it for alive, and is to be told that it is said to be dead.
    accusations: Grid,
    comparison: Comparison,
    /// A higher incarnation of this node than its own, if one was seen.
    superseded: Option<Incarnation>,
    /// When gathered changes go out.
    flush_at: Instant,
    batch_delay: Duration,
    /// The longest that news of a status waits.
    status_delay: Duration,
    rng: Rng,
    /// When to look for what is older than the horizon.
    sweep_at: Instant,
    horizon: Duration,
    repair: bool,
    records: bool,
    registers_max: u32,
    update_max: usize,
}

impl Register {
    pub(crate) fn new(config: &Config, now: Instant, rng: Rng, tables: &mut Rng) -> Self {
        let limits = &config.limits;
        let (links, registers) = (usize::from(limits.links), limits.registers as usize);
        let horizon = config.timing.horizon;
        let repair = config.repair == crate::config::Repair::On;
        Self {
            table: Registers::new(registers, limits.register_bytes, tables),
            owed: Grid::new(links, registers),
            closings: Grid::new(links, limits.peers as usize),
            statuses: Grid::new(links, limits.peers as usize),
            accusations: Grid::new(links, limits.peers as usize),
            comparison: Comparison::new(Due::Registers, links, config.timing.repair_period, repair),
            superseded: None,
            flush_at: Instant::NEVER,
            batch_delay: config.timing.batch_delay,
            status_delay: 2 * config.timing.probe_timeout,
            rng,
            sweep_at: now + horizon / 8,
            horizon,
            repair,
            records: config.durability == crate::config::Durability::Records,
            registers_max: limits.registers,
            update_max: usize::from(config.mtu) - crate::wire::HEADER_LEN - Update::OVERHEAD_MAX,
        }
    }

    pub(crate) const fn heap_bytes(links: usize, peers: usize, registers: usize) -> usize {
        Registers::heap_bytes(registers)
            + Grid::heap_bytes(links, registers)
            + 3 * Grid::heap_bytes(links, peers)
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

    /// Panics where the table is wrong, or something is owed of nothing, to nobody, or for ever.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers, members: &Members) {
        self.table.check_invariants(members);
        self.comparison.check_invariants(peers);
        for grid in [&self.owed, &self.closings, &self.statuses, &self.accusations] {
            grid.check_invariants();
        }
        for row in 0..peers.capacity() {
            let mut owed = self.owed.columns_of(row).map(|slot| self.table.get(slot as Slot));
            assert!(owed.all(|register| register.is_some_and(|it| it.state != State::Forgotten)), "nothing is owed");
            for grid in self.about_members() {
                assert!(grid.columns_of(row).all(|owner| members.get(owner as Row).is_some()), "nobody is spoken of");
            }
            if self.owes(row) {
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
            if self.owes(row)
                && let Some(peer) = cx.peers.at(row)
            {
                cx.peers.mark(peer, Due::Registers);
            }
        }
    }

    /// Whether something is to be sent to the link of this row.
    fn owes(&self, row: usize) -> bool {
        !(self.owed.row_is_empty(row) && self.about_members().into_iter().all(|grid| grid.row_is_empty(row)))
    }

    const fn about_members(&self) -> [&Grid; 3] {
        [&self.closings, &self.statuses, &self.accusations]
    }

    /// Nothing is owed to this link any more, and what it doubted is as good as before: the next link in its row may be
    /// one that knows less, whose silence would be taken for its proof.
    fn forget_link(&mut self, row: usize) {
        for slot in 0..self.registers_max {
            if self.table.get(slot).is_some_and(|register| register.doubted_by == Some(row as u8)) {
                self.table.trust(slot);
            }
        }
        self.owed.clear_row(row);
        for grid in [&mut self.closings, &mut self.statuses, &mut self.accusations] {
            grid.clear_row(row);
        }
    }

    /// Whether nothing is to be sent to anybody, gathered or due.
    pub(crate) fn is_spread(&self, cx: &Cx<'_>) -> bool {
        self.flush_at == Instant::NEVER && cx.peers.is_settled(Due::Registers)
    }

    /// Drops what is older than the horizon: removed registers, and members that are gone. With sampled membership also, after
    /// an eighth of it, members of whom only the name is left: a link that gave way to another leaves such a row. (One that
    /// has voided an earlier life stays for the horizon, as others may still hold what that one wrote.)
    fn sweep(&mut self, cx: &mut Cx<'_>) {
        self.sweep_at = cx.now + self.horizon / 8;
        let (now, horizon) = (cx.now, self.horizon);
        let is_old = |since: Instant, patience: Duration| now.saturating_since(since) >= patience;
        for slot in 0..self.registers_max {
            let Some(register) = self.table.get(slot) else { continue };
            if register.state == State::Removed && is_old(register.changed_at, horizon) {
                let version = register.version;
                if let Some(member) = cx.members.get_mut(register.owner) {
                    member.floor = member.floor.max(version.number);
                }
                self.forget(cx.members, slot, version);
            }
        }
        for row in 0..cx.members.capacity() {
            let gone = cx.members.get(row).is_some_and(|member| {
                let hearsay = cx.view.is_used() && member.is_hearsay() && member.node != cx.me.node;
                let patience = if hearsay && !member.reborn { horizon / 8 } else { horizon };
                let is_here = matches!(member.state, PeerState::Linked | PeerState::Known);
                (hearsay || !is_here) && is_old(member.since, patience)
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
        cx.members.set_complete(row, 0);
        if self.table.iter().all(|(_, register)| register.owner != row) {
            for grid in [&mut self.closings, &mut self.statuses, &mut self.accusations] {
                grid.clear_column(row as usize);
            }
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
                self.forget_link(peer.row());
                self.compare_life(cx, peer);
                let first = self.first_page(cx);
                self.comparison.on_link_up(cx.now, cx.peers, peer, first);
            }
            Fact::LinkDown { peer } => {
                self.forget_link(peer.row());
                self.comparison.on_link_down(peer);
                self.recall_address(cx, peer);
            }
            Fact::Died { member } | Fact::Revived { member } => self.spread_status(cx, member),
            Fact::Differs { peer, table: Table::Registers } => self.comparison.wake(cx.now, cx.peers, peer),
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
        self.comparison.on_timeout(cx.now, cx.peers);
        None
    }

    fn share(&self) -> usize {
        SHARE
    }

    fn on_transmit(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) {
        let written = self
            .write_statuses(cx, to, packet)
            .and_then(|()| self.write_comparison(cx, to, packet))
            .and_then(|()| self.write_updates(cx, to, packet));
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

/// Whether a key is not for users.
fn is_reserved(key: &[u8]) -> bool {
    key.first() == Some(&0)
}
