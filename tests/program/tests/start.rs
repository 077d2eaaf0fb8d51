//! How the programs start, and how they refuse to.

mod support;

use std::net::{TcpListener, UdpSocket};

use support::{CLUSTER, NODE, NODE_SMOL, Process, eventually, run, text};

/// The program ends with `status`, and says `reason`.
fn refuses(program: &str, arguments: &[&str], status: i32, reason: &str) {
    let output = run(program, arguments);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(status) && said.contains(reason), "{arguments:?}: {} {said}", output.status);
}

#[test]
fn wrong_options_are_refused() {
    for program in [NODE, NODE_SMOL] {
        refuses(program, &["--port", "0", "--id", "1", "--frobnicate"], 2, "--frobnicate");
        refuses(program, &["--port", "0"], 1, "--id");
        refuses(program, &["--port", "0", "--id", "1", "--mtu", "100"], 1, "mtu");
        refuses(program, &["--port", "0", "--id", "1", "--key-file", "/nowhere/key"], 1, "/nowhere/key");
        refuses(program, &["--port", "0", "--id", "1", "--bootstrap", "nonsense"], 1, "nonsense");
    }
    refuses(CLUSTER, &["--nodes", "1"], 2, "--nodes");
}

#[test]
fn a_port_in_use_is_told() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("the system has a port");
    let port = udp.local_addr().expect("it is bound").port().to_string();
    for program in [NODE, NODE_SMOL] {
        refuses(program, &["--port", &port, "--id", "1", "--http", "0"], 1, &format!("UDP 127.0.0.1:{port}"));
    }
    let tcp = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let port = tcp.local_addr().expect("it is bound").port().to_string();
    refuses(NODE, &["--port", "0", "--id", "1", "--http", &port], 1, &format!("TCP port 127.0.0.1:{port}"));
    refuses(CLUSTER, &["--http", &port], 1, &format!("TCP port {port}"));
}

#[test]
fn an_unreachable_bootstrap_is_told_and_tried_on() {
    let place = UdpSocket::bind("127.0.0.1:0").expect("the system has a port");
    let contact = place.local_addr().expect("it is bound");
    let mut early = Process::calm(NODE, 1, &["--bootstrap", &contact.to_string()]);
    let warning = early.warning().expect("the node says something");
    assert!(warning.contains("warning") && warning.contains(&contact.to_string()), "{warning}");
    assert!(early.is_running());

    drop(place);
    let port = contact.port().to_string();
    let _late = Process::start(NODE_SMOL, &["--port", &port, "--http", "0", "--id", "2", "--interval", "0"]);
    eventually(|| match early.get("/peers/").json() {
        peers if peers["peers"][0]["state"] == "linked" => Ok(()),
        peers => Err(peers.to_string()),
    });
}

#[test]
fn what_was_stored_is_there_again() {
    let folder = tempfile::tempdir().expect("the system has a place for temporary files");
    let storage = folder.path().to_str().expect("the path is text");
    for program in [NODE, NODE_SMOL] {
        let message = format!("kept by {program}");
        let id = {
            let node = Process::calm(program, 1, &["--storage", storage]);
            node.submit(&message)
        };
        let node = Process::calm(program, 1, &["--storage", storage]);
        assert_eq!(node.get(&format!("/messages/{id}")).json()["payload"], message);
    }
}

#[test]
fn a_uuid_is_accepted_once_by_all_lives_with_one_storage() {
    let folder = tempfile::tempdir().expect("the system has a place for temporary files");
    let storage = folder.path().to_str().expect("the path is text");
    let post = |node: &Process| {
        let body = r#"{"uuid":"5f0c","origin":7005,"version":3,"ttl":4,"payload":{"book":"Dune"}}"#;
        let answer = node.post("/gossip/", "application/json", body).json();
        (answer["id"].clone(), answer["duplicate"].clone())
    };
    let (id, duplicate) = post(&Process::calm(NODE, 1, &["--storage", storage]));
    assert_eq!(duplicate, false);
    assert_eq!(post(&Process::calm(NODE_SMOL, 1, &["--storage", storage])), (id, true.into()));
}

#[test]
fn a_recording_is_never_written_over() {
    let folder = tempfile::tempdir().expect("the system has a place for temporary files");
    let path = folder.path().join("recording");
    std::fs::write(&path, "precious").expect("the folder is there");
    let output = run(NODE, &["--id", "1", "--port", "0", "--record", path.to_str().expect("the path is text")]);
    assert!(!output.status.success() && text(&output.stderr).contains("there is such a file already"), "{output:?}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
}

#[cfg(unix)]
#[test]
fn a_polite_end_is_a_farewell() {
    let folder = tempfile::tempdir().expect("the system has a place for temporary files");
    let stays = Process::calm(NODE, 9, &[]);
    let contact = stays.gossip.to_string();
    for (program, id) in [(NODE, 1), (NODE_SMOL, 2)] {
        let recording = folder.path().join(id.to_string());
        let record = recording.to_str().expect("the path is text");
        let leaves = Process::calm(program, id, &["--bootstrap", &contact, "--record", record]);
        let state = || {
            let peers = stays.get("/peers/").json();
            let peer = peers["peers"].as_array().expect("a list").iter().find(|peer| peer["node"] == id).cloned();
            peer.map(|peer| peer["state"].to_string()).unwrap_or_default()
        };
        let becomes = |wanted: &str| match state() {
            state if state.contains(wanted) => Ok(()),
            state => Err(state),
        };
        eventually(|| becomes("linked"));
        assert!(leaves.end());
        eventually(|| becomes("left"));
        assert!(std::fs::metadata(&recording).is_ok_and(|file| file.len() > 0), "the recording is there");
    }
}

#[test]
fn the_cluster_agrees_and_says_so() {
    let output = run(CLUSTER, &["--for", "4s", "--interval", "500ms", "--churn"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.lines().any(|line| line == "all nodes agree"), "{said}");
    for word in ["was killed", "was started, knew all favorites after", "all knew after", "slowest"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
