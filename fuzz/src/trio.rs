//! Target `trio`: three honest nodes, and the fuzzer is the network.
//!
//! # Intuition
//!
//! Nobody lies here. But which datagram arrives next, which one comes twice, late or never, how much time passes in
//! between, and who starts again with nothing, all that the bytes decide. Whatever they chose, once the network
//! behaves the three must come together again: everything that a node accepted is delivered or told, all know the same
//! registers, and nobody holds a living node for dead.
//!
//! The bytes are a series of steps of two: what, and a detail. So any bytes are a run, and a small change of the bytes is
//! a small change of the run.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::time::Duration;

use gossip_core::{
    Answer, Config, Event, Gossip, Incarnation, Input, Instant, MessageId, NodeId, Order, PeerState, Scope,
};

use crate::laws::{Outputs, Promises, Watched};
use crate::pair::{Setup, address, id};

const NODES: usize = 3;
/// What the fuzzer can do to the network ends here: more steps find little more, and cost time.
const STEPS_MAX: usize = 400;
/// Datagrams on the way; of more, the oldest is lost.
const FLYING_MAX: usize = 128;
/// The time that the fuzzer may let pass in all: well within the horizon, after which messages may be forgotten.
const CHAOS_MAX: Duration = Duration::from_secs(100);
/// How long three nodes of the `embedded` pace may need on a good network: a contact is tried again each minute, and who has
/// missed a start needs a second round.
const HEAL_MAX: Duration = Duration::from_secs(180);
/// How often is looked whether they have come together.
const LOOK: Duration = Duration::from_secs(2);
/// Steps at one point in time on a network that takes no time.
const ROUNDS_MAX: usize = 200;

/// The body of the target.
///
/// # Panics
///
/// If a node breaks a law, or the nodes do not come together.
pub fn run(data: &[u8]) {
    let mut trio = Trio::linked();
    for &[what, detail] in data.as_chunks().0.iter().take(STEPS_MAX) {
        trio.step(what, detail);
    }
    let end = trio.now + HEAL_MAX;
    while trio.complaint().is_some() && trio.now < end {
        trio.work(LOOK);
    }
    assert_eq!(trio.complaint(), None, "{HEAL_MAX:?} after the network behaves again");
}

/// A datagram on its way.
#[derive(Clone, Debug)]
struct Flying {
    from: usize,
    to: usize,
    datagram: Vec<u8>,
}

/// A message that a node accepted, and in which life each node was then.
#[derive(Clone, Debug)]
struct Accepted {
    id: MessageId,
    origin: usize,
    lives: [u32; NODES],
}

/// Three nodes, and what is between them.
#[derive(Clone, Debug)]
struct Trio {
    now: Instant,
    nodes: [Watched; NODES],
    lives: [u32; NODES],
    flying: Vec<Flying>,
    accepted: Vec<Accepted>,
    /// What each node delivered in this life, and what it was told to be lost.
    delivered: [BTreeSet<MessageId>; NODES],
    told: [Vec<(NodeId, Incarnation, u64, u64)>; NODES],
    /// The time that the fuzzer may still let pass.
    left: Duration,
}

impl Trio {
    /// Three nodes that are linked with each other. Made once.
    fn linked() -> Self {
        thread_local!(static MADE: OnceCell<Trio> = const { OnceCell::new() });
        MADE.with(|made| {
            let link = || {
                let mut trio = Self {
                    now: Instant::ZERO,
                    nodes: std::array::from_fn(|index| born(index, 1, Instant::ZERO, Promises::default())),
                    lives: [1; NODES],
                    flying: Vec::new(),
                    accepted: Vec::new(),
                    delivered: Default::default(),
                    told: Default::default(),
                    left: CHAOS_MAX,
                };
                (0..NODES).for_each(|index| trio.join(index));
                trio.work(Duration::from_secs(10));
                trio
            };
            made.get_or_init(link).clone()
        })
    }

    /// One step of the fuzzer.
    fn step(&mut self, what: u8, detail: u8) {
        let chosen = usize::from(detail) % self.flying.len().max(1);
        let node = usize::from(detail) % NODES;
        match what % 10 {
            0..=2 if !self.flying.is_empty() => {
                let flying = self.flying.remove(chosen);
                self.arrive(flying);
            }
            3 if !self.flying.is_empty() => self.arrive(self.flying[chosen].clone()),
            4 if !self.flying.is_empty() => drop(self.flying.remove(chosen)),
            5 => std::mem::take(&mut self.flying).into_iter().for_each(|flying| self.arrive(flying)),
            6 => {
                let time = Duration::from_millis(20 * (u64::from(detail) + 1)).min(self.left);
                self.left -= time;
                self.wait(time);
            }
            7 => self.submit(node, detail),
            8 => self.write(node, detail),
            // Less often than the others, as it ends so much.
            9 if detail.is_multiple_of(16) => self.restart(node),
            _ => {}
        }
    }

    fn submit(&mut self, node: usize, detail: u8) {
        let order = if detail & 8 == 0 { Order::Fifo } else { Order::Unordered };
        // The longest in three chunks.
        let len = if detail >= 240 { 3 * self.gossip(node).datagram_payload_max() - 20 } else { detail.into() };
        let payload = vec![detail; len];
        let answer = self.input(node, Input::Submit { order, payload: &payload });
        if let Some(Answer::Submitted(id)) = answer {
            self.accepted.push(Accepted { id, origin: node, lives: self.lives });
        }
    }

    fn write(&mut self, node: usize, detail: u8) {
        let (scope, key) = (Scope::Own, if detail & 4 == 0 { "a" } else { "b" });
        if detail & 24 == 0 {
            self.input(node, Input::Remove { scope, key });
        } else {
            self.input(node, Input::Set { scope, key, value: &[detail; 5] });
        }
    }

    fn restart(&mut self, node: usize) {
        self.lives[node] += 1;
        let promises = self.nodes[node].promises().clone().inherited(false);
        self.nodes[node] = born(node, self.lives[node], self.now, promises);
        self.delivered[node].clear();
        self.told[node].clear();
        self.join(node);
    }

    /// The other two are the contacts of each.
    fn join(&mut self, node: usize) {
        for contact in (0..NODES).filter(|&other| other != node).map(address) {
            self.input(node, Input::Join { contact });
        }
    }

    fn arrive(&mut self, mut flying: Flying) {
        let from = address(flying.from);
        self.input(flying.to, Input::Packet { from, datagram: &mut flying.datagram });
    }

    /// Gives a node an input and takes its outputs. None where the input was refused.
    fn input(&mut self, node: usize, input: Input<'_>) -> Option<Answer> {
        let (answer, outputs) = self.nodes[node].input(self.now, input);
        self.take(node, outputs);
        answer.ok()
    }

    fn take(&mut self, node: usize, outputs: Outputs) {
        for (to, datagram) in outputs.datagrams {
            if let Some(to) = (0..NODES).find(|&other| address(other) == to) {
                self.flying.push(Flying { from: node, to, datagram });
            }
        }
        if self.flying.len() > FLYING_MAX {
            self.flying.drain(..self.flying.len() - FLYING_MAX);
        }
        for event in outputs.events {
            match event {
                Event::Deliver(delivery) => drop(self.delivered[node].insert(delivery.id)),
                Event::Gap { origin, incarnation, first, last } => {
                    self.told[node].push((origin, incarnation, first, last));
                }
                _ => {}
            }
        }
    }

    /// Time passes, and every node is ticked when it wants to be. Nothing arrives.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((next, node)) = self.next_tick().filter(|&(next, _)| next <= end) {
            self.now = self.now.max(next);
            if let Some((_, outputs)) = self.nodes[node].tick(self.now) {
                self.take(node, outputs);
            }
        }
        self.now = end;
    }

    fn next_tick(&self) -> Option<(Instant, usize)> {
        (0..NODES).filter_map(|node| Some((self.gossip(node).poll_timeout()?, node))).min()
    }

    /// Time passes on a network that loses nothing and takes no time.
    fn work(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mut rounds = 0;
            while !self.flying.is_empty() {
                std::mem::take(&mut self.flying).into_iter().for_each(|flying| self.arrive(flying));
                rounds += 1;
                assert!(rounds < ROUNDS_MAX, "the nodes answer each other without end at {}", self.now);
            }
            let Some((next, _)) = self.next_tick().filter(|&(next, _)| next <= end) else { break };
            self.wait(next.saturating_since(self.now));
        }
        self.now = end;
    }

    fn gossip(&self, node: usize) -> &Gossip {
        self.nodes[node].node()
    }

    /// What is not as it should be after enough time on a good network.
    fn complaint(&self) -> Option<String> {
        let missing = self.accepted.iter().find_map(|message| self.missing(message));
        missing.or_else(|| self.stranger()).or_else(|| self.disagreement())
    }

    /// A node that was up all the time, as its origin was, and neither delivered a message nor was told.
    fn missing(&self, message: &Accepted) -> Option<String> {
        let Accepted { id, origin, lives } = message;
        let lasted = |&node: &usize| lives[node] == self.lives[node];
        if !lasted(origin) {
            return None;
        }
        let knows = |node: usize| {
            let lost = |&(of, incarnation, first, last): &(NodeId, Incarnation, u64, u64)| {
                (of, incarnation) == (id.origin, id.incarnation) && (first..=last).contains(&id.seq)
            };
            self.delivered[node].contains(id) || self.told[node].iter().any(lost)
        };
        let node = (0..NODES).filter(lasted).find(|&node| !knows(node))?;
        Some(format!("node {} neither delivered {id} nor was told", node + 1))
    }

    /// A node that does not know another one, or holds it for dead.
    fn stranger(&self) -> Option<String> {
        let pairs = (0..NODES).flat_map(|node| (0..NODES).map(move |other| (node, other)));
        let mut pairs = pairs.filter(|(node, other)| node != other);
        pairs.find_map(|(node, other)| {
            let mut peers = self.gossip(node).peers();
            let peer = peers.find(|peer| peer.node == id(other));
            let alive = |state| matches!(state, PeerState::Linked | PeerState::Known);
            let current = self.gossip(other).incarnation();
            let is_well = peer.as_ref().is_some_and(|peer| alive(peer.state) && peer.incarnation == current);
            (!is_well).then(|| format!("node {} sees node {} as {peer:?}", node + 1, other + 1))
        })
    }

    /// Two nodes that know different registers of a living owner.
    fn disagreement(&self) -> Option<String> {
        let table = |node: usize| -> Vec<_> {
            let registers = self.gossip(node).registers("");
            let mut table: Vec<_> = registers.map(|one| (one.node, one.key, one.version, one.value)).collect();
            table.sort();
            table
        };
        let first = table(0);
        (1..NODES).find(|&node| table(node) != first).map(|node| {
            format!("node 1 knows the registers {first:?}, node {} the registers {:?}", node + 1, table(node))
        })
    }
}

fn born(index: usize, life: u32, now: Instant, promises: Promises) -> Watched {
    let mut config: Config = Setup { flood: true, ..Setup::default() }.config(index, life, now);
    // Room for every life and every register, removed ones too, that a run can hold: what does not fit may be refused.
    config.limits.peers = 8;
    config.limits.origins = 64;
    config.limits.registers = 64;
    config.limits.register_bytes = 4_096;
    let mut seed = [index as u8 + 1; 32];
    seed[..4].copy_from_slice(&life.to_le_bytes());
    Watched::new(Gossip::new(config, seed, now).expect("the set-up is valid"), now, promises)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_that_are_left_alone_agree() {
        run(&[]);
    }

    #[test]
    fn whoever_gets_nothing_is_missed() {
        let mut trio = Trio::linked();
        assert_eq!(trio.complaint(), None);
        trio.step(7, 0);
        let complaint = trio.complaint().expect("the others cannot know yet");
        assert!(complaint.contains("neither delivered"), "{complaint}");
        trio.work(Duration::from_secs(5));
        assert_eq!(trio.complaint(), None);
        trio.step(8, 9);
        assert!(trio.complaint().is_some_and(|text| text.contains("registers")));
        trio.work(Duration::from_secs(5));
        trio.step(9, 0);
        assert!(trio.complaint().is_some_and(|text| text.contains("sees node")));
    }

    #[test]
    fn a_lost_message_is_fetched_once_the_network_behaves() {
        // Node 1 submits, everything on the way is dropped for five seconds.
        let mut bytes = vec![7, 0];
        for _ in 0..20 {
            bytes.extend([6, 12]);
            bytes.extend([4, 0].repeat(8));
        }
        run(&bytes);
    }
}
