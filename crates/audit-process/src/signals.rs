//! SIGTERM and SIGINT end in order; the second one ends at once.

use audit_runtime::{Shutdown, Tasks};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Begins shutdown at the first signal, and leaves the process at the second.
pub(crate) fn begin_on_signal(tasks: &Tasks, shutdown: Shutdown) {
    let (terminate, interrupt) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::error!("signals cannot be received; only a kill ends this process");
        return;
    };
    tasks.spawn("signals", async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("shutting down; a second signal ends at once");
        shutdown.begin();
        either(&mut terminate, &mut interrupt).await;
        tracing::error!("second signal: ending at once; nothing acknowledged is lost");
        std::process::exit(1);
    });
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
