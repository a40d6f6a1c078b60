//! An alert as people see it.

use audit_event::{OrganizationId, Timestamp};
use audit_integrity::ledger::LedgerId;
use audit_store::{AlertId, AlertLevel, AlertRecord, AlertState, StoreError};
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::wire;

/// An alert: its record with the facts decoded. Its JSON is what the API and the handlers show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its identity, in hexadecimal.
    #[serde(with = "wire::id")]
    pub id: AlertId,
    /// Whose it is; `_audit` for alerts of the system itself.
    #[serde(with = "wire::organization")]
    pub organization_id: OrganizationId,
    /// Key of the rule, or `system/<kind>`.
    pub rule: String,
    /// Hash of the rule, in hexadecimal; none for the system's own.
    pub rule_hash: Option<String>,
    /// Title of the rule.
    pub title: String,
    /// What was found, in a sentence; only the system's own have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How much it matters now.
    #[serde(with = "wire::level")]
    pub level: AlertLevel,
    /// How much it mattered when it was raised, before any escalation.
    #[serde(with = "wire::level")]
    pub raised_level: AlertLevel,
    /// What found it.
    pub source: AlertSource,
    /// What its events have in common.
    pub group: Vec<GroupField>,
    /// Where somebody is with it.
    #[serde(with = "wire::state")]
    pub state: AlertState,
    /// When it was kept first.
    #[serde(with = "wire::time")]
    pub raised_at: Timestamp,
    /// The time of the first event over the threshold.
    #[serde(with = "wire::time")]
    pub first_at: Timestamp,
    /// The time of the last one so far.
    #[serde(with = "wire::time")]
    pub last_at: Timestamp,
    /// No later event can belong to it.
    pub ended: bool,
    /// How many events.
    pub events: u64,
    /// What was computed of the window: a count, a sum, ...
    pub value: f64,
    /// The last events of the window that opened it, oldest first.
    pub evidence: Vec<EvidenceEvent>,
    /// Made of events that came later than is allowed.
    pub late: bool,
    /// How often it was escalated.
    pub escalation: u8,
    /// When it is escalated next, unless somebody acknowledges it.
    #[serde(with = "wire::maybe_time")]
    pub escalate_at: Option<Timestamp>,
    /// Whether its raising was told to anybody.
    pub notified: bool,
    /// Why nobody is told of it: a suppression, or `cooldown`.
    pub muted: Option<String>,
    /// What became of it, oldest first.
    pub history: Vec<HistoryStep>,
    /// From 1; each change adds one.
    pub version: u64,
}

/// What found an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertSource {
    /// A rule of detection.
    Rule,
    /// The system, of itself.
    System,
}

/// One field that the events of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupField {
    /// Name of the field.
    pub field: String,
    /// Its value; none where the events have none.
    pub value: Option<String>,
}

/// An event that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceEvent {
    /// Its id.
    pub event_id: String,
    /// When it happened.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
    /// The ledger where it is stored.
    #[serde(with = "wire::ledger")]
    pub ledger: LedgerId,
    /// Its leaf there.
    pub leaf_index: u64,
}

/// A step in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStep {
    /// The state that it was in afterwards.
    #[serde(with = "wire::state")]
    pub state: AlertState,
    /// Who: a principal, or `system`.
    pub by: String,
    /// When, by the clock of the process that did it.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
    /// What they said.
    pub note: Option<String>,
}

impl Alert {
    /// Decodes a record.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when its facts are not ours.
    pub fn of(record: &AlertRecord) -> Result<Self, StoreError> {
        Ok(Self::from_parts(record, Facts::of(record)?))
    }

    /// A record with its facts.
    pub(crate) fn from_parts(record: &AlertRecord, facts: Facts) -> Self {
        let muted = match facts.is_in_cooldown(record.notified) {
            true => Some(COOLDOWN.to_owned()),
            false => facts.muted,
        };
        Self {
            id: record.id,
            organization_id: record.organization_id.clone(),
            rule: record.rule.clone(),
            rule_hash: facts.rule_hash,
            title: facts.title,
            detail: facts.detail,
            level: record.level,
            raised_level: facts.raised_level,
            source: facts.source,
            group: facts.group,
            state: record.state,
            raised_at: record.raised_at,
            first_at: facts.first_at,
            last_at: facts.last_at,
            ended: facts.ended,
            events: facts.events,
            value: facts.value,
            evidence: facts.evidence,
            late: facts.late,
            escalation: record.escalation,
            escalate_at: record.escalate_at,
            notified: record.notified,
            muted,
            history: facts.history,
            version: record.version,
        }
    }

    /// The name of its level.
    #[must_use]
    pub const fn level_name(&self) -> &'static str {
        wire::level_name(self.level)
    }

    /// The name of its state.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        wire::state_name(self.state)
    }
}

/// What mutes an alert when another one of its group was told a short while before.
const COOLDOWN: &str = "cooldown";
