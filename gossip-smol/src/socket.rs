//! The socket: many datagrams per system call where the system can, and errors that end nothing.
//!
//! A datagram that the system refuses to send is like one that the network loses, and repair is there for those. A
//! receive error is about the past (somebody's port was closed) or about the machine (no memory); the former is ignored,
//! the latter makes the socket rest for a while, so that a lasting one does not spin the loop.

use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use gossip_core::Transmit;
use quinn_udp::{RecvMeta, UdpSocketState};
use smol::Async;

/// Buffers handed to one receiving system call.
const BUFFERS: usize = 16;

/// A receive buffer holds the longest datagram, or as many equal ones as the system may join (receive offload). Pages
/// that no datagram ever reached take no memory.
const BUFFER_LEN: usize = 65_536;

/// The most datagrams that are composed for one sending system call: more would delay the next peer's.
const SEGMENTS_MAX: usize = 8;

/// What the system is asked to hold for us between two turns, in bytes; it may give less. Some 800 datagrams.
const RECEIVE_BUFFER_LEN: usize = 2 << 20;

/// The first pause after a receive error, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time between two log lines: trouble that lasts is counted, not told again and again.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// What a node's socket refused. Counters only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Times that the socket was full, and a datagram had to wait.
    pub send_blocked: u64,
    /// Datagrams, or runs of them, that the system refused to send for another reason than their length; those are
    /// counted in [`Stats::too_long`](gossip_core::Stats::too_long).
    pub send_failed: u64,
    /// Errors at receiving.
    pub receive_failed: u64,
}

/// How sending went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing is left to do: the system has it, or refused it in a way that trying again does not mend.
    Done,
    /// The socket is full: try again when [`Socket::writable`].
    Full,
    /// No path there takes a datagram of this length.
    TooLong,
}

/// How receiving went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Nothing is left, or the socket rests after an error.
    Drained,
    /// There may be more.
    Some,
}

pub(crate) struct Socket {
    io: Async<UdpSocket>,
    state: UdpSocketState,
    /// The socket speaks IPv6, so it names IPv4 addresses in the mapped form.
    maps_v4: bool,
    buffers: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
    pause: Duration,
    paused_until: Option<Instant>,
    logged_at: Option<Instant>,
    stats: SocketStats,
}

impl Socket {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let io = Async::<UdpSocket>::bind(address)?;
        let state = UdpSocketState::new((&io).into())?;
        // What the system grants is enough, only bursts are lost sooner.
        let _ = state.set_recv_buffer_size((&io).into(), RECEIVE_BUFFER_LEN);
        Ok(Self {
            maps_v4: io.get_ref().local_addr()?.is_ipv6(),
            io,
            state,
            buffers: vec![0; BUFFERS * BUFFER_LEN],
            metas: [RecvMeta::default(); BUFFERS],
            pause: PAUSE_FIRST,
            paused_until: None,
            logged_at: None,
            stats: SocketStats::default(),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    pub(crate) fn stats(&self) -> SocketStats {
        self.stats
    }

    /// How many bytes to compose for one [`Socket::send`].
    pub(crate) fn send_len(&self, mtu: usize) -> usize {
        let segments = self.state.max_gso_segments().min(SEGMENTS_MAX);
        (mtu * segments).clamp(mtu, mtu.max(usize::from(gossip_core::MTU_MAX)))
    }

    pub(crate) fn send(&mut self, transmit: &Transmit, buffer: &[u8]) -> Sent {
        let datagrams = quinn_udp::Transmit {
            destination: if self.maps_v4 { mapped(transmit.to) } else { transmit.to },
            ecn: None,
            contents: &buffer[..transmit.len],
            segment_size: transmit.segment_size,
            src_ip: None,
        };
        let sent = self.state.try_send((&self.io).into(), &datagrams);
        let Err(error) = sent else {
            return Sent::Done;
        };
        if error.kind() == ErrorKind::WouldBlock {
            self.stats.send_blocked += 1;
            return Sent::Full;
        }
        self.log(&format_args!("sending to {} failed", transmit.to), &error);
        if quinn_udp::is_msg_size_err(&error) {
            return Sent::TooLong;
        }
        self.stats.send_failed += 1;
        Sent::Done
    }

    /// Hands what one system call brings to `handle`.
    pub(crate) fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &mut [u8])) -> Received {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return Received::Drained;
        }
        self.paused_until = None;
        let received = {
            let mut chunks = self.buffers.chunks_exact_mut(BUFFER_LEN);
            let mut slices: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("one chunk per buffer was allocated")));
            self.state.recv((&self.io).into(), &mut slices, &mut self.metas)
        };
        match received {
            Ok(count) => {
                self.pause = PAUSE_FIRST;
                for (meta, buffer) in self.metas[..count].iter().zip(self.buffers.chunks_exact_mut(BUFFER_LEN)) {
                    let from = unmapped(meta.addr);
                    for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                        handle(from, datagram);
                    }
                }
                Received::Some
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Drained,
            Err(error) => {
                self.stats.receive_failed += 1;
                self.receive_failed(&error)
            }
        }
    }

    fn receive_failed(&mut self, error: &io::Error) -> Received {
        // Some systems report here that an earlier datagram found a closed port.
        if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused) {
            return Received::Some;
        }
        self.log(&format_args!("receiving failed"), error);
        self.paused_until = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Received::Drained
    }

    fn log(&mut self, what: &fmt::Arguments<'_>, error: &io::Error) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(%error, "{what}");
        }
    }

    /// Until when the socket rests, if it does.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Waits until there is something to receive; for ever where the socket rests, or where the runtime cannot tell: every
    /// turn tries anyway, and timers see to turns.
    pub(crate) async fn readable(&self) {
        if self.paused_until.is_some() || self.io.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until there is room to send, as [`Socket::readable`] does.
    pub(crate) async fn writable(&self) {
        if self.io.writable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => address,
    }
}

/// The core, and the nodes that it tells, must see one form of an address.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        smol::block_on(test);
    }

    async fn socket() -> Socket {
        Socket::bind(([127, 0, 0, 1], 0).into()).expect("the system has a free port")
    }

    #[test]
    fn a_datagram_that_no_interface_takes_is_told() {
        run(async {
            let (mut a, b) = (socket().await, socket().await);
            let buffer = [0; 70_000];
            let too_long = Transmit { to: b.local_addr().expect("it is bound"), len: buffer.len(), segment_size: None };
            assert_eq!(a.send(&too_long, &buffer), Sent::TooLong);
            assert_eq!(a.stats(), SocketStats::default());
        });
    }

    #[test]
    fn a_run_of_datagrams_arrives_one_by_one() {
        run(async {
            let (mut a, mut b) = (socket().await, socket().await);
            let buffer: Vec<u8> = (0..250).collect();
            let segments = a.send_len(100) / 100;
            let run = Transmit { to: b.local_addr().expect("it is bound"), len: buffer.len(), segment_size: Some(100) };
            let sent: Vec<&[u8]> = if segments >= 3 {
                assert_eq!(a.send(&run, &buffer), Sent::Done);
                buffer.chunks(100).collect()
            } else {
                // This system sends one by one only, which the core is told by the length of the buffer.
                assert_eq!(a.send(&Transmit { len: 100, segment_size: None, ..run }, &buffer), Sent::Done);
                vec![&buffer[..100]]
            };
            let mut received = Vec::new();
            while received.len() < sent.len() {
                b.readable().await;
                b.receive(|from, datagram| {
                    assert_eq!(from, a.local_addr().expect("it is bound"));
                    received.push(datagram.to_vec());
                });
            }
            assert_eq!(received, sent);
        });
    }

    #[test]
    fn errors_of_the_machine_make_the_socket_rest() {
        run(async {
            let mut a = socket().await;
            assert_eq!(a.receive_failed(&ErrorKind::ConnectionReset.into()), Received::Some);
            assert_eq!(a.paused_until(), None);
            assert_eq!(a.receive_failed(&ErrorKind::OutOfMemory.into()), Received::Drained);
            assert!(a.paused_until().is_some_and(|until| until > Instant::now()));
            let first = a.pause;
            assert_eq!(a.receive_failed(&ErrorKind::OutOfMemory.into()), Received::Drained);
            assert!(a.pause > first);
            for _ in 0..20 {
                a.receive_failed(&ErrorKind::OutOfMemory.into());
            }
            assert_eq!(a.pause, PAUSE_MAX);
        });
    }

    #[test]
    fn addresses_have_one_form_inside_and_one_outside() {
        let inside = SocketAddr::from(([192, 0, 2, 1], 7));
        let outside = mapped(inside);
        assert!(outside.is_ipv6());
        assert_eq!(unmapped(outside), inside);
        let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 7));
        assert_eq!((mapped(v6), unmapped(v6)), (v6, v6));
    }
}
