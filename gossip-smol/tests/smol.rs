//! The suite of both adapters, on smol.

/// What the suite needs of a runtime.
mod adapter {
    use std::future::Future;
    use std::time::Duration;

    pub(crate) use gossip_smol::{Builder, CallError, Events, Node, storage};

    pub(crate) fn run(test: impl Future<Output = ()>) {
        smol::block_on(test);
    }

    pub(crate) async fn sleep(time: Duration) {
        smol::Timer::after(time).await;
    }

    /// Runs `task` beside the test; what comes back gives its result.
    pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> {
        smol::spawn(task)
    }
}

#[path = "../../gossip-tokio/tests/suite/mod.rs"]
mod suite;
