//! Witnesses: what this node is asked about others.
//!
//! Who is asked answers only from what it hears itself: at once, if it has heard the subject since the asker missed it;
//! otherwise it probes the subject with a burst of its own. It goes on listening after a denial, and takes it back as
//! soon as the subject speaks. Hearsay is no evidence: not even a member that is dead by all accounts is denied unheard.
//!
//! A node that was asked about a subject does not ask about it itself until the asker's window is over, or all neighbors
//! of a dead node would question each other.

use core::time::Duration;

use super::FailureDetector;
use super::suspicion::{Doubt, Stage};
use crate::pack::{Full, Packer};
use crate::peer::{Due, PeerIdx};
use crate::protocol::Cx;
use crate::wire::{Ask, Deny, Kind, Vouch};

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inquirer {
    pub(super) peer: PeerIdx,
    pub(super) number: u32,
    /// Whether it was told that the subject is not heard.
    told: bool,
}

/// An answer on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) to: PeerIdx,
    number: u32,
    heard: bool,
}

impl FailureDetector {
    pub(crate) fn on_ask(&mut self, cx: &mut Cx<'_>, from: PeerIdx, ask: &Ask) {
        if ask.subject == cx.me.node {
            return self.reply(cx, from, ask.number, true);
        }
        let age = Duration::from_millis(ask.age_ms.into()).max(self.timeout * 2);
        let link = cx.peers.find(ask.subject).and_then(|peer| cx.peers.get(peer));
        if link.is_some_and(|link| link.incarnation >= ask.incarnation && cx.now < link.heard + age) {
            return self.reply(cx, from, ask.number, true);
        }
        if self.scope == super::Scope::Neighbors || !crate::membership::is_usable(ask.address.0) {
            return;
        }
        let address = link.map_or(ask.address.0, |link| link.address);
        let doubt = Doubt { node: ask.subject, incarnation: ask.incarnation, address, own: false, accused: 0 };
        let Some(row) = self.open_case(cx, doubt) else { return };
        let Some(case) = self.cases.rows.get_mut(row) else { return };
        case.asked_at = cx.now;
        case.inquirers.retain(|inquirer| inquirer.peer != from);
        // Beyond four the subject is examined well enough.
        let _full = case.inquirers.push(Inquirer { peer: from, number: ask.number, told: false });
        match case.stage {
            Stage::Suspect if ask.flags & Ask::LAST != 0 => self.begin_burst(cx, row),
            Stage::Suspect => self.deny(cx, row),
            Stage::Probing | Stage::Deaf => {}
        }
    }

    /// The subject is silent: who asked about it hears so, once.
    pub(super) fn deny(&mut self, cx: &mut Cx<'_>, row: u32) {
        let Some(case) = self.cases.rows.get_mut(row) else { return };
        let inquirers = case.inquirers.clone();
        case.inquirers.iter_mut().for_each(|inquirer| inquirer.told = true);
        for inquirer in inquirers.into_iter().filter(|inquirer| !inquirer.told) {
            self.reply(cx, inquirer.peer, inquirer.number, false);
        }
    }

    /// An answer that finds no place is left out: who waits for it asks again.
    pub(super) fn reply(&mut self, cx: &mut Cx<'_>, to: PeerIdx, number: u32, heard: bool) {
        if cx.peers.get(to).is_some() && self.replies.insert(Reply { to, number, heard }).is_ok() {
            cx.peers.mark(to, Due::Detector);
        }
    }

    /// An answer that is owed to a link.
    pub(super) fn next_reply(&self, to: PeerIdx) -> Option<(u32, Reply)> {
        self.replies.iter().find(|(_, reply)| reply.to == to).map(|(row, reply)| (row, *reply))
    }

    pub(super) fn write_replies(&mut self, to: PeerIdx, packet: &mut Packer<'_>) -> Result<(), Full> {
        while let Some((row, Reply { number, heard, .. })) = self.next_reply(to) {
            if heard {
                packet.frame(Kind::VOUCH, &Vouch { number })?;
            } else {
                packet.frame(Kind::DENY, &Deny { number })?;
            }
            self.replies.remove(row);
        }
        Ok(())
    }
}
