//! The laws that show at one step: nothing spins, datagrams fit, repeats change nothing, records are accepted back.

use gossip_core::auth::Opened;
use gossip_core::wire::{Frame, Frames, HEADER_LEN, Header};

use crate::check::Book;
use crate::sim::{Step, What};

/// Law 2: after a due tick and a full drain, the next deadline is later.
pub(super) fn spins(_: &Book, step: &Step<'_>) -> Option<String> {
    match &step.what {
        What::Spun { reason } => Some(format!("after a due tick and a full drain another tick is due, for {reason:?}")),
        What::Endless => Some("a drain does not end".into()),
        _ => None,
    }
}

/// Law 6: a datagram is at most as long as the node was told.
pub(super) fn does_not_fit(_: &Book, step: &Step<'_>) -> Option<String> {
    let What::Sent { datagram, mtu, number, .. } = &step.what else { return None };
    let fits = (1..=usize::from(*mtu)).contains(&datagram.len());
    (!fits).then(|| format!("datagram {number} has {} bytes, the limit is {mtu}", datagram.len()))
}

/// Law 6: a datagram parses. Only what is not sealed can be read; of that, one in sixteen is.
pub(super) fn does_not_parse(_: &Book, step: &Step<'_>) -> Option<String> {
    let What::Sent { datagram, number, .. } = &step.what else { return None };
    if number % 16 != 0 {
        return None;
    }
    let header = match Header::parse(datagram) {
        Ok(header) if header.key_id != 0 => return None,
        Ok(_) => HEADER_LEN,
        Err(error) => return Some(format!("datagram {number}: {error:?}")),
    };
    let mut frames = Frames::new(Opened::forged(&datagram[header..]));
    let broken = frames.find(|frame| frame.map_or(true, |(kind, body)| Frame::parse(kind, body).is_err()))?;
    Some(format!("datagram {number}: {broken:?}"))
}

/// The tables of a core agree with one another.
pub(super) fn contradicts(_: &Book, step: &Step<'_>) -> Option<String> {
    let What::Contradicts { why } = &step.what else { return None };
    Some(why.clone())
}

/// Law 7: a repeated datagram changes nothing.
pub(super) fn repeat_matters(_: &Book, step: &Step<'_>) -> Option<String> {
    let What::NotIdempotent { why } = &step.what else { return None };
    Some(format!("a repeated datagram {why}"))
}

/// A node's own records make a node.
pub(super) fn not_restored(_: &Book, step: &Step<'_>) -> Option<String> {
    let What::NotRestored { error } = &step.what else { return None };
    Some(error.clone())
}

#[cfg(test)]
mod tests {
    use crate::check::history::History;
    use crate::sim::{Fate, What};

    #[test]
    fn objects_to_what_the_driver_noticed() {
        let [why, error] = ["was answered", "of another node"].map(String::from);
        let contradiction = String::from("a list of nothing");
        for (what, rule) in [
            (What::Spun { reason: None }, "law 2, no spin"),
            (What::Endless, "law 2, no spin"),
            (What::NotIdempotent { why }, "law 7, repeats"),
            (What::Contradicts { why: contradiction }, "no contradiction"),
            (What::NotRestored { error }, "records make a node"),
        ] {
            assert_eq!(History::two().then(0, what).broken(), [rule]);
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

    #[test]
    fn objects_to_frames_that_do_not_parse_unless_they_are_sealed() {
        let fate = &Fate::default();
        // An acknowledgement with a number and a status of one byte each; cut off; with a broken length; sealed, so anything goes.
        let cases: [(u8, &[u8], bool); 4] = [
            (0, &[0x21, 2, 0, 5, 0], false),
            (0, &[0x21, 0, 0], true),
            (0, &[0x21, 9, 0, 5], true),
            (7, &[0x21, 9], false),
        ];
        for (key_id, frames, broken) in cases {
            let mut datagram = vec![0; 48];
            (datagram[0], datagram[1]) = (1, key_id);
            datagram.extend_from_slice(frames);
            let what = What::Sent { to: Some(1), number: 16, datagram: &datagram, mtu: 256, fate };
            assert_eq!(!History::two().then(0, what).broken().is_empty(), broken, "{frames:?}");
        }
    }
}
