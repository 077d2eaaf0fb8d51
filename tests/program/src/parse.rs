//! How people write durations, addresses and keys on a command line.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// `10`, `10s`, `2.5s`, `500ms` or `2m`; without a unit seconds are meant.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        _ => return Err(format!("unknown unit {unit:?}: use ms, s or m")),
    };
    let number: f64 = number.parse().map_err(|_| String::from("expected a duration such as 10s, 500ms or 2m"))?;
    let longest = 24.0 * 3_600.0;
    let seconds = number * factor;
    if (0.0..=longest).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(String::from("a duration lies between 0 and a day"))
    }
}

/// `PORT` on this machine, or `HOST:PORT`; a name is looked up, and IPv4 preferred if `bound` is IPv4.
pub(crate) fn contact(text: &str, bound: IpAddr) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(reachable(bound), port));
    }
    let found = text.to_socket_addrs().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => format!("{text:?} is neither PORT nor HOST:PORT: {error}"),
        _ => format!("cannot look up {text:?}: {error}"),
    })?;
    let fits = |address: &SocketAddr| address.is_ipv4() == bound.is_ipv4();
    found.into_iter().find(fits).ok_or_else(|| format!("{text:?} has no address of the kind of {bound}"))
}

/// Where a socket bound to `bound` can be reached from this machine.
pub(crate) fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// 64 hexadecimal digits.
pub(crate) fn key(text: &str) -> Result<[u8; 32], String> {
    let text = text.trim();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(String::from("a key is 64 hexadecimal digits"));
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
        *byte = u8::from_str_radix(pair, 16).expect("both digits were checked");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn durations() {
        for (text, millis) in
            [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("0", 0), ("0.25", 250)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "10h", "1e400", "NaN", "ten", "100000"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn contacts() {
        assert_eq!(contact("7000", LOOPBACK), Ok(SocketAddr::from(([127, 0, 0, 1], 7000))));
        assert_eq!(contact("7000", Ipv4Addr::UNSPECIFIED.into()), Ok(SocketAddr::from(([127, 0, 0, 1], 7000))));
        assert_eq!(contact("10.1.2.3:9", LOOPBACK), Ok(SocketAddr::from(([10, 1, 2, 3], 9))));
        assert_eq!(contact("[::1]:9", Ipv6Addr::LOCALHOST.into()), Ok("[::1]:9".parse().unwrap()));
        for text in ["", "70000", "host", "[::1]:9", "127.0.0.1", "127.0.0.1:x"] {
            assert!(contact(text, LOOPBACK).is_err(), "{text}");
        }
    }

    #[test]
    fn keys() {
        let text = "00ff".repeat(16);
        assert_eq!(key(&text).map(|key| (key[0], key[1])), Ok((0x00, 0xff)));
        assert_eq!(key(&format!("{text}\n")), key(&text));
        for text in ["", "00", &"zz".repeat(32), &"é".repeat(32), &"0".repeat(63)] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
