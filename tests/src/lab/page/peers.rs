//! What `compare` of the package `gossip-peers` printed, which this package does not depend on: a file, if there is one.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Options, html, unwritable};
use crate::lab::Failure;

/// One object for each line of the file.
pub(super) fn read(options: &Options) -> Result<Vec<Value>, Failure> {
    let file = options.compare.clone().unwrap_or_else(|| options.dir.join("compare.json"));
    if options.compare.is_none() && !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&file).map_err(|error| unwritable(&file, &error))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let objects: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
    objects.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

/// One table for each object: a column for each contender, a row for each figure.
pub(super) fn section(compared: &[Value]) -> String {
    let mut text = String::from(
        "<section id=\"compare\"><h2>compare</h2><p>Rivals and we in one run, over the same simulated network. \
         <code>cargo run --release -p gossip-peers --bin compare -- --json</code></p>",
    );
    for object in compared.iter().filter_map(Value::as_object) {
        text.push_str(&table(object));
    }
    text.push_str("</section>");
    text
}

fn table(object: &Map<String, Value>) -> String {
    let contenders: Vec<(&String, &Map<String, Value>)> =
        object.iter().filter_map(|(name, value)| Some((name, value.as_object()?))).collect();
    let mut keys: Vec<&String> = Vec::new();
    for key in contenders.iter().flat_map(|(_, figures)| figures.keys()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let settings = object.iter().filter(|(_, value)| !value.is_object());
    let settings: Vec<String> = settings.map(|(key, value)| format!("{key} {}", html::plain(value))).collect();
    // Writing into a string cannot fail.
    let mut text = String::new();
    let _ = write!(text, "<article><p class=\"meta\">{}</p>", html::escape(&settings.join(", ")));
    text.push_str("<div class=\"wide\"><table><thead><tr><th>figure</th>");
    for (name, _) in &contenders {
        let _ = write!(text, "<th>{}</th>", html::escape(name));
    }
    text.push_str("</tr></thead><tbody>");
    for key in keys {
        let _ = write!(text, "<tr><td>{}</td>", html::escape(key));
        for (_, figures) in &contenders {
            let cell = figures.get(key).map_or_else(|| "–".into(), html::plain);
            let _ = write!(text, "<td class=\"number\">{}</td>", html::escape(&cell));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table></div></article>");
    text
}
