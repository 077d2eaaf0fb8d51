//! Network prefixes: addresses that may well be in one hand.
//!
//! # Intuition
//!
//! A thousand addresses in one street are cheap for whoever owns the street; addresses all over the world are not. So nobody
//! lets one street have more than half of the places at his table, as long as others ask for them.
//!
//! One rule for the links ([`giving_way`](super::giving_way)) and for the sampled view ([`sampling`](super::sampling)):
//! more than half of the places is more than the share of a prefix, and beyond it a prefix gets the places of its own alone. Where
//! all live in one prefix nobody else asks, and the rule forbids nothing.
//!
//! Addresses that are not global (loopback, private, link-local) are in no prefix: whoever runs such a network gives
//! them out as it likes, and they say nothing about hands.
//!
//! # Source
//!
//! /16 of IPv4 and /32 of IPv6, as Bitcoin groups addresses (Heilman et al. 2015, *Eclipse Attacks on Bitcoin's Peer-to-Peer
//! Network*). Half is our choice: the other half, drawn by chance elsewhere, is a connected random graph by itself.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What addresses have in common that may well be in one hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// /16.
    V4([u8; 2]),
    /// /32.
    V6([u8; 4]),
}

impl Prefix {
    /// That of an address; none where it is not global.
    pub(super) const fn of(address: SocketAddr) -> Option<Self> {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) if is_global_v4(ip) => {
                let [a, b, ..] = ip.octets();
                Some(Self::V4([a, b]))
            }
            IpAddr::V6(ip) if is_global_v6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Some(Self::V6([a, b, c, d]))
            }
            _ => None,
        }
    }
}

/// Beside the private ones, 100.64.0.0/10 is not global: it is behind the translation of a provider (RFC 6598).
const fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || a == 100 && b & 0xc0 == 64)
}

const fn is_global_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
}

/// Whether so many of all places are more than the share of one prefix.
pub(super) const fn is_beyond_share(places: usize, all: usize) -> bool {
    2 * places > all
}

/// The prefix that has more than its share of these. At most one has. (The vote of R. Boyer and J. Moore, *MJRTY*, 1981, and a
/// count.)
pub(super) fn crowd(addresses: impl Iterator<Item = SocketAddr> + Clone) -> Option<Prefix> {
    let mut lead = (None, 0_usize);
    let mut all = 0;
    for prefix in addresses.clone().map(Prefix::of) {
        all += 1;
        lead = match lead {
            _ if prefix.is_none() => lead,
            (_, 0) => (prefix, 1),
            (leading, votes) if leading == prefix => (leading, votes + 1),
            (leading, votes) => (leading, votes - 1),
        };
    }
    let (Some(leading), 1..) = lead else { return None };
    let places = addresses.filter(|&address| Prefix::of(address) == Some(leading)).count();
    is_beyond_share(places, all).then_some(leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_whole_networks() {
        let of = |text: &str| Prefix::of(text.parse().expect("an address"));
        let same = |one: &str, other: &str| of(one).is_some() && of(one) == of(other);
        assert!(same("99.1.2.3:1", "99.1.9.9:2") && !same("99.1.2.3:1", "99.2.2.3:1"));
        assert!(same("[2001:db8:1::1]:1", "[2001:db8:2::1]:1") && !same("[2001:db8::1]:1", "[2001:db9::1]:1"));
        assert!(same("[::ffff:99.1.2.3]:1", "99.1.0.0:1"), "an IPv4 address in IPv6 is one of IPv4");
        for local in ["127.0.0.1:1", "10.1.2.3:1", "192.168.1.1:1", "169.254.1.1:1", "100.99.1.1:1"] {
            assert_eq!(of(local), None, "{local} says nothing");
        }
        assert!(of("[::1]:1").is_none() && of("[fd00::1]:1").is_none() && of("100.1.1.1:1").is_some());
    }

    #[test]
    fn a_crowd_is_more_than_half() {
        let of = |networks: &[u8]| crowd(networks.iter().map(|&network| ([network, 0, 0, 1], 1).into()));
        let of_net = |network| Some(Prefix::V4([network, 0]));
        assert_eq!((of(&[]), of(&[7]), of(&[7, 8])), (None, of_net(7), None));
        assert_eq!((of(&[1, 7, 2, 7, 7, 3, 7]), of(&[7, 7, 7, 1, 2, 3])), (of_net(7), None));
        assert_eq!((of(&[7, 7, 1, 1, 2]), of(&[7, 10, 7, 10]), of(&[10, 10, 10])), (None, None, None));
    }
}
