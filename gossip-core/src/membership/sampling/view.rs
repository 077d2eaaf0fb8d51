//! The view: some nodes, drawn from all, each with its age.
//!
//! # Intuition
//!
//! A hand of cards. Each card names a node, where it lives, and when it last spoke for itself. In an exchange two
//! players show each other a part of their hands, take up what they have not got, and lay down what is too much: the
//! oldest cards, and those that the other one has got now. So cards travel, fresh ones are dealt by the nodes themselves,
//! and the card of a node that plays no more is one day the oldest in every hand.
//!
//! The order of the rows is part of the protocol: what is given away is what a shuffle put at the front.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::strategy::{COPIES_MAX, Freshness, PeerSelection, Sampling, ViewSelection};
use crate::ids::NodeId;
use crate::rng::Rng;
use crate::time::{Instant, micros};

/// When a node spoke for itself, in microseconds; before the origin of the clock where the node is older than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Born(i64);

impl Born {
    /// What is `age` old at `now`.
    pub(crate) fn ago(now: Instant, age: Duration) -> Self {
        let signed = |micros| i64::try_from(micros).unwrap_or(i64::MAX);
        Self(signed(now.as_micros()).saturating_sub(signed(micros(age))))
    }

    /// How old it is at `now`.
    pub(crate) fn age(self, now: Instant) -> Duration {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        Duration::from_micros(u64::try_from(now.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// One node, by hearsay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) born: Born,
}

impl Descriptor {
    /// Of a node that is known to live at `now`.
    pub(crate) fn fresh(now: Instant, node: NodeId, address: SocketAddr) -> Self {
        Self { node, address, born: Born::ago(now, Duration::ZERO) }
    }
}

/// Who got an entry from this node, and may keep it in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Nobody.
    No,
    /// The node that was asked, whose answer has not come yet.
    Asked,
    /// The node that asks right now.
    Asking,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    descriptor: Descriptor,
    /// How many entries it stands for; always 1 but with leases.
    copies: u8,
    given: Given,
}

impl Row {
    /// Whether the other side of the exchange may have it in this node's place.
    fn is_given_away(&self, whom: Given) -> bool {
        self.given == whom && self.copies <= 1
    }
}

/// The rows: at most `capacity` between two exchanges, and during one as many more as the other side gives.
#[derive(Clone, Debug)]
pub(crate) struct View {
    rows: Vec<Row>,
    capacity: usize,
    /// None where there are no views.
    sampling: Option<Sampling>,
    /// Of exchanges.
    period: Duration,
    /// Half periods that were counted, where entries age by counting.
    counted: u32,
}

impl View {
    /// Room for `capacity` entries, and for what the other side gives during an exchange.
    pub(super) fn new(sampling: Option<Sampling>, capacity: u16, period: Duration) -> Self {
        let rows = sampling.map_or(0, |sampling| usize::from(capacity) + sampling.given(capacity));
        Self { rows: Vec::with_capacity(rows), capacity: capacity.into(), sampling, period, counted: 0 }
    }

    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        (2 * capacity + 1) * size_of::<Row>()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the clock shows by which entries age.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        match self.sampling.map(|sampling| sampling.freshness) {
            Some(Freshness::Counted) => Instant::ZERO + self.period / 2 * self.counted,
            Some(Freshness::Time) | None => now,
        }
    }

    /// This node took part in one more exchange: in the form of 2007 entries grow older by that.
    pub(super) fn count_exchange(&mut self) {
        let counts = self.sampling.is_some_and(|sampling| !sampling.gives_whole_view());
        self.counted = self.counted.saturating_add(u32::from(counts));
    }

    /// One more period has passed: in the form of 2004 entries grow older by that.
    pub(super) fn count_turn(&mut self) {
        let counts = self.sampling.is_some_and(|sampling| sampling.gives_whole_view());
        self.counted = self.counted.saturating_add(2 * u32::from(counts));
    }

    /// How much older an entry is for having come here from another node.
    pub(super) fn hop(&self) -> Duration {
        let counts = |sampling: Sampling| sampling.gives_whole_view() && sampling.freshness == Freshness::Counted;
        if self.sampling.is_some_and(counts) { self.period } else { Duration::ZERO }
    }

    /// All entries, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Descriptor> {
        self.rows.iter().map(|row| &row.descriptor)
    }

    /// An entry drawn by chance among those that fit. One word of `rng`.
    pub(crate) fn draw(&self, rng: &mut Rng, fits: impl Fn(&Descriptor) -> bool) -> Option<Descriptor> {
        let count = self.iter().filter(|descriptor| fits(descriptor)).count();
        let chosen = rng.below(count as u32) as usize;
        self.iter().filter(|descriptor| fits(descriptor)).nth(chosen).copied()
    }

    /// Somebody is there: takes it up, or its fresher state, in place of the oldest entry where the view is full. False
    /// where it was no news.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> bool {
        if let Some(known) = self.position(descriptor.node) {
            return self.freshen(known, descriptor, 0);
        }
        if self.sampling.is_none() {
            return false;
        }
        if self.rows.len() >= self.capacity {
            let Some(oldest) = self.oldest(|row| row.descriptor.born < descriptor.born) else { return false };
            self.rows.remove(oldest);
        }
        self.rows.push(Row { descriptor, copies: 1, given: Given::No });
        true
    }

    /// Drops the entry of `node`.
    pub(crate) fn forget(&mut self, node: NodeId) {
        if let Some(position) = self.position(node) {
            self.rows.remove(position);
        }
    }

    /// A node did not answer: drops its entry, unless the node has spoken for itself since.
    pub(super) fn disprove(&mut self, descriptor: &Descriptor) {
        self.rows.retain(|row| row.descriptor.node != descriptor.node || row.descriptor.born > descriptor.born);
    }

    /// Leases that have run out go, as long as a quarter of the view is left: a node that hears nobody for long keeps
    /// somebody to try.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(ViewSelection::Lease { lifetime, .. }) = self.sampling.map(|sampling| sampling.view_selection) else {
            return;
        };
        let limit = Born::ago(self.clock(now), self.period * lifetime.into());
        while self.rows.len() > self.capacity / 4
            && let Some(oldest) = self.oldest(|row| row.descriptor.born < limit)
        {
            self.rows.remove(oldest);
        }
    }

    /// The entry with which to exchange.
    pub(super) fn select_peer(&self, rng: &mut Rng, how: PeerSelection) -> Option<Descriptor> {
        let any = rng.below(self.rows.len() as u32) as usize;
        let position = match how {
            PeerSelection::Head => self.youngest(|_| true),
            PeerSelection::Random => Some(any),
            PeerSelection::Tail => self.oldest(|_| true),
        };
        Some(self.rows.get(position?)?.descriptor)
    }

    /// What to give to `whom` beside this node's own entry, each with how many it stands for; the rows are marked so.
    /// Afterwards the order is another one.
    pub(super) fn give(&mut self, rng: &mut Rng, whom: Given, to: NodeId) -> impl Iterator<Item = (Descriptor, u8)> {
        for row in &mut self.rows {
            row.given = if row.given == whom { Given::No } else { row.given };
        }
        self.shuffle(rng);
        // A lease given to its own node would be lost.
        let is_lease = self.is_lease();
        let count = match self.sampling.map(|sampling| sampling.view_selection) {
            Some(ViewSelection::Balanced { healer, .. }) => {
                self.oldest_last(healer.into());
                self.capacity / 2 - 1
            }
            // Who is asked gives one more, as its own entry is not among them.
            Some(ViewSelection::Lease { .. }) => self.capacity / 2 - usize::from(whom == Given::Asked),
            Some(ViewSelection::Head | ViewSelection::Random | ViewSelection::Tail) => self.capacity,
            None => 0,
        };
        // The first half counts as given, as in the paper: this node's own entry was given in place of one of them.
        if let (false, Some(row)) = (is_lease, self.rows.get_mut(count)) {
            row.given = whom;
        }
        let wanted = move |row: &&mut Row| !is_lease || row.descriptor.node != to;
        self.rows.iter_mut().filter(wanted).take(count).map(move |row| {
            row.given = whom;
            (row.descriptor, (row.copies / 2).max(1))
        })
    }

    /// Takes up what `whom` gave, and lays down what is too much. Returns how many entries are new.
    pub(super) fn take(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        whom: Given,
        received: impl Iterator<Item = (Descriptor, u8)>,
    ) -> usize {
        let Some(sampling) = self.sampling else { return 0 };
        let before = self.rows.len();
        for (descriptor, copies) in received {
            match self.position(descriptor.node) {
                Some(known) => drop(self.freshen(known, descriptor, copies)),
                None if self.rows.len() < self.rows.capacity() => {
                    self.rows.push(Row { descriptor, copies, given: Given::No });
                }
                None => {}
            }
        }
        let news = self.rows.len() - before;
        self.expire(now);
        match sampling.view_selection {
            ViewSelection::Balanced { healer, swapper } => {
                self.drop_while_crowded(healer.into(), |view| view.oldest(|_| true));
                self.drop_while_crowded(swapper.into(), |view| view.given_away(whom));
            }
            ViewSelection::Lease { .. } => {
                self.drop_while_crowded(usize::MAX, |view| view.given_away(whom));
                self.drop_while_crowded(usize::MAX, |view| view.oldest(|_| true));
                self.halve(whom);
            }
            ViewSelection::Head => self.drop_while_crowded(usize::MAX, |view| view.oldest(|_| true)),
            ViewSelection::Tail => self.drop_while_crowded(usize::MAX, |view| view.youngest(|_| true)),
            ViewSelection::Random => {}
        }
        self.drop_while_crowded(usize::MAX, |view| Some(rng.below(view.rows.len() as u32) as usize));
        news
    }

    fn is_lease(&self) -> bool {
        self.sampling.is_some_and(|sampling| matches!(sampling.view_selection, ViewSelection::Lease { .. }))
    }

    /// What was given stands for less now.
    fn halve(&mut self, whom: Given) {
        for row in self.rows.iter_mut().filter(|row| row.given == whom) {
            row.copies -= row.copies / 2;
        }
    }

    fn given_away(&self, whom: Given) -> Option<usize> {
        self.rows.iter().position(|row| row.is_given_away(whom))
    }

    /// Drops what `which` points at, at most `most` times, until there is no more than the view holds.
    fn drop_while_crowded(&mut self, most: usize, mut which: impl FnMut(&Self) -> Option<usize>) {
        for _ in 0..most.min(self.rows.len().saturating_sub(self.capacity)) {
            let Some(position) = which(self) else { return };
            self.rows.remove(position);
        }
    }

    /// The younger of two entries of one node stays, and stands for both; a younger one counts as received just now. False
    /// where it is not younger.
    fn freshen(&mut self, known: usize, descriptor: Descriptor, copies: u8) -> bool {
        let is_lease = self.is_lease();
        let row = &mut self.rows[known];
        if is_lease && copies > 0 {
            (row.copies, row.given) = ((row.copies + copies).min(COPIES_MAX), Given::No);
        }
        let news = row.descriptor.born < descriptor.born;
        if news {
            let copies = row.copies;
            self.rows.remove(known);
            self.rows.push(Row { descriptor, copies, given: Given::No });
        }
        news
    }

    /// Every order is equally likely (R. Durstenfeld, *Algorithm 235*, 1964).
    fn shuffle(&mut self, rng: &mut Rng) {
        for last in (1..self.rows.len()).rev() {
            self.rows.swap(last, rng.below(last as u32 + 1) as usize);
        }
    }

    /// Moves the `count` oldest rows to the end.
    fn oldest_last(&mut self, count: usize) {
        for last in (1..self.rows.len()).rev().take(count) {
            let rows = self.rows[..=last].iter().enumerate();
            if let Some((oldest, _)) = rows.min_by_key(|(_, row)| row.descriptor.born) {
                self.rows.swap(oldest, last);
            }
        }
    }

    fn position(&self, node: NodeId) -> Option<usize> {
        self.rows.iter().position(|row| row.descriptor.node == node)
    }

    fn oldest(&self, fits: impl Fn(&Row) -> bool) -> Option<usize> {
        let fitting = self.rows.iter().enumerate().filter(|(_, row)| fits(row));
        fitting.min_by_key(|(_, row)| row.descriptor.born).map(|(position, _)| position)
    }

    fn youngest(&self, fits: impl Fn(&Row) -> bool) -> Option<usize> {
        let fitting = self.rows.iter().enumerate().filter(|(_, row)| fits(row));
        fitting.max_by_key(|(_, row)| row.descriptor.born).map(|(position, _)| position)
    }

    /// Panics where a node is listed twice, where `me` is listed, or where there are too many rows.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn check_invariants(&self, me: NodeId) {
        assert!(self.rows.len() <= self.capacity, "more entries than the view holds");
        assert!(self.position(me).is_none(), "this node is in its own view");
        for (position, row) in self.rows.iter().enumerate() {
            let node = row.descriptor.node;
            assert_eq!(self.position(node), Some(position), "node {node} is in the view twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const NOW: Instant = Instant::from_millis(1_000);

    fn descriptor(node: u64, age_ms: u64) -> Descriptor {
        let address = ([10, 0, 0, 1], 7_000).into();
        Descriptor { node: NodeId(node), address, born: Born::ago(NOW, Duration::from_millis(age_ms)) }
    }

    /// Nodes 1 to `count`, node n being n seconds old.
    fn view(name: &str, capacity: u16, count: u64) -> View {
        let sampling = name.parse().expect("a name");
        let mut view = View::new(Some(sampling), capacity, Duration::from_secs(2));
        assert!((1..=count).all(|node| view.insert(descriptor(node, node * 1_000))));
        view
    }

    fn nodes(view: &View) -> Vec<u64> {
        let mut nodes: Vec<u64> = view.iter().map(|descriptor| descriptor.node.0).collect();
        nodes.sort_unstable();
        nodes
    }

    fn rng() -> Rng {
        Rng::new(&[1; 32], 0)
    }

    fn given(view: &mut View, whom: Given) -> Vec<u64> {
        view.give(&mut rng(), whom, NodeId(99)).map(|(descriptor, _)| descriptor.node.0).collect()
    }

    #[test]
    fn ages_reach_back_before_the_clock_began() {
        let born = Born::ago(NOW, Duration::from_secs(3_600));
        assert_eq!(born.age(NOW), Duration::from_secs(3_600));
        assert!(born < Born::ago(NOW, Duration::from_secs(3_599)));
        assert_eq!(Born::ago(NOW, Duration::MAX).age(NOW).as_secs(), i64::MAX as u64 / 1_000_000);
    }

    #[test]
    fn the_fresher_entry_of_a_node_stays_and_the_oldest_gives_way() {
        let mut view = view("tail,head,pushpull", 4, 4);
        assert!(!view.insert(descriptor(2, 3_000)) && view.insert(descriptor(2, 500)));
        assert_eq!(
            view.iter().find(|known| known.node == NodeId(2)).map(|known| known.born.age(NOW).as_millis()),
            Some(500)
        );
        assert!(!view.insert(descriptor(9, 4_000)), "as old as the oldest");
        assert!(view.insert(descriptor(9, 100)));
        assert_eq!(nodes(&view), [1, 2, 3, 9]);
        view.forget(NodeId(9));
        assert_eq!(nodes(&view), [1, 2, 3]);
    }

    #[test]
    fn peers_are_selected_by_age_or_by_chance() {
        let (view, mut rng) = (view("tail,head,pushpull", 8, 8), rng());
        let mut select = |how| view.select_peer(&mut rng, how).expect("somebody").node.0;
        assert_eq!((select(PeerSelection::Head), select(PeerSelection::Tail)), (1, 8));
        let mut drawn: Vec<u64> = (0..200).map(|_| select(PeerSelection::Random)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 8);
        let nobody = View::new(None, 4, Duration::from_secs(2));
        assert_eq!(nobody.select_peer(&mut rng, PeerSelection::Tail), None);
    }

    #[test]
    fn what_is_given_spares_the_oldest() {
        let mut healing = view("tail,H=4 S=0,pushpull", 8, 8);
        for _ in 0..50 {
            let given = given(&mut healing, Given::Asked);
            assert!(given.len() == 3 && given.iter().all(|&node| node <= 4), "{given:?}");
        }
        assert_eq!(given(&mut view("tail,rand,push", 8, 8), Given::Asked).len(), 8);
    }

    /// Gives to somebody who gives nodes 11 to 14, fresh ones; returns who is left.
    fn exchange(name: &str) -> Vec<u64> {
        let mut view = view(name, 8, 8);
        given(&mut view, Given::Asked);
        let received = (11..=14).map(|node| (descriptor(node, node), 1));
        assert_eq!(view.take(NOW, &mut rng(), Given::Asked, received), 4);
        view.check_invariants(NodeId(99));
        nodes(&view)
    }

    #[test]
    fn the_healer_drops_the_oldest() {
        assert_eq!(exchange("tail,H=4 S=0,pushpull"), [1, 2, 3, 4, 11, 12, 13, 14]);
        assert_eq!(exchange("tail,head,pushpull"), [1, 2, 3, 4, 11, 12, 13, 14]);
        assert_eq!(exchange("tail,tail,pushpull"), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_swapper_drops_what_was_given_also_after_another_shuffle() {
        let mut view = view("tail,H=0 S=4,pushpull", 8, 8);
        let given = given(&mut view, Given::Asked);
        view.shuffle(&mut rng());
        view.take(NOW, &mut rng(), Given::Asked, (11..=14).map(|node| (descriptor(node, node), 1)));
        let kept = nodes(&view);
        assert!(given.len() == 3 && given.iter().all(|node| !kept.contains(node)), "{given:?} went, {kept:?} stayed");
        assert!((11..=14).all(|node| kept.contains(&node)), "who gives its own entry gets one for it: {kept:?}");
    }

    #[test]
    fn the_random_selection_keeps_any() {
        let kept = exchange("tail,rand,pushpull");
        assert_eq!(kept, exchange("tail,rand,pushpull"), "the same seed is the same choice");
        assert!(
            kept.len() == 8 && kept.iter().any(|&node| node < 10) && kept.iter().any(|&node| node > 10),
            "{kept:?}"
        );
    }

    /// Three periods are six seconds here: nodes 7 and 8 are too old, but a quarter of the view stays.
    #[test]
    fn leases_run_out() {
        let mut full = view("tail,C=4 L=3,pushpull", 8, 8);
        full.expire(NOW);
        assert_eq!(nodes(&full), [1, 2, 3, 4, 5, 6]);
        full.expire(NOW + Duration::from_secs(100));
        assert_eq!(nodes(&full), [1, 2]);
    }

    #[test]
    fn leases_are_halved_when_they_are_given_and_added_when_they_meet() {
        let mut view = view("tail,C=4 L=9,pushpull", 8, 0);
        let received = [(descriptor(1, 10), 5), (descriptor(2, 20), 1)];
        view.take(NOW, &mut rng(), Given::Asked, received.into_iter());
        let mut given: Vec<_> =
            view.give(&mut rng(), Given::Asking, NodeId(99)).map(|(one, copies)| (one.node.0, copies)).collect();
        given.sort_unstable();
        assert_eq!(given, [(1, 2), (2, 1)]);
        view.take(NOW, &mut rng(), Given::Asking, [(descriptor(2, 5), 3)].into_iter());
        let mut copies: Vec<_> = view.rows.iter().map(|row| (row.descriptor.node.0, row.copies)).collect();
        copies.sort_unstable();
        assert_eq!(copies, [(1, 3), (2, 4)]);
    }

    #[test]
    fn ages_are_counted_in_exchanges_where_that_is_wanted() {
        let sampling = Sampling { freshness: Freshness::Counted, ..Sampling::balanced(8) };
        let mut view = View::new(Some(sampling), 8, Duration::from_secs(2));
        view.insert(Descriptor { born: Born::ago(view.clock(NOW), Duration::ZERO), ..descriptor(1, 0) });
        let age = |view: &View, now| view.iter().map(|one| one.born.age(view.clock(now)).as_secs()).next();
        assert_eq!(age(&view, NOW + Duration::from_secs(60)), Some(0));
        (0..3).for_each(|_| view.count_exchange());
        view.count_turn();
        assert_eq!((age(&view, NOW), view.hop()), (Some(3), Duration::ZERO));
        view.sampling = Some(Sampling { view_selection: ViewSelection::Head, ..sampling });
        view.count_exchange();
        view.count_turn();
        assert_eq!((age(&view, NOW), view.hop()), (Some(5), Duration::from_secs(2)));
    }

    #[test]
    fn draws_are_among_those_that_fit() {
        let (view, mut rng) = (view("tail,head,pushpull", 8, 8), rng());
        assert!((0..50).all(|_| view.draw(&mut rng, |one| one.node.0 > 6).is_some_and(|one| one.node.0 > 6)));
        assert_eq!(view.draw(&mut rng, |_| false), None);
    }
}
