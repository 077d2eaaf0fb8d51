//! Each system really does its work under its driver, and what it fails to do is seen.

use gossip_peers::foca::Peer as Foca;
use gossip_peers::forged::attack;
use gossip_peers::iroh::Iroh;
use gossip_peers::node::Node;
use gossip_peers::ours::Ours;
use gossip_peers::scenario::{Figures, Script, play, settled, weather};
use gossip_tests::sim::rng::Rng;

const SECOND: u64 = 1_000_000;
const LATENCY: (u64, u64) = (10_000, 50_000);

fn script(loss: f64) -> Script {
    Script {
        seed: 1,
        nodes: 30,
        messages: 30,
        warmup: 10,
        gap: 100_000,
        payload: 256,
        one_sender: false,
        weather: weather(LATENCY, loss, loss),
    }
}

/// All of 20 messages at 29 nodes, but for `missed`.
fn delivers_to_all<N: Node>(missed: u64) -> Figures {
    let figures = play::<N>(&script(0.0));
    assert_eq!((figures.missed + figures.work.deliveries, figures.duplicates), (20 * 29, 0));
    assert!(figures.missed <= missed, "{figures:?}");
    assert!(figures.p50_ms >= Some(10.0) && figures.p99_ms <= Some(2_000.0), "{figures:?}");
    assert!(figures.work.bytes > figures.work.deliveries * 256, "each delivery took a payload: {figures:?}");
    assert!(figures.work.allocations > 0 && figures.heap > 30 * 1_000, "{figures:?}");
    let again = play::<N>(&script(0.0));
    let traffic = |figures: &Figures| (figures.work.datagrams, figures.work.bytes, figures.idle.bytes);
    assert_eq!(traffic(&figures), traffic(&again), "a seed is a run");
    figures
}

#[test]
fn ours_delivers_to_all() {
    let plain = delivers_to_all::<Ours<false>>(0);
    let sealed = delivers_to_all::<Ours<true>>(0);
    assert_eq!(plain.work.bytes, sealed.work.bytes, "the tag has its place in plain mode too");
}

#[test]
fn iroh_delivers_to_all() {
    delivers_to_all::<Iroh>(0);
}

/// Nearly all: it sends each message so many times to somebody drawn by chance, and repairs nothing.
#[test]
fn foca_delivers_to_nearly_all_and_an_eager_one_sooner() {
    let calm = delivers_to_all::<Foca<false>>(5);
    let eager = delivers_to_all::<Foca<true>>(20);
    assert!(eager.p50_ms < calm.p50_ms, "{eager:?}, {calm:?}");
}

#[test]
fn ours_delivers_to_all_over_datagrams() {
    let figures = play::<Ours<false>>(&script(0.1));
    assert_eq!((figures.missed, figures.duplicates), (0, 0));
    assert_eq!(figures, play::<Ours<false>>(&script(0.1)), "a seed is a run");
    assert!(figures.work.bytes > play::<Ours<false>>(&script(0.0)).work.bytes, "losses were repaired");
}

/// One node is cut off, and a message submitted: just that node misses it.
fn misses<N: Node>() {
    let mut cluster = settled::<N>(&Script { warmup: 0, ..script(0.0) }, &mut Rng::new(1, 1), 60 * SECOND);
    cluster.network().assign(7, 1);
    cluster.network().cut(0, 1);
    cluster.network().cut(1, 0);
    let mut payload = [0; 64];
    cluster.submit(3, &payload, true);
    cluster.run_until(cluster.now() + 5 * SECOND);
    assert!(cluster.ledger.missed() >= 1, "node 7 was cut off");
    assert!(cluster.ledger.deliveries() >= 24, "the others were not: {:?}", cluster.ledger.missed());
    payload[0] = 1;
    cluster.submit(7, &payload, true);
    cluster.run_until(cluster.now() + 5 * SECOND);
    assert!(cluster.ledger.missed() > 29, "nobody heard node 7");
}

#[test]
fn what_is_lost_is_missed() {
    misses::<Ours<false>>();
    misses::<Iroh>();
    misses::<Foca<false>>();
}

#[test]
fn an_insider_makes_rivals_keep_what_it_names() {
    let script = script(0.0);
    let ours = attack::<Ours<false>>(&script, 20_000);
    let sealed = attack::<Ours<true>>(&script, 20_000);
    assert!(ours.after > ours.before, "forged messages were taken, up to the bound: {ours:?}");
    let twice = attack::<Ours<false>>(&script, 40_000);
    assert_eq!((ours.after, ours.later), (twice.after, twice.later), "more of them take no more");
    assert_eq!(ours, sealed, "an insider can seal");
    let iroh = [10_000, 20_000].map(|forged| attack::<Iroh>(&script, forged).after);
    assert!(iroh[1] - iroh[0] > 10_000 * 32, "every id is kept: {iroh:?}");
    let foca = [1_000, 2_000].map(|forged| attack::<Foca<false>>(&script, forged).after);
    assert!(foca[1] - foca[0] > 1_000 * 32, "every member is kept: {foca:?}");
}
