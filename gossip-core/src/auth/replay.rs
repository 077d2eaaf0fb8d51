//! Which datagrams of a peer were seen already.
//!
//! A bit for each of the 64 highest numbers up to the highest one seen; anything older counts as seen. So reordering
//! within 64 datagrams costs nothing, and no datagram is ever taken twice. A new link has a higher epoch in the upper
//! half of its numbers: its first datagram moves the window far ahead, and what was sent on the old link is void.
//! (The scheme of RFC 4303 §3.4.3, with the width of RFC 6479's smallest window: our choice.)

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
