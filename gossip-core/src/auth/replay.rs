//! Which datagrams of a peer were seen already.
//!
//! A bit for each of the 64 highest numbers up to the highest one seen; anything older counts as seen. So reordering
//! within 64 datagrams costs nothing, and no datagram is ever taken twice. A new link has a higher epoch in the upper
//! half of its numbers: its first datagram moves the window far ahead, and what was sent on the old link is void.
//! (The scheme and the width that RFC 4303 §3.4.3 recommends.)

/// The numbers seen from one sender in one incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    highest: u64,
    /// Bit `i` stands for the number `highest - i`.
    seen: u64,
}

impl Window {
    /// Nothing seen. The number 0 counts as seen: it is never sent.
    pub const fn new() -> Self {
        Self { highest: 0, seen: 1 }
    }

    /// Whether a datagram of this number was not seen yet.
    pub const fn test(&self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(back) => back < 64 && self.seen >> back & 1 == 0,
        }
    }

    /// The highest number seen; 0 for none.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// Bit `i`: the number `highest - 1 - i` was not seen, for the 63 below the highest; the last bit is clear.
    pub const fn missing(&self) -> u64 {
        !(self.seen >> 1 | 1 << 63)
    }

    /// Whether all numbers above `after`, up to `upto`, were seen. What the window has forgotten was not.
    pub const fn has_all(&self, after: u64, upto: u64) -> bool {
        let Some(count) = upto.checked_sub(after) else { return true };
        let Some(back) = self.highest.checked_sub(upto) else { return false };
        if count == 0 {
            return true;
        }
        if count > 64 || back + count > 64 {
            return false;
        }
        let wanted = u64::MAX >> (64 - count);
        self.seen >> back & wanted == wanted
    }

    /// Takes the number for seen. To be called only for a datagram that was found genuine.
    pub const fn mark(&mut self, number: u64) {
        if number > self.highest {
            let ahead = number - self.highest;
            self.seen = if ahead < 64 { self.seen << ahead } else { 0 };
            self.highest = number;
        }
        let back = self.highest - number;
        if back < 64 {
            self.seen |= 1 << back;
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram_number;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_set_of_all_numbers(steps in vec((0..4_u32, 0..200_u32), 0..300)) {
            let (mut window, mut seen) = (Window::new(), BTreeSet::from([0]));
            for (epoch, sequence) in steps {
                let number = datagram_number(epoch, sequence);
                let highest = *seen.last().expect("0 is in it from the start");
                let fresh = !seen.contains(&number) && highest.saturating_sub(number) < 64;
                prop_assert_eq!(window.test(number), fresh, "number {:#x} after {:#x}", number, highest);
                if fresh {
                    window.mark(number);
                    seen.insert(number);
                    prop_assert!(!window.test(number));
                }
            }
        }

        #[test]
        fn marks_of_any_numbers_are_harmless(numbers in vec(any::<u64>(), 0..20)) {
            let mut window = Window::new();
            for number in numbers {
                window.mark(number);
                prop_assert!(!window.test(number));
            }
        }
    }

    #[test]
    fn zero_is_never_fresh() {
        assert!(!Window::new().test(0));
        assert!(Window::new().test(1));
        assert!(Window::new().test(u64::MAX));
    }

    #[test]
    fn the_window_is_64_wide() {
        let mut window = Window::new();
        window.mark(100);
        assert!(window.test(37) && !window.test(36));
        window.mark(37);
        window.mark(101);
        assert!(!window.test(37) && window.test(38) && !window.test(100));
    }

    #[test]
    fn what_is_missing_can_be_told() {
        let mut window = Window::new();
        for number in [100, 101, 103, 106] {
            window.mark(number);
        }
        assert_eq!((window.highest(), window.missing() & 0x7f), (106, 0b100_1011));
        assert!(window.has_all(99, 101) && window.has_all(102, 103) && window.has_all(105, 106));
        assert!(!window.has_all(101, 103) && !window.has_all(99, 106) && !window.has_all(106, 107));
        assert!(window.has_all(106, 106) && window.has_all(107, 106));
        window.mark(300);
        assert!(!window.has_all(100, 101), "forgotten");
    }

    #[test]
    fn a_new_link_voids_the_old_one() {
        let mut window = Window::new();
        window.mark(datagram_number(1, 70));
        window.mark(datagram_number(2, 1));
        assert!((1..=80).all(|sequence| !window.test(datagram_number(1, sequence))));
        assert!(window.test(datagram_number(2, 2)));
    }
}
