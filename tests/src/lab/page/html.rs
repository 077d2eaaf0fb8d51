//! The page: one file, which refers to nothing outside of itself.

use std::fmt::Write;

use serde_json::Value;

use super::anchors::{self, Anchor, Kind};
use super::set::Run;
use super::{Outcome, Page, peers};
pub(super) use crate::lab::plot::escape;

const STYLE: &str = include_str!("page.css");

/// What each experiment is about.
const EXPERIMENTS: [(&str, &str); 9] = [
    ("broadcast", "How fast, how completely and at what price messages spread."),
    ("burst", "Everybody speaks at once, and nobody may send more than its budget."),
    ("demers", "The classic tables of rumor mongering: who never hears, at what price, and when the last one does."),
    ("sampling", "What graph the views of a peer sampling protocol make, and how soon they forget the dead."),
    ("overlay", "The links as a graph, and what it is worth when most nodes die at once."),
    ("detect", "How soon a crash is known, how seldom a healthy node is accused, and at what price."),
    ("heal", "How soon a split network is whole again."),
    ("glomers", "The broadcast challenges of Gossip Glomers, by Maelstrom's workload and verdict."),
    ("chaos", "Everything that can go wrong, and all checkers, for many seeds."),
];

/// The whole page.
pub(super) fn page(page: &Page<'_>) -> String {
    let mut text = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>");
    text.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>");
    // Writing into a string cannot fail.
    let _ = write!(text, "<title>Gossip: the experiments</title><style>{STYLE}</style></head><body>");
    text.push_str(&head(page));
    text.push_str("<main>");
    for (experiment, about) in EXPERIMENTS {
        if page.runs.iter().any(|run| run.experiment() == experiment) {
            let _ = write!(text, "<section id=\"{experiment}\"><h2>{experiment}</h2><p>{about}</p>");
            for (run, outcome) in page.runs.iter().zip(&page.outcomes).filter(|(run, _)| run.experiment() == experiment)
            {
                text.push_str(&article(page, run, outcome.as_ref()));
            }
            text.push_str("</section>");
        }
    }
    if !page.compare.is_empty() {
        text.push_str(&peers::section(&page.compare));
    }
    text.push_str("</main></body></html>\n");
    text
}

fn head(page: &Page<'_>) -> String {
    let done = page.outcomes.iter().flatten().count();
    let (held, all) = page.score(|_| true);
    let mut text = String::from("<header><h1>Gossip: the experiments</h1>");
    let _ = write!(
        text,
        "<p class=\"meta\">Version {}, {}, seed {}. {done} of {} runs are done. Each is repeated, bit for bit, by \
         <code>cargo run --release -p gossip-tests --bin lab --</code> and the words above its table.</p>",
        env!("CARGO_PKG_VERSION"),
        escape(&page.commit),
        page.options.seed,
        page.runs.len()
    );
    if page.options.quick {
        text.push_str("<p class=\"warning\">A quick run: its sizes are too small for its figures to say anything.</p>");
    }
    let _ = write!(
        text,
        "<p><b>{held} of {all}</b> comparisons hold. A <i>rival</i> is what a paper or another program reached, a <i>floor</i> is \
         what has to hold, a <i>goal</i> is what is aimed at; \
         these two are set by this project.</p>"
    );
    text.push_str(
        "<table class=\"overview\"><thead><tr><th>experiment</th><th>hold</th><th>do not</th></tr></thead><tbody>",
    );
    for (experiment, _) in EXPERIMENTS {
        let (held, all) = page.score(|run| run.experiment() == experiment);
        if page.runs.iter().any(|run| run.experiment() == experiment) {
            let _ = write!(
                text,
                "<tr><td><a href=\"#{experiment}\">{experiment}</a></td><td class=\"number\">{held}</td>\
                 <td class=\"number\">{}</td></tr>",
                all - held
            );
        }
    }
    text.push_str("</tbody></table></header>");
    text
}

fn article(page: &Page<'_>, run: &Run, outcome: Option<&Outcome>) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "<article id=\"{}\"><h3>{}</h3><p class=\"meta\"><code>{}</code>",
        run.name,
        escape(run.about),
        escape(&page.options.command(run))
    );
    match outcome {
        Some(outcome) => {
            let _ = write!(text, " took {:.1} s</p>", outcome.seconds);
            text.push_str(&body(run, outcome));
        }
        None => text.push_str("</p><p class=\"warning\">Not done yet.</p>"),
    }
    text.push_str("</article>");
    text
}

fn body(run: &Run, outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some(complaint) = &outcome.complaint {
        let _ = write!(text, "<pre class=\"warning\">{}</pre>", escape(complaint));
    }
    let Some(figures) = outcome.figures.as_ref().and_then(Value::as_object) else { return text };
    text.push_str("<div class=\"pair\">");
    text.push_str(&judged(run, outcome));
    if let Some(svg) = &outcome.svg {
        // Inside a page a picture needs no name of its language.
        let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
        let _ = write!(text, "<figure>{svg}</figure>");
    }
    text.push_str("</div>");
    let tables = figures.values().filter_map(Value::as_array);
    tables.for_each(|rows| text.push_str(&rows_table(rows)));
    text.push_str("<details><summary>All figures</summary><div class=\"wide\"><table><tbody>");
    for (key, value) in figures.iter().filter(|(_, value)| !value.is_array()) {
        let _ = write!(text, "<tr><td>{}</td><td class=\"number\">{}</td></tr>", name(key), escape(&plain(value)));
    }
    text.push_str("</tbody></table></div></details>");
    text
}

/// The figures that there is something to hold against, each with what that is.
fn judged(run: &Run, outcome: &Outcome) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for anchor in anchors::ANCHORS.iter().filter(|anchor| anchor.runs.contains(&run.name)) {
        if !keys.contains(&anchor.key) {
            keys.push(anchor.key);
        }
    }
    if keys.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<table class=\"judged\"><thead><tr><th>figure</th><th>ours</th><th>beside</th></tr></thead><tbody>",
    );
    for key in keys {
        let ours = outcome.figure(key);
        let _ = write!(text, "<tr><td>{}</td><td class=\"number\"><b>{}</b></td><td>", name(key), shown(ours));
        anchors::of(run.name, key).for_each(|anchor| text.push_str(&verdict(anchor, ours)));
        text.push_str("</td></tr>");
    }
    text.push_str("</tbody></table>");
    text
}

fn verdict(anchor: &Anchor, ours: Option<f64>) -> String {
    let holds = ours.is_some_and(|ours| anchor.bound.holds(ours));
    let (class, mark, word) = if holds { ("yes", "✓", "holds") } else { ("no", "✗", "does not hold") };
    let kind = match anchor.kind {
        Kind::Rival => "rival",
        Kind::Floor => "floor",
        Kind::Goal => "goal",
    };
    let source = escape(anchor.source);
    format!(
        "<p class=\"{class}\"><span title=\"{word}\">{mark}</span> {kind} {} <small>{source}</small></p>",
        escape(&anchor.bound.to_string())
    )
}

/// A key, which may be broken between its words.
fn name(key: &str) -> String {
    escape(key).replace('_', "_<wbr/>")
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".into(), number)
}

/// Rows of figures: the columns are the keys of the first one.
fn rows_table(rows: &[Value]) -> String {
    let Some(first) = rows.first().and_then(Value::as_object) else { return String::new() };
    let mut columns: Vec<&String> = first.keys().collect();
    // Names first and verdicts last; what the paper has stands right of what we have.
    columns.sort_by_key(|column| {
        let figure = column.trim_start_matches("paper_");
        let is_verdict = rows.iter().any(|row| row[column.as_str()].is_boolean());
        (is_verdict, !first[*column].is_string(), figure, column.len())
    });
    let mut text = String::from("<div class=\"wide\"><table><thead><tr>");
    for column in &columns {
        let _ = write!(text, "<th>{}</th>", escape(&column.replace('_', " ")));
    }
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        text.push_str("<tr>");
        for column in &columns {
            text.push_str(&cell(&row[column.as_str()]));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div>");
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Bool(true) => "<td class=\"yes\">✓</td>".into(),
        Value::Bool(false) => "<td class=\"no\">✗</td>".into(),
        Value::String(text) => format!("<td>{}</td>", escape(text)),
        value => format!("<td class=\"number\">{}</td>", escape(&plain(value))),
    }
}

/// A value as a person reads it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(figure) => figure.as_f64().map_or_else(|| figure.to_string(), number),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(values) => {
            let named: Vec<String> = values.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect();
            named.join(", ")
        }
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return grouped(value as i64);
    }
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size < 0.001 => format!("{value:.1e}"),
        size if size < 0.1 => format!("{value:.4}"),
        _ => format!("{value:.3}"),
    }
}

/// Thousands apart.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_worth() {
        for (value, text) in [
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
            (-100.0, "−100"),
            (123.4, "123"),
            (0.3418, "0.342"),
            (0.00418, "0.0042"),
            (0.0000034, "3.4e-6"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn every_experiment_of_the_set_has_a_section() {
        for run in super::super::set::RUNS {
            assert!(EXPERIMENTS.iter().any(|(experiment, _)| *experiment == run.experiment()), "{}", run.name);
        }
    }
}
