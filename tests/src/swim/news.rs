//! News about members, and which of them go into the next datagram.

use super::Config;

/// What is said of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers, or says so.
    Alive,
    /// It did not answer.
    Suspect,
    /// It did not deny a suspicion in time.
    Dead,
}

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// About whom.
    pub member: u32,
    /// What.
    pub state: State,
    /// In which incarnation.
    pub incarnation: u32,
    /// Who says so first: Lifeguard counts accusers.
    pub from: u32,
}

impl News {
    /// What it takes in a datagram: a head, two ids of eight bytes, an incarnation of four, a state.
    pub const BYTES: usize = 24;
}

/// The news that a node still passes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    /// With how often each was sent.
    waiting: Vec<(News, u32)>,
    sent_max: u32,
}

impl Outgoing {
    pub(super) fn new(config: &Config, nodes: usize) -> Self {
        Self { waiting: Vec::new(), sent_max: config.retransmissions(nodes) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Newer news about a member replace older ones, but for accusations by several, which Lifeguard counts.
    pub(super) fn push(&mut self, news: News) {
        let counts = |old: &News| {
            old.state == State::Suspect
                && news.state == State::Suspect
                && old.from != news.from
                && old.incarnation == news.incarnation
        };
        self.waiting.retain(|(old, _)| old.member != news.member || counts(old));
        self.waiting.push((news, 0));
    }

    /// The news that were sent least often, as many as `room` bytes hold.
    pub(super) fn take(&mut self, room: usize) -> Vec<News> {
        self.waiting.sort_by_key(|&(_, sent)| sent);
        let taken = self.waiting.iter_mut().take(room / News::BYTES);
        let taken = taken
            .map(|(news, sent)| {
                *sent += 1;
                *news
            })
            .collect();
        self.waiting.retain(|&(_, sent)| sent < self.sent_max);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn news(member: u32, state: State, from: u32) -> News {
        News { member, state, incarnation: 1, from }
    }

    #[test]
    fn news_are_replaced_take_turns_and_end() {
        let mut outgoing = Outgoing::new(&Config::swim(), 8);
        let (first, second) = (news(1, State::Suspect, 7), news(1, State::Suspect, 6));
        outgoing.push(first);
        outgoing.push(second);
        assert_eq!(outgoing.take(100), [first, second], "accusers count");
        let dead = news(1, State::Dead, 7);
        outgoing.push(dead);
        outgoing.push(news(2, State::Alive, 2));
        assert_eq!(outgoing.take(News::BYTES), [dead]);
        assert_eq!(outgoing.take(News::BYTES), [news(2, State::Alive, 2)], "who was sent less often comes first");
        let more = std::iter::repeat_with(|| outgoing.take(News::BYTES)).take_while(|news| !news.is_empty()).count();
        assert_eq!(more, 2 * 4 - 2, "each is sent four times");
        assert!(outgoing.is_empty());
    }
}
