//! No resurrection: who is dead, and was told to be, is not told to be up again before it is born again.

use gossip_core::{Event, NodeId};

use crate::check::Book;
use crate::sim::{Step, What};

/// For how long what a dead node has sent may still arrive, in microseconds: it lies in clogged paths and in the sockets
/// of paused processes.
const AFTERLIFE: u64 = 20_000_000;

/// A node is told to be up that died long ago, by somebody who has told its death.
pub(super) fn resurrected(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Told(Event::PeerUp { node, .. }) = &step.what else { return None };
    let died = died(book, *node)?;
    let told = *book.nodes.get(step.node as usize)?.told_down.get(node)?;
    let is_old = step.at > died + AFTERLIFE;
    (told > died && is_old).then(|| format!("node {node} is dead since {died} and told to be down, and is up again"))
}

/// When a node died, if it is dead.
fn died(book: &Book, node: NodeId) -> Option<u64> {
    book.nodes.iter().find(|life| life.id == Some(node)).filter(|life| !life.up)?.died
}

#[cfg(test)]
mod tests {
    use super::AFTERLIFE;
    use crate::check::history::History;
    use crate::sim::What;
    use gossip_core::{Event, NodeId};

    impl History {
        fn down(self, node: u32, peer: u32) -> Self {
            self.then(node, What::Told(&Event::PeerDown { node: NodeId(u64::from(peer) + 1) }))
        }
    }

    #[test]
    fn objects_to_a_dead_node_that_comes_back() {
        let history = History::two().then(1, What::Crashed).down(0, 1).wait(AFTERLIFE).up(0, 1);
        assert_eq!(history.broken(), ["no resurrection"]);
    }

    #[test]
    fn accepts_who_is_born_again_or_was_wrongly_told_to_be_down_or_still_heard() {
        let reborn = History::two().then(1, What::Crashed).down(0, 1).born(1, 2, false).wait(AFTERLIFE).up(0, 1);
        assert_eq!(reborn.broken(), [""; 0]);
        let wronged = History::two().down(0, 1).then(1, What::Crashed).wait(AFTERLIFE).up(0, 1);
        assert_eq!(wronged.broken(), [""; 0], "its death was not told yet");
        let heard = History::two().then(1, What::Crashed).down(0, 1).up(0, 1);
        assert_eq!(heard.broken(), [""; 0], "its last words were under way");
    }
}
