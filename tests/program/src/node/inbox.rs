//! What is posted to a node, and the memory that makes one uuid one message.
//!
//! A post is either a plain message or an envelope that carries its own identity. An envelope travels whole as the
//! payload, so every node that delivers it knows its uuid too: whoever posts it again, to any node, gets the id of the
//! first one. (Two posts of one uuid to two nodes at the same moment are two messages: uniqueness across nodes would
//! need consensus.)

use std::collections::{HashMap, VecDeque};

use axum::http::StatusCode;
use gossip_core::{MessageId, Order};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::Refusal;

/// The longest uuid accepted, in bytes: room for every common way to write one.
const UUID_MAX: usize = 64;

/// How many uuids are remembered: as many as the largest preset stores messages, rounded up.
const UUIDS_MAX: usize = 10_000;

/// A message with an identity of its own, as nodes of other gossip programs post it.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    /// Unique for ever; the same one posted again is the same message.
    pub(super) uuid: String,
    /// Who says it: there, the port of the node.
    origin: u64,
    /// The how manieth thing that the origin says.
    version: u64,
    /// How many hops the sender still allows; what may make none is refused. From here on the core decides.
    ttl: u64,
    /// Whatever there is to say.
    payload: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    message: String,
    #[serde(default)]
    order: Class,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    #[default]
    Unordered,
    Fifo,
}

/// One post, understood.
#[derive(Debug, PartialEq)]
pub(super) struct Posted {
    /// Present on an envelope.
    pub(super) uuid: Option<String>,
    pub(super) order: Order,
    pub(super) payload: Vec<u8>,
}

impl Posted {
    /// A body of plain text is a message as it stands.
    pub(super) fn from_text(body: &[u8]) -> Self {
        Self { uuid: None, order: Order::Unordered, payload: body.to_vec() }
    }

    /// A body of JSON is a message or an envelope. It is parsed again as what it turns out to be, because only errors in
    /// a text say where they are.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        let bad = |reason: String| Refusal::new(StatusCode::BAD_REQUEST, reason);
        let value: Value =
            serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}")))?;
        if value.get("message").is_some() {
            let plain: Plain = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
            let order = match plain.order {
                Class::Unordered => Order::Unordered,
                Class::Fifo => Order::Fifo,
            };
            return Ok(Self { uuid: None, order, payload: plain.message.into_bytes() });
        }
        if value.get("uuid").is_none() {
            return Err(bad(String::from("expected {message, order?} or {uuid, origin, version, ttl, payload}")));
        }
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        if envelope.uuid.is_empty() || envelope.uuid.len() > UUID_MAX {
            return Err(bad(format!("a uuid has 1 to {UUID_MAX} bytes")));
        }
        if envelope.ttl == 0 {
            return Err(bad(String::from("ttl is 0: this message may not travel any further")));
        }
        let payload = serde_json::to_vec(&envelope).expect("numbers, texts and JSON values always serialize");
        Ok(Self { uuid: Some(envelope.uuid), order: Order::Unordered, payload })
    }
}

/// Which uuid became which message; the oldest are forgotten.
#[derive(Default)]
pub(super) struct Uuids {
    ids: HashMap<String, MessageId>,
    oldest_first: VecDeque<String>,
}

impl Uuids {
    pub(super) fn get(&self, uuid: &str) -> Option<MessageId> {
        self.ids.get(uuid).copied()
    }

    /// Remembers the envelope in a delivered payload, if it is one. The first message of a uuid counts.
    pub(super) fn learn(&mut self, payload: &[u8], id: MessageId) {
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(payload) {
            self.insert(envelope.uuid, id);
        }
    }

    pub(super) fn insert(&mut self, uuid: String, id: MessageId) {
        if uuid.len() > UUID_MAX || self.ids.contains_key(&uuid) {
            return;
        }
        if self.oldest_first.len() == UUIDS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.oldest_first.push_back(uuid.clone());
        self.ids.insert(uuid, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = r#"{"uuid":"u-1","origin":7001,"version":2,"ttl":3,"payload":{"book":"Dune"}}"#;

    fn id(seq: u64) -> MessageId {
        format!("1-1-{seq}").parse().expect("the text is an id")
    }

    #[test]
    fn bodies() {
        let plain = Posted::from_json(br#"{"message":"Apple","order":"fifo"}"#).expect("the body is right");
        assert_eq!(plain, Posted { uuid: None, order: Order::Fifo, payload: b"Apple".to_vec() });
        assert_eq!(Posted::from_json(br#"{"message":""}"#).map(|post| post.order).ok(), Some(Order::Unordered));
        assert_eq!(Posted::from_json(ENVELOPE.as_bytes()).ok().and_then(|post| post.uuid).as_deref(), Some("u-1"));
    }

    #[test]
    fn nonsense_is_refused() {
        let bodies = [
            "",
            "Apple",
            "[]",
            "{}",
            r#"{"message":1}"#,
            r#"{"message":"a","order":"best"}"#,
            r#"{"message":"a","odrer":"fifo"}"#,
            r#"{"uuid":"a"}"#,
            &ENVELOPE.replace("u-1", ""),
            &ENVELOPE.replace("u-1", &"u".repeat(65)),
            &ENVELOPE.replace("\"ttl\":3", "\"ttl\":0"),
            &ENVELOPE.replace("\"ttl\":3", "\"ttl\":-1"),
        ];
        for body in bodies {
            assert!(Posted::from_json(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_uuid_is_known_wherever_its_message_was_delivered() {
        let post = Posted::from_json(ENVELOPE.as_bytes()).expect("the body is right");
        let mut uuids = Uuids::default();
        uuids.learn(&post.payload, id(1));
        uuids.learn(&post.payload, id(2));
        uuids.learn(b"no envelope", id(3));
        assert_eq!(uuids.get("u-1"), Some(id(1)));
        assert_eq!(uuids.ids.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut uuids = Uuids::default();
        for i in 0..UUIDS_MAX + 10 {
            uuids.insert(i.to_string(), id(i as u64 + 1));
        }
        uuids.insert("u".repeat(UUID_MAX + 1), id(1));
        assert_eq!((uuids.ids.len(), uuids.oldest_first.len()), (UUIDS_MAX, UUIDS_MAX));
        assert_eq!(uuids.get("9"), None);
        assert_eq!(uuids.get("10"), Some(id(11)));
    }
}
