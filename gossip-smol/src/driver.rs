//! The loop: everything that one node does, in turns of bounded work.
//!
//! A turn goes through the inputs (datagrams, calls, the tick), then through the outputs (records, events, datagrams), and
//! takes from each what is there, up to a bound. When a turn leaves nothing to do the loop waits for the first of all that
//! can happen, and turns again. Inbound datagrams come before the tick, so that an answer that has already arrived is
//! not missed by a timer that fires with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::recording::Recorded;
use gossip_core::{Answer, Event, Input, InputError, Instant, PersistSeq, Record, SubmitError, Transmit};
use smol::Timer;
use smol::channel::{Receiver, Sender};
use smol::future::{self, FutureExt};

use crate::Builder;
use crate::node::{Call, Request, Shared};
use crate::socket::{Received, Socket};
use crate::storage::Storage;
use crate::tape::Tape;

/// System calls for receiving in one turn; each brings up to 16 buffers.
const RECEIVES_PER_TURN: usize = 16;

/// Calls of handles answered in one turn, of each kind.
const CALLS_PER_TURN: usize = 64;

/// System calls for sending in one turn.
const SENDS_PER_TURN: usize = 64;

/// Records in one batch: an interval without a new durable record stays short even where the disk is slow.
const RECORDS_PER_BATCH: usize = 1_024;

/// How late a tick may be because datagrams keep coming. A flood must not stop the node's own pace.
const TICK_LATE_MAX: Duration = Duration::from_millis(20);

/// The first pause after a failed write to storage, and the longest.
const STORE_RETRY_FIRST: Duration = Duration::from_millis(100);
const STORE_RETRY_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Channels {
    pub(crate) requests: Receiver<Request>,
    pub(crate) writes: Receiver<Call>,
    pub(crate) events: Sender<Event>,
    /// Rings when the application has taken an event.
    pub(crate) room: Receiver<()>,
}

pub(crate) struct Driver {
    gossip: Recorded,
    socket: Socket,
    shared: Arc<Shared>,
    requests: Receiver<Request>,
    writes: Receiver<Call>,
    events: Sender<Event>,
    room: Receiver<()>,
    /// The datagrams composed last; `unsent` says which of them the socket was too full for.
    buffer: Vec<u8>,
    unsent: Option<Transmit>,
    /// A write that the core has no room for. Those behind it wait in their channel.
    parked: Option<Call>,
    /// Writes whose records were not all polled yet, and writes whose records are being stored.
    accepted: Vec<Accepted>,
    storing: Vec<Accepted>,
    /// The storage when it is idle, and the batch being written when it is not; neither without storage.
    storage: Option<Box<dyn Storage>>,
    batch: Option<Batch>,
    tape: Option<Tape>,
    /// The application is behind: its channel was full.
    events_full: bool,
    /// There are handles.
    handles: bool,
    left: bool,
    /// Who waits for the end, and when their patience ends.
    shutdowns: Vec<Sender<()>>,
    shutdown_at: Option<Instant>,
}

/// A write that the core has taken, and who is told when it is durable.
struct Accepted {
    answer: Answer,
    reply: Sender<Result<Answer, InputError>>,
}

type Batch = Pin<Box<dyn Future<Output = (Box<dyn Storage>, PersistSeq)> + Send>>;

/// What ended a wait.
enum Wake {
    /// A socket, a deadline or the application: the next turn finds out.
    Turn,
    Requested(Option<Request>),
    Written(Option<Call>),
    Stored(Box<dyn Storage>, PersistSeq),
}

impl Driver {
    pub(crate) fn new(
        gossip: Recorded,
        socket: Socket,
        shared: Arc<Shared>,
        channels: Channels,
        storage: Option<Box<dyn Storage>>,
        tape: Option<Tape>,
    ) -> Self {
        let buffer = vec![0; socket.send_len(gossip.config().mtu.into())];
        let Channels { requests, writes, events, room } = channels;
        Self {
            gossip,
            socket,
            shared,
            requests,
            writes,
            events,
            room,
            buffer,
            unsent: None,
            parked: None,
            accepted: Vec::new(),
            storing: Vec::new(),
            storage,
            batch: None,
            tape,
            events_full: false,
            handles: true,
            left: false,
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
                future::yield_now().await;
            } else {
                let wake = self.wait().await;
                self.wake(wake);
            }
        }
        self.finish().await;
    }

    /// One round through everything. True: there is more to do at once.
    fn turn(&mut self) -> bool {
        let inbound = self.receive();
        let calls = self.take_requests() | self.take_writes();
        self.tick(inbound);
        let stored = self.persist();
        let told = self.deliver();
        let (sent, outbound) = self.transmit();
        self.record();
        // Outputs make room in the core, perhaps for the write that found none.
        let unpark = self.parked.is_some() && (stored || told || sent);
        inbound | calls | outbound | unpark
    }

    /// True: more datagrams wait.
    fn receive(&mut self) -> bool {
        let Self { socket, gossip, shared, .. } = self;
        for _ in 0..RECEIVES_PER_TURN {
            let received = socket.receive(&shared.counters, |from, datagram| {
                // A packet has no answer.
                let _ = gossip.handle(shared.now(), Input::Packet { from, datagram });
            });
            if received == Received::Drained {
                return false;
            }
        }
        true
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
            Request::Change(Call { change, reply }) => {
                // Whoever asked may have gone, here as below.
                let _ = reply.try_send(self.gossip.handle(self.shared.now(), change.input()));
            }
            Request::Read(look) => look(&self.gossip),
            Request::Shutdown(ended) => {
                let now = self.shared.now();
                if self.shutdown_at.is_none() {
                    self.shutdown_at = Some(now + Builder::SHUTDOWN_MAX);
                    let _ = self.gossip.handle(now, Input::Leave);
                }
                self.shutdowns.push(ended);
            }
        }
    }

    /// True: more writes wait, and the core has room.
    fn take_writes(&mut self) -> bool {
        for _ in 0..CALLS_PER_TURN {
            let Some(call) = self.parked.take().or_else(|| self.writes.try_recv().ok()) else {
                return false;
            };
            self.write(call);
            if self.parked.is_some() {
                return false;
            }
        }
        true
    }

    fn write(&mut self, call: Call) {
        if call.reply.is_closed() {
            return;
        }
        match self.gossip.handle(self.shared.now(), call.change.input()) {
            Ok(answer) => self.accepted.push(Accepted { answer, reply: call.reply }),
            Err(InputError::Submit(SubmitError::Busy)) => self.parked = Some(call),
            Err(error) => {
                let _ = call.reply.try_send(Err(error));
            }
        }
    }

    fn tick(&mut self, inbound: bool) {
        let now = self.shared.now();
        let Some(deadline) = self.gossip.poll_timeout() else {
            return;
        };
        if deadline <= now && (!inbound || now.saturating_since(deadline) > TICK_LATE_MAX) {
            // A tick has no answer.
            let _ = self.gossip.handle(now, Input::Tick);
        }
    }

    /// Starts to store what waits to be stored, one batch at a time: the next one gathers in the core meanwhile. True:
    /// there was something.
    fn persist(&mut self) -> bool {
        if self.batch.is_some() {
            return false;
        }
        let mut records = Vec::new();
        while let Some(record) = self.gossip.poll_persist() {
            records.push(record);
            if records.len() == RECORDS_PER_BATCH {
                break;
            }
        }
        if records.len() < RECORDS_PER_BATCH {
            self.storing.append(&mut self.accepted);
        }
        match (records.last(), self.storage.take()) {
            (Some(_), Some(storage)) => {
                self.batch = Some(Box::pin(store(storage, records)));
                true
            }
            (_, storage) => {
                self.storage = storage;
                self.answer_stored();
                false
            }
        }
    }

    fn stored(&mut self, storage: Box<dyn Storage>, upto: PersistSeq) {
        self.batch = None;
        self.storage = Some(storage);
        let _ = self.gossip.handle(self.shared.now(), Input::Persisted { upto });
        self.answer_stored();
    }

    fn answer_stored(&mut self) {
        for Accepted { answer, reply } in self.storing.drain(..) {
            let _ = reply.try_send(Ok(answer));
        }
    }

    /// Takes as many events as the application has room for; all of them where nobody listens. True: there was one.
    fn deliver(&mut self) -> bool {
        let mut told = false;
        loop {
            // Nobody else sends, so room that is there stays there.
            self.events_full = self.events.is_full() && !self.events.is_closed();
            if self.events_full {
                return told;
            }
            let Some(event) = self.gossip.poll_event() else {
                return told;
            };
            told = true;
            self.left |= event == Event::Left;
            // Fails only where nobody listens.
            let _ = self.events.try_send(event);
        }
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
            if !self.socket.send(&transmit, &self.buffer, &self.shared.counters) {
                self.unsent = Some(transmit);
                return (sent, false);
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
        if !self.handles && self.events.is_closed() {
            return true;
        }
        let Some(shutdown_at) = self.shutdown_at else {
            return false;
        };
        let idle = !more && self.unsent.is_none() && self.batch.is_none();
        self.left && idle || self.shared.now() >= shutdown_at
    }

    async fn wait(&mut self) -> Wake {
        let deadline = [self.gossip.poll_timeout(), self.shutdown_at].into_iter().flatten().min();
        let deadline = deadline.and_then(|at| self.shared.clock_origin.checked_add(at.saturating_since(Instant::ZERO)));
        let deadline = [deadline, self.socket.paused_until()].into_iter().flatten().min();
        let Self { socket, requests, writes, events, room, batch, .. } = self;
        let readable = async { socket.readable().await };
        let writable = async { when(self.unsent.is_some(), socket.writable()).await };
        let request = async { Wake::Requested(when(self.handles, requests.recv()).await.ok()) };
        let write = async { Wake::Written(when(self.handles && self.parked.is_none(), writes.recv()).await.ok()) };
        let stored = async {
            let (storage, upto) = done(batch).await;
            Wake::Stored(storage, upto)
        };
        let room = async {
            let _ = when(self.events_full, room.recv()).await;
        };
        let closed = async { when(!self.handles, events.closed()).await };
        let turn = async {
            readable.or(writable).or(sleep(deadline)).or(room).or(closed).await;
            Wake::Turn
        };
        // Whoever is first in the list wins, which starves nobody: every turn goes through everything.
        stored.or(request).or(write).or(turn).await
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Turn => {}
            Wake::Requested(Some(request)) => self.request(request),
            Wake::Written(Some(call)) => self.write(call),
            Wake::Requested(None) | Wake::Written(None) => self.handles = false,
            Wake::Stored(storage, upto) => self.stored(storage, upto),
        }
    }

    /// Lets the batch and the recording that are under way come to their end, so that what follows a shutdown finds them.
    async fn finish(mut self) {
        let patience = std::time::Instant::now() + Builder::SHUTDOWN_MAX;
        if self.batch.is_some() {
            async { drop(done(&mut self.batch).await) }.or(sleep(Some(patience))).await;
        }
        if let Some(tape) = self.tape.take() {
            smol::unblock(move || tape.finish()).await;
        }
    }
}

/// Stores one batch, however often it takes.
async fn store(mut storage: Box<dyn Storage>, mut records: Vec<Record>) -> (Box<dyn Storage>, PersistSeq) {
    let upto = records.last().map_or(PersistSeq(0), |record| record.seq);
    let mut pause = STORE_RETRY_FIRST;
    loop {
        let written = smol::unblock(move || {
            let result = storage.write(&records);
            (storage, records, result)
        });
        let result;
        (storage, records, result) = written.await;
        let Err(error) = result else {
            return (storage, upto);
        };
        tracing::warn!(%error, "storing failed, and is tried again");
        Timer::after(pause).await;
        pause = (pause * 2).min(STORE_RETRY_MAX);
    }
}

/// Waits for the batch, or for ever where there is none.
async fn done(batch: &mut Option<Batch>) -> (Box<dyn Storage>, PersistSeq) {
    match batch {
        Some(batch) => batch.await,
        None => future::pending().await,
    }
}

/// Waits for `future`, or for ever.
async fn when<F: Future>(wanted: bool, future: F) -> F::Output {
    if wanted { future.await } else { future::pending().await }
}

/// Waits until then, or for ever where there is no deadline.
async fn sleep(until: Option<std::time::Instant>) {
    match until {
        Some(until) => drop(Timer::at(until).await),
        None => future::pending().await,
    }
}
