//! One clerk: what was seen of one origin in one of its lives.

use core::hash::Hasher;
use core::ops::RangeInclusive;

use crate::ids::{Incarnation, NodeId};
use crate::storage::List;
use crate::time::Instant;

/// The widest strip, in sequence numbers: one that takes the largest message, chunk by chunk.
pub(crate) const WINDOW_MAX: u64 = 1_024;

/// A strip of boxes, one for each number behind `top`: bit `i` of word `w` is `top + 1 + 64 w + i`.
pub(crate) type Window = [u64; (WINDOW_MAX / 64) as usize];

/// No box is ticked.
pub(super) const EMPTY: Window = [0; (WINDOW_MAX / 64) as usize];

/// So much of the strip is always part of what nodes compare, and so much more as has a ticked box.
const COMPARED_WORDS: usize = 4;

/// What happens to a message with a certain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Not seen yet, and near enough.
    New,
    /// Seen, or told as lost.
    Seen,
    /// Beyond the strip.
    Ahead,
}

/// What was seen of one origin in one of its lives.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Everything up to here was seen, or was told as lost.
    pub(crate) top: u64,
    /// Everything up to here was passed over when the row was made: it was seen before the origin was forgotten, or this
    /// node came too late for it. On record with each message, as a row may be on record later or not at all.
    pub(crate) base: u64,
    /// The highest number that anybody has mentioned.
    pub(crate) known: u64,
    /// Bit `i`: `top + 1 + i` was seen.
    pub(super) window: Window,
    /// When the origin last gave a sign of life: a message, told age taken off.
    pub(crate) heard: Instant,
    /// When something new of the origin was seen here last.
    pub(crate) progress: Instant,
    /// The row stays as long as if the origin had given a sign of life then, though others are not told of it: a loss was
    /// told then, which binds; or this is an earlier life of this node, which may have sent something until then. (What waits
    /// for its first reader does not age, and no record says for how long it waited: copies may be younger than the
    /// record.)
    pub(crate) kept_since: Instant,
    /// Everything missing up to `hole_mark` has been missing since `hole_since` at least.
    pub(crate) hole_since: Instant,
    pub(crate) hole_mark: u64,
    /// The same of what became known meanwhile; no mark beyond the other one: of nothing.
    later_since: Instant,
    later_mark: u64,
    /// The last fifo message that was released to the application, or told as lost.
    pub(crate) fifo_done: u64,
    /// Fifo messages that wait for earlier ones, in the order of their numbers.
    pub(crate) waiting: List,
    /// Held messages, in the order of their numbers.
    pub(crate) held: List,
    /// Told as lost, and not yet told to the application.
    pub(crate) gap: Option<(u64, u64)>,
    /// The last `gap`, told or not: what records say must not depend on when events are polled, and a gap on record as
    /// told might not have been heard. So it is told again by each life that starts from the record.
    pub(crate) last_gap: Option<(u64, u64)>,
    /// Bytes set aside for its messages of which chunks are missing.
    pub(crate) assembling: u32,
    /// Others have forgotten this origin: it is no part of what nodes compare.
    pub(crate) retired: bool,
    /// The share of this row in the root.
    pub(super) fingerprint: u64,
}

impl Origin {
    /// Nothing was seen yet.
    pub(super) fn new(now: Instant, node: NodeId, incarnation: Incarnation) -> Self {
        Self {
            node,
            incarnation,
            top: 0,
            base: 0,
            known: 0,
            window: EMPTY,
            heard: now,
            progress: now,
            kept_since: now,
            hole_since: now,
            hole_mark: 0,
            later_since: now,
            later_mark: 0,
            fifo_done: 0,
            waiting: List::default(),
            held: List::default(),
            gap: None,
            last_gap: None,
            assembling: 0,
            retired: false,
            fingerprint: 0,
        }
    }

    pub(crate) fn freshness(&self, seq: u64, window: u64) -> Freshness {
        match seq.checked_sub(self.top + 1) {
            None => Freshness::Seen,
            Some(offset) if offset >= window => Freshness::Ahead,
            Some(offset) if self.bit(offset) => Freshness::Seen,
            Some(_) => Freshness::New,
        }
    }

    /// Whether nothing was seen of a range.
    pub(crate) fn is_unseen(&self, mut range: RangeInclusive<u64>) -> bool {
        range.all(|seq| self.freshness(seq, WINDOW_MAX) != Freshness::Seen)
    }

    /// Whether a number is of the range that was last told as lost.
    pub(crate) fn is_told_lost(&self, seq: u64) -> bool {
        self.last_gap.is_some_and(|(first, last)| (first..=last).contains(&seq))
    }

    /// The first run of numbers that are missing, up to `known`.
    pub(crate) fn first_hole(&self) -> Option<RangeInclusive<u64>> {
        self.holes().next()
    }

    /// All runs of missing numbers within the strip, ascending.
    pub(crate) fn holes(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        Strip { origin: self, at: 0, end: (self.known.saturating_sub(self.top)).min(WINDOW_MAX), seen: false }
    }

    /// The highest number that was seen.
    pub(crate) fn highest(&self) -> u64 {
        self.seen_runs().last().map_or(self.top, |run| *run.end())
    }

    /// All runs of seen numbers above `top`, ascending.
    pub(crate) fn seen_runs(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        Strip { origin: self, at: 0, end: WINDOW_MAX, seen: true }
    }

    /// The strip up to the last ticked box, in whole words.
    pub(crate) fn window(&self) -> &[u64] {
        let words = self.window.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        &self.window[..words]
    }

    /// Whether `seq` and all that was seen above it could be taken for unseen, which the strip has to hold.
    pub(crate) fn could_unsee(&self, seq: u64) -> bool {
        self.highest() < seq + WINDOW_MAX && seq > self.base
    }

    /// Unticks the box of a number that was seen. `top` goes back below it.
    pub(super) fn unset(&mut self, seq: u64) {
        if let Some(back) = self.top.checked_sub(seq) {
            self.shift_back(back + 1);
            self.top = seq - 1;
        }
        let offset = seq - self.top - 1;
        self.window[(offset / 64) as usize] &= !(1 << (offset % 64));
    }

    /// Once all that was dated is here, what became known meanwhile comes next. Two dates and not one, or a node that
    /// catches up would wait for each loss anew; and not more, as what is dated late is only told late.
    pub(super) fn date_holes(&mut self, now: Instant) {
        if self.top >= self.hole_mark {
            let later = (self.later_since, self.later_mark);
            (self.hole_since, self.hole_mark) = if self.top < later.1 { later } else { (now, self.known) };
        }
        if self.later_mark <= self.hole_mark && self.known > self.hole_mark {
            (self.later_since, self.later_mark) = (now, self.known);
        }
    }

    pub(super) fn bit(&self, offset: u64) -> bool {
        self.window[(offset / 64) as usize] >> (offset % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, offset: u64) {
        self.window[(offset / 64) as usize] |= 1 << (offset % 64);
    }

    /// Takes a number as not seen, for a look at what was there before. Numbers that do not fit into the strip then are
    /// not seen either.
    pub(super) fn unsee(&mut self, seq: u64) {
        if let Some(offset) = seq.checked_sub(self.top + 1) {
            if offset < WINDOW_MAX {
                self.window[(offset / 64) as usize] &= !(1 << (offset % 64));
            }
            return;
        }
        self.unshift(self.top - seq + 1);
        self.window[0] &= !1;
        self.top = seq - 1;
    }

    /// The reverse of `shift`: what comes back into the strip was seen.
    fn unshift(&mut self, by: u64) {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let before = self.window;
        let word = |at: Option<usize>| at.map_or(u64::MAX, |at| before[at]);
        for (i, after) in self.window.iter_mut().enumerate() {
            let (high, low) = (word(i.checked_sub(words)), word(i.checked_sub(words + 1)));
            *after = if bits == 0 { high } else { high << bits | low >> (64 - bits) };
        }
    }

    /// Moves `top` over everything that was seen without a gap behind it.
    pub(super) fn slide(&mut self) {
        let run = self.window.iter().try_fold(0, |run, word| {
            let ones = u64::from(word.trailing_ones());
            if ones == 64 { Ok(run + 64) } else { Err(run + ones) }
        });
        let run = run.unwrap_or_else(|run| run);
        self.shift(run);
        self.top += run;
    }

    /// Moves the strip by fewer boxes than it has; those that come in are ticked.
    fn shift_back(&mut self, by: u64) {
        let (words, bits) = ((by / 64) as usize, by % 64);
        for i in (0..self.window.len()).rev() {
            let word = |back: usize| i.checked_sub(back).map_or(u64::MAX, |i| self.window[i]);
            let (high, low) = (word(words), word(words + 1));
            self.window[i] = if bits == 0 { high } else { high << bits | low >> (64 - bits) };
        }
    }

    pub(super) fn shift(&mut self, by: u64) {
        if by == 0 {
            return;
        }
        let (words, bits) = ((by / 64) as usize, by % 64);
        let count = self.window.len();
        for i in 0..count {
            let low = self.window.get(i + words).copied().unwrap_or(0);
            let high = self.window.get(i + words + 1).copied().unwrap_or(0);
            self.window[i] = if bits == 0 { low } else { low >> bits | high << (64 - bits) };
        }
    }
}

/// Walks the strip in runs of ticked or of empty boxes.
struct Strip<'a> {
    origin: &'a Origin,
    at: u64,
    end: u64,
    seen: bool,
}

impl Iterator for Strip<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        let first = self.next_box(self.seen)?;
        self.at = first;
        let end = self.next_box(!self.seen).unwrap_or(self.end);
        self.at = end;
        let base = self.origin.top.saturating_add(1);
        Some(base.saturating_add(first)..=base.saturating_add(end - 1))
    }
}

impl Strip<'_> {
    /// The first box at or behind `at` that is ticked (or empty), a word at a time.
    fn next_box(&self, ticked: bool) -> Option<u64> {
        let mut at = self.at;
        while at < self.end {
            let word = self.origin.window[(at / 64) as usize];
            let word = (if ticked { word } else { !word }) >> (at % 64);
            if word != 0 {
                let found = at + u64::from(word.trailing_zeros());
                return (found < self.end).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}

/// The share of one row in the root; nothing where nothing was seen or the row is retired, as another node may have no
/// row for it.
pub(super) fn fingerprint(root_key: u64, origin: &Origin) -> u64 {
    if origin.retired || origin.top == 0 && origin.window.iter().all(|&word| word == 0) {
        return 0;
    }
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(root_key, 1);
    for number in [origin.node.0, origin.incarnation.0, origin.top] {
        hasher.write(&number.to_le_bytes());
    }
    let compared = origin.window().len().max(COMPARED_WORDS);
    for word in &origin.window[..compared] {
        hasher.write(&word.to_le_bytes());
    }
    hasher.finish()
}
