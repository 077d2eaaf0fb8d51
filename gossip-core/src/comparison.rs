//! When links compare their tables, and how far they have got: shared by messages and registers.
//!
//! # Intuition
//!
//! Two librarians compare catalogs over a telephone. First they read out a checksum; nearly always it is the same, and they
//! hang up. If not, one reads out a page of the catalog, from where they stopped last time; the other says what is
//! missing on either side and, while there are more pages, asks for the next one.
//!
//! # Rules
//!
//! One link gets the checksum (a *root*) per period, in turn, and each new link at once and, as it may get lost, a second
//! time a period later. Where nothing has changed for ten
//! periods nobody asks any more: the [detector](crate::failure_detector)'s beats carry a checksum of all tables, and one
//! that differs wakes the comparison. So an idle node pays nothing for it. Who gets a root that differs from its own answers with a page. Who gets a page that ends before the table does answers with its root again, which asks for
//! the next page. So a page costs a datagram from the other side, a lost one costs a period, and every page stands alone. A page
//! may be answered with a page, at most twice a period.
//!
//! Where many links are made at once, as when a split heals, and datagrams get lost, none of them gets far. So each new link may
//! begin at another page: all of them together read out the whole catalog at once.

use core::time::Duration;

use alloc::boxed::Box;

use crate::peer::{Due, PeerIdx, Peers};
use crate::time::Instant;
use crate::wire::PageHead;

/// How many periods after the last change comparisons go on (our choice: about one for each link).
const AWAKE: u32 = 10;

/// What is owed to one link.
#[derive(Clone, Copy, Debug)]
struct Row {
    root: bool,
    page: bool,
    /// Where the next page begins.
    cursor: PageHead,
    /// The first page of the link was not that of the table: at its end, the reading goes on at its start.
    wraps: bool,
    /// When a page may be answered with a page again.
    reply_at: Instant,
}

impl Row {
    const FRESH: Self =
        Self { root: false, page: false, cursor: PageHead::START, wraps: false, reply_at: Instant::ZERO };
}

/// The state of all comparisons of one table.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    due: Due,
    rows: Box<[Row]>,
    period: Duration,
    next_at: Instant,
    /// From then on nothing is compared without a reason.
    sleep_at: Instant,
    /// Until then a difference may be news that is still under way.
    settled_at: Instant,
    enabled: bool,
    /// The link that was compared with last.
    last: usize,
}

impl Comparison {
    /// Where it is not `enabled`, nothing is ever compared.
    pub(crate) fn new(due: Due, links: usize, period: Duration, enabled: bool) -> Self {
        let rows = (0..links).map(|_| Row::FRESH).collect();
        Self {
            due,
            rows,
            period,
            next_at: Instant::NEVER,
            sleep_at: Instant::ZERO,
            settled_at: Instant::ZERO,
            enabled,
            last: 0,
        }
    }

    pub(crate) const fn heap_bytes(links: usize) -> usize {
        links * size_of::<Row>()
    }

    pub(crate) const fn deadline(&self) -> Instant {
        self.next_at
    }

    /// A new link: compare at once, with the page that begins at `from`.
    pub(crate) fn on_link_up(&mut self, now: Instant, peers: &mut Peers, peer: PeerIdx, from: PageHead) {
        if self.enabled {
            let row = &mut self.rows[peer.row()];
            (row.cursor, row.wraps) = (from, from != PageHead::START);
            self.owe_root(peers, peer);
            self.last = (peer.row() + self.rows.len() - 1) % self.rows.len();
            self.sleep_at = self.sleep_at.max(now + self.period * 3 / 2);
            self.next_at = self.next_at.min(now + self.period);
        }
    }

    /// The table has changed in what is told to everybody at once: a difference is no surprise for a while.
    pub(crate) fn note_news(&mut self, now: Instant) {
        self.settled_at = now + 2 * self.period;
    }

    /// The table has changed.
    pub(crate) fn note_change(&mut self, now: Instant) {
        if self.enabled {
            self.sleep_at = now + self.period * AWAKE;
            self.next_at = self.next_at.min(now + self.period);
        }
    }

    /// A peer's tables differ from this node's. While it is awake it finds out by itself.
    pub(crate) fn wake(&mut self, now: Instant, peers: &mut Peers, peer: PeerIdx) {
        if self.enabled && self.sleep_at <= now && self.settled_at <= now {
            self.owe_root(peers, peer);
            self.note_change(now);
        }
    }

    pub(crate) fn on_link_down(&mut self, peer: PeerIdx) {
        self.rows[peer.row()] = Row::FRESH;
    }

    /// Compare with the next link, if it is time.
    pub(crate) fn on_timeout(&mut self, now: Instant, peers: &mut Peers) {
        if self.next_at > now {
            return;
        }
        self.next_at = Instant::NEVER;
        if let Some(peer) = peers.after(self.last).filter(|_| now < self.sleep_at) {
            self.last = peer.row();
            self.owe_root(peers, peer);
            self.next_at = now + self.period;
        }
    }

    pub(crate) fn owe_root(&mut self, peers: &mut Peers, peer: PeerIdx) {
        self.rows[peer.row()].root = true;
        peers.mark(peer, self.due);
    }

    /// A peer's root differs: it gets a page, and in time this node's root, as either may lack something.
    pub(crate) fn on_difference(&mut self, now: Instant, peers: &mut Peers, peer: PeerIdx) {
        if self.enabled {
            self.owe_page(peers, peer);
            self.note_change(now);
        }
    }

    /// A peer's root differs, as everybody's does while there are news: it gets a page, and others need not be asked.
    pub(crate) fn on_expected_difference(&mut self, peers: &mut Peers, peer: PeerIdx) {
        if self.enabled {
            self.owe_page(peers, peer);
        }
    }

    /// Whether there are no news.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.settled_at <= now
    }

    /// Owes the next page.
    fn owe_page(&mut self, peers: &mut Peers, peer: PeerIdx) {
        self.rows[peer.row()].page = true;
        peers.mark(peer, self.due);
    }

    /// Answers a page with a page that begins at `from`, at most twice a period: two nodes that cannot come to agree, for
    /// want of room say, must not talk without end.
    pub(crate) fn reply(&mut self, now: Instant, peers: &mut Peers, peer: PeerIdx, from: PageHead) {
        let row = &mut self.rows[peer.row()];
        if now >= row.reply_at {
            row.reply_at = now + self.period / 2;
            row.cursor = from;
            self.owe_page(peers, peer);
        }
    }

    pub(crate) fn owes_root(&self, peer: PeerIdx) -> bool {
        self.rows[peer.row()].root
    }

    /// Where the page that is owed begins, if one is.
    pub(crate) fn owed_page(&self, peer: PeerIdx) -> Option<PageHead> {
        let row = self.rows[peer.row()];
        row.page.then_some(row.cursor)
    }

    /// Panics where something is owed to nobody, or is owed and would never be sent.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, peers: &Peers) {
        for (index, row) in self.rows.iter().enumerate().filter(|(_, row)| row.root || row.page) {
            let peer = peers.at(index).expect("a root or page is owed to a link");
            assert!(peers.is_due(peer, self.due), "a root or page is owed without a mark, {row:?}");
        }
    }

    pub(crate) fn root_written(&mut self, peer: PeerIdx) {
        self.rows[peer.row()].root = false;
    }

    /// A page was written; the next one begins at `next`, or at the start.
    pub(crate) fn page_written(&mut self, peer: PeerIdx, next: Option<PageHead>) {
        let row = &mut self.rows[peer.row()];
        row.page = next.is_none() && row.wraps;
        row.wraps &= next.is_some();
        row.cursor = next.unwrap_or(PageHead::START);
    }
}
