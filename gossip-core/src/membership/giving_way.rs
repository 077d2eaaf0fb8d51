//! Which link gives way when there are enough.
//!
//! # Intuition
//!
//! A table with ten chairs. Somebody who has no seat anywhere comes in: one of those who sit here, drawn by chance, gets
//! up, and the newcomer is told who it was. That one has a free hand now, so the two of them sit down together elsewhere.
//! Nobody ends up with fewer neighbors than before, and the newcomer has two. Done at places drawn by chance, this
//! splices a node into random edges, and keeps a random graph of one degree random (Law and Siu 2003, §3 for
//! cycles; Bourassa and Holt 2003, SWAN).
//!
//! # Rules
//!
//! - Half of the wanted links are drawn by chance, and are not given up for near ones, so the graph stays an expander;
//!   the other half may be near (Melamed and Keidar 2004, Araneola; Tang et al. 2005, GoCast).
//! - A node that lacks several links, or is from the other side of a split, takes the place of a random link drawn by
//!   chance. One that lacks a single link gets one from whoever has none too many.
//! - A near one takes the place of the farthest near one if it is nearer by a fifth, or of a random one above the half.
//! - A link that a tree runs over gives way after the others, and to no near one: whoever loses its parent misses what
//!   is under way.
//! - A link in doubt gives way last: what this node knows of the far end decides whether that is dead.
//! - Half of the links at the most are with one network [`prefix`](super::prefix), as long as others ask: beyond its share a
//!   prefix gets the places of its own links alone.

use core::net::SocketAddr;

use super::Membership;
use super::prefix::{Prefix, is_beyond_share};
use crate::peer::{Peer, PeerIdx, Peers};

/// What becomes of somebody who asks for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There is a free one.
    Free,
    /// That of this link.
    Of(PeerIdx),
    /// There is none.
    None,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applicant {
    pub(super) address: SocketAddr,
    /// It has too few links.
    pub(super) in_need: bool,
    /// It wants the link for its low latency: the round-trip time in microseconds.
    pub(super) near: Option<u32>,
}

impl Membership {
    /// Where a new link would go.
    pub(super) fn place(&mut self, peers: &Peers, applicant: &Applicant) -> Place {
        let enough = peers.sound() >= self.wanted;
        if let Some(round_trip) = applicant.near {
            return self.near_place(peers, round_trip, enough);
        }
        let free = if self.is_static() {
            true
        } else if applicant.in_need {
            !enough
        } else {
            peers.sound() <= self.wanted
        };
        if free && !peers.is_full() {
            return Place::Free;
        }
        if !applicant.in_need {
            return Place::None;
        }
        self.draw_link(peers, applicant.address).map_or(Place::None, Place::Of)
    }

    fn near_place(&mut self, peers: &Peers, round_trip: u32, enough: bool) -> Place {
        let near = peers.iter().filter(|(_, peer)| peer.near).count();
        if near >= self.wanted / 2 {
            let farthest = peers.iter().filter(|&(idx, peer)| peer.near && !peer.suspected && !peers.is_trunk(idx));
            let farthest = farthest.max_by_key(|(_, peer)| peer.round_trip);
            let nearer = |(_, peer): &(PeerIdx, &Peer)| is_nearer(round_trip, peer.round_trip);
            return farthest.filter(nearer).map_or(Place::None, |(idx, _)| Place::Of(idx));
        }
        if !is_nearer(round_trip, mean_round_trip(peers)) {
            Place::None
        } else if !enough && !peers.is_full() {
            Place::Free
        } else if self.random_links(peers) > self.wanted.div_ceil(2) {
            let random = self.pick(peers, |peer| !peer.near && !peer.suspected);
            random.filter(|&idx| !peers.is_trunk(idx)).map_or(Place::None, Place::Of)
        } else {
            Place::None
        }
    }

    fn random_links(&self, peers: &Peers) -> usize {
        peers.iter().filter(|(_, peer)| !peer.near && !peer.suspected).count()
    }

    /// A random link drawn by chance, to give way to somebody at `address`.
    fn draw_link(&mut self, peers: &Peers, address: SocketAddr) -> Option<PeerIdx> {
        let prefix = Prefix::of(address);
        let has_it = |peer: &Peer| Prefix::of(peer.address) == prefix;
        let its_share = peers.iter().filter(|(_, peer)| has_it(peer)).count();
        let crowded = prefix.is_some() && is_beyond_share(its_share + 1, peers.len() + 1);
        let fits = |peer: &Peer| !crowded || has_it(peer);
        self.pick(peers, |peer| fits(peer) && !peer.near && !peer.suspected)
            .or_else(|| self.pick(peers, |peer| fits(peer) && !peer.suspected))
            .or_else(|| self.pick(peers, fits))
    }

    /// One link drawn by chance of those that fit; one that a tree runs over only if all do.
    fn pick(&mut self, peers: &Peers, fits: impl Fn(&Peer) -> bool) -> Option<PeerIdx> {
        let fitting = || peers.iter().filter(|(_, peer)| fits(peer)).map(|(idx, _)| idx);
        let bare = fitting().filter(|&idx| !peers.is_trunk(idx)).count();
        let count = if bare > 0 { bare } else { fitting().count() };
        let place = self.rng.below(count as u32) as usize;
        fitting().filter(|&idx| bare == 0 || !peers.is_trunk(idx)).nth(place)
    }
}

/// Whether one round-trip time is shorter than another by a fifth, so that noise moves nobody (our choice). Nothing is
/// nearer than what was not measured.
const fn is_nearer(one: u32, other: u32) -> bool {
    one > 0 && (one as u64) * 5 < (other as u64) * 4
}

/// The mean round-trip time of the links where it was measured; 0 where none was.
pub(super) fn mean_round_trip(peers: &Peers) -> u32 {
    let measured = peers.iter().map(|(_, peer)| u64::from(peer.round_trip)).filter(|&round_trip| round_trip > 0);
    let (sum, count) = measured.fold((0, 0), |(sum, count), round_trip| (sum + round_trip, count + 1));
    (sum / u64::max(count, 1)) as u32
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::auth::{Auth, Security};
    use crate::config::Config;
    use crate::ids::{Incarnation, NodeId};
    use crate::rng::Rng;
    use crate::time::Instant;

    /// The round-trip time of random links, in microseconds; near ones have a tenth of it.
    const FAR: u32 = 50_000;

    /// One who wants ten links of fourteen, and has `random` and `near` ones, each in a network prefix of its own.
    fn host(random: u8, near: u8) -> (Membership, Peers) {
        let config = Config::lan(NodeId(1));
        let membership = Membership::new(&config, Instant::ZERO, Rng::new(&[3; 32], 0));
        let mut peers = Peers::new(config.limits.links.into());
        for number in 0..random + near {
            let peer = guest(&mut peers, [10, number, 0, 1], u64::from(number) + 2);
            let link = peers.get_mut(peer).expect("it is there");
            link.near = number >= random;
            link.round_trip = if link.near { FAR / 10 } else { FAR };
        }
        (membership, peers)
    }

    fn guest(peers: &mut Peers, ip: [u8; 4], id: u64) -> PeerIdx {
        let (node, incarnation) = (NodeId(id), Incarnation(1));
        let subkey = Auth::new(&Security::Plain, "test").subkey(node, incarnation);
        peers.insert(node, incarnation, (ip, 7_000).into(), subkey, Instant::ZERO).expect("room for fourteen")
    }

    const ASKS: Applicant = Applicant {
        address: SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(99, 0, 0, 1)), 1),
        in_need: false,
        near: None,
    };

    #[test]
    fn who_needs_a_link_gets_that_of_another_where_there_are_enough() {
        let (mut few, peers) = host(5, 4);
        assert_eq!(few.place(&peers, &Applicant { in_need: true, ..ASKS }), Place::Free);
        let (mut enough, peers) = host(5, 5);
        for _ in 0..50 {
            let Place::Of(gone) = enough.place(&peers, &Applicant { in_need: true, ..ASKS }) else {
                panic!("somebody gives way");
            };
            assert!(!peers.get(gone).expect("a link").near, "near links are not drawn as long as there are others");
        }
        assert_eq!(enough.place(&peers, &ASKS), Place::Free, "one more than wanted is granted to those who lack one");
        let (mut full, peers) = host(6, 5);
        assert_eq!(full.place(&peers, &ASKS), Place::None);
    }

    #[test]
    fn a_link_in_doubt_counts_as_none_and_gives_way_last() {
        let (mut host, mut peers) = host(5, 5);
        let doubted = peers.iter().map(|(peer, _)| peer).take(4).collect::<std::vec::Vec<_>>();
        for &peer in &doubted {
            peers.get_mut(peer).expect("a link").suspected = true;
        }
        assert_eq!(host.place(&peers, &Applicant { in_need: true, ..ASKS }), Place::Free);
        for number in 0..4 {
            guest(&mut peers, [20, number, 0, 1], 50 + u64::from(number));
        }
        for _ in 0..50 {
            let Place::Of(gone) = host.place(&peers, &Applicant { in_need: true, ..ASKS }) else {
                panic!("somebody gives way");
            };
            assert!(!doubted.contains(&gone));
        }
    }

    #[test]
    fn near_ones_replace_random_ones_down_to_half_and_then_the_farthest_near_one() {
        let near = |round_trip| Applicant { near: Some(round_trip), ..ASKS };
        let (mut host_of_random, peers) = host(10, 0);
        assert!(matches!(host_of_random.place(&peers, &near(FAR / 2)), Place::Of(_)));
        assert_eq!(host_of_random.place(&peers, &near(FAR * 9 / 10)), Place::None, "nearer by less than a fifth");
        assert_eq!(host_of_random.place(&peers, &near(0)), Place::None, "never measured");
        let (mut half, mut peers) = host(5, 5);
        assert_eq!(half.place(&peers, &near(FAR / 10)), Place::None, "as near as the near ones");
        let (farthest, _) = peers.iter().filter(|(_, link)| link.near).last().expect("five are near");
        peers.get_mut(farthest).expect("a link").round_trip = FAR / 5;
        assert_eq!(half.place(&peers, &near(FAR / 10)), Place::Of(farthest));
        let (mut lacking, peers) = host(5, 4);
        assert_eq!(lacking.place(&peers, &near(FAR / 10)), Place::Free);
    }

    #[test]
    fn a_prefix_beyond_its_share_gets_the_places_of_its_own_links() {
        let (mut host, mut peers) = host(5, 0);
        let crowd: std::vec::Vec<PeerIdx> =
            (0..5).map(|number| guest(&mut peers, [99, 0, 7, number], 70 + u64::from(number))).collect();
        for _ in 0..50 {
            let place = host.place(&peers, &Applicant { in_need: true, ..ASKS });
            assert!(matches!(place, Place::Of(gone) if crowd.contains(&gone)), "{place:?}");
        }
        let elsewhere = Applicant { address: ([98, 0, 0, 1], 1).into(), in_need: true, near: None };
        let places = (0..50).map(|_| host.place(&peers, &elsewhere));
        assert!(places.into_iter().any(|place| matches!(place, Place::Of(gone) if !crowd.contains(&gone))));
    }
}
