//! Fills one datagram with frames from many writers.
//!
//! # Intuition
//!
//! A datagram is a suitcase that several people pack one after the other, the most urgent first. Who packs early must
//! not take the room that those behind were promised, so the router tells the suitcase what to [`keep`](Packer::keep)
//! before each one's turn. A frame goes in whole or not at all: "full" leaves the suitcase as it was.
//!
//! A promised *room* is not enough: a frame that never fits into its share would never leave. So who could place
//! nothing goes first next time, with all the room; that is the router's duty.

#[cfg(any(test, feature = "__internals"))]
use serde::Deserialize;
use serde::Serialize;

use crate::wire::{FRAME_HEAD_LEN, HEADER_LEN, Kind, LIST_MAX, PageHead};
#[cfg(any(test, feature = "__internals"))]
use crate::wire::{Frame, List, Page};

/// The frames of one datagram in the making.
#[derive(Debug)]
pub struct Packer<'b> {
    body: &'b mut [u8],
    len: usize,
    kept: usize,
}

/// There is no room; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a page took from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paged {
    /// Entries written.
    pub entries: usize,
    /// The page was full before the table ended.
    pub more: bool,
}

impl<'b> Packer<'b> {
    /// Packs into `datagram` behind the room for the header, at most `mtu` bytes with the header.
    pub fn new(datagram: &'b mut [u8], mtu: usize) -> Self {
        let end = datagram.len().min(mtu);
        let body = datagram.get_mut(HEADER_LEN..end).unwrap_or_default();
        Self { body, len: 0, kept: 0 }
    }

    /// Keeps room for the writers behind, in place of what was kept before; 0 releases it.
    pub const fn keep(&mut self, for_later: usize) {
        self.kept = for_later;
    }

    /// Bytes that the next frame may take, its head included.
    pub const fn room(&self) -> usize {
        self.body.len().saturating_sub(self.len).saturating_sub(self.kept)
    }

    /// Bytes of frames so far, without the header of the datagram.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// No frame so far.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A frame that is one record.
    ///
    /// # Errors
    ///
    /// [`Full`] if it does not fit.
    pub fn frame<T: Serialize>(&mut self, kind: Kind, body: &T) -> Result<(), Full> {
        let mut frame = self.begin()?;
        frame.put(body)?;
        let len = frame.len;
        self.commit(kind, len);
        Ok(())
    }

    /// A frame that is a list: as many entries as fit, at most [`LIST_MAX`]. No entry, no frame.
    ///
    /// Returns how many were written, so that a cursor can move.
    pub fn list<T: Serialize>(&mut self, kind: Kind, entries: impl IntoIterator<Item = T>) -> usize {
        let Ok(mut frame) = self.begin() else { return 0 };
        let written = frame.put_all(&mut entries.into_iter()).entries;
        let len = frame.len;
        if written > 0 {
            self.commit(kind, len);
        }
        written
    }

    /// A frame that is a record with a list behind it: as many entries as fit, at most [`LIST_MAX`], perhaps none.
    ///
    /// # Errors
    ///
    /// [`Full`] if the record does not fit.
    pub fn headed<T: Serialize>(
        &mut self,
        kind: Kind,
        head: &impl Serialize,
        entries: impl IntoIterator<Item = T>,
    ) -> Result<(), Full> {
        let mut frame = self.begin()?;
        frame.put(head)?;
        frame.put_all(&mut entries.into_iter());
        let len = frame.len;
        self.commit(kind, len);
        Ok(())
    }

    /// A frame that is a list and says something also without entries: as many as fit, at most [`LIST_MAX`].
    ///
    /// # Errors
    ///
    /// [`Full`] if not even the head of the frame fits.
    pub fn list_or_empty<T: Serialize>(
        &mut self,
        kind: Kind,
        entries: impl IntoIterator<Item = T>,
    ) -> Result<usize, Full> {
        let mut frame = self.begin()?;
        let written = frame.put_all(&mut entries.into_iter()).entries;
        let len = frame.len;
        self.commit(kind, len);
        Ok(written)
    }

    /// A frame that is a page: the rows of a sorted table from `head` on, as many as fit, at most [`LIST_MAX`].
    ///
    /// A table without rows from there on gives a page without entries, which says just that.
    ///
    /// # Errors
    ///
    /// [`Full`] if not even one entry fits.
    pub fn page<T: Serialize>(
        &mut self,
        kind: Kind,
        head: &PageHead,
        entries: impl IntoIterator<Item = T>,
    ) -> Result<Paged, Full> {
        let mut frame = self.begin()?;
        frame.put(&0_u8)?;
        frame.put(head)?;
        let paged = frame.put_all(&mut entries.into_iter());
        if paged.more && paged.entries == 0 {
            return Err(Full);
        }
        frame.body[0] = u8::from(paged.more);
        let len = frame.len;
        self.commit(kind, len);
        Ok(paged)
    }

    /// Fills up with padding until the frames take `len` bytes, or the room ends.
    pub fn pad(&mut self, len: usize) {
        let end = len.min(self.len + self.room());
        if end > self.len {
            self.body[self.len..end].fill(0);
            self.len = end;
        }
    }

    fn begin(&mut self) -> Result<Open<'_>, Full> {
        let room = self.room().checked_sub(FRAME_HEAD_LEN).ok_or(Full)?.min(usize::from(u16::MAX));
        let start = self.len + FRAME_HEAD_LEN;
        Ok(Open { body: &mut self.body[start..start + room], len: 0 })
    }

    fn commit(&mut self, kind: Kind, len: usize) {
        let [low, high] =
            u16::try_from(len).expect("a frame is opened with at most 65,535 bytes of room").to_le_bytes();
        self.body[self.len..self.len + FRAME_HEAD_LEN].copy_from_slice(&[kind.0, low, high]);
        self.len += FRAME_HEAD_LEN + len;
    }
}

/// For fuzzers and hostile tests.
#[cfg(any(test, feature = "__internals"))]
impl Packer<'_> {
    /// Writes a frame that was read. A list loses what follows its last good entry; one without any is not written.
    ///
    /// # Errors
    ///
    /// [`Full`] if it does not fit.
    pub fn any(&mut self, frame: &Frame<'_>) -> Result<(), Full> {
        match frame {
            Frame::Hello(body) => self.frame(Kind::HELLO, body),
            Frame::Retry(body) => self.frame(Kind::RETRY, body),
            Frame::Welcome(body) => self.frame(Kind::WELCOME, body),
            Frame::Peers(list) => self.whole_list(Kind::PEERS, list),
            Frame::Unlink(body) => self.frame(Kind::UNLINK, body),
            Frame::Conflict(body) => self.frame(Kind::CONFLICT, body),
            Frame::Vacancy(body) => self.frame(Kind::VACANCY, body),
            Frame::Walk(body) => self.frame(Kind::WALK, body),
            Frame::ViewRequest(body) => self.headed(Kind::VIEW_REQUEST, &body.head, body.entries),
            Frame::ViewReply(body) => self.headed(Kind::VIEW_REPLY, &body.head, body.entries),
            Frame::Sketch(body) => self.frame(Kind::SKETCH, body),
            Frame::Probe(body) => self.frame(Kind::PROBE, body),
            Frame::Ack(body) => self.frame(Kind::ACK, body),
            Frame::Beat(body) => self.frame(Kind::BEAT, body),
            Frame::Ask(body) => self.frame(Kind::ASK, body),
            Frame::Vouch(body) => self.frame(Kind::VOUCH, body),
            Frame::Deny(body) => self.frame(Kind::DENY, body),
            Frame::Statuses(list) => self.whole_list(Kind::STATUSES, list),
            Frame::Accusations(list) => self.whole_list(Kind::ACCUSATIONS, list),
            Frame::Data(body) => self.frame(Kind::DATA, body),
            Frame::Wave(body) => self.frame(Kind::WAVE, body),
            Frame::Child(body) => self.frame(Kind::CHILD, body),
            Frame::ChildOk(body) => self.frame(Kind::CHILD_OK, body),
            Frame::NotChild(body) => self.frame(Kind::NOT_CHILD, body),
            Frame::WaveRequest(body) => self.frame(Kind::WAVE_REQUEST, body),
            Frame::Injected(body) => self.frame(Kind::INJECTED, body),
            Frame::DataAck(body) => self.frame(Kind::DATA_ACK, body),
            Frame::Digest(body) => self.frame(Kind::DIGEST, body),
            Frame::Announce(body) => self.frame(Kind::ANNOUNCE, body),
            Frame::Fetch(body) => self.frame(Kind::FETCH, body),
            Frame::Heard(list) => self.whole_list(Kind::HEARD, list),
            Frame::Inquiry(list) => match self.list_or_empty(Kind::INQUIRY, list.iter())? {
                written if written == list.iter().count() => Ok(()),
                _ => Err(Full),
            },
            Frame::Root(body) => self.frame(Kind::ROOT, body),
            Frame::Frontiers(page) => self.whole_page(Kind::FRONTIERS, page),
            Frame::Pull(list) => self.whole_list(Kind::PULL, list),
            Frame::Absent(list) => self.whole_list(Kind::ABSENT, list),
            Frame::RegisterRoot(body) => self.frame(Kind::REGISTER_ROOT, body),
            Frame::RegisterFrontiers(page) => self.whole_page(Kind::REGISTER_FRONTIERS, page),
            Frame::Updates(list) => self.whole_list(Kind::UPDATES, list),
        }
    }

    /// Writes a frame with any kind and body.
    ///
    /// # Errors
    ///
    /// [`Full`] if it does not fit.
    pub fn raw(&mut self, kind: Kind, body: &[u8]) -> Result<(), Full> {
        let frame = self.begin()?;
        frame.body.get_mut(..body.len()).ok_or(Full)?.copy_from_slice(body);
        self.commit(kind, body.len());
        Ok(())
    }

    fn whole_list<'a, T: Serialize + Deserialize<'a>>(&mut self, kind: Kind, list: &List<'a, T>) -> Result<(), Full> {
        let written = self.list(kind, list.iter());
        if written == list.iter().count() { Ok(()) } else { Err(Full) }
    }

    fn whole_page<'a, T: Serialize + Deserialize<'a>>(&mut self, kind: Kind, page: &Page<'a, T>) -> Result<(), Full> {
        let start = self.len;
        let paged = self.page(kind, &page.head, page.entries.iter())?;
        self.body[start + FRAME_HEAD_LEN] = u8::from(page.more);
        if paged.more { Err(Full) } else { Ok(()) }
    }
}

/// The body of a frame that does not count yet.
struct Open<'p> {
    body: &'p mut [u8],
    len: usize,
}

impl Open<'_> {
    fn put<T: Serialize>(&mut self, value: &T) -> Result<(), Full> {
        let written = postcard::to_slice(value, &mut self.body[self.len..]).map_err(|_| Full)?;
        self.len += written.len();
        Ok(())
    }

    fn put_all<T: Serialize>(&mut self, entries: &mut impl Iterator<Item = T>) -> Paged {
        let mut written = 0;
        for entry in entries {
            if written == LIST_MAX || self.put(&entry).is_err() {
                return Paged { entries: written, more: true };
            }
            written += 1;
        }
        Paged { entries: written, more: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Opened;
    use crate::ids::{Incarnation, NodeId};
    use crate::wire::{Blob, Frames, Update, Wanted};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn wanted(first: u64) -> Wanted {
        Wanted { origin: NodeId(1), incarnation: Incarnation(2), first, more: 0 }
    }

    /// What a writer tries.
    #[derive(Clone, Debug)]
    enum Attempt {
        Frame(usize),
        Keep(usize),
        List(u64),
        Page(u64),
    }

    fn attempt() -> impl Strategy<Value = Attempt> {
        prop_oneof![
            (0..200_usize).prop_map(Attempt::Frame),
            (0..100_usize).prop_map(Attempt::Keep),
            (0..20_u64).prop_map(Attempt::List),
            (0..20_u64).prop_map(Attempt::Page),
        ]
    }

    /// Does what `attempt` says, and adds to `expected` the frames that should be in the datagram now.
    fn try_it(packer: &mut Packer<'_>, attempt: &Attempt, expected: &mut Vec<(Kind, usize)>) {
        let (before, room) = (packer.len(), packer.room());
        match *attempt {
            Attempt::Keep(bytes) => packer.keep(bytes),
            Attempt::Frame(len) => {
                let fits = FRAME_HEAD_LEN + len + if len < 128 { 1 } else { 2 } <= room;
                assert_eq!(packer.frame(Kind::DATA, &Blob(&[7; 200][..len])).is_ok(), fits);
                expected.extend(fits.then_some((Kind::DATA, packer.len() - before)));
            }
            Attempt::List(count) => {
                let fit = (room.saturating_sub(FRAME_HEAD_LEN) / 18).min(count as usize);
                assert_eq!(packer.list(Kind::PULL, (0..count).map(wanted)), fit);
                expected.extend((fit > 0).then_some((Kind::PULL, FRAME_HEAD_LEN + 18 * fit)));
            }
            Attempt::Page(count) => {
                let fit = room.checked_sub(FRAME_HEAD_LEN + 17).map(|room| (room / 18).min(count as usize));
                let paged = packer.page(Kind::FRONTIERS, &PageHead::START, (0..count).map(wanted));
                match fit.filter(|&fit| fit > 0 || count == 0) {
                    Some(fit) => {
                        assert_eq!(paged, Ok(Paged { entries: fit, more: fit < count as usize }));
                        expected.push((Kind::FRONTIERS, FRAME_HEAD_LEN + 17 + 18 * fit));
                    }
                    None => assert_eq!(paged, Err(Full)),
                }
            }
        }
        assert!(packer.len() == before || packer.len() - before <= room, "not more than the room that there was");
    }

    proptest! {
        #[test]
        fn a_frame_is_whole_or_absent(room in 0..400_usize, attempts in vec(attempt(), 0..20)) {
            let mut datagram = std::vec![0xee; HEADER_LEN + 400];
            let mut packer = Packer::new(&mut datagram, HEADER_LEN + room);
            let mut expected = Vec::new();
            for attempt in &attempts {
                try_it(&mut packer, attempt, &mut expected);
            }
            let len = packer.len();
            prop_assert_eq!(packer.is_empty(), expected.is_empty());
            prop_assert!(len <= room);
            let frames: Vec<_> = Frames::new(Opened::forged(&datagram[HEADER_LEN..HEADER_LEN + len]))
                .map(|frame| frame.map(|(kind, body)| (kind, FRAME_HEAD_LEN + body.len())))
                .collect();
            prop_assert_eq!(frames, expected.into_iter().map(Ok).collect::<Vec<_>>());
            prop_assert!(datagram[..HEADER_LEN].iter().all(|&byte| byte == 0xee), "the header is not ours");
            prop_assert!(datagram[HEADER_LEN + room..].iter().all(|&byte| byte == 0xee), "nor is what is above the MTU");
        }
    }

    #[test]
    fn what_is_kept_is_there_for_those_behind() {
        let mut datagram = [0; HEADER_LEN + 30];
        let mut packer = Packer::new(&mut datagram, usize::MAX);
        packer.keep(10);
        assert_eq!(packer.room(), 20);
        assert_eq!(packer.raw(Kind::DATA, &[0; 18]), Err(Full));
        assert_eq!(packer.raw(Kind::DATA, &[0; 17]), Ok(()));
        assert_eq!(packer.room(), 0);
        packer.keep(0);
        assert_eq!(packer.raw(Kind::DATA, &[0; 7]), Ok(()));
        assert_eq!((packer.len(), packer.room()), (30, 0));
    }

    #[test]
    fn a_buffer_without_room_for_a_header_takes_nothing() {
        for len in [0, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 2] {
            let mut datagram = std::vec![0; len];
            let mut packer = Packer::new(&mut datagram, usize::MAX);
            assert_eq!(packer.raw(Kind::DATA, &[]), Err(Full), "{len} bytes");
        }
    }

    #[test]
    fn a_list_has_at_most_as_many_entries_as_a_reader_takes() {
        let mut datagram = std::vec![0; 65_507];
        let mut packer = Packer::new(&mut datagram, usize::MAX);
        assert_eq!(packer.list(Kind::PULL, (0..600).map(wanted)), LIST_MAX);
        let paged = packer.page(Kind::FRONTIERS, &PageHead::START, (0..600).map(wanted));
        assert_eq!(paged, Ok(Paged { entries: LIST_MAX, more: true }));
        let paged = packer.page(Kind::FRONTIERS, &PageHead::START, (0..LIST_MAX as u64).map(wanted));
        assert_eq!(paged, Ok(Paged { entries: LIST_MAX, more: false }));
    }

    #[test]
    fn a_frame_is_no_longer_than_its_length_can_say() {
        let mut datagram = std::vec![0; 200_000];
        let mut packer = Packer::new(&mut datagram, usize::MAX);
        assert_eq!(packer.raw(Kind::DATA, &[0; 65_536]), Err(Full));
        assert_eq!(packer.raw(Kind::DATA, &[0; 65_535]), Ok(()));
        assert_eq!(packer.frame(Kind::DATA, &Blob(&[0; 65_533])), Err(Full));
        let entry = Update {
            owner: NodeId(1),
            incarnation: Incarnation(2),
            after: 0,
            version: 1,
            ahead: 0,
            state: 0.into(),
            age_ms: 0,
            key: Blob(&[]),
            value: Blob(&[0; 40_000]),
        };
        assert_eq!(packer.list(Kind::UPDATES, [entry, entry]), 1);
    }
}
