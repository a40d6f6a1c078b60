//! Logs and metrics: how they are set up, and the closed list of metric names.
//!
//! What it is not: no library crate installs anything. [`logs::install`] and [`prometheus::install`] set globals and are
//! for binaries; an embedder has a subscriber and a recorder of its own, and both facades (`tracing`, `metrics`) do nothing
//! until then.
//!
//! A crate that measures something keeps the name beside the code that measures; [`metric::METRICS`] lists every name with its
//! type and meaning, a test compares the two, and `docs/metrics.md` is written from the list.

pub mod logs;
pub mod metric;
pub mod prometheus;
mod redact;

pub use redact::redact;

/// Logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] logs::FilterError),
    /// Somebody else set one up before.
    #[error("logs are set up already")]
    LogsTaken(#[source] tracing_subscriber::util::TryInitError),
    /// The recorder was refused.
    #[error("the metrics recorder cannot be set up")]
    Recorder(#[source] metrics_exporter_prometheus::BuildError),
    /// The thread that keeps its memory bounded cannot be started.
    #[error("the metrics thread cannot be started")]
    Thread(#[source] std::io::Error),
}
