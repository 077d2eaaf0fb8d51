//! Peer sampling between real nodes: views fill, forget the dead, survive loss, and say what they hold.

#[allow(single_use_lifetimes, reason = "of the shared module")]
mod common;

use common::{Cluster, address, id, local, secs, seed};
use gossip_core::{
    Config, ConfigError, Event, Gossip, Instant, Membership, Neighbor, PeerSelection, Sampling, Unsafe,
    ViewPropagation, ViewSelection, Warning,
};

/// Views of `view` entries, exchanged in the safe way.
fn sampled(config: &mut Config, view: u16) {
    config.limits.view = view;
    config.limits.links = 4;
    config.membership = Membership::sampled(&config.limits);
}

fn view(cluster: &Cluster, index: usize) -> Vec<u64> {
    let mut nodes: Vec<u64> = cluster.nodes[index].current_view().map(|entry| entry.node.0).collect();
    nodes.sort_unstable();
    nodes
}

#[test]
fn in_a_small_cluster_everybody_is_in_every_view() {
    let mut cluster = Cluster::joined(6, |_, config| sampled(config, 8));
    cluster.run(secs(60));
    for index in 0..6 {
        let others: Vec<u64> = (0..6).filter(|&other| other != index).map(|other| id(other).0).collect();
        assert_eq!(view(&cluster, index), others);
        #[cfg(feature = "__internals")]
        cluster.nodes[index].check_invariants();
        let stats = cluster.nodes[index].stats();
        assert!(stats.exchanges_answered >= 10 && stats.exchanges_failed == 0, "{stats:?}");
    }
}

#[test]
fn views_are_no_larger_than_configured_and_not_all_alike() {
    let mut cluster = Cluster::joined(24, |_, config| sampled(config, 8));
    cluster.run(secs(100));
    let mut views: Vec<_> = (0..24).map(|index| view(&cluster, index)).collect();
    assert!(views.iter().all(|view| view.len() == 8), "{views:?}");
    views.sort_unstable();
    views.dedup();
    assert!(views.len() > 20, "24 random views of 8 are hardly ever equal: {views:?}");
}

#[test]
fn the_dead_leave_all_views() {
    let mut cluster = Cluster::joined(12, |_, config| sampled(config, 10));
    cluster.run(secs(60));
    (0..4).for_each(|index| cluster.up[index] = false);
    cluster.run(secs(150));
    for index in 4..12 {
        let others: Vec<u64> = (4..12).filter(|&other| other != index).map(|other| id(other).0).collect();
        assert_eq!(view(&cluster, index), others, "view of {index}");
    }
}

#[test]
fn under_heavy_loss_views_stay_full() {
    let mut cluster = Cluster::joined(24, |_, config| sampled(config, 8));
    let mut count = 0_u64;
    cluster.lose = Box::new(move |_| {
        count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        count >> 32 < (1 << 32) * 3 / 10
    });
    cluster.run(secs(200));
    let held: usize = (0..24).map(|index| view(&cluster, index).len()).sum();
    assert!(held > 24 * 7, "{held} entries in 24 views of 8");
    let failed: u64 = cluster.nodes.iter().map(|node| node.stats().exchanges_failed).sum();
    assert!(failed > 200, "half of the exchanges fail: {failed}");
}

/// Node 1 lives where node 7 was: who exchanges with it there forgets the one and learns of the other.
#[test]
fn somebody_else_at_an_address_takes_the_place() {
    let mut cluster = Cluster::new(2, |index, config| {
        sampled(config, 8);
        if let Membership::Sampled { known, .. } = &mut config.membership
            && index == 0
        {
            known.push(Neighbor { node: id(7), address: address(1) });
        }
    });
    assert_eq!(view(&cluster, 0), [id(7).0]);
    cluster.run(secs(20));
    assert_eq!((view(&cluster, 0), view(&cluster, 1)), (vec![id(1).0], vec![id(0).0]));
}

/// A node that was told some nodes needs no contact, and an entry reads well.
#[test]
fn a_known_view_is_where_a_node_begins() {
    let mut cluster = Cluster::new(3, |index, config| {
        sampled(config, 8);
        if let Membership::Sampled { known, .. } = &mut config.membership
            && index > 0
        {
            known.push(Neighbor { node: id(0), address: address(0) });
        }
    });
    let entry = cluster.nodes[1].current_view().next().expect("the known node");
    assert_eq!(entry.to_string(), format!("{} at {}, 5.0 s old", id(0), address(0)));
    cluster.run(secs(60));
    assert_eq!(view(&cluster, 1), [id(0).0, id(2).0]);
}

/// A request asks for no more than it brings, and who is asked by a stranger keeps nothing but entries.
#[test]
fn no_reply_is_longer_than_its_request() {
    let mut cluster = Cluster::new(2, |_, config| sampled(config, 60));
    cluster.log = Some(vec![]);
    cluster.nodes[1].join(cluster.now, address(0)).expect("room for a contact");
    cluster.run(secs(60));
    let log = cluster.log.take().expect("it was wanted");
    let exchanges: Vec<usize> = log.iter().map(|(_, packet)| packet.bytes.len()).filter(|&len| len > 560).collect();
    assert!(exchanges.len() >= 10, "requests are padded for half a view: {}", exchanges.len());
    assert!(exchanges.iter().all(|&len| len == 48 + 3 + 9 + 30 * 17));
}

#[test]
fn idle_exchanges_cost_less_than_60_bytes_a_second() {
    let mut cluster = Cluster::joined(70, |index, config| {
        let period = Config::lan(id(index)).timing.exchange_period;
        sampled(config, 60);
        // Nothing else happens for long.
        (config.timing.exchange_period, config.timing.beat_period) = (period, secs(1_000));
        config.timing.repair_period = secs(1_000);
    });
    cluster.run(secs(200));
    cluster.log = Some(vec![]);
    cluster.run(secs(250));
    let log = cluster.log.take().expect("it was wanted");
    let exchange = |bytes: &[u8]| [0x10, 0x11].contains(&bytes[48]);
    let exchanges = log.iter().map(|(_, packet)| &packet.bytes).filter(|bytes| exchange(bytes));
    let rate = exchanges.map(|bytes| bytes.len() + 28).sum::<usize>() as f64 / 250.0 / 70.0;
    assert!((40.0..60.0).contains(&rate), "{rate} B/s");
}

#[test]
fn unsafe_choices_are_told_once_and_impossible_ones_refused() {
    let mut config = local(1);
    config.limits.view = 8;
    let sampling = Sampling {
        peer_selection: PeerSelection::Head,
        view_propagation: ViewPropagation::Push,
        view_selection: ViewSelection::Balanced { healer: 4, swapper: 0 },
    };
    config.membership = Membership::Sampled { sampling, known: vec![] };
    let mut node = Gossip::new(config.clone(), seed(1, 1), Instant::ZERO).expect("unsafe is possible");
    let told: Vec<_> = std::iter::from_fn(|| node.poll_event()).collect();
    let warning = |risk| Event::Warning(Warning::Sampling { risk });
    assert_eq!(told, [Unsafe::Clustering, Unsafe::Healer, Unsafe::OneWay, Unsafe::SmallView].map(warning));

    config.limits.view = 3;
    let refused = Gossip::new(config, seed(1, 1), Instant::ZERO).expect_err("a view of three");
    assert_eq!(refused, ConfigError::TooSmall { field: "limits.view", value: 3, min: 4 });
}
