//! What the application holds: a handle that asks the loop, and the events that the loop tells.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use gossip_core::recording::Recorded;
use gossip_core::{Answer, Event, Gossip, Input, InputError, Instant, MessageId, NodeId, Order, Scope, Version};
use tokio::sync::{mpsc, oneshot};

use crate::socket::SocketStats;

/// A handle on a running node. Clones are cheap, and all ask the same node.
///
/// Every method ends with [`CallError::Closed`] once the node has ended.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) writes: mpsc::Sender<Write>,
}

/// What handles know without asking.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) local_addr: SocketAddr,
    /// What [`Instant::ZERO`] of this node is.
    pub(crate) clock_origin: std::time::Instant,
}

impl Shared {
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.clock_origin.elapsed()
    }

    /// When the clock shows `at`; none beyond its end.
    pub(crate) fn clock_time(&self, at: Instant) -> Option<std::time::Instant> {
        self.clock_origin.checked_add(at.saturating_since(Instant::ZERO))
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
        let payload = payload.into();
        let submit = move |gossip: &mut Recorded, now| gossip.handle(now, Input::Submit { order, payload: &payload });
        self.write(submit).await.map(message_id)
    }

    /// As [`Node::submit`], but waits neither for room nor for durability. It may overtake submits that wait.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] where too many calls wait for the loop, and [`CallError::Refused`] with what the core said.
    pub async fn try_submit(&self, order: Order, payload: impl Into<Bytes>) -> Result<MessageId, CallError> {
        let payload = payload.into();
        let (request, answer) =
            request(move |gossip, now, _| gossip.handle(now, Input::Submit { order, payload: &payload }));
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CallError::Full,
            mpsc::error::TrySendError::Closed(_) => CallError::Closed,
        })?;
        let answer = answer.await.map_err(|_| CallError::Closed)?;
        answer.map(message_id).map_err(CallError::Refused)
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
        let (key, value) = (key.into(), value.into());
        let set = move |gossip: &mut Recorded, now| gossip.handle(now, Input::Set { scope, key: &key, value: &value });
        self.write(set).await.map(version)
    }

    /// [`Gossip::remove`]. Waits as [`Node::submit`] does.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said, `Busy` excepted.
    pub async fn remove(&self, scope: Scope, key: impl Into<String>) -> Result<Version, CallError> {
        let key = key.into();
        let remove = move |gossip: &mut Recorded, now| gossip.handle(now, Input::Remove { scope, key: &key });
        self.write(remove).await.map(version)
    }

    /// [`Gossip::acknowledge`].
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn acknowledge(&self, id: MessageId) -> Result<(), CallError> {
        self.change(Input::Acknowledge { id }).await
    }

    /// [`Gossip::join`].
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what the core said.
    pub async fn join(&self, contact: SocketAddr) -> Result<(), CallError> {
        self.change(Input::Join { contact }).await
    }

    /// [`Gossip::forget`].
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn forget(&self, contact: SocketAddr) -> Result<(), CallError> {
        self.change(Input::Forget { contact }).await
    }

    /// [`Gossip::leave`]: starts to leave. [`Event::Left`] tells when that is done; the handles go on to answer.
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn leave(&self) -> Result<(), CallError> {
        self.change(Input::Leave).await
    }

    /// Looks at the node, from within its loop: keep it short, everything else of this node waits meanwhile. A panic of
    /// `look` ends the node.
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Gossip) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.ask(|gossip, _, _| look(gossip)).await
    }

    /// What the socket refused so far.
    ///
    /// # Errors
    ///
    /// Only [`CallError::Closed`].
    pub async fn socket_stats(&self) -> Result<SocketStats, CallError> {
        self.ask(|_, _, stats| stats).await
    }

    /// Leaves, hands over what only this node holds, and ends the node: at the latest after
    /// [`Builder::SHUTDOWN_MAX`](crate::Builder::SHUTDOWN_MAX), which is needed when nobody answers or when nobody takes
    /// the events. Returns when the node has ended, also when somebody else ended it.
    pub async fn shutdown(&self) {
        let (ended, end) = oneshot::channel();
        if self.requests.send(Request::Shutdown(ended)).await.is_ok() {
            // The loop never answers: it drops the sender when it ends.
            let _ = end.await;
        }
    }

    async fn ask<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Recorded, Instant, SocketStats) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let (request, answer) = request(ask);
        self.requests.send(request).await.map_err(|_| CallError::Closed)?;
        answer.await.map_err(|_| CallError::Closed)
    }

    async fn change(&self, input: Input<'static>) -> Result<(), CallError> {
        self.ask(|gossip, now, _| gossip.handle(now, input)).await?.map(|_| ()).map_err(CallError::Refused)
    }

    async fn write(
        &self,
        write: impl Fn(&mut Recorded, Instant) -> Outcome + Send + 'static,
    ) -> Result<Answer, CallError> {
        let (reply, answer) = oneshot::channel();
        self.writes.send(Write { write: Box::new(write), reply }).await.map_err(|_| CallError::Closed)?;
        answer.await.map_err(|_| CallError::Closed)?.map_err(CallError::Refused)
    }
}

/// What asks the loop, and where its answer comes out.
fn request<R: Send + 'static>(
    ask: impl FnOnce(&mut Recorded, Instant, SocketStats) -> R + Send + 'static,
) -> (Request, oneshot::Receiver<R>) {
    let (reply, answer) = oneshot::channel();
    let ask = move |gossip: &mut Recorded, now, stats| {
        // Whoever asked may have gone.
        let _ = reply.send(ask(gossip, now, stats));
    };
    (Request::Ask(Box::new(ask)), answer)
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
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; none when the node has ended. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event, if it is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }
}

/// What handles ask of the loop, and are answered at once.
pub(crate) enum Request {
    /// Look at the node or change it, and tell whoever asked.
    Ask(Ask),
    /// Leave, then end; drop the sender at the end.
    Shutdown(oneshot::Sender<()>),
}

/// Runs once, in the loop.
pub(crate) type Ask = Box<dyn FnOnce(&mut Recorded, Instant, SocketStats) + Send>;

/// A change that waits for room, so it may be tried more than once, and for durability; and who waits for both.
pub(crate) struct Write {
    pub(crate) write: Change,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Runs in the loop until there is room.
pub(crate) type Change = Box<dyn Fn(&mut Recorded, Instant) -> Outcome + Send>;

/// How a change ended.
pub(crate) type Outcome = Result<Answer, InputError>;
