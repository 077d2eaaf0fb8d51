//! Outputs: what a node sends, tells and stores.
//!
//! The three kinds may be polled in any order (law 4), so the order is a switch. What follows from an output on the
//! network or the disk is arranged here; nothing is fed back into the core before the next input.

use std::io::Write;

use gossip_core::{Event, Record, Transmit};

use crate::sim::address::locate;
use crate::sim::arena::Label;
use crate::sim::fault::Fault;
use crate::sim::network::{Copied, Fate, corrupt};
use crate::sim::next::{Kind, Next};
use crate::sim::options::{BUFFER, Order, Stream};
use crate::sim::rng::{Rng, hash, mix, within};
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Observer, Step, What};

/// Bytes that IP and UDP add to each datagram (IPv4).
const IP_UDP: u64 = 28;

/// More outputs than this in one drain are taken for an endless loop: a node has at most some thousand links and some
/// hundred thousand stored messages.
const OUTPUTS_MAX: u32 = 2_000_000;

impl<O: Observer> Simulation<O> {
    /// Polls all outputs until there is none. False where the socket or the application took nothing.
    pub(super) fn drain(&mut self, node: u32) -> bool {
        self.drain_by(node, Self::poll)
    }

    fn drain_by(&mut self, node: u32, poll: impl Fn(&mut Self, u32, Stream) -> bool) -> bool {
        self.audit(node);
        let finished = match self.options.drive.order {
            Order::Fixed(order) => self.drain_in_order(node, order, poll),
            Order::Shuffled => self.drain_shuffled(node, poll),
        };
        if !finished {
            self.step(node, What::Endless);
        }
        self.audit(node);
        self.write_records(node);
        let (now, state) = (self.now, &self.nodes[node as usize]);
        finished && state.is_writable(now) && state.is_listening(now)
    }

    /// The application acknowledges what it was handed.
    pub(super) fn acknowledge(&mut self, node: u32) {
        let Some(extra) = &mut self.nodes[node as usize].extra else { return };
        for id in std::mem::take(&mut extra.done) {
            self.input(node, id.seq, |gossip, _| gossip.acknowledge(id));
        }
    }

    fn drain_in_order(&mut self, node: u32, order: [Stream; 3], poll: impl Fn(&mut Self, u32, Stream) -> bool) -> bool {
        let mut outputs = 0;
        loop {
            let before = outputs;
            for stream in order {
                while poll(self, node, stream) {
                    outputs += 1;
                    if outputs > OUTPUTS_MAX {
                        return false;
                    }
                }
            }
            if outputs == before {
                return true;
            }
        }
    }

    fn drain_shuffled(&mut self, node: u32, poll: impl Fn(&mut Self, u32, Stream) -> bool) -> bool {
        let inputs = self.nodes[node as usize].inputs;
        let mut rng = Rng::new(hash([self.options.seed, u64::from(node)]), inputs);
        let mut open = vec![Stream::Datagrams, Stream::Events, Stream::Records];
        for _ in 0..OUTPUTS_MAX {
            let choice = rng.below(open.len() as u64) as usize;
            if poll(self, node, open[choice]) {
                // One stream may have opened another, which had been empty.
                open = vec![Stream::Datagrams, Stream::Events, Stream::Records];
            } else {
                open.swap_remove(choice);
                if open.is_empty() {
                    return true;
                }
            }
        }
        false
    }

    /// Polls one output. False where there is none.
    fn poll(&mut self, node: u32, stream: Stream) -> bool {
        match stream {
            Stream::Datagrams => self.poll_datagram(node),
            Stream::Events => self.poll_event(node),
            Stream::Records => self.poll_record(node),
        }
    }

    fn poll_datagram(&mut self, node: u32) -> bool {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        if !state.is_writable(now) {
            return false;
        }
        let local = state.local(now);
        let Some(gossip) = &mut state.gossip else { return false };
        let room = usize::from(state.mtu) * usize::from(self.options.drive.segments);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        let Some(transmit) = gossip.poll_transmit(local, &mut self.buffer[..room]) else { return false };
        self.send(node, transmit);
        true
    }

    fn send(&mut self, node: u32, transmit: Transmit) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let size = transmit.segment_size.unwrap_or(transmit.len).max(1);
        for datagram in buffer[..transmit.len].chunks_mut(size) {
            self.send_one(node, transmit.to, datagram);
        }
        self.buffer = buffer;
    }

    /// When a datagram of `len` bytes leaves, one behind the other. While too many wait the socket is full.
    fn departure(&mut self, node: u32, len: usize) -> u64 {
        let (now, bandwidth) = (self.now, self.options.bandwidth);
        if bandwidth == 0 {
            return now;
        }
        let state = &mut self.nodes[node as usize];
        let life = state.life;
        let extra = state.extra();
        extra.line_until = extra.line_until.max(now) + ((len as u64 + IP_UDP) * 8_000_000).div_ceil(bandwidth);
        let (departure, writable) = (extra.line_until, extra.line_until.saturating_sub(BUFFER));
        if writable > now {
            extra.full_until = extra.full_until.max(writable);
            self.queue.push(writable, Next::new(node, Kind::Drain, life));
        }
        departure
    }

    fn send_one(&mut self, node: u32, to: std::net::SocketAddr, datagram: &[u8]) {
        let departure = self.departure(node, datagram.len());
        let Self { nodes, network, arena, queue, observer, faults, options, now, .. } = self;
        let (now, state) = (*now, &mut nodes[node as usize]);
        state.sent += 1;
        let target = locate(to).filter(|(index, _)| *index < options.nodes);
        let port = u64::from(to.port());
        state.trace.datagram(now, target.map_or(u64::MAX, |(index, _)| u64::from(index) << 16 | port), datagram);
        let mut fate = Fate::default();
        let number = state.sent;
        if let Some((to, to_port)) = target {
            fate = network.route(departure, node, to, number, faults);
            let label = Label { from: node, from_port: state.generation, to_port };
            for copy in fate.copies() {
                let handle = put(arena, copy, label, datagram);
                queue.push(copy.at, Next::new(to, Kind::Arrival, handle));
            }
        } else {
            faults.count(Fault::ToNowhere);
        }
        let to = target.map(|(to, _)| to);
        let what = What::Sent { to, number, datagram, mtu: state.mtu, fate: &fate };
        observer.observe(&Step { at: now, node, what });
    }

    fn poll_event(&mut self, node: u32) -> bool {
        let Self { nodes, observer, options, now, scratch, .. } = self;
        let (now, state) = (*now, &mut nodes[node as usize]);
        if !state.is_listening(now) {
            return false;
        }
        let Some(gossip) = &mut state.gossip else { return false };
        let Some(event) = gossip.poll_event() else {
            state.drained = Some(gossip.stats().evicted);
            return false;
        };
        if let Event::Deliver(delivery) = &event {
            let id = delivery.id;
            let key = hash([id.origin.0, id.incarnation.0, id.seq, u64::from(delivery.hops)]);
            state.trace.event(now ^ key, &delivery.payload);
            if state.acknowledges && options.acknowledge.hit(mix(key)) {
                state.extra().done.push(id);
            }
            let (order, payload, hops) = (delivery.order, &delivery.payload[..], delivery.hops);
            observer.observe(&Step { at: now, node, what: What::Delivered { id, order, payload, hops } });
        } else {
            scratch.clear();
            // Writing into a vector cannot fail.
            let _ = write!(scratch, "{event:?}");
            state.trace.event(now, scratch);
            observer.observe(&Step { at: now, node, what: What::Told(&event) });
            self.look_for_holders(node, &event);
        }
        true
    }

    fn poll_record(&mut self, node: u32) -> bool {
        let (now, state) = (self.now, &mut self.nodes[node as usize]);
        let Some(record) = state.gossip.as_mut().and_then(gossip_core::Gossip::poll_persist) else { return false };
        let Record { seq, table, .. } = &record;
        let [head, body] = record.value().map_or([&[][..]; 2], |value| value.parts());
        let key = hash([now, seq.0, *table as u64, u64::from(record.value().is_some())]);
        for part in [record.key(), head, body] {
            state.trace.record(key, part);
        }
        state.extra().storage.take(record);
        true
    }

    /// Starts to write what waits, unless the disk is busy.
    fn write_records(&mut self, node: u32) {
        let state = &mut self.nodes[node as usize];
        if state.extra.as_mut().is_some_and(|extra| extra.storage.start()) {
            let (low, high) = self.options.storage_delay;
            let delay = within(hash([self.options.seed, u64::from(node), self.now, 9]), low, high);
            self.queue.push(self.now + delay, Next::new(node, Kind::Written, state.life));
        }
    }

    /// With [`Drive::late`](crate::sim::Drive::late), the socket is sometimes full after an input.
    pub(super) fn fill_socket_by_chance(&mut self, node: u32) {
        let Some(late) = self.options.drive.late else { return };
        let state = &self.nodes[node as usize];
        let h = hash([self.options.seed, u64::from(node), state.inputs, 10]);
        if late.socket_full.hit(h) && state.is_writable(self.now) {
            self.fill_socket(node, within(hash([h]), 1, late.socket_delay));
        }
    }
}

/// Puts one copy of a datagram on its way, damaged where it has to be.
fn put(arena: &mut crate::sim::Arena, copy: &Copied, label: Label, datagram: &[u8]) -> u32 {
    let Some(damage) = copy.damage else { return arena.put(copy.at, label, datagram) };
    let mut damaged = datagram.to_vec();
    let len = corrupt(&mut damaged, damage);
    arena.put(copy.at, label, &damaged[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Drive, Options};
    use gossip_core::{Config, NodeId};

    /// Whether a drain that never ended was seen.
    #[derive(Default)]
    struct Endless(bool);

    impl Observer for Endless {
        fn observe(&mut self, step: &Step<'_>) {
            self.0 |= matches!(step.what, What::Endless);
        }
    }

    /// Drains a node, of which `endless` says what always has one more output: whether that was noticed.
    fn is_noticed(order: Order, endless: impl Fn(Stream) -> bool) -> bool {
        let options = Options { drive: Drive { order, ..Drive::prompt() }, ..Options::new(1, 1) };
        let mut simulation = Simulation::new(options, |_| Config::local(NodeId(1)), Endless::default());
        simulation.start(0, false);
        let drained =
            simulation.drain_by(0, |simulation, node, stream| endless(stream) || simulation.poll(node, stream));
        assert_ne!(drained, simulation.observer.0, "what does not end is not drained");
        simulation.observer.0
    }

    #[test]
    fn notices_a_stream_that_does_not_end_in_any_order() {
        for order in [Drive::prompt().order, Order::Shuffled] {
            for stream in [Stream::Datagrams, Stream::Events, Stream::Records] {
                assert!(is_noticed(order, |one| one == stream), "{stream:?}, {order:?}");
            }
            assert!(!is_noticed(order, |_| false), "{order:?}");
        }
    }
}
