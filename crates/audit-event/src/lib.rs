//! The nouns of Audit Worker: what an audit event is, how it is checked, and its canonical bytes.
//!
//! What it is not: it hashes nothing, stores nothing, asks no clock and no random source. Digests are in
//! `audit-integrity`; ids and times that accept stamps are handed in.
//!
//! The bytes are specified in `docs/event-format.md`.

#[cfg(feature = "arbitrary")]
pub mod arbitrary;
pub mod canonical;
pub mod event;
mod foreign;
pub mod forms;
mod gather;
pub mod id;
mod js;
pub mod limits;
pub mod number;
pub mod problem;
pub mod read;
mod split;
mod stored;
pub mod timestamp;
pub mod validate;
pub mod value;

pub use event::{
    AuditEvent, Classification, EventDraft, ProducerProof, ProducerRef, SessionContext, Severity,
    Source, Stamps, StatedId, Statement, Status, Verdict,
};
pub use forms::Form;
pub use id::{EventId, Identity, OrganizationId};
pub use number::Number;
pub use problem::{Code, Path, Problem};
pub use timestamp::Timestamp;
pub use value::{Object, Value};
