//! What an alert's record keeps beside its columns.

use audit_event::Timestamp;
use audit_monitor::{Episode, Phase};
use audit_store::{AlertLevel, AlertRecord, StoreError};
use serde::{Deserialize, Serialize};

use crate::alert::{AlertSource, EvidenceEvent, GroupField, HistoryStep};
use crate::wire;

/// The facts of a record, as JSON in its `facts`. Kept for as long as the alert: a field may be added with a default, none may
/// change its meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    pub(crate) source: AlertSource,
    pub(crate) rule_hash: Option<String>,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(with = "wire::level")]
    pub(crate) raised_level: AlertLevel,
    pub(crate) group: Vec<GroupField>,
    #[serde(with = "wire::time")]
    pub(crate) first_at: Timestamp,
    #[serde(with = "wire::time")]
    pub(crate) last_at: Timestamp,
    pub(crate) ended: bool,
    pub(crate) events: u64,
    pub(crate) value: f64,
    pub(crate) evidence: Vec<EvidenceEvent>,
    pub(crate) late: bool,
    /// The suppression that it fell under when it was raised.
    pub(crate) muted: Option<String>,
    pub(crate) history: Vec<HistoryStep>,
    /// Handlers that hear what becomes of it: chosen when it was raised, more with each escalation.
    pub(crate) recipients: Vec<String>,
    /// Its raising was to be told to somebody; whether it was, the store decided by the cooldown.
    pub(crate) offered: bool,
    /// It was told after its cooldown.
    #[serde(default)]
    pub(crate) told_later: bool,
    /// Its raising is in the trail. Not written when that becomes true, but with the next change: until then it may be told there again.
    #[serde(default)]
    pub(crate) recorded: bool,
}

impl Facts {
    /// Those of a record.
    pub(crate) fn of(record: &AlertRecord) -> Result<Self, StoreError> {
        serde_json::from_str(&record.facts).map_err(|error| StoreError::Malformed {
            what: format!("facts of alert {}: {error}", record.id),
        })
    }

    /// Those of an episode that nobody has heard of.
    pub(crate) fn of_episode(episode: &Episode) -> Self {
        let field = |(field, value): &(String, Option<String>)| GroupField {
            field: field.clone(),
            value: value.clone(),
        };
        let mut facts = Self {
            source: AlertSource::Rule,
            rule_hash: Some(hex::encode(episode.rule_hash.0)),
            title: episode.title.clone(),
            detail: None,
            raised_level: crate::desk::level_of(episode.level),
            group: episode.group.values.iter().map(field).collect(),
            first_at: episode.first.at,
            last_at: episode.last,
            ended: false,
            events: 0,
            value: 0.0,
            evidence: Vec::new(),
            late: episode.late,
            muted: None,
            history: Vec::new(),
            recipients: Vec::new(),
            offered: false,
            told_later: false,
            recorded: false,
        };
        facts.take(episode);
        facts
    }

    /// Brings them up to date; whether anything changed. A phase that is known changes nothing, nor does an earlier one.
    pub(crate) fn merge(&mut self, episode: &Episode) -> bool {
        let news = !self.ended && episode.phase == Phase::Closed;
        if news {
            self.take(episode);
        }
        news
    }

    fn take(&mut self, episode: &Episode) {
        self.last_at = episode.last;
        self.ended = episode.phase == Phase::Closed;
        self.events = episode.events;
        // JSON has no other numbers.
        self.value = episode.value.clamp(f64::MIN, f64::MAX);
        self.late = episode.late;
        self.evidence = episode
            .evidence
            .iter()
            .map(|evidence| EvidenceEvent {
                event_id: evidence.event.to_string(),
                at: evidence.at,
                ledger: evidence.position.ledger,
                leaf_index: evidence.position.leaf.0,
            })
            .collect();
    }

    /// Whether the store left its raising out because another one of its group was told a short while before.
    pub(crate) fn is_in_cooldown(&self, notified: bool) -> bool {
        self.offered && !notified && !self.told_later
    }

    /// Whether nobody is to hear of it.
    pub(crate) fn is_quiet(&self, notified: bool) -> bool {
        self.muted.is_some() || self.is_in_cooldown(notified)
    }

    /// As kept.
    pub(crate) fn to_json(&self) -> Result<String, StoreError> {
        crate::notice::json(self)
    }
}
