//! Rumor mongering in cycles, without nodes, links or datagrams.
//!
//! An abstract model, beside the core and no part of it: its rules are those of `gossip_core`'s mongering where all rounds are
//! synchronous, and a test holds the two together. It is for what the core cannot show: the paper's connections, which a site may
//! refuse (*connection limit*), whereupon the caller may try elsewhere (*hunting*), where the core has only datagrams; and for residues so
//! small that hundreds of millions of trials are needed.

use gossip_core::{Feedback, Spread};

use super::found::Cascade;
use super::variant::Variant;
use crate::sim::rng::Rng;

/// A cycle in which nothing was learned.
const NEVER: u32 = u32::MAX;
/// Nobody.
const NOBODY: u32 = u32::MAX;
/// A rumor is hot for at most so many cycles.
const CYCLES_MAX: u32 = 255;

/// The rules of one experiment.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) variant: Variant,
    pub(super) k: u8,
    pub(super) nodes: u32,
    /// Contacts of each caller in a cycle; fewer than `nodes` − 1.
    pub(super) fanout: u8,
    /// Calls that a site takes in a cycle.
    pub(super) connection_limit: Option<u32>,
    /// How often a refused caller tries another site.
    pub(super) hunt: u32,
}

/// What a site knows and thinks of the rumor.
#[derive(Clone, Copy, Debug)]
struct Site {
    /// In which cycle it was learned; the origin in cycle 0.
    learned: u32,
    from: u32,
    hot: bool,
    counter: u8,
    contacts: u32,
    vain: u32,
    /// Calls taken in this cycle.
    taken: u32,
}

impl Site {
    const IGNORANT: Self =
        Self { learned: NEVER, from: NOBODY, hot: false, counter: 0, contacts: 0, vain: 0, taken: 0 };
}

/// What one site wants of another. Calls of a cycle come one after the other: who was just told can be asked already.
enum Call {
    Tell(u32),
    Ask(u32),
}

/// One rumor on its way.
struct Run<'a> {
    rules: &'a Rules,
    rng: &'a mut Rng,
    sites: Vec<Site>,
    cycle: u32,
    found: Cascade,
}

/// Spreads one rumor from its start to its end.
pub(super) fn spread(rules: &Rules, rng: &mut Rng) -> Cascade {
    let mut sites = vec![Site::IGNORANT; rules.nodes as usize];
    let origin = rng.below(rules.nodes.into()) as usize;
    sites[origin] = Site { learned: 0, hot: true, ..Site::IGNORANT };
    let mut run = Run { rules, rng, sites, cycle: 0, found: Cascade { heard: vec![1], copies: 0 } };
    while run.cycle() {}
    run.found
}

impl Run<'_> {
    /// Whether anybody was still interested.
    fn cycle(&mut self) -> bool {
        self.cycle += 1;
        let mut hot = self.judge();
        if hot.is_empty() {
            return false;
        }
        let spread = self.rules.variant.spread;
        let mut askers: Vec<u32> = if spread == Spread::Push { vec![] } else { (0..self.rules.nodes).collect() };
        if self.rules.connection_limit.is_some() {
            shuffle(self.rng, &mut hot);
            shuffle(self.rng, &mut askers);
        }
        let told = if spread == Spread::Pull { vec![] } else { self.call_all(&hot, |site| site.from) };
        let asked = self.call_all(&askers, |_| NOBODY);
        let told = told.into_iter().map(|(teller, told)| (teller, Call::Tell(told)));
        let asked = asked.into_iter().map(|(asker, asked)| (asker, Call::Ask(asked)));
        let mut calls: Vec<(u32, Call)> = told.chain(asked).collect();
        calls.sort_by_key(|call| call.0);
        let mut answers = Vec::new();
        for (caller, call) in calls {
            match call {
                Call::Tell(told) => {
                    self.sites[caller as usize].contacts += 1;
                    self.give(caller, told);
                }
                Call::Ask(asked) if self.answers(asked, caller) => answers.push((asked, caller)),
                Call::Ask(_) => {}
            }
        }
        answers.into_iter().for_each(|(asked, asker)| self.give(asked, asker));
        true
    }

    /// Who is still interested at the begin of a cycle.
    fn judge(&mut self) -> Vec<u32> {
        let mut hot = Vec::new();
        for (number, site) in self.sites.iter_mut().enumerate() {
            site.taken = 0;
            if !site.hot {
                continue;
            }
            site.hot = !is_old(site, self.rules, self.cycle, self.rng);
            if site.hot {
                hot.push(number as u32);
            }
        }
        hot
    }

    /// Whom each of the callers reaches.
    fn call_all(&mut self, callers: &[u32], except: impl Fn(&Site) -> u32) -> Vec<(u32, u32)> {
        let mut calls = Vec::new();
        for &caller in callers {
            let first = calls.len();
            let except = except(&self.sites[caller as usize]);
            for _ in 0..self.rules.fanout {
                let called: Vec<u32> = calls[first..].iter().map(|&(_, called)| called).collect();
                calls.extend(self.call(caller, except, &called).map(|other| (caller, other)));
            }
        }
        calls
    }

    /// One site drawn by chance, or after refusals another one.
    fn call(&mut self, caller: u32, except: u32, called: &[u32]) -> Option<u32> {
        for _ in 0..=self.rules.hunt {
            let other = loop {
                let other = self.rng.below(self.rules.nodes.into()) as u32;
                if other != caller && other != except && !called.contains(&other) {
                    break other;
                }
            };
            let taken = &mut self.sites[other as usize].taken;
            if self.rules.connection_limit.is_none_or(|limit| *taken < limit) {
                *taken += 1;
                return Some(other);
            }
        }
        None
    }

    /// A copy travels.
    fn give(&mut self, from: u32, to: u32) {
        self.found.copies += 1;
        let site = &mut self.sites[to as usize];
        if site.learned == NEVER {
            *site = Site { learned: self.cycle, from, hot: true, taken: site.taken, ..Site::IGNORANT };
            self.found.heard.resize(self.cycle as usize + 1, 0);
            self.found.heard[self.cycle as usize] += 1;
        } else if site.learned != self.cycle {
            self.sites[from as usize].vain += 1;
        }
    }

    /// Whether who is asked gives the rumor. The answer travels when all have called.
    fn answers(&mut self, asked: u32, asker: u32) -> bool {
        let lists = self.rules.variant.feedback == Feedback::Lists;
        let knew = self.sites[asker as usize].learned < self.cycle;
        let site = &mut self.sites[asked as usize];
        if !site.hot {
            return false;
        }
        site.contacts += 1;
        let in_vain = site.from == asker || lists && knew;
        site.vain += u32::from(in_vain);
        !in_vain
    }
}

/// Reads the slate of a cycle, wipes it, and decides.
fn is_old(site: &mut Site, rules: &Rules, cycle: u32, rng: &mut Rng) -> bool {
    if cycle - site.learned > CYCLES_MAX {
        return true;
    }
    if site.contacts == 0 {
        return false;
    }
    let counts = rules.variant.feedback == Feedback::Blind || site.vain >= site.contacts;
    (site.contacts, site.vain) = (0, 0);
    if rules.variant.coin {
        return counts && rng.below(rules.k.into()) == 0;
    }
    site.counter = if counts { site.counter + 1 } else { 0 };
    site.counter >= rules.k
}

fn shuffle(rng: &mut Rng, items: &mut [u32]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.below(last as u64 + 1) as usize);
    }
}
