//! How a node is started.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gossip_core::recording::Recorded;
use gossip_core::{Config, Durability, Input, StoredRecord};
use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::node::{Events, Node, Shared};
use crate::outbox::Outbox;
use crate::socket::Socket;
use crate::storage::{Storage, Stored};
use crate::tape::Tape;

/// Starts a node: configure, then [`Builder::spawn`].
pub struct Builder {
    config: Config,
    address: SocketAddr,
    contacts: Vec<SocketAddr>,
    seed: Option<[u8; 32]>,
    storage: Option<Box<dyn Storage>>,
    recording: Option<(PathBuf, usize)>,
    clock_origin: Option<std::time::Instant>,
    event_capacity: usize,
    call_capacity: usize,
}

impl Builder {
    /// The longest time that [`Node::shutdown`] takes.
    pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

    /// A node on the loopback interface, on a port that the system chooses, without contacts or storage.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            contacts: Vec::new(),
            seed: None,
            storage: None,
            recording: None,
            clock_origin: None,
            event_capacity: 1_024,
            call_capacity: 256,
        }
    }

    /// Where to listen; port 0 lets the system choose. `[::]` serves IPv4 as well where the system does that.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// One more contact to join through.
    #[must_use]
    pub fn contact(mut self, contact: SocketAddr) -> Self {
        self.contacts.push(contact);
        self
    }

    /// The seed of everything random. Default: from the system, which is right outside of tests: whoever knows the seed
    /// can foretell the node's choices.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Where the node finds its earlier life and keeps this one. Turns on [`Durability::Records`].
    #[must_use]
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.config.durability = Durability::Records;
        self.storage = Some(Box::new(storage));
        self
    }

    /// Writes a [recording](gossip_core::recording) to a new file, up to `bytes_max` bytes. The file is a secret: it contains
    /// the key of the cluster and all payloads. It is created readable by its owner alone, where the system knows that.
    #[must_use]
    pub fn record(mut self, path: impl Into<PathBuf>, bytes_max: usize) -> Self {
        self.recording = Some((path.into(), bytes_max));
        self
    }

    /// What the node's [`Instant::ZERO`](gossip_core::Instant::ZERO) is. Default: when it is spawned. Nodes of one
    /// process that are given the same origin have comparable times.
    #[must_use]
    pub fn clock_origin(mut self, origin: std::time::Instant) -> Self {
        self.clock_origin = Some(origin);
        self
    }

    /// How many events wait for the application before they wait in the node's store. Default 1,024, at least 1.
    #[must_use]
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events.max(1);
        self
    }

    /// How many calls of handles wait for the loop before the next one waits for room: so many submits and register
    /// changes, and so many others. Default 256, at least 1.
    #[must_use]
    pub fn call_capacity(mut self, calls: usize) -> Self {
        self.call_capacity = calls.max(1);
        self
    }

    /// Binds the socket, loads what is stored, and starts the node's task on the current runtime.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a configuration or contact that the core refuses, with its error inside;
    /// [`io::ErrorKind::InvalidData`] for records that it refuses; and the errors of the socket, the storage and the
    /// recording's file.
    pub async fn spawn(mut self) -> io::Result<(Node, Events)> {
        if self.config.durability == Durability::Records && self.storage.is_none() {
            return Err(invalid("durability needs a storage"));
        }
        if self.config.started_at == 0 {
            self.config.started_at = unix_millis();
        }
        let socket = Socket::bind(self.address).await?;
        let shared = Arc::new(Shared {
            id: self.config.id,
            local_addr: socket.local_addr()?,
            clock_origin: self.clock_origin.unwrap_or_else(std::time::Instant::now),
        });
        let stored = match self.storage.take() {
            Some(mut storage) => {
                let loaded = tokio::task::spawn_blocking(move || {
                    let stored = storage.load();
                    (storage, stored)
                });
                let (storage, stored) = loaded.await.map_err(io::Error::other)?;
                Some((storage, stored?))
            }
            None => None,
        };
        let (storage, records) = stored.unzip();
        let gossip = self.gossip(&shared, records.as_deref())?;
        if self.recording.is_some() && !gossip.is_recording() {
            return Err(invalid("the bound of the recording is too small for its head"));
        }
        let tape = self.recording.as_ref().map(|(path, _)| Tape::create(path)).transpose()?;
        let (requests, requested) = mpsc::channel(self.call_capacity);
        let (writes, written) = mpsc::channel(self.call_capacity);
        let (told, events) = mpsc::channel(self.event_capacity);
        let outbox = Outbox::new(told);
        tokio::spawn(
            Driver::new(gossip, socket, Arc::clone(&shared), (requested, written), outbox, storage, tape).run(),
        );
        Ok((Node { shared, requests, writes }, Events { events }))
    }

    fn gossip(&self, shared: &Shared, records: Option<&[Stored]>) -> io::Result<Recorded> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(io::Error::other)?;
                seed
            }
        };
        let now = shared.now();
        let config = self.config.clone();
        let bytes_max = self.recording.as_ref().map(|(_, bytes_max)| *bytes_max);
        let mut gossip = match records {
            None => Recorded::new(config, seed, now, bytes_max).map_err(invalid)?,
            Some(records) => {
                let records: Vec<_> = records
                    .iter()
                    .map(|stored| StoredRecord { table: stored.table, key: &stored.key, value: &stored.value })
                    .collect();
                Recorded::restore(config, seed, now, &records, bytes_max)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            }
        };
        for contact in &self.contacts {
            gossip.handle(now, Input::Join { contact: *contact }).map_err(invalid)?;
        }
        Ok(gossip)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Milliseconds since the Unix epoch: 0 before it.
fn unix_millis() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
