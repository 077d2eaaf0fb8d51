//! The laws that show at one step: nothing spins, datagrams fit, repeats change nothing, records are accepted back.

use crate::check::Book;
use crate::sim::{Step, What};

/// What law a step breaks.
pub(super) fn broken(_: &Book, step: &Step<'_>) -> Option<String> {
    match &step.what {
        What::Spun { reason } => {
            Some(format!("2, no spin: after a due tick and a full drain another tick is due at once, for {reason:?}"))
        }
        What::Endless => Some("2, no spin: a drain does not end".into()),
        What::Sent { datagram, mtu, number, .. } if datagram.len() > usize::from(*mtu) => {
            Some(format!("6, size: datagram {number} has {} bytes, the limit is {mtu}", datagram.len()))
        }
        What::Sent { datagram: [], number, .. } => Some(format!("6, size: datagram {number} is empty")),
        What::NotIdempotent { why } => Some(format!("7, idempotence: a repeated datagram {why}")),
        What::NotRestored { error } => Some(format!("a node's own records were refused: {error}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::history::History;
    use crate::sim::{Fate, What};

    #[test]
    fn objects_to_what_the_driver_noticed() {
        let [why, error] = ["was answered", "of another node"].map(String::from);
        for what in
            [What::Spun { reason: None }, What::Endless, What::NotIdempotent { why }, What::NotRestored { error }]
        {
            assert_eq!(History::two().then(0, what).broken(), ["law"]);
        }
    }

    #[test]
    fn objects_to_one_byte_too_many_and_to_none() {
        let fate = &Fate::default();
        for (len, broken) in [(0, true), (1, false), (256, false), (257, true)] {
            let datagram = &vec![0; len];
            let what = What::Sent { to: Some(1), number: 1, datagram, mtu: 256, fate };
            assert_eq!(!History::two().then(0, what).broken().is_empty(), broken, "{len} bytes of 256");
        }
    }
}
