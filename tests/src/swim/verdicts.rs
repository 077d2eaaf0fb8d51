//! What a node believes of the others: suspicion, denial, death.
//!
//! A higher incarnation beats a lower one; at equal incarnations dead beats suspected, and suspected beats alive.

use super::news::{News, State};
use super::node::{Node, Output, Timer};

/// What is believed of one member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) state: State,
    pub(super) incarnation: u32,
    /// Counts the changes of its suspicion, so that a timer of an earlier one is known.
    change: u32,
    /// Since when it is suspected, and by whom.
    since: u64,
    accusers: Vec<u32>,
}

impl Member {
    /// Alive in its first incarnation.
    pub(super) const NEW: Self =
        Self { state: State::Alive, incarnation: 1, change: 0, since: 0, accusers: Vec::new() };
}

impl Node {
    /// Takes news in, and passes on what is new in them.
    pub(super) fn learn(&mut self, now: u64, news: News, out: &mut Vec<Output>) {
        if news.member == self.me {
            if news.state != State::Alive && news.incarnation >= self.incarnation {
                self.deny(news.incarnation);
            }
            return;
        }
        let member = &self.members[news.member as usize];
        match news.state {
            State::Alive if news.incarnation > member.incarnation => self.revive(news, out),
            State::Suspect if news.incarnation >= member.incarnation && member.state != State::Dead => {
                self.suspect(now, news, out);
            }
            State::Dead if news.incarnation >= member.incarnation && member.state != State::Dead => {
                self.bury(news, out);
            }
            _ => {}
        }
    }

    /// "I am alive", in an incarnation that beats the accusation.
    fn deny(&mut self, accused: u32) {
        self.incarnation = accused + 1;
        self.sicken(1);
        self.outgoing.push(News { member: self.me, state: State::Alive, incarnation: self.incarnation, from: self.me });
    }

    fn revive(&mut self, news: News, out: &mut Vec<Output>) {
        let member = &mut self.members[news.member as usize];
        let was = member.state;
        member.state = State::Alive;
        member.incarnation = news.incarnation;
        member.change += 1;
        self.outgoing.push(news);
        if was != State::Alive {
            out.push(Output::Verdict(news.member, State::Alive));
        }
    }

    fn suspect(&mut self, now: u64, news: News, out: &mut Vec<Output>) {
        let (config, nodes) = (self.config, self.members.len());
        let member = &mut self.members[news.member as usize];
        if member.state == State::Suspect && member.incarnation == news.incarnation {
            let Some(lifeguard) = config.lifeguard else { return };
            let confirmed = member.accusers.len() as u32 - 1;
            if confirmed >= lifeguard.confirmations || member.accusers.contains(&news.from) {
                return;
            }
            member.accusers.push(news.from);
        } else {
            let was = member.state;
            member.state = State::Suspect;
            member.incarnation = news.incarnation;
            member.since = now;
            member.accusers.clear();
            member.accusers.push(news.from);
            if was != State::Suspect {
                out.push(Output::Verdict(news.member, State::Suspect));
            }
        }
        member.change += 1;
        let end = member.since + config.suspicion(nodes, member.accusers.len() as u32 - 1);
        out.push(Output::Wake(end.max(now), Timer::Suspicion(news.member, member.change)));
        self.outgoing.push(news);
    }

    /// A suspicion has run out.
    pub(super) fn condemn(&mut self, member: u32, change: u32, out: &mut Vec<Output>) {
        let suspect = &self.members[member as usize];
        if suspect.state == State::Suspect && suspect.change == change {
            let news = News { member, state: State::Dead, incarnation: suspect.incarnation, from: self.me };
            self.bury(news, out);
        }
    }

    fn bury(&mut self, news: News, out: &mut Vec<Output>) {
        let member = &mut self.members[news.member as usize];
        member.state = State::Dead;
        member.incarnation = news.incarnation;
        member.change += 1;
        self.outgoing.push(news);
        out.push(Output::Verdict(news.member, State::Dead));
    }
}
