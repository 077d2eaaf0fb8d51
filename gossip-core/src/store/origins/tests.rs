use core::ops::RangeInclusive;

use super::*;
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::collections::BTreeSet;
use std::vec::Vec;

fn origins() -> (Origins, Row) {
    let mut origins = Origins::new(4, 256, 7, &mut Rng::new(&[1; 32], 0));
    let row = origins.insert(Instant::ZERO, NodeId(1), Incarnation(1)).expect("room for four");
    (origins, row)
}

/// The numbers of some runs.
fn flat(runs: impl Iterator<Item = RangeInclusive<u64>>) -> Vec<u64> {
    runs.flatten().collect()
}

proptest! {
    /// Against a set of all numbers that were seen or given up.
    #[test]
    fn remembers_exactly(steps in proptest::collection::vec((1..600_u64, any::<bool>()), 1..300)) {
        let (mut origins, row) = origins();
        let mut model = BTreeSet::new();
        for (seq, give_up) in steps {
            let origin = origins.get(row).expect("the row exists");
            let top = (1..).take_while(|seq| model.contains(seq)).last().unwrap_or(0);
            prop_assert_eq!(origin.top, top);
            let known = model.last().copied().unwrap_or(0);
            prop_assert_eq!(flat(origin.holes()), (top + 1..=known).filter(|seq| !model.contains(seq)).collect::<Vec<_>>());
            prop_assert_eq!(flat(origin.seen_runs()), model.range(top + 1..).copied().collect::<Vec<_>>());
            let freshness = origin.freshness(seq, 256);
            let expected = match () {
                () if model.contains(&seq) => Freshness::Seen,
                () if seq > top + 256 => Freshness::Ahead,
                () => Freshness::New,
            };
            prop_assert_eq!(freshness, expected);
            if give_up && seq < top + 40 {
                origins.advance(Instant::ZERO, row, seq);
                model.extend(1..=seq);
            } else if freshness == Freshness::New {
                origins.see(Instant::ZERO, row, seq);
                model.insert(seq);
            }
        }
    }

    /// What is taken back may come again, and nothing else is forgotten; `top` goes back and forth over it.
    #[test]
    fn takes_back_exactly(
        mut seen in proptest::collection::btree_set(1..900_u64, 1..300),
        back in proptest::collection::btree_set(1..900_u64, 1..300),
    ) {
        let (mut origins, row) = origins();
        seen.extend(1..100);
        for &seq in &seen {
            let origin = origins.get(row).expect("the row exists");
            if origin.freshness(seq, WINDOW_MAX) == Freshness::New {
                origins.see(Instant::ZERO, row, seq);
            }
        }
        let (mut other, other_row) = self::origins();
        for seq in back.into_iter().filter(|seq| seen.contains(seq)).collect::<Vec<_>>() {
            proptest::prop_assert!(origins.get(row).is_some_and(|origin| origin.could_unsee(seq)));
            origins.unsee(Instant::ZERO, row, seq);
            origins.check_invariants();
            seen.remove(&seq);
        }
        for &seq in &seen {
            other.see(Instant::ZERO, other_row, seq);
        }
        prop_assert_eq!(origins.root(), other.root(), "as if they had never been seen");
    }

    /// The root depends on what was seen, not on the way there.
    #[test]
    fn equal_tables_have_equal_roots(mut seqs in proptest::collection::btree_set(1..200_u64, 1..50)) {
        let (mut up, row) = origins();
        let (mut down, _) = origins();
        seqs.insert(1);
        for &seq in &seqs {
            up.see(Instant::ZERO, row, seq);
        }
        for &seq in seqs.iter().rev() {
            down.see(Instant::ZERO, row, seq);
        }
        prop_assert_eq!(up.root(), down.root());
        down.advance(Instant::ZERO, row, 201);
        proptest::prop_assert_ne!(up.root(), down.root());
        down.remove(row);
        prop_assert_eq!(down.root(), 0);
    }
}

proptest! {
    /// Whatever is taken off, the root is that of somebody who has not seen it.
    #[test]
    fn the_root_without_some_is_that_of_who_lacks_them(
        seen in proptest::collection::btree_set(1..200_u64, 1..100),
        missing in proptest::collection::btree_set(1..200_u64, 0..20),
    ) {
        let (mut all, row) = origins();
        let (mut some, _) = origins();
        for &seq in &seen {
            all.see(Instant::ZERO, row, seq);
            if !missing.contains(&seq) {
                some.see(Instant::ZERO, row, seq);
            }
        }
        let unseen: Vec<_> = missing.intersection(&seen).map(|&seq| (row, seq)).collect();
        prop_assert_eq!(all.root_without(&unseen), some.root());
    }
}

#[test]
fn what_the_strip_cannot_hold_is_not_taken_back() {
    let (mut origins, row) = origins();
    (1..=WINDOW_MAX + 10).for_each(|seq| origins.see(Instant::ZERO, row, seq));
    let could = |seq| origins.get(row).is_some_and(|origin| origin.could_unsee(seq));
    assert!(!could(10) && could(11));
}

#[test]
fn a_range_is_crossed_off_as_far_as_the_strip_reaches() {
    let (mut origins, row) = origins();
    origins.see(Instant::ZERO, row, 5);
    origins.cross_off(Instant::ZERO, row, 3..=7);
    let runs = |origins: &Origins| flat(origins.get(row).expect("the row exists").seen_runs());
    assert_eq!(runs(&origins), [3, 4, 5, 6, 7]);
    origins.cross_off(Instant::ZERO, row, 1..=2);
    origins.cross_off(Instant::ZERO, row, 9..=5_000);
    assert_eq!(runs(&origins), (9..=7 + WINDOW_MAX).collect::<Vec<_>>());
    origins.check_invariants();
}

/// Equal to having no row.
#[test]
fn a_row_of_which_nothing_was_seen_is_not_in_the_root() {
    let (mut origins, row) = origins();
    origins.mention(Instant::ZERO, row, 9);
    origins.advance(Instant::ZERO, row, 0);
    assert_eq!(origins.root(), 0);
    origins.restore(row, 0, 9, [0; (WINDOW_MAX / 64) as usize]);
    assert_eq!(origins.root(), 0);
    origins.see(Instant::ZERO, row, 1);
    assert_ne!(origins.root(), 0);
}

#[test]
fn rows_come_in_the_order_of_keys() {
    let (mut origins, first) = origins();
    let second = origins.insert(Instant::ZERO, NodeId(1), Incarnation(9)).expect("room");
    let zeroth = origins.insert(Instant::ZERO, NodeId(0), Incarnation(5)).expect("room");
    let _silent = origins.insert(Instant::ZERO, NodeId(2), Incarnation(5)).expect("room");
    for row in [first, second, zeroth] {
        origins.see(Instant::ZERO, row, 1);
    }
    let order = |node, incarnation| {
        origins.from(NodeId(node), Incarnation(incarnation)).map(|(row, _)| row).collect::<Vec<_>>()
    };
    assert_eq!(order(0, 0), [zeroth, first, second]);
    assert_eq!(order(1, 2), [second]);
}
