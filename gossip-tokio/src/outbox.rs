//! Events on their way to the application.
//!
//! An event is taken from the core only when there is room for it in the channel. What there is no room for waits in the
//! core, which knows how to forget it honestly.

use gossip_core::Event;
use gossip_core::recording::Recorded;
use tokio::sync::mpsc;

pub(crate) struct Outbox {
    events: mpsc::Sender<Event>,
    /// The application is behind: there was no room.
    is_full: bool,
    has_left: bool,
}

impl Outbox {
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, is_full: false, has_left: false }
    }

    /// Takes as many events as the application has room for; all of them where nobody listens. True: there was one.
    pub(crate) fn deliver(&mut self, gossip: &mut Recorded) -> bool {
        let mut told = false;
        loop {
            let room = self.events.try_reserve();
            self.is_full = matches!(room, Err(mpsc::error::TrySendError::Full(())));
            if self.is_full {
                return told;
            }
            let Some(event) = gossip.poll_event() else {
                return told;
            };
            told = true;
            self.has_left |= matches!(event, Event::Left);
            if let Ok(room) = room {
                room.send(event);
            }
        }
    }

    /// Whether [`Event::Left`] was among the events.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Nobody listens.
    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Waits until there is room again, or for ever where there was some.
    pub(crate) async fn room(&self) {
        if !self.is_full {
            std::future::pending::<()>().await;
        }
        // An error says that nobody listens any more, so everything has room.
        let _ = self.events.reserve().await;
    }

    /// Waits until nobody listens.
    pub(crate) async fn closed(&self) {
        self.events.closed().await;
    }
}
