//! What the application holds: a handle that asks the loop, and the events that the loop tells.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use gossip_core::{Answer, Event, Gossip, Input, InputError, Instant, MessageId, NodeId, Order, Scope, Version};
use smol::channel::{self, Receiver, Sender, TrySendError};

use crate::socket::{Counters, SocketStats};

/// A handle on a running node. Clones are cheap, and all ask the same node.
///
/// Every method ends with [`CallError::Closed`] once the node has ended.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: Sender<Request>,
    pub(crate) writes: Sender<Call>,
}

/// What handles know without asking.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) local_addr: SocketAddr,
    /// What [`Instant::ZERO`] of this node is.
    pub(crate) clock_origin: std::time::Instant,
    pub(crate) counters: Counters,
}

impl Shared {
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.clock_origin.elapsed()
    }
}

impl Node {
    /// This node.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// The node's time, which is what the instants in views refer to.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// What the socket refused so far.
    pub fn socket_stats(&self) -> SocketStats {
        self.shared.counters.read()
    }

    /// [`Gossip::submit`]: accepts a message for everybody, and waits until it is durable (at once without storage).
    ///
    /// Waits while the node has no room ([`SubmitError::Busy`](gossip_core::SubmitError::Busy)); submits of all handles
    /// are taken in the order in which they were called. Dropping the future withdraws the message if the node has not
    /// taken it yet, and else changes nothing: it is spread, and its id is not told.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said, `Busy` excepted.
    pub async fn submit(&self, order: Order, payload: impl Into<Bytes>) -> Result<MessageId, CallError> {
        let change = Change::Submit { order, payload: payload.into() };
        self.write(change).await.map(message_id)
    }

    /// As [`Node::submit`], but waits neither for room nor for durability.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] where too many calls wait for the loop, and [`CallError::Refused`] with what the core said.
    pub async fn try_submit(&self, order: Order, payload: impl Into<Bytes>) -> Result<MessageId, CallError> {
        let (call, answer) = Call::new(Change::Submit { order, payload: payload.into() });
        self.requests.try_send(Request::Change(call)).map_err(|error| match error {
            TrySendError::Full(_) => CallError::Full,
            TrySendError::Closed(_) => CallError::Closed,
        })?;
        answered(answer).await.map(message_id)
    }

    /// [`Gossip::set`]. Waits as [`Node::submit`] does.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said, `Busy` excepted.
    pub async fn set(
        &self,
        scope: Scope,
        key: impl Into<String>,
        value: impl Into<Bytes>,
    ) -> Result<Version, CallError> {
        self.write(Change::Set { scope, key: key.into(), value: value.into() }).await.map(version)
    }

    /// [`Gossip::remove`]. Waits as [`Node::submit`] does.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said, `Busy` excepted.
    pub async fn remove(&self, scope: Scope, key: impl Into<String>) -> Result<Version, CallError> {
        self.write(Change::Remove { scope, key: key.into() }).await.map(version)
    }

    /// [`Gossip::acknowledge`].
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn acknowledge(&self, id: MessageId) -> Result<(), CallError> {
        self.change(Change::Acknowledge { id }).await
    }

    /// [`Gossip::join`].
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said.
    pub async fn join(&self, contact: SocketAddr) -> Result<(), CallError> {
        self.change(Change::Join { contact }).await
    }

    /// [`Gossip::forget`].
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn forget(&self, contact: SocketAddr) -> Result<(), CallError> {
        self.change(Change::Forget { contact }).await
    }

    /// [`Gossip::leave`]: starts to leave. [`Event::Left`] tells when that is done; the handles go on to answer.
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn leave(&self) -> Result<(), CallError> {
        self.change(Change::Leave).await
    }

    /// Looks at the node, from within its loop: keep it short, everything else of this node waits meanwhile.
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Gossip) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let (reply, answer) = channel::bounded(1);
        let look = move |gossip: &Gossip| {
            // Whoever asked may have gone.
            let _ = reply.try_send(look(gossip));
        };
        self.requests.send(Request::Read(Box::new(look))).await.map_err(|_| CallError::Closed)?;
        answer.recv().await.map_err(|_| CallError::Closed)
    }

    /// Leaves, hands over what only this node holds, and ends the node: at the latest after
    /// [`Builder::SHUTDOWN_MAX`](crate::Builder::SHUTDOWN_MAX), which is needed when nobody answers or when nobody takes
    /// the events. Returns when the node has ended, also when somebody else ended it.
    pub async fn shutdown(&self) {
        let (ended, end) = channel::bounded(1);
        if self.requests.send(Request::Shutdown(ended)).await.is_ok() {
            // The loop never answers: it drops the sender when it ends.
            let _ = end.recv().await;
        }
    }

    async fn write(&self, change: Change) -> Result<Answer, CallError> {
        let (call, answer) = Call::new(change);
        self.writes.send(call).await.map_err(|_| CallError::Closed)?;
        answered(answer).await
    }

    async fn change(&self, change: Change) -> Result<(), CallError> {
        let (call, answer) = Call::new(change);
        self.requests.send(Request::Change(call)).await.map_err(|_| CallError::Closed)?;
        answered(answer).await.map(|_| ())
    }
}

async fn answered(answer: Receiver<Result<Answer, InputError>>) -> Result<Answer, CallError> {
    answer.recv().await.map_err(|_| CallError::Closed)?.map_err(CallError::Refused)
}

fn message_id(answer: Answer) -> MessageId {
    let Answer::Submitted(id) = answer else { unreachable!("the core answers a submit with an id") };
    id
}

fn version(answer: Answer) -> Version {
    let Answer::Set(version) = answer else { unreachable!("the core answers a register change with a version") };
    version
}

/// Why a call was not answered as hoped. Nothing was changed, except that a call that finds the node
/// [`CallError::Closed`] while it waits may have been carried out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The node has ended.
    Closed,
    /// More calls wait than [`Builder::call_capacity`](crate::Builder::call_capacity). Only from
    /// [`Node::try_submit`]; the others wait.
    Full,
    /// The core refused it.
    Refused(InputError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the node has ended"),
            Self::Full => f.write_str("too many calls wait for the node"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

/// What the node tells the application, in order. Ends when the node has ended.
#[derive(Debug)]
pub struct Events {
    pub(crate) events: Pin<Box<Receiver<Event>>>,
    /// Tells the loop that there is room again.
    pub(crate) room: Sender<()>,
}

impl Events {
    /// The next event; none when the node has ended. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event, if it is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.events.try_recv().ok()?;
        self.tell_room();
        Some(event)
    }

    fn tell_room(&self) {
        // Full: the loop has not noticed the last one yet. Closed: it has ended.
        let _ = self.room.try_send(());
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = ready!(self.events.as_mut().poll_next(context));
        self.tell_room();
        Poll::Ready(event)
    }
}

/// What handles ask of the loop.
pub(crate) enum Request {
    /// Change the node, and answer at once.
    Change(Call),
    /// Look at the node.
    Read(Box<dyn FnOnce(&Gossip) + Send>),
    /// Leave, then end; drop the sender at the end.
    Shutdown(Sender<()>),
}

/// A change, and who waits for its answer.
pub(crate) struct Call {
    pub(crate) change: Change,
    pub(crate) reply: Sender<Result<Answer, InputError>>,
}

impl Call {
    fn new(change: Change) -> (Self, Receiver<Result<Answer, InputError>>) {
        let (reply, answer) = channel::bounded(1);
        (Self { change, reply }, answer)
    }
}

/// An [`Input`] that owns what it names.
pub(crate) enum Change {
    Acknowledge { id: MessageId },
    Forget { contact: SocketAddr },
    Join { contact: SocketAddr },
    Leave,
    Remove { scope: Scope, key: String },
    Set { scope: Scope, key: String, value: Bytes },
    Submit { order: Order, payload: Bytes },
}

impl Change {
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Acknowledge { id } => Input::Acknowledge { id: *id },
            Self::Forget { contact } => Input::Forget { contact: *contact },
            Self::Join { contact } => Input::Join { contact: *contact },
            Self::Leave => Input::Leave,
            Self::Remove { scope, key } => Input::Remove { scope: *scope, key },
            Self::Set { scope, key, value } => Input::Set { scope: *scope, key, value },
            Self::Submit { order, payload } => Input::Submit { order: *order, payload },
        }
    }
}
