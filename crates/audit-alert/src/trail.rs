//! The life of alerts in the audit trail.

use async_trait::async_trait;
use audit_event::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::alert::Alert;
use crate::notice::{NoticeKind, key};
use crate::wire;

/// **Port.** Keeps the life of alerts in the audit trail, as events of organisation `_audit`.
///
/// Called concurrently. Durable when it returns. A step is told at least once; its [`identity`](Step::identity) and its content are the
/// same each time, so that it stands there once.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Records a step.
    ///
    /// # Errors
    /// Why it was not taken, for people; it is told again.
    async fn record(&self, step: &Step) -> Result<(), String>;
}

/// A step in the life of an alert, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The same when it is told again, and of no other step.
    pub identity: String,
    /// When, by the clock of the process that did it.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
    /// `alert.raised`, `alert.acknowledged`, `alert.resolved` or `alert.escalated`.
    pub action: String,
    /// Who.
    pub by: String,
    /// Id of the alert.
    pub alert: String,
    /// What else there is to say of it.
    pub details: Value,
}

/// Names of events of steps are drawn in here.
const STEPS: Uuid = Uuid::from_u128(0x5a0d_4c8e_93b1_4f27_8d6e_70c2_b9f1_3e54);
/// Bytes of a principal's name that an event takes.
const PRINCIPAL_BYTES_MAX: usize = 512;

impl Step {
    /// The step that an alert took last. Of a raised one only what never changes is told, since it may be told again later.
    pub(crate) fn of(alert: &Alert, kind: NoticeKind, ordinal: u32) -> Option<Self> {
        let step = match kind {
            NoticeKind::Raised => alert.history.first(),
            _ => alert.history.last(),
        }?;
        let level = match kind {
            NoticeKind::Raised => wire::level_name(alert.raised_level),
            _ => alert.level_name(),
        };
        Some(Self {
            identity: key(alert.id, kind, ordinal),
            at: step.at,
            action: format!("alert.{kind}"),
            by: step.by.clone(),
            alert: alert.id.to_string(),
            details: json!({
                "alertOrganizationId": alert.organization_id.as_str(),
                "rule": alert.rule,
                "ruleHash": alert.rule_hash,
                "title": alert.title,
                "level": level,
                "firstAt": alert.first_at.to_string(),
                "note": step.note,
            }),
        })
    }

    /// The event that says it, in the native form: with an id of its own, so that it is stored once however often it is sent.
    #[must_use]
    pub fn to_event(&self) -> Value {
        let by = self
            .by
            .get(..self.by.floor_char_boundary(PRINCIPAL_BYTES_MAX));
        json!({
            "id": Uuid::new_v5(&STEPS, self.identity.as_bytes()).to_string(),
            "timestamp": self.at.to_string(),
            "action": self.action,
            "status": "success",
            "principalId": by,
            "targetResourceType": "alert",
            "targetResourceId": self.alert,
            "details": self.details,
        })
    }
}
