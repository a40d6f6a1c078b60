//! From a document that is at the source to a version that all processes follow.

use std::time::Duration;

use audit_config::{Change, Configuration, OnRestartKeys};
use audit_config_source::{Document, Fetched, Mark};
use audit_store::config::VERSIONS_KEPT;
use audit_store::{ConfigState, ConfigVersion, NewConfigVersion, StoreError};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{Published, Refusal, Reloader, State};
use crate::history::{Chapter, chapters};

/// Problems that the trail names.
const PROBLEMS_TOLD: usize = 20;

/// Why a document is proposed.
#[derive(Default)]
struct Occasion<'o> {
    by: &'o str,
    restores: Option<u64>,
    /// Nobody asked.
    by_itself: bool,
    /// What the others run with, where this process runs with the document already.
    others: Option<Others>,
}

/// What processes run with that have not seen the document.
enum Others {
    Known(Box<Configuration>),
    Unknown,
}

impl Reloader {
    /// Looks at the source because somebody asks.
    pub(super) async fn reload(&self, state: &mut State, by: &str) -> Result<Published, Refusal> {
        state.looked = Instant::now();
        let fetched = self.parts.source.fetch(None).await;
        let (document, mark) = match fetched.map_err(Refusal::Source)? {
            Fetched::Document(document, mark) => (document, mark),
            // Nothing was known, so a source that keeps its word does not answer so.
            Fetched::Unchanged => return Err(Refusal::Overtaken),
        };
        state.source_away = None;
        state.source_answered = true;
        let occasion = Occasion {
            by,
            ..Occasion::default()
        };
        self.judge_and_mark(state, document, mark, &occasion).await
    }

    /// Looks at the source when it is time.
    pub(super) async fn poll(&self, state: &mut State) {
        let every = state.running.settings().reload.poll;
        if every.is_zero() || state.looked.elapsed() < every {
            return;
        }
        state.looked = Instant::now();
        let fetched = self.parts.source.fetch(state.mark.as_ref()).await;
        state.source_away = fetched
            .as_ref()
            .err()
            .map(|error| format!("source: {error}"));
        state.source_answered |= fetched.is_ok();
        let Ok(Fetched::Document(document, mark)) = fetched else {
            return;
        };
        let occasion = Occasion {
            by: "changed at the source",
            by_itself: true,
            ..Occasion::default()
        };
        // Why it was not taken stands until something else is there.
        let proposed = self.judge_and_mark(state, document, mark, &occasion).await;
        state.not_taken = proposed
            .err()
            .map(|refusal| format!("the document at the source was not taken: {refusal}"));
    }

    /// Proposes what is at the source. Once it was judged, it is asked for again only when it changes; what was in the way
    /// otherwise is tried again.
    async fn judge_and_mark(
        &self,
        state: &mut State,
        document: Document,
        mark: Mark,
        occasion: &Occasion<'_>,
    ) -> Result<Published, Refusal> {
        let proposed = self.propose(state, document, occasion).await;
        let is_judged = match &proposed {
            Ok(_)
            | Err(
                Refusal::Problems(_)
                | Refusal::NeedsRestart(_)
                | Refusal::Unfit(_)
                | Refusal::TakenBack(_),
            ) => true,
            Err(_) => false,
        };
        if is_judged {
            state.mark = Some(mark);
        }
        proposed
    }

    /// Brings the document of an earlier version back.
    pub(super) async fn bring_back(
        &self,
        state: &mut State,
        by: &str,
        number: Option<u64>,
    ) -> Result<Published, Refusal> {
        let versions = state.versions.list(VERSIONS_KEPT).await?;
        let wanted = match number {
            Some(number) => versions.iter().find(|version| version.number == number),
            None => before_newest(&versions),
        };
        let gone = |why| Refusal::Gone {
            number: number.unwrap_or(0),
            why,
        };
        let wanted = wanted.ok_or_else(|| gone("there is no such version"))?;
        let document = self.obtain(state, wanted).await;
        let document =
            document.ok_or_else(|| gone("its document is neither here nor at the source"))?;
        let occasion = Occasion {
            by,
            restores: Some(wanted.number),
            ..Occasion::default()
        };
        self.propose(state, document, &occasion).await
    }

    /// Publishes a document as the next version and takes it, if it can be taken.
    async fn propose(
        &self,
        state: &mut State,
        document: Document,
        occasion: &Occasion<'_>,
    ) -> Result<Published, Refusal> {
        let newest = state.versions.newest().await?;
        if let Some(newest) = &newest
            && let ConfigState::Watched(_) = newest.state
        {
            return Err(Refusal::Watched(newest.number));
        }
        let number = newest.as_ref().map_or(0, |newest| newest.number);
        let known = newest.is_some_and(|newest| newest.sha256 == document.sha256.0);
        if occasion.by_itself && known {
            return Ok(unchanged(number));
        }
        if occasion.by_itself
            && let Some(number) = taken_back(state, &document).await?
        {
            return Err(Refusal::TakenBack(number));
        }
        let full = (self.parts.read)(&document);
        let changes = match &occasion.others {
            Some(Others::Known(others)) => full.changes_since(others),
            Some(Others::Unknown) | None => full.changes_since(&state.full),
        };
        let means_the_same =
            changes.is_empty() && !matches!(occasion.others, Some(Others::Unknown));
        if let Err(refusal) = self.judge(state, &full, &changes) {
            state.remember([self.refused(&document, occasion, &refusal)]);
            return Err(refusal);
        }
        if known && means_the_same {
            return Ok(unchanged(number));
        }
        self.keep(&document).await;
        let watch = if means_the_same {
            Duration::ZERO
        } else {
            state.running.settings().reload.watch
        };
        let new = NewConfigVersion {
            after: number,
            sha256: document.sha256.0,
            source: document.name.clone(),
            source_version: document.version.clone(),
            by: occasion.by.to_owned(),
            restores: occasion.restores,
            changes: Json::from_iter(changes.iter().map(Change::to_json)).to_string(),
            watch,
        };
        self.publish(state, new, document, full).await?;
        Ok(Published {
            number: number + 1,
            changes,
            watch,
        })
    }

    /// Publishes, and is the first to take it.
    async fn publish(
        &self,
        state: &mut State,
        new: NewConfigVersion,
        document: Document,
        full: Configuration,
    ) -> Result<(), Refusal> {
        if !state.versions.publish(&new).await? {
            return Err(Refusal::Overtaken);
        }
        let number = new.after + 1;
        tracing::info!(version = number, by = new.by, sha256 = %document.sha256, "configuration published");
        let newest = state.versions.newest().await?;
        if let Some(published) = newest.filter(|newest| newest.number == number) {
            state.remember(chapters(&self.parts.config, &published));
            self.take(state, &published, document, full).await?;
        }
        Ok(())
    }

    /// Whether this process could run with it.
    fn judge(
        &self,
        state: &State,
        full: &Configuration,
        changes: &[Change],
    ) -> Result<(), Refusal> {
        let next = full.without_restart(&state.started);
        for problems in [full.problems(), next.problems()] {
            if !problems.is_empty() {
                return Err(Refusal::Problems(problems.to_vec()));
            }
        }
        let restart = changes.iter().filter(|change| change.needs_restart);
        let restart: Vec<_> = restart.map(|change| change.key).collect();
        let policy = state.running.settings().reload.on_restart_keys;
        if policy == OnRestartKeys::Refuse && !restart.is_empty() {
            return Err(Refusal::NeedsRestart(restart));
        }
        let fit = self.parts.target.check(next.settings());
        fit.map_err(Refusal::Unfit)
    }

    fn refused(&self, document: &Document, occasion: &Occasion<'_>, refusal: &Refusal) -> Chapter {
        let problems: Vec<_> = match refusal {
            Refusal::Problems(problems) => problems
                .iter()
                .take(PROBLEMS_TOLD)
                .map(ToString::to_string)
                .collect(),
            _ => Vec::new(),
        };
        Chapter {
            action: "configuration.refuse",
            identity: None,
            at: None,
            by: occasion.by.to_owned(),
            success: false,
            config: self.parts.config.clone(),
            details: json!({
                "process": self.parts.process,
                "source": document.name,
                "sourceVersion": document.version,
                "sha256": document.sha256.to_string(),
                "reason": refusal.to_string(),
                "problems": problems,
            }),
        }
    }

    pub(super) async fn keep(&self, document: &Document) {
        let Some(kept) = self.parts.kept.clone() else {
            return;
        };
        let document = document.clone();
        // Without the copy it can be run with all the same; only the way back is longer.
        match tokio::task::spawn_blocking(move || kept.keep(&document)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no copy of the configuration was kept"
                );
            }
            Err(error) => tracing::error!(%error, "keeping a copy of the configuration panicked"),
        }
    }

    /// Learns where the other processes are, and makes itself known. Gives the newest version.
    pub(super) async fn join(
        &self,
        state: &mut State,
    ) -> Result<Option<ConfigVersion>, StoreError> {
        state.remember_the_newest().await?;
        let newest = state.versions.newest().await?;
        let Some(document) = state.document.clone().filter(|_| state.number == 0) else {
            return Ok(newest);
        };
        let Some(newest) = newest else {
            return self.publish_first(state, &document).await;
        };
        if newest.sha256 == document.sha256.0 {
            state.number = newest.number;
            self.keep(&document).await;
            self.applied(state, &newest).await?;
            return Ok(Some(newest));
        }
        let versions = state.versions.list(VERSIONS_KEPT).await?;
        let known = |version: &ConfigVersion| version.sha256 == document.sha256.0;
        if versions.iter().any(known) || matches!(newest.state, ConfigState::Watched(_)) {
            // An earlier one, left behind on this machine: the others are further.
            return Ok(Some(newest));
        }
        let others = match self.obtain(state, &newest).await {
            Some(theirs) => Others::Known(Box::new((self.parts.read)(&theirs))),
            None => Others::Unknown,
        };
        let occasion = Occasion {
            by: "found at the start",
            by_itself: true,
            others: Some(others),
            ..Occasion::default()
        };
        if let Err(refusal) = self.propose(state, document, &occasion).await {
            tracing::warn!(%refusal, "what this process was started with is not for the others");
        }
        state.versions.newest().await
    }

    async fn publish_first(
        &self,
        state: &mut State,
        document: &Document,
    ) -> Result<Option<ConfigVersion>, StoreError> {
        let first = NewConfigVersion {
            after: 0,
            sha256: document.sha256.0,
            source: document.name.clone(),
            source_version: document.version.clone(),
            by: "first start".to_owned(),
            restores: None,
            changes: "[]".to_owned(),
            watch: Duration::ZERO,
        };
        let published = state.versions.publish(&first).await?;
        let newest = state.versions.newest().await?;
        if let Some(newest) = newest.as_ref().filter(|_| published) {
            state.remember(chapters(&self.parts.config, newest));
            state.number = newest.number;
            self.keep(document).await;
            self.applied(state, newest).await?;
        }
        Ok(newest)
    }
}

/// The version as which a document was taken back, if that is the last that was heard of it.
async fn taken_back(state: &State, document: &Document) -> Result<Option<u64>, StoreError> {
    let versions = state.versions.list(VERSIONS_KEPT).await?;
    let mut with_it = versions
        .iter()
        .filter(|version| version.sha256 == document.sha256.0);
    Ok(with_it
        .next()
        .filter(|version| version.state == ConfigState::RolledBack)
        .map(|version| version.number))
}

fn unchanged(number: u64) -> Published {
    Published {
        number,
        changes: Vec::new(),
        watch: Duration::ZERO,
    }
}

/// The version that was in force before the newest, with another document.
fn before_newest(versions: &[ConfigVersion]) -> Option<&ConfigVersion> {
    let (newest, earlier) = versions.split_first()?;
    earlier
        .iter()
        .find(|version| version.state == ConfigState::InForce && version.sha256 != newest.sha256)
}
