//! One line per event on the standard output, colored where that is a terminal.

use std::io::{IsTerminal, Write};

use gossip_core::{Delivery, Event};
use ratatui::crossterm::style::{Color, Stylize};

use crate::view;

/// Prints a line. A reader that went away is no reason for a node to stop.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What a person wants to know of an event, if anything.
pub(super) fn line(event: &Event) -> Option<String> {
    let (color, text) = match event {
        Event::Deliver(delivery) => (Color::Green, message(delivery)),
        Event::Gap { origin, first, last, .. } => {
            (Color::Red, format!("lost messages {first} to {last} of node {origin}"))
        }
        Event::IdentityConflict { address, .. } => (Color::Red, format!("{address} has the same number as this node")),
        Event::PeerUp { node, address } => (Color::Cyan, format!("node {node} is up at {address}")),
        Event::PeerDown { node } => (Color::Yellow, format!("node {node} is gone")),
        Event::PeerUnreachable { node } => (Color::Yellow, format!("node {node} does not answer")),
        Event::Register { node, key, value: Some(value), .. } => {
            (Color::Blue, format!("node {node}: {key} = {}", printable(value)))
        }
        Event::Warning(warning) => (Color::Red, format!("warning: {warning:?}")),
        _ => return None,
    };
    let colored = std::io::stdout().is_terminal();
    Some(if colored { text.with(color).to_string() } else { text })
}

fn message(delivery: &Delivery) -> String {
    let path: Vec<String> = delivery.path.nodes().map(|node| node.to_string()).collect();
    let way = if path.is_empty() { String::new() } else { format!(" ({})", path.join(" → ")) };
    format!("{}: {}{way}", delivery.id, printable(&delivery.payload))
}

/// Text from elsewhere must not steer the terminal.
fn printable(bytes: &[u8]) -> String {
    view::text(bytes).chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_tame() {
        assert_eq!(printable("Émile\x1b[2J\n\u{9b}1m".as_bytes()), "Émile·[2J··1m");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
