//! What is given in an exchange, and what stays after it.
//!
//! Two players show each other a part of their hands: the one who lays down what it has shown, and keeps what it was shown
//! instead, has *swapped*; the one who lays down the oldest has *healed*. What was shown is marked in the rows until the other
//! part is there, whatever happens in between.

use super::{Born, Descriptor, Given, Row, View};
use crate::ids::NodeId;
use crate::membership::prefix::crowd;
use crate::membership::sampling::strategy::{ViewPropagation, ViewSelection};
use crate::rng::Rng;
use crate::time::Instant;

impl View {
    /// What to give to `whom` beside this node's own entry, each with how many it stands for; the rows are marked so.
    /// Afterwards the order is another one.
    pub(in crate::membership::sampling) fn give(
        &mut self,
        rng: &mut Rng,
        whom: Given,
        to: NodeId,
    ) -> impl Iterator<Item = (Descriptor, u8)> {
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
    pub(in crate::membership::sampling) fn take(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        whom: Given,
        received: impl Iterator<Item = (Descriptor, u8)>,
    ) -> usize {
        let Some(sampling) = self.sampling else { return 0 };
        // With push alone who asks is given nothing: what goes is what was given last to somebody who was asked. (It is the head
        // of the view in the paper, to whomever it was given.)
        let whom = if sampling.view_propagation == ViewPropagation::Push { Given::Asked } else { whom };
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
        self.lay_down(sampling.view_selection, now, rng, whom);
        news
    }

    /// Lays down what is too much by the rules of this view selection, at last any.
    fn lay_down(&mut self, how: ViewSelection, now: Instant, rng: &mut Rng, whom: Given) {
        let all = usize::MAX;
        match how {
            ViewSelection::Balanced { healer, swapper } => {
                self.drop_while_crowded(now, healer.into(), Self::oldest);
                self.drop_while_crowded(now, swapper.into(), |view, fits| view.given_away(whom, fits));
            }
            ViewSelection::Lease { .. } => {
                self.drop_while_crowded(now, all, |view, fits| view.given_away(whom, fits));
                self.drop_while_crowded(now, all, Self::oldest);
                self.halve(whom);
            }
            ViewSelection::Head => self.drop_while_crowded(now, all, Self::oldest),
            ViewSelection::Tail => self.drop_while_crowded(now, all, Self::youngest),
            ViewSelection::Random => {}
        }
        self.drop_while_crowded(now, all, |view, fits| view.any(rng, fits));
    }

    pub(super) fn is_lease(&self) -> bool {
        self.sampling.is_some_and(|sampling| matches!(sampling.view_selection, ViewSelection::Lease { .. }))
    }

    /// What was given stands for less now.
    fn halve(&mut self, whom: Given) {
        for row in self.rows.iter_mut().filter(|row| row.given == whom) {
            row.copies -= row.copies / 2;
        }
    }

    fn given_away(&self, whom: Given, fits: &dyn Fn(&Row) -> bool) -> Option<usize> {
        self.rows.iter().position(|row| row.is_given_away(whom) && fits(row))
    }

    fn any(&self, rng: &mut Rng, fits: &dyn Fn(&Row) -> bool) -> Option<usize> {
        let fitting = || self.rows.iter().enumerate().filter(|(_, row)| fits(row));
        let chosen = rng.below(fitting().count() as u32) as usize;
        fitting().nth(chosen).map(|(position, _)| position)
    }

    /// Drops what `which` points at, at most `most` times, until there is no more than the view holds. Where a prefix has more
    /// than its share, what goes is of that prefix, or so old that its node is surely gone.
    fn drop_while_crowded(
        &mut self,
        now: Instant,
        most: usize,
        mut which: impl FnMut(&Self, &dyn Fn(&Row) -> bool) -> Option<usize>,
    ) {
        let gone = Born::ago(self.clock(now), self.period * self.capacity as u32 / 2);
        for _ in 0..most.min(self.rows.len().saturating_sub(self.capacity)) {
            let crowd = crowd(self.addresses());
            let may_go = |row: &Row| row.is_in(crowd) || row.descriptor.born < gone;
            let Some(position) = which(self, &may_go) else { return };
            self.rows.remove(position);
        }
    }

    /// Every order is equally likely (R. Durstenfeld, *Algorithm 235*, 1964).
    pub(super) fn shuffle(&mut self, rng: &mut Rng) {
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
}
