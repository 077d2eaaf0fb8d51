//! The messages that are kept: to be delivered, to be passed on, and for those who lack them.
//!
//! # Intuition
//!
//! A cloakroom for messages with a fixed number of hooks. Each message hangs in up to three lines at once: the line in
//! which it came (the oldest goes first when room is needed), the line of its origin (by number, for those who ask for
//! it), and, until the application has it, the line of those ready for delivery or the line of those that wait for an
//! earlier one. Nothing is ever queued twice, so nothing overflows.
//!
//! # What goes first
//!
//! When a hook or bytes are wanted, the message that was accepted first goes, and what is older than the horizon goes by
//! itself. Two kinds stay: an own message that nobody else is known to hold (it would be lost), and one that was not
//! delivered yet where the loss could not be told, because another gap of the same origin still waits to be polled.
//! Where only such messages are left, the new one is refused; it will be offered again. Chunks of a message of which others are
//! missing have a budget of their own: see `messages::assembly`.
//!
//! With records, a message that goes leaves its hook only when its removal was handed out, so that the store of the
//! caller never keeps what this one forgot.
//!
//! Only the router inserts (`route`); sub-protocols read.

mod messages;
mod origins;

pub(crate) use messages::{Assembly, Message, Messages, NewMessage, Reserved, Slot, Stage};
pub(crate) use origins::{Freshness, Origin, Origins, Row, WINDOW_MAX, Window};
