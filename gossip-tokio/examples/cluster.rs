//! Eight real nodes in one process, four on tokio and four on smol, gossip over UDP about their favorite books.
//!
//! `cargo run --release --example cluster`; see `--help` for more.

use std::process::ExitCode;

use gossip_program::{cluster, on_smol, on_tokio};

fn main() -> ExitCode {
    cluster::main(&[("tokio", on_tokio), ("smol", on_smol)])
}
