//! Style is a test: what a reviewer would otherwise have to say again and again.
//!
//! Works on lines of formatted source, not on syntax: rustfmt puts the closing brace of an item below its first letter,
//! and that is enough to measure functions and to find where the tests of a file begin.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file without its tests; beyond, it does two jobs.
const FILE_LINES: usize = 500;
/// Lines of a function, signature and braces included.
const FUNCTION_LINES: usize = 70;

/// In pieces, so that this file does not contain what it looks for.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
];
const PLACES: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
];

#[test]
fn the_sources_are_tidy() {
    let mut complaints = Vec::new();
    for path in sources() {
        // What is no text (a corpus, a picture) has no style.
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            complaints.extend(complaints_about(&path, &text));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_fuzz_target_has_a_binary_and_a_corpus() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest is readable");
    let targets = files(&root().join("fuzz/fuzz_targets"));
    assert!(!targets.is_empty(), "there are no fuzz targets");
    for target in targets {
        let name = target.file_stem().and_then(|name| name.to_str()).expect("targets have plain names");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is in no [[bin]]");
        assert!(!files(&root().join("fuzz/corpus").join(name)).is_empty(), "{name} has no corpus");
    }
}

#[test]
fn the_core_forbids_unsafe_code() {
    let crate_root = fs::read_to_string(root().join("gossip-core/src/lib.rs")).expect("the crate root is readable");
    assert!(crate_root.lines().any(|line| line == "#![forbid(unsafe_code)]"));
}

/// The checks find what they are for, and nothing in clean text.
#[test]
fn the_checks_bite() {
    let long_file = "const A: u8 = 0;\n".repeat(FILE_LINES + 1);
    let long_function = format!("impl A {{\n    fn long() {{\n{}    }}\n}}\n", "        a();\n".repeat(FUNCTION_LINES));
    let core = Path::new("gossip-core/src/a.rs");
    for (what, text) in [
        ("production code", long_file.clone()),
        ("`long` has", long_function.clone()),
        (MARKS[0], format!("// {}: later\n", MARKS[0])),
        (PLACES[0], format!("const A: &str = \"{}me\";\n", PLACES[0])),
        ("unwrap", "fn a() {\n    b.unwrap();\n}\n".to_owned()),
    ] {
        let complaints = complaints_about(core, &text);
        assert!(complaints.len() == 1 && complaints[0].contains(what), "{what}: {complaints:?}");
    }
    // Tests may be long and unwrap; a caller's example in a comment may unwrap.
    let tests = format!("\n#[cfg(test)]\nmod tests {{\n{long_file}{long_function}b.unwrap();\n}}\n");
    assert_eq!(complaints_about(core, &tests), Vec::<String>::new());
    assert_eq!(complaints_about(core, "/// b.unwrap()\nfn a() {}\n"), Vec::<String>::new());
}

fn complaints_about(path: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in MARKS.iter().chain(PLACES).filter(|word| line.contains(**word)) {
            complaints.push(format!("{}:{number}: has `{word}`", path.display()));
        }
    }
    if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
        let production = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
        complaints.extend(complaints_about_code(path, &production.lines().collect::<Vec<_>>()));
    }
    complaints
}

fn complaints_about_code(path: &Path, lines: &[&str]) -> Vec<String> {
    let name = path.display();
    let mut complaints = Vec::new();
    if lines.len() > FILE_LINES {
        complaints.push(format!("{name}: {} lines of production code, at most {FILE_LINES}", lines.len()));
    }
    for (number, line) in (1..).zip(lines) {
        if let Some(function) = function_name(line) {
            let length = function_length(&lines[number - 1..]);
            if length > FUNCTION_LINES {
                complaints.push(format!("{name}:{number}: `{function}` has {length} lines, at most {FUNCTION_LINES}"));
            }
        }
        let code = line.split("//").next().unwrap_or_default();
        if path.starts_with("gossip-core/src") && code.contains(".unwrap()") {
            complaints.push(format!("{name}:{number}: `unwrap` gives no reason, `expect` does"));
        }
    }
    complaints
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let begins = before.split_whitespace().all(|word| qualifiers.contains(&word));
    begins.then(|| after.split(['(', '<']).next().unwrap_or(after))
}

/// From the first line of a function to the brace below it, or to the end of a declaration without a body.
fn function_length(lines: &[&str]) -> usize {
    let indent: String = lines[0].chars().take_while(|&letter| letter == ' ').collect();
    let end = format!("{indent}}}");
    let head = 1 + lines.iter().take_while(|line| !line.ends_with(['{', ';', '}'])).count();
    if lines.get(head - 1).is_none_or(|line| !line.ends_with('{')) {
        return head;
    }
    head + 1 + lines[head..].iter().take_while(|&&line| line != end).count()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace")
}

/// Every file that git tracks, or would track if it were added; seen from the root.
fn sources() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "this is no git checkout");
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    // A lock file is a machine's text; the licenses are others' text.
    let own = |path: &&str| !path.ends_with("Cargo.lock") && !path.starts_with("LICENSE");
    list.lines().filter(own).map(PathBuf::from).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("the folder is readable").path()).collect()
}
