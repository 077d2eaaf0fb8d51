//! A chat among everybody who knows somebody: lines in, lines out, each speaker's in order.
//!
//! ```text
//! cargo run -p gossip-tokio --example chat -- ada 127.0.0.1:7201
//! cargo run -p gossip-tokio --example chat -- bob 127.0.0.1:7202 127.0.0.1:7201
//! ```
//!
//! The arguments are a name, an address to listen at, and addresses of others. End with control-D. Who comes later sees
//! what the others still remember.

use std::collections::HashMap;
use std::net::SocketAddr;

use gossip_core::{Config, Event, NodeId, Order, Scope};
use gossip_tokio::Builder;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: chat NAME ADDRESS [CONTACT]…".into());
    };
    let mut builder = Builder::new(Config::lan(NodeId::from_name(&name))).bind(address.parse()?);
    for contact in arguments {
        builder = builder.contact(contact.parse::<SocketAddr>()?);
    }
    let (node, mut events) = builder.spawn().await?;
    // Ids are numbers; a register tells everybody the name.
    node.set(Scope::Own, "name", name).await?;

    let mut names = HashMap::new();
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) if line.is_empty() => {}
                Some(line) => {
                    // Waits while there is no room, and so does whoever types.
                    node.submit(Order::Fifo, line).await?;
                }
                None => break,
            },
            event = events.recv() => match event {
                Some(event) => show(event, node.id(), &mut names),
                None => break,
            },
        }
    }
    node.shutdown().await;
    Ok(())
}

fn show(event: Event, own: NodeId, names: &mut HashMap<NodeId, String>) {
    let name = |node: NodeId| names.get(&node).cloned().unwrap_or_else(|| node.to_string());
    match event {
        Event::Deliver(message) if message.id.origin == own => {}
        Event::Deliver(message) => {
            println!("{}: {}", name(message.id.origin), String::from_utf8_lossy(&message.payload));
        }
        // Said honestly: there was something, and nobody has it any more.
        Event::Gap { origin, first, last, .. } => println!("({} said {} more things)", name(origin), last - first + 1),
        Event::PeerUp { node, .. } if names.contains_key(&node) => println!("({} is here again)", name(node)),
        Event::PeerDown { node } => println!("({} has gone)", name(node)),
        Event::Register { node, key, value: Some(value), .. } if key.as_str() == "name" && node != own => {
            let name = String::from_utf8_lossy(&value).into_owned();
            if names.insert(node, name.clone()).is_none() {
                println!("({name} is here)");
            }
        }
        _ => {}
    }
}
