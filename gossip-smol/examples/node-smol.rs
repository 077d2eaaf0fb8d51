//! One node on smol as a process.
//!
//! `cargo run --release --example node-smol -- --port 7002 --bootstrap 7001`; see `--help` for more.

use std::process::ExitCode;

fn main() -> ExitCode {
    gossip_program::node::main(gossip_program::on_smol)
}
