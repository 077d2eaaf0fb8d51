//! A node under watch: the laws that hold after every single input, whatever came before.
//!
//! # Intuition
//!
//! The core is a value that can be cloned, so a law about "what would have happened" is checked by letting a clone live
//! it: drain a clone in another order, tick a clone too early, give a clone the same datagram twice. Where the clone does
//! anything else than the law says, the input at hand is the proof.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::auth::Opened;
use gossip_core::wire::{Frame, Frames, HEADER_LEN, Header};
use gossip_core::{
    Answer, Delivery, Event, Gossip, Incarnation, Input, InputError, Instant, MessageId, NodeId, Order, Reason, Record,
    Security, SubmitError,
};

use crate::trace;

/// No input makes a node with the tables of [`crate::inputs`] put out more than this; a node that does so will not stop.
const OUTPUTS_MAX: usize = 10_000;

/// What a node put out after one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// To whom, and what.
    pub datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// What the application is told.
    pub events: Vec<Event>,
    /// What is to be made durable.
    pub records: Vec<Record>,
}

/// A node, and what it has promised so far.
#[derive(Clone, Debug)]
pub struct Watched {
    gossip: Gossip,
    /// The latest time that the node was told.
    now: Instant,
    promises: Promises,
}

impl Watched {
    /// Watches a node from the beginning of its life, or of a later one with what it promised in the earlier ones.
    pub fn new(gossip: Gossip, now: Instant, promises: Promises) -> Self {
        Self { gossip, now, promises }
    }

    /// The node.
    pub fn node(&self) -> &Gossip {
        &self.gossip
    }

    /// What the node has promised.
    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// Gives the node an input, takes everything that it puts out, and checks the laws.
    ///
    /// # Panics
    ///
    /// If a law is broken.
    pub fn input(&mut self, now: Instant, mut input: Input<'_>) -> (Result<Answer, InputError>, Outputs) {
        trace::input(&self.gossip, now, &input);
        self.now = self.now.max(now);
        let packet = match &input {
            Input::Packet { from, datagram } => Some((*from, datagram.to_vec())),
            _ => None,
        };
        let answer = self.gossip.handle(now, reborrow(&mut input));
        self.promises.note_answer(&self.gossip, &input, &answer);
        self.gossip.check_invariants();
        let outputs = self.drain(now);
        self.gossip.check_invariants();
        trace::outputs(&outputs);
        self.check_deadline();
        if let Some((from, datagram)) = packet {
            self.check_repetition(from, &datagram);
        }
        self.check_views();
        (answer, outputs)
    }

    /// The next tick that the node wants, if it wants one until `end`.
    ///
    /// # Panics
    ///
    /// If a law is broken.
    pub fn tick(&mut self, end: Instant) -> Option<(Instant, Outputs)> {
        let at = self.gossip.poll_timeout().filter(|&at| at <= end)?.max(self.now);
        let (_, outputs) = self.input(at, Input::Tick);
        self.check_rest(at);
        Some((at, outputs))
    }

    /// No spin: after the tick at `at` and a full drain the next one is later.
    fn check_rest(&self, at: Instant) {
        let reason = self.gossip.timeout_reason();
        let next = self.gossip.poll_timeout();
        assert!(
            next.is_none_or(|next| next > at),
            "no spin: after the tick at {at}, {next:?} is wanted for {reason:?}"
        );
    }

    /// Takes all outputs.
    fn drain(&mut self, now: Instant) -> Outputs {
        let clone = self.gossip.clone();
        self.drain_beside(clone, now)
    }

    /// Takes all outputs. The clone, which is drained in the opposite order, must put out the same.
    fn drain_beside(&mut self, mut other: Gossip, now: Instant) -> Outputs {
        let mut outputs = Outputs::default();
        records(&mut self.gossip, &mut outputs);
        events(&mut self.gossip, &mut outputs);
        datagrams(&mut self.gossip, now, &mut outputs);
        let mut reversed = Outputs::default();
        datagrams(&mut other, now, &mut reversed);
        events(&mut other, &mut reversed);
        records(&mut other, &mut reversed);
        assert_eq!(outputs, reversed, "the order of draining changes what comes out");
        assert_eq!(self.gossip.poll_timeout(), other.poll_timeout(), "the order of draining changes the deadline");

        let me = (self.gossip.id(), self.gossip.incarnation());
        for (_, datagram) in &outputs.datagrams {
            check_datagram(me, self.gossip.config(), datagram);
        }
        for event in &outputs.events {
            self.promises.note_event(&self.gossip, self.now, event);
        }
        outputs
    }

    /// No lost deadline: a tick before the deadline finds nothing to do, and without a deadline there never is anything.
    fn check_deadline(&self) {
        let deadline = self.gossip.poll_timeout();
        assert_eq!(deadline.is_some(), self.gossip.timeout_reason().is_some(), "every deadline has a reason");
        let early = deadline
            .map_or(self.now + Duration::from_secs(3_600), |at| Instant::from_micros(at.as_micros().saturating_sub(1)));
        if early <= self.now {
            return;
        }
        let mut clone = self.gossip.clone();
        clone.handle_timeout(early);
        assert_eq!(drained(&mut clone, early), Outputs::default(), "acts at {early}, but wants a tick at {deadline:?}");
        assert_eq!(clone.poll_timeout(), deadline, "an early tick moves the deadline");
    }

    /// A datagram that comes twice changes nothing the second time; from a stranger it causes at most one answer, which is
    /// not longer than itself.
    fn check_repetition(&self, from: SocketAddr, datagram: &[u8]) {
        let mut clone = self.gossip.clone();
        clone.handle_packet(self.now, from, &mut datagram.to_vec());
        let outputs = drained(&mut clone, self.now);
        assert!(outputs.events.is_empty() && outputs.records.is_empty(), "a repeated datagram causes {outputs:?}");
        let answers: Vec<_> = outputs.datagrams.iter().map(|(to, bytes)| (to, summary(bytes))).collect();
        let question = summary(datagram);
        assert!(answers.len() <= 1, "a repeated datagram ({question}, from {from}) causes {answers:?}");
        for (to, answer) in &outputs.datagrams {
            assert_eq!(*to, from, "a repeated datagram ({question}) is answered to somebody else");
            assert!(answer.len() <= datagram.len(), "a repeated datagram ({question}, from {from}) causes {answers:?}");
        }
        let (again, once) = (&clone, &self.gossip);
        // An answer takes from the budget, and what waits for that waits longer.
        let paced = !answers.is_empty() && [again, once].map(Gossip::timeout_reason).contains(&Some(Reason::Pace));
        let (after, before) = (again.poll_timeout(), once.poll_timeout());
        assert!(after == before || paced && after > before, "a repeated datagram ({question}) moves the deadline");
        assert!(again.messages().eq(once.messages()), "a repeated datagram ({question}) changes the messages");
        assert!(again.peers().eq(once.peers()), "a repeated datagram ({question}) changes the peers");
        assert!(again.registers("").eq(once.registers("")), "a repeated datagram ({question}) changes the registers");
    }

    fn check_views(&self) {
        let limits = self.gossip.config().limits;
        assert!(self.gossip.messages().count() <= limits.messages as usize, "more messages than the limit");
        assert!(self.gossip.messages().all(|message| self.gossip.get(message.id) == Some(message)));
        assert!(self.gossip.peers().count() < limits.peers as usize, "more peers than the limit, this node included");
        assert!(self.gossip.contacts().count() <= usize::from(limits.contacts), "more contacts than the limit");
        let registers: Vec<_> = self.gossip.registers("").collect();
        assert!(registers.len() <= limits.registers as usize, "more registers than the limit");
        assert!(registers.iter().all(|one| self.gossip.register(one.node, &one.key).as_ref() == Some(one)));
    }
}

/// What a node told its application, and must not contradict.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    submitted: BTreeMap<MessageId, Vec<u8>>,
    /// When each was submitted, as far as its age tells.
    delivered: BTreeMap<MessageId, Instant>,
    fifo: BTreeMap<(NodeId, Incarnation), u64>,
    /// What was told as lost, and when.
    gaps: Vec<(NodeId, Incarnation, u64, u64, Instant)>,
}

impl Promises {
    /// What still binds a later life. `at_most_once_ever`: the node has storage, and does not deliver again on purpose.
    #[must_use]
    pub fn inherited(self, at_most_once_ever: bool) -> Self {
        Self { delivered: if at_most_once_ever { self.delivered } else { BTreeMap::new() }, ..Self::default() }
    }

    fn note_answer(&mut self, gossip: &Gossip, input: &Input<'_>, answer: &Result<Answer, InputError>) {
        let Input::Submit { payload, .. } = input else { return };
        match *answer {
            Ok(Answer::Submitted(id)) => {
                assert_eq!((id.origin, id.incarnation), (gossip.id(), gossip.incarnation()));
                assert!(payload.len() <= gossip.payload_max(), "accepted what is too large");
                assert!(gossip.get(id).is_some(), "{id} was accepted but is not stored");
                assert!(self.submitted.insert(id, payload.to_vec()).is_none(), "{id} was given twice");
            }
            Err(InputError::Submit(SubmitError::TooLarge { max, limit })) => {
                assert_eq!(max, gossip.payload_max());
                assert!(limit.starts_with("limits."), "{limit} is no field of the configuration");
                assert!(payload.len() > max, "refused {} bytes as larger than {max}", payload.len());
            }
            _ => assert!(answer.is_err(), "submit answered {answer:?}"),
        }
    }

    fn note_event(&mut self, gossip: &Gossip, now: Instant, event: &Event) {
        match event {
            Event::Deliver(delivery) => self.note_delivery(gossip, now, delivery),
            Event::Gap { origin, incarnation, first, last } => {
                assert!(first <= last, "an empty gap");
                // What was submitted longer ago than the horizon may be forgotten, and the node cannot know better.
                let horizon = gossip.config().timing.horizon;
                let told = self.delivered.iter().find(|&(id, born)| {
                    let inside =
                        (id.origin, id.incarnation) == (*origin, *incarnation) && (*first..=*last).contains(&id.seq);
                    inside && *born + horizon > now
                });
                assert_eq!(told, None, "delivered, and then declared lost to node {}: {event:?}", gossip.id());
                self.gaps.push((*origin, *incarnation, *first, *last, now));
            }
            _ => {}
        }
    }

    fn note_delivery(&mut self, gossip: &Gossip, now: Instant, delivery: &Delivery) {
        let id = delivery.id;
        // It may have waited here for others, or for its record.
        let accepted = gossip.get(id).map_or(now, |message| message.accepted_at);
        let born = Instant::from_micros(accepted.as_micros().saturating_sub(delivery.age.as_micros() as u64));
        assert_eq!(self.delivered.insert(id, born), None, "at most once: {id} is delivered again");
        // A told loss binds for the horizon, whatever else is forgotten of the origin.
        let horizon = gossip.config().timing.horizon;
        let lost = |&(origin, incarnation, first, last, told): &(_, _, u64, u64, Instant)| {
            (origin, incarnation) == (id.origin, id.incarnation)
                && (first..=last).contains(&id.seq)
                && told + horizon > now
        };
        assert!(!self.gaps.iter().any(lost), "{id} was declared lost, and is delivered");
        if delivery.order == Order::Fifo {
            let last = self.fifo.entry((id.origin, id.incarnation)).or_default();
            assert!(*last < id.seq, "fifo: {id} is delivered after number {last}");
            *last = id.seq;
        }
        if (id.origin, id.incarnation) == (gossip.id(), gossip.incarnation()) {
            let payload = self.submitted.get(&id).expect("integrity: an own message was submitted");
            assert_eq!(delivery.payload, payload[..], "integrity: {id} changed");
        }
    }
}

/// Everything that a node puts out, in no particular order.
pub fn drained(gossip: &mut Gossip, now: Instant) -> Outputs {
    let mut outputs = Outputs::default();
    records(gossip, &mut outputs);
    events(gossip, &mut outputs);
    datagrams(gossip, now, &mut outputs);
    outputs
}

fn records(gossip: &mut Gossip, outputs: &mut Outputs) {
    outputs.records.extend(all("records", || gossip.poll_persist()));
}

fn events(gossip: &mut Gossip, outputs: &mut Outputs) {
    outputs.events.extend(all("events", || gossip.poll_event()));
}

fn datagrams(gossip: &mut Gossip, now: Instant, outputs: &mut Outputs) {
    // Room for several datagrams of the pair's MTU, so that batches are made as well.
    let mut buffer = [0; 3 * 1_200];
    let batches = all("datagrams", || {
        let transmit = gossip.poll_transmit(now, &mut buffer)?;
        let segment = transmit.segment_size.unwrap_or(transmit.len);
        assert!(transmit.len > 0 && segment > 0, "an empty datagram");
        Some(buffer[..transmit.len].chunks(segment).map(|bytes| (transmit.to, bytes.to_vec())).collect::<Vec<_>>())
    });
    outputs.datagrams.extend(batches.into_iter().flatten());
}

/// All that `poll` gives until there is none.
fn all<T>(what: &str, poll: impl FnMut() -> Option<T>) -> Vec<T> {
    let outputs: Vec<T> = std::iter::from_fn(poll).take(OUTPUTS_MAX).collect();
    assert!(outputs.len() < OUTPUTS_MAX, "{what} without end");
    outputs
}

/// Every datagram is at most the MTU, names its sender, and in plain mode can be read: all its frames parse.
fn check_datagram((id, incarnation): (NodeId, Incarnation), config: &gossip_core::Config, datagram: &[u8]) {
    assert!(datagram.len() <= usize::from(config.mtu), "{} bytes, above the MTU of {}", datagram.len(), config.mtu);
    let header = Header::parse(datagram).expect("an output has a header");
    assert_eq!((header.sender, header.incarnation), (id, incarnation), "sends in another's name");
    if config.security == Security::Plain {
        for frame in Frames::new(Opened::forged(&datagram[HEADER_LEN..])) {
            let (kind, body) = frame.expect("an output's frames have their length");
            let parsed = Frame::parse(kind, body);
            assert!(parsed.is_ok(), "an output's frame of {kind:?} does not parse: {parsed:?} {body:?}");
        }
    }
}

/// For messages: the length of a datagram and, where they can be read, its kinds of frames.
fn summary(datagram: &[u8]) -> String {
    let body = datagram.get(HEADER_LEN..).unwrap_or_default();
    let kinds: Vec<_> = Frames::new(Opened::forged(body)).flatten().map(|(kind, _)| kind).collect();
    format!("{} bytes, {kinds:x?}", datagram.len())
}

/// The same input for a callee, so that the caller can look at it afterwards.
fn reborrow<'a>(input: &'a mut Input<'_>) -> Input<'a> {
    match input {
        Input::Acknowledge { id } => Input::Acknowledge { id: *id },
        Input::Forget { contact } => Input::Forget { contact: *contact },
        Input::Join { contact } => Input::Join { contact: *contact },
        Input::Leave => Input::Leave,
        Input::Packet { from, datagram } => Input::Packet { from: *from, datagram },
        Input::Persisted { upto } => Input::Persisted { upto: *upto },
        Input::Remove { scope, key } => Input::Remove { scope: *scope, key },
        Input::Set { scope, key, value } => Input::Set { scope: *scope, key, value },
        Input::Submit { order, payload } => Input::Submit { order: *order, payload },
        Input::Tick => Input::Tick,
        Input::TooLong { to, len } => Input::TooLong { to: *to, len: *len },
        other => unreachable!("an input that the fuzzer does not know: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::{FRIEND, NODE, Pair, Setup, address};

    const SUBMIT: Input<'_> = Input::Submit { order: Order::Fifo, payload: b"text" };

    /// A node without company, and the delivery of its own message.
    fn delivered() -> (Watched, Event) {
        let gossip = Gossip::new(Setup::default().config(NODE, 1, Instant::ZERO), [1; 32], Instant::ZERO)
            .expect("the set-up is valid");
        let mut node = Watched::new(gossip, Instant::ZERO, Promises::default());
        let (_, mut outputs) = node.input(Instant::ZERO, SUBMIT);
        (node, outputs.events.pop().expect("an own message is delivered"))
    }

    #[test]
    #[should_panic(expected = "at most once")]
    fn a_second_delivery_is_noticed() {
        let (mut node, delivery) = delivered();
        node.promises.note_event(&node.gossip, Instant::ZERO, &delivery);
    }

    #[test]
    #[should_panic(expected = "was declared lost, and is delivered")]
    fn a_delivery_out_of_a_gap_is_noticed() {
        let (Watched { gossip, .. }, delivery) = delivered();
        let mut promises = Promises::default();
        let (origin, incarnation) = (gossip.id(), gossip.incarnation());
        promises.note_event(&gossip, Instant::ZERO, &Event::Gap { origin, incarnation, first: 1, last: 3 });
        promises.note_event(&gossip, Instant::ZERO, &delivery);
    }

    #[test]
    #[should_panic(expected = "delivered, and then declared lost")]
    fn a_gap_over_a_delivery_is_noticed() {
        let (mut node, _) = delivered();
        let (origin, incarnation) = (node.gossip.id(), node.gossip.incarnation());
        node.promises.note_event(&node.gossip, Instant::ZERO, &Event::Gap { origin, incarnation, first: 1, last: 3 });
    }

    #[test]
    #[should_panic(expected = "integrity")]
    fn an_invented_message_is_noticed() {
        let (Watched { gossip, .. }, delivery) = delivered();
        Promises::default().note_event(&gossip, Instant::ZERO, &delivery);
    }

    #[test]
    #[should_panic(expected = "fifo")]
    fn a_delivery_out_of_order_is_noticed() {
        let (mut node, delivery) = delivered();
        node.promises.delivered.clear();
        node.promises.note_event(&node.gossip, Instant::ZERO, &delivery);
    }

    #[test]
    #[should_panic(expected = "but wants a tick at")]
    fn an_output_before_the_deadline_is_noticed() {
        let (mut node, _) = delivered();
        node.gossip.submit(Instant::ZERO, Order::Fifo, b"not drained").expect("there is room");
        node.now = Instant::ZERO;
        node.check_deadline();
    }

    #[test]
    #[should_panic(expected = "no spin")]
    fn a_node_that_still_wants_the_same_tick_is_noticed() {
        let (node, _) = delivered();
        let due = node.gossip.poll_timeout().expect("a node wants to age its messages");
        node.check_rest(due);
    }

    /// A node after the input, and a node like it with one thing more to say: as if that got lost where records are drained
    /// first.
    fn differing(input: Input<'_>) {
        let (mut node, _) = delivered();
        let mut other = node.gossip.clone();
        let _ = other.handle(Instant::ZERO, input);
        node.drain_beside(other, Instant::ZERO);
    }

    #[test]
    #[should_panic(expected = "the order of draining changes what comes out")]
    fn an_output_that_depends_on_the_order_of_draining_is_noticed() {
        differing(SUBMIT);
    }

    #[test]
    #[should_panic(expected = "the order of draining changes the deadline")]
    fn a_deadline_that_depends_on_the_order_of_draining_is_noticed() {
        let (mut node, _) = delivered();
        let mut other = node.gossip.clone();
        let due = other.poll_timeout().expect("a node wants to age its messages");
        other.handle_timeout(due);
        assert_eq!(drained(&mut other.clone(), due), Outputs::default(), "nothing else may differ");
        node.drain_beside(other, Instant::ZERO);
    }

    #[test]
    #[should_panic(expected = "events without end")]
    fn a_drain_that_does_not_end_is_noticed() {
        all("events", || Some(Event::Left));
    }

    #[test]
    #[should_panic(expected = "a repeated datagram")]
    fn a_datagram_with_an_effect_is_noticed() {
        let mut pair = Pair::linked(Setup::default());
        pair.input(FRIEND, SUBMIT).expect("there is room");
        pair.wait(Duration::from_millis(500));
        let node = Watched::new(pair.node(NODE).clone(), pair.now, Promises::default());
        for fresh in &pair.flying[NODE] {
            node.check_repetition(address(FRIEND), fresh);
        }
    }

    #[test]
    #[should_panic(expected = "above the MTU")]
    fn a_long_datagram_is_noticed() {
        let (node, _) = delivered();
        let me = (node.gossip.id(), node.gossip.incarnation());
        check_datagram(me, node.gossip.config(), &[0; 1_201]);
    }

    /// The pair is what the targets believe it to be: linked, with rows in its tables.
    #[test]
    fn a_linked_pair_has_something_to_lose() {
        for fixed in [false, true] {
            let pair = Pair::linked(Setup { fixed, ..Setup::default() });
            for index in [NODE, FRIEND] {
                let node = pair.node(index);
                assert_eq!(node.peers().filter(|peer| peer.state == gossip_core::PeerState::Linked).count(), 1);
                assert_eq!(node.messages().count(), 2);
                assert_eq!(node.registers("k").count(), 2);
            }
        }
    }
}
