//! The page of `lab report`: that it is one, that all experiments are on it, and that a run which breaks takes nothing with it.

use std::path::PathBuf;
use std::process::{Command, Output};

fn lab(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(words).output().expect("the program starts")
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gossip-report-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    fn page(&self) -> String {
        std::fs::read_to_string(self.0.join("index.html")).expect("the page was written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every tag is closed, in the order in which it was opened. Says what is wrong.
fn malformed(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>")?;
    while let Some((_, tag)) = rest.split_once('<') {
        let Some((inside, after)) = tag.split_once('>') else { return Some(format!("no end: {tag}")) };
        rest = after;
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if inside.matches('"').count() % 2 != 0 {
            return Some(format!("an open quote: {inside}"));
        }
        if inside.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(format!("{inside} closes nothing"));
            }
        } else if !inside.ends_with('/') {
            open.push(name);
        }
    }
    open.pop().map(|name| format!("{name} stays open"))
}

/// The experiments that `lab --help` lists.
fn experiments() -> Vec<String> {
    let help = lab(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, list) = text.split_once("Commands:\n").expect("there are commands");
    let names = list.lines().map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_page_has_all_experiments_and_refers_to_nothing_outside() {
    let folder = Folder::new("all");
    let compared = r#"{"nodes":100,"ours":{"missed":0,"p99_ms":80.5},"iroh":{"missed":7,"p99_ms":null}}"#;
    std::fs::write(folder.0.join("compare.json"), compared).expect("the file can be written");
    let output = lab(&["report", folder.path(), "--quick"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = folder.page();
    assert_eq!(malformed(&page), None);
    for outside in ["http", "url(", "@import", "<script", "<link", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    let all = experiments();
    assert!(all.len() > 9, "{all:?}");
    for experiment in all {
        // A recording is some real node's, and the report is this page.
        if !["help", "replay", "report"].contains(&experiment.as_str()) {
            assert!(page.contains(&format!("<section id=\"{experiment}\">")), "{experiment}");
        }
    }
    let articles = page.matches("<article id=").count();
    assert_eq!(page.matches("<figure><svg").count(), articles, "each run has a picture");
    assert_eq!(page.matches(" --seed 1</code>").count(), articles, "each run has its command");
    assert!(page.contains("✓") && page.contains("iroh-gossip") && page.contains("80.500"));
    assert!(!page.contains("Not done yet"));
    let figures = std::fs::read_to_string(folder.0.join("runs/heal-100.json")).expect("a run leaves its figures");
    assert!(figures.contains("heal_s"));
}

#[test]
fn what_is_not_done_or_broken_is_said() {
    let folder = Folder::new("broken");
    // The picture of this run cannot be written, as there is a folder in its place.
    std::fs::create_dir_all(folder.0.join("runs/heal-100.svg")).expect("the folder can be made");
    let output = lab(&["report", folder.path(), "--quick", "--only", "heal-", "--only", "burst"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("heal-100"));
    let page = folder.page();
    assert_eq!(malformed(&page), None);
    assert!(page.contains("exit status: 2") && page.contains("<section id=\"burst\">"));
    assert!(!page.contains("<section id=\"broadcast\">"));
    assert_eq!(lab(&["report", folder.path(), "--only", "nothing"]).status.code(), Some(2));
}

#[test]
fn the_check_of_the_page_bites() {
    assert_eq!(malformed("<!doctype html><p>a<br/></p>"), None);
    for wrong in
        ["<!doctype html><p>", "<!doctype html></p>", "<!doctype html><b><i></b></i>", "<!doctype html><p a=\"></p>"]
    {
        assert!(malformed(wrong).is_some(), "{wrong}");
    }
}
