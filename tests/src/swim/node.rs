//! One node: probing. What it believes of others is in [`verdicts`](super::verdicts).

use super::news::{News, Outgoing, State};
use super::verdicts::Member;
use super::{Config, Lifeguard};
use crate::sim::rng::Rng;

/// The bytes of a message before its news: a kind, a sequence number, a member.
const MESSAGE_BYTES: usize = 13;
/// The room for news in one datagram, as memberlist's packets of 1,400 bytes leave it after our header.
const NEWS_ROOM: usize = 1_300;
/// Relayed answers that a helper remembers, to know which of its pings were not answered.
const RELAYED_MAX: usize = 64;

/// Whose probe, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Who wants to know.
    pub origin: u32,
    /// The number of its probe.
    pub number: u32,
}

/// What nodes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// "Answer me."
    Ping(Probe),
    /// The answer, to the origin of the probe or to the helper that relays it.
    Ack(Probe),
    /// "Ping this member for me."
    Help(Probe, u32),
    /// "It did not answer me either" (Lifeguard).
    Nack(Probe),
    /// News and nothing else.
    Gossip,
}

impl Message {
    /// What a message with so many news takes in a datagram, without any header.
    #[must_use]
    pub const fn bytes(news: usize) -> usize {
        MESSAGE_BYTES + news * News::BYTES
    }
}

/// What a node wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The next probe.
    Probe,
    /// The probe of this number has waited long enough for a direct answer.
    Timeout(u32),
    /// News are sent by themselves.
    Gossip,
    /// A suspicion of a member, begun at this count of its changes, runs out.
    Suspicion(u32, u32),
    /// A helper tells that it got no answer either.
    Nack(Probe),
}

/// What comes out of a node.
#[derive(Clone, Debug)]
pub enum Output {
    /// A message for a member.
    Send(u32, Message, Vec<News>),
    /// A timer that is due at a time.
    Wake(u64, Timer),
    /// What the node now believes of a member.
    Verdict(u32, State),
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) me: u32,
    pub(super) config: Config,
    pub(super) incarnation: u32,
    pub(super) members: Vec<Member>,
    pub(super) outgoing: Outgoing,
    /// Lifeguard's measure of how late this node itself may be: 0 is healthy.
    health: u32,
    rng: Rng,
    /// The order in which members are probed, and how far this round has got.
    round: Vec<u32>,
    next: usize,
    current: Current,
    relayed: Vec<Probe>,
}

/// The probe under way.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    number: u32,
    target: Option<u32>,
    answered: bool,
    helpers: u32,
    nacks: u32,
}

impl Node {
    /// Node `me` of `nodes`, which all know each other. The first timers are due within a period.
    #[must_use]
    pub fn new(me: u32, nodes: u32, config: Config, seed: u64, out: &mut Vec<Output>) -> Self {
        let mut rng = Rng::new(seed, u64::from(me) << 8 | 0x5e);
        out.push(Output::Wake(rng.below(config.period), Timer::Probe));
        out.push(Output::Wake(rng.below(config.gossip_period), Timer::Gossip));
        Self {
            me,
            config,
            incarnation: 1,
            members: vec![Member::NEW; nodes as usize],
            outgoing: Outgoing::new(&config, nodes as usize),
            health: 0,
            rng,
            round: (0..nodes).filter(|&member| member != me).collect(),
            next: usize::MAX,
            current: Current::default(),
            relayed: Vec::new(),
        }
    }

    /// How many members it lists, itself included.
    #[must_use]
    pub fn listed(&self) -> u32 {
        self.members.iter().filter(|member| member.state != State::Dead).count() as u32
    }

    /// A message with news arrives.
    pub fn on_message(&mut self, now: u64, from: u32, message: Message, news: &[News], out: &mut Vec<Output>) {
        for &news in news {
            self.learn(now, news, out);
        }
        match message {
            Message::Ping(probe) => self.send(from, Message::Ack(probe), None, out),
            Message::Ack(probe) if probe.origin == self.me => {
                self.current.answered |= probe.number == self.current.number;
            }
            Message::Ack(probe) => {
                if self.relayed.len() == RELAYED_MAX {
                    self.relayed.remove(0);
                }
                self.relayed.push(probe);
                self.send(probe.origin, Message::Ack(probe), None, out);
            }
            Message::Help(probe, target) => {
                self.send(target, Message::Ping(probe), None, out);
                if self.config.lifeguard.is_some() {
                    out.push(Output::Wake(now + self.config.timeout * 4 / 5, Timer::Nack(probe)));
                }
            }
            Message::Nack(probe) => self.current.nacks += u32::from(probe.number == self.current.number),
            Message::Gossip => {}
        }
    }

    /// A timer is due.
    pub fn on_timer(&mut self, now: u64, timer: Timer, out: &mut Vec<Output>) {
        match timer {
            Timer::Probe => {
                self.judge_probe(now, out);
                let stretch = u64::from(self.health) + 1;
                out.push(Output::Wake(now + self.config.period * stretch, Timer::Probe));
                self.start_probe(now + self.config.timeout * stretch, out);
            }
            Timer::Timeout(number) => self.ask_for_help(number, out),
            Timer::Gossip => {
                out.push(Output::Wake(now + self.config.gossip_period, Timer::Gossip));
                for _ in 0..self.config.gossip_fanout {
                    if self.outgoing.is_empty() {
                        break;
                    }
                    if let Some(member) = self.draw(|member| member.state != State::Dead) {
                        self.send(member, Message::Gossip, None, out);
                    }
                }
            }
            Timer::Suspicion(member, change) => self.condemn(member, change, out),
            Timer::Nack(probe) => {
                if !self.relayed.contains(&probe) {
                    self.send(probe.origin, Message::Nack(probe), None, out);
                }
            }
        }
    }

    fn start_probe(&mut self, timeout: u64, out: &mut Vec<Output>) {
        let number = self.current.number + 1;
        let target = self.next_in_round();
        self.current = Current { number, target, ..Current::default() };
        let Some(target) = target else { return };
        // Lifeguard's "buddy system": who is suspected learns it from the next ping, and can deny.
        let member = &self.members[target as usize];
        let tell = self.config.lifeguard.is_some() && member.state == State::Suspect;
        let news = News { member: target, state: State::Suspect, incarnation: member.incarnation, from: self.me };
        self.send(target, Message::Ping(Probe { origin: self.me, number }), tell.then_some(news), out);
        out.push(Output::Wake(timeout, Timer::Timeout(number)));
    }

    /// Round robin in an order that is drawn anew for each round: the longest time until a member is probed is two rounds.
    fn next_in_round(&mut self) -> Option<u32> {
        for _ in 0..2 * self.round.len() {
            if self.next >= self.round.len() {
                for i in (1..self.round.len()).rev() {
                    self.round.swap(i, self.rng.below(i as u64 + 1) as usize);
                }
                self.next = 0;
            }
            let member = self.round[self.next];
            self.next += 1;
            if self.members[member as usize].state != State::Dead {
                return Some(member);
            }
        }
        None
    }

    fn ask_for_help(&mut self, number: u32, out: &mut Vec<Output>) {
        let Current { target: Some(target), answered: false, number: current, .. } = self.current else { return };
        if number != current {
            return;
        }
        let mut helpers = Vec::new();
        for _ in 0..self.config.helpers {
            let asked = self.draw(|member| member.state == State::Alive);
            helpers.extend(asked.filter(|helper| *helper != target && !helpers.contains(helper)));
        }
        self.current.helpers = helpers.len() as u32;
        for helper in helpers {
            self.send(helper, Message::Help(Probe { origin: self.me, number }, target), None, out);
        }
    }

    /// The period of a probe is over.
    fn judge_probe(&mut self, now: u64, out: &mut Vec<Output>) {
        let Current { target: Some(target), answered, helpers, nacks, .. } = self.current else { return };
        if answered {
            self.health = self.health.saturating_sub(1);
            return;
        }
        self.sicken(if helpers > 0 { helpers.saturating_sub(nacks) } else { 1 });
        let incarnation = self.members[target as usize].incarnation;
        self.learn(now, News { member: target, state: State::Suspect, incarnation, from: self.me }, out);
    }

    /// This node may itself be the late one (Lifeguard).
    pub(super) fn sicken(&mut self, by: u32) {
        if let Some(Lifeguard { health_max, .. }) = self.config.lifeguard {
            self.health = (self.health + by).min(health_max);
        }
    }

    /// A random other member that fits, if one is found soon.
    fn draw(&mut self, fits: impl Fn(&Member) -> bool) -> Option<u32> {
        (0..16).find_map(|_| {
            let member = self.rng.below(self.members.len() as u64) as u32;
            (member != self.me && fits(&self.members[member as usize])).then_some(member)
        })
    }

    fn send(&mut self, to: u32, message: Message, first: Option<News>, out: &mut Vec<Output>) {
        let mut news: Vec<News> = first.into_iter().collect();
        news.extend(self.outgoing.take(NEWS_ROOM));
        out.push(Output::Send(to, message, news));
    }
}
