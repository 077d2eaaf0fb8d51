//! One node on tokio as a process.
//!
//! `cargo run --release --example node -- --port 7001 --bootstrap 7000`; see `--help` for more.

use std::process::ExitCode;

fn main() -> ExitCode {
    gossip_program::node::main(gossip_program::on_tokio)
}
