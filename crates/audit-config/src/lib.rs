//! Raw configuration text to checked settings.
//!
//! What it is not: it runs nothing and connects to nothing; files and environment it meets only where a value names them, and
//! through a [`Lookup`] that it is handed. Every key has a default; an unknown key is a problem that names the nearest known
//! one; all problems are told at once, each with its place. Everything that is said of a key anywhere (`docs/configuration.md`,
//! the JSON Schema, problems, printed trees) comes from one declaration of it, in `keys`.

mod alerts;
mod change;
mod check;
mod components;
mod configuration;
mod detection;
#[cfg(test)]
mod document;
mod foreign;
mod json;
mod key;
mod keys;
mod lookup;
mod members;
mod nearest;
mod nest;
mod node;
mod place;
mod problem;
mod read;
mod redact;
mod resolve;
mod schema;
mod settings;
mod sources;
mod substitute;
mod toml_text;
mod tree;
mod values;

pub use audit_runtime::Secret;
pub use change::Change;
pub use components::components_of;
pub use configuration::{ConfigFile, Configuration, Format, Override};
pub use lookup::{Lookup, Surroundings};
pub use place::Place;
pub use problem::{ConfigProblem, ConfigWarning};
pub use schema::json_schema;
pub use settings::{
    AlertHandlerKind, AlertHandlerSettings, AlertLevel, AlertSettings, BatchSettings,
    BreakerSettings, CompatSettings, CustomsSettings, DetectionSettings, EscalationSettings,
    IngestSettings, LogFormat, OnMismatch, OnRestartKeys, OrganizationCustoms, PostgresSettings,
    ProofSettings, QueueBackend, QueueSettings, RedisSettings, ReloadSettings, RuleTuningSettings,
    Settings, Share, SourceQueue, SourceSettings, StoreSettings, SuppressionSettings,
    SystemAlertSettings,
};
pub use tree::default_config;
