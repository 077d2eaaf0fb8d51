//! A budget is kept, by waiting and not by losing; and who has little to say is not kept waiting by who has much.

mod common;

use common::{Cluster, address, id, ms, secs};
use gossip_core::{
    Broadcast, Budget, Config, Gossip, Instant, Membership, Neighbor, Order, Reason, Scope, SubmitError,
};

const BUDGET: Budget = Budget { bytes_per_second: 20_000, datagrams_per_second: 100 };

fn line(config: &mut Config, beside: &[usize]) {
    let neighbors = beside.iter().map(|&index| Neighbor { node: id(index), address: address(index) }).collect();
    config.membership = Membership::Static { neighbors };
    config.broadcast = Broadcast::Flood { ttl: 255 };
    // Slow enough that what a node says of itself is little beside the budget.
    config.timing.beat_period = secs(1);
    config.timing.repair_period = secs(5);
}

/// Submits `count` messages of `len` bytes, each as soon as the node takes it.
fn submit_all(cluster: &mut Cluster, index: usize, count: usize, len: usize) -> usize {
    let mut refused = 0;
    for number in 0..count {
        let text = format!("{number:0len$}");
        while let Err(error) = cluster.nodes[index].submit(cluster.now, Order::Fifo, text.as_bytes()) {
            assert_eq!(error, SubmitError::Busy);
            refused += 1;
            assert!(refused < 100_000, "busy for ever at message {number}");
            cluster.run(ms(1));
        }
    }
    refused
}

#[test]
fn no_more_leaves_than_the_budget_and_nothing_is_lost() {
    let mut cluster = Cluster::new(2, |index, config| {
        line(config, &[1 - index]);
        config.budget = Some(BUDGET);
    });
    cluster.run(secs(3));
    cluster.log = Some(vec![]);
    let refused = submit_all(&mut cluster, 0, 300, 500);
    assert!(refused > 0, "150 kB do not leave at 20 kB a second at once");
    cluster.run(secs(20));
    assert_eq!(cluster.delivered(1, id(0)), (1..=300).collect::<Vec<_>>());
    let sent: Vec<_> =
        cluster.log.take().into_iter().flatten().filter(|(_, packet)| packet.from == address(0)).collect();
    // The mark of ten datagrams of 1,228 bytes, and the last one, which may go into debt.
    let most = 20_000 + 11 * 1_228;
    for (index, (start, _)) in sent.iter().enumerate() {
        let within: usize = sent[index..]
            .iter()
            .take_while(|(at, _)| *at <= *start + secs(1))
            .map(|(_, packet)| packet.bytes.len() + 28)
            .sum();
        assert!(within <= most, "{within} bytes in the second from {start}");
    }
}

#[test]
fn what_waits_is_at_most_a_second_of_the_budget() {
    let mut config = Config::local(id(0));
    line(&mut config, &[1]);
    config.budget = Some(BUDGET);
    let mut node = Gossip::new(config, [1; 32], Instant::ZERO).expect("a preset is in its bounds");
    let accepted = (0..100).take_while(|_| node.submit(Instant::ZERO, Order::Unordered, &[7; 500]).is_ok()).count();
    assert_eq!(accepted, 40, "20,000 bytes in messages of 500");
    let mut alone = Config::local(id(0));
    alone.budget = Some(Budget { bytes_per_second: 1_000, ..BUDGET });
    let mut alone = Gossip::new(alone, [1; 32], Instant::ZERO).expect("a preset is in its bounds");
    let large = vec![7; alone.payload_max()];
    assert!(large.len() > 1_000);
    assert!(alone.submit(Instant::ZERO, Order::Unordered, &large).is_ok(), "one message always fits");
    assert_eq!(alone.submit(Instant::ZERO, Order::Unordered, &large), Err(SubmitError::Busy));
}

/// A line of three and a fourth beside the middle: the first has much to say, the fourth one word.
#[test]
fn an_origin_with_little_passes_one_with_much() {
    let beside: [&[usize]; 4] = [&[1], &[0, 2, 3], &[1], &[1]];
    let mut cluster = Cluster::new(4, |index, config| {
        line(config, beside[index]);
        if index == 1 {
            config.budget = Some(BUDGET);
        }
    });
    cluster.run(secs(3));
    submit_all(&mut cluster, 0, 200, 500);
    cluster.run(ms(100));
    cluster.submit(3, Order::Unordered, "one word");
    cluster.run(secs(30));
    let texts = cluster.texts(2);
    assert_eq!(texts.len(), 201);
    let place = texts.iter().position(|text| text == "one word").expect("it came");
    let behind = texts.len() - place;
    assert!(behind > 120, "{behind} of the 200 came after it");
}

#[test]
fn registers_get_through_behind_messages() {
    let mut cluster = Cluster::new(2, |index, config| {
        line(config, &[1 - index]);
        config.budget = Some(BUDGET);
    });
    cluster.run(secs(3));
    submit_all(&mut cluster, 0, 100, 1_000);
    cluster.nodes[0].set(cluster.now, Scope::Own, "favorite", b"Emma").expect("there is room");
    cluster.run(secs(1));
    assert!(cluster.delivered(1, id(0)).len() < 100, "the messages are still on their way");
    let known = cluster.nodes[1].registers("favorite").any(|register| register.node == id(0));
    assert!(known, "the register did not wait for all of them");
}

#[test]
fn what_waits_for_the_budget_has_a_deadline() {
    let mut config = Config::local(id(0));
    line(&mut config, &[1]);
    config.budget = Some(BUDGET);
    let other = Config::local(id(1));
    let mut cluster = Cluster::new(2, |index, place| {
        *place = if index == 0 { config.clone() } else { other.clone() };
        line(place, &[1 - index]);
        place.budget = Some(BUDGET);
    });
    cluster.run(secs(3));
    while cluster.nodes[0].submit(cluster.now, Order::Unordered, &[7; 1_000]).is_ok() {}
    cluster.drain(0);
    assert_eq!(cluster.nodes[0].timeout_reason(), Some(Reason::Pace));
    let opens = cluster.nodes[0].poll_timeout().expect("there is a deadline");
    assert!(opens > cluster.now);
    let mut buffer = [0; 1_200];
    let before = Instant::from_micros(opens.as_micros() - 1);
    assert!(cluster.nodes[0].poll_transmit(before, &mut buffer).is_none());
    assert!(cluster.nodes[0].poll_transmit(opens, &mut buffer).is_some());
}

#[test]
fn copies_wait_for_company_where_the_profile_says_so() {
    let beside: [&[usize]; 3] = [&[1, 2], &[0], &[0]];
    let datagrams = |frugal: bool, sender: usize| {
        let mut cluster = Cluster::new(3, |index, config| {
            line(config, beside[index]);
            config.timing.batch_delay = ms(20);
            *config = if frugal { config.clone().frugal() } else { config.clone().quick() };
        });
        cluster.run(secs(3));
        let before = cluster.nodes[sender].stats().datagrams_sent;
        for number in 0..10 {
            cluster.submit(sender, Order::Fifo, &format!("message {number}"));
            cluster.run(ms(1));
        }
        cluster.run(ms(50));
        assert_eq!(cluster.delivered(2, id(sender)).len(), 10);
        cluster.nodes[sender].stats().datagrams_sent - before
    };
    let (frugal, quick) = (datagrams(true, 0), datagrams(false, 0));
    assert!(frugal <= 5 && quick >= 20, "{frugal} and {quick} datagrams over two links");
    let frugal = datagrams(true, 1);
    assert!(frugal >= 10, "{frugal}: what goes over one link does not wait");
}
