//! The canonical loop on a socket of the standard library: one thread, no runtime.
//!
//! ```text
//! cargo run -p gossip-core --example blocking -- 1 7101
//! cargo run -p gossip-core --example blocking -- 2 7102 7101
//! ```
//!
//! The arguments are the node's id, its port on the loopback interface, and the port of a contact. Each node says hello
//! every two seconds, and prints what it is told.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock, SystemTime};

use gossip_core::{Config, Event, Gossip, Instant, NodeId, Order};

const HELLO_PERIOD: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = std::env::args().skip(1).map(|argument| argument.parse::<u16>()).collect::<Result<Vec<_>, _>>()?;
    let [id, port, contacts @ ..] = &numbers[..] else {
        return Err("usage: blocking ID PORT [CONTACT_PORT]…".into());
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, *port))?;
    let start = Clock::now();
    let now = || Instant::ZERO + start.elapsed();

    let mut config = Config::local(NodeId((*id).into()));
    config.started_at = u64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
    let mut buffer = vec![0; config.mtu.into()];
    let mut gossip = Gossip::new(config, seed()?, now())?;
    for contact in contacts {
        gossip.join(now(), SocketAddr::from((Ipv4Addr::LOCALHOST, *contact)))?;
    }

    let mut hello_at = now();
    loop {
        // The outputs, each until there is none.
        while let Some(transmit) = gossip.poll_transmit(now(), &mut buffer) {
            if let Err(error) = socket.send_to(&buffer[..transmit.len], transmit.to) {
                eprintln!("not sent, as if the network had lost it: {error}");
            }
        }
        while let Some(event) = gossip.poll_event() {
            print(&event);
        }

        // The inputs: a datagram, or the time.
        let deadline = gossip.poll_timeout().map_or(hello_at, |tick| tick.min(hello_at));
        // A timeout of zero would mean none at all.
        let wait = deadline.saturating_since(now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait))?;
        let mut datagram = [0; 65_536];
        match socket.recv_from(&mut datagram) {
            Ok((len, from)) => gossip.handle_packet(now(), from, &mut datagram[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => eprintln!("not received: {error}"),
        }
        gossip.handle_timeout(now());
        if hello_at <= now() {
            hello_at = now() + HELLO_PERIOD;
            if let Err(error) = gossip.submit(now(), Order::Fifo, b"hello") {
                eprintln!("not submitted: {error}");
            }
        }
    }
}

fn print(event: &Event) {
    match event {
        Event::Deliver(message) => println!("{}: {}", message.id, String::from_utf8_lossy(&message.payload)),
        other => println!("{other:?}"),
    }
}

/// Unpredictable enough for an example: the standard library seeds its hashers from the system.
fn seed() -> Result<[u8; 32], std::array::TryFromSliceError> {
    use std::hash::{BuildHasher, RandomState};
    let words: Vec<u8> = (0..4_u64).flat_map(|word| RandomState::new().hash_one(word).to_le_bytes()).collect();
    words[..].try_into()
}
