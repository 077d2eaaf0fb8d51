//! The standard set: what is run for a report, in sizes that are done in a quarter of an hour on two cores.

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Its name within the set; what its files are called.
    pub(super) name: &'static str,
    /// What it shows, in one line.
    pub(super) about: &'static str,
    /// The experiment and its options.
    pub(super) words: &'static str,
    /// The same in small, which takes a second at most: for trying out the report itself.
    pub(super) quick: &'static str,
}

impl Run {
    pub(super) fn experiment(&self) -> &'static str {
        self.words.split(' ').next().unwrap_or_default()
    }
}

const fn run(name: &'static str, about: &'static str, words: &'static str, quick: &'static str) -> Run {
    Run { name, about, words, quick }
}

/// The runs, in the order of the page. Those of one experiment stand together.
pub(super) const RUNS: &[Run] = &[
    run(
        "broadcast-10000",
        "Ten thousand nodes that know a part of each other; another one speaks each time.",
        "broadcast --nodes 10000 --membership sampled",
        "broadcast --nodes 12 --messages 8 --warmup 4 --membership sampled",
    ),
    run(
        "broadcast-1000",
        "A thousand nodes; another one speaks each time.",
        "broadcast --nodes 1000",
        "broadcast --nodes 8 --messages 8 --warmup 4",
    ),
    run(
        "broadcast-1000-one",
        "One node speaks.",
        "broadcast --nodes 1000 --senders one",
        "broadcast --nodes 8 --messages 8 --warmup 4 --senders one",
    ),
    run("broadcast-500", "Five hundred nodes.", "broadcast --nodes 500", "broadcast --nodes 8 --messages 8 --warmup 4"),
    run(
        "broadcast-1000-loss-5",
        "One datagram in twenty is lost.",
        "broadcast --nodes 1000 --loss 0.05 --bootstrap-loss 0.05",
        "broadcast --nodes 8 --messages 8 --warmup 4 --loss 0.05",
    ),
    run(
        "broadcast-1000-loss-10",
        "One in ten is lost.",
        "broadcast --nodes 1000 --loss 0.1 --bootstrap-loss 0.1",
        "broadcast --nodes 8 --messages 8 --warmup 4 --loss 0.1",
    ),
    run(
        "broadcast-1000-loss-30",
        "Three in ten are lost.",
        "broadcast --nodes 1000 --loss 0.3 --bootstrap-loss 0.3",
        "broadcast --nodes 8 --messages 8 --warmup 4 --loss 0.3",
    ),
    run(
        "broadcast-1000-kill",
        "Three nodes in ten are killed in mid-broadcast.",
        "broadcast --nodes 1000 --kill 0.3",
        "broadcast --nodes 12 --messages 8 --warmup 4 --kill 0.3",
    ),
    run(
        "burst-50",
        "Everybody speaks at once, within a budget of bytes.",
        "burst --nodes 50 --messages 2000",
        "burst --nodes 6 --messages 20",
    ),
    run(
        "demers-tables",
        "All variants of rumor mongering, in the cycle model that a test holds to the core.",
        "demers --tables --by cycles --runs 2000",
        "demers --tables --by cycles --runs 4 --nodes 40",
    ),
    run(
        "demers-tables-core",
        "The same by the core, among 64 nodes.",
        "demers --tables --nodes 64 --runs 100",
        "demers --tables --nodes 8 --runs 2",
    ),
    run(
        "demers-connections",
        "Where a node takes one call in a cycle, telling gets better and asking gets worse.",
        "demers --tables --by cycles --connection-limit 1 --runs 500",
        "demers --tables --by cycles --connection-limit 1 --runs 4 --nodes 40",
    ),
    run(
        "demers-push",
        "Table 1, first row, by the core among 256 nodes.",
        "demers --nodes 256 --runs 1000",
        "demers --nodes 16 --runs 5",
    ),
    run(
        "demers-coin",
        "Table 2, second row, by the core among 256 nodes.",
        "demers --variant push-blind-coin --k 2 --nodes 256 --runs 1000",
        "demers --variant push-blind-coin --k 2 --nodes 16 --runs 5",
    ),
    run(
        "demers-pull",
        "Table 3, first row, by the core among 256 nodes.",
        "demers --variant pull-feedback-counter --nodes 256 --runs 500",
        "demers --variant pull-feedback-counter --nodes 16 --runs 5",
    ),
    run(
        "demers-own",
        "Our own variant by the core: who asks lists what it has.",
        "demers --variant pull-lists-counter --k 6 --nodes 128 --runs 8000 --at-once 8",
        "demers --variant pull-lists-counter --k 6 --nodes 16 --runs 8",
    ),
    run(
        "demers-own-cycles",
        "Our own variant in the cycle model.",
        "demers --by cycles --variant pull-lists-counter --k 6 --nodes 1000 --runs 10000",
        "demers --by cycles --variant pull-lists-counter --k 6 --nodes 40 --runs 40",
    ),
    run(
        "sampling-default",
        "Ten thousand nodes exchange views: the protocol of 2007, healer 1 and swapper 14.",
        "sampling --cycles 100 --kill 0.5",
        "sampling --nodes 40 --view 8 --cycles 10",
    ),
    run(
        "sampling-swapper",
        "The same, swapper 15.",
        "sampling --cycles 100 --healer 0 --swapper 15",
        "sampling --nodes 40 --view 8 --cycles 10 --healer 0",
    ),
    run(
        "sampling-lease",
        "Our own protocol: entries live for eight cycles.",
        "sampling --cycles 100 --copies 4 --lifetime 8 --kill 0.5",
        "sampling --nodes 40 --view 8 --cycles 10 --copies 3 --lifetime 8",
    ),
    run(
        "overlay-80",
        "Four nodes in five die at once.",
        "overlay --fail 0.8 --runs 2",
        "overlay --nodes 20 --fail 0.5 --messages 5 --settle 2",
    ),
    run(
        "overlay-80-loss-10",
        "The same while one datagram in ten is lost.",
        "overlay --fail 0.8 --loss 0.1 --runs 2",
        "overlay --nodes 20 --fail 0.5 --messages 5 --settle 2 --loss 0.1",
    ),
    run(
        "overlay-90",
        "Nine in ten die.",
        "overlay --fail 0.9 --runs 2",
        "overlay --nodes 20 --fail 0.6 --messages 5 --settle 2",
    ),
    run(
        "overlay-95",
        "Nineteen in twenty die.",
        "overlay --fail 0.95 --runs 2",
        "overlay --nodes 20 --fail 0.7 --messages 5 --settle 2",
    ),
    run(
        "detect-crash",
        "Four of 128 members crash.",
        "detect --crash 4",
        "detect --nodes 8 --crash 1 --crash-gap 10 --seconds 10",
    ),
    run(
        "detect-1000",
        "Two of 1,000 members crash.",
        "detect --nodes 1000 --crash 2 --alone",
        "detect --nodes 8 --crash 1 --crash-gap 10 --seconds 10 --alone",
    ),
    run(
        "detect-slow",
        "Sixteen of 128 members are slow, again and again; beside SWIM and Lifeguard on the same network.",
        "detect --slow 16 --slow-every 4 --lifeguard",
        "detect --nodes 8 --slow 2 --slow-for 2 --seconds 10 --lifeguard",
    ),
    run(
        "detect-17",
        "Seventeen members, two datagrams in five lost, for ten minutes.",
        "detect --nodes 17 --loss 0.4 --seconds 600 --alone",
        "detect --nodes 8 --loss 0.3 --seconds 10 --alone",
    ),
    run("heal-100", "Half of 100 nodes are cut off for a minute.", "heal", "heal --nodes 6 --for 3"),
    run(
        "heal-100-loss-10",
        "The same while one datagram in ten is lost.",
        "heal --loss 0.1",
        "heal --nodes 6 --for 3 --loss 0.1",
    ),
    run(
        "heal-100-loss-30",
        "The same while three in ten are lost.",
        "heal --loss 0.3",
        "heal --nodes 6 --for 3 --loss 0.2",
    ),
    run("heal-isolate", "One node is cut off.", "heal --isolate", "heal --nodes 6 --for 3 --isolate"),
    run("heal-1000", "Half of 1,000 nodes are cut off.", "heal --nodes 1000", "heal --nodes 8 --for 3"),
    run(
        "glomers-fast",
        "25 nodes, 100 ms, 100 operations a second: only time counts.",
        "glomers --head-start 10 --runs 5 --profile quick",
        "glomers --nodes 5 --seconds 2 --profile quick",
    ),
    run(
        "glomers-3d",
        "The same: few messages count, and some time.",
        "glomers --head-start 10 --runs 5 --profile frugal --delay 300",
        "glomers --nodes 5 --seconds 2 --profile frugal",
    ),
    run(
        "glomers-3e",
        "The same: few messages count, and more time is given.",
        "glomers --head-start 10 --runs 5 --profile frugal --delay 400",
        "glomers --nodes 5 --seconds 2 --profile frugal",
    ),
    run(
        "glomers-partitions",
        "The same with partitions.",
        "glomers --head-start 10 --runs 20 --partitions",
        "glomers --nodes 5 --seconds 2 --partitions",
    ),
    run(
        "chaos",
        "Everything that can go wrong, and all checkers.",
        "chaos --seeds 20",
        "chaos --seeds 1 --nodes 2..6 --seconds 3",
    ),
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::lab::Lab;

    #[test]
    fn all_runs_have_names_of_their_own_and_options_that_there_are() {
        for (i, run) in RUNS.iter().enumerate() {
            assert!(RUNS[..i].iter().all(|other| other.name != run.name), "{}", run.name);
            for words in [run.words, run.quick] {
                Lab::try_parse_from(format!("lab {words} --seed 1").split(' ')).expect(words);
                assert!(words.starts_with(run.experiment()), "{words}");
            }
        }
    }
}
