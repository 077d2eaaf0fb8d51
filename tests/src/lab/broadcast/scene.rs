//! One run: the nodes join, messages are submitted, nodes die or are replaced meanwhile.

use gossip_core::Order;
use indicatif::ProgressBar;

use super::Options;
use super::reference::{self, Submission};
use super::report;
use crate::lab::graph::Graph;
use crate::lab::joining::{self, Settled};
use crate::lab::progress;
use crate::lab::report::Report;
use crate::lab::spread::Spread;
use crate::sim::rng::{Chance, Rng};
use crate::sim::{Lines, Simulation};

const SECOND: u64 = 1_000_000;
/// How long a message may take to become whole, in virtual time.
pub(super) const PATIENCE: u64 = 120 * SECOND;
/// The killing comes so long after a submission, so that messages are in flight.
const KILL_DELAY: u64 = 50_000;

/// What reads the steps: the measurement, and where they are written down.
pub(super) type Watching = (Spread, Option<Lines<std::io::BufWriter<std::fs::File>>>);

/// A run in progress.
pub(super) struct Scene<'a> {
    pub(super) options: &'a Options,
    pub(super) simulation: Simulation<Watching>,
    rng: Rng,
    /// What was submitted, since the first submission.
    script: Vec<Submission>,
    /// When the next node is replaced.
    next_replacement: Option<u64>,
    killed_at: Option<u64>,
    pub(super) found: Found,
}

/// What the steps do not tell.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) joined: Option<u64>,
    pub(super) settled: Option<Settled>,
    pub(super) whole_after_kill: Option<u64>,
    pub(super) replaced: u64,
    /// The same messages by the reference.
    pub(super) plumtree: Option<Spread>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(options: &'a Options, simulation: Simulation<Watching>) -> Self {
        Self {
            options,
            simulation,
            rng: Rng::new(options.common.seed, 1),
            script: Vec::new(),
            next_replacement: None,
            killed_at: None,
            found: Found::default(),
        }
    }

    pub(super) fn play(mut self) -> Report {
        let bar = progress::bar(u64::from(self.options.messages), "messages");
        bar.set_message("joining");
        self.found.joined = joining::join_all(&mut self.simulation, self.options.membership, &mut self.rng, SECOND);
        bar.set_message("links settle");
        self.found.settled = (!self.options.hasty).then(|| joining::settle(&mut self.simulation));
        let links = self.options.plumtree().map(|config| (config, Graph::of_links(&self.simulation)));
        self.simulation.network().weather.loss = Chance::of(self.options.loss);
        self.submit_all(&bar);
        bar.set_message("settling");
        self.settle();
        if let Some((config, links)) = links {
            bar.set_message("Plumtree");
            let mut weather = self.options.world().weather;
            weather.loss = Chance::of(self.options.loss);
            self.found.plumtree = Some(reference::play(self.options, config, links.neighbors(), weather, &self.script));
        }
        bar.finish_and_clear();
        report::of(&self)
    }

    fn submit_all(&mut self, bar: &ProgressBar) {
        let options = self.options;
        let start = self.simulation.now();
        let sender = self.rng.below(u64::from(options.nodes)) as u32;
        let middle = options.warmup + (options.messages - options.warmup) / 2;
        let mut payload = vec![0; options.payload];
        self.next_replacement = self.replacement_gap().map(|gap| start + gap);
        for message in 0..options.messages {
            let at = start + u64::from(message) * options.gap_ms * 1_000;
            self.advance(at);
            bar.set_message(if message < options.warmup { "warming up" } else { "measuring" });
            if let Some(len) = options.large().filter(|_| message == options.warmup) {
                let sender = self.member();
                self.simulation.submit(sender, Order::Unordered, &vec![1; len]);
            }
            self.simulation.observer.0.measuring = message >= options.warmup;
            payload.fill_with(|| self.rng.next() as u8);
            let sender = if options.is_one_sender() { sender } else { self.member() };
            // A refusal counts as nothing submitted: the figures would then lack messages, which the report shows.
            self.simulation.submit(sender, Order::Unordered, &payload);
            self.script.push(Submission { at: at - start, sender });
            if message == middle && options.kill > 0.0 {
                self.advance(at + KILL_DELAY);
                self.kill(sender);
            }
            bar.inc(1);
        }
    }

    /// A node that is up and has had the time to join.
    fn member(&mut self) -> u32 {
        loop {
            let node = self.rng.below(u64::from(self.options.nodes)) as u32;
            if self.simulation.observer.0.is_member(node, self.simulation.now()) {
                return node;
            }
        }
    }

    /// Whoever has just sent a message survives, or nobody would have to get it.
    fn kill(&mut self, sender: u32) {
        let count = (f64::from(self.options.nodes) * self.options.kill) as u32;
        for _ in 0..count.min(self.options.nodes - 2) {
            let victim = std::iter::repeat_with(|| self.member()).find(|&node| node != sender).expect("two live");
            self.simulation.crash(victim);
        }
        self.killed_at = Some(self.simulation.now());
    }

    /// The time between two replacements.
    fn replacement_gap(&self) -> Option<u64> {
        let per_second = self.options.churn * f64::from(self.options.nodes);
        (per_second > 0.0).then(|| ((SECOND as f64 / per_second) as u64).max(1))
    }

    /// Somebody dies without a word, and somebody new comes from another address, through a member. Who sends all messages
    /// stays.
    fn replace_one(&mut self) {
        let only_sender = self.script.last().filter(|_| self.options.is_one_sender()).map(|last| last.sender);
        let victim = std::iter::repeat_with(|| self.member()).find(|&node| Some(node) != only_sender);
        let victim = victim.expect("the draws never end");
        self.simulation.crash(victim);
        self.simulation.move_address(victim);
        self.simulation.start(victim, false);
        let contact = self.member();
        self.simulation.join(victim, contact).expect("a new node takes its first contact");
        self.found.replaced += 1;
    }

    /// Runs until `at`, and replaces nodes on the way.
    fn advance(&mut self, at: u64) {
        while let Some(next) = self.next_replacement.filter(|&next| next <= at) {
            self.run_until(next);
            self.replace_one();
            self.next_replacement = self.replacement_gap().map(|gap| next + gap);
        }
        self.run_until(at);
    }

    /// Runs until `at`; notes when what was in flight at the killing is whole.
    fn run_until(&mut self, at: u64) {
        if let Some(killed_at) = self.killed_at {
            while self.found.whole_after_kill.is_none() && self.simulation.now() < at {
                self.simulation.run_until(at.min(self.simulation.now() + 10_000));
                if self.simulation.observer.0.missed_before(killed_at) == 0 {
                    self.found.whole_after_kill = Some(self.simulation.now() - killed_at);
                }
            }
        }
        self.simulation.run_until(at);
    }

    /// Waits until all is whole, or for as long as patience lasts; then until the last copies have been sent.
    fn settle(&mut self) {
        let end = self.simulation.now() + PATIENCE;
        self.advance(self.simulation.now() + self.options.gap_ms * 1_000);
        self.next_replacement = None;
        while self.simulation.now() < end && self.simulation.observer.0.missed() > 0 {
            self.advance(self.simulation.now() + 10_000);
        }
        self.simulation.observer.0.measuring = false;
        self.advance(self.simulation.now() + 5 * SECOND);
    }
}
