//! Calls to the outside: every one ends, with an answer or without one, and no panic of an adapter ends the caller.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use audit_integrity::keys::KeyError;
use audit_queue::QueueError;
use audit_store::{CommitError, StoreError};
use futures::FutureExt;

/// A call gave no answer: what it did is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the adapter panicked")]
    Panicked,
}

/// How a port says that an answer was lost.
pub(crate) trait FromNoAnswer {
    fn from_no_answer(lost: NoAnswer) -> Self;
}

impl FromNoAnswer for StoreError {
    fn from_no_answer(lost: NoAnswer) -> Self {
        let what = "wait for its answer";
        Self::Unavailable {
            what,
            source: Box::new(lost),
        }
    }
}

impl FromNoAnswer for QueueError {
    fn from_no_answer(lost: NoAnswer) -> Self {
        Self::Unknown(Box::new(lost))
    }
}

impl FromNoAnswer for CommitError {
    fn from_no_answer(lost: NoAnswer) -> Self {
        Self::Unknown(Box::new(lost))
    }
}

impl FromNoAnswer for KeyError {
    fn from_no_answer(lost: NoAnswer) -> Self {
        let place = "key source".to_owned();
        Self::Unavailable {
            place,
            source: Box::new(lost),
        }
    }
}

/// Gives the call so long. A panic goes through, to whoever contains the caller.
pub(crate) async fn within<T, E: FromNoAnswer>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answer = tokio::time::timeout(limit, call).await;
    answer.unwrap_or_else(|_elapsed| Err(E::from_no_answer(NoAnswer::TimedOut(limit))))
}

/// As [`within`], and a panic is a lost answer too.
pub(crate) async fn ask<T, E: FromNoAnswer>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    // The port's own state after a panic is the adapter's to look after; ours is not touched by the call.
    let answer = AssertUnwindSafe(within(limit, call)).catch_unwind().await;
    answer.unwrap_or_else(|_panic| Err(E::from_no_answer(NoAnswer::Panicked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_or_panics_is_an_error_of_its_port() {
        let limit = Duration::from_secs(30);
        let hung = ask::<(), QueueError>(limit, std::future::pending()).await;
        assert!(matches!(hung, Err(QueueError::Unknown(_))), "{hung:?}");
        let panicked = ask::<(), StoreError>(limit, async { panic!("on purpose") }).await;
        assert!(
            matches!(panicked, Err(StoreError::Unavailable { .. })),
            "{panicked:?}"
        );
        let answered = ask::<_, CommitError>(limit, async { Ok(7) }).await;
        assert!(matches!(answered, Ok(7)));
    }
}
