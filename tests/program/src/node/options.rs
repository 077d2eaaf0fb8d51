//! The command line of a node, and what it means for the core.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use gossip_core::{Broadcast, Config, Membership, Neighbor, NodeId, Repair, Rounds, Sampling, Security};

use crate::parse;

/// One node of a gossip cluster, with an HTTP interface.
#[derive(Debug, Parser)]
#[command(version)]
pub(super) struct Options {
    /// UDP port for gossip, and TCP port for HTTP; 0 lets the system choose both, and needs --id
    #[arg(long)]
    pub(super) port: u16,
    /// A node to join through, as PORT or HOST:PORT; may be repeated
    #[arg(long, value_name = "CONTACT")]
    pub(super) bootstrap: Vec<String>,
    /// The node's number, unique in the cluster [default: port − 7000 for ports above 7000, else the port]
    #[arg(long)]
    id: Option<u64>,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    pub(super) host: IpAddr,
    /// Where HTTP listens, as PORT or HOST:PORT [default: the TCP port of the same number as --port]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Name of the cluster; nodes with other names are ignored
    #[arg(long, default_value = "gossip", value_name = "NAME")]
    cluster: String,
    /// Secret key of the cluster, 64 hexadecimal digits; without a key datagrams are readable and forgeable
    #[arg(long, value_name = "HEX", value_parser = parse::key, conflicts_with = "key_file")]
    key: Option<[u8; 32]>,
    /// File that holds the secret key, 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Pace and capacities
    #[arg(long, value_enum, default_value_t = Preset::Local)]
    preset: Preset,
    /// How new messages spread
    #[arg(long, value_enum, default_value_t = Spread::Tree)]
    broadcast: Spread,
    /// Rumor: how many nodes are told per round
    #[arg(long, default_value_t = 3, value_name = "N")]
    fanout: u8,
    /// Rumor: how many rounds each node tells [default: as the size of the cluster demands]
    #[arg(long, value_name = "M")]
    rounds: Option<u8>,
    /// Flood: the largest number of hops
    #[arg(long, default_value_t = 16, value_name = "HOPS")]
    ttl: u8,
    /// Whom the node knows
    #[arg(long, value_enum, default_value_t = Knowledge::Full, conflicts_with = "neighbors")]
    membership: Knowledge,
    /// Sampled: entries of the view of others [default: 60; 20 with --preset embedded]
    #[arg(long, value_name = "C")]
    view: Option<u16>,
    /// Sampled: how views are exchanged, as (PEER, VIEW, PROPAGATION) with head, rand or tail for the first two, or H=HEALER
    /// S=SWAPPER for the second, and push, pull or pushpull for the third [default: (tail, H=1 S=C/2−1, pushpull)]
    #[arg(long, value_name = "PROTOCOL")]
    sampling: Option<Sampling>,
    /// Talk to these nodes only, as ID@HOST:PORT,…; each of them must name this node too
    #[arg(long, value_delimiter = ',', value_parser = neighbor, value_name = "ID@ADDRESS")]
    #[arg(conflicts_with = "bootstrap")]
    neighbors: Vec<Neighbor>,
    /// Do not repair losses: bare rumors, for experiments
    #[arg(long)]
    no_repair: bool,
    /// Largest datagram, in bytes of UDP payload
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,
    /// Keep messages and own registers in this folder, and find them again after a restart
    #[arg(long, value_name = "DIR")]
    pub(super) storage: Option<PathBuf>,
    /// Record what the node is told in this file, which must not exist yet; it holds the key and all messages
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// How often a new favorite book is picked, such as 10s or 500ms; 0: only at the start
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse::duration)]
    pub(super) interval: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Round trips below some milliseconds
    Lan,
    /// Round trips to some hundred milliseconds
    Wan,
    /// Processes of one machine
    Local,
    /// Small devices
    Embedded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Knowledge {
    /// Everybody
    Full,
    /// A random part, for large clusters
    Sampled,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spread {
    /// To every link
    Flood,
    /// To a few links, some times
    Rumor,
    /// Along a tree that all nodes agree on, so all must say the same
    Tree,
}

impl Options {
    /// Where the node listens for gossip.
    pub(super) fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Where the node listens for HTTP.
    pub(super) fn http(&self) -> Result<SocketAddr, String> {
        match &self.http {
            Some(text) => match text.parse() {
                Ok(port) => Ok(SocketAddr::new(self.host, port)),
                Err(_) => parse::contact(text, self.host),
            },
            None => Ok(self.bind()),
        }
    }

    /// Whom the node joins through.
    pub(super) fn contacts(&self) -> Result<Vec<SocketAddr>, String> {
        self.bootstrap.iter().map(|text| parse::contact(text, self.host)).collect()
    }

    /// What the core is told.
    pub(super) fn config(&self) -> Result<Config, String> {
        let id = self.id()?;
        let mut config = match self.preset {
            Preset::Lan => Config::lan(id),
            Preset::Wan => Config::wan(id),
            Preset::Local => Config::local(id),
            Preset::Embedded => Config::embedded(id),
        };
        config.cluster.clone_from(&self.cluster);
        config.trace_path = true; // to be looked at is what this node is for
        config.broadcast = match self.broadcast {
            Spread::Flood => Broadcast::Flood { ttl: self.ttl },
            Spread::Tree => Broadcast::tree(),
            Spread::Rumor => {
                Broadcast::Rumor { fanout: self.fanout, rounds: self.rounds.map_or(Rounds::Auto, Rounds::Fixed) }
            }
        };
        if let Some(key) = self.secret()? {
            config.security = Security::Sealed { key_id: 0, key };
        }
        if let Some(view) = self.view {
            config.limits.view = view;
        }
        config.membership = self.membership(&config);
        if self.no_repair {
            config.repair = Repair::Off;
        }
        if let Some(mtu) = self.mtu {
            config.mtu = mtu;
        }
        Ok(config)
    }

    fn membership(&self, config: &Config) -> Membership {
        if !self.neighbors.is_empty() {
            return Membership::Static { neighbors: self.neighbors.clone() };
        }
        match (self.membership, self.sampling) {
            (Knowledge::Full, _) => Membership::Full,
            (Knowledge::Sampled, None) => Membership::sampled(&config.limits),
            (Knowledge::Sampled, Some(sampling)) => Membership::Sampled { sampling, known: Vec::new() },
        }
    }

    fn id(&self) -> Result<NodeId, String> {
        match (self.id, self.port) {
            (Some(id), _) => Ok(NodeId(id)),
            (None, 0) => Err(String::from("--port 0 needs --id: there is no port to derive the node's number from")),
            (None, port @ 7_001..) => Ok(NodeId(u64::from(port) - 7_000)),
            (None, port) => Ok(NodeId(port.into())),
        }
    }

    fn secret(&self) -> Result<Option<[u8; 32]>, String> {
        let Some(file) = &self.key_file else {
            return Ok(self.key);
        };
        let text = std::fs::read_to_string(file).map_err(|error| format!("key file {}: {error}", file.display()))?;
        parse::key(&text).map(Some).map_err(|error| format!("key file {}: {error}", file.display()))
    }
}

/// `ID@HOST:PORT`.
fn neighbor(text: &str) -> Result<Neighbor, String> {
    let parts = text.split_once('@').and_then(|(id, address)| Some((id.parse().ok()?, address.parse().ok()?)));
    let (node, address) = parts.ok_or("expected ID@ADDRESS, such as 2@127.0.0.1:7002")?;
    Ok(Neighbor { node, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::try_parse_from(std::iter::once("node").chain(line.split_whitespace())).expect("the line is right")
    }

    #[test]
    fn ids_follow_ports() {
        for (line, id) in [("--port 7001", 1), ("--port 7000", 7000), ("--port 80", 80), ("--port 7001 --id 9", 9)] {
            assert_eq!(options(line).config().map(|config| config.id), Ok(NodeId(id)), "{line}");
        }
        assert!(options("--port 0").config().is_err());
    }

    #[test]
    fn every_option_reaches_the_core() {
        let line = "--port 7001 --cluster c --preset wan --broadcast flood --ttl 3 --neighbors 2@127.0.0.1:7002 \
                    --no-repair --mtu 900 --key 0101010101010101010101010101010101010101010101010101010101010101";
        let config = options(line).config().expect("the options are right");
        assert_eq!(config.cluster, "c");
        assert_eq!(config.timing, Config::wan(NodeId(1)).timing);
        assert_eq!(config.broadcast, Broadcast::Flood { ttl: 3 });
        let neighbor = Neighbor { node: NodeId(2), address: "127.0.0.1:7002".parse().unwrap() };
        assert_eq!(config.membership, Membership::Static { neighbors: vec![neighbor] });
        assert_eq!(config.repair, Repair::Off);
        assert_eq!(config.mtu, 900);
        assert!(matches!(config.security, Security::Sealed { key, .. } if key == [1; 32]));
        let sampled = |line| options(line).config().expect("the options are right");
        assert_eq!(sampled("--port 7001").broadcast, Broadcast::tree());
        let config = sampled("--port 7001 --membership sampled --view 30");
        assert_eq!((config.limits.view, config.membership), (30, Membership::sampled(&config.limits)));
        let config = sampled("--port 7001 --membership sampled --sampling rand,head,push");
        let sampling = "(rand, head, push)".parse().expect("a protocol");
        assert_eq!(config.membership, Membership::Sampled { sampling, known: Vec::new() });
        let config =
            options("--port 7001 --broadcast rumor --fanout 2 --rounds 4").config().expect("the options are right");
        assert_eq!(config.broadcast, Broadcast::Rumor { fanout: 2, rounds: Rounds::Fixed(4) });
    }

    #[test]
    fn http_follows_the_port() {
        assert_eq!(options("--port 7001").http(), Ok("127.0.0.1:7001".parse().unwrap()));
        assert_eq!(options("--port 7001 --http 80").http(), Ok("127.0.0.1:80".parse().unwrap()));
        assert_eq!(options("--port 7001 --http 127.0.0.2:80").http(), Ok("127.0.0.2:80".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "",
            "--port x",
            "--port 1 --neighbors 2",
            "--port 1 --key 12",
            "--port 1 --interval -1s",
            "--port 1 --sampling x",
        ] {
            let words = std::iter::once("node").chain(line.split_whitespace());
            assert!(Options::try_parse_from(words).is_err(), "{line}");
        }
    }
}
