//! How a program learns that it shall end: Ctrl-C, or a polite signal.

/// Returns when the process is asked to stop.
pub(crate) async fn asked_to_stop() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await, // then Ctrl-C is the only way
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
