//! The graph of links: how many, with whom, and how it comes back when it was torn.

mod common;

use std::collections::BTreeSet;

use common::{Cluster, address, id, ms, secs};
use gossip_core::{Event, PeerState};

const COUNT: usize = 30;

/// A cluster that is large for its number of links: 10 of 14 are wanted.
fn crowd() -> Cluster {
    let mut cluster = Cluster::joined(COUNT, |_, _| {});
    cluster.run(secs(4));
    cluster
}

/// Nodes that the first one of them reaches over links on which both ends agree.
fn reached(cluster: &Cluster, among: &[usize]) -> usize {
    let (mut seen, mut next) = (BTreeSet::from([among[0]]), vec![among[0]]);
    while let Some(node) = next.pop() {
        for other in cluster.links(node).into_iter().map(|other| other.0 as usize - 1) {
            if among.contains(&other) && cluster.links(other).contains(&id(node)) && seen.insert(other) {
                next.push(other);
            }
        }
    }
    seen.len()
}

fn everybody_knows_everybody(cluster: &Cluster) -> bool {
    let alive: Vec<usize> = cluster.alive().collect();
    alive.iter().all(|&node| {
        let known = cluster.nodes[node].peers();
        known.filter(|peer| matches!(peer.state, PeerState::Known | PeerState::Linked)).count() == alive.len() - 1
    })
}

/// How long until `done`, at most `limit` milliseconds.
fn time_until(cluster: &mut Cluster, limit: u64, done: impl Fn(&Cluster) -> bool) -> Option<u64> {
    (0..limit / 50).find_map(|step| {
        cluster.run(ms(50));
        done(cluster).then_some((step + 1) * 50)
    })
}

#[test]
fn everybody_has_about_as_many_links_as_it_wants_and_the_graph_is_whole() {
    let cluster = crowd();
    let degrees: Vec<usize> = (0..COUNT).map(|node| cluster.links(node).len()).collect();
    assert!(degrees.iter().all(|degree| (9..=11).contains(degree)), "{degrees:?}");
    assert_eq!(reached(&cluster, &(0..COUNT).collect::<Vec<_>>()), COUNT);
}

#[test]
fn a_newcomer_gets_its_links_from_a_cluster_in_which_everybody_has_enough() {
    let mut cluster = Cluster::new(COUNT + 1, |_, _| {});
    for index in 1..COUNT {
        cluster.nodes[index].join(cluster.now, address(0)).expect("room for a contact");
    }
    cluster.run(secs(10));
    cluster.nodes[COUNT].join(cluster.now, address(0)).expect("room for a contact");
    cluster.run(ms(500));
    assert!((9..=11).contains(&cluster.links(COUNT).len()), "{} links", cluster.links(COUNT).len());
    let degrees: Vec<usize> = (0..COUNT).map(|node| cluster.links(node).len()).collect();
    assert!(degrees.iter().all(|degree| (9..=11).contains(degree)), "nobody has to pay for it: {degrees:?}");
}

#[test]
fn halves_that_have_given_each_other_up_are_one_again_in_time() {
    let mut cluster = crowd();
    let (left, right): (Vec<usize>, Vec<usize>) = (0..COUNT).partition(|node| node % 2 == 0);
    cluster.connect_groups(&left, &right, false);
    cluster.run(secs(20));
    assert_eq!((reached(&cluster, &left), reached(&cluster, &right)), (left.len(), right.len()));
    assert!(left.iter().all(|&node| cluster.links(node).iter().all(|other| other.0 % 2 == 1)), "nobody links across");
    cluster.connect_groups(&left, &right, true);
    let all: Vec<usize> = (0..COUNT).collect();
    // Eight turns of a whole component, at two a beat period of 250 ms, and a dissemination.
    let bridged = time_until(&mut cluster, 2_000, |cluster| reached(cluster, &all) == COUNT);
    assert!(bridged.is_some(), "no bridge in 2 s");
    let known = time_until(&mut cluster, 30_000, everybody_knows_everybody);
    assert!(known.is_some(), "somebody is still taken for dead");
}

#[test]
fn who_is_cut_off_says_so_and_comes_home_by_itself() {
    let mut cluster = crowd();
    let others: Vec<usize> = (0..COUNT).filter(|&node| node != 7).collect();
    cluster.connect_groups(&[7], &others, false);
    cluster.events[7].clear();
    // Three periods until a beat of some link is late, bursts of probes, and four periods of patience.
    cluster.run(secs(2));
    assert!(cluster.events[7].contains(&Event::Isolated));
    cluster.run(secs(20));
    assert!(!cluster.events[7].contains(&Event::Rejoined));
    assert!(others.iter().all(|&node| !cluster.events[node].contains(&Event::Isolated)));
    cluster.connect_groups(&[7], &others, true);
    let all: Vec<usize> = (0..COUNT).collect();
    let home = time_until(&mut cluster, 2_500, |cluster| reached(cluster, &all) == COUNT);
    assert!(home.is_some(), "{} links", cluster.links(7).len());
    cluster.run(secs(1));
    let told = cluster.events[7].iter().filter(|event| matches!(event, Event::Isolated | Event::Rejoined));
    assert_eq!(told.collect::<Vec<_>>(), [&Event::Isolated, &Event::Rejoined]);
}

#[test]
fn a_node_whose_contact_does_not_answer_is_isolated_and_one_without_contacts_is_not() {
    let mut cluster = Cluster::new(2, |_, _| {});
    cluster.nodes[1].join(cluster.now, address(77)).expect("room");
    cluster.run(secs(10));
    assert_eq!((&cluster.events[0][..], &cluster.events[1][..]), (&[][..], &[Event::Isolated][..]));
}

#[test]
fn the_last_one_is_not_isolated_when_the_others_have_left() {
    let mut cluster = Cluster::new(2, |_, _| {});
    cluster.nodes[1].join(cluster.now, address(0)).expect("room");
    cluster.run(secs(3));
    cluster.nodes[1].leave(cluster.now);
    cluster.run(secs(10));
    assert!(cluster.events[0].contains(&Event::PeerDown { node: id(1) }));
    assert!(!cluster.events[0].contains(&Event::Isolated));
}

/// With sampled membership nobody knows all, and the links alone have to join everybody.
mod sampled {
    use super::*;
    use gossip_core::{Config, Membership};

    fn sampled(config: &mut Config) {
        config.membership = Membership::sampled(&config.limits);
    }

    /// Nodes that joined one after the other through one contact, each a few milliseconds after the one before.
    fn grown() -> Cluster {
        let mut cluster = Cluster::new(COUNT, |_, config| sampled(config));
        for index in 1..COUNT {
            cluster.nodes[index].join(cluster.now, address(0)).expect("room for a contact");
            cluster.run(ms(20));
        }
        cluster.run(secs(2));
        cluster
    }

    #[test]
    fn who_joins_one_after_the_other_through_one_contact_is_spliced_in() {
        let mut cluster = grown();
        assert_eq!(reached(&cluster, &(0..COUNT).collect::<Vec<_>>()), COUNT);
        let degrees: Vec<usize> = (0..COUNT).map(|node| cluster.links(node).len()).collect();
        assert!(degrees.iter().all(|degree| (8..=11).contains(degree)), "{degrees:?}");
        assert!(degrees.iter().sum::<usize>() >= COUNT * 19 / 2, "{degrees:?}");
        cluster.run(secs(10));
        let degrees: Vec<usize> = (0..COUNT).map(|node| cluster.links(node).len()).collect();
        assert!(degrees.iter().all(|degree| (9..=11).contains(degree)), "{degrees:?}");
    }

    #[test]
    fn most_die_at_once_and_the_rest_finds_together() {
        let mut cluster = grown();
        cluster.run(secs(20));
        let rest: Vec<usize> = (0..COUNT).step_by(4).collect();
        for node in (0..COUNT).filter(|node| node % 4 != 0) {
            cluster.up[node] = false;
        }
        let whole = time_until(&mut cluster, 10_000, |cluster| reached(cluster, &rest) == rest.len());
        assert!(whole.is_some(), "{} of {} are joined", reached(&cluster, &rest), rest.len());
    }
}
