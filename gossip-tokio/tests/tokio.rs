//! The suite of both adapters, on tokio.

/// What the suite needs of a runtime.
mod adapter {
    use std::future::Future;
    use std::time::Duration;

    pub(crate) use gossip_tokio::{Builder, CallError, Events, Node, storage};

    pub(crate) fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Runtime::new().expect("a runtime starts").block_on(test);
    }

    pub(crate) async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Runs `task` beside the test; what comes back gives its result.
    pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> {
        let task = tokio::spawn(task);
        async { task.await.expect("the task does not panic") }
    }
}

mod suite;
