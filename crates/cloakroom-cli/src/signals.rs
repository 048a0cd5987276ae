//! SIGINT and SIGTERM: the first one stops gracefully, the second one at once.

use tokio_util::sync::CancellationToken;

use crate::output;

/// A token that the first signal cancels.
pub(crate) fn stop_token() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        cancelled.cancel();
        output::note("stopping: finishing what was taken; again to stop at once");
        signal().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the user asked twice; whatever was not committed stays at the source"
        )]
        std::process::exit(130);
    });
    token
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}
