//! The HTTP interface of a node, and the client that uses it.

mod support;

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};
use support::{CLIENT, NODE, NODE_SMOL, Process, agent, eventually, run, text};

const JSON: &str = "application/json";

fn pair() -> (Process, Process) {
    let first = Process::calm(NODE, 1, &[]);
    let contact = first.gossip.to_string();
    let second = Process::calm(NODE_SMOL, 2, &["--bootstrap", &contact]);
    (first, second)
}

/// Runs the client, and returns its exit status and what it said.
fn ask(node: &Process, arguments: &[&str]) -> (bool, String) {
    let http = node.http.to_string();
    let output = run(CLIENT, &[&["--http", &http], arguments].concat());
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), text(&said).trim_end().into())
}

#[test]
fn what_is_submitted_here_can_be_asked_for_there() {
    let (first, second) = pair();
    let (accepted, id) = ask(&first, &["--message", "Apple", "--order", "fifo"]);
    assert!(accepted, "{id}");
    eventually(|| match ask(&second, &["--msgID", &id]) {
        (true, message) if message == "Apple" => Ok(()),
        (_, other) => Err(other),
    });
    let (listed, list) = ask(&second, &["--list"]);
    assert!(listed && list.lines().any(|line| line == "Apple"), "{list}");
    let (told, peers) = ask(&second, &["--peers"]);
    assert!(told && peers.contains("linked") && peers.contains(&first.gossip.to_string()), "{peers}");
    let (told, state) = ask(&first, &["--state"]);
    let state: Value = serde_json::from_str(&state).expect("the state is JSON");
    assert!(told && state["node"] == 1 && state["counters"]["submitted"].as_u64() >= Some(1), "{state}");
    let message = second.get(&format!("/messages/{id}")).json();
    assert_eq!((&message["order"], &message["path"][0]), (&json!("fifo"), &json!(1)));
}

#[test]
fn the_client_says_what_is_wrong() {
    let node = Process::calm(NODE, 1, &[]);
    assert_eq!(ask(&node, &["--msgID", "1-a-1"]), (false, String::from("error: node 1 has no message 1-a-1")));
    let (found, reason) = ask(&node, &["--msgID", "no id"]);
    assert!(!found && reason.contains("not an id"), "{reason}");
    let (accepted, reason) = ask(&node, &["--message", &"x".repeat(70_000)]);
    assert!(!accepted && reason.contains("too large"), "{reason}");
    let http = node.http.to_string();
    drop(node);
    let output = run(CLIENT, &["--http", &http, "--list"]);
    assert!(!output.status.success() && text(&output.stderr).contains("no answer from"), "{}", text(&output.stderr));
}

#[test]
fn a_uuid_is_accepted_once() {
    let (first, second) = pair();
    let body = r#"{"uuid":"5f0c","origin":7005,"version":3,"ttl":4,"payload":{"book":"Dune"}}"#;
    let fresh = first.post("/gossip/", JSON, body);
    let again = first.post("/gossip/", JSON, body);
    assert_eq!((fresh.status, again.status), (201, 200));
    assert_eq!((&fresh.json()["id"], &again.json()["duplicate"]), (&again.json()["id"], &json!(true)));

    let id = fresh.json()["id"].as_str().expect("the id is a text").to_owned();
    eventually(|| match second.get(&format!("/messages/{id}")) {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.body),
    });
    eventually(|| match second.post("/gossip/", JSON, body) {
        answer if answer.json()["id"] == id => Ok(()), // the other node knows the uuid once it delivered the message
        answer => Err(answer.body),
    });
    let message = second.get(&format!("/messages/{id}")).json();
    assert_eq!((&message["payload"]["uuid"], &message["payload"]["payload"]["book"]), (&json!("5f0c"), &json!("Dune")));
}

#[test]
fn refusals_are_json_with_a_status() {
    let node = Process::calm(NODE, 1, &[]);
    let refused = |status: u16, answer: support::Answer, reason: &str| {
        let error = answer.json()["error"].to_string();
        assert!(answer.status == status && error.contains(reason), "{} {error}", answer.status);
    };
    refused(400, node.post("/gossip/", JSON, "Apple"), "no JSON");
    refused(400, node.post("/gossip/", "application/x-www-form-urlencoded", "message=Apple"), "no JSON");
    refused(400, node.post("/gossip/", JSON, "{}"), "expected");
    refused(400, node.post("/gossip/", JSON, r#"{"message":"a","order":"best"}"#), "best");
    let envelope = r#"{"uuid":"5f0c","origin":"me","version":3,"ttl":4,"payload":1}"#;
    refused(400, node.post("/gossip/", JSON, envelope), "column 28");
    refused(413, node.post("/gossip/", "text/plain", &"x".repeat(70_000)), "too large");
    refused(404, node.get("/messages/1-a-1"), "no message");
    refused(400, node.get("/messages/apple"), "not an id");
    refused(400, node.get("/messages/%ff"), "UTF-8");
    refused(404, node.get("/nowhere"), "/nowhere");
    refused(405, node.post("/state", JSON, "{}"), "method");
    assert_eq!(node.get("/state").status, 200, "all that has not hurt the node");
}

#[test]
fn plain_text_is_a_message() {
    let node = Process::calm(NODE_SMOL, 1, &[]);
    assert_eq!(node.post("/gossip", "text/plain; charset=utf-8", "Äpfel").status, 201);
    assert!(node.payloads().contains(&String::from("Äpfel")));
}

#[test]
fn events_are_told_as_they_happen() {
    let node = Process::calm(NODE, 1, &[]);
    let response = agent().get(format!("http://{}/events", node.http)).call().expect("the node answers");
    let told = BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok);
    let id = node.submit("Apple");
    let event = told
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data:")?.trim()).ok())
        .find(|event| event["id"] == id)
        .expect("the delivery is told");
    assert_eq!((&event["event"], &event["payload"]), (&json!("deliver"), &json!("Apple")));
}

#[test]
fn metrics_count() {
    let node = Process::calm(NODE, 1, &[]);
    let submitted = |text: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix("gossip_submitted_total "));
        line.expect("the counter is there").parse().expect("it is a number")
    };
    eventually(|| match submitted(&node.get("/metrics").body) {
        1 => Ok(()), // the announcement of the favorite book
        other => Err(other.to_string()),
    });
    node.submit("Apple");
    assert_eq!(submitted(&node.get("/metrics").body), 2);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let node = Process::calm(NODE, 1, &[]);
    let page = node.get("/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("--good:"), "the style is inside");
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
}
