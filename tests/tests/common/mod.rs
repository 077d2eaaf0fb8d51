//! The program `lab`, as the paper tests call it.

use std::process::Command;

use serde_json::Value;

/// What an experiment finds.
///
/// # Panics
///
/// Where it fails.
pub(crate) fn lab(words: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(words.split(' ')).arg("--json").output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "lab {words}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().last().expect("a last line");
    println!("lab {words}\n{line}");
    serde_json::from_str(line).expect("the last line is JSON")
}

/// A figure that has to be known.
///
/// # Panics
///
/// Where it is not.
pub(crate) fn figure(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", report[key]))
}

/// Small in every run of the tests, at the full size of the claim where `GOSSIP_LONG` is set, as `tests/ci.sh long` does.
pub(crate) fn size<T>(small: T, full: T) -> T {
    if std::env::var_os("GOSSIP_LONG").is_some() { full } else { small }
}
