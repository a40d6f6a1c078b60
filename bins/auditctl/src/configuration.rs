//! `config`: what processes run with, what changed from one version to the next, and changing it.

mod difference;

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};
use crate::progress;
use difference::{Changed, difference};

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Shows what holds in the process that is asked, and how each process took the newest version.
    Status,
    /// Lists the versions, newest first.
    History {
        /// So many at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Shows what changed between two versions.
    Diff {
        /// The earlier one; the one before the later when not given.
        #[arg(value_name = "FROM")]
        from: Option<u64>,
        /// The later one; the newest when not given.
        #[arg(value_name = "TO")]
        to: Option<u64>,
    },
    /// Has the process look at the source of its configuration now.
    Reload(Waiting),
    /// Brings the document of an earlier version back.
    Rollback {
        /// Its number; the version that was in force before the newest when not given.
        #[arg(value_name = "VERSION")]
        version: Option<u64>,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// Whether to wait for what becomes of a change.
#[derive(Debug, clap::Args)]
pub(crate) struct Waiting {
    /// Does not wait until the version is in force or taken back.
    #[arg(long)]
    no_wait: bool,
}

/// Answer of `GET /observability/configuration-status`, as far as it is shown.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    source: String,
    from: String,
    version: u64,
    sha256: Option<String>,
    needs_restart: Vec<String>,
    trouble: Option<String>,
    versions: Vec<Version>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// One version.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: u64,
    sha256: String,
    by: String,
    published_at: String,
    state: String,
    reason: Option<String>,
    restores: Option<u64>,
    changes: Vec<Changed>,
    reports: Vec<Report>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// What a process said of a version.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    process: String,
    taken: String,
    detail: String,
    at: String,
}

/// Answer to a reload or a rollback.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    version: u64,
    changes: Vec<Changed>,
    watch_ms: u64,
}

/// Versions that are looked at by commands that need no list of them.
const SOME: u32 = 20;
/// The most that the server gives.
const ALL: u32 = 200;
/// Time between two looks while a version is watched.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    action: &Action,
) -> Result<Verdict, CliError> {
    match action {
        Action::Status => status(output, &ask(client, SOME).await?),
        Action::History { limit } => history(output, &ask(client, *limit).await?),
        Action::Diff { from, to } => diff(output, &ask(client, ALL).await?, *from, *to),
        Action::Reload(waiting) => {
            let published: Published = client
                .call(Method::POST, "/admin/config/reload", None)
                .await?;
            changed(client, output, published, waiting).await
        }
        Action::Rollback { version, waiting } => {
            let body = json!({ "version": version });
            let published: Published = client
                .call(Method::POST, "/admin/config/rollback", Some(&body))
                .await?;
            changed(client, output, published, waiting).await
        }
    }
}

async fn ask(client: &Client, versions: u32) -> Result<Status, CliError> {
    let parameters = vec![("versions".to_owned(), versions.to_string())];
    client
        .get("/observability/configuration-status", &parameters)
        .await
}

fn status(output: &Output, status: &Status) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["process", "version", "taken", "detail"]);
    if let Some(newest) = status.versions.first() {
        for report in &newest.reports {
            rows.push(vec![
                report.process.as_str().into(),
                newest.version.to_string().into(),
                Text::toned(&report.taken, tone(&report.taken)),
                report.detail.as_str().into(),
            ]);
        }
    }
    output.rows_or(&rows, status)?;
    output.remark(&format!(
        "this process runs with version {} from {} ({})",
        status.version, status.source, status.from
    ))?;
    if !status.needs_restart.is_empty() {
        let keys = status.needs_restart.join(", ");
        output.remark(&format!("restart it to have it take {keys}"))?;
    }
    if let Some(trouble) = &status.trouble {
        output.remark(trouble)?;
    }
    Ok(match status.trouble {
        Some(_) => Verdict::Finding,
        None => Verdict::Fine,
    })
}

fn history(output: &Output, status: &Status) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["version", "publishedAt", "state", "by", "keys", "reason"]);
    for version in &status.versions {
        let keys: Vec<_> = version
            .changes
            .iter()
            .map(|change| change.key.as_str())
            .collect();
        let reason = match (version.restores, &version.reason) {
            (Some(restored), None) => format!("brings version {restored} back"),
            (Some(restored), Some(reason)) => format!("brings version {restored} back: {reason}"),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        rows.push(vec![
            version.version.to_string().into(),
            version.published_at.as_str().into(),
            Text::toned(&version.state, tone(&version.state)),
            version.by.as_str().into(),
            keys.join(", ").into(),
            reason.into(),
        ]);
    }
    output.rows_or(&rows, &status.versions)?;
    Ok(Verdict::Fine)
}

fn diff(
    output: &Output,
    status: &Status,
    from: Option<u64>,
    to: Option<u64>,
) -> Result<Verdict, CliError> {
    let newest = status.versions.first().map_or(0, |newest| newest.version);
    let to = to.unwrap_or(newest);
    let from = from.unwrap_or_else(|| to.saturating_sub(1));
    let oldest = status.versions.last().map_or(0, |oldest| oldest.version);
    if from < oldest || from > to || to > newest {
        return Err(CliError::Usage(format!(
            "versions {oldest} to {newest} are known: the first one must not be later than the second"
        )));
    }
    let mut between: Vec<_> = status
        .versions
        .iter()
        .filter(|version| version.version > from && version.version <= to)
        .collect();
    between.reverse();
    let changes = difference(between.into_iter().flat_map(|version| &version.changes));
    show_changes(output, &changes, &changes)?;
    if changes.is_empty() {
        output.remark(&format!("versions {from} and {to} mean the same"))?;
    }
    Ok(Verdict::Fine)
}

fn show_changes(
    output: &Output,
    changes: &[Changed],
    json: &impl Serialize,
) -> Result<(), CliError> {
    let mut rows = Rows::new(&["key", "before", "after", "takes"]);
    for change in changes {
        let (before, after) = change.shown();
        let takes = if change.needs_restart {
            "a restart"
        } else {
            "at once"
        };
        rows.push(vec![
            change.key.as_str().into(),
            before.into(),
            after.into(),
            takes.into(),
        ]);
    }
    output.rows_or(&rows, json)
}

/// Shows what a change comes to, and waits for what becomes of it.
async fn changed(
    client: &Client,
    output: &Output,
    published: Published,
    waiting: &Waiting,
) -> Result<Verdict, CliError> {
    if published.changes.is_empty() || waiting.no_wait || published.watch_ms == 0 {
        show_changes(output, &published.changes, &published)?;
        output.remark(&match (&published.changes[..], published.watch_ms) {
            ([], _) => format!("nothing changes; version {} is in force", published.version),
            (_, 0) => format!("version {} is in force", published.version),
            _ => format!("version {} is being watched", published.version),
        })?;
        return Ok(Verdict::Fine);
    }
    let spinner = progress::spinner(&format!(
        "version {} is being watched for {} s",
        published.version,
        published.watch_ms.div_ceil(1_000)
    ));
    let version = loop {
        tokio::time::sleep(LOOK).await;
        let status = ask(client, SOME).await?;
        let found = status
            .versions
            .into_iter()
            .find(|version| version.version == published.version);
        match found {
            Some(version) if version.state == "watched" => {}
            Some(version) => break version,
            None => {
                return Err(CliError::Usage(format!(
                    "version {} is gone: others came after it",
                    published.version
                )));
            }
        }
    };
    spinner.finish_and_clear();
    show_changes(output, &version.changes, &version)?;
    if version.state == "inForce" {
        output.remark(&format!("version {} is in force", version.version))?;
        return Ok(Verdict::Fine);
    }
    let reason = version.reason.unwrap_or_default();
    output.remark(&format!(
        "version {} was taken back: {reason}",
        version.version
    ))?;
    Ok(Verdict::Finding)
}

fn tone(word: &str) -> Tone {
    match word {
        "applied" | "inForce" => Tone::Good,
        "failed" | "rolledBack" => Tone::Bad,
        _ => Tone::Plain,
    }
}
