//! `lab EXPERIMENT`: see `lab --help`.

fn main() -> std::process::ExitCode {
    gossip_tests::lab::main()
}
