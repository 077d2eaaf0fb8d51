//! One node as a process: gossip on a UDP port, HTTP on the TCP port of the same number.
//!
//! At the start it prints one line, `node 1 gossip 127.0.0.1:7001 http 127.0.0.1:7001`, then one line per event. It
//! picks a favorite book now and then, puts it into a register, and announces it in a message.

mod http;
mod inbox;
mod log;
mod metrics;
mod options;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures_util::StreamExt;
use gossip_core::{Event, MessageId, Order};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, broadcast};
use tokio::time::sleep;

use crate::books;
use crate::handle::{EventStream, Failed, Launch, Node, Setup, linked_within};
use crate::stop::asked_to_stop;
use crate::view;
use inbox::{Posted, Uuids};
use options::Options;

/// How many events a slow reader of `/events` may lag behind before it misses some.
const FEED: usize = 1_024;

/// How long a bootstrap node may take to answer before the person at the terminal is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs one node with the options of the command line until it is asked to stop.
pub fn main(launch: Launch) -> ExitCode {
    let options = Options::parse();
    crate::run(run(options, launch))
}

/// What the tasks of the program share.
struct App {
    id: u64,
    node: Box<dyn Node>,
    feed: broadcast::Sender<Arc<str>>,
    uuids: Mutex<Uuids>,
}

async fn run(options: Options, launch: Launch) -> Result<(), String> {
    let config = options.config()?;
    let contacts = options.contacts()?;
    let http = options.http()?;
    let id = config.id.0;
    let listener =
        TcpListener::bind(http).await.map_err(|error| format!("cannot listen on TCP port {http} for HTTP: {error}"))?;
    let http = listener.local_addr().map_err(|error| error.to_string())?;
    let setup =
        Setup { config, bind: options.bind(), storage: options.storage.clone(), record: options.record.clone() };
    let launched = launch(setup).await.map_err(|error| format!("cannot start on UDP {}: {error}", options.bind()))?;
    log::say(&format!("node {id} gossip {} http {http}", launched.node.address()));

    let feed = broadcast::Sender::new(FEED);
    let app = Arc::new(App { id, node: launched.node, feed, uuids: Mutex::default() });
    for &contact in &contacts {
        app.node.join(contact).await.map_err(|error| format!("cannot join through {contact}: {error}"))?;
    }
    tokio::spawn(follow(Arc::clone(&app), launched.events));
    tokio::spawn(warn_if_alone(Arc::clone(&app), contacts));
    tokio::spawn(read_and_recommend(Arc::clone(&app), options.interval));
    tokio::select! {
        served = async { axum::serve(listener, http::router(Arc::clone(&app))).await } => {
            served.map_err(|error| format!("HTTP failed: {error}"))?;
        }
        () = asked_to_stop() => {}
    }
    app.node.shutdown().await;
    Ok(())
}

impl App {
    /// Submits what was posted, unless it was posted before. True where it is new.
    async fn accept(&self, posted: Posted) -> Result<(MessageId, bool), Failed> {
        let Some(uuid) = posted.uuid else {
            return Ok((self.node.submit(posted.order, posted.payload).await?, true));
        };
        let mut uuids = self.uuids.lock().await; // held until accepted: the same uuid may be in the next post already
        if let Some(id) = uuids.get(&uuid) {
            return Ok((id, false));
        }
        let id = self.node.submit(posted.order, posted.payload).await?;
        uuids.insert(uuid, id);
        Ok((id, true))
    }

    /// A new favorite book: the register tells which one it is, the message that it changed.
    async fn prefer(&self, title: &str) -> Result<(), Failed> {
        self.node.set(books::KEY, title.into()).await?;
        self.node.submit(Order::Fifo, books::announcement(title).into()).await?;
        Ok(())
    }
}

/// Tells the terminal and the readers of `/events` what the node tells.
async fn follow(app: Arc<App>, mut events: EventStream) {
    while let Some(event) = events.next().await {
        if let Event::Deliver(delivery) = &event {
            app.uuids.lock().await.learn(&delivery.payload, delivery.id);
        }
        if let Some(line) = log::line(&event) {
            log::say(&line);
        }
        let _ = app.feed.send(view::event(&event).to_string().into()); // nobody may be reading
    }
}

/// Tells the person at the terminal if no bootstrap node answers.
async fn warn_if_alone(app: Arc<App>, contacts: Vec<SocketAddr>) {
    if !contacts.is_empty() && !linked_within(&*app.node, PATIENCE).await {
        let names: Vec<String> = contacts.iter().map(SocketAddr::to_string).collect();
        eprintln!("warning: no answer from {} yet; still trying", names.join(", "));
    }
}

/// Picks a favorite book now, and another one every `interval`.
async fn read_and_recommend(app: Arc<App>, interval: Duration) {
    let mut last = "";
    loop {
        let title = books::pick(last);
        match app.prefer(title).await {
            Ok(()) => last = title,
            Err(Failed::Stopped) => return,
            Err(error) => eprintln!("warning: could not tell of a new favorite book: {error}"),
        }
        if interval.is_zero() {
            return;
        }
        sleep(interval).await;
    }
}
