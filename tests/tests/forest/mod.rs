//! Small clusters that spread by trees.

use gossip_core::{Broadcast, Config, NodeId};
use gossip_tests::sim::{Birth, Observer, Options, Simulation, Weather};

/// Nodes that have joined through the first one, and have been left in peace for a minute: until then each
/// looks for near neighbors, and links that change bring acknowledgements with them. Latencies are 10 to 50 ms.
pub(crate) fn cluster<O: Observer>(
    seed: u64,
    nodes: u32,
    broadcast: Broadcast,
    weather: &Weather,
    observer: O,
) -> Simulation<O> {
    let mut options = Options::new(seed, nodes);
    options.weather = Weather { latency: (10_000, 50_000), ..weather.clone() };
    let configure = move |birth: Birth| {
        let mut config = Config::lan(NodeId(u64::from(birth.node) + 1));
        config.broadcast = broadcast;
        config.started_at = birth.life.into();
        config
    };
    let mut simulation = Simulation::new(options, configure, observer);
    for node in 0..nodes {
        simulation.start(node, false);
        if node > 0 {
            simulation.join(node, 0).expect("a new node takes its first contact");
        }
    }
    simulation.run_until(60_000_000);
    simulation
}
