//! A set of sequence numbers as runs: how many are missing, how many are there, and so on, upwards from a start.
//!
//! With `top` = 4 and 7, 8, 12 seen, the bytes are 2 2 · 3 1: two missing (5, 6), two seen (7, 8), three missing
//! (9 to 11), one seen (12).

use core::ops::RangeInclusive;

/// Reads runs as ascending ranges. Ends at the first error: a broken varint, a gap or a length of 0, a number that
/// does not fit 64 bits.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    end: u64,
    rest: &'a [u8],
}

impl<'a> Runs<'a> {
    pub(super) const fn new(top: u64, bytes: &'a [u8]) -> Self {
        Self { end: top, rest: bytes }
    }

    fn run(&mut self) -> Option<RangeInclusive<u64>> {
        let ((gap, len), rest) = postcard::take_from_bytes::<(u64, u64)>(self.rest).ok()?;
        if gap == 0 {
            return None;
        }
        let first = self.end.checked_add(gap)?.checked_add(1)?;
        let last = first.checked_add(len.checked_sub(1)?)?;
        self.end = last;
        self.rest = rest;
        Some(first..=last)
    }
}

impl Iterator for Runs<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        let run = self.run();
        if run.is_none() {
            self.rest = &[];
        }
        run
    }
}

/// Room for as many runs as a frontier may carry.
#[derive(Clone, Debug)]
pub struct RunsBuffer {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl RunsBuffer {
    /// Bytes of runs in one frontier. Our choice: 60 runs of the common kind (below 128), which a large message leaves at a
    /// loss of 5 %; and one such frontier fits into a page of the shortest datagram.
    pub const LEN: usize = 120;

    /// Writes ascending ranges above `top` that neither overlap nor touch, as many as fit.
    ///
    /// What is left out is merely not told: the reader takes it for missing, and may ask for what it could have known.
    pub fn new(top: u64, ranges: impl IntoIterator<Item = RangeInclusive<u64>>) -> Self {
        let mut buffer = Self { bytes: [0; Self::LEN], len: 0 };
        let mut end = top;
        for range in ranges {
            let (first, last) = range.into_inner();
            debug_assert!(first <= last && first > end && first - end > 1, "ascending ranges with gaps between them");
            let gap = first.saturating_sub(end).saturating_sub(1);
            let len = last.saturating_sub(first).saturating_add(1);
            match postcard::to_slice(&(gap, len), &mut buffer.bytes[buffer.len..]) {
                Ok(written) => buffer.len += written.len(),
                Err(_) => break,
            }
            end = last;
        }
        buffer
    }

    /// What goes into [`Frontier::runs`](super::Frontier).
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Ascending ranges above `top` that do not touch.
    fn ranges(top: u64, runs: &[(u64, u64)]) -> Vec<RangeInclusive<u64>> {
        let mut end = top;
        runs.iter()
            .map(|&(gap, len)| {
                let first = end + gap + 1;
                end = first + len - 1;
                first..=end
            })
            .collect()
    }

    proptest! {
        #[test]
        fn as_many_as_fit_come_back(top in 0_u64..1 << 40, runs in vec((1_u64..1 << 30, 1_u64..1 << 30), 0..40)) {
            let all = ranges(top, &runs);
            let buffer = RunsBuffer::new(top, all.iter().cloned());
            let back: Vec<_> = Runs::new(top, buffer.as_bytes()).collect();
            prop_assert_eq!(&back[..], &all[..back.len()]);
            if let Some(next) = all.get(back.len()) {
                let larger = RunsBuffer::new(top, [next.clone()]);
                prop_assert!(buffer.as_bytes().len() + larger.as_bytes().len() > RunsBuffer::LEN);
            }
        }

        #[test]
        fn any_bytes_give_ascending_ranges(top: u64, bytes in vec(any::<u8>(), 0..80)) {
            let mut end = top;
            for range in Runs::new(top, &bytes) {
                prop_assert!(*range.start() > end && range.start() - end > 1 && range.start() <= range.end());
                end = *range.end();
            }
        }
    }

    #[test]
    fn the_example_of_the_module() {
        assert_eq!(RunsBuffer::new(4, [7..=8, 12..=12]).as_bytes(), [2, 2, 3, 1]);
    }

    #[test]
    fn the_first_error_ends_the_runs() {
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let overflows = [[&[1][..], &max].concat(), [&max[..], &[1]].concat()];
        for broken in [&[0, 1, 1, 1][..], &[1, 0, 1, 1], &[1], &[1, 0x80], &overflows[0], &overflows[1]] {
            let bytes = [&[2, 2][..], broken].concat();
            assert_eq!(Runs::new(4, &bytes).collect::<Vec<_>>(), [7..=8], "{broken:?}");
        }
    }

    #[test]
    fn the_last_number_can_be_told() {
        let buffer = RunsBuffer::new(4, [7..=u64::MAX]);
        assert_eq!(Runs::new(4, buffer.as_bytes()).collect::<Vec<_>>(), [7..=u64::MAX]);
    }
}
