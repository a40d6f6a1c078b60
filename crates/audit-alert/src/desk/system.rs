//! Alerts of the system itself.

use audit_event::{OWN_ORGANIZATION, OrganizationId};
use audit_integrity::digest::sha256;
use audit_store::{AlertFilter, AlertId, AlertLevel, AlertRecord, AlertState, StoreError};

use super::Desk;
use super::draft::{Draft, Origin};
use super::raise::{count_raised, put};
use crate::alert::{AlertSource, GroupField};
use crate::facts::Facts;
use crate::notice::NoticeKind;
use crate::policy::Policy;

/// Unresolved alerts of one finding that are looked at: there is one, or a few when processes disagreed for a moment.
const UNRESOLVED_MAX: u32 = 100;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// How something about the system stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFinding {
    /// What kind of thing: `queue-depth`, `breaker-open`, ... The alert's rule is `system/<kind>`.
    pub kind: String,
    /// Which one: a queue, a ledger, a process. What a process knows of itself alone names the process, so that no other one resolves it.
    pub subject: String,
    /// How much it matters.
    pub level: AlertLevel,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub detail: String,
    /// Whether it is so.
    pub active: bool,
}

impl Desk {
    /// Opens an alert when something is so and no alert of that kind and subject is unresolved, and resolves it when it is so no more. To be
    /// called as often as the thing is looked at.
    ///
    /// # Errors
    /// The store's: to be called again.
    pub async fn system(&self, finding: &SystemFinding) -> Result<(), StoreError> {
        let group = group(finding);
        let filter = AlertFilter {
            states: vec![AlertState::Open, AlertState::Acknowledged],
            group: Some(group),
            limit: UNRESOLVED_MAX,
            ..AlertFilter::default()
        };
        let unresolved = self.alerts.list(&filter).await?;
        match (finding.active, unresolved.is_empty()) {
            (true, true) => self.open(finding, group).await,
            (true, false) => self.still(&unresolved).await,
            (false, _) => {
                for record in unresolved {
                    self.resolve_by_itself(record).await?;
                }
                Ok(())
            }
        }
    }

    async fn open(&self, finding: &SystemFinding, group: [u8; 32]) -> Result<(), StoreError> {
        let policy = self.policy();
        let now = self.now();
        let origin = Origin {
            id: self.next_id(group).await?,
            group,
            organization_id: OrganizationId::new(OWN_ORGANIZATION),
            rule: format!("system/{}", finding.kind),
        };
        let draft = Draft::new(origin, facts(finding, now), &policy, now)?;
        // When somebody else wrote it just now it is open, which is what was wanted, and theirs to record.
        if self.write_one(&draft).await? {
            count_raised(&draft);
            self.record_raising(&draft.alert()).await?;
        }
        Ok(())
    }

    /// Every process that finds the same makes the same alert: its id follows from the one before it, or from the day.
    async fn next_id(&self, group: [u8; 32]) -> Result<AlertId, StoreError> {
        let filter = AlertFilter {
            group: Some(group),
            limit: 1,
            ..AlertFilter::default()
        };
        let last = self.alerts.list(&filter).await?;
        let before = match last.first() {
            Some(last) => last.id.to_string(),
            None => self.now().micros().div_euclid(MICROS_PER_DAY).to_string(),
        };
        let id = sha256(&[b"audit-system-alert/1\n", &group, before.as_bytes()]);
        Ok(AlertId(id.0))
    }

    /// It goes on: its raising is recorded if the process that raised it died before it was, and told once the cooldown is over.
    async fn still(&self, unresolved: &[AlertRecord]) -> Result<(), StoreError> {
        for record in unresolved {
            let now = self.now();
            let mut draft = Draft::next(record.clone(), now)?;
            if !draft.facts.recorded {
                self.record_raising(&draft.alert()).await?;
            }
            let policy = self.policy();
            if is_to_be_told(&draft, &policy, now.micros()) {
                draft.facts.told_later = true;
                draft.facts.recorded = true;
                draft.escalate_after(policy.until_next_escalation(record.escalation), now);
                draft.tell(&policy, NoticeKind::Raised, now)?;
                // When somebody else was faster it is told.
                self.write_one(&draft).await?;
            }
        }
        Ok(())
    }

    async fn resolve_by_itself(&self, record: AlertRecord) -> Result<(), StoreError> {
        let by_itself = self.resolve(record.id, None, "system", None).await;
        match by_itself {
            Ok(_) => Ok(()),
            Err(super::DeskError::Store(error)) => Err(error),
            // Somebody resolved it, or it was forgotten: it is gone.
            Err(_) => Ok(()),
        }
    }
}

fn is_to_be_told(draft: &Draft, policy: &Policy, now: i64) -> bool {
    let record = &draft.record;
    let age = now.saturating_sub(record.raised_at.micros());
    let cooldown = i64::try_from(policy.cooldown.as_micros()).unwrap_or(i64::MAX);
    record.state == AlertState::Open
        && draft.facts.muted.is_none()
        && draft.facts.is_in_cooldown(record.notified)
        && age >= cooldown
}

fn group(finding: &SystemFinding) -> [u8; 32] {
    let mut text = Vec::with_capacity(64);
    put(&mut text, Some(&finding.kind));
    put(&mut text, Some(&finding.subject));
    sha256(&[b"audit-system-group/1\n", &text]).0
}

fn facts(finding: &SystemFinding, now: audit_event::Timestamp) -> Facts {
    let field = |field: &str, value: &str| GroupField {
        field: field.to_owned(),
        value: Some(value.to_owned()),
    };
    Facts {
        source: AlertSource::System,
        rule_hash: None,
        title: finding.title.clone(),
        detail: Some(finding.detail.clone()),
        raised_level: finding.level,
        group: vec![
            field("kind", &finding.kind),
            field("subject", &finding.subject),
        ],
        first_at: now,
        last_at: now,
        ended: false,
        events: 0,
        value: 0.0,
        evidence: Vec::new(),
        late: false,
        muted: None,
        history: Vec::new(),
        recipients: Vec::new(),
        offered: false,
        told_later: false,
        recorded: false,
    }
}
