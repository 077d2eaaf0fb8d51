//! The variants of rumor mongering, by name.

use gossip_core::{Feedback, Spread};

/// How a rumor spreads, and when it is old.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) spread: Spread,
    pub(super) feedback: Feedback,
    pub(super) coin: bool,
}

/// All of the paper's variants.
pub(super) fn all() -> Vec<Variant> {
    let spreads = ["push", "pull", "push-pull"];
    let stops = ["feedback-counter", "feedback-coin", "blind-counter", "blind-coin"];
    let names = spreads.iter().flat_map(|spread| stops.map(|stop| format!("{spread}-{stop}")));
    names.map(|name| variant(&name).expect("these are variants")).collect()
}

/// Reads a name.
pub(super) fn variant(text: &str) -> Result<Variant, String> {
    let wrong = || format!("`{text}` is no variant; one is push-feedback-counter");
    let (rest, stop) = text.rsplit_once('-').ok_or_else(wrong)?;
    let (spread, feedback) = rest.rsplit_once('-').ok_or_else(wrong)?;
    let spread = match spread {
        "push" => Spread::Push,
        "pull" => Spread::Pull,
        "push-pull" => Spread::PushPull,
        _ => return Err(wrong()),
    };
    let feedback = match feedback {
        "blind" => Feedback::Blind,
        "feedback" => Feedback::Answers,
        "lists" => Feedback::Lists,
        _ => return Err(wrong()),
    };
    let coin = match stop {
        "counter" => false,
        "coin" => true,
        _ => return Err(wrong()),
    };
    Ok(Variant { name: text.to_owned(), spread, feedback, coin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read_word_by_word() {
        let read = variant("push-pull-lists-coin").expect("a variant");
        assert!(read.coin && read.spread == Spread::PushPull && read.feedback == Feedback::Lists);
        for wrong in ["", "push", "push-counter", "shout-blind-coin", "push-deaf-coin", "push-blind-dice"] {
            assert!(variant(wrong).is_err(), "{wrong}");
        }
        assert_eq!(all().len(), 12);
    }
}
