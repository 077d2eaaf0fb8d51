//! What the nodes gossip about: each has a favorite book, and changes its mind now and then.

/// The register that holds a node's favorite book.
pub(crate) const KEY: &str = "book";

/// A random title, another one than `last`.
pub(crate) fn pick(last: &str) -> &'static str {
    let titles: Vec<&str> = titles().filter(|&title| title != last).collect();
    titles[fastrand::usize(..titles.len())]
}

/// What a node tells everybody about its new favorite.
pub(crate) fn announcement(title: &str) -> String {
    format!("My favorite book is {title}.")
}

fn titles() -> impl Iterator<Item = &'static str> {
    include_str!("../books.txt").lines()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn titles_are_many_distinct_and_tidy() {
        let distinct: BTreeSet<&str> = titles().collect();
        assert!(distinct.len() >= 100);
        assert_eq!(distinct.len(), titles().count());
        assert!(titles().all(|title| !title.is_empty() && title.trim() == title && title.chars().count() <= 40));
    }

    #[test]
    fn a_pick_is_a_change() {
        let mut last = pick("");
        for _ in 0..1_000 {
            let next = pick(last);
            assert_ne!(next, last);
            last = next;
        }
    }
}
