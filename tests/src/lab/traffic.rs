//! What was sent: data, probes, digests, control.
//!
//! "Data" is a datagram with a payload in it; "probe" one without, in which the failure detector speaks, by probes or beats
//! (what else rides on it is free); "digest" one without either, in which neighbors tell each other what they got lately,
//! which happens so often in a second whatever the number of messages; "control" any other. Readable only in plain mode, as
//! sealed frames are nobody's business.

use std::collections::BTreeMap;

use gossip_core::MessageId;
use gossip_core::auth::Opened;
use gossip_core::wire::{Data, Frame, Frames, HEADER_LEN, Injected, Kind};

use crate::sim::{Observer, Step, What};

/// Bytes that IP and UDP add to each datagram (IPv4).
pub(super) const IP_UDP: u64 = 28;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It carries a payload.
    Data,
    /// The failure detector says that its node lives, asks or answers.
    Probe,
    /// Neighbors tell each other what they got lately.
    Digest,
    /// Anything else.
    Control,
}

/// Reads a datagram of plain mode; `payload` is called for each message in it. None where a frame does not parse.
pub fn classify(datagram: &[u8], mut payload: impl FnMut(MessageId)) -> Option<Class> {
    let mut class = Class::Control;
    for frame in Frames::new(Opened::forged(datagram.get(HEADER_LEN..)?)) {
        let (kind, body) = frame.ok()?;
        let parsed = Frame::parse(kind, body).ok()?;
        match parsed {
            Frame::Data(Data { origin, incarnation, seq, .. })
            | Frame::Injected(Injected { data: Data { origin, incarnation, seq, .. }, .. }) => {
                payload(MessageId { origin, incarnation, seq });
                class = Class::Data;
            }
            Frame::Beat(_) | Frame::Probe(_) | Frame::Ack(_) if class != Class::Data => class = Class::Probe,
            Frame::Digest(_) if class == Class::Control => class = Class::Digest,
            Frame::Announce(answer) if answer.number != 0 && class == Class::Control => class = Class::Digest,
            _ => {}
        }
    }
    Some(class)
}

/// The kinds of the frames of a datagram of plain mode, in order.
fn kinds(datagram: &[u8]) -> Vec<Kind> {
    let body = datagram.get(HEADER_LEN..).unwrap_or_default();
    Frames::new(Opened::forged(body)).flatten().map(|(kind, _)| kind).collect()
}

/// What a frame is called in a table; its number where it has no name here.
fn name(kind: Kind) -> String {
    let name = match kind {
        Kind::HELLO => "hello",
        Kind::RETRY => "retry",
        Kind::WELCOME => "welcome",
        Kind::PEERS => "peers",
        Kind::UNLINK => "unlink",
        Kind::VACANCY => "vacancy",
        Kind::WALK => "walk",
        Kind::VIEW_REQUEST => "view_request",
        Kind::VIEW_REPLY => "view_reply",
        Kind::WAVE => "wave",
        Kind::CHILD => "child",
        Kind::CHILD_OK => "child_ok",
        Kind::NOT_CHILD => "not_child",
        Kind::WAVE_REQUEST => "wave_request",
        Kind::DATA_ACK => "data_ack",
        Kind::ANNOUNCE => "announce",
        Kind::DIGEST => "digest",
        Kind::FETCH => "fetch",
        Kind::ROOT => "root",
        Kind::FRONTIERS => "frontiers",
        Kind::PULL => "pull",
        Kind::ABSENT => "absent",
        Kind::REGISTER_ROOT => "register_root",
        Kind::REGISTER_FRONTIERS => "register_frontiers",
        Kind::UPDATES => "updates",
        Kind(number) => return format!("0x{number:02x}"),
    };
    name.to_owned()
}

/// Counts of datagrams and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams with a payload.
    pub data: u64,
    /// Datagrams of the failure detector.
    pub probes: u64,
    /// Datagrams in which neighbors tell each other what they got lately.
    pub digests: u64,
    /// Other datagrams.
    pub control: u64,
    /// The same by what is in them.
    by_kinds: BTreeMap<Vec<Kind>, u64>,
    /// Bytes of all of them, those of IP and UDP included.
    pub bytes: u64,
    /// Datagrams by sender.
    pub by_node: Vec<u32>,
}

impl Traffic {
    /// Nothing sent by `nodes` nodes.
    #[must_use]
    pub fn new(nodes: u32) -> Self {
        Self { by_node: vec![0; nodes as usize], ..Self::default() }
    }

    /// Counts a datagram.
    pub fn count(&mut self, node: u32, class: Class, datagram: &[u8]) {
        if class == Class::Control {
            *self.by_kinds.entry(kinds(datagram)).or_default() += 1;
        }
        self.add(node, class, datagram.len());
    }

    /// Counts a datagram of so many bytes, whatever is in it.
    pub fn add(&mut self, node: u32, class: Class, bytes: usize) {
        *match class {
            Class::Data => &mut self.data,
            Class::Probe => &mut self.probes,
            Class::Digest => &mut self.digests,
            Class::Control => &mut self.control,
        } += 1;
        self.bytes += bytes as u64 + IP_UDP;
        self.by_node[node as usize] += 1;
    }

    /// Datagrams of control by the frames in them, the most frequent first: what could ride on something else.
    #[must_use]
    pub fn control_by_frames(&self) -> Vec<(String, u64)> {
        let joined = |kinds: &[Kind]| kinds.iter().map(|&kind| name(kind)).collect::<Vec<_>>().join("+");
        let mut counts: Vec<_> = self.by_kinds.iter().map(|(kinds, &count)| (joined(kinds), count)).collect();
        counts.sort_by_key(|(name, count)| (core::cmp::Reverse(*count), name.clone()));
        counts
    }

    /// The busiest node's datagrams over the mean.
    #[must_use]
    pub fn max_node_share(&self) -> Option<f64> {
        let sum: u64 = self.by_node.iter().map(|&count| u64::from(count)).sum();
        let busiest = self.by_node.iter().max()?;
        (sum > 0).then(|| f64::from(*busiest) * self.by_node.len() as f64 / sum as f64)
    }
}

/// Counts the bytes of all datagrams while it is on, those of IP and UDP included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    pub(super) on: bool,
    pub(super) bytes: u64,
}

impl Observer for Meter {
    fn observe(&mut self, step: &Step<'_>) {
        if let What::Sent { datagram, .. } = &step.what
            && self.on
        {
            self.bytes += datagram.len() as u64 + IP_UDP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::wire::Kind;

    /// A datagram of frames of these kinds, each with this body.
    fn datagram(frames: &[(Kind, &[u8])]) -> Vec<u8> {
        let mut datagram = vec![0; HEADER_LEN];
        for (kind, body) in frames {
            datagram.push(kind.0);
            datagram.extend_from_slice(&(body.len() as u16).to_le_bytes());
            datagram.extend_from_slice(body);
        }
        datagram
    }

    #[test]
    fn a_payload_makes_data_and_a_probe_alone_a_probe() {
        let mut data = vec![7; 16];
        data.extend_from_slice(&[5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        let probe: (Kind, &[u8]) = (Kind::PROBE, &[3, 0]);
        let root: (Kind, &[u8]) = (Kind::PULL, &[]);
        let mut seen = Vec::new();
        let mut class = |frames: &[(Kind, &[u8])]| classify(&datagram(frames), |id| seen.push(id.seq));
        assert_eq!(class(&[(Kind::DATA, &data), probe]), Some(Class::Data));
        assert_eq!(class(&[probe, (Kind::DATA, &data)]), Some(Class::Data));
        assert_eq!(class(&[root, probe]), Some(Class::Probe));
        assert_eq!(class(&[root]), Some(Class::Control));
        let digest: (Kind, &[u8]) = (Kind::DIGEST, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let answer: (Kind, &[u8]) = (Kind::ANNOUNCE, &[3, 0]);
        assert_eq!(class(&[digest, root]), Some(Class::Digest));
        assert_eq!(class(&[answer]), Some(Class::Digest));
        assert_eq!(class(&[digest, probe]), Some(Class::Probe));
        assert_eq!(class(&[(Kind::ANNOUNCE, &[0, 0])]), Some(Class::Control), "an alarm");
        assert_eq!(class(&[(Kind::DATA, &data[..9])]), None);
        assert_eq!(seen, [5, 5]);
    }

    #[test]
    fn the_busiest_share_is_relative_to_the_mean() {
        let mut traffic = Traffic::new(4);
        assert_eq!(traffic.max_node_share(), None);
        for node in [0, 0, 0, 1] {
            traffic.count(node, Class::Data, &[0; 100]);
        }
        assert_eq!((traffic.max_node_share(), traffic.bytes, traffic.data), (Some(3.0), 512, 4));
        let (wave, both) = (datagram(&[(Kind::WAVE, &[])]), datagram(&[(Kind::WAVE, &[]), (Kind::ROOT, &[])]));
        for control in [&both, &wave, &wave] {
            traffic.count(2, Class::Control, control);
        }
        assert_eq!(traffic.control_by_frames(), [("wave".to_owned(), 2), ("wave+root".to_owned(), 1)]);
    }
}
