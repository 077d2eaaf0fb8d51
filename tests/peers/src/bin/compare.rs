//! `compare`: see `compare --help`.

fn main() -> std::process::ExitCode {
    gossip_peers::main()
}
