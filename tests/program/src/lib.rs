//! What the example programs share.
//!
//! Three programs, each a thin `main` beside an adapter: [`cluster`] runs eight nodes in one process and shows how they
//! agree, [`node`] is one node as a process, [`client`] asks a node. They are written once, against [`Node`]: the few
//! verbs that they need of a node, whatever runtime it lives on. HTTP is served by tokio in all of them; it belongs to
//! the program, not to the node.
#![forbid(unsafe_code)]

mod adapters;
mod books;
pub mod client;
pub mod cluster;
mod handle;
mod http;
pub mod node;
mod parse;
mod stop;
mod view;

use std::process::ExitCode;

pub use adapters::{on_smol, on_tokio};
pub use handle::{EventStream, Failed, Launch, Launched, Node, Pending, Setup};

/// Runs a program to its end; what went wrong is told on the standard error, and by the exit status.
fn run(program: impl Future<Output = Result<(), String>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(program),
        Err(error) => Err(format!("cannot start threads: {error}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
