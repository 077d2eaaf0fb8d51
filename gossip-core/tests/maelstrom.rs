//! The example `maelstrom`, driven as Maelstrom drives it: five processes, lines of JSON, a network that parts and heals.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// However busy the machine is, everything is done by then.
const PATIENCE: Duration = Duration::from_secs(120);

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

/// The program, built where a run of this test alone did not.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in a folder of the profile's folder");
    let path = profile.join("examples").join("maelstrom");
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--locked", "--example", "maelstrom"]).status();
        assert!(built.is_ok_and(|status| status.success()), "the example does not build");
        return profile.with_file_name("debug").join("examples").join("maelstrom");
    }
    path
}

/// Clients, network and nodes.
struct Run {
    nodes: BTreeMap<String, (Child, ChildStdin)>,
    lines: Receiver<(String, String)>,
    /// Pairs of nodes between which nothing arrives.
    parted: BTreeSet<(String, String)>,
    dropped: u64,
    next_id: u64,
    /// Answers that came, by client and the id of the request.
    answers: BTreeMap<(String, u64), Value>,
    /// In which order each node answered, whoever asked.
    order: BTreeMap<String, Vec<u64>>,
}

impl Run {
    fn start(options: &[&str]) -> Self {
        let program = program();
        let (sender, lines) = mpsc::channel();
        let nodes = NODES.map(|name| (name.to_owned(), spawn(&program, options, name, &sender)));
        let mut run = Self {
            nodes: nodes.into_iter().collect(),
            lines,
            parted: BTreeSet::new(),
            dropped: 0,
            next_id: 0,
            answers: BTreeMap::new(),
            order: BTreeMap::new(),
        };
        for node in NODES {
            run.ask(node, &json!({"type": "init", "node_id": node, "node_ids": NODES}), "init_ok");
        }
        // A line: whoever obeys it has no way around a cut.
        let topology = json!({"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2", "n4"], "n4": ["n3", "n5"], "n5": ["n4"]});
        for node in NODES {
            run.ask(node, &json!({"type": "topology", "topology": topology}), "topology_ok");
        }
        run
    }

    /// Sends a request. Its id.
    fn send(&mut self, node: &str, body: &Value) -> u64 {
        self.next_id += 1;
        let mut body = body.clone();
        body["msg_id"] = self.next_id.into();
        let client = format!("c-{node}");
        self.deliver(node, &json!({"src": client, "dest": node, "body": body}).to_string());
        self.next_id
    }

    /// Sends a request and waits for its answer.
    fn ask(&mut self, node: &str, body: &Value, kind: &str) -> Value {
        let id = self.send(node, body);
        self.wait_for(node, id, kind)
    }

    fn wait_for(&mut self, node: &str, id: u64, kind: &str) -> Value {
        let client = format!("c-{node}");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.answers.remove(&(client.clone(), id)) {
                assert_eq!(answer["type"], kind, "{answer}");
                return answer;
            }
            assert!(Instant::now() < until, "no answer of {node} to request {id}");
            self.carry(Duration::from_millis(100));
        }
    }

    /// Carries one line, if there is one.
    fn carry(&mut self, wait: Duration) {
        let Ok((from, line)) = self.lines.recv_timeout(wait) else { return };
        let message: Value = serde_json::from_str(&line).expect("a node writes JSON");
        assert_eq!(message["src"], from.as_str(), "a node speaks for itself");
        let to = message["dest"].as_str().expect("a message goes somewhere").to_owned();
        if self.nodes.contains_key(&to) {
            assert_eq!(message["body"]["type"], "datagram");
            if self.parted.contains(&(from, to.clone())) {
                self.dropped += 1;
            } else {
                self.deliver(&to, &line);
            }
        } else {
            let id = message["body"]["in_reply_to"].as_u64().expect("an answer says to what");
            self.order.entry(from).or_default().push(id);
            let twice = self.answers.insert((to, id), message["body"].clone());
            assert_eq!(twice, None, "request {id} is answered once");
        }
    }

    fn deliver(&mut self, node: &str, line: &str) {
        let (_, input) = self.nodes.get_mut(node).expect("there is such a node");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the node reads");
    }

    fn part(&mut self, left: &[&str], right: &[&str]) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            self.parted.extend([((*a).to_owned(), (*b).to_owned()), ((*b).to_owned(), (*a).to_owned())]);
        }
    }

    fn read(&mut self, node: &str) -> Vec<i64> {
        let answer = self.ask(node, &json!({"type": "read"}), "read_ok");
        let values = answer["messages"].as_array().expect("a read shows a list");
        values.iter().map(|value| value.as_i64().expect("the values are numbers")).collect()
    }

    /// Waits until every node shows just these values.
    fn wait_until_all_show(&mut self, values: std::ops::Range<i64>) {
        let until = Instant::now() + PATIENCE;
        for node in NODES {
            loop {
                let mut shown = self.read(node);
                shown.sort_unstable();
                if shown.iter().copied().eq(values.clone()) {
                    break;
                }
                assert!(Instant::now() < until, "{node} shows {shown:?}");
                self.carry(Duration::from_millis(50));
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for (child, _) in self.nodes.values_mut() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(program: &Path, options: &[&str], name: &str, sender: &Sender<(String, String)>) -> (Child, ChildStdin) {
    let mut child = Command::new(program)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example is a program");
    let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let (name, sender) = (name.to_owned(), sender.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send((name.clone(), line)).is_err() {
                return;
            }
        }
    });
    (child, input)
}

/// Values before, during and after a partition, from both sides.
fn play(options: &[&str]) {
    let mut run = Run::start(options);
    let broadcast = |run: &mut Run, value: i64| {
        let node = NODES[value as usize % NODES.len()];
        run.ask(node, &json!({"type": "broadcast", "message": value}), "broadcast_ok");
    };
    (0..10).for_each(|value| broadcast(&mut run, value));
    run.wait_until_all_show(0..10);
    run.part(&["n1", "n2"], &["n3", "n4", "n5"]);
    (10..20).for_each(|value| broadcast(&mut run, value));
    let until = Instant::now() + PATIENCE;
    while run.dropped == 0 {
        assert!(Instant::now() < until, "nothing was sent across the cut");
        run.carry(Duration::from_millis(50));
    }
    assert_ne!(run.read("n1").len(), 20, "nothing crosses the cut");
    run.parted.clear();
    (20..25).for_each(|value| broadcast(&mut run, value));
    run.wait_until_all_show(0..25);
}

#[test]
fn all_values_arrive_after_a_partition() {
    play(&[]);
}

#[test]
fn all_values_arrive_where_the_topology_is_obeyed() {
    play(&["--obey-topology", "--delay", "5"]);
}

#[test]
fn requests_are_answered_in_order_and_what_is_unknown_is_refused() {
    let mut run = Run::start(&[]);
    run.order.clear();
    let asked: Vec<u64> = (0..20)
        .map(|value| match value % 3 {
            0 => run.send("n1", &json!({"type": "broadcast", "message": value})),
            1 => run.send("n1", &json!({"type": "read"})),
            _ => run.send("n1", &json!({"type": "dance"})),
        })
        .collect();
    let kinds = ["broadcast_ok", "read_ok", "error"];
    for (place, &id) in asked.iter().enumerate() {
        run.wait_for("n1", id, kinds[place % 3]);
    }
    assert_eq!(run.order["n1"], asked);
    // What is no request harms nobody.
    run.deliver("n1", "no JSON");
    run.deliver("n1", r#"{"src":"n2","dest":"n1","body":{"type":"datagram","data":"AAAA"}}"#);
    run.deliver("n1", r#"{"src":"n9","dest":"n1","body":{"type":"datagram","data":"?"}}"#);
    assert_eq!(run.read("n1").len(), 7);
}

#[test]
fn wrong_options_are_named() {
    let output = Command::new(program()).arg("--dance").output().expect("the example is a program");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--dance"));
}
