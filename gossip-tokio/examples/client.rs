//! Asks a node, whatever runtime it is on.
//!
//! `cargo run --release --example client -- --id 1 --message "Apple"`; see `--help` for more.

use std::process::ExitCode;

fn main() -> ExitCode {
    gossip_program::client::main()
}
