//! Audit Worker embedded in a Rust service: record, search and verify audit events in your own process.
//!
//! What it is not: it has no rules of its own. It assembles the parts: the embedded queue, the SQLite store, the key
//! directory, the pipeline. Everything it uses is public in its own crate, and can be assembled otherwise.
//!
//! ```
//! use audit::{Audit, Status, event};
//!
//! # async fn example(data: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let audit = Audit::builder(data).start().await?;
//! audit.record(event("invoice.export", Status::Success).principal("maria").target("Invoice", "2026-10")).await?;
//! for stored in audit.search(audit::Filter::default()).await? {
//!     println!("{} is leaf {}", stored.id, stored.leaf_index.0);
//! }
//! assert!(audit.verify().await?.is_pass());
//! audit.shutdown().await;
//! # Ok(())
//! # }
//! # let data = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(example(data.path())).unwrap();
//! ```
//!
//! # Guarantees
//! [`Audit::record`] returns when the event is on disk (fsync'd); [`Audit::record_until`] waits for the store's commit, or for
//! a signed checkpoint. A crash at any moment loses nothing that was acknowledged and stores nothing twice.
//!
//! # Features
//! * `http`: `Audit::http`, the HTTP surface that the `worker` binary serves.
//! * `deployed`: many processes over PostgreSQL and Redis, as the `worker` and `audit-ingest` binaries assemble them, and
//!   `Audit::reconfigure` for every form.

#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "kept for the HTTP surface and the deployed form")
)]
mod assembly;
mod builder;
#[cfg(feature = "deployed")]
pub mod deployed;
mod detection;
mod error;
mod event;
#[cfg(feature = "http")]
mod http;
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "kept for the HTTP surface and the deployed form")
)]
mod keys;
mod private_file;
#[cfg(feature = "deployed")]
mod reconfigure;
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "kept for the HTTP surface and the deployed form")
)]
mod running;
#[cfg(feature = "deployed")]
mod sources;

pub use builder::{Builder, Settings};
pub use detection::{DetectionOptions, Thresholds};
#[cfg(feature = "deployed")]
pub use detection::{DetectionProblem, check_detection};
pub use error::{RecordError, StartError};
pub use event::{Event, event};
#[cfg(feature = "http")]
pub use http::HttpParts;
#[cfg(feature = "deployed")]
pub use reconfigure::ReconfigureError;
pub use running::{Audit, Component, Recorded};

// The nouns an embedder writes.
pub use audit_event::{
    AuditEvent, Classification, EventId, Number, Object, OrganizationId, SessionContext, Severity,
    Source, Status, Timestamp, Value,
};
pub use audit_integrity::verify::{Finding, FindingKind, Outcome, Report};
pub use audit_pipeline::verification::VerifyRequest;
pub use audit_pipeline::{
    Ack, Annotations, Health, HealthCheck, Plugin, Processor, Refusal, Registry,
};
pub use audit_store::query::ActionMatch;
pub use audit_store::{AlertLevel, Filter, Order, Page, PageRequest, StoredEvent};
// What an embedder looks for, and tells of it.
pub use audit_alert as alert;
pub use audit_monitor as monitor;
