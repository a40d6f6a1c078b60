//! The nouns of Audit Worker: what an audit event is, how it is checked, and its canonical bytes.
//!
//! What it is not: it hashes nothing, stores nothing, asks no clock and no random source. Digests are in
//! `audit-integrity`; ids and times that accept stamps are handed in. The bytes are specified in
//! `docs/event-format.md`, the forms of other systems in `docs/forms.md`.
//!
//! An event's way: bytes of a [`Form`] are read into a [`Statement`], what the producer said; accept stamps it into an
//! [`AuditEvent`]; an [`EventDraft`] is that event in normal form, valid, with its canonical bytes. Nothing else travels.
//!
//! ```
//! use audit_event::{AuditEvent, EventDraft, EventId, Form, OrganizationId, Problem, Stamps, Timestamp};
//! use audit_event::forms::read_statement;
//!
//! fn accept(bytes: &[u8], now: Timestamp, random: [u8; 10]) -> Result<EventDraft, Vec<Problem>> {
//!     let statement = read_statement(Form::Native, bytes)?;
//!     let stamps = Stamps {
//!         fallback_id: EventId::v7(now, random),
//!         received_at: now,
//!         default_organization: OrganizationId::new("acme"),
//!     };
//!     EventDraft::new(AuditEvent::stamp(statement, &stamps))
//! }
//!
//! let said = br#"{"timestamp":"2024-01-01T12:00:00Z","action":"record.read","status":"success","ward":7.0}"#;
//! let draft = accept(said, Timestamp::EPOCH, [0; 10]).expect("a valid event");
//! assert_eq!(draft.event().organization_id.as_str(), "acme");
//! assert!(draft.canonical().starts_with(br#"{"action":"record.read","details":{"ward":7},"id":"#));
//! assert_eq!(EventDraft::from_canonical(draft.canonical().to_vec()).expect("what was written"), draft);
//!
//! let problems = accept(br#"{"timestamp":"yesterday","action":""}"#, Timestamp::EPOCH, [0; 10]).expect_err("three faults");
//! let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
//! assert_eq!(paths, ["/timestamp", "/status", "/action"]);
//! ```
//!
//! Guarantees, tested over generated events:
//! - canonical bytes read back to the same event, and other bytes are refused;
//! - a number is kept exactly, or refused; nothing goes through a float;
//! - no input makes a reader panic, recurse without bound, or take more than its size in memory times a constant;
//! - validation reports every problem at once, each with a path and a [`Code`], and never repeats a value.
//!
//! Feature `arbitrary`: generators of events for property tests (proptest).

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
pub use id::{EventId, Identity, OWN_ORGANIZATION, OrganizationId};
pub use number::Number;
pub use problem::{Code, Path, Problem};
pub use timestamp::Timestamp;
pub use value::{Object, Value};
