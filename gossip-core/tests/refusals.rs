//! Hearsay and echoes, what is larger than this node, and configurations that cannot work.

mod common;

use common::{Cluster, address, id, local, ms, secs, seed};
use gossip_core::SubmitError;
use gossip_core::{Config, ConfigError, Event, Gossip, Instant, Membership, Neighbor, Order, Scope, Security};

/// Members are believed to live where others say, but their lives are their own to tell.
#[test]
fn hearsay_about_its_life_locks_nobody_out() {
    let mut cluster = Cluster::new(3, |_, _| {});
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(2));
    cluster.nodes[2].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(2));
    assert_eq!(cluster.links(2).len(), 2, "node 1 heard of node 2 from node 0 only, and linked with it");
}

/// A greeting that was recorded in an earlier life of its sender proves nothing now.
#[test]
fn a_repeated_greeting_of_an_earlier_life_is_no_conflict() {
    let sealed = |config: &mut Config| config.security = Security::Sealed { key_id: 1, key: [7; 32] };
    let mut cluster = Cluster::new(2, |_, config| sealed(config));
    cluster.log = Some(vec![]);
    cluster.nodes[0].join(cluster.now, address(1)).expect("room");
    cluster.run(secs(2));
    let log = cluster.log.take().expect("it was wanted");
    let greetings: Vec<_> =
        log.into_iter().map(|(_, packet)| packet).filter(|packet| packet.from == address(0)).collect();
    let mut config = cluster.nodes[0].config().clone();
    config.started_at = 100;
    let again = Gossip::new(config, seed(0, 2), cluster.now).expect("in bounds");
    cluster.replace(0, again);
    cluster.nodes[0].join(cluster.now, address(1)).expect("room");
    cluster.run(secs(3));
    for greeting in greetings {
        cluster.nodes[0].handle_packet(cluster.now, ([198, 51, 100, 1], 5).into(), &mut greeting.bytes.clone());
    }
    cluster.run(secs(1));
    assert_eq!(cluster.count(0, |event| matches!(event, Event::IdentityConflict { .. })), 0);
}

#[test]
fn a_message_larger_than_the_store_empties_nothing() {
    let mut cluster = Cluster::joined(2, |index, config| {
        if index == 0 {
            config.mtu = 9_000;
        } else {
            config.limits.payload_bytes = 2_000;
        }
    });
    for _ in 0..20 {
        cluster.submit(0, Order::Unordered, "small");
        cluster.run(ms(50));
    }
    let before = cluster.nodes[1].messages().count();
    cluster.nodes[0].submit(cluster.now, Order::Unordered, &[7; 5_000]).expect("it fits its own datagrams");
    cluster.submit(0, Order::Fifo, "after");
    cluster.run(secs(3));
    assert_eq!(cluster.nodes[1].messages().count(), before + 1);
    assert_eq!(cluster.gaps(1, id(0)), [21], "who cannot have it is told");
    assert_eq!(cluster.nodes[1].stats().refused_store, 1, "it is not asked for again");
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let nowhere = ([0, 0, 0, 0], 0).into();
    let refused = |change: fn(&mut Config, core::net::SocketAddr)| {
        let mut config = local(0);
        change(&mut config, nowhere);
        Gossip::new(config, seed(0, 1), Instant::ZERO).map(drop)
    };
    let neighbor = |config: &mut Config, address| {
        config.membership = Membership::Static { neighbors: vec![Neighbor { node: id(1), address }] };
    };
    let field = "membership.neighbors";
    assert_eq!(refused(neighbor), Err(ConfigError::Address { field, address: nowhere }));
    let advertise = |config: &mut Config, address| config.advertise = Some(address);
    assert_eq!(refused(advertise), Err(ConfigError::Address { field: "advertise", address: nowhere }));
}

#[test]
fn registers_run_out_of_bytes_by_name() {
    let mut config = local(0);
    config.limits.register_bytes = 256 * 64;
    let max = config.limits.register_bytes;
    let mut gossip = Gossip::new(config, seed(0, 1), Instant::ZERO).expect("in bounds");
    let mut set = |n: u32| gossip.set(Instant::ZERO, Scope::Own, &format!("key {n}"), &[7; 1_000]);
    let error = (0..100).find_map(|n| set(n).err());
    assert_eq!(error, Some(SubmitError::RegisterBytes { max }));
}
