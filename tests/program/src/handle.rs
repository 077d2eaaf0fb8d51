//! A node as the programs see it: a handful of verbs behind one pointer, so that a program need not know the runtime.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use gossip_core::{Config, Event, Gossip, InputError, MessageId, Order, PeerState, Version};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// The answer of a verb, on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a node tells, until it stops.
pub type EventStream = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// Starts a node on one runtime. Must be called from within a tokio runtime.
pub type Launch = fn(Setup) -> Pending<'static, io::Result<Launched>>;

/// What a node is started with.
pub struct Setup {
    /// What the core is told.
    pub config: Config,
    /// Where it listens for datagrams; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The folder where it keeps what it must find again after a restart, if it shall.
    pub storage: Option<PathBuf>,
    /// Where its inputs are recorded, if at all.
    pub record: Option<PathBuf>,
}

/// A node that was started.
pub struct Launched {
    /// Its verbs.
    pub node: Box<dyn Node>,
    /// Its events; a node whose events are dropped goes on.
    pub events: EventStream,
}

/// The verbs of a node. Dropping it stops the node without a farewell, like a crash.
pub trait Node: Send + Sync {
    /// Where it listens for datagrams.
    fn address(&self) -> SocketAddr;

    /// Accepts a message for everybody.
    fn submit(&self, order: Order, payload: Vec<u8>) -> Pending<'_, Result<MessageId, Failed>>;

    /// Sets one of the node's own registers.
    fn set(&self, key: &'static str, value: Vec<u8>) -> Pending<'_, Result<Version, Failed>>;

    /// Adds a contact.
    fn join(&self, contact: SocketAddr) -> Pending<'_, Result<(), Failed>>;

    /// Shows the core to `view`, which hands on what it finds by itself.
    fn look(&self, view: Box<dyn FnOnce(&Gossip) + Send>) -> Pending<'_, Result<(), Failed>>;

    /// Leaves the cluster, then stops.
    fn shutdown(&self) -> Pending<'_, ()>;
}

/// What `view` makes of the node's core.
pub(crate) async fn read<R: Send + 'static>(
    node: &dyn Node,
    view: impl FnOnce(&Gossip) -> R + Send + 'static,
) -> Result<R, Failed> {
    let (answer, answered) = oneshot::channel();
    let look = node.look(Box::new(move |gossip| {
        let _ = answer.send(view(gossip)); // the asker may have gone away meanwhile
    }));
    look.await?;
    answered.await.map_err(|_| Failed::Stopped)
}

/// Waits until the node has a link, at most for `patience`; whether it has one.
pub(crate) async fn linked_within(node: &dyn Node, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let linked = |gossip: &Gossip| gossip.peers().any(|peer| peer.state == PeerState::Linked);
        if read(node, linked).await == Ok(true) {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Why a verb failed. The node's state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The core refused it.
    Refused(InputError),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Stopped => f.write_str("the node has stopped"),
        }
    }
}

impl std::error::Error for Failed {}
