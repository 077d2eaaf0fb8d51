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

use serde::Serialize;

use crate::wire::{FRAME_HEAD_LEN, HEADER_LEN, Kind, LIST_MAX, PageHead};

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
