//! Contract 3, the "told" in "all or told": a gap names what was submitted, was not delivered here, and never will be.

use gossip_core::Event;

use crate::check::Book;
use crate::sim::{Step, What};

/// A gap must be true, and final.
pub(super) fn wrong(book: &Book, step: &Step<'_>) -> Option<String> {
    match &step.what {
        What::Told(Event::Gap { origin, incarnation, first, last }) => {
            let submitted = book.origins.get(&(*origin, *incarnation)).map_or(0, |life| life.len() as u64);
            if *first == 0 || first > last || *last > submitted {
                return Some(format!("{origin}-{incarnation}-{first}..={last}, but {submitted} were submitted"));
            }
            let seen = book.seen(step.node, (*origin, *incarnation))?;
            let delivered = (*first..=*last).find(|&seq| seen.delivered.contains(seq))?;
            Some(format!("{origin}-{incarnation}-{delivered} was delivered before it was told to be lost"))
        }
        What::Delivered { id, .. } => {
            let seen = book.seen(step.node, (id.origin, id.incarnation))?;
            seen.told.contains(id.seq).then(|| format!("{id} was told to be lost before it was delivered"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::history::{History, id};
    use crate::sim::What;
    use gossip_core::Order::Unordered;

    const RULE: &str = "gaps are true and final";

    #[test]
    fn objects_to_a_late_copy_after_the_gap() {
        let history = History::two().submit(0, 1, 1, Unordered).gap(1, id(0, 1, 1), 1);
        assert_eq!(history.deliver(1, id(0, 1, 1), Unordered).broken(), [RULE]);
    }

    #[test]
    fn objects_to_a_gap_over_what_was_delivered_or_never_submitted() {
        let history = || History::two().submit(0, 1, 1, Unordered).submit(0, 1, 2, Unordered);
        assert_eq!(history().deliver(1, id(0, 1, 2), Unordered).gap(1, id(0, 1, 1), 2).broken(), [RULE]);
        assert_eq!(history().gap(1, id(0, 1, 2), 3).broken(), [RULE]);
        assert_eq!(history().gap(1, id(0, 1, 2), 1).broken(), [RULE]);
    }

    #[test]
    fn accepts_a_gap_beside_a_delivery_and_a_change_of_mind_after_a_restart() {
        let history = History::two().submit(0, 1, 1, Unordered).submit(0, 1, 2, Unordered);
        let history = history.deliver(1, id(0, 1, 2), Unordered).gap(1, id(0, 1, 1), 1);
        let history = history.then(1, What::Crashed).born(1, 2, true);
        assert_eq!(history.deliver(1, id(0, 1, 1), Unordered).broken(), [""; 0], "a gap does not wait for storage");
    }
}
