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
    if before > 0 && !node.submitted_as.contains(&origin) {
        return Some(format!("{id} is from an incarnation that an earlier life has used"));
    }
    if node.incarnation != Some(id.incarnation) {
        return Some(format!("{id} is not from the incarnation of its node"));
    }
    (id.seq != before + 1).then(|| format!("{id} follows number {before}"))
}

/// A life takes another incarnation at most once, and a higher one.
pub(super) fn raised_once(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Raised { incarnation } = &step.what else { return None };
    let node = book.nodes.get(step.node as usize)?;
    if node.raised {
        return Some(format!("{incarnation} is the third incarnation of one life"));
    }
    (Some(*incarnation) <= node.incarnation).then(|| format!("the incarnation fell to {incarnation}"))
}

#[cfg(test)]
mod tests {
    use crate::check::history::{History, id};
    use crate::sim::What;
    use gossip_core::Incarnation;
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
    fn objects_to_an_incarnation_that_falls_rises_twice_or_is_not_told() {
        let raised = |history: History, life| history.then(0, What::Raised { incarnation: Incarnation(life) });
        let history = || raised(History::two().submit(0, 1, 1, Unordered), 3);
        assert_eq!(history().submit(0, 3, 1, Unordered).broken(), [""; 0], "once, also after a submission");
        assert_eq!(raised(history(), 4).broken(), ["integrity"]);
        assert_eq!(raised(History::two().born(0, 5, false), 3).broken(), ["integrity"]);
        assert_eq!(history().submit(0, 1, 2, Unordered).broken(), ["integrity"], "under the one that it gave up");
        assert_eq!(History::two().submit(0, 2, 1, Unordered).broken(), ["integrity"]);
    }

    #[test]
    fn accepts_the_same_text_twice_and_a_new_life() {
        let history = History::two().submit(0, 1, 1, Unordered).submit(0, 1, 2, Unordered);
        let history = history.deliver(1, id(0, 1, 2), Unordered).deliver(1, id(0, 1, 1), Unordered);
        let history = history.then(0, What::Crashed).born(0, 2, false).submit(0, 2, 1, Unordered);
        assert_eq!(history.deliver(1, id(0, 2, 1), Unordered).broken(), [""; 0]);
    }
}
