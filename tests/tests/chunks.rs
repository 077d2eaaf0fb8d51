//! Large messages over a lossy network: complete everywhere, and nobody is told anything else.

use gossip_core::{Broadcast, Config, NodeId, Order};
use gossip_tests::check::{Checks, missing};
use gossip_tests::sim::rng::{Chance, Rng};
use gossip_tests::sim::{Birth, Options, Simulation};

const SECOND: u64 = 1_000_000;

/// The room that a message of 1 MiB needs.
fn config(birth: Birth, broadcast: Broadcast) -> Config {
    let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
    config.started_at = birth.life.into();
    config.broadcast = broadcast;
    config.limits.message_bytes = 1 << 20;
    config.limits.payload_bytes = 4 << 20;
    config.limits.messages = 4_096;
    config.limits.window = 1_024;
    config
}

/// A message of 1 MiB to `nodes` nodes at a loss of 5 %: whole everywhere within the time.
fn spread(nodes: u32, broadcast: Broadcast, bandwidth: u64, within: u64) {
    let mut options = Options::new(7, nodes);
    options.bandwidth = bandwidth;
    let mut simulation = Simulation::new(options, move |birth| config(birth, broadcast), Checks::default());
    simulation.start_all();
    for node in 1..nodes {
        simulation.join(node, 0).expect("a new node takes a contact");
    }
    simulation.run_until(5 * SECOND);
    simulation.network().weather.loss = Chance::of(0.05);
    let mut rng = Rng::new(7, 0);
    let payload: Vec<u8> = (0..1 << 20).map(|_| rng.next() as u8).collect();
    let id = simulation.submit(3, Order::Fifo, &payload).expect("the node is up").expect("there is room");
    simulation.submit(3, Order::Fifo, b"behind it").expect("the node is up").expect("there is room");
    simulation.run_until(5 * SECOND + within);
    let checks = &simulation.observer;
    assert_eq!(missing(&checks.book), None);
    assert_eq!(checks.found, []);
    for node in 0..nodes {
        let gossip = simulation.view(node).expect("nobody died");
        gossip.check_invariants();
        assert_eq!(gossip.stats().gapped, 0, "node {node}");
        let message = gossip.get(id);
        let whole = message.as_ref().map(|message| (message.payload == payload, message.delivered, message.last));
        assert!(
            whole.is_some_and(|(same, delivered, _)| same && delivered),
            "node {node}: {whole:?} {:?}",
            gossip.stats()
        );
    }
}

#[test]
fn a_message_of_1_mib_reaches_50_nodes_at_5_percent_loss() {
    spread(50, Broadcast::Flood { ttl: 255 }, 0, 10 * SECOND);
    spread(50, Broadcast::tree(), 0, 20 * SECOND);
}

#[test]
fn also_over_lines_of_10_mbit() {
    spread(12, Broadcast::Tree { trees: 4, inject_from: 200 }, 10_000_000, 20 * SECOND);
}
