//! Who got which message, and how long that took.

/// One measured message.
#[derive(Clone, Debug)]
struct Message {
    origin: u32,
    submitted: u64,
    delivered: Vec<bool>,
}

/// Measured messages by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    nodes: u32,
    /// The number of the first one.
    first: u64,
    messages: Vec<Message>,
    /// From submission to delivery, in microseconds, own deliveries apart.
    latencies: Vec<u64>,
    /// Messages that a node was handed again.
    pub duplicates: u64,
}

impl Ledger {
    /// No messages yet; what is submitted from number `first` on counts.
    #[must_use]
    pub fn new(nodes: u32, first: u64) -> Self {
        Self { nodes, first, ..Self::default() }
    }

    /// `origin` submits the next message.
    pub fn submitted(&mut self, at: u64, origin: u32) {
        let delivered = vec![false; self.nodes as usize];
        self.messages.push(Message { origin, submitted: at, delivered });
    }

    /// `node` was handed message `number`. Of unmeasured messages nothing is kept.
    pub fn delivered(&mut self, at: u64, node: u32, number: u64) {
        let Some(message) = number.checked_sub(self.first).and_then(|index| self.messages.get_mut(index as usize))
        else {
            return;
        };
        if std::mem::replace(&mut message.delivered[node as usize], true) {
            self.duplicates += 1;
        } else if node != message.origin {
            self.latencies.push(at - message.submitted);
        }
    }

    /// Pairs of a message and a node that has it, its origin apart.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Pairs of a message and a node that lacks it, its origin apart.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.messages.len() as u64 * u64::from(self.nodes.saturating_sub(1)) - self.deliveries()
    }

    /// The `part` quantile of the latencies of all pairs, in milliseconds. What is missed takes for ever: none where the
    /// quantile lies there.
    #[must_use]
    pub fn quantile_ms(&self, part: f64) -> Option<f64> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let pairs = self.deliveries() + self.missed();
        let rank = ((pairs as f64 * part) as usize).min((pairs as usize).checked_sub(1)?);
        sorted.get(rank).map(|&latency| latency as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_by_hand() {
        let mut ledger = Ledger::new(3, 5);
        ledger.submitted(1_000, 0);
        ledger.submitted(2_000, 1);
        ledger.delivered(1_000, 0, 5);
        ledger.delivered(1_500, 1, 4);
        ledger.delivered(9_000, 1, 5);
        ledger.delivered(9_500, 1, 5);
        ledger.delivered(4_000, 2, 6);
        ledger.delivered(4_000, 2, 7);
        assert_eq!((ledger.deliveries(), ledger.missed(), ledger.duplicates), (2, 2, 1));
        let quantiles = [0.0, 0.3, 0.5, 1.0].map(|part| ledger.quantile_ms(part));
        assert_eq!(quantiles, [Some(2.0), Some(8.0), None, None], "two are missed");
        assert_eq!(Ledger::new(3, 0).quantile_ms(0.5), None);
    }
}
