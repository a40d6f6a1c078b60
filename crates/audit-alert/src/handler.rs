//! Who is told of alerts.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::notice::Notice;

/// **Extension point.** Tells somebody of alerts.
///
/// Contract: a notice is handed over at least once, and again after a crash, a time-out or [`HandlerError::Later`]; its
/// [`key`](Notice::key) is the same each time, and whoever must not act twice goes by it. Notices of one group come one after the other,
/// in order; those of different groups come at the same time. It may be slow, as long as it does not block its
/// thread: nothing but this handler's own notices waits for it. It is
/// dropped half-way when the dispatcher's time-out is over or the process stops; a panic is a failure like another. `Ok` means that
/// somebody else has it now: the notice is forgotten.
#[async_trait]
pub trait AlertHandler: Send + Sync {
    /// Tells it.
    ///
    /// # Errors
    /// Why not, and whether it helps to try again.
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError>;
}

/// Why a notice was not told. Reasons are kept and shown: no secret in them, no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// Try again: the receiver is away or busy.
    #[error("later: {reason}")]
    Later {
        /// Not before, if the receiver said so.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It will never be taken: give it up, and keep it for an operator.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

impl HandlerError {
    /// Try again when it suits.
    #[must_use]
    pub fn later(reason: impl Into<String>) -> Self {
        Self::Later {
            after: None,
            reason: reason.into(),
        }
    }

    /// Do not try again.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }
}

/// A handler made of a closure.
///
/// ```
/// use audit_alert::{HandlerError, handler_fn};
///
/// let siren = handler_fn(|notice| async move {
///     eprintln!("{}: {}", notice.kind, notice.alert.title);
///     Ok::<(), HandlerError>(())
/// });
/// # let _: &dyn audit_alert::AlertHandler = &siren;
/// ```
pub fn handler_fn<F, R>(tell: F) -> HandlerFn<F>
where
    F: Fn(Notice) -> R + Send + Sync,
    R: Future<Output = Result<(), HandlerError>> + Send,
{
    HandlerFn(tell)
}

/// See [`handler_fn`].
pub struct HandlerFn<F>(F);

impl<F> fmt::Debug for HandlerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerFn")
    }
}

#[async_trait]
impl<F, R> AlertHandler for HandlerFn<F>
where
    F: Fn(Notice) -> R + Send + Sync,
    R: Future<Output = Result<(), HandlerError>> + Send,
{
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        (self.0)(notice.clone()).await
    }
}
