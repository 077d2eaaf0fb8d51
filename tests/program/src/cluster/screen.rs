//! The live table in a terminal.
//!
//! Row by row what each node knows, column by column of whom; below, what happened last, and how each node is doing.
//! The terminal is given back as it was, also after a panic.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::watch;

use super::board::{Board, Freshness, Tone, in_words};
use super::conductor::Shared;

/// How often the table is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// The width of the first column: `64 tokio`.
const NAME: u16 = 8;

/// From this width on there is room for the first counts beside the news, and from this one on for all of them.
const MEDIUM: u16 = 100;
const WIDE: u16 = 120;

/// Draws until `stop` says so or the person at the keyboard does (q, Esc, Ctrl-C); tells `stop` in any case. Blocks.
pub(super) fn show(shared: &Shared, address: &str, stop: &watch::Sender<bool>) -> io::Result<()> {
    let _over = Over(stop);
    let mut terminal = ratatui::try_init()?;
    let shown = draw_until(&mut terminal, shared, address, stop);
    ratatui::restore();
    shown
}

/// Ends the program with the table, also when that fails or panics.
struct Over<'a>(&'a watch::Sender<bool>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

fn draw_until(
    terminal: &mut DefaultTerminal,
    shared: &Shared,
    address: &str,
    stop: &watch::Sender<bool>,
) -> io::Result<()> {
    while !*stop.borrow() {
        terminal.draw(|frame| draw(frame, &shared.board(), shared.now(), address))?;
        if event::poll(FRAME)? && event::read()?.as_key_event().is_some_and(is_quit) {
            break;
        }
    }
    Ok(())
}

fn is_quit(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn draw(frame: &mut Frame<'_>, board: &Board, at: Duration, address: &str) {
    let nodes = u16::try_from(board.rows.len()).unwrap_or(u16::MAX);
    let [top, matrix, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(nodes.saturating_add(3)), Constraint::Fill(1)])
            .areas(frame.area());
    let (columns, counts) = match frame.area().width {
        WIDE.. => (8, 61),
        MEDIUM.. => (4, 25),
        _ => (0, 0),
    };
    let [news, vitals] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(counts)]).areas(bottom);
    frame.render_widget(headline(board, at), top);
    frame.render_widget(knowledge(board, matrix, address), matrix);
    frame.render_widget(latest_news(board, news), news);
    frame.render_widget(health(board, columns), vitals);
}

fn headline(board: &Board, at: Duration) -> Line<'static> {
    let agreement = if board.agrees() { " all agree ".black().on_green() } else { " spreading ".black().on_yellow() };
    let time = |time: Option<Duration>| time.map_or_else(|| String::from("–"), in_words);
    let (median, slowest) = (time(board.spreads.median()), time(board.spreads.slowest));
    Line::from(vec![
        format!("gossip {:>4}s ", at.as_secs()).bold(),
        agreement,
        format!(" {} changes, all knew after {median} (slowest {slowest})", board.spreads.count).into(),
    ])
}

fn knowledge(board: &Board, area: Rect, address: &str) -> Table<'static> {
    let nodes = board.rows.len();
    let title = Line::from(vec![
        " favorite books, as row knows column: ".into(),
        "own ".cyan(),
        "current ".green(),
        "outdated ".yellow(),
        "unknown ".red(),
        "down ".dark_gray(),
    ]);
    let footer = Line::from(vec![format!(" {address} ").cyan(), "· q quits ".dark_gray()]);
    let columns = u16::try_from(nodes).unwrap_or(u16::MAX).max(1);
    let width = (area.width.saturating_sub(NAME + 2) / columns).saturating_sub(1); // one for the gap
    let names = board.rows.iter().map(|row| Cell::from(format!("node {}", row.id)).bold());
    let header = Row::new(std::iter::once(Cell::from("knows")).chain(names));
    let rows = (0..nodes).map(|by| {
        let name = format!("{:>2} {}", board.rows[by].id, board.rows[by].runtime);
        let cells = (0..nodes).map(|owner| {
            let freshness = board.freshness(by, owner);
            Cell::from(shortened(board.title(by, owner).unwrap_or("·"), width.into())).style(style(freshness))
        });
        Row::new(std::iter::once(Cell::from(name).bold()).chain(cells))
    });
    let widths = std::iter::once(Constraint::Length(NAME)).chain((0..nodes).map(|_| Constraint::Length(width)));
    Table::new(rows, widths).header(header).block(Block::bordered().title(title).title_bottom(footer))
}

fn style(freshness: Freshness) -> Style {
    let color = match freshness {
        Freshness::Own => return Style::new().cyan().bold(),
        Freshness::Current => Color::Green,
        Freshness::Outdated => Color::Yellow,
        Freshness::Unknown => Color::Red,
        Freshness::Down => Color::DarkGray,
    };
    Style::new().fg(color)
}

/// The text in at most `width` characters.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// News in at most `width` characters, where there is room for the time at their end: the title before it gives way.
fn fitted(news: &str, width: usize) -> String {
    match news.rsplit_once(": ") {
        Some((what, when)) => {
            let room = width.saturating_sub(2 + when.chars().count());
            format!("{}: {when}", shortened(what, room))
        }
        None => shortened(news, width),
    }
}

fn latest_news(board: &Board, area: Rect) -> Paragraph<'static> {
    let height = usize::from(area.height.saturating_sub(2));
    let lines = board.news.iter().rev().take(height).map(|news| {
        let color = match news.tone {
            Tone::Good => Color::Green,
            Tone::Bad => Color::Red,
        };
        let time = Span::from(format!("{:>7.1}s ", news.seconds)).dark_gray();
        let width = usize::from(area.width.saturating_sub(2)).saturating_sub(time.width());
        Line::from(vec![time, Span::from(fitted(&news.text, width)).fg(color)])
    });
    Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" news "))
}

/// The first `columns` of what the nodes tell of themselves.
fn health(board: &Board, columns: usize) -> Table<'static> {
    let names = ["node", "port", "links", "stored", "sent", "received", "twice", "repairs"];
    let rows = board.rows.iter().map(|row| {
        let port = row.address.map_or_else(String::new, |address| address.port().to_string());
        let vitals = &row.vitals;
        let sizes = [vitals.links, vitals.messages].map(|size| size.to_string());
        let counts = [vitals.datagrams_sent, vitals.datagrams_received, vitals.duplicates, vitals.repairs_sent];
        let cells = [row.id.to_string(), port].into_iter().chain(sizes).chain(counts.map(|count| count.to_string()));
        Row::new(cells.map(right).take(columns)).style(if row.up { Style::new() } else { Style::new().dark_gray() })
    });
    let header = Row::new(names.map(right).into_iter().take(columns)).bold();
    let widths = [4, 5, 5, 6, 8, 8, 6, 7].map(Constraint::Length);
    Table::new(rows, widths.into_iter().take(columns)).header(header).block(Block::bordered().title(" counts "))
}

fn right<'a>(text: impl Into<Text<'a>>) -> Text<'a> {
    text.into().right_aligned()
}

#[cfg(test)]
mod tests {
    use super::super::board::Known;
    use super::*;
    use gossip_core::{Incarnation, Version};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;

    fn drawn(board: &Board, width: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, 20)).expect("a test terminal takes everything");
        terminal.draw(|frame| draw(frame, board, Duration::from_secs(9), "http://127.0.0.1:1")).expect("the same");
        terminal.backend().buffer().clone()
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width);
        buffer.content.chunks(width).map(|line| line.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    fn board() -> Board {
        let mut board = Board::new([(1, "tokio"), (2, "smol")].into_iter());
        let known =
            |title: &str| Known { title: title.into(), version: Version { incarnation: Incarnation(1), number: 1 } };
        for node in 0..2 {
            board.launched(node, ([127, 0, 0, 1], 7_001).into(), Duration::ZERO);
        }
        for node in 0..2 {
            board.changed(node, known(["Dune", "Emma"][node]), Duration::ZERO, Duration::ZERO);
        }
        board.learned(1, 0, known("Dune"), Duration::from_millis(12));
        board
    }

    #[test]
    fn the_table_shows_who_knows_what() {
        let buffer = drawn(&board(), 120);
        let lines = lines(&buffer);
        assert!(lines[0].contains("spreading") && lines[0].contains("(slowest 12.0 ms)"), "{}", lines[0]);
        assert!(
            lines[3].contains("1 tokio") && lines[3].contains("Dune") && !lines[3].contains("Emma"),
            "{}",
            lines[3]
        );
        assert!(lines[4].contains("2 smol") && lines[4].contains("Dune") && lines[4].contains("Emma"), "{}", lines[4]);
        let color = |line: u16, text: &str| {
            let column = lines[usize::from(line)].split(text).next().expect("a first part").chars().count();
            buffer[(u16::try_from(column).expect("screens are narrow"), line)].fg
        };
        assert_eq!((color(3, "Dune"), color(4, "Dune"), color(3, "·")), (Color::Cyan, Color::Green, Color::Red));
        assert!(lines.iter().any(|line| line.contains("node 1 likes Dune: all knew after 12.0 ms")));
    }

    #[test]
    fn any_size_is_drawn() {
        for width in [1, 20, 60, 80, MEDIUM, WIDE, 300] {
            drawn(&board(), width);
        }
        drawn(&Board::new((1..=64).map(|id| (id, "tokio"))), 80);
    }

    #[test]
    fn news_keep_their_end() {
        let news = "node 1 likes War and Peace: all knew after 2.4 ms";
        assert_eq!(fitted(news, 49), news);
        assert_eq!(fitted(news, 40), "node 1 likes War…: all knew after 2.4 ms");
        assert_eq!(fitted("node 7 was killed", 10), "node 7 wa…");
    }

    #[test]
    fn titles_are_shortened() {
        assert_eq!(shortened("Dune", 4), "Dune");
        assert_eq!(shortened("War and Peace", 5), "War…");
        assert_eq!(shortened("Dune", 0), "…");
    }

    #[test]
    fn quitting() {
        let key = |code, modifiers| is_quit(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE) && key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
