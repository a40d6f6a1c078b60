//! What became of changes, as the audit trail tells it.

use audit_event::Timestamp;
use audit_store::{ConfigState, ConfigVersion};
use serde_json::{Value as Json, json};

/// One event in the life of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    /// `configuration.publish`, `.confirm`, `.rollback` or `.refuse`.
    pub action: &'static str,
    /// Tells it from every other; the same text each time it is told. Nothing when it happened in this process only.
    pub identity: Option<String>,
    /// When it happened; nothing: now.
    pub at: Option<Timestamp>,
    /// Who or what did it.
    pub by: String,
    /// Whether it went well.
    pub success: bool,
    /// Which configuration.
    pub config: String,
    /// Everything else that is known, without secrets.
    pub details: Json,
}

/// What is to be told of a version: that it was published, and what became of it.
#[must_use]
pub fn chapters(config: &str, version: &ConfigVersion) -> Vec<Chapter> {
    let chapter = |action, at, details| Chapter {
        action,
        identity: Some(format!("{config}#{}#{action}", version.number)),
        at: Some(at),
        by: version.by.clone(),
        success: action != "configuration.rollback",
        config: config.to_owned(),
        details,
    };
    let changes: Json = serde_json::from_str(&version.changes).unwrap_or(Json::Null);
    let published = json!({
        "version": version.number,
        "sha256": hex(&version.sha256),
        "source": version.source,
        "sourceVersion": version.source_version,
        "restores": version.restores,
        "changes": changes,
    });
    let mut told = vec![chapter(
        "configuration.publish",
        version.published_at,
        published,
    )];
    let concluded = match version.state {
        ConfigState::Watched(_) => None,
        ConfigState::InForce => Some("configuration.confirm"),
        ConfigState::RolledBack => Some("configuration.rollback"),
    };
    if let (Some(action), Some(at)) = (concluded, version.concluded_at) {
        let details = json!({ "version": version.number, "reason": version.reason });
        told.push(chapter(action, at, details));
    }
    told
}

/// A digest as `sha256sum` prints it.
pub(crate) fn hex(digest: &[u8; 32]) -> String {
    audit_config_source::Sha256(*digest).to_string()
}
