//! Addresses that exist only here: 10.0.0.0/8 has room for 2²⁴ nodes, and the port counts how often a node has moved.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const FIRST_PORT: u16 = 7_000;

/// The address of `node` after it has moved `generation` times.
#[must_use]
pub fn address(node: u32, generation: u16) -> SocketAddr {
    let [_, a, b, c] = node.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, a, b, c)), FIRST_PORT.wrapping_add(generation))
}

/// Whose address it is, and after how many moves; none for an address outside the simulation.
#[must_use]
pub fn locate(address: SocketAddr) -> Option<(u32, u16)> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let [10, a, b, c] = ip.octets() else { return None };
    Some((u32::from_be_bytes([0, a, b, c]), address.port().wrapping_sub(FIRST_PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back() {
        for node in [0, 1, 255, 256, 65_536, 0xff_ffff] {
            for generation in [0, 1, 60_000] {
                assert_eq!(locate(address(node, generation)), Some((node, generation)));
            }
        }
        assert_eq!(locate(SocketAddr::from(([127, 0, 0, 1], 7_000))), None);
    }
}
