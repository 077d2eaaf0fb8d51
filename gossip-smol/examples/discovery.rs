//! Service discovery: a process says in a register what it offers; whoever wants it watches registers and peers.
//!
//! ```text
//! cargo run -p gossip-smol --example discovery -- watch 7301
//! cargo run -p gossip-smol --example discovery -- web 7302 7301
//! cargo run -p gossip-smol --example discovery -- mail 7303 7301
//! ```
//!
//! The arguments are a service, a port on the loopback interface, and the port of a contact; the service `watch` offers
//! nothing. Each process prints the whole list whenever it changes. Kill one, and it goes from the lists of the others.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use gossip_core::{Config, Event, Gossip, NodeId, PeerState, PeerView, Scope};
use gossip_smol::Builder;

/// Registers of other applications in the same cluster have other prefixes.
const PREFIX: &str = "service/";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(service), Some(port)) = (arguments.next(), arguments.next()) else {
        return Err("usage: discovery SERVICE PORT [CONTACT_PORT]…".into());
    };
    let local = |port: String| Ok::<_, std::num::ParseIntError>(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)));
    let address = local(port)?;
    // The port tells two instances of one service apart.
    let mut builder = Builder::new(Config::local(NodeId::from_name(&format!("{service}@{address}")))).bind(address);
    for contact in arguments {
        builder = builder.contact(local(contact)?);
    }
    smol::block_on(async {
        let (node, mut events) = builder.spawn().await?;
        if service != "watch" {
            node.set(Scope::Own, format!("{PREFIX}{service}"), address.to_string()).await?;
        }
        let mut shown = Vec::new();
        while let Some(event) = events.recv().await {
            // Events say that something has changed, views say how it is now.
            if matches!(event, Event::Register { .. } | Event::PeerUp { .. } | Event::PeerDown { .. }) {
                let services = node.read(services).await?;
                if services != shown {
                    println!("[{}]", services.join(", "));
                    shown = services;
                }
            }
        }
        Ok(())
    })
}

/// What is offered now. A register outlives its owner's crash, but who is down offers nothing.
fn services(gossip: &Gossip) -> Vec<String> {
    let is_gone = |peer: &PeerView| matches!(peer.state, PeerState::Down | PeerState::Left);
    let gone: BTreeSet<NodeId> = gossip.peers().filter(is_gone).map(|peer| peer.node).collect();
    gossip
        .registers(PREFIX)
        .filter(|register| !gone.contains(&register.node))
        .map(|register| format!("{} at {}", &register.key[PREFIX.len()..], String::from_utf8_lossy(&register.value)))
        .collect()
}
