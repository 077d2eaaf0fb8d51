//! Asks a node through HTTP: submit, query, list, peers, state.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use serde_json::{Value, json};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Talk to a node of a gossip cluster.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The node's number: its HTTP is at 127.0.0.1:(7000 + N)
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=58_535))]
    id: u16,
    /// Where the node's HTTP is, instead
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "id")]
    http: Option<String>,
    #[command(flatten)]
    wish: Wish,
    /// The order in which the message is delivered relative to others of its kind
    #[arg(long, value_enum, default_value_t = OrderName::Unordered)]
    #[arg(conflicts_with_all = ["msg_id", "list", "peers", "state"])]
    order: OrderName,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Wish {
    /// Submit this message, and print its id
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Print the message with this id
    #[arg(long = "msgID", value_name = "ID")]
    msg_id: Option<String>,
    /// Print all messages that the node holds
    #[arg(long)]
    list: bool,
    /// Print the nodes that the node knows
    #[arg(long)]
    peers: bool,
    /// Print the node's state as JSON
    #[arg(long)]
    state: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderName {
    /// As they come
    Unordered,
    /// In the order in which their node submitted them
    Fifo,
}

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match answer(&options) {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}"); // a reader that went away has read enough
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn answer(options: &Options) -> Result<String, String> {
    let node = Http::new(options);
    let wish = &options.wish;
    if let Some(message) = &wish.message {
        let order = match options.order {
            OrderName::Unordered => "unordered",
            OrderName::Fifo => "fifo",
        };
        let answer = node.post("/gossip/", &json!({ "message": message, "order": order }))?;
        return Ok(text(&answer["id"]));
    }
    if let Some(id) = &wish.msg_id {
        let segment: String = id.bytes().map(percent_encoded).collect();
        return Ok(text(&node.get(&format!("/messages/{segment}"))?["payload"]));
    }
    if wish.list {
        let messages = node.get("/messages")?;
        let lines = messages.as_array().into_iter().flatten().map(|message| text(&message["payload"]));
        return Ok(lines.collect::<Vec<_>>().join("\n"));
    }
    if wish.peers {
        return Ok(peer_table(&node.get("/peers/")?));
    }
    Ok(format!("{:#}", node.get("/state")?))
}

/// One node's HTTP interface.
struct Http {
    address: String,
    agent: ureq::Agent,
}

impl Http {
    fn new(options: &Options) -> Self {
        let address = options.http.clone().unwrap_or_else(|| format!("127.0.0.1:{}", 7_000 + options.id));
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        Self { address, agent: config.into() }
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let response = self.agent.get(format!("http://{}{path}", self.address)).call();
        self.understand(response)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.agent.post(format!("http://{}{path}", self.address)).content_type("application/json");
        self.understand(request.send(body.to_string()))
    }

    fn understand(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
        let mut response = response.map_err(|error| format!("no answer from {}: {error}", self.address))?;
        let body = response.body_mut().read_to_string().map_err(|error| format!("{}: {error}", self.address))?;
        let value: Value = serde_json::from_str(&body)
            .map_err(|_| format!("{} answered {}, which is no JSON: is it a node?", self.address, response.status()))?;
        if response.status().is_success() { Ok(value) } else { Err(text(&value["error"])) }
    }
}

/// Texts as they are, anything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Bytes that may stand for something else in a path are escaped (RFC 3986 §2.3).
fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).into()
    } else {
        format!("%{byte:02X}")
    }
}

/// Both views: the nodes that are linked or known, with their health, and those known by hearsay, with their age.
fn peer_table(answer: &Value) -> String {
    let mut table =
        format!("{:>20}  {:<13}{:<8}{:<24}{:>10}{:>12}", "node", "state", "link", "address", "heard", "rtt");
    // Writing into a `String` cannot fail.
    for peer in list(&answer["peers"]) {
        let link = &peer["link"];
        let state = if link["suspected"] == true { "suspected".into() } else { text(&peer["state"]) };
        let kind = link["near"].as_bool().map_or("", |near| if near { "near" } else { "random" });
        let heard = link["heard_ms"].as_f64().map_or_else(String::new, |time| format!("{:.1} s", time / 1e3));
        let round_trip = peer["round_trip_ms"].as_f64().map_or_else(String::new, |time| format!("{time:.2} ms"));
        let (node, address) = (text(&peer["node"]), text(&peer["address"]));
        let _ = write!(table, "\n{node:>20}  {state:<13}{kind:<8}{address:<24}{heard:>10}{round_trip:>12}");
    }
    if list(&answer["view"]).next().is_some() {
        let _ = write!(table, "\n\n{:>20}  {:<45}{:>10}", "known by hearsay", "address", "age");
    }
    for entry in list(&answer["view"]) {
        let age = entry["age_ms"].as_f64().map_or_else(String::new, |time| format!("{:.1} s", time / 1e3));
        let _ = write!(table, "\n{:>20}  {:<45}{age:>10}", text(&entry["node"]), text(&entry["address"]));
    }
    table
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_wish() {
        let parse = |line: &str| Options::try_parse_from(std::iter::once("client").chain(line.split_whitespace()));
        for line in ["--id 1 --message Apple", "--id 5 --msgID 1-a-1", "--id 4 --list", "--peers", "--http h:1 --state"]
        {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in ["", "--id 1", "--list --peers", "--id x --list", "--id 1 --http h:1 --list", "--list --order fifo"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn both_views_in_columns() {
        let peer = |state: &str, link: Value| json!({ "node": 2, "state": state, "address": "127.0.0.1:7002", "round_trip_ms": 0.5, "link": link });
        let link = json!({ "near": true, "suspected": true, "heard_ms": 2_300.0 });
        let view = json!([{ "node": 9, "address": "127.0.0.1:7009", "age_ms": 12_000.0 }]);
        let table =
            peer_table(&json!({ "peers": [peer("linked", link), peer("unreachable", Value::Null)], "view": view }));
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("suspected") && lines[1].contains("near") && lines[1].contains("2.3 s"), "{table}");
        assert!(lines[2].contains("unreachable"), "{table}");
        assert!(lines[4].contains("hearsay") && lines[5].contains("12.0 s"), "{table}");
        let widths = |lines: &[&str]| lines.iter().map(|line| line.chars().count()).collect::<Vec<_>>();
        assert_eq!(widths(&lines[..3]), [lines[0].len(); 3]);
        assert_eq!(widths(&lines[4..]), [lines[4].len(); 2]);
        assert!(!peer_table(&json!({ "peers": [], "view": [] })).contains("hearsay"));
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!("7-aZ/?é".bytes().map(percent_encoded).collect::<String>(), "7-aZ%2F%3F%C3%A9");
    }
}
