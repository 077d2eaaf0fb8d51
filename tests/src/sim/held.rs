//! Who could have helped: of what a node is told as lost, what its neighbors hold all the same.
//!
//! A node cannot know that; the simulator can, as it looks into all nodes at once. Whether a holder makes a gap wrong is
//! the checker's business: here it becomes a step like any other.

use gossip_core::{Event, Gossip, MessageId};

use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, What};

/// Of a longer gap only the first numbers are looked for.
const NUMBERS_MAX: u64 = 1_024;

impl<O: Observer> Simulation<O> {
    /// Shows the observer which linked neighbors hold what `event` says is lost.
    ///
    /// Only where the gap is a verdict of the input before: what a node gives up itself, for want of room or of an
    /// application that takes it, and what it tells of its earlier life, is nobody else's to mend.
    pub(super) fn look_for_holders(&mut self, node: u32, event: &Event) {
        let Event::Gap { origin, incarnation, first, last } = *event else { return };
        let state = &self.nodes[node as usize];
        let Some(gossip) = state.gossip.as_ref().filter(|gossip| state.drained == Some(gossip.stats().evicted)) else {
            return;
        };
        let ahead = self.nodes.iter().fold(0, |sum: u64, node| sum.saturating_add(node.clock.ahead()));
        let timing = gossip.config().timing;
        let mut found = Vec::new();
        for other in self.nodes.iter().filter(|other| other.gossip.as_ref().is_some_and(|peer| linked(gossip, peer))) {
            let (now, Some(holder)) = (other.local(self.now), &other.gossip) else { continue };
            for seq in (first..=last).take(NUMBERS_MAX as usize) {
                let id = MessageId { origin, incarnation, seq };
                if let Some(message) = holder.get(id) {
                    let micros = now.as_micros().saturating_sub(message.accepted_at.as_micros());
                    let micros = micros.saturating_sub(ahead);
                    found.push(What::Held { id, by: holder.id(), micros, ahead, timing });
                }
            }
        }
        for what in found {
            self.step(node, what);
        }
    }
}

/// Whether `gossip` has a link with this very life of `peer`. (A member that was heard to be back in a new life may still be
/// linked in its old one.)
fn linked(gossip: &Gossip, peer: &Gossip) -> bool {
    let life = (peer.id(), peer.incarnation());
    gossip.neighbors().any(|link| (link.node, link.incarnation) == life)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::trace::Step;
    use crate::sim::{Birth, Options};
    use gossip_core::{Config, NodeId, Order};

    /// Who holds what, of all steps.
    #[derive(Default)]
    struct Holders(Vec<(u32, NodeId, u64)>);

    impl Observer for Holders {
        fn observe(&mut self, step: &Step<'_>) {
            if let What::Held { id, by, .. } = step.what {
                self.0.push((step.node, by, id.seq));
            }
        }
    }

    /// Three nodes that all hold two messages of node 0.
    fn holding() -> (Simulation<Holders>, Event) {
        let configure = |birth: Birth| Config::local(NodeId(u64::from(birth.node) + 1));
        let mut simulation = Simulation::new(Options::new(5, 3), configure, Holders::default());
        simulation.start_all();
        for node in 1..3 {
            simulation.join(node, 0).expect("room");
        }
        simulation.run_until(3_000_000);
        for payload in [b"a", b"b"] {
            simulation.submit(0, Order::Unordered, payload).expect("it runs").expect("room");
        }
        simulation.run_until(5_000_000);
        let origin = simulation.view(0).expect("it is up");
        let gap = Event::Gap { origin: origin.id(), incarnation: origin.incarnation(), first: 2, last: 3 };
        (simulation, gap)
    }

    #[test]
    fn finds_every_linked_neighbor_that_holds_what_is_told_as_lost() {
        let (mut simulation, gap) = holding();
        simulation.look_for_holders(2, &gap);
        assert_eq!(simulation.observer.0, [(2, NodeId(1), 2), (2, NodeId(2), 2)]);
    }

    #[test]
    fn says_nothing_of_who_is_gone_and_of_what_the_node_gave_up_itself() {
        let (mut simulation, gap) = holding();
        simulation.crash(0);
        simulation.nodes[2].drained = Some(1);
        simulation.look_for_holders(2, &gap);
        assert_eq!(simulation.observer.0, []);
        simulation.nodes[2].drained = Some(0);
        simulation.look_for_holders(2, &gap);
        assert_eq!(simulation.observer.0, [(2, NodeId(2), 2)]);
    }
}
