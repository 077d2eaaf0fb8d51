//! Target `inputs`: any sequence of inputs of every kind on one node, with all laws checked after each.
//!
//! The bytes are read as a set-up and a list of steps. The node has a friend, which is a real node and only ever receives
//! what the node really sent; the network between them and the node's store do what the steps say.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use gossip_core::wire::Header;
use gossip_core::{Input, Instant, KEY_MAX, MessageId, Order, Scope};

use crate::fabricate::{Liar, small};
use crate::forge::Forger;
use crate::pair::{FRIEND, NODE, Pair, Setup, address, id};

/// So that one run stays short; the fuzzer explores longer sequences no better.
const STEPS_MAX: usize = 200;

/// The choices of a step that complain about a length. Once they were ticks; no input of the corpus that was found, and not
/// drawn by chance, has one of them, so each of those means what it did when it was found.
const TOO_LONG: [u8; 4] = [0x5d, 0x6d, 0xad, 0xbd];

/// The body of the target.
///
/// # Panics
///
/// If the node breaks a law.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut u) else { return };
    let mut game = Game { pair: Pair::linked(setup), forger: Forger::new(&setup.config(NODE, 1, Instant::ZERO)) };
    for _ in 0..STEPS_MAX {
        if u.is_empty() || game.step(&mut u).is_err() {
            break;
        }
    }
    game.pair.talk(Duration::from_secs(20));
}

struct Game {
    pair: Pair,
    forger: Forger,
}

impl Game {
    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let who = if u.ratio(1, 4)? { FRIEND } else { NODE };
        let choice = u8::arbitrary(u)?;
        if TOO_LONG.contains(&choice) {
            return self.too_long(u, who);
        }
        match choice % 16 {
            0 => self.pair.wait(Duration::from_millis(small(u)?.min(100_000))),
            1 => self.pair.talk(Duration::from_millis(10 * u64::from(u8::arbitrary(u)?))),
            2 => self.pair.exchange(),
            3 => self.arrive(u)?,
            4 => self.forge(u)?,
            5 => self.stranger(u)?,
            6 => self.submit(u, who)?,
            7 => self.register(u, who)?,
            8 => self.clock(u)?,
            9 => self.pair.persist(NODE, u.int_in_range(0..=3)?),
            10 => self.pair.restart(who, u.int_in_range(0..=3)?),
            11 => self.contact(u)?,
            12 => self.acknowledge(u)?,
            13 if u.ratio(1, 4)? => self.give(who, Input::Leave),
            14 => self.pair.flying[who].clear(),
            _ => self.give(who, Input::Tick),
        }
        Ok(())
    }

    /// Refusals are fine; that they are the right ones is checked with the laws.
    fn give(&mut self, who: usize, input: Input<'_>) {
        let _ = self.pair.input(who, input);
    }

    /// One datagram on the way arrives, in any order, perhaps twice, perhaps damaged.
    fn arrive(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.pair.flying[NODE].is_empty() {
            return Ok(());
        }
        let place = u.choose_index(self.pair.flying[NODE].len())?;
        let mut datagram = self.pair.flying[NODE][place].clone();
        match u.int_in_range(0..=3)? {
            0 => {}
            1 => datagram.truncate(u.choose_index(datagram.len())?),
            2 => {
                let byte = u.choose_index(datagram.len())?;
                datagram[byte] ^= u8::arbitrary(u)?;
            }
            _ => drop(self.pair.flying[NODE].remove(place)),
        }
        self.give(NODE, Input::Packet { from: address(FRIEND), datagram: &mut datagram });
        Ok(())
    }

    /// Somebody who can make tags lies, in the friend's name or under one of his own.
    fn forge(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let life = |index| (id(index), self.pair.node(index).incarnation());
        let known =
            [life(NODE), life(FRIEND), (id(2), gossip_core::Incarnation(1)), (id(3), gossip_core::Incarnation(2))];
        let frames = Liar { known: &known }.frames(u)?;
        let overheard = self.pair.overheard[FRIEND].as_deref().and_then(|datagram| Header::parse(datagram).ok());
        let liar = u.int_in_range(1..=3)?;
        let (sender, incarnation) = known[liar];
        let base = overheard.filter(|_| liar == FRIEND).map_or(0, |header| header.number);
        let number = base.saturating_add(small(u)?);
        let to = if u.ratio(1, 4)? { None } else { Some(id(NODE)) };
        let mut datagram = self.forger.datagram(sender, incarnation, number, to, &frames);
        let from = if u.ratio(1, 8)? { 4 } else { liar };
        self.give(NODE, Input::Packet { from: address(from), datagram: &mut datagram });
        Ok(())
    }

    fn stranger(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let len = usize::from(u8::arbitrary(u)?).min(u.len());
        let mut datagram = u.bytes(len)?.to_vec();
        let from = address(u.int_in_range(1..=4)?);
        self.give(NODE, Input::Packet { from, datagram: &mut datagram });
        Ok(())
    }

    fn submit(&mut self, u: &mut Unstructured<'_>, who: usize) -> Result<()> {
        let order = if u.arbitrary()? { Order::Fifo } else { Order::Unordered };
        let most = self.pair.node(who).payload_max();
        let len = match u.int_in_range(0..=3)? {
            0 if u.arbitrary()? => self.pair.node(who).datagram_payload_max(),
            0 => most,
            1 => most + 1,
            _ => usize::from(u8::arbitrary(u)?),
        };
        self.give(who, Input::Submit { order, payload: &vec![len as u8; len] });
        Ok(())
    }

    fn register(&mut self, u: &mut Unstructured<'_>, who: usize) -> Result<()> {
        let long = "k".repeat(KEY_MAX + 1);
        let key = *u.choose(&["a", "b", "c", "", "\0", &long[1..], &long])?;
        let scope = if u.ratio(1, 16)? { Scope::Shared } else { Scope::Own };
        if u.ratio(1, 3)? {
            self.give(who, Input::Remove { scope, key });
        } else {
            let value = vec![7; usize::from(u16::arbitrary(u)? % 1_300)];
            self.give(who, Input::Set { scope, key, value: &value });
        }
        Ok(())
    }

    /// The clock is set back, or leaps.
    fn clock(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let micros = self.pair.now.as_micros();
        let step = small(u)?.min(1 << 32);
        let at = if u.arbitrary()? { micros.saturating_sub(step) } else { micros + step };
        self.pair.now = self.pair.now.max(Instant::from_micros(at));
        self.pair.input_at(NODE, Instant::from_micros(at), Input::Tick);
        Ok(())
    }

    fn contact(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let contact = address(u.int_in_range(0..=4)?);
        self.give(NODE, if u.arbitrary()? { Input::Join { contact } } else { Input::Forget { contact } });
        Ok(())
    }

    /// The system refuses a datagram for its length: one to the friend, to somebody unknown, or to the node itself; also of
    /// a length that nobody can have sent.
    fn too_long(&mut self, u: &mut Unstructured<'_>, who: usize) -> Result<()> {
        let to = address(u.int_in_range(0..=4)?);
        let len = if u.arbitrary()? { small(u)? } else { u16::arbitrary(u)?.into() };
        self.give(who, Input::TooLong { to, len: usize::try_from(len).unwrap_or(usize::MAX) });
        Ok(())
    }

    /// Of a stored message, or of one that never was.
    fn acknowledge(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let stored: Vec<MessageId> = self.pair.node(NODE).messages().map(|message| message.id).collect();
        let id = if stored.is_empty() || u.ratio(1, 8)? {
            MessageId { origin: id(2), incarnation: gossip_core::Incarnation(1), seq: small(u)? }
        } else {
            *u.choose(&stored)?
        };
        self.give(NODE, Input::Acknowledge { id });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step of an input of the corpus.
    #[test]
    fn a_step_complains_about_a_length() {
        let setup = Setup::default();
        let mut game = Game { pair: Pair::linked(setup), forger: Forger::new(&setup.config(NODE, 1, Instant::ZERO)) };
        // The node's turn; the choice; to the friend; of any length: 1,200 bytes.
        let steps = [1, 0x5d, 1, 0, 0xb0, 0x04];
        game.step(&mut Unstructured::new(&steps)).expect("there are bytes enough");
        assert_eq!(game.pair.node(NODE).stats().too_long, 1);
        game.submit(&mut Unstructured::new(&[0; 2]), NODE).expect("there are bytes enough");
        let lens = || game.pair.flying[FRIEND].iter().map(Vec::len);
        assert_eq!(lens().filter(|&len| len > 958).count(), 0, "{:?}", lens().collect::<Vec<_>>());
    }
}
