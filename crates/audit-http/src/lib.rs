//! The HTTP surface of Audit Worker: ingest, search, ledgers, verification, operation, health.
//!
//! What it is not: it decides nothing about events. It authenticates, bounds, reads, asks the pipeline and the store, and
//! writes the answer. Errors are RFC 9457 problem details; no text of an inner error reaches a client.
//!
//! [`routes::ROUTES`] is the one table of what there is and who may.

mod alerts;
mod answer;
pub mod auth;
mod body;
mod budget;
pub mod compat;
mod configuration;
mod cursor;
mod dead_letters;
mod detection;
mod events;
mod guard;
mod health;
mod ingest;
mod keys;
mod ledgers;
pub mod metric;
mod ndjson;
pub mod openapi;
mod params;
pub mod problem;
mod read_audit;
pub mod routes;
mod rules;
mod search;
pub mod serve;
pub mod state;
mod status;
mod stored;
mod verify;

pub use auth::{Access, KeyCache, KeyRequest, Principal, new_api_key};
pub use compat::AnonymousWriters;
pub use compat::last_minute::LastMinute;
pub use configuration::{ConfigurationControl, ConfigurationObstacle, ConfigurationRefusal};
pub use detection::DetectionSurface;
pub use read_audit::{ReadAudit, own_event};
pub use serve::{ingest_router, router, serve};
pub use state::{AppState, ComponentHealth, HttpSettings, ProcessStatus, VerifyBody, VerifyRuns};
