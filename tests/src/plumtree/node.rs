//! One node.

use std::collections::{HashMap, VecDeque};

use gossip_core::wire::FRAME_HEAD_LEN;

use super::Config;

/// Which message: a number that the cluster gives.
pub type Id = u32;

/// The bytes of an id on the wire, as large as ours: origin, incarnation, sequence number.
const ID_BYTES: usize = 24;
/// The bytes of a round.
const ROUND_BYTES: usize = 2;

/// What nodes say to each other. A round is the number of links that the payload has crossed when it is received; that of an
/// announcement and of what answers it the number that it would then have crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message with its payload.
    Gossip(Id, u16),
    /// "I have this one."
    IHave(Id, u16),
    /// "Send me messages from now on", and this one, where one is lacking.
    Graft(Option<(Id, u16)>),
    /// "Send me announcements from now on."
    Prune,
}

impl Message {
    /// What it takes in a datagram whose payload has so many bytes, without any header.
    #[must_use]
    pub const fn bytes(self, payload: usize) -> usize {
        FRAME_HEAD_LEN
            + match self {
                Self::Gossip(..) => ID_BYTES + ROUND_BYTES + payload,
                Self::IHave(..) | Self::Graft(Some(_)) => ID_BYTES + ROUND_BYTES,
                Self::Graft(None) | Self::Prune => 0,
            }
    }
}

/// What comes out of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A message for a neighbor.
    Send(u32, Message),
    /// A message is delivered; the round is 0 at its sender.
    Deliver(Id, u16),
    /// [`Node::on_timer`] for this message is due at a time.
    Wake(u64, Id),
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    config: Config,
    links: Vec<Link>,
    /// In which round each message was received. Nothing is ever forgotten.
    received: HashMap<Id, u16>,
    /// Who announced what has not been received, in the order of the announcements. There is a timer for each of these.
    missing: HashMap<Id, VecDeque<(u32, u16)>>,
}

/// A neighbor: of the paper's `eagerPushPeers` or its `lazyPushPeers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    peer: u32,
    eager: bool,
}

impl Node {
    /// A node that pushes to all its neighbors at first.
    #[must_use]
    pub fn new(config: Config, neighbors: &[u32]) -> Self {
        let links = neighbors.iter().map(|&peer| Link { peer, eager: true }).collect();
        Self { config, links, received: HashMap::new(), missing: HashMap::new() }
    }

    /// The neighbors that get payloads.
    pub fn eager(&self) -> impl Iterator<Item = u32> + '_ {
        self.links.iter().filter(|link| link.eager).map(|link| link.peer)
    }

    /// A message of its own.
    pub fn broadcast(&mut self, id: Id, out: &mut Vec<Output>) {
        self.receive(id, 0, None, out);
    }

    /// A message arrives from a neighbor.
    pub fn on_message(&mut self, now: u64, from: u32, message: Message, out: &mut Vec<Output>) {
        match message {
            Message::Gossip(id, _) if self.received.contains_key(&id) => {
                self.set_eager(from, false);
                out.push(Output::Send(from, Message::Prune));
            }
            Message::Gossip(id, round) => {
                let announcers = self.missing.remove(&id).unwrap_or_default();
                self.set_eager(from, true);
                self.receive(id, round, Some(from), out);
                self.optimize(round, from, announcers, out);
            }
            Message::IHave(id, round) => {
                if !self.received.contains_key(&id) {
                    let announcers = self.missing.entry(id).or_insert_with(|| {
                        out.push(Output::Wake(now + self.config.first_timeout, id));
                        VecDeque::new()
                    });
                    announcers.push_back((from, round));
                }
            }
            Message::Graft(wanted) => {
                self.set_eager(from, true);
                let had = wanted.and_then(|(id, _)| Some((id, *self.received.get(&id)?)));
                out.extend(had.map(|(id, round)| Output::Send(from, Message::Gossip(id, round + 1))));
            }
            Message::Prune => self.set_eager(from, false),
        }
    }

    /// A message is still missing: the next one who announced it is asked, until nobody is left.
    pub fn on_timer(&mut self, now: u64, id: Id, out: &mut Vec<Output>) {
        let Some(announcers) = self.missing.get_mut(&id) else { return };
        let Some((peer, round)) = announcers.pop_front() else {
            self.missing.remove(&id);
            return;
        };
        out.push(Output::Wake(now + self.config.next_timeout, id));
        self.set_eager(peer, true);
        out.push(Output::Send(peer, Message::Graft(Some((id, round)))));
    }

    /// Delivers a message and passes it on: the payload to some neighbors, its announcement to the others.
    fn receive(&mut self, id: Id, round: u16, from: Option<u32>, out: &mut Vec<Output>) {
        self.received.insert(id, round);
        out.push(Output::Deliver(id, round));
        for link in self.links.iter().filter(|link| Some(link.peer) != from) {
            let message = if link.eager { Message::Gossip(id, round + 1) } else { Message::IHave(id, round + 1) };
            out.push(Output::Send(link.peer, message));
        }
    }

    /// Takes the shortest announced way into the tree instead of the way that the payload came, where it is so much shorter
    /// (the paper's optimization).
    fn optimize(&mut self, round: u16, from: u32, announcers: VecDeque<(u32, u16)>, out: &mut Vec<Output>) {
        let Some(threshold) = self.config.threshold else { return };
        let shortest = announcers.into_iter().min_by_key(|&(_, announced)| announced);
        if let Some((peer, _)) = shortest.filter(|&(_, announced)| announced + threshold.max(1) <= round) {
            self.set_eager(peer, true);
            self.set_eager(from, false);
            out.push(Output::Send(peer, Message::Graft(None)));
            out.push(Output::Send(from, Message::Prune));
        }
    }

    fn set_eager(&mut self, peer: u32, eager: bool) {
        if let Some(link) = self.links.iter_mut().find(|link| link.peer == peer) {
            link.eager = eager;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config { first_timeout: 80, next_timeout: 40, threshold: Some(3) };

    fn gossip(id: Id, round: u16) -> Message {
        Message::Gossip(id, round)
    }

    /// What comes out of a node when this message arrives at time 100.
    fn hear(node: &mut Node, from: u32, message: Message) -> Vec<Output> {
        let mut out = Vec::new();
        node.on_message(100, from, message, &mut out);
        out
    }

    fn ring(node: &mut Node, now: u64, id: Id) -> Vec<Output> {
        let mut out = Vec::new();
        node.on_timer(now, id, &mut out);
        out
    }

    /// A node with the neighbors 1 to 4, of which it pushes to 1 and 2 only.
    fn node() -> Node {
        let mut node = Node::new(CONFIG, &[1, 2, 3, 4]);
        assert_eq!(node.eager().collect::<Vec<_>>(), [1, 2, 3, 4], "all at first");
        assert!([3, 4].into_iter().all(|lazy| hear(&mut node, lazy, Message::Prune).is_empty()));
        node
    }

    /// What each message does to a node that has received message 7 over two links, and lacks message 8.
    #[test]
    fn each_message_does_what_the_paper_says() {
        use Message::{Gossip, Graft, IHave, Prune};
        use Output::{Deliver, Send, Wake};
        let cases: [(u32, Message, &[Output], &[u32]); 10] = [
            (
                1,
                Gossip(8, 5),
                &[Deliver(8, 5), Send(2, Gossip(8, 6)), Send(3, IHave(8, 6)), Send(4, IHave(8, 6))],
                &[1, 2],
            ),
            (
                3,
                Gossip(8, 5),
                &[Deliver(8, 5), Send(1, Gossip(8, 6)), Send(2, Gossip(8, 6)), Send(4, IHave(8, 6))],
                &[1, 2, 3],
            ),
            (2, Gossip(7, 1), &[Send(2, Prune)], &[1]),
            (3, Gossip(7, 9), &[Send(3, Prune)], &[1, 2]),
            (3, IHave(7, 1), &[], &[1, 2]),
            (3, IHave(8, 1), &[Wake(180, 8)], &[1, 2]),
            (3, Graft(Some((7, 3))), &[Send(3, Gossip(7, 3))], &[1, 2, 3]),
            (3, Graft(Some((8, 3))), &[], &[1, 2, 3]),
            (3, Graft(None), &[], &[1, 2, 3]),
            (1, Prune, &[], &[2]),
        ];
        for (from, message, output, eager) in cases {
            let mut node = node();
            hear(&mut node, 1, gossip(7, 2));
            assert_eq!(hear(&mut node, from, message), output, "{message:?} from {from}");
            assert_eq!(node.eager().collect::<Vec<_>>(), eager, "{message:?} from {from}");
        }
    }

    #[test]
    fn an_own_message_goes_to_all_eager_links_and_is_announced_on_the_others() {
        let (mut node, mut out) = (node(), Vec::new());
        node.broadcast(9, &mut out);
        let sends = [(1, gossip(9, 1)), (2, gossip(9, 1)), (3, Message::IHave(9, 1)), (4, Message::IHave(9, 1))];
        let sends = sends.map(|(to, message)| Output::Send(to, message));
        assert_eq!((out[0], &out[1..]), (Output::Deliver(9, 0), &sends[..]));
    }

    #[test]
    fn what_stays_missing_is_asked_for_in_the_order_of_its_announcements() {
        let mut node = node();
        assert_eq!(hear(&mut node, 4, Message::IHave(8, 3)), [Output::Wake(180, 8)]);
        assert_eq!(hear(&mut node, 3, Message::IHave(8, 2)), [], "one timer for each message");
        let graft = |round| Message::Graft(Some((8, round)));
        assert_eq!(ring(&mut node, 180, 8), [Output::Wake(220, 8), Output::Send(4, graft(3))]);
        assert_eq!(node.eager().collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(ring(&mut node, 220, 8), [Output::Wake(260, 8), Output::Send(3, graft(2))]);
        assert_eq!(ring(&mut node, 260, 8), [], "nobody is left");
        assert_eq!(hear(&mut node, 3, Message::IHave(8, 2)), [Output::Wake(180, 8)], "a new announcement, a new timer");
        hear(&mut node, 3, gossip(8, 2));
        assert_eq!(ring(&mut node, 180, 8), [], "what has come is not asked for");
    }

    /// The paper's optimization: the announced way has to be shorter by the threshold.
    #[test]
    fn a_much_shorter_way_replaces_the_longer_one() {
        for (announced, threshold, replaced) in [(2, Some(3), true), (3, Some(3), false), (0, None, false)] {
            let mut node = Node { config: Config { threshold, ..CONFIG }, ..node() };
            hear(&mut node, 3, Message::IHave(8, 4));
            hear(&mut node, 4, Message::IHave(8, announced));
            let out = hear(&mut node, 1, gossip(8, 5));
            let swap = [Output::Send(4, Message::Graft(None)), Output::Send(1, Message::Prune)];
            assert_eq!(out.ends_with(&swap), replaced, "{announced} {threshold:?}");
            assert_eq!(node.eager().collect::<Vec<_>>(), if replaced { vec![2, 4] } else { vec![1, 2] });
        }
    }

    #[test]
    fn a_payload_is_counted_where_it_is_sent() {
        let bytes = [gossip(1, 1), Message::IHave(1, 1), Message::Graft(None)].map(|message| message.bytes(256));
        assert_eq!(bytes, [285, 29, 3]);
    }
}
