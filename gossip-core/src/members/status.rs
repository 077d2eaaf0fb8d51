//! How members fare: what is told about them, and what this node experiences itself.
//!
//! # Intuition
//!
//! Two columns of the register of inhabitants, written with different pens. The *status* is what all agree on: it only
//! rises, so the order of news does not matter. The *state* is this node's own: whether there is a link, whether the
//! member answers here. Where they contradict each other the status wins: who is dead for all is not merely unreachable.
//!
//! Every change leaves a mark, for the application (`changed`), for the sub-protocols (`turned`), or for the failure detector
//! (`accused`); whom it concerns takes the marks one by one.

use super::{LEFT, Member, Members, Row, is_gone};
use crate::ids::Incarnation;
use crate::time::Instant;
use crate::view::PeerState;

impl Members {
    /// This node's own experience of a node. One that is gone is not unreachable but gone; one that has left stays so for
    /// the rest of its life, while a dead one that gets a link is about to refute. And unreachable is only who can be called
    /// again: with sampled membership the owner of registers may live where this node does not know.
    pub(crate) fn set_state(&mut self, now: Instant, row: Row, state: PeerState) {
        let Some(member) = self.rows.get(row) else { return };
        match member.status {
            LEFT => {}
            status if state == PeerState::Unreachable && member.address.is_none() && !is_gone(status) => {}
            status if is_gone(status) && state != PeerState::Linked => self.put_state(now, row, PeerState::Down),
            _ => self.put_state(now, row, state),
        }
    }

    /// A higher status was told. False where it is not higher.
    pub(crate) fn raise_status(&mut self, now: Instant, row: Row, status: u32) -> bool {
        let Some(member) = self.rows.get(row).filter(|member| member.status < status) else { return false };
        let (was_gone, state) = (member.is_gone(), member.state);
        let refuted = status / 2 > member.status / 2 && !is_gone(status);
        self.change(row, |member| {
            member.status = status;
            member.refuted_at = if refuted { now } else { member.refuted_at };
        });
        self.gone = self.gone + u32::from(is_gone(status)) - u32::from(was_gone);
        self.turned.set(row as usize);
        match status {
            LEFT => self.put_state(now, row, PeerState::Left),
            _ if is_gone(status) => self.put_state(now, row, PeerState::Down),
            _ if state == PeerState::Down => self.put_state(now, row, PeerState::Known),
            _ => {}
        }
        true
    }

    /// Somebody's table says this status, which is to be looked into.
    pub(crate) fn accuse(&mut self, row: Row, status: u32) {
        if let Some(member) = self.rows.get_mut(row) {
            member.accused = member.accused.max(status);
            self.accused.set(row as usize);
        }
    }

    /// The next row that was accused and has not refuted it, and is then looked into.
    pub(crate) fn next_accused(&mut self) -> Option<Row> {
        loop {
            let row = self.accused.first()?;
            self.accused.clear(row);
            if self.rows.get(row as Row).is_some_and(Member::is_accused) {
                return Some(row as Row);
            }
        }
    }

    /// A node begins a new life, alive.
    pub(crate) fn begin_anew(&mut self, now: Instant, row: Row, incarnation: Incarnation) {
        let Some(member) = self.rows.get(row) else { return };
        let (was_gone, state) = (member.is_gone(), member.state);
        let reborn = member.incarnation != Incarnation(0);
        self.change(row, |member| {
            (member.incarnation, member.claimed, member.floor, member.forgotten) = (incarnation, 0, 0, 0);
            (member.status, member.accused) = (0, 0);
            (member.reborn, member.since) = (reborn, now);
        });
        if was_gone {
            self.gone -= 1;
            self.turned.set(row as usize);
        }
        if !is_alive(state) {
            self.put_state(now, row, PeerState::Known);
        }
    }

    /// The next row whose status has changed, and is then settled.
    pub(crate) fn next_turned(&mut self) -> Option<Row> {
        let row = self.turned.first()?;
        self.turned.clear(row);
        Some(row as Row)
    }

    /// Somebody has heard of a node: whoever is not reachable from here is not forgotten before the horizon has passed
    /// since then.
    pub(crate) fn saw_alive(&mut self, row: Row, at: Instant) {
        if let Some(member) = self.rows.get_mut(row) {
            member.since = member.since.max(at);
        }
    }

    fn put_state(&mut self, now: Instant, row: Row, state: PeerState) {
        let Some(member) = self.rows.get_mut(row) else { return };
        if member.state != state {
            self.alive = self.alive + u32::from(is_alive(state)) - u32::from(is_alive(member.state));
            (member.state, member.since) = (state, now);
            let unreachable = state == PeerState::Unreachable;
            self.unreachable.put(row as usize, unreachable);
            self.silent.put(row as usize, unreachable || state == PeerState::Down);
        }
        self.changed.set(row as usize);
    }

    /// The next row that may have something to tell the application, and is then settled.
    pub(crate) fn next_changed(&mut self) -> Option<Row> {
        let row = self.changed.first()?;
        self.changed.clear(row);
        Some(row as Row)
    }
}

pub(super) const fn is_alive(state: PeerState) -> bool {
    matches!(state, PeerState::Linked | PeerState::Known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::rng::Rng;

    #[test]
    fn unreachable_is_only_who_can_be_called_again() {
        let mut members = Members::new(1, 7, &mut Rng::new(&[1; 32], 0));
        let row = members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1)).expect("room for one");
        members.set_state(Instant::ZERO, row, PeerState::Unreachable);
        assert_eq!(members.get(row).map(|member| member.state), Some(PeerState::Known));
        members.get_mut(row).expect("its row").address = Some(([10, 0, 0, 1], 7000).into());
        members.set_state(Instant::ZERO, row, PeerState::Unreachable);
        assert_eq!(members.get(row).map(|member| member.state), Some(PeerState::Unreachable));
    }

    #[test]
    fn the_only_silent_one_of_many_is_drawn() {
        let mut rng = Rng::new(&[1; 32], 0);
        let mut members = Members::new(1_000, 7, &mut rng);
        for node in 1..=1_000 {
            let row = members.find_or_insert(Instant::ZERO, NodeId(node), Incarnation(1)).expect("room for all");
            members.get_mut(row).expect("its row").address = Some(([10, 0, 0, 1], 7000).into());
        }
        assert_eq!(members.draw_silent(&mut rng, |_| true), None);
        let [down, unreachable] = [300, 700].map(|node| members.find(NodeId(node)).expect("its row"));
        members.raise_status(Instant::ZERO, down, 1);
        members.set_state(Instant::ZERO, unreachable, PeerState::Unreachable);
        for _ in 0..20 {
            assert_eq!(members.draw_unreachable(&mut rng, |_| true), Some(unreachable));
            assert_eq!(members.draw_silent(&mut rng, |member| member.node == NodeId(300)), Some(down));
        }
        members.remove(down);
        members.set_state(Instant::ZERO, unreachable, PeerState::Known);
        assert_eq!(members.draw_silent(&mut rng, |_| true), None);
        members.check_invariants();
    }

    /// Whatever is told in whatever order, the highest status of the latest life is what stays.
    #[test]
    fn the_order_of_news_does_not_matter() {
        let news = [2, 1, LEFT, 3, 4, 1];
        for skip in 0..news.len() {
            let mut members = Members::new(1, 7, &mut Rng::new(&[1; 32], 0));
            let row = members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1)).expect("room for one");
            members.set_complete(row, 3);
            for status in news.iter().cycle().skip(skip).take(news.len()) {
                members.raise_status(Instant::ZERO, row, *status);
                members.check_invariants();
            }
            assert_eq!(members.get(row).map(|member| (member.status, member.state)), Some((LEFT, PeerState::Left)));
            members.set_state(Instant::ZERO, row, PeerState::Linked);
            assert_eq!((members.standing(), members.root()), (0, 0), "who has left does not come back in this life");
            members.begin_anew(Instant::ZERO, row, Incarnation(2));
            assert_eq!((members.standing(), members.alive()), (1, 1));
            members.check_invariants();
        }
    }
}
