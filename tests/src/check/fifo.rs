//! Contract 4, fifo: messages of one origin and life are delivered in the order of their submission.

use gossip_core::Order;

use crate::check::Book;
use crate::sim::{Step, What};

/// No fifo message comes after a later one.
pub(super) fn overtaken(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Delivered { id, order: Order::Fifo, .. } = &step.what else { return None };
    let last = book.seen(step.node, (id.origin, id.incarnation))?.fifo_last;
    (id.seq < last).then(|| format!("{id} comes after number {last}"))
}

/// No fifo message is delivered while the one before it may still come. A node that was not there yet when that one was
/// submitted is owed nothing.
pub(super) fn skipped(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Delivered { id, order: Order::Fifo, .. } = &step.what else { return None };
    let origin = (id.origin, id.incarnation);
    let before = book.submission(*id)?.fifo_before?;
    let owed = book.origins.get(&origin)?.get(usize::try_from(before).ok()?.checked_sub(1)?)?;
    let joined = book.nodes.get(step.node as usize)?.joined?;
    let settled = |seen: &crate::check::Seen| seen.delivered.contains(before) || seen.told.contains(before);
    let is_settled = book.seen(step.node, origin).is_some_and(settled);
    (joined <= owed.at && !is_settled).then(|| format!("{id} is delivered before number {before}"))
}

#[cfg(test)]
mod tests {
    use crate::check::history::{History, id};
    use gossip_core::Order::{Fifo, Unordered};

    fn three() -> History {
        History::two().submit(0, 1, 1, Fifo).submit(0, 1, 2, Unordered).submit(0, 1, 3, Fifo)
    }

    #[test]
    fn objects_to_overtaking_and_skipping() {
        let history = three().deliver(1, id(0, 1, 3), Fifo);
        assert_eq!(history.broken(), ["fifo"], "number 1 may still come");
        let history =
            History::default().born(1, 1, false).born(0, 1, false).submit(0, 1, 1, Fifo).submit(0, 1, 2, Fifo);
        let history = history.up(1, 0).deliver(1, id(0, 1, 2), Fifo);
        assert_eq!(history.broken(), [""; 0], "a late joiner starts anywhere");
        assert_eq!(history.deliver(1, id(0, 1, 1), Fifo).broken(), ["fifo"], "but never goes back");
    }

    #[test]
    fn accepts_unordered_messages_anywhere_and_gaps() {
        let history = three().deliver(1, id(0, 1, 1), Fifo).deliver(1, id(0, 1, 3), Fifo);
        assert_eq!(history.deliver(1, id(0, 1, 2), Unordered).broken(), [""; 0]);
        let history = three().gap(1, id(0, 1, 1), 1).deliver(1, id(0, 1, 3), Fifo);
        assert_eq!(history.broken(), [""; 0]);
    }
}
