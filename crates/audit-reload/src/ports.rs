//! What a reload needs from the process around it.

use std::sync::Arc;

use async_trait::async_trait;
use audit_config::{Configuration, Settings};
use audit_config_source::Document;
use audit_store::ConfigVersions;

use crate::history::Chapter;

/// A part of the process, and why it does not work, if it does not.
pub type Component = (String, Option<String>);

/// Reads a document as this process does: with its flags, and its environment.
pub type Read = Arc<dyn Fn(&Document) -> Configuration + Send + Sync>;

/// **Port.** The process that a configuration is applied to. Calls to [`apply`](Self::apply) do not overlap.
#[async_trait]
pub trait Target: Send + Sync {
    /// Whether the settings could be applied, without doing so.
    ///
    /// # Errors
    /// Why not, for people; no secrets.
    fn check(&self, settings: &Settings) -> Result<(), String>;

    /// Applies settings, whole or not at all. What is in work ends with the old ones.
    ///
    /// # Errors
    /// Why not, for people; no secrets. The old ones hold then.
    async fn apply(&self, settings: &Settings) -> Result<(), String>;

    /// Every part now.
    fn components(&self) -> Vec<Component>;

    /// Names of the parts that a key concerns; a name that ends with `*` stands for all that begin so.
    fn concerned_by(&self, key: &str) -> &'static [&'static str];

    /// The versions in the store that settings name. Connects to nothing yet.
    ///
    /// # Errors
    /// Why the settings cannot work, for people; no secrets.
    fn versions(&self, settings: &Settings) -> Result<Arc<dyn ConfigVersions>, String>;
}

/// **Port.** Keeps the history of changes in the audit trail. A chapter may be told more than once; its identity is the same then,
/// so that it stands there once.
#[async_trait]
pub trait Chronicle: Send + Sync {
    /// Tells it.
    ///
    /// # Errors
    /// Why it was not taken; it is told again.
    async fn tell(&self, chapter: &Chapter) -> Result<(), String>;
}
