//! A hand of cards is played by its rules.

use super::*;
use std::vec::Vec;

const NOW: Instant = Instant::from_millis(1_000);

fn descriptor(node: u64, age_ms: u64) -> Descriptor {
    let address = ([10, 0, 0, 1], 7_000).into();
    Descriptor { node: NodeId(node), address, born: Born::ago(NOW, Duration::from_millis(age_ms)) }
}

/// Nodes 1 to `count`, node n being n seconds old.
fn view(name: &str, capacity: u16, count: u64) -> View {
    let sampling = name.parse().expect("a name");
    let mut view = View::new(Some(sampling), capacity, Duration::from_secs(2));
    assert!((1..=count).all(|node| view.insert(descriptor(node, node * 1_000))));
    view
}

fn nodes(view: &View) -> Vec<u64> {
    let mut nodes: Vec<u64> = view.iter().map(|descriptor| descriptor.node.0).collect();
    nodes.sort_unstable();
    nodes
}

fn rng() -> Rng {
    Rng::new(&[1; 32], 0)
}

fn given(view: &mut View, whom: Given) -> Vec<u64> {
    view.give(&mut rng(), whom, NodeId(99)).map(|(descriptor, _)| descriptor.node.0).collect()
}

#[test]
fn ages_reach_back_before_the_clock_began() {
    let born = Born::ago(NOW, Duration::from_secs(3_600));
    assert_eq!(born.age(NOW), Duration::from_secs(3_600));
    assert!(born < Born::ago(NOW, Duration::from_secs(3_599)));
    assert_eq!(Born::ago(NOW, Duration::MAX).age(NOW).as_secs(), i64::MAX as u64 / 1_000_000);
}

#[test]
fn the_fresher_entry_of_a_node_stays_and_the_oldest_gives_way() {
    let mut view = view("tail,head,pushpull", 4, 4);
    assert!(!view.insert(descriptor(2, 3_000)) && view.insert(descriptor(2, 500)));
    assert_eq!(
        view.iter().find(|known| known.node == NodeId(2)).map(|known| known.born.age(NOW).as_millis()),
        Some(500)
    );
    assert!(!view.insert(descriptor(9, 4_000)), "as old as the oldest");
    assert!(view.insert(descriptor(9, 100)));
    assert_eq!(nodes(&view), [1, 2, 3, 9]);
    view.forget(NodeId(9));
    assert_eq!(nodes(&view), [1, 2, 3]);
}

#[test]
fn peers_are_selected_by_age_or_by_chance() {
    let (view, mut rng) = (view("tail,head,pushpull", 8, 8), rng());
    let mut select = |how| view.select_peer(&mut rng, how).expect("somebody").node.0;
    assert_eq!((select(PeerSelection::Head), select(PeerSelection::Tail)), (1, 8));
    let mut drawn: Vec<u64> = (0..200).map(|_| select(PeerSelection::Random)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 8);
    let nobody = View::new(None, 4, Duration::from_secs(2));
    assert_eq!(nobody.select_peer(&mut rng, PeerSelection::Tail), None);
}

#[test]
fn what_is_given_spares_the_oldest() {
    let mut healing = view("tail,H=4 S=0,pushpull", 8, 8);
    for _ in 0..50 {
        let given = given(&mut healing, Given::Asked);
        assert!(given.len() == 3 && given.iter().all(|&node| node <= 4), "{given:?}");
    }
    assert_eq!(given(&mut view("tail,rand,push", 8, 8), Given::Asked).len(), 8);
}

/// Gives to somebody who gives nodes 11 to 14, fresh ones; returns who is left.
fn exchange(name: &str) -> Vec<u64> {
    let mut view = view(name, 8, 8);
    given(&mut view, Given::Asked);
    let received = (11..=14).map(|node| (descriptor(node, node), 1));
    assert_eq!(view.take(NOW, &mut rng(), Given::Asked, received), 4);
    view.check_invariants(NodeId(99));
    nodes(&view)
}

#[test]
fn the_healer_drops_the_oldest() {
    assert_eq!(exchange("tail,H=4 S=0,pushpull"), [1, 2, 3, 4, 11, 12, 13, 14]);
    assert_eq!(exchange("tail,head,pushpull"), [1, 2, 3, 4, 11, 12, 13, 14]);
    assert_eq!(exchange("tail,tail,pushpull"), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn the_swapper_drops_what_was_given_also_after_another_shuffle() {
    let mut view = view("tail,H=0 S=4,pushpull", 8, 8);
    let given = given(&mut view, Given::Asked);
    view.shuffle(&mut rng());
    view.take(NOW, &mut rng(), Given::Asked, (11..=14).map(|node| (descriptor(node, node), 1)));
    let kept = nodes(&view);
    assert!(given.len() == 3 && given.iter().all(|node| !kept.contains(node)), "{given:?} went, {kept:?} stayed");
    assert!((11..=14).all(|node| kept.contains(&node)), "who gives its own entry gets one for it: {kept:?}");
}

#[test]
fn the_random_selection_keeps_any() {
    let kept = exchange("tail,rand,pushpull");
    assert_eq!(kept, exchange("tail,rand,pushpull"), "the same seed is the same choice");
    assert!(kept.len() == 8 && kept.iter().any(|&node| node < 10) && kept.iter().any(|&node| node > 10), "{kept:?}");
}

/// Three periods are six seconds here: nodes 7 and 8 are too old, but a quarter of the view stays.
#[test]
fn leases_run_out() {
    let mut full = view("tail,C=4 L=3,pushpull", 8, 8);
    full.expire(NOW);
    assert_eq!(nodes(&full), [1, 2, 3, 4, 5, 6]);
    full.expire(NOW + Duration::from_secs(100));
    assert_eq!(nodes(&full), [1, 2]);
}

#[test]
fn leases_are_halved_when_they_are_given_and_added_when_they_meet() {
    let mut view = view("tail,C=4 L=9,pushpull", 8, 0);
    let received = [(descriptor(1, 10), 5), (descriptor(2, 20), 1)];
    view.take(NOW, &mut rng(), Given::Asked, received.into_iter());
    let mut given: Vec<_> =
        view.give(&mut rng(), Given::Asking, NodeId(99)).map(|(one, copies)| (one.node.0, copies)).collect();
    given.sort_unstable();
    assert_eq!(given, [(1, 2), (2, 1)]);
    view.take(NOW, &mut rng(), Given::Asking, [(descriptor(2, 5), 3)].into_iter());
    let mut copies: Vec<_> = view.rows.iter().map(|row| (row.descriptor.node.0, row.copies)).collect();
    copies.sort_unstable();
    assert_eq!(copies, [(1, 3), (2, 4)]);
}

#[test]
fn ages_are_counted_in_exchanges_where_that_is_wanted() {
    let sampling = Sampling { freshness: Freshness::Counted, ..Sampling::balanced(8) };
    let mut view = View::new(Some(sampling), 8, Duration::from_secs(2));
    view.insert(Descriptor { born: Born::ago(view.clock(NOW), Duration::ZERO), ..descriptor(1, 0) });
    let age = |view: &View, now| view.iter().map(|one| one.born.age(view.clock(now)).as_secs()).next();
    assert_eq!(age(&view, NOW + Duration::from_secs(60)), Some(0));
    (0..3).for_each(|_| view.count_exchange());
    view.count_turn();
    assert_eq!((age(&view, NOW), view.hop()), (Some(3), Duration::ZERO));
    view.sampling = Some(Sampling { view_selection: ViewSelection::Head, ..sampling });
    view.count_exchange();
    view.count_turn();
    assert_eq!((age(&view, NOW), view.hop()), (Some(5), Duration::from_secs(2)));
}

#[test]
fn draws_are_among_those_that_fit() {
    let (view, mut rng) = (view("tail,head,pushpull", 8, 8), rng());
    assert!((0..50).all(|_| view.draw(&mut rng, |one| one.node.0 > 6).is_some_and(|one| one.node.0 > 6)));
    assert_eq!(view.draw(&mut rng, |_| false), None);
}
