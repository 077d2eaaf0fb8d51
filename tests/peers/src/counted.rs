//! Instructions, by callgrind.
//!
//! The program runs itself once more under valgrind and plays the same script. What callgrind counts is what happens within
//! the calls of the systems ([`Meter::metered`](crate::meter::Meter::metered)), and it writes a file for each part of the run
//! ([`window_ends`](crate::meter::window_ends)). So a figure is the same on a busy machine as on an idle one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Instructions of the two parts of a run that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// While nobody sent.
    pub idle: u64,
    /// While the accounts were open.
    pub work: u64,
}

/// Whether valgrind can be run.
#[must_use]
pub fn is_possible() -> bool {
    let status = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs this program with `arguments` under callgrind. What it printed, and what callgrind counted.
///
/// # Panics
///
/// Where valgrind or the program fails.
#[must_use]
pub fn count(arguments: &[String]) -> (String, Instructions) {
    let name = arguments.join("-").replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let folder = std::env::temp_dir().join(format!("gossip-peers-{}{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for what callgrind writes");
    let file = folder.join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--toggle-collect=*on_the_meter*", "--dump-before=*window_ends*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("a program has a file"))
        .args(arguments)
        .output()
        .expect("valgrind can be run");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    // In the order of `Window`: settling, idle, warming up, messages.
    let [_, idle, _, work] = [1, 2, 3, 4].map(|part| total(&part_of(&file, part)));
    // It may be gone already; it is of no more use.
    let _ = std::fs::remove_dir_all(&folder);
    (String::from_utf8_lossy(&output.stdout).trim().to_owned(), Instructions { idle, work })
}

fn part_of(file: &Path, part: u32) -> PathBuf {
    file.with_file_name(format!("out.{part}"))
}

/// What callgrind has counted in one part.
fn total(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).expect("callgrind has written its counts");
    let total = text.lines().find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")));
    total.and_then(|total| total.trim().parse().ok()).expect("callgrind sums up")
}
