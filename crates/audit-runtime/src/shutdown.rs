//! Orderly shutdown: one signal that every task can wait for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The side that says stop. Dropping it does not stop anything.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

/// The side that waits for the word. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ShutdownSignal {
    token: CancellationToken,
}

impl Shutdown {
    /// Nothing has been said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says stop; again is fine.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// A signal to hand to a task.
    #[must_use]
    pub fn signal(&self) -> ShutdownSignal {
        ShutdownSignal {
            token: self.token.clone(),
        }
    }
}

impl ShutdownSignal {
    /// Whether stop was said.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when stop is said; at once when it was. Cancellable.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Waits so long, or until stop is said: `false` then. Cancellable.
    pub async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = self.begun() => false,
        }
    }
}
