//! How to start a node on either runtime, and what its verbs are called there.
//!
//! The two halves are the same but for the names of the crates. The methods called inside are the adapters' own: an
//! inherent method comes before one of a trait.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gossip_core::{Gossip, InputError, MessageId, Order, Scope, Version};

use crate::handle::{Failed, Launched, Node, Pending, Setup};

/// The longest recording, in bytes; what happens later is not recorded.
const RECORDING_MAX: usize = 64 << 20;

/// Starts a node on tokio.
pub fn on_tokio(setup: Setup) -> Pending<'static, io::Result<Launched>> {
    Box::pin(async move {
        let Setup { config, bind, storage, record } = setup;
        let id = config.id;
        let mut builder = gossip_tokio::Builder::new(config).bind(bind);
        if let Some(folder) = storage {
            let file = database(&folder, id.0)?;
            builder = builder.storage(gossip_tokio::storage::Redb::open(file)?);
        }
        if let Some(file) = record {
            builder = builder.record(file, RECORDING_MAX);
        }
        let (node, events) = builder.spawn().await?;
        Ok(Launched { node: Box::new(node), events: Box::pin(events) })
    })
}

/// Starts a node on smol.
pub fn on_smol(setup: Setup) -> Pending<'static, io::Result<Launched>> {
    Box::pin(async move {
        let Setup { config, bind, storage, record } = setup;
        let id = config.id;
        let mut builder = gossip_smol::Builder::new(config).bind(bind);
        if let Some(folder) = storage {
            let file = database(&folder, id.0)?;
            builder = builder.storage(gossip_smol::storage::Redb::open(file)?);
        }
        if let Some(file) = record {
            builder = builder.record(file, RECORDING_MAX);
        }
        let (node, events) = builder.spawn().await?;
        Ok(Launched { node: Box::new(node), events: Box::pin(events) })
    })
}

/// The node's file in the folder, which is made if need be.
fn database(folder: &Path, id: u64) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    Ok(folder.join(format!("node-{id}.redb")))
}

impl Node for gossip_tokio::Node {
    fn address(&self) -> SocketAddr {
        self.local_addr()
    }

    fn submit(&self, order: Order, payload: Vec<u8>) -> Pending<'_, Result<MessageId, Failed>> {
        Box::pin(async move { Ok(self.submit(order, payload).await?) })
    }

    fn set(&self, key: &'static str, value: Vec<u8>) -> Pending<'_, Result<Version, Failed>> {
        Box::pin(async move { Ok(self.set(Scope::Own, key, value).await?) })
    }

    fn join(&self, contact: SocketAddr) -> Pending<'_, Result<(), Failed>> {
        Box::pin(async move { Ok(self.join(contact).await?) })
    }

    fn look(&self, view: Box<dyn FnOnce(&Gossip) + Send>) -> Pending<'_, Result<(), Failed>> {
        Box::pin(async move { Ok(self.read(view).await?) })
    }

    fn shutdown(&self) -> Pending<'_, ()> {
        Box::pin(self.shutdown())
    }
}

impl Node for gossip_smol::Node {
    fn address(&self) -> SocketAddr {
        self.local_addr()
    }

    fn submit(&self, order: Order, payload: Vec<u8>) -> Pending<'_, Result<MessageId, Failed>> {
        Box::pin(async move { Ok(self.submit(order, payload).await?) })
    }

    fn set(&self, key: &'static str, value: Vec<u8>) -> Pending<'_, Result<Version, Failed>> {
        Box::pin(async move { Ok(self.set(Scope::Own, key, value).await?) })
    }

    fn join(&self, contact: SocketAddr) -> Pending<'_, Result<(), Failed>> {
        Box::pin(async move { Ok(self.join(contact).await?) })
    }

    fn look(&self, view: Box<dyn FnOnce(&Gossip) + Send>) -> Pending<'_, Result<(), Failed>> {
        Box::pin(async move { Ok(self.read(view).await?) })
    }

    fn shutdown(&self) -> Pending<'_, ()> {
        Box::pin(self.shutdown())
    }
}

impl From<gossip_tokio::CallError> for Failed {
    fn from(error: gossip_tokio::CallError) -> Self {
        match error {
            gossip_tokio::CallError::Refused(refused) => refused.into(),
            _ => Self::Stopped, // `Full` is only for those who do not wait
        }
    }
}

impl From<gossip_smol::CallError> for Failed {
    fn from(error: gossip_smol::CallError) -> Self {
        match error {
            gossip_smol::CallError::Refused(refused) => refused.into(),
            _ => Self::Stopped, // `Full` is only for those who do not wait
        }
    }
}

impl From<InputError> for Failed {
    fn from(error: InputError) -> Self {
        Self::Refused(error)
    }
}
