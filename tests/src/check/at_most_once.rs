//! Contract 2: a message is delivered at most once per life of a node, with storage at most once ever.

use crate::check::Book;
use crate::sim::{Step, What};

/// A delivery must be the first one.
pub(super) fn delivered_again(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Delivered { id, .. } = &step.what else { return None };
    let seen = book.seen(step.node, (id.origin, id.incarnation))?;
    seen.delivered.contains(id.seq).then(|| format!("{id} was delivered before"))
}

#[cfg(test)]
mod tests {
    use crate::check::history::{History, id};
    use crate::sim::What;
    use gossip_core::Order::Unordered;

    #[test]
    fn objects_to_a_second_delivery() {
        let history = History::two().submit(0, 1, 1, Unordered).deliver(1, id(0, 1, 1), Unordered);
        assert_eq!(history.deliver(1, id(0, 1, 1), Unordered).broken(), ["at most once"]);
    }

    #[test]
    fn with_storage_even_after_a_restart() {
        let history = || History::two().submit(0, 1, 1, Unordered).deliver(1, id(0, 1, 1), Unordered);
        let restored = history().then(1, What::Crashed).born(1, 2, true);
        assert_eq!(restored.deliver(1, id(0, 1, 1), Unordered).broken(), ["at most once"]);
        let forgetful = history().then(1, What::Crashed).born(1, 2, false);
        assert_eq!(forgetful.deliver(1, id(0, 1, 1), Unordered).broken(), [""; 0], "a new life that kept nothing");
    }

    #[test]
    fn accepts_one_delivery_at_each_node() {
        let history = History::two().submit(0, 1, 1, Unordered);
        let history = history.deliver(0, id(0, 1, 1), Unordered).deliver(1, id(0, 1, 1), Unordered);
        assert_eq!(history.broken(), [""; 0]);
    }
}
