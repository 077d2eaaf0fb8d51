//! The loop: everything that one node does, in turns of bounded work.
//!
//! A turn goes through the inputs (datagrams, calls, the tick), then through the outputs (records, events, datagrams), and
//! takes from each what is there, up to a bound. When a turn leaves nothing to do the loop waits for the first of all that
//! can happen, and turns again. Inbound datagrams come before the tick, so that an answer that has already arrived is
//! not missed by a timer that fires with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::recording::Recorded;
use gossip_core::{Input, InputError, SubmitError, Transmit};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::Builder;
use crate::node::{Request, Shared, Write};
use crate::outbox::Outbox;
use crate::persist::{Persister, Stored};
use crate::socket::{Received, Sent, Socket};
use crate::storage::Storage;
use crate::tape::Tape;

/// System calls for receiving in one turn; each brings up to 16 buffers.
const RECEIVES_PER_TURN: usize = 16;

/// Calls of handles answered in one turn, of each kind.
const CALLS_PER_TURN: usize = 64;

/// System calls for sending in one turn.
const SENDS_PER_TURN: usize = 64;

/// How late a tick may be because datagrams keep coming. A flood must not stop the node's own pace.
const TICK_LATE_MAX: Duration = Duration::from_millis(20);

pub(crate) struct Driver {
    gossip: Recorded,
    socket: Socket,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    writes: mpsc::Receiver<Write>,
    outbox: Outbox,
    /// The datagrams composed last; `unsent` says which of them the socket was too full for.
    buffer: Vec<u8>,
    unsent: Option<Transmit>,
    /// A write that the core has no room for. Those behind it wait in their channel.
    parked: Option<Write>,
    persister: Persister,
    tape: Option<Tape>,
    /// There are handles.
    handles: bool,
    /// Who waits for the end, and when their patience ends.
    shutdowns: Vec<oneshot::Sender<()>>,
    shutdown_at: Option<Instant>,
}

/// What ended a wait.
enum Wake {
    /// A socket, a deadline or the application: the next turn finds out.
    Turn,
    Requested(Option<Request>),
    Written(Option<Write>),
    Stored(Stored),
}

impl Driver {
    pub(crate) fn new(
        gossip: Recorded,
        socket: Socket,
        shared: Arc<Shared>,
        (requests, writes): (mpsc::Receiver<Request>, mpsc::Receiver<Write>),
        outbox: Outbox,
        storage: Option<Box<dyn Storage>>,
        tape: Option<Tape>,
    ) -> Self {
        let buffer = vec![0; socket.send_len(gossip.config().mtu.into())];
        Self {
            gossip,
            socket,
            shared,
            requests,
            writes,
            outbox,
            buffer,
            unsent: None,
            parked: None,
            persister: Persister::new(storage),
            tape,
            handles: true,
            shutdowns: Vec::new(),
            shutdown_at: None,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let more = self.turn();
            if self.is_over(more) {
                break;
            }
            if more {
                tokio::task::yield_now().await;
            } else {
                let wake = self.wait().await;
                self.wake(wake);
            }
        }
        self.finish().await;
    }

    /// One round through everything. True: there is more to do at once.
    fn turn(&mut self) -> bool {
        let (received, inbound) = self.receive();
        let calls = self.take_requests() | self.take_writes();
        self.tick(inbound);
        let stored = self.persister.persist(&mut self.gossip);
        let told = self.outbox.deliver(&mut self.gossip);
        let (sent, outbound) = self.transmit();
        self.record();
        // What comes in or goes out may make room in the core for the write that found none.
        let unpark = self.parked.is_some() && (received || stored || told || sent);
        inbound | calls | outbound | unpark
    }

    /// Whether a datagram came, and whether more wait. After each, its deliveries are taken: a small store must not lose
    /// to a burst what the application has room for.
    fn receive(&mut self) -> (bool, bool) {
        let Self { socket, gossip, outbox, shared, .. } = self;
        let mut received = false;
        for _ in 0..RECEIVES_PER_TURN {
            let outcome = socket.receive(|from, datagram| {
                received = true;
                // A packet has no answer.
                let _ = gossip.handle(shared.now(), Input::Packet { from, datagram });
                outbox.deliver(gossip);
            });
            if outcome == Received::Drained {
                return (received, false);
            }
        }
        (received, true)
    }

    /// True: more requests wait.
    fn take_requests(&mut self) -> bool {
        for _ in 0..CALLS_PER_TURN {
            match self.requests.try_recv() {
                Ok(request) => self.request(request),
                Err(_) => return false,
            }
        }
        true
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Ask(ask) => ask(&mut self.gossip, self.shared.now(), self.socket.stats()),
            Request::Shutdown(ended) => {
                if self.shutdown_at.is_none() {
                    self.shutdown_at = Some(Instant::now() + Builder::SHUTDOWN_MAX);
                    // Leaving has no answer but its event.
                    let _ = self.gossip.handle(self.shared.now(), Input::Leave);
                }
                self.shutdowns.push(ended);
            }
        }
    }

    /// True: more writes wait, and the core has room.
    fn take_writes(&mut self) -> bool {
        for _ in 0..CALLS_PER_TURN {
            let Some(write) = self.parked.take().or_else(|| self.writes.try_recv().ok()) else {
                return false;
            };
            self.write(write);
            if self.parked.is_some() {
                return false;
            }
        }
        true
    }

    fn write(&mut self, write: Write) {
        if write.reply.is_closed() {
            return;
        }
        match (write.write)(&mut self.gossip, self.shared.now()) {
            Ok(answer) => self.persister.accepted(answer, write.reply),
            Err(InputError::Submit(SubmitError::Busy)) => self.parked = Some(write),
            Err(error) => {
                // Whoever asked may have gone.
                let _ = write.reply.send(Err(error));
            }
        }
    }

    fn tick(&mut self, inbound: bool) {
        let now = self.shared.now();
        let Some(deadline) = self.gossip.poll_timeout() else {
            return;
        };
        if is_tick_due(deadline, now, inbound) {
            // A tick has no answer.
            let _ = self.gossip.handle(now, Input::Tick);
        }
    }

    fn stored(&mut self, stored: Stored) {
        let _ = self.gossip.handle(self.shared.now(), Input::Persisted { upto: stored.upto });
        self.persister.on_stored(stored);
    }

    /// Sends until nothing is due or the socket is full: whether anything was sent, and whether more is due.
    fn transmit(&mut self) -> (bool, bool) {
        let mut sent = false;
        for _ in 0..SENDS_PER_TURN {
            let transmit = self.unsent.take().or_else(|| {
                let room = self.socket.send_len(self.gossip.config().mtu.into()).min(self.buffer.len());
                self.gossip.poll_transmit(self.shared.now(), &mut self.buffer[..room])
            });
            let Some(transmit) = transmit else {
                return (sent, false);
            };
            match self.socket.send(&transmit, &self.buffer) {
                Sent::Done => {}
                Sent::Full => {
                    self.unsent = Some(transmit);
                    return (sent, false);
                }
                Sent::TooLong => {
                    let len = transmit.segment_size.unwrap_or(transmit.len);
                    // A complaint has no answer.
                    let _ = self.gossip.handle(self.shared.now(), Input::TooLong { to: transmit.to, len });
                }
            }
            sent = true;
        }
        (sent, true)
    }

    fn record(&mut self) {
        if let Some(tape) = &self.tape
            && self.gossip.recorded_len() > 0
        {
            tape.write(self.gossip.take_recorded());
        }
    }

    /// Whether the node ends here: everybody has gone, or a shutdown is complete or out of patience.
    fn is_over(&self, more: bool) -> bool {
        if !self.handles && self.outbox.is_closed() {
            return true;
        }
        let Some(shutdown_at) = self.shutdown_at else {
            return false;
        };
        let idle = !more && self.unsent.is_none() && !self.persister.is_storing();
        self.outbox.has_left() && idle || Instant::now() >= shutdown_at
    }

    async fn wait(&mut self) -> Wake {
        let tick = self.gossip.poll_timeout().and_then(|at| self.shared.clock_time(at));
        let deadline = [tick, self.shutdown_at, self.socket.paused_until()].into_iter().flatten().min();
        tokio::select! {
            () = self.socket.readable() => Wake::Turn,
            () = self.socket.writable(), if self.unsent.is_some() => Wake::Turn,
            () = sleep(deadline) => Wake::Turn,
            request = self.requests.recv(), if self.handles => Wake::Requested(request),
            write = self.writes.recv(), if self.handles && self.parked.is_none() => Wake::Written(write),
            stored = self.persister.stored() => Wake::Stored(stored),
            () = self.outbox.room() => Wake::Turn,
            () = self.outbox.closed(), if !self.handles => Wake::Turn,
        }
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Turn => {}
            Wake::Requested(Some(request)) => self.request(request),
            Wake::Written(Some(write)) => self.write(write),
            Wake::Requested(None) | Wake::Written(None) => self.handles = false,
            Wake::Stored(stored) => self.stored(stored),
        }
    }

    /// Lets the batch and the recording that are under way come to their end, so that what follows a shutdown finds them.
    async fn finish(mut self) {
        if self.persister.is_storing() {
            let patience = self.shutdown_at.unwrap_or_else(|| Instant::now() + Builder::SHUTDOWN_MAX);
            let _ = tokio::time::timeout_at(patience.into(), self.persister.stored()).await;
        }
        if let Some(tape) = self.tape.take() {
            // Fails only where the runtime shuts down, and then the thread finishes alone.
            let _ = tokio::task::spawn_blocking(move || tape.finish()).await;
        }
    }
}

/// Waits until then, or for ever where there is no deadline.
async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether time is to be told to the core. An answer that waits in the socket is read first, or a node that was held up
/// would take for lost what has long arrived.
fn is_tick_due(deadline: gossip_core::Instant, now: gossip_core::Instant, inbound: bool) -> bool {
    deadline <= now && (!inbound || now.saturating_since(deadline) > TICK_LATE_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use gossip_core::{Config, NodeId};

    use super::*;

    #[test]
    fn what_no_path_takes_is_told_to_the_core_and_does_not_stop_the_rest() {
        tokio::runtime::Runtime::new().expect("a runtime starts").block_on(async {
            let config = Config::local(NodeId(1));
            let gossip = Recorded::new(config, [0; 32], gossip_core::Instant::ZERO, None).expect("a preset is right");
            let socket = Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("the system has a free port");
            let to = socket.local_addr().expect("it is bound");
            let shared = Shared { id: NodeId(1), local_addr: to, clock_origin: Instant::now() };
            let calls = (mpsc::channel(1).1, mpsc::channel(1).1);
            let outbox = Outbox::new(mpsc::channel(1).0);
            let mut driver = Driver::new(gossip, socket, Arc::new(shared), calls, outbox, None, None);
            driver.buffer = vec![0; 70_000];
            driver.unsent = Some(Transmit { to, len: driver.buffer.len(), segment_size: None });
            assert_eq!(driver.transmit(), (true, false));
            assert!(driver.unsent.is_none(), "nothing is gained by trying again");
            assert_eq!(driver.gossip.stats().too_long, 1);
        });
    }

    #[test]
    fn datagrams_that_wait_come_before_timers_but_not_for_ever() {
        let at = |ms: u64| gossip_core::Instant::from_micros(1_000 * ms);
        // (deadline, now, more datagrams wait): is a tick due?
        let table = [
            ((100, 99, false), false),
            ((100, 100, false), true),
            ((100, 99, true), false),
            ((100, 100, true), false),
            ((100, 120, true), false),
            ((100, 121, true), true),
        ];
        for ((deadline, now, inbound), due) in table {
            assert_eq!(is_tick_due(at(deadline), at(now), inbound), due, "{deadline} {now} {inbound}");
        }
    }
}
