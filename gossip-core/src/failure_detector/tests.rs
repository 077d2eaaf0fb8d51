//! The laws of certificates, held against one node whose peers are played by hand.
//!
//! Node 1 is real. Nodes 2 to 7 are links that say only what a test lets them say; node 2 is the one that falls silent.
//!
//! # Mutants that these tests are written against
//!
//! | mutant | test |
//! |---|---|
//! | no denial is needed (`quorum` of none certifies) | `a_certificate_takes_two_nodes_that_deny_in_the_last_round` |
//! | denials of earlier rounds, or two of one witness, count | the same |
//! | a vouch after a denial is ignored | `who_vouches_after_denials_ends_the_case` |
//! | self-suspicion is off | `who_hears_nobody_since_its_burst_began_says_nothing_of_anybody` |
//! | a suspicion is given up when a doubled window ends | `who_has_refuted_twice_can_be_certified_still` |

use core::time::Duration;

use super::*;
use crate::config::Config;
use crate::gossip::Gossip;
use crate::ids::{Incarnation, NodeId};
use crate::membership::NewLink;
use crate::view::PeerState;
use crate::wire::{Address, Ask};

const SUBJECT: NodeId = NodeId(2);
const OTHERS: core::ops::RangeInclusive<u64> = 3..=7;
const STEP: Duration = Duration::from_millis(50);

struct Scene {
    gossip: Gossip,
    /// The caller's time.
    now: Instant,
    /// Whether the others are heard from time to time.
    others_speak: bool,
    number: u64,
    /// Answers to questions that were owed at the end of a step.
    replies: usize,
}

impl Scene {
    fn new(others_speak: bool) -> Self {
        let mut gossip =
            Gossip::new(Config::lan(NodeId(1)), [1; 32], Instant::ZERO).expect("a preset is in its bounds");
        for node in core::iter::once(SUBJECT.0).chain(OTHERS) {
            let address = ([10, 0, 0, node as u8], 7_000).into();
            let (node, incarnation) = (NodeId(node), Incarnation(1));
            gossip.link(&NewLink { node, incarnation, address, number: 0, near: false, round_trip: 0 });
        }
        Self { gossip, now: Instant::ZERO, others_speak, number: 0, replies: 0 }
    }

    fn peer(&self, node: u64) -> PeerIdx {
        self.gossip.peers.find(NodeId(node)).expect("a sound link")
    }

    /// What a datagram from `node` does to the detector, whatever is in it.
    fn hear(&mut self, node: u64) {
        self.number += 1;
        let (number, peer) = (self.number, self.peer(node));
        let (mut cx, protocols) = self.gossip.split();
        let now = cx.now;
        cx.peers.get_mut(peer).expect("it is there").heard = now;
        protocols.detector.on_heard(&mut cx, peer, number);
    }

    /// Lets time pass, step by step, until `is_over`.
    ///
    /// # Panics
    ///
    /// Where that takes more than a minute.
    fn pass(&mut self, is_over: impl Fn(&Self) -> bool) {
        for _ in 0..1_200 {
            if is_over(self) {
                return;
            }
            self.now = self.now + STEP;
            self.gossip.handle_timeout(self.now);
            self.replies += self.gossip.protocols.detector.replies.iter().count();
            let mut buffer = [0; 1_500];
            while self.gossip.poll_transmit(self.now, &mut buffer).is_some() {}
            if self.others_speak {
                OTHERS.for_each(|node| self.hear(node));
            }
            self.gossip.check_invariants();
        }
        panic!("nothing has come of it in a minute");
    }

    fn pass_seconds(&mut self, seconds: u32) {
        let end = self.now + Duration::from_secs(seconds.into());
        self.pass(|scene| scene.now >= end);
    }

    fn case(&self) -> Option<&case::Case> {
        self.gossip.protocols.detector.cases.rows.iter().map(|(_, case)| case).find(|case| case.node == SUBJECT)
    }

    /// The number of the questions about the subject, and whether they are those of the last round.
    fn round(&self) -> Option<(u32, bool)> {
        self.case()?.lead.as_ref().map(|lead| (lead.number, lead.last))
    }

    fn in_last_round(&self) -> bool {
        self.round().is_some_and(|(_, last)| last)
    }

    /// Whether the own burst of the last round is spent as well.
    fn at_the_end(&self) -> bool {
        self.in_last_round() && self.case().is_some_and(|case| case.stage == case::Stage::Suspect)
    }

    fn deny(&mut self, by: u64, number: u32) {
        let peer = self.peer(by);
        let (mut cx, protocols) = self.gossip.split();
        protocols.detector.on_deny(&mut cx, peer, number);
    }

    fn vouch(&mut self, number: u32) {
        let (mut cx, protocols) = self.gossip.split();
        protocols.detector.on_vouch(&mut cx, number);
    }

    fn certificates(&self) -> u64 {
        self.gossip.stats().certificates
    }

    fn subject(&self) -> PeerState {
        let row = self.gossip.members.find(SUBJECT).and_then(|row| self.gossip.members.get(row));
        row.expect("it is a member").state
    }
}

#[test]
fn a_certificate_takes_two_nodes_that_deny_in_the_last_round() {
    let mut scene = Scene::new(true);
    scene.pass(|scene| scene.round().is_some());
    let (first, _) = scene.round().expect("it asks");
    OTHERS.for_each(|witness| scene.deny(witness, first));
    scene.pass(Scene::in_last_round);
    assert_eq!(scene.certificates(), 0, "the first round does not certify");

    let (last, _) = scene.round().expect("it asks");
    assert_ne!(first, last);
    scene.pass(Scene::at_the_end);
    scene.pass_seconds(1);
    assert_eq!(scene.certificates(), 0, "denials of the first round do not count in the last one");
    scene.deny(3, first);
    scene.deny(4, first);
    scene.deny(5, last);
    scene.deny(5, last);
    scene.deny(SUBJECT.0, last);
    scene.pass_seconds(1);
    assert_eq!(scene.certificates(), 0, "one witness is not two, and the subject none");

    scene.deny(6, last);
    assert_eq!(scene.certificates(), 1);
    scene.pass_seconds(1);
    assert_eq!(scene.subject(), PeerState::Down);
}

/// Enough denials before the own burst of the last round is spent wait for its end.
#[test]
fn the_asker_looks_once_more_itself() {
    let mut scene = Scene::new(true);
    scene.pass(Scene::in_last_round);
    let (last, _) = scene.round().expect("it asks");
    scene.deny(3, last);
    scene.deny(4, last);
    assert_eq!(scene.certificates(), 0);
    scene.hear(SUBJECT.0);
    scene.pass_seconds(5);
    assert_eq!((scene.certificates(), scene.gossip.stats().suspicions), (0, 1), "it was heard in the last moment");
}

#[test]
fn who_vouches_after_denials_ends_the_case() {
    for in_last_round in [false, true] {
        let mut scene = Scene::new(true);
        scene.pass(|scene| scene.round().is_some_and(|(_, last)| last == in_last_round));
        let (number, _) = scene.round().expect("it asks");
        scene.deny(3, number);
        scene.vouch(number);
        assert!(scene.case().is_none(), "the last round: {in_last_round}");
        scene.deny(4, number);
        scene.deny(5, number);
        scene.pass_seconds(2);
        assert_eq!((scene.certificates(), scene.subject()), (0, PeerState::Linked));
    }
}

/// Others hear the later life, and would vouch for it for as long as they are asked.
#[test]
fn a_link_with_an_earlier_life_ends_with_the_first_suspicion() {
    let mut scene = Scene::new(true);
    let row = scene.gossip.members.find(SUBJECT).expect("it is a member");
    scene.gossip.members.begin_anew(scene.now, row, Incarnation(2));
    scene.pass(|scene| scene.gossip.stats().suspicions > 0);
    assert!(scene.gossip.peers.find(SUBJECT).is_none(), "nobody is asked about it");
    assert_eq!(scene.gossip.stats().asks_sent, 0);
}

#[test]
fn who_hears_nobody_since_its_burst_began_says_nothing_of_anybody() {
    let mut scene = Scene::new(false);
    scene.pass(|scene| scene.gossip.stats().deafnesses > 0);
    let sent = |scene: &Scene| {
        let stats = scene.gossip.stats();
        [stats.asks_sent, stats.suspicions, stats.certificates]
    };
    assert_eq!(sent(&scene), [0; 3]);
    let ask = Ask {
        number: 9,
        subject: SUBJECT,
        incarnation: Incarnation(1),
        address: Address(([10, 0, 0, 2], 7_000).into()),
        age_ms: 300,
        flags: Ask::LAST,
    };
    let asker = scene.peer(3);
    let (mut cx, protocols) = scene.gossip.split();
    protocols.detector.on_ask(&mut cx, asker, &ask);
    scene.pass_seconds(3);
    assert_eq!((sent(&scene), scene.replies), ([0; 3], 0));
    scene.pass_seconds(30);
    assert_eq!(sent(&scene), [0; 3]);
    assert!(scene.gossip.peers.len() == 0, "links that are silent for so long end, which accuses nobody");
}

/// The window of who has refuted twice is as long as it gets, and the suspicion outlasts it.
#[test]
fn who_has_refuted_twice_can_be_certified_still() {
    let mut scene = Scene::new(true);
    let row = scene.gossip.members.find(SUBJECT).expect("it is a member");
    let now = scene.gossip.now;
    assert!(scene.gossip.members.raise_status(now, row, 4));
    let in_doubt_for = |scene: &Scene| scene.case().map(|case| scene.gossip.now.saturating_since(case.since));
    scene.pass(Scene::in_last_round);
    let window = Config::lan(NodeId(1)).timing.suspicion_window;
    assert!(in_doubt_for(&scene).expect("it is in doubt") >= 4 * window);
    scene.pass(Scene::at_the_end);
    let (last, _) = scene.round().expect("it asks");
    scene.deny(3, last);
    scene.deny(4, last);
    assert_eq!(scene.certificates(), 1);
}
