//! What became of each value that was broadcast.
//!
//! # Intuition
//!
//! Somebody notes every operation in a book, in the order in which it happened: "3 was accepted", "this read showed 1 and 3".
//! Afterwards each value is looked up. From which entry on was it *known* that it exists: when its broadcast was
//! acknowledged, or when a read showed it. Which read that showed it, and which read that did not, was asked for last? If
//! none that missed it came after the last that showed it, it is *stable*, and the time from when it was known to the last read
//! that missed it is its latency: zero where no read ever did. If one that missed it came last, it is *lost*. If no read came
//! after it was known, nobody can tell: *never read*.
//!
//! So the latency is sampled by the reads, and is never longer than the true one. That is Maelstrom's rule (Jepsen's
//! `set-full` checker), and figures that are to be compared have to be made by it.

use std::collections::{BTreeMap, BTreeSet};

/// All operations, in the order in which they happened. Each takes no time: clients are next to their nodes.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<(u64, Operation)>,
}

#[derive(Clone, Debug)]
enum Operation {
    /// Asked for, and not answered, or not yet.
    Asked(u64),
    Acknowledged(u64),
    Read(BTreeSet<u64>),
}

/// What became of all values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Values that are there to stay, and the latency of each in milliseconds, in order.
    pub stable_latencies: Vec<u64>,
    /// Values that were known and are gone.
    pub lost: u64,
    /// Values that no read can tell about.
    pub never_read: u64,
}

impl Checked {
    /// The latency at a point of the order from 0 (the least) to 1 (the most), in milliseconds.
    #[must_use]
    pub fn quantile(&self, point: f64) -> Option<u64> {
        let count = self.stable_latencies.len();
        let rank = ((count as f64 * point) as usize).min(count.checked_sub(1)?);
        Some(self.stable_latencies[rank])
    }
}

/// What is known of one value, as places in the history.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    known: Option<usize>,
    last_present: Option<usize>,
    last_absent: Option<usize>,
}

impl History {
    /// A client asks to broadcast `value`, at a time in microseconds.
    pub fn ask(&mut self, at: u64, value: u64) {
        self.entries.push((at, Operation::Asked(value)));
    }

    /// The broadcast of `value` is acknowledged.
    pub fn acknowledge(&mut self, at: u64, value: u64) {
        self.entries.push((at, Operation::Acknowledged(value)));
    }

    /// A client reads `values`.
    pub fn read(&mut self, at: u64, values: BTreeSet<u64>) {
        self.entries.push((at, Operation::Read(values)));
    }

    /// How many operations clients asked for.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.entries.iter().filter(|(_, operation)| !matches!(operation, Operation::Acknowledged(_))).count() as u64
    }

    /// What became of each value.
    #[must_use]
    pub fn check(&self) -> Checked {
        let mut elements: BTreeMap<u64, Element> = BTreeMap::new();
        for (index, (_, operation)) in self.entries.iter().enumerate() {
            match operation {
                Operation::Asked(value) => {
                    elements.entry(*value).or_default();
                }
                Operation::Acknowledged(value) => {
                    elements.entry(*value).or_default().known.get_or_insert(index);
                }
                Operation::Read(values) => {
                    for (value, element) in &mut elements {
                        if values.contains(value) {
                            element.known.get_or_insert(index);
                            element.last_present = Some(index);
                        } else {
                            element.last_absent = Some(index);
                        }
                    }
                }
            }
        }
        let mut checked = Checked::default();
        for element in elements.values() {
            self.judge(element, &mut checked);
        }
        checked.stable_latencies.sort_unstable();
        checked
    }

    fn judge(&self, element: &Element, checked: &mut Checked) {
        let Element { known, last_present, last_absent } = *element;
        let stable = last_present.is_some() && last_absent < last_present;
        let lost = known.is_some() && last_absent.is_some() && last_present < last_absent && known < last_absent;
        match known.filter(|_| stable) {
            Some(known) => {
                let since = last_absent.map_or(0, |absent| self.entries[absent].0 * 1_000 + 1);
                let latency = since.saturating_sub(self.entries[known].0 * 1_000);
                checked.stable_latencies.push(latency / 1_000_000);
            }
            None if lost => checked.lost += 1,
            None => checked.never_read += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latencies of what is stable, how many are lost, and how many were never read.
    type Verdict = (&'static [u64], u64, u64);

    /// `A3`: 3 is asked for; `K3`: acknowledged; `R1,3`: a read shows 1 and 3. Each 100 ms after the one before.
    fn history(text: &str) -> History {
        let mut history = History::default();
        for (step, word) in text.split_whitespace().enumerate() {
            let at = 100_000 * step as u64;
            let (kind, rest) = word.split_at(1);
            let values =
                rest.split(',').filter(|value| !value.is_empty()).map(|value| value.parse().expect("a number"));
            match kind {
                "A" => values.for_each(|value| history.ask(at, value)),
                "K" => values.for_each(|value| history.acknowledge(at, value)),
                _ => history.read(at, values.collect()),
            }
        }
        history
    }

    fn check(text: &str) -> (Vec<u64>, u64, u64) {
        let Checked { stable_latencies, lost, never_read } = history(text).check();
        (stable_latencies, lost, never_read)
    }

    #[test]
    fn histories_worked_out_by_hand() {
        let table: [(&str, Verdict); 11] = [
            ("A1 K1 R1", (&[0], 0, 0)),
            // Missed once after it was known, for 100 ms.
            ("A1 K1 R R1", (&[100], 0, 0)),
            ("A1 K1 R R R1 R1", (&[200], 0, 0)),
            // Seen, missed, seen: stable from the last read that missed it.
            ("A1 K1 R1 R R1", (&[200], 0, 0)),
            ("A1 K1 R", (&[], 1, 0)),
            ("A1 K1 R1 R", (&[], 1, 0)),
            // Missed before it was known only.
            ("A1 R K1 R1", (&[0], 0, 0)),
            ("A1 R K1", (&[], 0, 1)),
            // Never acknowledged: known by the first read that shows it, or not at all.
            ("A1 R1 R R1", (&[100], 0, 0)),
            ("A1 R R", (&[], 0, 1)),
            ("A1 K1 A2 K2 R2 R1 R1,2", (&[200, 300], 0, 0)),
        ];
        for (text, (stable, lost, never_read)) in table {
            assert_eq!(check(text), (stable.to_vec(), lost, never_read), "{text}");
        }
    }

    #[test]
    fn a_read_says_nothing_of_later_values() {
        assert_eq!(check("R A1 K1 R1"), (vec![0], 0, 0));
    }

    #[test]
    fn operations_are_what_clients_asked_for() {
        assert_eq!(history("A1 K1 R1 R1 A2").operations(), 4);
    }

    #[test]
    fn quantiles_are_those_of_the_original() {
        let checked = Checked { stable_latencies: (1..=10).collect(), ..Checked::default() };
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|point| checked.quantile(point)), [1, 6, 10, 10].map(Some));
        assert_eq!(Checked::default().quantile(0.5), None);
    }
}
