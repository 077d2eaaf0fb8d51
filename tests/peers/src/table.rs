//! How the comparison is shown: a table for people, an object for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::compare::{Column, Options, Senders, System, Transport};
use crate::forged::{self, Memory};

/// How everything was measured; said with every result.
const ACCOUNTING: [&str; 11] = [
    "One simulator, one script, one seed: the same latencies (10 to 50 ms by pair), senders, payloads and losses for all.",
    "All join through node 0 without loss, have three minutes to settle and are idle for one; then messages, 20 to warm up.",
    "Defaults: preset lan (with its failure detector and repair); iroh-gossip's Config::default(); foca's Config::new_lan(n).",
    "Accounts are open from the first measured submission to 3 s after the last; liveness and repair in that time count.",
    "p50_ms, p99_ms: of all pairs of a message and a node; who misses it waits for ever (- where the quantile is among these).",
    "Bytes: every datagram as encoded plus 28 for IP and UDP. iroh-gossip: frames of one call share a datagram; QUIC's heads,",
    "  tags, acknowledgements and keep-alives, without which it has neither security nor failure detection, are not counted.",
    "Instructions and allocations: all calls of a system, encoding and decoding included; callers' timers, sockets are not.",
    "foca: a program's set of seen numbers is part of it. Messages leave with its rounds of 200 ms; foca_eager is a program",
    "  that calls broadcast() at once for what is new.",
    "iroh-gossip over datagrams: not what it is made for (it wants reliable links); that a connection is closed is never lost.",
];

/// What was found, and how it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The command.
    pub options: &'a Options,
    /// Every system over both transports.
    pub columns: &'a [Column],
    /// What each system keeps of forged ids, in the order of [`System::ALL`]; empty where that was not asked for.
    pub memories: &'a [Memory],
}

/// A figure of each column; less is better.
struct Row<T> {
    key: &'static str,
    of: fn(&T) -> Option<f64>,
}

const ROWS: [Row<Column>; 8] = [
    Row { key: "missed", of: |column| Some(column.figures.missed as f64) },
    Row { key: "bytes_per_delivery", of: |column| column.per_delivery(column.figures.work.bytes) },
    Row { key: "datagrams_per_delivery", of: |column| column.per_delivery(column.figures.work.datagrams) },
    Row { key: "p50_ms", of: |column| column.figures.p50_ms },
    Row { key: "p99_ms", of: |column| column.figures.p99_ms },
    Row { key: "instructions_per_delivery", of: |column| column.per_delivery(column.instructions?.work) },
    Row { key: "allocations_per_delivery", of: |column| column.per_delivery(column.figures.work.allocations) },
    Row { key: "heap_per_node", of: |column| Some(column.figures.heap as f64 / column.nodes()) },
];

/// The same while nobody sends, per node and second.
const IDLE_ROWS: [Row<Column>; 2] = [
    Row { key: "bytes", of: |column| Some(column.figures.idle.bytes as f64 / column.figures.idle_node_seconds) },
    Row { key: "instructions", of: |column| Some(column.instructions?.idle as f64 / column.figures.idle_node_seconds) },
];

/// Bytes of heap of the node to whom ids were forged.
const MEMORY_ROWS: [Row<Memory>; 4] = [
    Row { key: "memory_before_forged", of: |memory| Some(memory.before as f64) },
    Row { key: "memory_after_forged", of: |memory| Some(memory.after as f64) },
    Row { key: "memory_ten_minutes_later", of: |memory| Some(memory.later as f64) },
    Row { key: "forged", of: |memory| Some(memory.forged as f64) },
];

fn object_of<T>(rows: &[Row<T>], column: &T) -> Map<String, Value> {
    rows.iter().map(|row| (row.key.to_owned(), json!((row.of)(column)))).collect()
}

impl Column {
    fn per_delivery(&self, count: u64) -> Option<f64> {
        let deliveries = self.figures.work.deliveries;
        (deliveries > 0).then(|| count as f64 / deliveries as f64)
    }

    fn nodes(&self) -> f64 {
        f64::from(self.figures.nodes)
    }
}

impl Table<'_> {
    /// One JSON object on one line. The objects at the top are those over datagrams.
    #[must_use]
    pub fn json(&self) -> String {
        let mut object = Map::new();
        let Options { nodes, messages, warmup, payload, loss, reorder, seed, .. } = *self.options;
        let senders = if self.options.senders == Senders::One { "one" } else { "random" };
        for (key, value) in [
            ("nodes", json!(nodes)),
            ("messages", json!(messages - warmup)),
            ("payload", json!(payload)),
            ("senders", json!(senders)),
            ("loss", json!(loss)),
            ("reorder", json!(reorder)),
            ("seed", json!(seed)),
            ("accounting", json!(ACCOUNTING.join("\n"))),
        ] {
            object.insert(key.into(), value);
        }
        object.insert("designed".into(), self.systems(Transport::Designed).into());
        let mut systems = self.systems(Transport::Datagrams);
        for (system, memory) in System::ALL.iter().zip(self.memories) {
            if let Some(Value::Object(of)) = systems.get_mut(system.key()) {
                of.extend(object_of(&MEMORY_ROWS, memory));
            }
        }
        object.extend(systems);
        Value::Object(object).to_string()
    }

    fn systems(&self, transport: Transport) -> Map<String, Value> {
        let columns = self.columns.iter().filter(|column| column.transport == transport);
        let of = |column: &Column| {
            let mut object = object_of(&ROWS, column);
            object.insert("duplicates".into(), json!(column.figures.duplicates));
            object.insert("idle".into(), Value::Object(object_of(&IDLE_ROWS, column)));
            (column.system.key().to_owned(), Value::Object(object))
        };
        columns.map(of).collect()
    }

    /// Tables with a star at the best of each row.
    #[must_use]
    pub fn text(&self) -> String {
        let Options { nodes, messages, warmup, payload, gap_ms, loss, reorder, seed, senders, .. } = *self.options;
        let who = if senders == Senders::One { "one sender" } else { "random senders" };
        let mut text = format!(
            "compare: {nodes} nodes, {} messages of {payload} bytes {gap_ms} ms apart, {who}, seed {seed}\n",
            messages - warmup
        );
        for line in ACCOUNTING {
            let _ = writeln!(text, "  {line}");
        }
        let datagrams = format!(
            "datagrams: {} % lost, {} % held back by up to 40 ms, once links have settled",
            loss * 100.0,
            reorder * 100.0
        );
        let designed = "as designed: nothing is lost, links are first-in-first-out".to_owned();
        for (transport, title) in [(Transport::Designed, designed), (Transport::Datagrams, datagrams)] {
            let columns: Vec<&Column> = self.columns.iter().filter(|column| column.transport == transport).collect();
            heading(&mut text, &title);
            for (prefix, rows) in [("", &ROWS[..]), ("idle, per node and second: ", &IDLE_ROWS)] {
                for row in rows {
                    let figures: Vec<Option<f64>> = columns.iter().map(|column| (row.of)(column)).collect();
                    line(&mut text, &format!("{prefix}{}", row.key), &figures);
                }
            }
        }
        self.memory(&mut text);
        text
    }

    fn memory(&self, text: &mut String) {
        if self.memories.is_empty() {
            return;
        }
        heading(text, &format!("heap of one of {} nodes to whom a member names forged ids", forged::NODES));
        for row in &MEMORY_ROWS {
            let figures: Vec<Option<f64>> = self.memories.iter().map(row.of).collect();
            line(text, row.key, &figures);
        }
    }
}

fn heading(text: &mut String, title: &str) {
    let names: String = System::ALL.iter().map(|system| format!("{:>13} ", system.key())).collect();
    let _ = writeln!(text, "\n{title}\n  {:42}{}", "", names.trim_end());
}

fn line(text: &mut String, name: &str, figures: &[Option<f64>]) {
    let best = figures.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let cells: String = figures
        .iter()
        .map(|figure| match figure {
            Some(figure) => format!("{:>13}{}", number(*figure), if *figure <= best { '*' } else { ' ' }),
            None => format!("{:>13} ", "-"),
        })
        .collect();
    let _ = writeln!(text, "  {name:42}{}", cells.trim_end());
}

fn number(value: f64) -> String {
    if value == value.trunc() || value.abs() >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cluster::Totals;
    use crate::counted::Instructions;
    use crate::scenario::Figures;

    /// Of the systems in order each is a little worse than the one before.
    fn columns() -> Vec<Column> {
        let column = |transport, (place, system): (usize, System)| {
            let worse = place as u64;
            let work =
                Totals { datagrams: 150, bytes: 30_000 + 100 * worse, allocations: 200, deliveries: 100 - worse };
            let idle = Totals { bytes: 6_000, ..Totals::default() };
            let [p50_ms, p99_ms] = [50.5, 99.0].map(|quantile| Some(quantile + place as f64));
            let (heap, missed, duplicates, idle_node_seconds) = (4_000, worse, 0, 120.0);
            let figures = Figures { nodes: 2, work, idle, idle_node_seconds, heap, p50_ms, p99_ms, missed, duplicates };
            let instructions = Some(Instructions { idle: 1_200, work: 500_000 });
            Column { system, transport, figures, instructions }
        };
        let over = |transport| System::ALL.into_iter().enumerate().map(move |it| column(transport, it));
        Transport::ALL.into_iter().flat_map(over).collect()
    }

    #[test]
    fn figures_are_per_delivery_and_have_their_keys() {
        let options = Options::parse_from(["compare", "--nodes", "2"]);
        let memories = [Memory { forged: 9, before: 10, after: 30, later: 20 }; 5];
        let table = Table { options: &options, columns: &columns(), memories: &memories };
        let json: Value = serde_json::from_str(&table.json()).expect("it is JSON");
        for (key, value) in [
            ("missed", json!(0.0)),
            ("bytes_per_delivery", json!(300.0)),
            ("datagrams_per_delivery", json!(1.5)),
            ("p50_ms", json!(50.5)),
            ("p99_ms", json!(99.0)),
            ("instructions_per_delivery", json!(5_000.0)),
            ("allocations_per_delivery", json!(2.0)),
            ("heap_per_node", json!(2_000.0)),
            ("memory_after_forged", json!(30.0)),
        ] {
            assert_eq!(json["ours"][key], value, "{key}");
        }
        assert_eq!(json["designed"]["iroh"]["missed"], json!(2.0));
        assert_eq!(json["foca"]["idle"], json!({ "bytes": 50.0, "instructions": 10.0 }));
        assert_eq!(json["ours_sealed"]["p99_ms"], json!(100.0));
    }

    #[test]
    fn a_star_is_at_the_best_of_each_row() {
        let options = Options::parse_from(["compare"]);
        let table = Table { options: &options, columns: &columns(), memories: &[] };
        let text = table.text();
        let words = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).expect("the row is there");
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("  missed"), ["missed", "0*", "1", "2", "3", "4"]);
        assert_eq!(words("allocations_per")[1..], ["2*", "2.02", "2.04", "2.06", "2.08"]);
        assert_eq!(text.matches("\n  p99_ms").count(), 2, "both transports");
        assert!(!text.contains("forged"), "nothing was forged");
    }
}
