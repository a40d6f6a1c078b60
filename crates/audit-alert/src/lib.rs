//! From episodes to alerts that people see: the life of an alert, the outbox, and the handlers that tell of it.
//!
//! What it is not: it detects nothing and keeps nothing itself. Episodes come from `audit-monitor`; alerts are kept by the store's port
//! [`Alerts`](audit_store::Alerts), with what is to be told of them, in one transaction.
//!
//! A [`Desk`] makes alerts of episodes and leads them through their life: acknowledged, escalated, resolved. A [`Policy`] says who hears
//! of what. A [`Dispatcher`] hands what waits in the outbox to the [`AlertHandler`]s, again and again until they have it. `docs/alerts.md`
//! describes all of it, with what each built-in handler sends.
//!
//! Guarantees, tested with real receivers:
//! - one alert for an episode, however often, in whatever order of phases, and by however many processes it is raised;
//! - a notice is told at least once, under one key, in order within its group, also through restarts;
//! - no two alerts of a group are told within the cooldown;
//! - a handler that hangs, fails or panics delays no other one;
//! - every step in the life of an alert is recorded in the audit trail at least once.

mod alert;
mod desk;
mod dispatcher;
mod facts;
mod handler;
pub mod handlers;
mod http_client;
mod metric;
mod notice;
mod policy;
mod reach;
mod trail;
mod wire;

pub use alert::{Alert, AlertSource, EvidenceEvent, GroupField, HistoryStep};
pub use desk::{Desk, DeskError, NOTE_BYTES_MAX, SystemFinding};
pub use dispatcher::{DispatchSettings, Dispatcher};
pub use handler::{AlertHandler, HandlerError, HandlerFn, handler_fn};
pub use http_client::{Authorities, HttpClient, TlsError, UrlProblem};
pub use notice::{Notice, NoticeKind};
pub use policy::{Escalation, Policy, PolicyProblem, Recipient, Suppression, TRAIL};
pub use reach::Reach;
pub use trail::{Step, Trail};
pub use wire::{level_name, level_of, state_name, state_of};
