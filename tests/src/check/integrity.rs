//! Contract 1: what is delivered was submitted, unchanged, by the origin that it names.

use crate::check::Book;
use crate::sim::rng::hash_bytes;
use crate::sim::{Step, What};

/// A delivery must repeat a submission.
pub(super) fn delivered_as_submitted(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Delivered { id, order, payload, .. } = &step.what else { return None };
    match book.submission(*id) {
        None => Some(format!("{id} was never submitted")),
        Some(submission) if submission.payload != hash_bytes(0, payload) => Some(format!("{id} has changed")),
        Some(submission) if submission.order != *order => {
            Some(format!("{id} was submitted as {:?} and delivered as {order:?}", submission.order))
        }
        Some(_) => None,
    }
}

/// Ids name their node, and are given once, without holes.
pub(super) fn submitted_once(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Submitted { id, .. } = &step.what else { return None };
    let node = book.nodes.get(step.node as usize)?;
    if node.id != Some(id.origin) {
        return Some(format!("{id} names another origin"));
    }
    let origin = (id.origin, id.incarnation);
    let before = book.origins.get(&origin).map_or(0, |life| life.len() as u64);
    if before > 0 && node.submits_as != Some(origin) {
        return Some(format!("{id} is from an incarnation that an earlier life has used"));
    }
    if node.submits_as.is_some_and(|used| used != origin) {
        return Some(format!("{id}: the incarnation changed after a submission"));
    }
    (id.seq != before + 1).then(|| format!("{id} follows number {before}"))
}

#[cfg(test)]
mod tests {
    use crate::check::history::{History, id};
    use crate::sim::What;
    use gossip_core::Order::{Fifo, Unordered};

    #[test]
    fn objects_to_what_was_never_submitted() {
        let history = History::two().submit(0, 1, 1, Unordered);
        assert_eq!(history.deliver(1, id(0, 1, 2), Unordered).broken(), ["integrity"]);
        let history = History::two().submit(0, 1, 1, Unordered);
        assert_eq!(history.deliver(1, id(0, 2, 1), Unordered).broken(), ["integrity"]);
        assert_eq!(History::two().deliver(1, id(0, 1, 0), Unordered).broken(), ["integrity"]);
    }

    #[test]
    fn objects_to_a_changed_payload_and_a_changed_order() {
        let changed = What::Delivered { id: id(0, 1, 1), order: Unordered, payload: b"else", hops: 1 };
        assert_eq!(History::two().submit(0, 1, 1, Unordered).then(1, changed).broken(), ["integrity"]);
        let history = History::two().submit(0, 1, 1, Unordered);
        assert_eq!(history.deliver(1, id(0, 1, 1), Fifo).broken(), ["integrity"]);
    }

    #[test]
    fn objects_to_ids_given_twice() {
        let history = History::two().submit(0, 1, 1, Unordered);
        assert_eq!(history.submit(0, 1, 1, Unordered).broken(), ["integrity"]);
        let history = History::two().submit(0, 1, 1, Unordered).born(0, 2, false);
        assert_eq!(history.submit(0, 1, 2, Unordered).broken(), ["integrity"], "an incarnation of an earlier life");
        assert_eq!(History::two().submit(0, 1, 2, Unordered).broken(), ["integrity"], "a hole");
    }

    #[test]
    fn accepts_the_same_text_twice_and_a_new_life() {
        let history = History::two().submit(0, 1, 1, Unordered).submit(0, 1, 2, Unordered);
        let history = history.deliver(1, id(0, 1, 2), Unordered).deliver(1, id(0, 1, 1), Unordered);
        let history = history.then(0, What::Crashed).born(0, 2, false).submit(0, 2, 1, Unordered);
        assert_eq!(history.deliver(1, id(0, 2, 1), Unordered).broken(), [""; 0]);
    }
}
