//! In which order messages reach the application.
//!
//! # Intuition
//!
//! A doorman at the application's door. *Unordered* guests go in as they come. A *fifo* guest carries a slip that says
//! how far back the previous fifo guest of the same house is; if that one has gone in, or is known never to come, the
//! guest goes in, and else waits on the bench of that house.
//!
//! # Rules
//!
//! A fifo message `s` with predecessor `p` (none: goes in at once) is released iff `p` was released, or everything up to
//! `p` was seen or told as lost. The second condition suffices because whoever of the house came with a number up to `p` was
//! released when `top` passed it; so the bench is emptied, in the order of numbers, whenever `top` moves.
//!
//! A message in chunks stands at the door when all of them are here, represented by the first one. Who comes behind it names
//! its last one, so that the second condition says that all of them were seen or are lost.
//!
//! # Bounds
//!
//! Benches are lines through the store's slots: no memory of their own. Every message is put on and taken off a bench at
//! most once.

use crate::event::Order;
use crate::store::{Messages, Origins, Row, Slot};
use crate::time::Instant;

/// A message was accepted, or a chunk of one: sends it in, or to the bench, once all of it is here.
pub(crate) fn admit(now: Instant, origins: &mut Origins, messages: &mut Messages, slot: Slot) {
    let Some(message) = messages.get(slot) else { return };
    let row = message.row;
    let whole = if message.chunk.is_whole() { Some(slot) } else { messages.assemble(now, origins, slot) };
    match whole {
        Some(slot) => admit_whole(origins, messages, slot),
        None => release(origins, messages, row),
    }
}

/// A message is here, in all its chunks, the first of them in `slot`: sends it in, or to the bench.
pub(crate) fn admit_whole(origins: &mut Origins, messages: &mut Messages, slot: Slot) {
    let Some(message) = messages.get(slot) else { return };
    let (row, order, seq, previous, last) =
        (message.row, message.order, message.id.seq, message.previous, message.last());
    let Some(origin) = origins.get_mut(row) else { return };
    match order {
        Order::Unordered => messages.make_ready(slot),
        Order::Fifo if may_enter(seq, previous, origin.fifo_done, origin.top) => {
            origin.fifo_done = origin.fifo_done.max(last);
            messages.make_ready(slot);
        }
        Order::Fifo => messages.make_wait(&mut origin.waiting, slot),
    }
    release(origins, messages, row);
}

/// More of an origin was seen, or given up: sends in who waited for it.
pub(crate) fn release(origins: &mut Origins, messages: &mut Messages, row: Row) {
    let Some(origin) = origins.get_mut(row) else { return };
    while let Some(slot) = origin.waiting.front() {
        let Some(message) = messages.get(slot) else { return };
        let (seq, previous, last) = (message.id.seq, message.previous, message.last());
        if !may_enter(seq, previous, origin.fifo_done, origin.top) {
            return;
        }
        messages.stop_waiting(&mut origin.waiting);
        origin.fifo_done = origin.fifo_done.max(last);
        messages.make_ready(slot);
    }
}

/// Whether a message that was accepted is not held back by an earlier one.
pub(crate) fn may_enter_now(origins: &Origins, messages: &Messages, slot: Slot) -> bool {
    let Some(message) = messages.get(slot) else { return false };
    let Some(origin) = origins.get(message.row) else { return false };
    message.order == Order::Unordered || may_enter(message.id.seq, message.previous, origin.fifo_done, origin.top)
}

/// A message counts as delivered in an earlier life.
pub(crate) fn pass(origins: &mut Origins, messages: &Messages, slot: Slot) {
    let Some(message) = messages.get(slot) else { return };
    if let Some(origin) = origins.get_mut(message.row)
        && message.order == Order::Fifo
    {
        origin.fifo_done = origin.fifo_done.max(message.last());
    }
}

const fn may_enter(seq: u64, previous: u64, fifo_done: u64, top: u64) -> bool {
    match seq.checked_sub(previous) {
        // A distance that leads before the first message: nothing to wait for.
        None | Some(0) => true,
        Some(predecessor) => predecessor == seq || predecessor <= fifo_done || predecessor <= top,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_enter() {
        // (number, distance to the predecessor, last released, top): may enter?
        let table = [
            ((1, 0, 0, 0), true),
            ((5, 0, 0, 0), true),
            ((5, 2, 3, 0), true),
            ((5, 2, 2, 2), false),
            ((5, 2, 0, 3), true),
            ((5, 2, 0, 2), false),
            ((5, 5, 0, 0), true),
            ((5, 9, 0, 0), true),
        ];
        for ((seq, previous, fifo_done, top), expected) in table {
            assert_eq!(may_enter(seq, previous, fifo_done, top), expected, "{seq} after {previous}");
        }
    }
}
