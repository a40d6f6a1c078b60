//! What people and time do to an alert.

use audit_event::OrganizationId;
use audit_store::alerts::ALERTS_MAX;
use audit_store::{AlertId, AlertRecord, AlertState, StoreError};

use super::draft::Draft;
use super::{Desk, DeskError, NOTE_BYTES_MAX, TRIES_MAX, restless};
use crate::alert::{Alert, AlertSource};
use crate::notice::NoticeKind;
use crate::policy::Policy;

/// Who does something, and what they say.
struct Act<'a> {
    to: AlertState,
    by: &'a str,
    note: Option<&'a str>,
}

impl Desk {
    /// Somebody looks: it is not escalated any more. Again is fine, and changes nothing.
    ///
    /// # Errors
    /// [`DeskError::NotFound`] also when it is of none of these organisations (`None`: of any).
    pub async fn acknowledge(
        &self,
        id: AlertId,
        scope: Option<&[OrganizationId]>,
        by: &str,
        note: Option<&str>,
    ) -> Result<Alert, DeskError> {
        let to = AlertState::Acknowledged;
        self.act(id, scope, Act { to, by, note }).await
    }

    /// It is done with, for good.
    ///
    /// # Errors
    /// [`DeskError::NotFound`] also when it is of none of these organisations (`None`: of any); [`DeskError::AlreadyResolved`].
    pub async fn resolve(
        &self,
        id: AlertId,
        scope: Option<&[OrganizationId]>,
        by: &str,
        note: Option<&str>,
    ) -> Result<Alert, DeskError> {
        let to = AlertState::Resolved;
        self.act(id, scope, Act { to, by, note }).await
    }

    async fn act(
        &self,
        id: AlertId,
        scope: Option<&[OrganizationId]>,
        act: Act<'_>,
    ) -> Result<Alert, DeskError> {
        if act.note.is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
            return Err(DeskError::NoteTooLong);
        }
        for _try in 0..TRIES_MAX {
            let record = self.alerts.get(id, scope).await?;
            let record = record.ok_or(DeskError::NotFound)?;
            if record.state == AlertState::Resolved {
                return Err(DeskError::AlreadyResolved);
            }
            if record.state == act.to {
                return Ok(Alert::of(&record)?);
            }
            let draft = self.acted(record, &act)?;
            if self.write_one(&draft).await? {
                return Ok(draft.alert());
            }
        }
        Err(restless().into())
    }

    fn acted(&self, record: AlertRecord, act: &Act<'_>) -> Result<Draft, StoreError> {
        let now = self.now();
        let kind = match act.to {
            AlertState::Resolved => NoticeKind::Resolved,
            AlertState::Open | AlertState::Acknowledged => NoticeKind::Acknowledged,
        };
        let mut draft = Draft::next(record, now)?;
        draft.note(act.to, act.by, now, act.note);
        draft.escalate_after(None, now);
        if act.to == AlertState::Resolved && draft.facts.source == AlertSource::System {
            draft.facts.ended = true;
            draft.facts.last_at = now;
        }
        draft.tell(&self.policy(), kind, now)?;
        draft.record_step(kind)?;
        Ok(draft)
    }

    /// Escalates what nobody has acknowledged for too long; how many. To be called every few seconds, by any number of processes.
    ///
    /// # Errors
    /// The store's. What was escalated stays so.
    pub async fn escalate_due(&self) -> Result<u64, StoreError> {
        let policy = self.policy();
        let mut escalated = 0;
        // Each round takes what it finds off the list; one that finds nothing new to do ends it.
        loop {
            let due = self.alerts.due(ALERTS_MAX).await?;
            let mut moved_on = false;
            for record in due {
                let draft = self.escalated(record, &policy)?;
                let escalates = draft.is_some_told();
                if self.write_one(&draft.0).await? {
                    moved_on = true;
                    escalated += u64::from(escalates);
                }
            }
            if !moved_on {
                return Ok(escalated);
            }
        }
    }

    /// The next step; none for one that nobody hears of, or when there are no more steps since the policy changed.
    fn escalated(&self, record: AlertRecord, policy: &Policy) -> Result<Escalated, StoreError> {
        let now = self.now();
        let done = record.escalation;
        let notified = record.notified;
        let mut draft = Draft::next(record, now)?;
        let step = policy.escalation.get(usize::from(done));
        let Some(step) = step.filter(|_step| !draft.facts.is_quiet(notified)) else {
            draft.escalate_after(None, now);
            return Ok(Escalated(draft, false));
        };
        draft.record.escalation = done.saturating_add(1);
        draft.record.level = step
            .raise_to
            .map_or(draft.record.level, |level| level.max(draft.record.level));
        let by_level = policy.recipients(
            &draft.record.rule,
            &draft.record.organization_id,
            draft.record.level,
        );
        for name in by_level.into_iter().chain(step.handlers.iter().cloned()) {
            if !draft.facts.recipients.contains(&name) {
                draft.facts.recipients.push(name);
            }
        }
        draft.note(AlertState::Open, "system", now, Some("escalated"));
        draft.escalate_after(policy.until_next_escalation(draft.record.escalation), now);
        // Those that the step names hear of it whatever they hear of otherwise; nobody twice.
        let hearing = draft.facts.recipients.iter();
        let hears = |name: &&String| {
            step.handlers.contains(name) || policy.wants(name, NoticeKind::Escalated)
        };
        let hearing: Vec<String> = hearing.filter(hears).cloned().collect();
        draft.tell_these(&hearing, NoticeKind::Escalated, now)?;
        draft.record_step(NoticeKind::Escalated)?;
        Ok(Escalated(draft, true))
    }
}

/// The next version of an alert whose time has come, and whether it is escalated in it.
struct Escalated(Draft, bool);

impl Escalated {
    const fn is_some_told(&self) -> bool {
        self.1
    }
}
