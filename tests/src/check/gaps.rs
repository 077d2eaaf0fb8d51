//! Contract 3, the "told" in "all or told": a gap names what was submitted, was not delivered here, and never will be; and
//! nobody whom the node could ask holds it.

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

/// Repair periods after which a node takes "I lack it too" for an answer. As [`gossip_core`] promises.
const PATIENCE: u32 = 30;

/// No neighbor that holds the message may be passed over.
///
/// A message is given up when all links say that they had it once and threw it away; who holds it never says that. Or,
/// when patience has run out since it was missed, some links may say instead that they lack it; that is no lie of a neighbor
/// that got it only after that. Or when it is as old as the horizon, as any copy would be refused. So a gap
/// is wrong iff some linked neighbor holds a message younger than the horizon, and got it before patience can
/// have run out. What the network did in between is no excuse: who does not answer is waited for, as long as it is linked.
///
/// A message is missed after it was submitted, so patience counts from there; and clocks that were set forward, or run fast,
/// shorten both times.
pub(super) fn unjustified(book: &Book, step: &Step<'_>) -> Option<String> {
    let What::Held { id, by, micros, ahead, timing } = &step.what else { return None };
    let submitted = book.submission(*id)?.at;
    let as_clocks_run = |time: std::time::Duration| {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        (micros - micros / 100).saturating_sub(*ahead)
    };
    let too_old = step.at.saturating_sub(submitted) >= as_clocks_run(timing.horizon);
    let in_time = step.at.saturating_sub(*micros) <= submitted + as_clocks_run(timing.repair_period * PATIENCE);
    (in_time && !too_old).then(|| format!("{id} was told to be lost, but node {by} has held it for {micros} us"))
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

    /// A gap of message 1 of node 0, told to node 1 so many seconds after it was submitted, while a neighbor has held it
    /// for so many.
    fn held(after: u64, seconds: u64, ahead: u64) -> Vec<&'static str> {
        let timing = gossip_core::Config::local(gossip_core::NodeId(1)).timing;
        let mut history = History::two().submit(0, 1, 1, Unordered).wait(after * 1_000_000).gap(1, id(0, 1, 1), 1);
        let by = gossip_core::NodeId(1);
        let what = What::Held { id: id(0, 1, 1), by, micros: seconds * 1_000_000, ahead: ahead * 1_000_000, timing };
        history = history.then(1, what);
        history.broken()
    }

    #[test]
    fn objects_to_a_gap_of_what_a_neighbor_holds() {
        // Patience is three seconds here, and the horizon two minutes.
        for (after, seconds, ahead, justified) in [
            (1, 0, 0, false),
            (2, 2, 0, false),
            (60, 59, 0, false),
            (60, 50, 0, true),
            (60, 59, 3, true),
            (119, 118, 0, true),
            (110, 109, 0, false),
        ] {
            let expected: &[&str] = if justified { &[] } else { &["gaps are justified"] };
            assert_eq!(held(after, seconds, ahead), expected, "{after} s, held for {seconds}, clocks {ahead} ahead");
        }
    }

    #[test]
    fn accepts_a_gap_beside_a_delivery_and_a_change_of_mind_after_a_restart() {
        let history = History::two().submit(0, 1, 1, Unordered).submit(0, 1, 2, Unordered);
        let history = history.deliver(1, id(0, 1, 2), Unordered).gap(1, id(0, 1, 1), 1);
        let history = history.then(1, What::Crashed).born(1, 2, true);
        assert_eq!(history.deliver(1, id(0, 1, 1), Unordered).broken(), [""; 0], "a gap does not wait for storage");
    }
}
