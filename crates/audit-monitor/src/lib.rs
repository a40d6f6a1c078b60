//! Detection: Sigma rules over stored events, correlations in windows, and the episodes that alerts are made of.
//!
//! What it is not: it reads no ledger, raises no alert, asks no clock, and knows no product; whoever follows the ledgers hands it events
//! and takes its episodes.
//!
//! An event's way: a [`Matcher`] finds the rules of a [`RuleSet`] that it matches. A match of a rule by itself is an [`Episode`] at once.
//! What correlations count are [`Observation`]s, which go to a [`WindowStore`] in a [`Batch`] with the cursor of the ledger they come
//! from. An [`Engine`] makes episodes of them there. Rules, fields and windows are described in `docs/detection.md`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use audit_event::AuditEvent;
//! use audit_integrity::ledger::{LeafIndex, LedgerId};
//! use audit_monitor::{
//!     Batch, Engine, Episode, Limits, Matcher, MemoryWindows, Phase, RuleSet, Settings, WindowError, WindowStore,
//! };
//!
//! const LEDGER: LedgerId = LedgerId::Events(0);
//!
//! /// Reads the next events of a ledger; returns what was found, each once.
//! async fn follow(matcher: &Matcher, windows: &MemoryWindows, events: &[AuditEvent]) -> Result<Vec<Episode>, WindowError> {
//!     let mut batch = Batch::new(LEDGER, windows.cursor(LEDGER).await?);
//!     let mut found: Vec<Episode> = events.iter().flat_map(|event| batch.read(matcher, event)).collect();
//!     windows.apply(&batch).await?;
//!     let raised = windows.raised(100).await?;
//!     // Here they would become alerts, before the store forgets them.
//!     let settled: Vec<_> = raised.iter().map(|episode| (episode.id, episode.phase)).collect();
//!     windows.settle(&settled).await?;
//!     found.extend(raised);
//!     Ok(found)
//! }
//!
//! let rules = Arc::new(RuleSet::built_in());
//! let matcher = Matcher::new(Arc::clone(&rules), Settings::default());
//! let engine = Engine::new(rules, Limits::default());
//! let windows = MemoryWindows::new(Arc::new(engine), &[(LEDGER, LeafIndex(0))]);
//! # use audit_event::{EventId, Form, OrganizationId, Stamps, Timestamp, forms::read_statement};
//! # let event = |text: &str| {
//! #     let statement = read_statement(Form::Native, text.as_bytes()).expect("an event");
//! #     let (fallback_id, received_at) = (EventId::from_bytes([7; 16]), statement.timestamp);
//! #     AuditEvent::stamp(statement, &Stamps { fallback_id, received_at, default_organization: OrganizationId::none() })
//! # };
//! let change = r#"{"timestamp":"2024-01-05T12:00:00Z","action":"configure","status":"success","targetResourceType":"user_permissions"}"#;
//! let found = futures::executor::block_on(follow(&matcher, &windows, &[event(change)])).expect("a batch");
//! assert_eq!((found[0].rule.as_str(), found[0].phase), ("privilege-change", Phase::Closed));
//! ```
//!
//! Guarantees, tested against an evaluator that looks at every pair of events:
//! - the same events make the same episodes, whatever the batches, restarts, redeliveries, and orders of arrival within the allowed
//!   lateness;
//! - a batch is applied once and whole, with the cursor it moves;
//! - memory is bounded, and what a bound forces is told.

mod built_in;
mod calendar;
#[cfg(feature = "conformance")]
pub mod conformance;
mod detector;
mod engine;
mod episode;
mod explain;
mod matcher;
mod memory;
mod observation;
mod rules;
mod store;
mod view;
mod wire;

pub use built_in::built_in_files;
pub use calendar::{Customs, Settings, UnknownZone};
pub use detector::Detector;
pub use engine::{Engine, Limits, Notice, Shortage};
pub use episode::{Episode, EpisodeId, Phase};
pub use explain::{Because, Explanation};
pub use matcher::{Found, Matcher};
pub use memory::MemoryWindows;
pub use observation::{Batch, Evidence, Group, GroupId, Observation, Position};
pub use rules::{Level, Rule, RuleProblem, RuleSet, RuleTuning, Tuning};
pub use store::{Applied, EpisodeSink, WindowError, WindowStore};
