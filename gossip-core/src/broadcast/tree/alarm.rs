//! Alarm: what had to be fetched is announced to all neighbors, and fetched by who lacks it.
//!
//! # Intuition
//!
//! Where a telephone line is down, whoever hears the news in spite of it guesses that others behind the break have
//! not. He calls out of the window: "there is news, who wants it?" Those who had it already shrug; those who had not ask for
//! it, and call out of their windows too. So the news crosses the broken quarter from window to window, and where
//! the lines hold nobody is bothered.
//!
//! # Rules
//!
//! - A message that had to be fetched (a repeated copy over a link that is none of the tree) and is young is announced to
//!   all neighbors that are not known to have it, and goes on along the tree with the flag `ALARM`; whoever gets it with
//!   that flag announces it too.
//! - What was announced and does not come is fetched: after a digest at once, after an alarm when [`PATIENCE`] is over. The
//!   nearest who announced it is asked, after a round trip the next, round robin.
//! - After the first message that had to be fetched the parent gets a digest, which it has to answer.
//! - Two messages in a row that had to be fetched (three for a careful node) say that the parent has failed: another one
//!   is looked for, and where there is none the parent stays.
//!
//! # Bounds
//!
//! [`LACKS_MAX`] messages, or half as many as are kept, are known to be missing at once, a further one takes the place of the oldest; each is asked for
//! [`ATTEMPTS`] times. A message is announced once to each link. Beyond that it is the business of `anti_entropy`.
//!
//! # Sources, and where this differs
//!
//! Announcing and grafting is Plumtree's repair (Leitão, Pereira and Rodrigues 2007); there every message is announced over
//! every link that is none of the tree, here only what was fetched, and fetching does not change the tree.

use core::time::Duration;

use alloc::boxed::Box;

use super::ancestors::mix;
use super::digest::{NAMES_MAX, Names};
use super::links::ANSWER_SLACK;
use super::recent::CardNo;
use super::{Forest, Timer, bit, mark, micros, round_trip, rows};
use crate::broadcast::copies::Copies;
use crate::pack::{Full, Packer};
use crate::peer::PeerIdx;
use crate::protocol::Cx;
use crate::storage::{Grid, Index};
use crate::wire::{self, Blob, Data, Kind};

/// How long what was announced by alarm may still come by itself.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

/// Messages of this age or more cause no alarm: they come late to everybody, or to a newcomer.
pub(super) const YOUNG_MS: u32 = 10_000;

/// Messages in a row that have to be fetched until the parent is taken for failed.
pub(super) const MISSES_MAX: u8 = 2;

/// Messages that are known to be missing, at most.
const LACKS_MAX: usize = 64;

/// How often one is asked for.
const ATTEMPTS: u8 = 5;

/// A message that others have.
#[derive(Clone, Copy, Debug)]
struct Lack {
    name: u32,
    /// Who announced it, and who of them was asked in this round.
    holders: u64,
    asked: u64,
    attempts: u8,
    /// The request is to be sent there.
    owed: Option<u8>,
}

/// What is missing, what others miss, and what is to be announced.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    lacks: Box<[Option<Lack>]>,
    index: Index,
    /// The place that is taken next.
    next: usize,
    /// Links that are owed a request.
    pub(super) fetches: u64,
    /// Links by cards: to be sent; to be announced.
    answers: Grid,
    announcements: Grid,
}

impl Missing {
    pub(super) fn new(links: usize, cards: usize) -> Self {
        Self {
            lacks: (0..lacks(cards)).map(|_| None).collect(),
            index: Index::new(lacks(cards)),
            next: 0,
            fetches: 0,
            answers: Grid::new(links, cards),
            announcements: Grid::new(links, cards),
        }
    }

    pub(super) const fn heap_bytes(links: usize, cards: usize) -> usize {
        let lacks = lacks(cards);
        lacks * size_of::<Option<Lack>>() + Index::heap_bytes(lacks) + 2 * Grid::heap_bytes(links, cards)
    }

    /// A neighbor has a message that is not here. The place of the message among the missing, if that is news.
    pub(super) fn announce(&mut self, name: u32, row: usize) -> Option<usize> {
        let is_it = |at: u32| self.lacks[at as usize].is_some_and(|lack| lack.name == name);
        if let Some(known) = self.index.find(mix(name.into()), is_it) {
            if let Some(lack) = &mut self.lacks[known as usize] {
                lack.holders |= bit(row);
            }
            return None;
        }
        let place = self.next;
        self.next = (place + 1) % self.lacks.len();
        self.drop_lack(place);
        self.lacks[place] = Some(Lack { name, holders: bit(row), asked: 0, attempts: 0, owed: None });
        self.index.insert(mix(name.into()), place as u32).expect("the index has room for every place");
        Some(place)
    }

    fn drop_lack(&mut self, place: usize) {
        if let Some(lack) = self.lacks[place].take() {
            self.index.remove(mix(lack.name.into()), place as u32);
        }
    }

    pub(super) fn forget_link(&mut self, row: usize) {
        self.answers.clear_row(row);
        self.announcements.clear_row(row);
        self.fetches &= !bit(row);
        for lack in self.lacks.iter_mut().flatten() {
            lack.holders &= !bit(row);
            lack.owed = lack.owed.filter(|&owed| usize::from(owed) != row);
        }
    }

    /// A card is used anew, or its message is gone.
    pub(super) fn forget_card(&mut self, place: CardNo) {
        self.answers.clear_column(place.into());
        self.announcements.clear_column(place.into());
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn owes(&self, row: usize) -> bool {
        let idle = self.answers.row_is_empty(row) && self.announcements.row_is_empty(row);
        !idle || self.fetches & bit(row) != 0
    }
}

/// Half as many messages may be missing as are kept, up to a limit.
pub(super) const fn lacks(messages: usize) -> usize {
    let half = messages.div_ceil(2);
    if half < LACKS_MAX { half } else { LACKS_MAX }
}

impl Forest {
    /// Announces a message to all neighbors that may lack it, and that will not get it anyway.
    pub(super) fn raise_alarm(&mut self, cx: &mut Cx<'_>, place: CardNo, served: u64) {
        self.recent.get_mut(place).alarm = true;
        for row in rows(cx.peers.mask() & !served) {
            if !self.recent.knows(row, place) {
                self.missing.announcements.set(row, place.into());
                mark(cx.peers, bit(row));
            }
        }
    }

    /// A message had to be fetched: once may be chance, twice is the parent.
    pub(super) fn note_miss(&mut self, cx: &mut Cx<'_>, tree: usize) {
        self.note_damage(cx.now);
        let place = &mut self.trees[tree].place;
        place.misses = place.misses.saturating_add(1);
        if let Some(parent) = place.parent.filter(|_| place.misses == 1) {
            self.ask(cx, parent);
        }
        let place = &mut self.trees[tree].place;
        if let Some(parent) = place.parent.filter(|_| place.misses >= MISSES_MAX + u8::from(self.loss.is_careful())) {
            place.misses = 0;
            if let Some(better) = self.best_parent(cx, tree, bit(parent)) {
                self.adopt(cx, tree, better);
            }
        }
    }

    /// Asks the nearest neighbor that has a missing message, and was not asked in this round.
    pub(super) fn on_lack_timer(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(lack) = self.missing.lacks[at] else { return };
        let linked = cx.peers.mask();
        if self.recent.find(lack.name).is_some() || lack.attempts >= ATTEMPTS || lack.holders & linked == 0 {
            return self.missing.drop_lack(at);
        }
        let fresh = lack.holders & linked & !lack.asked;
        let (candidates, asked) = if fresh == 0 { (lack.holders & linked, 0) } else { (fresh, lack.asked) };
        let trip = |row: &usize| round_trip(cx.peers, *row, &self.pace);
        let Some(row) = rows(candidates).min_by_key(trip) else { return };
        let patience = micros(trip(&row)) + ANSWER_SLACK;
        self.missing.lacks[at] =
            Some(Lack { asked: asked | bit(row), attempts: lack.attempts + 1, owed: Some(row as u8), ..lack });
        self.missing.fetches |= bit(row);
        mark(cx.peers, bit(row));
        self.timers.set(Timer::Lack(at), cx.now + patience);
    }

    pub(super) fn on_fetch(&mut self, cx: &mut Cx<'_>, from: PeerIdx, fetch: &wire::Fetch<'_>) {
        for id in fetch.ids.0.as_chunks::<4>().0.iter().take(NAMES_MAX) {
            let place = self.recent.find(u32::from_le_bytes(*id));
            if let Some(place) = place.filter(|&place| self.recent.get(place).slot.is_some()) {
                self.missing.answers.set(from.row(), place.into());
                mark(cx.peers, bit(from.row()));
            }
        }
    }

    /// Writes requests, then answers to those of the neighbor, then announcements.
    pub(super) fn write_repairs(
        &mut self,
        cx: &mut Cx<'_>,
        copies: &Copies,
        to: PeerIdx,
        packet: &mut Packer<'_>,
    ) -> Result<(), Full> {
        let row = to.row();
        if self.missing.fetches & bit(row) != 0 {
            self.write_fetch(cx, row, packet)?;
        }
        while let Some(place) = self.missing.answers.next_in_row(row, 0) {
            let card = self.recent.get(place as CardNo);
            let flags = Data::RESENT | if card.alarm { Data::ALARM } else { 0 };
            if let Some(slot) = card.slot
                && copies.write_one(cx, to, slot, flags, packet)?
            {
                cx.stats.repairs_sent += 1;
            }
            self.missing.answers.clear(row, place);
        }
        if !self.missing.announcements.row_is_empty(row) {
            self.write_announcements(cx, row, packet)?;
        }
        Ok(())
    }

    fn write_fetch(&mut self, cx: &mut Cx<'_>, row: usize, packet: &mut Packer<'_>) -> Result<(), Full> {
        let mut names = Names::new();
        for lack in self.missing.lacks.iter_mut().flatten().filter(|lack| lack.owed == Some(row as u8)) {
            // There are fewer places than names that fit.
            let _fits = names.extend_from_slice(&lack.name.to_le_bytes());
        }
        if !names.is_empty() {
            packet.frame(Kind::FETCH, &wire::Fetch { ids: Blob(&names) })?;
            cx.stats.fetches_sent += (names.len() / 4) as u64;
        }
        for lack in self.missing.lacks.iter_mut().flatten().filter(|lack| lack.owed == Some(row as u8)) {
            lack.owed = None;
        }
        self.missing.fetches &= !bit(row);
        Ok(())
    }

    fn write_announcements(&mut self, cx: &mut Cx<'_>, row: usize, packet: &mut Packer<'_>) -> Result<(), Full> {
        let mut names = Names::new();
        let room = packet.room().saturating_sub(16) / 4;
        let mut last = 0;
        while let Some(place) = self.missing.announcements.next_in_row(row, last).filter(|&place| place >= last) {
            let name = self.recent.get(place as CardNo).name;
            if names.len() / 4 >= room || names.extend_from_slice(&name.to_le_bytes()).is_err() {
                break;
            }
            last = place + 1;
        }
        if names.is_empty() {
            return Err(Full);
        }
        packet.frame(Kind::ANNOUNCE, &wire::Announce { number: 0, ids: Blob(&names) })?;
        cx.stats.announced += (names.len() / 4) as u64;
        while let Some(place) = self.missing.announcements.next_in_row(row, 0).filter(|&place| place < last) {
            self.missing.announcements.clear(row, place);
        }
        if self.missing.announcements.row_is_empty(row) { Ok(()) } else { Err(Full) }
    }
}
