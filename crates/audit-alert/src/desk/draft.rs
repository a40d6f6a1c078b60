//! The next version of an alert, before it is written.

use std::time::Duration;

use audit_event::{OrganizationId, Timestamp};
use audit_store::{AlertId, AlertRecord, AlertState, AlertWrite, NewDelivery, StoreError};

use crate::alert::{Alert, HistoryStep};
use crate::facts::Facts;
use crate::notice::{Notice, NoticeKind, json, key};
use crate::policy::{Policy, TRAIL};
use crate::trail::Step;

/// What a new alert is made of, beside its facts.
pub(super) struct Origin {
    pub(super) id: AlertId,
    pub(super) group: [u8; 32],
    pub(super) organization_id: OrganizationId,
    pub(super) rule: String,
}

/// The next version of an alert, and what is to be told of it.
pub(super) struct Draft {
    pub(super) record: AlertRecord,
    pub(super) facts: Facts,
    expected: u64,
    deliveries: Vec<NewDelivery>,
    escalate_after: Option<Duration>,
    cooldown: Duration,
}

impl Draft {
    /// Of a known alert.
    pub(super) fn next(record: AlertRecord, now: Timestamp) -> Result<Self, StoreError> {
        let facts = Facts::of(&record)?;
        let left = |at: Timestamp| at.micros().saturating_sub(now.micros());
        let left = record.escalate_at.map(left);
        Ok(Self {
            facts,
            expected: record.version,
            deliveries: Vec::new(),
            escalate_after: left
                .map(|left| Duration::from_micros(u64::try_from(left).unwrap_or_default())),
            cooldown: Duration::ZERO,
            record: AlertRecord {
                version: record.version.saturating_add(1),
                ..record
            },
        })
    }

    /// Of a new one: who hears of it and whether is decided here, the cooldown aside, which is the store's.
    pub(super) fn new(
        origin: Origin,
        facts: Facts,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let level = facts.raised_level;
        let suppressed = policy.suppression(&origin.rule, &origin.organization_id, now);
        let recipients = policy.recipients(&origin.rule, &origin.organization_id, level);
        let mut draft = Self {
            facts: Facts {
                muted: suppressed.map(|by| format!("suppression {}", by.name())),
                offered: suppressed.is_none()
                    && recipients
                        .iter()
                        .any(|name| policy.wants(name, NoticeKind::Raised)),
                recipients,
                history: vec![step(AlertState::Open, "system", now, None)],
                ..facts
            },
            expected: 0,
            deliveries: Vec::new(),
            escalate_after: None,
            cooldown: policy.cooldown,
            record: AlertRecord {
                id: origin.id,
                group: origin.group,
                organization_id: origin.organization_id,
                rule: origin.rule,
                level,
                state: AlertState::Open,
                raised_at: now,
                escalation: 0,
                escalate_at: None,
                // Its deliveries exist only when it is so.
                notified: true,
                version: 1,
                facts: String::new(),
            },
        };
        if draft.facts.muted.is_none() {
            draft.escalate_after(policy.until_next_escalation(0), now);
            draft.tell(policy, NoticeKind::Raised, now)?;
        }
        Ok(draft)
    }

    /// As people see it.
    pub(super) fn alert(&self) -> Alert {
        Alert::from_parts(&self.record, self.facts.clone())
    }

    /// Notes who did what.
    pub(super) fn note(&mut self, state: AlertState, by: &str, at: Timestamp, note: Option<&str>) {
        self.record.state = state;
        self.facts.history.push(step(state, by, at, note));
    }

    /// Escalates it so long after now.
    pub(super) fn escalate_after(&mut self, after: Option<Duration>, now: Timestamp) {
        self.escalate_after = after;
        self.record.escalate_at = after.map(|after| {
            let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
            Timestamp::clamped(now.micros().saturating_add(after))
        });
    }

    /// Tells those who hear of it, unless it is quiet.
    pub(super) fn tell(
        &mut self,
        policy: &Policy,
        kind: NoticeKind,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.facts.is_quiet(self.record.notified) {
            return Ok(());
        }
        let wants = |name: &&String| policy.wants(name, kind);
        let names: Vec<String> = self
            .facts
            .recipients
            .iter()
            .filter(wants)
            .cloned()
            .collect();
        self.tell_these(&names, kind, now)
    }

    /// Tells these, whatever they want to hear otherwise.
    pub(super) fn tell_these(
        &mut self,
        names: &[String],
        kind: NoticeKind,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notice = Notice {
            key: key(self.record.id, kind, self.ordinal(kind)),
            kind,
            alert: self.alert(),
            at: now,
        };
        let payload = json(&notice)?;
        self.deliveries.extend(names.iter().map(|name| NewDelivery {
            handler: name.clone(),
            key: notice.key.clone(),
            payload: payload.clone(),
        }));
        Ok(())
    }

    /// Has the step that was taken last told to the trail, through the outbox: it is not lost when this process is.
    pub(super) fn record_step(&mut self, kind: NoticeKind) -> Result<(), StoreError> {
        let Some(step) = Step::of(&self.alert(), kind, self.ordinal(kind)) else {
            return Ok(());
        };
        self.deliveries.push(NewDelivery {
            handler: TRAIL.to_owned(),
            key: step.identity.clone(),
            payload: json(&step)?,
        });
        Ok(())
    }

    /// An alert is escalated many times; everything else happens to it once.
    fn ordinal(&self, kind: NoticeKind) -> u32 {
        match kind {
            NoticeKind::Escalated => u32::from(self.record.escalation),
            NoticeKind::Raised
            | NoticeKind::Ended
            | NoticeKind::Acknowledged
            | NoticeKind::Resolved => 1,
        }
    }

    /// As the store takes it.
    pub(super) fn to_write(&self) -> Result<AlertWrite, StoreError> {
        let record = &self.record;
        Ok(AlertWrite {
            id: record.id,
            group: record.group,
            organization_id: record.organization_id.clone(),
            rule: record.rule.clone(),
            level: record.level,
            state: record.state,
            escalation: record.escalation,
            escalate_after: self.escalate_after,
            facts: self.facts.to_json()?,
            expected: self.expected,
            deliveries: self.deliveries.clone(),
            cooldown: self.cooldown,
        })
    }
}

fn step(state: AlertState, by: &str, at: Timestamp, note: Option<&str>) -> HistoryStep {
    HistoryStep {
        state,
        by: by.to_owned(),
        at,
        note: note.map(str::to_owned),
    }
}
