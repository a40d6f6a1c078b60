//! Taking a version that was published.

use std::sync::Arc;
use std::time::Duration;

use audit_config::Configuration;
use audit_config_source::{Document, Fetched, Sha256};
use audit_event::Timestamp;
use audit_store::{ConfigReport, ConfigState, ConfigTaken, ConfigVersion, StoreError};
use tokio::time::Instant;

use super::{Reloader, State, waiting_for_restart};
use crate::concern::Concern;

/// How long a version that could not be applied is left alone, while it is in force for all.
const AGAIN: Duration = Duration::from_secs(10);

impl Reloader {
    /// Gets the document of a version and takes it. Gives what stands in the way.
    pub(super) async fn follow(
        &self,
        state: &mut State,
        version: &ConfigVersion,
    ) -> Result<Option<String>, StoreError> {
        if let Some((number, at, why)) = &state.failed
            && *number == version.number
            && (matches!(version.state, ConfigState::Watched(_)) || at.elapsed() < AGAIN)
        {
            return Ok(Some(why.clone()));
        }
        let Some(document) = self.obtain(state, version).await else {
            let detail = format!(
                "the document {} is neither at the source nor among the kept copies",
                Sha256(version.sha256)
            );
            self.say(state, version.number, ConfigTaken::Waiting, &detail)
                .await?;
            return Ok(Some(format!("version {}: {detail}", version.number)));
        };
        let full = (self.parts.read)(&document);
        self.take(state, version, document, full).await
    }

    /// Applies the document of a version, which was read to `full`. Gives why it could not.
    pub(super) async fn take(
        &self,
        state: &mut State,
        version: &ConfigVersion,
        document: Document,
        full: Configuration,
    ) -> Result<Option<String>, StoreError> {
        let next = full.without_restart(&state.started);
        let problem = full.problems().iter().chain(next.problems()).next();
        if let Some(detail) = problem.map(ToString::to_string) {
            return self.fail(state, version.number, &detail).await.map(Some);
        }
        let changes = next.changes_since(&state.running);
        let concern = Concern::of(&changes, &*self.parts.target);
        let of_the_store = |key: &str| key.starts_with("store.");
        if changes.iter().any(|change| of_the_store(change.key))
            && let Ok(candidate) = self.parts.target.versions(next.settings())
        {
            state.versions.consider(candidate);
        }
        if !changes.is_empty()
            && let Err(why) = self.parts.target.apply(next.settings()).await
        {
            return self.fail(state, version.number, &why).await.map(Some);
        }
        let keys: Vec<_> = changes.iter().map(|change| change.key).collect();
        tracing::info!(version = version.number, ?keys, "configuration applied");
        self.keep(&document).await;
        state.full = Arc::new(full);
        state.running = Arc::new(next);
        state.document = Some(document);
        state.number = version.number;
        state.failed = None;
        let watched = matches!(version.state, ConfigState::Watched(_));
        state.watching = watched.then_some((version.number, concern));
        self.applied(state, version).await?;
        Ok(None)
    }

    /// Reports that a version is applied, and what of it waits; a version in force is the last good one from here on.
    pub(super) async fn applied(
        &self,
        state: &mut State,
        version: &ConfigVersion,
    ) -> Result<(), StoreError> {
        let waiting = waiting_for_restart(state);
        let detail = if waiting.is_empty() {
            String::new()
        } else {
            format!("needs a restart: {}", waiting.join(", "))
        };
        if version.state == ConfigState::InForce {
            self.settle(state).await;
        }
        self.say(state, version.number, ConfigTaken::Applied, &detail)
            .await
    }

    /// What runs now is good: the next start may fall back on it.
    pub(super) async fn settle(&self, state: &mut State) {
        state.watching = None;
        state.versions.trust();
        let (Some(kept), Some(document)) = (self.parts.kept.clone(), &state.document) else {
            return;
        };
        let sha256 = document.sha256;
        let marked = tokio::task::spawn_blocking(move || kept.mark_good(sha256)).await;
        if let Ok(Err(error)) = marked {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the kept configuration could not be marked as good"
            );
        }
    }

    async fn fail(
        &self,
        state: &mut State,
        number: u64,
        detail: &str,
    ) -> Result<String, StoreError> {
        tracing::error!(version = number, detail, "configuration not applied");
        let why = format!("version {number}: {detail}");
        state.failed = Some((number, Instant::now(), why.clone()));
        self.say(state, number, ConfigTaken::Failed, detail).await?;
        Ok(why)
    }

    /// Reports, unless that was the last thing said.
    pub(super) async fn say(
        &self,
        state: &mut State,
        number: u64,
        taken: ConfigTaken,
        detail: &str,
    ) -> Result<(), StoreError> {
        let report = ConfigReport {
            process: self.parts.process.clone(),
            number,
            taken,
            detail: detail.to_owned(),
            // The store's.
            at: Timestamp::EPOCH,
        };
        if state.said.as_ref() != Some(&report) {
            state.versions.report(&report).await?;
            state.said = Some(report);
        }
        Ok(())
    }

    /// The document of a version, wherever it is.
    pub(super) async fn obtain(&self, state: &State, version: &ConfigVersion) -> Option<Document> {
        let sha256 = Sha256(version.sha256);
        let is_it = |document: &Document| document.sha256 == sha256;
        if let Some(document) = state.document.as_ref().filter(|document| is_it(document)) {
            return Some(document.clone());
        }
        if let Some(kept) = self.parts.kept.clone() {
            let found = tokio::task::spawn_blocking(move || kept.get(&sha256)).await;
            if let Ok(Ok(Some(document))) = found {
                return Some(document);
            }
        }
        if let Ok(Fetched::Document(document, _mark)) = self.parts.source.fetch(None).await
            && is_it(&document)
        {
            return Some(document);
        }
        let at_source = version.source_version.as_deref()?;
        let found = self.parts.source.fetch_version(at_source).await;
        found.ok().flatten().filter(is_it)
    }
}
