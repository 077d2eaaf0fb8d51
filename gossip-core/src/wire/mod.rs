//! What two nodes say to each other, as bytes: the header of a datagram and the frames behind it.
//!
//! # Intuition
//!
//! A datagram is an envelope with slips of paper in it. The envelope ([`Header`], 48 bytes) says who sent it, which of
//! the sender's datagrams it is, and carries the tag that proves it. Each slip is a frame: what kind it is (one byte),
//! how long (two bytes), and what it says (the body). A reader that does not know a kind lays the slip aside, because
//! it can see where the next one starts. So a new kind of frame never confuses an old node.
//!
//! This module knows bytes and nothing of state: it neither remembers nor decides. Every function is total, so any
//! bytes from the network give a value or a named error. Bodies are written by postcard, read without copying, and
//! specified byte by byte in `WIRE.md`; golden vectors pin them.
//!
//! # How the format grows
//!
//! - A new kind gets a new number in the range of its sub-protocol; numbers are never reused.
//! - A frame that is one record may get fields at its end. An old reader ignores what follows the fields that it knows.
//!   A new reader takes the old fields first and the new ones from what is left: nothing left means their defaults,
//!   so the new fields form a struct of their own with a [`Default`].
//! - A list has no end mark between entry and entry, so entries cannot grow: a longer entry is a new kind.
//! - Anything else is a new version in the first byte of the header.

mod anti_entropy;
mod broadcast;
mod failure_detector;
mod field;
mod frames;
mod header;
mod list;
mod membership;
mod register;
mod runs;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_nodes;
#[cfg(test)]
mod tests;

pub use anti_entropy::{Absence, Absent, Frontier, Root, Wanted};
pub use broadcast::{
    Announce, Child, ChildOk, Chunk, Data, DataAck, Digest, Fetch, Heard, Injected, NotChild, Wave, WaveRequest,
};
pub use failure_detector::{Ack, Ask, Beat, Deny, MemberStatus, Probe, Vouch};
pub use field::{Address, Blob};
pub use frames::{FRAME_HEAD_LEN, Frames, Kind};
pub use header::{HEADER_LEN, Header, HeaderError, VOUCHED_LEN, datagram_number};
pub use list::{LIST_MAX, List, Page, PageHead};
pub use membership::{
    Conflict, Exchange, ExchangeHead, Hello, PeerEntry, Retry, Sketch, Unlink, Verdict, ViewEntry, Walk, Welcome,
};
pub use register::{RegisterFrontier, RegisterState, Update};
pub use runs::RunsBuffer;

use serde::Deserialize;

/// One frame, understood: a variant per kind, borrowed from the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// [`Kind::HELLO`]
    Hello(Hello),
    /// [`Kind::RETRY`]
    Retry(Retry),
    /// [`Kind::WELCOME`]
    Welcome(Welcome),
    /// [`Kind::PEERS`]
    Peers(List<'a, PeerEntry>),
    /// [`Kind::UNLINK`]
    Unlink(Unlink),
    /// [`Kind::CONFLICT`]
    Conflict(Conflict),
    /// [`Kind::VACANCY`]
    Vacancy(PeerEntry),
    /// [`Kind::WALK`]
    Walk(Walk),
    /// [`Kind::VIEW_REQUEST`]
    ViewRequest(Exchange<'a>),
    /// [`Kind::VIEW_REPLY`]
    ViewReply(Exchange<'a>),
    /// [`Kind::SKETCH`]
    Sketch(Sketch<'a>),
    /// [`Kind::PROBE`]
    Probe(Probe),
    /// [`Kind::ACK`]
    Ack(Ack),
    /// [`Kind::BEAT`]
    Beat(Beat),
    /// [`Kind::ASK`]
    Ask(Ask),
    /// [`Kind::VOUCH`]
    Vouch(Vouch),
    /// [`Kind::DENY`]
    Deny(Deny),
    /// [`Kind::STATUSES`]
    Statuses(List<'a, MemberStatus>),
    /// [`Kind::ACCUSATIONS`]
    Accusations(List<'a, MemberStatus>),
    /// [`Kind::DATA`]
    Data(Data<'a>),
    /// [`Kind::WAVE`]
    Wave(Wave<'a>),
    /// [`Kind::CHILD`]
    Child(Child),
    /// [`Kind::CHILD_OK`]
    ChildOk(ChildOk<'a>),
    /// [`Kind::NOT_CHILD`]
    NotChild(NotChild),
    /// [`Kind::WAVE_REQUEST`]
    WaveRequest(WaveRequest),
    /// [`Kind::INJECTED`]
    Injected(Injected<'a>),
    /// [`Kind::DATA_ACK`]
    DataAck(DataAck),
    /// [`Kind::DIGEST`]
    Digest(Digest<'a>),
    /// [`Kind::ANNOUNCE`]
    Announce(Announce<'a>),
    /// [`Kind::FETCH`]
    Fetch(Fetch<'a>),
    /// [`Kind::HEARD`]
    Heard(List<'a, Heard>),
    /// [`Kind::INQUIRY`]
    Inquiry(List<'a, Heard>),
    /// [`Kind::ROOT`]
    Root(Root),
    /// [`Kind::FRONTIERS`]
    Frontiers(Page<'a, Frontier<'a>>),
    /// [`Kind::PULL`]
    Pull(List<'a, Wanted>),
    /// [`Kind::ABSENT`]
    Absent(List<'a, Absent>),
    /// [`Kind::REGISTER_ROOT`]
    RegisterRoot(Root),
    /// [`Kind::REGISTER_FRONTIERS`]
    RegisterFrontiers(Page<'a, RegisterFrontier>),
    /// [`Kind::UPDATES`]
    Updates(List<'a, Update<'a>>),
}

impl<'a> Frame<'a> {
    /// Reads the body of a frame: the only table of kinds.
    ///
    /// # Errors
    ///
    /// [`FrameError::Unknown`] for a kind that this version does not know; [`FrameError::Broken`] for a body that its
    /// kind does not allow. Either way the frames behind it can still be read.
    pub fn parse(kind: Kind, body: &'a [u8]) -> Result<Self, FrameError> {
        Ok(match kind {
            Kind::HELLO => Self::Hello(record(body)?),
            Kind::RETRY => Self::Retry(record(body)?),
            Kind::WELCOME => Self::Welcome(record(body)?),
            Kind::PEERS => Self::Peers(List::new(body)),
            Kind::UNLINK => Self::Unlink(record(body)?),
            Kind::CONFLICT => Self::Conflict(record(body)?),
            Kind::VACANCY => Self::Vacancy(record(body)?),
            Kind::WALK => Self::Walk(record(body)?),
            Kind::VIEW_REQUEST => Self::ViewRequest(Exchange::parse(body).ok_or(FrameError::Broken)?),
            Kind::VIEW_REPLY => Self::ViewReply(Exchange::parse(body).ok_or(FrameError::Broken)?),
            Kind::SKETCH => Self::Sketch(record(body)?),
            Kind::PROBE => Self::Probe(record(body)?),
            Kind::ACK => Self::Ack(record(body)?),
            Kind::BEAT => Self::Beat(record(body)?),
            Kind::ASK => Self::Ask(record(body)?),
            Kind::VOUCH => Self::Vouch(record(body)?),
            Kind::DENY => Self::Deny(record(body)?),
            Kind::STATUSES => Self::Statuses(List::new(body)),
            Kind::ACCUSATIONS => Self::Accusations(List::new(body)),
            Kind::DATA => Self::Data(record(body)?),
            Kind::WAVE => Self::Wave(record(body)?),
            Kind::CHILD => Self::Child(record(body)?),
            Kind::CHILD_OK => Self::ChildOk(record(body)?),
            Kind::NOT_CHILD => Self::NotChild(record(body)?),
            Kind::WAVE_REQUEST => Self::WaveRequest(record(body)?),
            Kind::INJECTED => Self::Injected(record(body)?),
            Kind::DATA_ACK => Self::DataAck(record(body)?),
            Kind::DIGEST => Self::Digest(record(body)?),
            Kind::ANNOUNCE => Self::Announce(record(body)?),
            Kind::FETCH => Self::Fetch(record(body)?),
            Kind::HEARD => Self::Heard(List::new(body)),
            Kind::INQUIRY => Self::Inquiry(List::new(body)),
            Kind::ROOT => Self::Root(record(body)?),
            Kind::FRONTIERS => Self::Frontiers(list::page(body).ok_or(FrameError::Broken)?),
            Kind::PULL => Self::Pull(List::new(body)),
            Kind::ABSENT => Self::Absent(List::new(body)),
            Kind::REGISTER_ROOT => Self::RegisterRoot(record(body)?),
            Kind::REGISTER_FRONTIERS => Self::RegisterFrontiers(list::page(body).ok_or(FrameError::Broken)?),
            Kind::UPDATES => Self::Updates(List::new(body)),
            _ => return Err(FrameError::Unknown),
        })
    }
}

/// Why a frame was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The kind is not known: a later version wrote it.
    Unknown,
    /// The body is too short, or a field has a value that cannot be.
    Broken,
}

/// A body that is one record. What follows the known fields was appended by a later version and is ignored.
fn record<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((value, _appended)) => Ok(value),
        Err(_) => Err(FrameError::Broken),
    }
}
