//! Episodes become alerts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use audit_integrity::digest::sha256;
use audit_monitor::{Episode, EpisodeId, EpisodeSink, WindowError};
use audit_store::{AlertId, AlertWritten, StoreError};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::draft::{Draft, Origin};
use super::{Desk, TRIES_MAX, restless};
use crate::alert::Alert;
use crate::facts::Facts;
use crate::metric;
use crate::notice::NoticeKind;
use crate::policy::Policy;
use crate::trail::Step;

/// Alerts that one write has at most.
const WRITE_MAX: usize = 200;
/// Steps that are told to the trail at a time.
const RECORDING_MAX: usize = 16;

#[async_trait]
impl EpisodeSink for Desk {
    /// Durable in two steps: the alerts and what is told of them, then their raising in the trail. Between the two nothing is lost: the
    /// episode comes again, and its raising is told again.
    async fn raise(&self, episodes: &[Episode]) -> Result<(), WindowError> {
        let policy = self.policy();
        for some in furthest(episodes).chunks(WRITE_MAX) {
            self.raise_some(&policy, some)
                .await
                .map_err(|error| WindowError::Unavailable(Box::new(error)))?;
        }
        Ok(())
    }
}

/// Each episode once, as far as it has come.
fn furthest(episodes: &[Episode]) -> Vec<&Episode> {
    let mut found: BTreeMap<EpisodeId, usize> = BTreeMap::new();
    let mut kept: Vec<&Episode> = Vec::new();
    for episode in episodes {
        match found.get(&episode.id).and_then(|at| kept.get_mut(*at)) {
            Some(known) if known.phase < episode.phase => *known = episode,
            Some(_) => {}
            None => {
                found.insert(episode.id, kept.len());
                kept.push(episode);
            }
        }
    }
    kept
}

impl Desk {
    async fn raise_some(&self, policy: &Policy, episodes: &[&Episode]) -> Result<(), StoreError> {
        let now = self.now();
        let drafts = episodes
            .iter()
            .map(|episode| Draft::new(origin(episode), Facts::of_episode(episode), policy, now))
            .collect::<Result<Vec<_>, _>>()?;
        let writes = drafts.iter().map(Draft::to_write);
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
        let written = self.alerts.write(&writes).await?;
        let mut new = Vec::new();
        for ((episode, draft), written) in episodes.iter().zip(&drafts).zip(written) {
            match written {
                AlertWritten::Done { .. } => {
                    count_raised(draft);
                    new.push(draft.alert());
                }
                AlertWritten::Moved => self.bring_up_to_date(episode, policy).await?,
            }
        }
        stream::iter(&new)
            .map(Ok)
            .try_for_each_concurrent(RECORDING_MAX, |alert| self.record_raising(alert))
            .await
    }

    /// The episode is known: it has gone on, or comes again.
    async fn bring_up_to_date(&self, episode: &Episode, policy: &Policy) -> Result<(), StoreError> {
        for _try in 0..TRIES_MAX {
            let Some(record) = self.alerts.get(AlertId(episode.id.0.0), None).await? else {
                // Forgotten just now: it was old, and resolved.
                return Ok(());
            };
            let now = self.now();
            let was_open = record.state != audit_store::AlertState::Resolved;
            let mut draft = Draft::next(record, now)?;
            if !draft.facts.recorded {
                self.record_raising(&draft.alert()).await?;
            }
            if !draft.facts.merge(episode) {
                return Ok(());
            }
            draft.facts.recorded = true;
            if was_open {
                draft.tell(policy, NoticeKind::Ended, now)?;
            }
            if self.write_one(&draft).await? {
                return Ok(());
            }
        }
        Err(restless())
    }

    /// Writes one; `false` when another version was there first.
    pub(super) async fn write_one(&self, draft: &Draft) -> Result<bool, StoreError> {
        let written = self.alerts.write(&[draft.to_write()?]).await?;
        Ok(matches!(written.first(), Some(AlertWritten::Done { .. })))
    }

    /// Tells the trail that an alert was raised, unless this process did before.
    pub(super) async fn record_raising(&self, alert: &Alert) -> Result<(), StoreError> {
        if self.was_recorded(alert.id) {
            return Ok(());
        }
        if let Some(step) = Step::of(alert, NoticeKind::Raised, 1) {
            let recorded = self.trail.record(&step).await;
            recorded.map_err(|reason| StoreError::Unavailable {
                what: "the trail of an alert",
                source: reason.into(),
            })?;
        }
        self.remember_recorded(alert.id);
        Ok(())
    }
}

pub(super) fn count_raised(draft: &Draft) {
    let level = crate::wire::level_name(draft.record.level);
    metrics::counter!(metric::RAISED, "level" => level).increment(1);
}

fn origin(episode: &Episode) -> Origin {
    Origin {
        id: AlertId(episode.id.0.0),
        group: group(episode),
        organization_id: episode.group.organization.clone(),
        rule: episode.rule.clone(),
    }
}

/// Which alerts are one group: those of a rule, by its key and not its hash, so that a tuned rule goes on in its order and cooldown, with
/// the same organisation and values.
fn group(episode: &Episode) -> [u8; 32] {
    let mut text = Vec::with_capacity(128);
    put(&mut text, Some(&episode.rule));
    put(&mut text, Some(episode.group.organization.as_str()));
    for (field, value) in &episode.group.values {
        put(&mut text, Some(field));
        put(&mut text, value.as_deref());
    }
    sha256(&[b"audit-alert-group/1\n", &text]).0
}

/// With its length before it, so that no two lists are one text.
pub(super) fn put(text: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => text.extend_from_slice(b"-\n"),
        Some(value) => {
            text.extend_from_slice(format!("{}\n", value.len()).as_bytes());
            text.extend_from_slice(value.as_bytes());
        }
    }
}
