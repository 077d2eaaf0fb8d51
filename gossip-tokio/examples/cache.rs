//! Cache invalidation: three servers cache what one database holds, and tell each other what they have changed.
//!
//! ```text
//! cargo run -p gossip-tokio --example cache
//! ```
//!
//! The rule worth copying is in `invalidate`. An invalidation that never comes leaves a stale value for ever, so what
//! matters is what to do on `Gap`: some invalidations are lost for good, nobody knows which, so everything goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gossip_core::{Config, Event, NodeId, Order};
use gossip_tokio::{Builder, Events, Node};

type Database = Arc<Mutex<BTreeMap<String, u32>>>;

struct Server {
    node: Node,
    events: Events,
    database: Database,
    cache: HashMap<String, u32>,
}

impl Server {
    fn read(&mut self, key: &str) -> u32 {
        let Self { cache, database, .. } = self;
        let load = || database.lock().expect("nobody panics with the lock").get(key).copied().unwrap_or_default();
        *cache.entry(key.to_string()).or_insert_with(load)
    }

    async fn write(&mut self, key: &str, value: u32) -> Result<(), gossip_tokio::CallError> {
        self.database.lock().expect("nobody panics with the lock").insert(key.to_string(), value);
        // First the database, then the word; and unordered, because dropping an entry twice or late does no harm.
        self.node.submit(Order::Unordered, key.to_string()).await?;
        Ok(())
    }

    fn invalidate(&mut self, event: &Event) {
        match event {
            Event::Deliver(message) => {
                self.cache.remove(String::from_utf8_lossy(&message.payload).as_ref());
            }
            Event::Gap { .. } => self.cache.clear(),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::default();
    let mut servers: Vec<Server> = Vec::new();
    for id in 1..=3 {
        let contact = servers.first().map(|server| server.node.local_addr());
        let builder = Builder::new(Config::local(NodeId(id)));
        let builder = contact.into_iter().fold(builder, Builder::contact);
        let (node, events) = builder.spawn().await?;
        servers.push(Server { node, events, database: Arc::clone(&database), cache: HashMap::new() });
    }
    for price in 1..=5 {
        servers[price as usize % 3].write("price", price).await?;
        for server in &mut servers {
            while server.read("price") != price {
                let event = tokio::time::timeout(Duration::from_secs(10), server.events.recv()).await?;
                server.invalidate(&event.ok_or("the node has ended")?);
            }
        }
        println!("all three servers see price {price}");
    }
    Ok(())
}
