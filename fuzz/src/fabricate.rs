//! Well-formed frames that lie: every field has a legal type, and a value chosen by the fuzzer.
//!
//! Random bytes rarely parse, and ids drawn from 64 bits never meet a row of any table. So ids come from the nodes that
//! exist, numbers are small or extreme, and lists are short.

use arbitrary::{Arbitrary, Result, Unstructured};
use gossip_core::pack::Packer;
use gossip_core::wire::{
    Absence, Absent, Ack, Address, Announce, Ask, Beat, Blob, Child, ChildOk, Conflict, Data, DataAck, Deny, Digest,
    ExchangeHead, Fetch, Frontier, HEADER_LEN, Heard, Hello, Injected, Kind, MemberStatus, NotChild, PageHead,
    PeerEntry, Probe, RegisterFrontier, RegisterState, Retry, Root, Sketch, Unlink, Update, Verdict, ViewEntry, Vouch,
    Walk, Wanted, Wave, WaveRequest, Welcome,
};
use gossip_core::{Incarnation, NodeId};

use crate::pair::address;

/// What a liar knows: nodes that exist, with their incarnations.
#[derive(Clone, Copy, Debug)]
pub struct Liar<'k> {
    /// The nodes.
    pub known: &'k [(NodeId, Incarnation)],
}

impl Liar<'_> {
    /// One to four frames, as bytes.
    ///
    /// # Errors
    ///
    /// The fuzzer's bytes are used up.
    pub fn frames(&self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let mut datagram = vec![0; 1_200];
        let mut packer = Packer::new(&mut datagram, 1_200);
        for _ in 0..u.int_in_range(1..=4)? {
            self.frame(u, &mut packer)?;
        }
        let end = HEADER_LEN + packer.len();
        Ok(datagram[HEADER_LEN..end].to_vec())
    }

    /// One frame; one that does not fit is left out, as it would be in a node.
    fn frame(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        match u.int_in_range(0..=5)? {
            5 => self.broadcast(u, packer)?,
            0 => self.greeting(u, packer)?,
            1 => {
                let data = self.data(u)?;
                let _ = packer.frame(Kind::DATA, &data);
            }
            2 => self.comparison(u, packer)?,
            3 => self.register(u, packer)?,
            _ => self.detector(u, packer)?,
        }
        Ok(())
    }

    /// Frames of the failure detector.
    fn detector(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        let (number, status) = (small(u)? as u32, small(u)? as u32);
        let (node, incarnation) = self.node(u)?;
        let said = MemberStatus { node, incarnation, status };
        let _ = match u.int_in_range(0..=7)? {
            0 => packer.frame(Kind::PROBE, &Probe { number, status }),
            1 => packer.frame(Kind::ACK, &Ack { number, status }),
            2 => packer.frame(Kind::BEAT, &Beat { next_ms: number, tables: small(u)? }),
            3 => {
                let (address, flags) = (Address(address(u.int_in_range(0..=4)?)), u.arbitrary()?);
                let ask = Ask { number, subject: node, incarnation, address, age_ms: status, flags };
                packer.frame(Kind::ASK, &ask)
            }
            4 => packer.frame(Kind::VOUCH, &Vouch { number }),
            5 => packer.frame(Kind::DENY, &Deny { number }),
            list => {
                packer.list(if list == 6 { Kind::STATUSES } else { Kind::ACCUSATIONS }, [said]);
                Ok(())
            }
        };
        Ok(())
    }

    fn greeting(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        let place = Address(address(u.int_in_range(0..=4)?));
        let (nonce, cookie) = (small(u)?, small(u)?);
        let (id, incarnation) = self.node(u)?;
        let _ = match u.int_in_range(0..=9)? {
            0 => {
                let (flags, round_trip) = u.arbitrary()?;
                packer.frame(Kind::HELLO, &Hello { nonce, cookie, flags, to: place, round_trip })
            }
            1 => packer.frame(Kind::RETRY, &Retry { echo: cookie, cookie }),
            2 => {
                let verdict = Verdict::from(u.int_in_range(0..=4)?);
                packer.frame(Kind::WELCOME, &Welcome { nonce, observed: place, verdict, incarnation })
            }
            3 => packer.frame(Kind::UNLINK, &Unlink { reason: u.int_in_range(0..=2)? }),
            4 => {
                let kind = if u.arbitrary()? { Kind::VIEW_REQUEST } else { Kind::VIEW_REPLY };
                let entry = ViewEntry { id, age_ds: small(u)? as u32, copies: u.arbitrary()?, address: place };
                packer.headed(kind, &ExchangeHead { nonce, flags: u.arbitrary()? }, [entry])
            }
            5 => packer.frame(Kind::VACANCY, &PeerEntry { id, incarnation, address: place }),
            6 => {
                let newcomer = PeerEntry { id, incarnation, address: place };
                packer.frame(Kind::WALK, &Walk { newcomer, hops: u.arbitrary()? })
            }
            7 => {
                packer.frame(Kind::SKETCH, &Sketch { epoch: small(u)? as u32, ranks: Blob(u.bytes(u.len().min(64))?) })
            }
            8 => packer.frame(Kind::CONFLICT, &Conflict { incarnation, address: place }),
            _ => {
                packer.list(Kind::PEERS, [PeerEntry { id, incarnation, address: place }]);
                Ok(())
            }
        };
        Ok(())
    }

    /// Frames of rumors and of the tree.
    fn broadcast(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        let (root, incarnation) = self.node(u)?;
        let (tree, number, cost) = (u.int_in_range(0..=2)?, small(u)? as u32, small(u)? as u32);
        let (depth, ids) = (u.arbitrary()?, blob(u)?);
        let heard = Heard { origin: root, incarnation, seq: number.into() };
        let _ = match u.int_in_range(0..=11)? {
            0 => {
                let address = Address(address(u.int_in_range(0..=4)?));
                let (priority, refresh_s) = (u.arbitrary()?, small(u)? as u16);
                let path = ids;
                let wave = Wave { tree, root, incarnation, address, priority, number, refresh_s, cost, depth, path };
                packer.frame(Kind::WAVE, &wave)
            }
            1 => packer.frame(Kind::CHILD, &Child { tree, number }),
            2 => packer.frame(Kind::CHILD_OK, &ChildOk { tree, number, cost, depth, path: ids }),
            3 => packer.frame(Kind::NOT_CHILD, &NotChild { tree }),
            4 => packer.frame(Kind::WAVE_REQUEST, &WaveRequest { tree, incarnation, number }),
            5 => packer.frame(Kind::INJECTED, &Injected { tree, incarnation, number, data: self.data(u)? }),
            6 => packer.frame(Kind::DATA_ACK, &DataAck { highest: number, missing: small(u)?, flags: depth }),
            7 => {
                let (span_ms, older) = (small(u)? as u32, u.arbitrary()?);
                packer.frame(Kind::DIGEST, &Digest { number, ids, span_ms, older })
            }
            8 => packer.frame(Kind::ANNOUNCE, &Announce { number, ids }),
            9 => packer.frame(Kind::FETCH, &Fetch { ids }),
            10 => packer.list_or_empty(Kind::HEARD, [heard]).map(drop),
            _ => packer.list_or_empty(Kind::INQUIRY, [heard]).map(drop),
        };
        Ok(())
    }

    fn data<'a>(&self, u: &mut Unstructured<'a>) -> Result<Data<'a>> {
        let (origin, incarnation) = self.node(u)?;
        Ok(Data {
            origin,
            incarnation,
            seq: small(u)?,
            order: u.int_in_range(0..=4)?,
            flags: u.arbitrary()?,
            previous: small(u)?,
            total: if u.ratio(1, 16)? { small(u)? } else { 0 },
            age_ms: small(u)? as u32,
            hops: u.arbitrary()?,
            predecessors: reserved(u)?,
            chunk: chunk(u)?,
            signature: reserved(u)?,
            path: blob(u)?,
            payload: blob(u)?,
        })
    }

    /// Frames of anti-entropy.
    fn comparison(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        let (origin, incarnation) = self.node(u)?;
        let (first, more) = (small(u)?, small(u)?);
        match u.int_in_range(0..=3)? {
            0 => {
                let _ = packer.frame(Kind::ROOT, &Root { sum: first, rows: more as u32 });
            }
            1 => {
                let runs = blob(u)?;
                let frontier = Frontier { origin, incarnation, low: first, top: more, idle_ms: small(u)? as u32, runs };
                let head = self.head(u)?.min(PageHead { node: origin, incarnation });
                let _ = packer.page(Kind::FRONTIERS, &head, [frontier]);
            }
            2 => {
                packer.list(Kind::PULL, [Wanted { origin, incarnation, first, more }]);
            }
            _ => {
                let why = Absence::from(u.int_in_range(0..=2)?);
                packer.list(Kind::ABSENT, [Absent { origin, incarnation, first, more, why }]);
            }
        }
        Ok(())
    }

    fn register(&self, u: &mut Unstructured<'_>, packer: &mut Packer<'_>) -> Result<()> {
        let (owner, incarnation) = self.node(u)?;
        let (after, version) = (small(u)?, small(u)?);
        match u.int_in_range(0..=2)? {
            0 => {
                let _ = packer.frame(Kind::REGISTER_ROOT, &Root { sum: after, rows: version as u32 });
            }
            1 => {
                let frontier = RegisterFrontier { owner, incarnation, complete: version, status: small(u)? as u32 };
                let head = self.head(u)?.min(PageHead { node: owner, incarnation: Incarnation(0) });
                let _ = packer.page(Kind::REGISTER_FRONTIERS, &head, [frontier]);
            }
            _ => {
                let state = RegisterState::from(u.int_in_range(0..=3)?);
                let (ahead, age_ms, key, value) = (small(u)?, small(u)? as u32, blob(u)?, blob(u)?);
                let update = Update { owner, incarnation, after, version, ahead, state, age_ms, key, value };
                packer.list(Kind::UPDATES, [update]);
            }
        }
        Ok(())
    }

    fn head(&self, u: &mut Unstructured<'_>) -> Result<PageHead> {
        let (node, incarnation) = if bool::arbitrary(u)? { self.node(u)? } else { (NodeId(0), Incarnation(0)) };
        Ok(PageHead { node, incarnation })
    }

    /// A node that exists, or one that does not; in its own life, or in another.
    fn node(&self, u: &mut Unstructured<'_>) -> Result<(NodeId, Incarnation)> {
        let (node, incarnation) = *u.choose(self.known)?;
        Ok(match u.int_in_range(0..=9)? {
            0 => (node, Incarnation(small(u)?)),
            1 => (node, Incarnation(incarnation.0.saturating_add(1 << 32))),
            2 => (NodeId(small(u)?), incarnation),
            _ => (node, incarnation),
        })
    }
}

/// Mostly a small number, sometimes an extreme one.
pub fn small(u: &mut Unstructured<'_>) -> Result<u64> {
    const EXTREMES: [u64; 6] = [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 32, u32::MAX as u64, 1 << 16];
    let byte = usize::from(u8::arbitrary(u)?);
    Ok(if byte < 6 { EXTREMES[byte] } else { byte as u64 % 40 })
}

fn blob<'a>(u: &mut Unstructured<'a>) -> Result<Blob<'a>> {
    let len = usize::from(u8::arbitrary(u)? % 64).min(u.len());
    u.bytes(len).map(Blob)
}

/// A slot that this version must find empty.
/// Mostly none, often a part of some few, seldom anything else.
fn chunk<'a>(u: &mut Unstructured<'a>) -> Result<Blob<'a>> {
    match u.int_in_range(0..=15)? {
        0 => blob(u),
        1..=5 => Ok(Blob(u.choose(&[&[0, 2][..], &[1, 2], &[0, 3], &[1, 3], &[2, 3], &[0, 0x80, 8], &[3, 40]])?)),
        _ => Ok(Blob(&[])),
    }
}

fn reserved<'a>(u: &mut Unstructured<'a>) -> Result<Blob<'a>> {
    if u.ratio(1, 32)? { blob(u) } else { Ok(Blob(&[])) }
}
