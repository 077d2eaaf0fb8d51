//! Starts the nodes, lets them change their minds, kills and restarts some, and asks them in the end whether they
//! agree.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use gossip_core::{Config, Event, Gossip, Membership, NodeId, Order};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::Options;
use super::board::{Board, Index, Known, Vitals};
use crate::books;
use crate::handle::{EventStream, Failed, Launch, Launched, Node, Setup, linked_within, read};
use crate::view::{self, Book, millis};

/// How often the nodes are asked for their counts.
const MEASURE: Duration = Duration::from_millis(250);

/// How long a new node may look for a link before it picks its first favorite.
const PATIENCE: Duration = Duration::from_secs(2);

/// The board, and the clock that its times are told by.
#[derive(Clone)]
pub(super) struct Shared {
    started: Instant,
    board: Arc<Mutex<Board>>,
}

/// The cluster.
pub(super) struct Conductor {
    launches: Vec<Launch>,
    interval: Duration,
    /// Whether the nodes know a part of each other only.
    sampled: bool,
    slots: Vec<Slot>,
    shared: Shared,
}

/// A place for a node; a killed node comes back to the same address.
struct Slot {
    address: SocketAddr,
    life: Option<Life>,
}

/// A node that is up, and what goes on around it.
struct Life {
    node: Arc<dyn Node>,
    picks: AbortHandle,
    tasks: JoinSet<()>,
}

impl Shared {
    pub(super) fn new(board: Board) -> Self {
        Self { started: Instant::now(), board: Arc::new(Mutex::new(board)) }
    }

    /// The board. A panic elsewhere while it was held leaves it as good as it was.
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which the board tells.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Conductor {
    /// Starts as many nodes as there are launches, each on its own runtime.
    pub(super) async fn start(launches: Vec<Launch>, options: &Options, shared: Shared) -> Result<Self, String> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let slots = launches.iter().map(|_| Slot { address: anywhere, life: None }).collect();
        let (interval, sampled) = (options.interval, options.sampled);
        let mut conductor = Self { launches, interval, sampled, slots, shared };
        for node in 0..conductor.slots.len() {
            conductor.launch(node).await?;
        }
        Ok(conductor)
    }

    async fn launch(&mut self, node: Index) -> Result<(), String> {
        let began = self.shared.now();
        let launched = self.bound(node).await?;
        let handle: Arc<dyn Node> = launched.node.into();
        let address = handle.address();
        self.slots[node].address = address;
        if let Some(contact) = self.contact() {
            handle.join(contact).await.map_err(|error| format!("node {}: {error}", node + 1))?;
        }
        self.shared.board().launched(node, address, began);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(node, launched.events, self.shared.clone()));
        tasks.spawn(measure(node, Arc::clone(&handle), self.shared.clone()));
        let picks = tasks.spawn(pick(node, Arc::clone(&handle), self.interval, self.shared.clone()));
        self.slots[node].life = Some(Life { node: handle, picks, tasks });
        Ok(())
    }

    /// Starts the node at its address, which a life before may still be about to give up.
    async fn bound(&self, node: Index) -> Result<Launched, String> {
        let bind = self.slots[node].address;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let setup = Setup { config: config(node, self.sampled), bind, storage: None, record: None };
            match self.launches[node](setup).await {
                Ok(launched) => return Ok(launched),
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(format!("cannot start node {} on UDP {bind}: {error}", node + 1)),
            }
        }
    }

    /// Any node that is up: a newcomer needs to know no more than one.
    fn contact(&self) -> Option<SocketAddr> {
        let up: Vec<SocketAddr> =
            self.slots.iter().filter(|slot| slot.life.is_some()).map(|slot| slot.address).collect();
        fastrand::choice(up)
    }

    /// Restarts the node that is down, or kills one.
    pub(super) async fn churn(&mut self) -> Result<(), String> {
        match self.slots.iter().position(|slot| slot.life.is_none()) {
            Some(down) => self.launch(down).await,
            None => {
                self.kill(fastrand::usize(..self.slots.len())).await;
                Ok(())
            }
        }
    }

    /// Ends a node without a farewell.
    async fn kill(&mut self, node: Index) {
        if let Some(mut life) = self.slots[node].life.take() {
            life.tasks.shutdown().await;
            drop(life.node);
            self.shared.board().killed(node, self.shared.now());
        }
    }

    /// Brings back who is down, lets nobody change their mind any more, and waits until all agree.
    pub(super) async fn settle(&mut self, patience: Duration) -> Result<(), String> {
        for node in 0..self.slots.len() {
            match &self.slots[node].life {
                Some(life) => life.picks.abort(),
                None => self.launch(node).await?,
            }
        }
        let deadline = Instant::now() + patience;
        loop {
            match self.disagreement().await {
                None => return Ok(()),
                Some(disagreement) if Instant::now() > deadline => return Err(disagreement),
                Some(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// What the nodes themselves say, not what the board believes: one thing in which two of them differ.
    async fn disagreement(&self) -> Option<String> {
        let mut views: Vec<BTreeMap<u64, Book>> = Vec::new();
        for slot in &self.slots {
            let node = &slot.life.as_ref()?.node;
            views.push(read(&**node, view::books).await.unwrap_or_default());
        }
        let ids = 1..=views.len() as u64;
        for (id, own) in ids.clone().zip(&views) {
            let Some(book) = own.get(&id) else {
                return Some(format!("node {id} has no favorite yet"));
            };
            for (other, view) in ids.clone().zip(&views) {
                match view.get(&id) {
                    Some(heard) if heard == book => {}
                    Some(heard) => return Some(format!("node {other} believes that node {id} likes {}", heard.title)),
                    None => return Some(format!("node {other} does not know what node {id} likes")),
                }
            }
        }
        None
    }

    /// All nodes leave.
    pub(super) async fn shutdown(self) {
        for life in self.slots.into_iter().filter_map(|slot| slot.life) {
            life.node.shutdown().await;
        }
    }
}

fn config(node: Index, sampled: bool) -> Config {
    let mut config = Config::local(NodeId(node as u64 + 1));
    if sampled {
        config.membership = Membership::sampled(&config.limits);
    }
    config.cluster = String::from("books");
    config
}

/// Writes on the board what the node hears of favorites.
async fn follow(by: Index, mut events: EventStream, shared: Shared) {
    while let Some(event) = events.next().await {
        let Event::Register { node, key, version, value: Some(value), .. } = event else { continue };
        let at = shared.now();
        let mut board = shared.board();
        let owner = board.rows.iter().position(|row| row.id == node.0);
        if let Some(owner) = owner.filter(|_| key.as_str() == books::KEY) {
            board.learned(by, owner, Known { title: view::text(&value), version }, at);
        }
    }
}

/// Picks a favorite now, and others later: on average one per `interval`, each node in its own rhythm.
async fn pick(node: Index, handle: Arc<dyn Node>, interval: Duration, shared: Shared) {
    if node > 0 {
        linked_within(&*handle, PATIENCE).await;
    }
    let mut last = "";
    loop {
        let title = books::pick(last);
        let began = shared.now();
        match handle.set(books::KEY, title.into()).await {
            Ok(version) => {
                last = title;
                shared.board().changed(node, Known { title: title.into(), version }, began, shared.now());
            }
            Err(Failed::Stopped) => return,
            Err(_) => {} // no room at the moment: the next pick will find some
        }
        let _ = handle.submit(Order::Fifo, books::announcement(title).into()).await; // the same
        sleep(interval.mul_f64(0.5 + fastrand::f64())).await;
    }
}

/// Asks the node for its counts now and then.
async fn measure(node: Index, handle: Arc<dyn Node>, shared: Shared) {
    while let Ok(vitals) = read(&*handle, vitals).await {
        shared.board().measured(node, vitals);
        sleep(MEASURE).await;
    }
}

fn vitals(gossip: &Gossip) -> Vitals {
    let stats = gossip.stats();
    let (view, ages) = gossip.current_view().fold((0, 0.0), |(count, sum), entry| (count + 1, sum + millis(entry.age)));
    Vitals {
        links: gossip.neighbors().count(),
        suspected: gossip.neighbors().filter(|link| link.suspected).count(),
        silent_ms: gossip.neighbors().map(|link| millis(link.silent)).fold(0.0, f64::max),
        view,
        age_ms: if view > 0 { ages / view as f64 } else { 0.0 },
        messages: gossip.messages().count(),
        datagrams_sent: stats.datagrams_sent,
        datagrams_received: stats.datagrams_received,
        duplicates: stats.duplicates,
        repairs_sent: stats.repairs_sent,
    }
}
