//! What a node shows of itself, as JSON: plain data copied out of the core, so that nobody holds the node up.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip_core::{Event, Gossip, LinkView, Membership, MessageView, NodeId, Order, PeerView, ViewEntry};
use serde::Serialize;
use serde_json::{Value, json};

use crate::books;

/// A node that this one knows.
#[derive(Serialize)]
pub(crate) struct Peer {
    node: u64,
    incarnation: String,
    address: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
}

/// How the link with a node is.
#[derive(Serialize)]
struct Link {
    /// Chosen for its low latency.
    near: bool,
    /// It does not answer at present.
    suspected: bool,
    /// How long ago something last came from it.
    heard_ms: f64,
}

/// A node that this one knows by hearsay.
#[derive(Serialize)]
pub(crate) struct Entry {
    node: u64,
    address: String,
    /// How long ago it spoke for itself.
    age_ms: f64,
}

impl Peer {
    fn new(peer: &PeerView, link: Option<&LinkView>) -> Self {
        Self {
            node: peer.node.0,
            incarnation: peer.incarnation.to_string(),
            address: peer.address.to_string(),
            state: peer.state.to_string(),
            round_trip_ms: peer.round_trip.map(millis),
            link: link.map(|link| Link { near: link.near, suspected: link.suspected, heard_ms: millis(link.silent) }),
        }
    }
}

impl From<ViewEntry> for Entry {
    fn from(entry: ViewEntry) -> Self {
        Self { node: entry.node.0, address: entry.address.to_string(), age_ms: millis(entry.age) }
    }
}

/// A favorite book, and how often its owner has changed its mind in this life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Book {
    pub(crate) title: String,
    pub(crate) version: String,
}

/// The favorite books that the node knows, by owner.
pub(crate) fn books(gossip: &Gossip) -> BTreeMap<u64, Book> {
    let registers = gossip.registers(books::KEY).filter(|register| register.key.as_str() == books::KEY);
    registers
        .map(|register| (register.node.0, Book { title: text(&register.value), version: register.version.to_string() }))
        .collect()
}

/// The nodes that the node knows: its links, and others.
pub(crate) fn peers(gossip: &Gossip) -> Vec<Peer> {
    let links: Vec<LinkView> = gossip.neighbors().collect();
    let link = |peer: &PeerView| links.iter().find(|link| link.node == peer.node);
    gossip.peers().map(|peer| (link(&peer), peer)).map(|(link, peer)| Peer::new(&peer, link)).collect()
}

/// The nodes that the node knows by hearsay, the freshest first; none where it knows all.
pub(crate) fn hearsay(gossip: &Gossip) -> Vec<Entry> {
    let mut view: Vec<ViewEntry> = gossip.current_view().collect();
    view.sort_by_key(|entry| (entry.age, entry.node));
    view.into_iter().map(Entry::from).collect()
}

/// Whom the node knows, and by which protocol.
fn membership(gossip: &Gossip) -> String {
    match &gossip.config().membership {
        Membership::Full => "full".into(),
        Membership::Static { .. } => "static".into(),
        Membership::Sampled { sampling, .. } => format!("sampled {sampling}"),
        _ => "other".into(),
    }
}

/// The messages that the node holds, oldest first.
pub(crate) fn messages(gossip: &Gossip) -> Vec<Value> {
    gossip.messages().map(|message| self::message(&message)).collect()
}

/// One message. A posted envelope shows its own fields.
pub(crate) fn message(message: &MessageView) -> Value {
    json!({
        "id": message.id.to_string(),
        "order": order_name(message.order),
        "payload": payload(&message.payload),
        "hops": message.hops,
        "path": path(message.path.nodes()),
        "accepted_ms": message.accepted_at.as_micros() / 1_000,
        "delivered": message.delivered,
    })
}

/// The node at a glance.
pub(crate) fn state(gossip: &Gossip) -> Value {
    let counters: BTreeMap<&str, u64> = gossip.stats().iter().collect();
    json!({
        "node": gossip.id().0,
        "incarnation": gossip.incarnation().to_string(),
        "cluster": gossip.config().cluster,
        "membership": membership(gossip),
        "size_estimate": gossip.size_estimate(),
        "contacts": gossip.contacts().map(|contact| contact.to_string()).collect::<Vec<_>>(),
        "peers": gossip.peers().count(),
        "links": gossip.neighbors().count(),
        "view": gossip.current_view().count(),
        "messages": gossip.messages().count(),
        "payload_max": gossip.payload_max(),
        "books": books(gossip),
        "counters": counters,
    })
}

/// One event, with its name as `"event"`.
pub(crate) fn event(event: &Event) -> Value {
    match event {
        Event::Deliver(delivery) => json!({
            "event": "deliver",
            "id": delivery.id.to_string(),
            "order": order_name(delivery.order),
            "payload": payload(&delivery.payload),
            "hops": delivery.hops,
            "age_ms": millis(delivery.age),
            "path": path(delivery.path.nodes()),
        }),
        Event::Gap { origin, incarnation, first, last } => json!({
            "event": "gap", "origin": origin.0, "incarnation": incarnation.to_string(), "first": first, "last": last,
        }),
        Event::IdentityConflict { address, incarnation } => json!({
            "event": "identity_conflict", "address": address.to_string(), "incarnation": incarnation.to_string(),
        }),
        Event::Left => json!({ "event": "left" }),
        Event::PeerDown { node } => json!({ "event": "peer_down", "node": node.0 }),
        Event::PeerUnreachable { node } => json!({ "event": "peer_unreachable", "node": node.0 }),
        Event::PeerUp { node, address } => {
            json!({ "event": "peer_up", "node": node.0, "address": address.to_string() })
        }
        Event::Register { node, key, version, value, .. } => json!({
            "event": "register",
            "node": node.0,
            "key": key.as_str(),
            "version": version.to_string(),
            "value": value.as_ref().map(|value| text(value)),
        }),
        Event::Warning(warning) => json!({ "event": "warning", "warning": format!("{warning:?}") }),
        other => json!({ "event": "other", "text": format!("{other:?}") }),
    }
}

/// How an order is written in requests and answers.
pub(crate) fn order_name(order: Order) -> &'static str {
    match order {
        Order::Unordered => "unordered",
        Order::Fifo => "fifo",
        _ => "unknown",
    }
}

/// Milliseconds, to the microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// Bytes as text; what is no UTF-8 is marked.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A payload that is a JSON object is shown as one, any other as text.
fn payload(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => Value::String(text(bytes)),
    }
}

fn path(nodes: impl Iterator<Item = NodeId>) -> Vec<u64> {
    nodes.map(|node| node.0).collect()
}
