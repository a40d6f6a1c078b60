//! Supervised tasks: no panic goes unseen, and shutdown knows what it waits for.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Spawns tasks and remembers them. A task that panics is logged, and told by [`Tasks::failed`].
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    running: Vec<(&'static str, JoinHandle<()>)>,
    failed: Vec<&'static str>,
}

impl Tasks {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a named task on the current runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(future);
        let watched = tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(task = name, "task panicked");
                inner
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .failed
                    .push(name);
            }
        });
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.running.retain(|(_, handle)| !handle.is_finished());
        inner.running.push((name, watched));
    }

    /// Names of tasks that panicked; readiness fails while there are any.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failed
            .clone()
    }

    /// Waits until all tasks have ended, at most `grace`; names those that have not.
    pub async fn join(&self, grace: Duration) -> Vec<&'static str> {
        let running = std::mem::take(
            &mut self
                .inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .running,
        );
        let deadline = tokio::time::Instant::now() + grace;
        let mut left = Vec::new();
        for (name, handle) in running {
            if tokio::time::timeout_at(deadline, handle).await.is_err() {
                left.push(name);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_join_names_what_still_runs() {
        let tasks = Tasks::new();
        tasks.spawn("bad", async { panic!("on purpose") });
        tasks.spawn("slow", std::future::pending());
        assert_eq!(tasks.join(Duration::from_millis(50)).await, ["slow"]);
        assert_eq!(tasks.failed(), ["bad"]);
    }
}
