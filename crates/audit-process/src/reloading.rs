//! The configuration of a running process: looked at again, applied, told, and shown.

use std::sync::Arc;

use async_trait::async_trait;
use audit::Health;
use audit_config::{Configuration, Settings, components_of};
use audit_config_source::{ConfigSource, Document, From, KeptCopies, Mark};
use audit_event::Timestamp;
use audit_http::{
    AppState, ConfigurationControl, ConfigurationObstacle, ConfigurationRefusal, own_event,
};
use audit_pipeline::{Acceptor, ItemStatus};
use audit_reload::{
    Chapter, Chronicle, Component, Parts, Published, Refusal, Reloader, Request, Running, Standing,
    Target,
};
use audit_runtime::{Clock, Shutdown, Tasks};
use audit_store::{
    ConfigReport, ConfigState, ConfigTaken, ConfigVersion, ConfigVersions, StoreError,
};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::configuration::read;
use crate::live::Live;
use crate::options::Flags;
use crate::standing::show_source;

/// The version that this process runs with.
const VERSION: &str = "audit_worker_configuration_version";
/// Keys whose new value waits for the next start.
const NEEDS_RESTART: &str = "audit_worker_configuration_needs_restart";

/// Our ids of chapters are made in this namespace (RFC 9562, version 5).
const CHAPTERS: Uuid = Uuid::from_u128(0x3f1b_6c2e_8d47_4a05_9c1e_52d0_7be3_a914);

/// What a process was started with that can change at its source.
pub(crate) struct Origin {
    pub(crate) source: Arc<dyn ConfigSource>,
    pub(crate) kept: KeptCopies,
    pub(crate) document: Option<Document>,
    pub(crate) mark: Option<Mark>,
    pub(crate) flags: Flags,
}

/// Makes a reloader for a process that runs, and shows it over HTTP.
pub(crate) fn reloader(
    origin: Origin,
    configuration: Configuration,
    from: &'static str,
    live: Arc<Live>,
    state: &mut AppState,
) -> anyhow::Result<Arc<Reloader>> {
    let flags = origin.flags;
    let trail = Trail {
        acceptor: Arc::clone(&state.acceptor),
        clock: Arc::clone(&state.clock),
    };
    let parts = Parts {
        config: origin.source.place(),
        process: (state.process)().owner,
        source: origin.source,
        kept: Some(origin.kept),
        read: Arc::new(move |document: &Document| read(Some(document), &flags)),
        target: live,
        chronicle: Arc::new(trail),
    };
    let running = Running {
        document: origin.document,
        mark: origin.mark,
        configuration,
    };
    let reloader = Reloader::new(parts, running);
    let reloader = Arc::new(reloader.map_err(|why| anyhow::anyhow!("configuration: {why}"))?);
    state.configuration = Some(Arc::new(Control {
        reloader: Arc::clone(&reloader),
        from,
    }));
    Ok(reloader)
}

/// Keeps up with the versions, and looks at the source when SIGHUP asks for it.
pub(crate) fn keep_up(reloader: &Arc<Reloader>, tasks: &Tasks, shutdown: &Shutdown) {
    let (versions, stop) = (Arc::clone(reloader), shutdown.signal());
    tasks.spawn("configuration", async move {
        versions.run(stop, show).await;
    });
    let (asked, stop) = (Arc::clone(reloader), shutdown.signal());
    tasks.spawn(
        "SIGHUP",
        on_hangup(stop, async move || {
            match asked.request("SIGHUP", Request::Reload).await {
                Ok(published) => tracing::info!(
                    version = published.number,
                    keys = published.changes.len(),
                    "configuration looked at"
                ),
                Err(refusal) => {
                    let problems = problems(&refusal);
                    tracing::error!(?problems, "configuration not changed: {refusal}");
                }
            }
        }),
    );
}

/// A process without a configuration has nothing to look at; SIGHUP must not end it either.
pub(crate) fn nothing_to_keep_up(tasks: &Tasks, shutdown: &Shutdown) {
    tasks.spawn(
        "SIGHUP",
        on_hangup(shutdown.signal(), async || {
            tracing::warn!("SIGHUP: this process was started without a configuration");
        }),
    );
}

async fn on_hangup(stop: audit_runtime::ShutdownSignal, look: impl AsyncFn()) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be received");
        return;
    };
    loop {
        tokio::select! {
            () = stop.begun() => return,
            _ = hangup.recv() => look().await,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "versions and keys are far below 2^52"
)]
fn show(standing: &Standing) {
    metrics::gauge!(VERSION).set(standing.number as f64);
    metrics::gauge!(NEEDS_RESTART).set(standing.needs_restart.len() as f64);
    if standing.source_answered {
        show_source(From::Source);
    }
}

/// As the component `configuration` is shown; `began` is how it was at the start, which ends when the source answers.
pub(crate) fn health(reloader: &Reloader, began: &Health) -> Health {
    let standing = reloader.standing();
    match standing.trouble {
        Some(trouble) => Health::Degraded(trouble),
        None if standing.source_answered => Health::Working,
        None => began.clone(),
    }
}

#[async_trait]
impl Target for Live {
    fn check(&self, settings: &Settings) -> Result<(), String> {
        Self::check(self, settings).map_err(chain)
    }

    async fn apply(&self, settings: &Settings) -> Result<(), String> {
        Self::apply(self, settings).map_err(chain)
    }

    fn components(&self) -> Vec<Component> {
        let components = self.audit().components().into_iter();
        components
            .map(|(name, health)| match health {
                Health::Failing(why) => (name, Some(why)),
                Health::Working | Health::Degraded(_) => (name, None),
            })
            .collect()
    }

    fn concerned_by(&self, key: &str) -> &'static [&'static str] {
        components_of(key)
    }

    fn versions(&self, settings: &Settings) -> Result<Arc<dyn ConfigVersions>, String> {
        self.audit().versions_in(settings).map_err(chain)
    }
}

/// An error with its causes, in one line; none of ours holds a secret.
fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

/// The audit trail, where changes are told as events of our own.
struct Trail {
    acceptor: Arc<Acceptor>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Chronicle for Trail {
    async fn tell(&self, chapter: &Chapter) -> Result<(), String> {
        let now = || Timestamp::clamped(self.clock.now_micros());
        let mut event = json!({
            "timestamp": chapter.at.unwrap_or_else(now).to_string(),
            "action": chapter.action,
            "status": if chapter.success { "success" } else { "failure" },
            "principalId": chapter.by,
            "principalType": "configuration",
            "targetResourceType": "configuration",
            "targetResourceId": shortened(&chapter.config),
            "details": chapter.details,
        });
        if let (Some(identity), Some(members)) = (&chapter.identity, event.as_object_mut()) {
            let id = Uuid::new_v5(&CHAPTERS, identity.as_bytes());
            members.insert("id".to_owned(), id.to_string().into());
        }
        let answer = self.acceptor.accept(own_event(event.to_string())).await;
        match answer {
            Ok(answer) if answer.frame.is_some() => Ok(()),
            Ok(answer)
                if answer
                    .results
                    .iter()
                    .any(|item| item.status == ItemStatus::Rejected) =>
            {
                // It will not be taken later either, and nothing may wait behind it for ever. The version itself is kept.
                tracing::error!(
                    action = chapter.action,
                    ?answer,
                    "a change of the configuration is not in the trail"
                );
                Ok(())
            }
            Ok(answer) => Err(format!("not taken: {:?}", answer.results)),
            Err(error) => Err(chain(error)),
        }
    }
}

/// Bytes of a place that an event can name.
const PLACE_BYTES_MAX: usize = 500;

/// The end of a place tells more than its beginning.
fn shortened(place: &str) -> &str {
    let from = place.len().saturating_sub(PLACE_BYTES_MAX);
    let from = (from..=place.len()).find(|at| place.is_char_boundary(*at));
    from.and_then(|from| place.get(from..)).unwrap_or_default()
}

/// The configuration as the HTTP surface offers it.
struct Control {
    reloader: Arc<Reloader>,
    /// Where the configuration of the start was from.
    from: &'static str,
}

#[async_trait]
impl ConfigurationControl for Control {
    async fn status(&self, versions: u32) -> Result<Value, StoreError> {
        let history = self.reloader.history(versions).await?;
        let versions: Vec<_> = history.iter().map(version).collect();
        let standing = self.reloader.standing();
        let settings = self.reloader.settings().await;
        let from = if standing.source_answered {
            "source"
        } else {
            self.from
        };
        let mut status = json!({
            "configuration": self.reloader.config(),
            "source": self.reloader.source(),
            "from": from,
            "settings": settings.get("settings"),
            "origins": settings.get("origins"),
            "versions": versions,
        });
        if let (Some(members), Value::Object(standing)) =
            (status.as_object_mut(), standing.to_json())
        {
            members.extend(standing);
        }
        Ok(status)
    }

    async fn reload(&self, by: &str) -> Result<Value, ConfigurationRefusal> {
        answer(self.reloader.request(by, Request::Reload).await)
    }

    async fn roll_back(
        &self,
        by: &str,
        version: Option<u64>,
    ) -> Result<Value, ConfigurationRefusal> {
        answer(self.reloader.request(by, Request::RollBack(version)).await)
    }
}

fn answer(done: Result<Published, Refusal>) -> Result<Value, ConfigurationRefusal> {
    let published = done.map_err(refused)?;
    let changes: Vec<_> = published
        .changes
        .iter()
        .map(audit_config::Change::to_json)
        .collect();
    Ok(json!({
        "version": published.number,
        "changes": changes,
        "watchMs": u64::try_from(published.watch.as_millis()).unwrap_or(u64::MAX),
    }))
}

fn refused(refusal: Refusal) -> ConfigurationRefusal {
    let because = match &refusal {
        Refusal::Watched(_) | Refusal::Overtaken | Refusal::TakenBack(_) => {
            ConfigurationObstacle::Conflict
        }
        Refusal::Gone { .. } => ConfigurationObstacle::Gone,
        Refusal::Source(_) | Refusal::Store(_) => ConfigurationObstacle::Away,
        // What was asked for itself, and whatever is added.
        _ => ConfigurationObstacle::Wrong,
    };
    ConfigurationRefusal {
        because,
        problems: problems(&refusal),
        message: chain(refusal),
    }
}

/// Key and reason of every problem.
fn problems(refusal: &Refusal) -> Vec<(String, String)> {
    match refusal {
        Refusal::Problems(problems) => problems
            .iter()
            .map(|problem| (problem.key.clone(), problem.to_string()))
            .collect(),
        Refusal::NeedsRestart(keys) => keys
            .iter()
            .map(|key| ((*key).to_owned(), "needs a restart".to_owned()))
            .collect(),
        _ => Vec::new(),
    }
}

fn version((version, reports): &(ConfigVersion, Vec<ConfigReport>)) -> Value {
    let changes: Value = serde_json::from_str(&version.changes).unwrap_or(Value::Null);
    let state = match version.state {
        ConfigState::Watched(_) => "watched",
        ConfigState::InForce => "inForce",
        ConfigState::RolledBack => "rolledBack",
    };
    let reports: Vec<_> = reports.iter().map(report).collect();
    json!({
        "version": version.number,
        "sha256": audit_config_source::Sha256(version.sha256).to_string(),
        "source": version.source,
        "sourceVersion": version.source_version,
        "by": version.by,
        "restores": version.restores,
        "changes": changes,
        "publishedAt": version.published_at.to_string(),
        "state": state,
        "concludedAt": version.concluded_at.map(|at| at.to_string()),
        "reason": version.reason,
        "reports": reports,
    })
}

fn report(report: &ConfigReport) -> Value {
    let taken = match report.taken {
        ConfigTaken::Applied => "applied",
        ConfigTaken::Waiting => "waiting",
        ConfigTaken::Failed => "failed",
    };
    json!({
        "process": report.process,
        "taken": taken,
        "detail": report.detail,
        "at": report.at.to_string(),
    })
}
