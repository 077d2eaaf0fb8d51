//! Programs as processes: started on ports that the system chooses, asked over HTTP, and killed in the end, come what
//! may.
#![allow(dead_code, reason = "each test uses its own part of this")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const NODE: &str = env!("CARGO_BIN_EXE_node");
pub(crate) const NODE_SMOL: &str = env!("CARGO_BIN_EXE_node-smol");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_client");
pub(crate) const CLUSTER: &str = env!("CARGO_BIN_EXE_cluster");

/// How long anything may take. Only a failure waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A node that runs as a process of its own, until it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) id: u64,
    pub(crate) gossip: SocketAddr,
    pub(crate) http: SocketAddr,
    warnings: Receiver<String>,
}

impl Process {
    /// Starts a node, and waits until it has said where it listens.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        let said = lines(child.stdout.take().expect("the output is piped"));
        let warnings = lines(child.stderr.take().expect("the error output is piped"));
        let first = said.recv_timeout(PATIENCE);
        // From here on a panic ends the child too.
        let mut process = Self { child, id: 0, gossip: unknown(), http: unknown(), warnings };
        let Ok(first) = first else { panic!("{arguments:?} ended with {}", process.last_words()) };
        let words: Vec<&str> = first.split(' ').collect();
        let ["node", id, "gossip", gossip, "http", http] = words[..] else { panic!("unexpected first line {first:?}") };
        process.id = id.parse().expect("the id is a number");
        process.gossip = gossip.parse().expect("the gossip address is one");
        process.http = http.parse().expect("the HTTP address is one");
        process
    }

    /// A node on ports that the system chooses, that never changes its favorite book.
    pub(crate) fn calm(program: &str, id: u64, arguments: &[&str]) -> Self {
        let id = id.to_string();
        Self::start(program, &[&["--port", "0", "--id", &id, "--interval", "0"], arguments].concat())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Asks the process politely to end, and returns whether it did so with success.
    #[cfg(unix)]
    pub(crate) fn end(mut self) -> bool {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().expect("there is a kill command");
        assert!(asked.success());
        self.child.wait().expect("a child can be waited for").success()
    }

    /// The next line on the error output.
    pub(crate) fn warning(&self) -> Result<String, RecvTimeoutError> {
        self.warnings.recv_timeout(PATIENCE)
    }

    fn last_words(&self) -> String {
        self.warnings.iter().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::of(agent().get(format!("http://{}{path}", self.http)).call())
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &str) -> Answer {
        Answer::of(agent().post(format!("http://{}{path}", self.http)).content_type(kind).send(body))
    }

    /// Submits a message, and returns its id.
    pub(crate) fn submit(&self, message: &str) -> String {
        let answer = self.post("/gossip/", "application/json", &serde_json::json!({ "message": message }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_str().expect("the id is a text").into()
    }

    /// The payloads of all messages that the node holds.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let messages = self.get("/messages").json();
        let texts = messages.as_array().expect("a list").iter().filter_map(|message| message["payload"].as_str());
        texts.map(String::from).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    fn of(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut response = response.expect("the node answers");
        let body = response.body_mut().read_to_string().expect("the answer is text");
        Self { status: response.status().as_u16(), body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the answer is JSON")
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build().into()
}

/// Waits until `holds`; what it said last is told if that takes too long.
pub(crate) fn eventually(mut holds: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(reason) = holds() {
        assert!(Instant::now() < deadline, "after {PATIENCE:?} still: {reason}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the program was built with this test")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads lines as they come, so that the writer is never held up.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = told.send(line); // read on even if nobody listens any more
        }
    });
    heard
}

fn unknown() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}
