//! Eight nodes as processes, half on each runtime: they agree, also after some were killed and started again.

mod support;

use std::collections::BTreeSet;
use std::net::UdpSocket;

use serde_json::Value;
use support::{NODE, NODE_SMOL, Process, eventually};

const NODES: u64 = 8;

fn program(id: u64) -> &'static str {
    if id.is_multiple_of(2) { NODE_SMOL } else { NODE }
}

fn books(node: &Process) -> Value {
    node.get("/state").json()["books"].take()
}

/// All nodes know the favorite book of every node, and the same one.
fn agree(nodes: &[Process]) -> Result<(), String> {
    let first = books(&nodes[0]);
    if first.as_object().map(|known| known.len() as u64) != Some(NODES) {
        return Err(format!("node {} knows only {first}", nodes[0].id));
    }
    for node in &nodes[1..] {
        let books = books(node);
        if books != first {
            return Err(format!("node {} knows {first}, but node {} knows {books}", nodes[0].id, node.id));
        }
    }
    Ok(())
}

/// Every node holds all `messages`.
fn all_hold(nodes: &[Process], messages: &BTreeSet<String>) -> Result<(), String> {
    for node in nodes {
        let held: BTreeSet<String> = node.payloads().into_iter().collect();
        if let Some(missing) = messages.difference(&held).next() {
            return Err(format!("node {} lacks {missing:?}", node.id));
        }
    }
    Ok(())
}

#[test]
fn eight_processes_agree_through_kills_and_restarts() {
    let mut nodes = vec![Process::calm(program(1), 1, &[])];
    let first = nodes[0].gossip.to_string();
    nodes.extend((2..=NODES).map(|id| Process::calm(program(id), id, &["--bootstrap", &first])));
    eventually(|| agree(&nodes));

    let mut messages: BTreeSet<String> = BTreeSet::new();
    for node in &nodes {
        let message = format!("from node {}", node.id);
        node.submit(&message);
        messages.insert(message);
    }
    eventually(|| all_hold(&nodes, &messages));

    // The node that everybody joined through is one of those that die.
    let before = books(&nodes[1]);
    let dead: Vec<Process> = [6, 3, 0].into_iter().map(|place| nodes.remove(place)).collect();
    let addresses: Vec<_> = dead.iter().map(|node| (node.id, node.gossip, node.http)).collect();
    drop(dead);
    nodes[0].submit("said while some were dead");
    messages.insert(String::from("said while some were dead"));

    let contact = nodes[0].gossip.to_string();
    for &(id, gossip, http) in &addresses {
        let (port, http, number) = (gossip.port().to_string(), http.port().to_string(), id.to_string());
        let place = ["--port", &port, "--http", &http, "--id", &number, "--interval", "0", "--bootstrap", &contact];
        nodes.push(Process::start(program(id), &place));
    }
    eventually(|| agree(&nodes));
    eventually(|| all_hold(&nodes, &messages));
    let after = books(&nodes[0]);
    for (id, ..) in addresses {
        let id = id.to_string();
        assert_ne!(before[&id]["version"], after[&id]["version"], "node {id} has a new life, and so a new version");
    }
}

#[test]
fn favorites_change_and_the_change_is_known() {
    let restless = Process::start(NODE_SMOL, &["--port", "0", "--id", "1", "--interval", "100ms"]);
    let contact = restless.gossip.to_string();
    let observer = Process::calm(NODE, 2, &["--bootstrap", &contact]);
    let mut seen = BTreeSet::new();
    eventually(|| {
        seen.insert(books(&observer)["1"]["version"].to_string());
        if seen.len() > 5 { Ok(()) } else { Err(format!("only seen {seen:?}")) }
    });
}

#[test]
fn a_key_keeps_strangers_out() {
    let (key, other) = ("17".repeat(32), "18".repeat(32));
    let first = Process::calm(NODE, 1, &["--key", &key]);
    let contact = first.gossip.to_string();
    let stranger = Process::calm(NODE_SMOL, 2, &["--key", &other, "--bootstrap", &contact]);
    let friend = Process::calm(NODE_SMOL, 3, &["--key", &key, "--bootstrap", &contact]);
    let know_each_other = || {
        let books = books(&friend);
        if books["1"].is_object() { Ok(()) } else { Err(books.to_string()) }
    };
    eventually(know_each_other);
    let refused = || {
        let counters = first.get("/state").json()["counters"].take();
        if counters["refused_tag"].as_u64() > Some(0) { Ok(()) } else { Err(counters.to_string()) }
    };
    eventually(refused);
    eventually(|| match books(&stranger) {
        books if books.as_object().is_some_and(|known| known.keys().eq(["2"])) => Ok(()),
        books => Err(books.to_string()),
    });
    assert!(books(&first)["2"].is_null());
}

#[test]
fn static_neighbors_pass_messages_on() {
    // Node i of the ring talks to i - 1 and i + 1 only, so the ports must be known before.
    let ports = free_ports(4);
    let address = |node: usize| format!("{}@127.0.0.1:{}", node + 1, ports[node]);
    let start = |node: usize| {
        let (port, id) = (ports[node].to_string(), (node + 1).to_string());
        let neighbors = format!("{},{}", address((node + 1) % 4), address((node + 3) % 4));
        let place = ["--port", &port, "--http", "0", "--id", &id, "--interval", "0"];
        let how = ["--neighbors", &neighbors, "--broadcast", "flood", "--ttl", "3"];
        Process::start(program(node as u64), &[&place[..], &how].concat())
    };
    let nodes: Vec<Process> = (0..4).map(start).collect();
    let id = nodes[0].submit("once around");
    eventually(|| match nodes[2].get(&format!("/messages/{id}")) {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.body),
    });
    let message = nodes[2].get(&format!("/messages/{id}")).json();
    assert_eq!((&message["hops"], &message["path"][0]), (&Value::from(2), &Value::from(1)));
    let peers = nodes[0].get("/peers/").json();
    let linked = peers["peers"].as_array().expect("a list").iter().filter(|peer| peer["state"] == "linked");
    assert_eq!(linked.filter_map(|peer| peer["node"].as_u64()).collect::<Vec<_>>(), [2, 4]);
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let bound: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").expect("there are ports")).collect();
    bound.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect()
}
