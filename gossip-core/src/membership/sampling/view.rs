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

use super::strategy::{PeerSelection, Sampling, ViewSelection};
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
    given: Given,
}

/// The rows: at most `capacity` between two exchanges, and during one as many more as the other side gives.
#[derive(Clone, Debug)]
pub(crate) struct View {
    rows: Vec<Row>,
    capacity: usize,
}

impl View {
    /// Room for `capacity` entries, and `received` more during an exchange.
    pub(crate) fn new(capacity: usize, received: usize) -> Self {
        Self { rows: Vec::with_capacity(capacity + received), capacity }
    }

    pub(crate) const fn heap_bytes(capacity: usize, received: usize) -> usize {
        (capacity + received) * size_of::<Row>()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
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
            return self.freshen(known, descriptor);
        }
        if self.rows.len() >= self.capacity {
            let Some(oldest) = self.oldest(|row| row.descriptor.born < descriptor.born) else { return false };
            self.rows.remove(oldest);
        }
        self.rows.push(Row { descriptor, given: Given::No });
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

    /// What to give to `whom` beside this node's own entry; the rows are marked so. Afterwards the order is another one.
    pub(super) fn give(&mut self, rng: &mut Rng, sampling: &Sampling, whom: Given) -> impl Iterator<Item = Descriptor> {
        for row in &mut self.rows {
            row.given = if row.given == whom { Given::No } else { row.given };
        }
        self.shuffle(rng);
        let count = match sampling.view_selection {
            ViewSelection::Balanced { healer, .. } => {
                self.oldest_last(healer.into());
                self.capacity / 2 - 1
            }
            ViewSelection::Head | ViewSelection::Random | ViewSelection::Tail => self.capacity,
        };
        self.rows.iter_mut().take(count).map(move |row| {
            row.given = whom;
            row.descriptor
        })
    }

    /// Takes up what `whom` gave, and lays down what is too much. Returns how many entries are new.
    pub(super) fn take(
        &mut self,
        rng: &mut Rng,
        sampling: &Sampling,
        whom: Given,
        received: impl Iterator<Item = Descriptor>,
    ) -> usize {
        let before = self.rows.len();
        for descriptor in received {
            match self.position(descriptor.node) {
                Some(known) => drop(self.freshen(known, descriptor)),
                None if self.rows.len() < self.rows.capacity() => self.rows.push(Row { descriptor, given: Given::No }),
                None => {}
            }
        }
        let news = self.rows.len() - before;
        match sampling.view_selection {
            ViewSelection::Balanced { healer, swapper } => {
                self.drop_while_crowded(healer.into(), |view| view.oldest(|_| true));
                self.drop_while_crowded(swapper.into(), |view| view.rows.iter().position(|row| row.given == whom));
            }
            ViewSelection::Head => self.drop_while_crowded(usize::MAX, |view| view.oldest(|_| true)),
            ViewSelection::Tail => self.drop_while_crowded(usize::MAX, |view| view.youngest(|_| true)),
            ViewSelection::Random => {}
        }
        self.drop_while_crowded(usize::MAX, |view| Some(rng.below(view.rows.len() as u32) as usize));
        news
    }

    /// Drops what `which` points at, at most `most` times, until there is no more than the view holds.
    fn drop_while_crowded(&mut self, most: usize, mut which: impl FnMut(&Self) -> Option<usize>) {
        for _ in 0..most.min(self.rows.len().saturating_sub(self.capacity)) {
            let Some(position) = which(self) else { return };
            self.rows.remove(position);
        }
    }

    /// The younger of two entries of one node stays; a younger one counts as received just now. False where it is not.
    fn freshen(&mut self, known: usize, descriptor: Descriptor) -> bool {
        let news = self.rows[known].descriptor.born < descriptor.born;
        if news {
            self.rows.remove(known);
            self.rows.push(Row { descriptor, given: Given::No });
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
    fn view(capacity: usize, count: u64) -> View {
        let mut view = View::new(capacity, capacity + 1);
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

    fn sampling(name: &str) -> Sampling {
        name.parse().expect("a name")
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
        let mut view = view(4, 4);
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
        let (view, mut rng) = (view(8, 8), rng());
        let mut select = |how| view.select_peer(&mut rng, how).expect("somebody").node.0;
        assert_eq!((select(PeerSelection::Head), select(PeerSelection::Tail)), (1, 8));
        let mut drawn: Vec<u64> = (0..200).map(|_| select(PeerSelection::Random)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 8);
        assert_eq!(View::new(4, 2).select_peer(&mut rng, PeerSelection::Tail), None);
    }

    #[test]
    fn what_is_given_spares_the_oldest() {
        let (mut view, mut rng) = (view(8, 8), rng());
        for _ in 0..50 {
            let given: Vec<u64> = view
                .give(&mut rng, &sampling("tail,H=4 S=0,pushpull"), Given::Asked)
                .map(|given| given.node.0)
                .collect();
            assert!(given.len() == 3 && given.iter().all(|&node| node <= 4), "{given:?}");
        }
        assert_eq!(view.give(&mut rng, &sampling("tail,rand,push"), Given::Asked).count(), 8);
    }

    /// Gives to somebody who gives nodes 11 to 14, fresh ones, and returns what was given and who is left.
    fn exchange(name: &str) -> (Vec<u64>, Vec<u64>) {
        let (mut view, mut rng, sampling) = (view(8, 8), rng(), sampling(name));
        let given: Vec<u64> = view.give(&mut rng, &sampling, Given::Asked).map(|given| given.node.0).collect();
        // Somebody else exchanges in between, with nothing to give.
        view.give(&mut rng, &sampling, Given::Asking).for_each(drop);
        let received = (11..=14).map(|node| descriptor(node, node));
        assert_eq!(view.take(&mut rng, &sampling, Given::Asked, received), 4);
        view.check_invariants(NodeId(99));
        (given, nodes(&view))
    }

    #[test]
    fn the_healer_drops_the_oldest() {
        assert_eq!(exchange("tail,H=4 S=0,pushpull").1, [1, 2, 3, 4, 11, 12, 13, 14]);
        assert_eq!(exchange("tail,head,pushpull").1, [1, 2, 3, 4, 11, 12, 13, 14]);
        assert_eq!(exchange("tail,tail,pushpull").1, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_swapper_drops_what_was_given_also_after_another_exchange() {
        let (mut view, mut rng, swap) = (view(8, 8), rng(), sampling("tail,H=0 S=4,pushpull"));
        let given: Vec<u64> = view.give(&mut rng, &swap, Given::Asked).map(|given| given.node.0).collect();
        view.shuffle(&mut rng);
        view.take(&mut rng, &swap, Given::Asked, (11..=13).map(|node| descriptor(node, node)));
        let expected: Vec<u64> = (1..=8).filter(|node| !given.contains(node)).chain(11..=13).collect();
        assert_eq!(nodes(&view), expected);
    }

    #[test]
    fn the_random_selection_keeps_any() {
        let mut kept: Vec<Vec<u64>> = (0..3).map(|_| exchange("tail,rand,pushpull").1).collect();
        assert!(kept.iter().all(|nodes| nodes.len() == 8));
        kept.dedup();
        assert_eq!(kept.len(), 1, "the same seed is the same choice");
    }

    #[test]
    fn draws_are_among_those_that_fit() {
        let (view, mut rng) = (view(8, 8), rng());
        assert!((0..50).all(|_| view.draw(&mut rng, |one| one.node.0 > 6).is_some_and(|one| one.node.0 > 6)));
        assert_eq!(view.draw(&mut rng, |_| false), None);
    }
}
