//! Who knows what, and since when: the picture that the table, the page and the plain lines are drawn from.
//!
//! A *change* is one node's new favorite book; it is open until every node that was up when it happened knows it, or a
//! later one of the same owner. Nodes that crash meanwhile are not waited for. An *arrival* is a node that was
//! (re)started; it is open until the node knows every favorite that there was at its start. Times are since the start
//! of the program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::Version;
use serde::Serialize;

/// How many pieces of news are kept for the screen.
const NEWS_MAX: usize = 200;

/// Of how many durations the median is taken.
const RECENT_MAX: usize = 1_000;

/// A node's place in the cluster, from 0.
pub(super) type Index = usize;

/// The picture.
pub(super) struct Board {
    pub(super) rows: Vec<Row>,
    pub(super) news: VecDeque<News>,
    /// How many pieces of news there were in all.
    pub(super) news_count: u64,
    /// How long changes took until all knew.
    pub(super) spreads: Times,
    /// How long arrivals took until they knew all.
    pub(super) arrivals: Times,
    changes: Vec<Change>,
    joining: Vec<Arrival>,
}

/// One node.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) runtime: &'static str,
    pub(super) address: Option<SocketAddr>,
    pub(super) up: bool,
    pub(super) book: Option<Known>,
    /// What this node knows of each node's favorite.
    pub(super) knows: Vec<Option<Known>>,
    pub(super) vitals: Vitals,
}

/// A favorite book, as somebody knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) title: String,
    pub(super) version: Version,
}

/// Counts that the node tells about itself.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Vitals {
    pub(super) links: usize,
    /// Links that do not answer at present.
    pub(super) suspected: usize,
    /// The longest silence of a link.
    pub(super) silent_ms: f64,
    /// Nodes known by hearsay, and how old that is in the mean.
    pub(super) view: usize,
    pub(super) age_ms: f64,
    pub(super) messages: usize,
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_received: u64,
    pub(super) duplicates: u64,
    pub(super) repairs_sent: u64,
}

/// Something that a reader wants to hear of.
#[derive(Clone, Serialize)]
pub(super) struct News {
    pub(super) seconds: f64,
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// Whether news are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// A fault, as ordered.
    Bad,
}

/// Durations, summed up.
#[derive(Default)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) slowest: Option<Duration>,
    recent: VecDeque<Duration>,
}

struct Change {
    owner: Index,
    known: Known,
    began: Duration,
    waiting: BTreeSet<Index>,
}

struct Arrival {
    node: Index,
    began: Duration,
    needs: BTreeMap<Index, Version>,
}

/// What a cell of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Freshness {
    /// The node's own favorite.
    Own,
    /// What the owner likes now, or nothing while it has no favorite yet.
    Current,
    /// What the owner liked before.
    Outdated,
    /// Nothing is known.
    Unknown,
    /// The owner or the knower is down.
    Down,
}

impl Board {
    pub(super) fn new(nodes: impl Iterator<Item = (u64, &'static str)>) -> Self {
        let rows: Vec<Row> = nodes.map(|(id, runtime)| Row::new(id, runtime)).collect();
        let mut board = Self {
            rows,
            news: VecDeque::new(),
            news_count: 0,
            spreads: Times::default(),
            arrivals: Times::default(),
            changes: Vec::new(),
            joining: Vec::new(),
        };
        for row in 0..board.rows.len() {
            board.rows[row].knows = vec![None; board.rows.len()];
        }
        board
    }

    /// A node was started at `began`.
    pub(super) fn launched(&mut self, node: Index, address: SocketAddr, began: Duration) {
        let up = self.rows.iter().enumerate().filter(|(_, row)| row.up);
        let needs: BTreeMap<Index, Version> = up.filter_map(|(i, row)| Some((i, row.book.as_ref()?.version))).collect();
        if !needs.is_empty() {
            self.joining.push(Arrival { node, began, needs });
        }
        let row = &mut self.rows[node];
        row.up = true;
        row.address = Some(address);
    }

    /// A node was killed. What only it was waiting for is not waited for any more.
    pub(super) fn killed(&mut self, node: Index, at: Duration) {
        let row = &mut self.rows[node];
        row.up = false;
        row.book = None;
        row.vitals = Vitals::default();
        row.knows.fill(None);
        self.tell(at, Tone::Bad, format!("node {} was killed", self.rows[node].id));
        self.changes.retain(|change| change.owner != node);
        self.joining.retain(|arrival| arrival.node != node);
        for change in &mut self.changes {
            change.waiting.remove(&node);
        }
        for arrival in &mut self.joining {
            arrival.needs.remove(&node);
        }
        self.close(at);
    }

    /// A node has had another favorite since `began`.
    pub(super) fn changed(&mut self, owner: Index, known: Known, began: Duration, at: Duration) {
        let lacks = |&(i, row): &(Index, &Row)| {
            row.up && i != owner && row.knows[owner].as_ref().is_none_or(|old| old.version < known.version)
        };
        let waiting = self.rows.iter().enumerate().filter(lacks).map(|(i, _)| i).collect();
        self.rows[owner].book = Some(known.clone());
        if self.rows.iter().filter(|row| row.up).count() < 2 {
            return; // there is nobody to tell
        }
        self.changes.push(Change { owner, known, began, waiting });
        self.close(at);
    }

    /// Node `by` has heard of a favorite of node `owner`.
    pub(super) fn learned(&mut self, by: Index, owner: Index, known: Known, at: Duration) {
        let cell = &mut self.rows[by].knows[owner];
        if cell.as_ref().is_some_and(|old| old.version >= known.version) {
            return;
        }
        for change in self.changes.iter_mut().filter(|change| change.owner == owner) {
            if change.known.version <= known.version {
                change.waiting.remove(&by);
            }
        }
        for arrival in self.joining.iter_mut().filter(|arrival| arrival.node == by) {
            if arrival.needs.get(&owner).is_some_and(|&needed| needed <= known.version) {
                arrival.needs.remove(&owner);
            }
        }
        *cell = Some(known);
        self.close(at);
    }

    pub(super) fn measured(&mut self, node: Index, vitals: Vitals) {
        self.rows[node].vitals = vitals;
    }

    pub(super) fn freshness(&self, by: Index, owner: Index) -> Freshness {
        let (row, column) = (&self.rows[by], &self.rows[owner]);
        if !row.up || !column.up {
            return Freshness::Down;
        }
        match (&row.knows[owner], &column.book) {
            _ if by == owner => Freshness::Own,
            (Some(known), Some(book)) if known.version >= book.version => Freshness::Current,
            (None, None) => Freshness::Current,
            (Some(_), _) => Freshness::Outdated,
            (None, Some(_)) => Freshness::Unknown,
        }
    }

    /// What the cell shows: the title, as far as it is known.
    pub(super) fn title(&self, by: Index, owner: Index) -> Option<&str> {
        let known = if by == owner { &self.rows[by].book } else { &self.rows[by].knows[owner] };
        known.as_ref().map(|known| known.title.as_str())
    }

    /// Whether every node that is up knows what every other one likes now.
    pub(super) fn agrees(&self) -> bool {
        let all = 0..self.rows.len();
        let agrees = |by, owner| !matches!(self.freshness(by, owner), Freshness::Outdated | Freshness::Unknown);
        all.clone().all(|by| all.clone().all(|owner| agrees(by, owner)))
    }

    /// Reports the changes and arrivals that nobody waits for any more.
    fn close(&mut self, at: Duration) {
        let known = self.changes.extract_if(.., |change| change.waiting.is_empty()).collect::<Vec<_>>();
        for change in known {
            let took = at.saturating_sub(change.began);
            self.spreads.add(took);
            let (id, title) = (self.rows[change.owner].id, change.known.title);
            self.tell(at, Tone::Good, format!("node {id} likes {title}: all knew after {}", in_words(took)));
        }
        let arrived = self.joining.extract_if(.., |arrival| arrival.needs.is_empty()).collect::<Vec<_>>();
        for arrival in arrived {
            let took = at.saturating_sub(arrival.began);
            self.arrivals.add(took);
            let id = self.rows[arrival.node].id;
            self.tell(at, Tone::Good, format!("node {id} was started, knew all favorites after {}", in_words(took)));
        }
    }

    fn tell(&mut self, at: Duration, tone: Tone, text: String) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(News { seconds: at.as_secs_f64(), tone, text });
        self.news_count += 1;
    }
}

impl Row {
    fn new(id: u64, runtime: &'static str) -> Self {
        Self { id, runtime, address: None, up: false, book: None, knows: Vec::new(), vitals: Vitals::default() }
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.slowest = self.slowest.max(Some(time));
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
    }

    /// The median of the last ones.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// A time that people read: `12.3 ms`, `1.24 s`.
pub(super) fn in_words(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    if millis < 1_000.0 { format!("{millis:.1} ms") } else { format!("{:.2} s", millis / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::Incarnation;

    const SECOND: Duration = Duration::from_secs(1);

    fn known(title: &str, number: u64) -> Known {
        let version = Version { incarnation: Incarnation(1), number };
        Known { title: title.into(), version }
    }

    /// Three nodes that are up; the first one has just changed its mind.
    fn board() -> Board {
        let mut board = Board::new((1..=3).map(|id| (id, "tokio")));
        for node in 0..3 {
            board.launched(node, ([127, 0, 0, 1], 7_001).into(), Duration::ZERO);
        }
        board.changed(0, known("Dune", 1), SECOND, SECOND);
        board
    }

    #[test]
    fn a_change_ends_when_the_last_one_knows() {
        let mut board = board();
        assert_eq!((board.freshness(0, 0), board.freshness(1, 0)), (Freshness::Own, Freshness::Unknown));
        board.learned(1, 0, known("Dune", 1), SECOND * 2);
        assert_eq!((board.freshness(1, 0), board.spreads.count, board.agrees()), (Freshness::Current, 0, false));
        board.learned(2, 0, known("Dune", 1), SECOND * 3);
        assert_eq!((board.spreads.slowest, board.agrees()), (Some(SECOND * 2), true));
    }

    #[test]
    fn a_later_favorite_ends_the_earlier_change_too() {
        let mut board = board();
        board.changed(0, known("Emma", 2), SECOND * 2, SECOND * 2);
        board.learned(1, 0, known("Emma", 2), SECOND * 3);
        board.learned(1, 0, known("Dune", 1), SECOND * 4);
        assert_eq!(board.title(1, 0), Some("Emma"), "an older version does not replace a newer one");
        board.learned(2, 0, known("Emma", 2), SECOND * 4);
        assert_eq!((board.spreads.count, board.spreads.slowest), (2, Some(SECOND * 3)));
    }

    #[test]
    fn who_heard_of_it_first_is_not_waited_for() {
        let mut board = board();
        board.learned(1, 2, known("Kim", 1), SECOND);
        board.learned(0, 2, known("Kim", 1), SECOND);
        board.changed(2, known("Kim", 1), SECOND, SECOND * 2);
        assert_eq!(board.spreads.count, 1);
    }

    #[test]
    fn the_dead_are_not_waited_for() {
        let mut board = board();
        board.learned(1, 0, known("Dune", 1), SECOND * 2);
        board.killed(2, SECOND * 3);
        assert_eq!((board.spreads.count, board.freshness(2, 0)), (1, Freshness::Down));
        board.changed(1, known("Emma", 1), SECOND * 4, SECOND * 4);
        board.killed(1, SECOND * 4);
        assert_eq!(board.spreads.count, 1, "a change dies with its owner");
    }

    #[test]
    fn an_arrival_ends_when_it_knows_all() {
        let mut board = board();
        board.killed(2, SECOND * 2);
        board.launched(2, ([127, 0, 0, 1], 7_003).into(), SECOND * 3);
        assert_eq!(board.freshness(2, 0), Freshness::Unknown);
        board.learned(2, 0, known("Dune", 1), SECOND * 5);
        assert_eq!((board.arrivals.count, board.arrivals.slowest), (1, Some(SECOND * 2)));
    }

    #[test]
    fn news_are_bounded() {
        let mut board = board();
        for i in 0..NEWS_MAX as u64 {
            board.learned(1, 0, known("Dune", i + 2), SECOND);
            board.learned(2, 0, known("Dune", i + 2), SECOND);
            board.changed(0, known("Dune", i + 2), SECOND, SECOND);
        }
        assert_eq!((board.news.len(), board.news_count), (NEWS_MAX, NEWS_MAX as u64 + 1));
    }

    #[test]
    fn times_are_summed_up() {
        let mut times = Times::default();
        assert_eq!(times.median(), None);
        (1..=RECENT_MAX as u64 + 2).rev().for_each(|i| times.add(Duration::from_millis(i)));
        assert_eq!(times.median(), Some(Duration::from_millis(501)));
        assert_eq!(times.slowest, Some(Duration::from_millis(1_002)), "also when it is no recent one");
        assert_eq!((in_words(SECOND * 2), in_words(SECOND / 1_000)), ("2.00 s".into(), "1.0 ms".into()));
    }
}
