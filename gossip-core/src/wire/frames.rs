//! Where one frame ends and the next begins.
//!
//! ```text
//! ┌──────┬─────────────┬───────────────────┐
//! │kind  │length       │body               │  …the next frame
//! │1 byte│2 bytes      │`length` bytes     │
//! └──────┴─────────────┴───────────────────┘
//! ```
//!
//! Zeros are padding wherever a frame could start: three of them are an empty frame of kind 0, and one or two at the
//! very end are too few for a frame.

use crate::auth::Opened;

/// Bytes in front of the body of a frame.
pub const FRAME_HEAD_LEN: usize = 3;

/// What a frame is about: a fixed number, by range per sub-protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Says nothing; skipped by [`Frames`].
    pub const PADDING: Self = Self(0x00);

    // Membership: 0x01 to 0x1f.
    /// [`Hello`](super::Hello)
    pub const HELLO: Self = Self(0x01);
    /// [`Retry`](super::Retry)
    pub const RETRY: Self = Self(0x02);
    /// [`Welcome`](super::Welcome)
    pub const WELCOME: Self = Self(0x03);
    /// A list of [`PeerEntry`](super::PeerEntry)
    pub const PEERS: Self = Self(0x04);
    /// [`Unlink`](super::Unlink)
    pub const UNLINK: Self = Self(0x05);
    /// [`Conflict`](super::Conflict)
    pub const CONFLICT: Self = Self(0x06);
    /// A [`PeerEntry`](super::PeerEntry): it has lost a link just now and has room for another one
    pub const VACANCY: Self = Self(0x07);
    /// [`Walk`](super::Walk)
    pub const WALK: Self = Self(0x08);
    /// [`Exchange`](super::Exchange), the question
    pub const VIEW_REQUEST: Self = Self(0x10);
    /// [`Exchange`](super::Exchange), the answer
    pub const VIEW_REPLY: Self = Self(0x11);
    /// [`Sketch`](super::Sketch)
    pub const SKETCH: Self = Self(0x12);

    // Failure detector: 0x20 to 0x3f.
    /// [`Probe`](super::Probe)
    pub const PROBE: Self = Self(0x20);
    /// [`Ack`](super::Ack)
    pub const ACK: Self = Self(0x21);
    /// [`Beat`](super::Beat)
    pub const BEAT: Self = Self(0x22);
    /// [`Ask`](super::Ask)
    pub const ASK: Self = Self(0x23);
    /// [`Vouch`](super::Vouch)
    pub const VOUCH: Self = Self(0x24);
    /// [`Deny`](super::Deny)
    pub const DENY: Self = Self(0x25);
    /// A list of [`MemberStatus`](super::MemberStatus): news
    pub const STATUSES: Self = Self(0x26);
    /// A list of [`MemberStatus`](super::MemberStatus): hearsay
    pub const ACCUSATIONS: Self = Self(0x27);

    // Broadcast: 0x40 to 0x5f.
    /// [`Data`](super::Data)
    pub const DATA: Self = Self(0x40);
    /// [`Wave`](super::Wave)
    pub const WAVE: Self = Self(0x41);
    /// [`Child`](super::Child)
    pub const CHILD: Self = Self(0x42);
    /// [`ChildOk`](super::ChildOk)
    pub const CHILD_OK: Self = Self(0x43);
    /// [`NotChild`](super::NotChild)
    pub const NOT_CHILD: Self = Self(0x44);
    /// [`WaveRequest`](super::WaveRequest)
    pub const WAVE_REQUEST: Self = Self(0x45);
    /// [`Injected`](super::Injected)
    pub const INJECTED: Self = Self(0x46);
    /// [`DataAck`](super::DataAck)
    pub const DATA_ACK: Self = Self(0x47);
    /// [`Digest`](super::Digest)
    pub const DIGEST: Self = Self(0x48);
    /// [`Announce`](super::Announce)
    pub const ANNOUNCE: Self = Self(0x49);
    /// [`Fetch`](super::Fetch)
    pub const FETCH: Self = Self(0x4a);
    /// A list of [`Heard`](super::Heard): "I had heard these"
    pub const HEARD: Self = Self(0x4b);
    /// A list of [`Heard`](super::Heard): "What is new? I have heard these"
    pub const INQUIRY: Self = Self(0x4c);

    // Anti-entropy: 0x60 to 0x7f.
    /// [`Root`](super::Root) of the table of frontiers
    pub const ROOT: Self = Self(0x60);
    /// A page of [`Frontier`](super::Frontier)
    pub const FRONTIERS: Self = Self(0x61);
    /// A list of [`Wanted`](super::Wanted)
    pub const PULL: Self = Self(0x62);
    /// A list of [`Absent`](super::Absent)
    pub const ABSENT: Self = Self(0x63);

    // Registers: 0x80 to 0x9f.
    /// [`Root`](super::Root) of the table of registers
    pub const REGISTER_ROOT: Self = Self(0x80);
    /// A page of [`RegisterFrontier`](super::RegisterFrontier)
    pub const REGISTER_FRONTIERS: Self = Self(0x81);
    /// A list of [`Update`](super::Update)
    pub const UPDATES: Self = Self(0x82);

    // Order: 0xa0 to 0xbf, reserved.
}

/// The frames of a datagram, in order: kind and body. Ends after the first broken length.
///
/// Made only from [`Opened`], so that no frame is read before its datagram was found genuine.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames of a datagram that was found genuine.
    pub fn new(opened: Opened<'a>) -> Self {
        Self { rest: opened.body() }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<(Kind, &'a [u8]), BrokenLength>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((&[kind, low, high], rest)) = self.rest.split_first_chunk() else {
                let padding = self.rest.iter().all(|&byte| byte == 0);
                self.rest = &[];
                return if padding { None } else { Some(Err(BrokenLength)) };
            };
            let Some((body, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high]))) else {
                self.rest = &[];
                return Some(Err(BrokenLength));
            };
            self.rest = rest;
            if Kind(kind) != Kind::PADDING {
                return Some(Ok((Kind(kind), body)));
            }
        }
    }
}

/// A frame claims to be longer than what is left of the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenLength;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frames(body: &[u8]) -> Vec<Result<(u8, &[u8]), BrokenLength>> {
        Frames::new(Opened::forged(body)).map(|frame| frame.map(|(kind, body)| (kind.0, body))).collect()
    }

    #[test]
    fn every_frame_comes_whatever_its_kind() {
        assert_eq!(
            frames(b"\x01\x02\x00ab\xfe\x00\x00\x21\x01\x00c"),
            [Ok((0x01, &b"ab"[..])), Ok((0xfe, b"")), Ok((0x21, b"c"))]
        );
    }

    #[test]
    fn a_broken_length_ends_the_datagram() {
        assert_eq!(frames(b"\x01\x01\x00a\x02\x03\x00bc"), [Ok((1, &b"a"[..])), Err(BrokenLength)]);
        assert_eq!(frames(b"\x01\x01\x00a\x02\x03"), [Ok((1, &b"a"[..])), Err(BrokenLength)]);
        assert_eq!(frames(b"\x00\x01\x00"), [Err(BrokenLength)]);
    }

    #[test]
    fn padding_is_silent_at_every_length() {
        for zeros in 0..10 {
            let mut body = b"\x20\x01\x00\x07".to_vec();
            body.resize(body.len() + zeros, 0);
            assert_eq!(frames(&body), [Ok((0x20, &b"\x07"[..]))], "{zeros} zeros");
        }
        assert_eq!(frames(b"\x00\x02\x00zz\x20\x00\x00"), [Ok((0x20, &b""[..]))]);
    }
}
