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

/// Whether two addresses may well be in one hand.
pub(super) fn same_prefix(one: SocketAddr, other: SocketAddr) -> bool {
    match (one.ip().to_canonical(), other.ip().to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2] && is_global_v4(one),
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..4] == other.octets()[..4] && is_global_v6(one),
        _ => false,
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

/// An address in the prefix that has more than its share of these. At most one has. (The vote of R. Boyer and J. Moore,
/// *MJRTY*, 1981, and a count.)
pub(super) fn crowd(addresses: impl Iterator<Item = SocketAddr> + Clone) -> Option<SocketAddr> {
    let mut candidate = None;
    let mut lead = 0_usize;
    for address in addresses.clone() {
        match candidate {
            Some(leading) if lead > 0 && same_prefix(leading, address) => lead += 1,
            Some(_) if lead > 0 => lead -= 1,
            _ => (candidate, lead) = (Some(address), 1),
        }
    }
    let candidate = candidate?;
    let (places, all) = addresses
        .fold((0, 0), |(places, all), address| (places + usize::from(same_prefix(candidate, address)), all + 1));
    is_beyond_share(places, all).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_whole_networks() {
        let same =
            |one: &str, other: &str| same_prefix(one.parse().expect("an address"), other.parse().expect("an address"));
        assert!(same("99.1.2.3:1", "99.1.9.9:2") && !same("99.1.2.3:1", "99.2.2.3:1"));
        assert!(same("[2001:db8:1::1]:1", "[2001:db8:2::1]:1") && !same("[2001:db8::1]:1", "[2001:db9::1]:1"));
        assert!(same("[::ffff:99.1.2.3]:1", "99.1.0.0:1"), "an IPv4 address in IPv6 is one of IPv4");
        for local in ["127.0.0.1:1", "10.1.2.3:1", "192.168.1.1:1", "169.254.1.1:1", "100.99.1.1:1"] {
            assert!(!same(local, local), "{local} says nothing");
        }
        assert!(
            !same("[::1]:1", "[::1]:1") && !same("[fd00::1]:1", "[fd00::1]:1") && same("100.1.1.1:1", "100.1.1.1:1")
        );
    }

    #[test]
    fn a_crowd_is_more_than_half() {
        let of = |networks: &[u8]| {
            let found = crowd(networks.iter().map(|&network| SocketAddr::from(([99, network, 0, 1], 1))));
            found.map(|address| match address.ip() {
                IpAddr::V4(ip) => ip.octets()[1],
                IpAddr::V6(_) => unreachable!("all are of IPv4"),
            })
        };
        assert_eq!((of(&[]), of(&[7]), of(&[7, 8])), (None, Some(7), None));
        assert_eq!((of(&[1, 7, 2, 7, 7, 3, 7]), of(&[7, 7, 7, 1, 2, 3])), (Some(7), None));
        assert_eq!(of(&[7, 7, 1, 1, 2]), None);
    }
}
