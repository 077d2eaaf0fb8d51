//! What is true of a node between any two calls, for simulations, fuzzers and tests.
//!
//! # Intuition
//!
//! The auditor, who comes unannounced and recounts everything: every list against what it lists, every sum against what
//! it sums up, every mark against the reason for it. Each table recounts itself; here is what ties the tables together. A
//! contradiction is a panic that says in words what contradicts what.

use crate::gossip::Gossip;
use crate::store::Row;
use crate::time::Instant;
use crate::view::PeerState;

impl Gossip {
    /// Recounts everything. Takes time in proportion to all limits.
    ///
    /// # Panics
    ///
    /// If this node contradicts itself, which is a bug of this crate.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.peers.check_invariants();
        self.mtus.check_invariants();
        self.members.check_invariants();
        self.origins.check_invariants();
        self.messages.check_invariants(&self.origins);
        let protocols = &self.protocols;
        protocols.membership.check_invariants();
        protocols.detector.check_invariants(&self.peers);
        protocols.repair.check_invariants(&self.peers, &self.messages);
        protocols.broadcast.check_invariants(&self.peers, &self.messages);
        protocols.registers.check_invariants(&self.peers, &self.members);
        self.check_links();
        self.check_marks();
        self.check_self();
    }

    /// Whoever is linked is a member, and only who is linked is called so.
    fn check_links(&self) {
        for (_, peer) in self.peers.iter() {
            assert!(self.members.find(peer.node).is_some(), "node {} is linked but no member", peer.node);
        }
        for (_, member) in self.members.iter().filter(|(_, member)| member.state == PeerState::Linked) {
            assert!(self.peers.find(member.node).is_some(), "node {} is called linked but is not", member.node);
        }
    }

    /// Every mark has something behind it, and every gap a mark.
    fn check_marks(&self) {
        for bits in
            [&self.untold_gaps, &self.unrecorded_origins, &self.unrecorded_losses, &self.unrecorded_acknowledgements]
        {
            bits.check_invariants();
        }
        for (row, origin) in self.origins.iter() {
            let marked = self.untold_gaps.contains(row as usize);
            assert_eq!(marked, origin.gap.is_some(), "a gap of node {} is not marked, or none is", origin.node);
        }
        let exists = |row: usize| self.origins.get(row as Row).is_some();
        assert!(self.untold_gaps.iter().all(exists), "a gap of no origin");
        for slot in self.unrecorded_acknowledgements.iter() {
            let message = self.messages.get(slot as Row);
            assert!(
                message.is_some_and(|message| message.acknowledged),
                "an acknowledgement of nothing is to be recorded"
            );
        }
    }

    /// This node knows itself, and always wants to be called again.
    fn check_self(&self) {
        let me = (self.me.node, self.me.incarnation);
        assert!(self.members.find(self.me.node).is_some(), "this node is no member");
        let own = self.origins.get(self.own_row).map(|origin| (origin.node, origin.incarnation));
        assert_eq!(own, Some(me), "the row of this node's own messages");
        if !self.phase.is_over() {
            let next = self.poll_timeout().unwrap_or(Instant::NEVER);
            assert!(next <= self.now.outward() + self.config.timing.horizon / 8, "the next tick is wanted at {next}");
        }
    }
}
