//! Certificates of death: what it takes to call a member dead, for everybody.
//!
//! # Intuition
//!
//! A physician who cannot find a pulse does not sign. He asks two colleagues to feel for it too; he waits a while; then
//! all three feel once more, at the same time, and only if none of them finds anything he signs. The colleagues have to
//! *answer*, which nobody can do who is cut off; so a physician who has gone deaf cannot certify anyone.
//!
//! # Rules
//!
//! - Who suspects a member asks up to [`ASKS`] other links, again every quarter of the window. One that hears the subject
//!   clears it.
//! - When the window is over (doubled for each recent refutation of the subject, at most four times as long), the last
//!   round begins: all denials so far are void, the asker and the witnesses probe afresh.
//! - Two different nodes must deny in the last round; of a cluster of three, the one that is left. Of two nodes neither can
//!   certify: there is nobody to ask.
//! - The certificate is the member's status plus one. It spreads like any change of status.
//!
//! # Sources
//!
//! Indirect probes are SWIM's (Das et al. 2002, §3.1); there an accusation goes to everybody, and the accused must outrun a timer
//! with its defense. Several observers who have to agree are Rapid's (Suresh et al. 2018). Windows, the last round and the
//! damping are our choice, from simulations.

use core::time::Duration;

use super::case::{Case, Stage};
use super::{FailureDetector, Scope};
use crate::ids::NodeId;
use crate::members::Member;
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::time::{Instant, micros};
use crate::wire::{Address, Ask, Kind};

/// Links that are asked in one round: two have to deny, and two may be slow.
const ASKS: usize = 4;

/// Denials that a certificate takes.
const QUORUM: u32 = 2;

/// After so many windows one refutation is forgotten: 4.8 minutes in `lan`.
const FLAP_MEMORY: u64 = 64;

/// The most doublings of the window.
const FLAPS_MAX: u64 = 2;

/// An inquiry that this node leads.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    /// Of the questions of this round.
    pub(super) number: u32,
    /// When to ask again.
    pub(super) ask_at: Instant,
    /// Links that are to be asked, one bit for each row.
    owed: u64,
    /// Who denied in this round.
    denied: heapless::Vec<NodeId, ASKS>,
    pub(super) last: bool,
}

impl Lead {
    /// Whether enough nodes have denied in this round.
    fn is_enough(&self, cx: &Cx<'_>) -> bool {
        self.denied.len() as u32 >= quorum(cx.members.standing()).max(1)
    }
}

/// How many must deny, where so many members stand, this node and the subject among them.
pub(super) fn quorum(standing: u32) -> u32 {
    standing.saturating_sub(2).min(QUORUM)
}

/// How many times the window is doubled for a member.
fn flaps(now: Instant, member: &Member, window: Duration) -> u32 {
    let forgotten = micros(now.saturating_since(member.refuted_at)) / (micros(window).max(1) * FLAP_MEMORY);
    u64::from(member.status / 2).min(FLAPS_MAX).saturating_sub(forgotten) as u32
}

impl FailureDetector {
    /// When this node may begin to ask.
    fn leads_at(&self, cx: &Cx<'_>, case: &Case) -> Instant {
        if self.scope == Scope::Neighbors || !case.own || quorum(cx.members.standing()) == 0 {
            return Instant::NEVER;
        }
        let asked = case.asked_at != Instant::NEVER;
        if asked { case.since.max(case.asked_at + self.window * 4 / 3) } else { case.since }
    }

    pub(super) fn window_ends_at(&self, cx: &Cx<'_>, case: &Case) -> Instant {
        let member = cx.members.find(case.node).and_then(|row| cx.members.get(row));
        let flaps = member.map_or(0, |member| flaps(cx.now, member, self.window));
        case.since + self.window * (1 << flaps)
    }

    /// When a suspicion has something to do for its inquiry.
    pub(super) fn lead_deadline(&self, cx: &Cx<'_>, case: &Case) -> Instant {
        match &case.lead {
            None => self.leads_at(cx, case),
            Some(lead) if lead.last => lead.ask_at,
            Some(lead) => lead.ask_at.min(self.window_ends_at(cx, case)),
        }
    }

    /// Takes the next step of an inquiry: begins it, asks again, begins the last round, or certifies.
    pub(super) fn lead(&mut self, cx: &mut Cx<'_>, row: u32) {
        let number = self.next_number();
        let Some(case) = self.cases.rows.get(row).filter(|case| case.since != Instant::NEVER) else { return };
        let silent = case.stage == Stage::Suspect;
        let next = match &case.lead {
            Some(lead) if lead.last && silent && lead.is_enough(cx) => return self.certify(cx, row),
            Some(lead) if !lead.last && silent && self.window_ends_at(cx, case) <= cx.now => Some(true),
            None if self.leads_at(cx, case) <= cx.now => Some(false),
            _ => None,
        };
        if let Some(last) = next {
            let lead = Lead { number, ask_at: cx.now, owed: 0, denied: heapless::Vec::new(), last };
            if let Some(case) = self.cases.rows.get_mut(row) {
                case.lead = Some(lead);
            }
            if last {
                self.begin_burst(cx, row);
            }
        }
        self.ask(cx, row);
        self.arm(cx, row);
    }

    /// If it is time, asks some links that are not in doubt and have not denied already.
    fn ask(&mut self, cx: &mut Cx<'_>, row: u32) {
        let lead = self.cases.rows.get_mut(row).and_then(|case| case.lead.as_mut());
        let Some(lead) = lead.filter(|lead| lead.ask_at <= cx.now) else { return };
        lead.ask_at = cx.now + self.window / 4;
        if lead.is_enough(cx) {
            return;
        }
        let fits =
            |&(peer, node): &(PeerIdx, NodeId)| self.links[peer.row()].case.is_none() && !lead.denied.contains(&node);
        let links = cx.peers.iter().map(|(peer, link)| (peer, link.node)).filter(fits);
        let mut links: heapless::Vec<PeerIdx, 64> = links.map(|(peer, _)| peer).collect();
        for _ in 0..ASKS {
            let drawn = self.rng.below(links.len() as u32) as usize;
            if drawn < links.len() {
                let peer = links.swap_remove(drawn);
                lead.owed |= 1 << peer.row();
                cx.peers.mark(peer, Due::Detector);
            }
        }
    }

    pub(crate) fn on_vouch(&mut self, cx: &mut Cx<'_>, number: u32) {
        match self.cases.find(|case| case.lead.as_ref().is_some_and(|lead| lead.number == number)) {
            Some(row) => {
                cx.stats.vouches += 1;
                self.on_vouched(cx, row);
            }
            None => cx.stats.refused_unasked += 1,
        }
    }

    pub(crate) fn on_deny(&mut self, cx: &mut Cx<'_>, from: PeerIdx, number: u32) {
        let row = self.cases.find(|case| case.lead.as_ref().is_some_and(|lead| lead.number == number));
        let witness = cx.peers.get(from).map(|peer| peer.node);
        let case = row.and_then(|row| self.cases.rows.get_mut(row));
        let (Some(row), Some(witness), Some(case)) = (row, witness, case) else {
            cx.stats.refused_unasked += 1;
            return;
        };
        cx.stats.denials += 1;
        if let Some(lead) = case.lead.as_mut().filter(|lead| !lead.denied.contains(&witness) && witness != case.node) {
            let _enough = lead.denied.push(witness);
        }
        self.lead(cx, row);
    }

    fn certify(&mut self, cx: &mut Cx<'_>, row: u32) {
        let Some(case) = self.drop_case(cx, row) else { return };
        let Some(row) = cx.members.find(case.node) else { return };
        let Some(member) = cx.members.get(row) else { return };
        if member.incarnation == case.incarnation && !member.is_gone() {
            let dead = member.status + 1;
            cx.stats.certificates += 1;
            cx.members.raise_status(cx.now, row, dead);
        }
    }

    /// Writes the questions that are owed to a link.
    pub(super) fn write_asks(&mut self, cx: &mut Cx<'_>, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        let bit = 1_u64 << to.row();
        let owes = |case: &Case| case.lead.as_ref().is_some_and(|lead| lead.owed & bit != 0);
        while let Some(row) = self.cases.find(owes) {
            let Some(case) = self.cases.rows.get_mut(row) else { return Ok(()) };
            let Some(lead) = case.lead.as_mut() else { return Ok(()) };
            let age = cx.now.saturating_since(case.began).as_millis();
            let ask = Ask {
                number: lead.number,
                subject: case.node,
                incarnation: case.incarnation,
                address: Address(case.address),
                age_ms: u32::try_from(age).unwrap_or(u32::MAX),
                flags: if lead.last { Ask::LAST } else { 0 },
            };
            packet.frame(Kind::ASK, &ask)?;
            lead.owed &= !bit;
            cx.stats.asks_sent += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;
    use crate::members::Members;
    use crate::rng::Rng;

    #[test]
    fn two_must_deny_where_there_are_two_and_of_two_nodes_nobody_can() {
        assert_eq!([0, 1, 2, 3, 4, 5, 1_000].map(quorum), [0, 0, 0, 1, 2, 2, 2]);
    }

    #[test]
    fn the_window_doubles_with_each_refutation_and_forgets_them() {
        let window = Duration::from_secs(1);
        let mut members = Members::new(1, 7, &mut Rng::new(&[1; 32], 0));
        let row = members.find_or_insert(Instant::ZERO, NodeId(1), Incarnation(1)).expect("room for one");
        let flaps_at = |members: &Members, seconds: u64| {
            let member = members.get(row).expect("it is there");
            flaps(Instant::from_millis(1_000 * seconds), member, window)
        };
        assert_eq!(flaps_at(&members, 9), 0);
        for (status, expected) in [(1, 0), (2, 1), (3, 1), (4, 2), (6, 2), (60, 2)] {
            members.raise_status(Instant::ZERO, row, status);
            assert_eq!(flaps_at(&members, 9), expected, "status {status}");
        }
        assert_eq!([63, 64, 127, 128, 9_999].map(|at| flaps_at(&members, at)), [2, 1, 1, 0, 0]);
    }
}
