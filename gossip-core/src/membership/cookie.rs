//! Cookies: a stranger proves that it receives at its address, and nothing is kept until then.
//!
//! The cookie is a keyed hash of all that the proof is about, so checking it needs no memory (the idea of TCP's SYN cookies
//! and of QUIC's Retry, RFC 9000 §8.1.2). It holds for the period in which it was made and the next one.

use core::hash::Hasher;
use core::net::SocketAddr;

use crate::ids::{Incarnation, NodeId};
use crate::rng::Rng;
use crate::time::Instant;

/// How long a cookie holds at least, in microseconds: many round trips to any place on Earth (our choice).
const PERIOD_MICROS: u64 = 8_000_000;

/// Whom a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) address: SocketAddr,
}

/// Makes cookies and checks them.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    key: (u64, u64),
}

impl Cookies {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { key: (rng.u64(), rng.u64()) }
    }

    pub(super) fn bake(&self, now: Instant, bearer: &Bearer) -> u64 {
        self.of_period(now.as_micros() / PERIOD_MICROS, bearer)
    }

    pub(super) fn is_good(&self, now: Instant, bearer: &Bearer, cookie: u64) -> bool {
        let period = now.as_micros() / PERIOD_MICROS;
        cookie == self.of_period(period, bearer) || cookie == self.of_period(period.wrapping_sub(1), bearer)
    }

    fn of_period(&self, period: u64, bearer: &Bearer) -> u64 {
        let mut hasher = siphasher::sip::SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(&period.to_le_bytes());
        hasher.write(&bearer.node.0.to_le_bytes());
        hasher.write(&bearer.incarnation.0.to_le_bytes());
        match bearer.address {
            SocketAddr::V4(address) => hasher.write(&address.ip().octets()),
            SocketAddr::V6(address) => hasher.write(&address.ip().octets()),
        }
        hasher.write(&bearer.address.port().to_le_bytes());
        // 0 on the wire means "no cookie".
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_one_bearer_and_for_a_while() {
        let cookies = Cookies::new(&mut Rng::new(&[1; 32], 0));
        let bearer = Bearer { node: NodeId(1), incarnation: Incarnation(2), address: ([10, 0, 0, 1], 7).into() };
        let now = Instant::from_micros(5 * PERIOD_MICROS);
        let cookie = cookies.bake(now, &bearer);
        let after = |micros| Instant::from_micros(now.as_micros() + micros);
        assert!(cookies.is_good(now, &bearer, cookie));
        assert!(cookies.is_good(after(PERIOD_MICROS), &bearer, cookie));
        assert!(!cookies.is_good(after(2 * PERIOD_MICROS), &bearer, cookie));
        for other in [
            Bearer { node: NodeId(3), ..bearer },
            Bearer { incarnation: Incarnation(3), ..bearer },
            Bearer { address: ([10, 0, 0, 1], 8).into(), ..bearer },
            Bearer { address: ([10, 0, 0, 2], 7).into(), ..bearer },
        ] {
            assert!(!cookies.is_good(now, &other, cookie));
        }
    }
}
