//! What is counted of a system that does just what this file says.

use gossip_peers::cluster::{Cluster, IP_UDP, Totals};
use gossip_peers::ledger::Ledger;
use gossip_peers::node::{Birth, Node, Outbox, number};

const NODES: u32 = 4;
const SECOND: u64 = 1_000_000;

/// Sends a message to all others as it is, in two halves. A receiver keeps 64 bytes for each datagram, and hands out what
/// has a number.
struct Crier<const STREAMS: bool> {
    place: u32,
    kept: Vec<Box<[u8]>>,
    rung: Vec<u64>,
}

impl<const STREAMS: bool> Node for Crier<STREAMS> {
    type Timer = u8;
    const STREAMS: bool = STREAMS;
    const FORGED_IDS: u64 = 1;

    fn new(birth: &Birth) -> Self {
        Self { place: birth.place, kept: Vec::with_capacity(16), rung: Vec::with_capacity(16) }
    }

    fn join(&mut self, _: u64, _: Option<u32>, out: &mut Outbox<u8>) {
        out.timers.push((3 * SECOND, 3));
        out.wake = Some(2 * SECOND);
    }

    fn submit(&mut self, _: u64, payload: &[u8], out: &mut Outbox<u8>) {
        let halves = payload.split_at(payload.len() / 2);
        for half in [halves.0, halves.1] {
            for to in (0..NODES).filter(|&to| to != self.place) {
                out.send(to, |bytes| bytes.extend_from_slice(half));
            }
        }
    }

    fn receive(&mut self, _: u64, _: u32, datagram: &mut [u8], out: &mut Outbox<u8>) {
        self.kept.push(Box::from([1; 64]));
        out.delivered.extend(number(datagram).filter(|&number| number < 10));
    }

    fn ring(&mut self, now: u64, timer: u8, _: &mut Outbox<u8>) {
        assert_eq!(now, u64::from(timer) * SECOND);
        self.rung.push(now);
    }

    fn wake(&mut self, now: u64, out: &mut Outbox<u8>) {
        self.rung.push(now);
        out.wake = Some(u64::MAX);
    }

    fn forge(&mut self, _: u32, _: u64) -> Vec<u8> {
        Vec::new()
    }
}

/// A cluster in which node 0 has sent message 0, of 200 bytes.
fn cried<const STREAMS: bool>(cut: bool) -> Cluster<Crier<STREAMS>> {
    let mut cluster = Cluster::<Crier<STREAMS>>::new(1, NODES, Ledger::new(NODES, 0));
    (0..NODES).for_each(|node| cluster.start(node, None));
    if cut {
        cluster.network().assign(2, 1);
        cluster.network().cut(0, 1);
    }
    let mut payload = [0xff; 200];
    payload[..8].fill(0);
    cluster.submit(0, &payload, true);
    cluster.run_until(10 * SECOND);
    cluster
}

#[test]
fn every_datagram_byte_and_allocation_is_counted() {
    let mut cluster = cried::<false>(false);
    let made = u64::from(2 * NODES);
    let expected = Totals { datagrams: 6, bytes: 6 * (100 + IP_UDP), allocations: made + 6, deliveries: 3 };
    assert_eq!(cluster.totals(), expected);
    let empty = cluster.heap(0);
    assert_eq!([1, 2, 3].map(|node| cluster.heap(node)), [empty + 2 * 64; 3]);
    let mut latencies = [1, 2, 3].map(|node| cluster.network().latency(0, node));
    latencies.sort_unstable();
    let quantiles = [0.0, 0.5, 0.99].map(|part| cluster.ledger.quantile_ms(part));
    assert_eq!(quantiles, latencies.map(|latency| Some(latency as f64 / 1e3)));
    assert_eq!((cluster.ledger.missed(), cluster.ledger.duplicates), (0, 0));
    let node = cluster.silence(0).expect("it was started");
    assert_eq!(node.rung, [2 * SECOND, 3 * SECOND]);
}

#[test]
fn what_streams_send_in_one_call_shares_datagrams() {
    let totals = cried::<true>(false).totals();
    assert_eq!((totals.datagrams, totals.bytes, totals.deliveries), (3, 3 * (200 + IP_UDP), 3));
}

#[test]
fn what_is_lost_was_sent_and_is_missed() {
    let cluster = cried::<false>(true);
    assert_eq!((cluster.totals().datagrams, cluster.totals().deliveries, cluster.ledger.missed()), (6, 2, 1));
}
