//! Waiting for a condition, with a bound.

use std::future::Future;
use std::time::{Duration, Instant};

/// Between two looks at the condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns what the condition finds; panics with `what` when it finds nothing for `bound`.
///
/// # Panics
/// When the bound is reached.
pub fn wait_until<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {bound:?} in vain: {what}"
        );
        std::thread::sleep(PAUSE);
    }
}

/// The same for a condition that has to wait itself, in a task.
///
/// # Panics
/// When the bound is reached.
pub async fn wait_until_async<T, F>(
    what: &str,
    bound: Duration,
    mut condition: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + bound;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {bound:?} in vain: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
