//! Contract 3: what a node that stays up has submitted, every node that stays connected delivers, or is told that it is
//! lost.
//!
//! "Stays connected" is read strictly: a node is owed every message that is submitted after its present life heard of
//! its first peer. Partitions are no excuse, as they heal; a crash is one.

use crate::check::Book;
use crate::check::book::NodeLife;

/// The first message that is still owed to somebody, in words; none when all was delivered or told.
#[must_use]
pub fn missing(book: &Book) -> Option<(u32, String)> {
    let stays = |node: &&NodeLife| node.up && !node.leaving;
    for &origin in book.nodes.iter().filter(stays).flat_map(|submitter| &submitter.submitted_as) {
        let Some(messages) = book.origins.get(&origin) else { continue };
        for (node, receiver) in book.nodes.iter().enumerate().filter(|(_, node)| stays(node)) {
            let Some(joined) = receiver.joined else { continue };
            let seen = receiver.seen.get(&origin);
            let start = messages.partition_point(|message| message.at < joined);
            let owed = (start as u64 + 1..=messages.len() as u64)
                .filter(|&seq| !messages[seq as usize - 1].is_part)
                .find(|&seq| !seen.is_some_and(|seen| seen.delivered.contains(seq) || seen.told.contains(seq)));
            if let Some(seq) = owed {
                let text = format!("{}-{}-{seq} was neither delivered nor told to be lost", origin.0, origin.1);
                return Some((node as u32, text));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::missing;
    use crate::check::history::{History, id};
    use crate::sim::What;
    use gossip_core::Order::Unordered;

    fn owed(history: &History) -> Option<u32> {
        missing(&history.checks.book).map(|(node, _)| node)
    }

    fn submitted() -> History {
        History::two().submit(0, 1, 1, Unordered).deliver(0, id(0, 1, 1), Unordered)
    }

    #[test]
    fn objects_to_silence() {
        assert_eq!(owed(&submitted()), Some(1));
        let history = submitted().submit(0, 1, 2, Unordered).deliver(0, id(0, 1, 2), Unordered);
        assert_eq!(owed(&history.deliver(1, id(0, 1, 2), Unordered)), Some(1), "a later one is no substitute");
    }

    #[test]
    fn is_content_with_a_delivery_or_a_gap() {
        assert_eq!(owed(&submitted().deliver(1, id(0, 1, 1), Unordered)), None);
        assert_eq!(owed(&submitted().gap(1, id(0, 1, 1), 1)), None);
    }

    #[test]
    fn a_message_in_chunks_is_owed_as_one() {
        let history = History::two().submit_chunks(0, 1, 1..=3, Unordered).deliver(0, id(0, 1, 1), Unordered);
        assert_eq!(owed(&history), Some(1));
        assert_eq!(owed(&history.deliver(1, id(0, 1, 1), Unordered)), None);
        let history = History::two().submit_chunks(0, 1, 1..=3, Unordered).deliver(0, id(0, 1, 1), Unordered);
        assert_eq!(history.deliver(1, id(0, 1, 2), Unordered).broken(), ["integrity"], "a part is no message");
    }

    #[test]
    fn a_dead_submitter_a_dead_receiver_and_a_late_joiner_are_owed_nothing() {
        assert_eq!(owed(&submitted().then(0, What::Crashed)), None);
        assert_eq!(owed(&submitted().then(1, What::Crashed)), None);
        assert_eq!(owed(&submitted().then(1, What::Crashed).born(1, 2, false).up(1, 0)), None);
        let history = submitted().then(1, What::Crashed).born(1, 2, false).up(1, 0).submit(0, 1, 2, Unordered);
        assert_eq!(owed(&history.deliver(0, id(0, 1, 2), Unordered)), Some(1), "but what comes after joining");
    }
}
