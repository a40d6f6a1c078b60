//! The measurements of one run, in order; each says what it is compared with.

use std::path::Path;
use std::time::{Duration, Instant};

use audit_store_sqlite::bench::{LOOPS, bare_insert, bare_read};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::http::{self, Load, Target};
use super::process::Process;
use super::{Args, events, fsync, worker};
use crate::client::Client;
use crate::error::CliError;
use crate::progress;

/// Time between two looks whether everything is stored or verified.
const POLL: Duration = Duration::from_millis(10);
/// Longest wait for that without any progress.
const STALLED: Duration = Duration::from_secs(60);

/// Everything measured. Times are milliseconds, rates are per second, sizes are bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) release_build: bool,
    pub(super) cores: usize,
    pub(super) directory: String,
    pub(super) fsync_ms: f64,
    pub(super) batches: Batches,
    pub(super) singles: Requests,
    pub(super) singles_reference: Requests,
    pub(super) sealed: Sealed,
    pub(super) verification: Verification,
    pub(super) peak_memory_bytes: Option<u64>,
}

/// Batches over HTTP until stored, and under a checkpoint.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Batches {
    pub(super) events: u64,
    pub(super) batch: u64,
    pub(super) stored_per_s: f64,
    pub(super) checkpointed_per_s: f64,
    /// The fastest of the loops.
    pub(super) bare_insert_per_s: f64,
    /// Rows a transaction of that loop inserts.
    pub(super) bare_insert_rows: usize,
    pub(super) ratio: f64,
    pub(super) refusals: u64,
    pub(super) worker_cpu_us_an_event: Option<f64>,
}

/// Single events, a request each.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Requests {
    pub(super) requests: usize,
    pub(super) connections: u64,
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) refusals: u64,
}

/// Batches that wait for a signed checkpoint.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sealed {
    pub(super) events_per_s: f64,
    pub(super) requests: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// A verification of everything stored.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verification {
    pub(super) result: String,
    pub(super) checked: u64,
    pub(super) per_s: f64,
    pub(super) per_core_s: Option<f64>,
    pub(super) bare_read_per_s: f64,
}

/// Measures the embedded form.
pub(super) async fn embedded(args: &Args) -> Result<Report, CliError> {
    let directory = directory(args.dir.as_deref())?;
    let bar = progress::events(None);
    bar.set_message("fsync");
    let fsync = fsync::median(directory.path())?;
    bar.set_message("reference: bare inserts");
    let (inserts, reads) = bare(args, directory.path())?;
    let worker = worker::start(args.worker.as_deref(), directory.path()).await?;
    let client = worker.client()?;
    let batches = batches(args, &worker, &client, inserts, &bar).await?;
    bar.set_message("single events");
    let singles = singles(args, worker.address, &worker.key()?, &client).await?;
    bar.set_message("reference: a bare handler");
    let singles_reference = singles_reference(args).await?;
    bar.set_message("ack=sealed");
    let sealed = sealed(args, &worker, batches.stored_per_s).await?;
    let expected = args.events + args.singles + sealed.events;
    stored(&client, expected).await?;
    bar.set_message("verification");
    let verification = verification(&worker, &client, reads).await?;
    bar.finish_and_clear();
    Ok(Report {
        release_build: !cfg!(debug_assertions),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        directory: directory.path().display().to_string(),
        fsync_ms: millis(fsync),
        batches,
        singles,
        singles_reference,
        sealed: sealed.shown,
        verification,
        peak_memory_bytes: worker.peak_memory(),
    })
}

pub(super) fn directory(within: Option<&Path>) -> Result<tempfile::TempDir, CliError> {
    let made = match within {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    made.map_err(|error| {
        CliError::Usage(format!(
            "cannot make a directory: {error}; name one with --dir"
        ))
    })
}

/// Rates of the bare loops, inserts and reads of the same rows.
fn bare(args: &Args, directory: &Path) -> Result<(Inserts, f64), CliError> {
    let failed = |error: audit_store::StoreError| crate::store::failed(&error);
    let rows = events::rows(1, args.events)?;
    let path = directory.join("reference.db");
    let mut fastest = Inserts {
        per_s: 0.0,
        transaction_rows: 0,
    };
    let mut reads_per_s = 0.0;
    for by in LOOPS {
        let inserted = bare_insert(&path, &rows, by).map_err(failed)?;
        let per_s = rate(inserted.rows, inserted.elapsed);
        if per_s > fastest.per_s {
            fastest = Inserts {
                per_s,
                transaction_rows: by.transaction_rows,
            };
        }
        let read = bare_read(&path).map_err(failed)?;
        reads_per_s = rate(read.rows, read.elapsed).max(reads_per_s);
        for name in ["reference.db", "reference.db-wal", "reference.db-shm"] {
            // Frees the disk for the next; what cannot be removed goes with the directory.
            drop(std::fs::remove_file(directory.join(name)));
        }
    }
    Ok((fastest, reads_per_s))
}

/// The fastest bare loop.
#[derive(Debug, Clone, Copy)]
struct Inserts {
    per_s: f64,
    transaction_rows: usize,
}

async fn batches(
    args: &Args,
    worker: &Process,
    client: &Client,
    bare: Inserts,
    bar: &ProgressBar,
) -> Result<Batches, CliError> {
    let bodies = events::batches(1, args.events, args.batch);
    let target = Target {
        address: worker.address,
        path: "/v1/events?ack=queued",
        key: worker.key()?,
    };
    bar.set_message("batches");
    let cpu = worker.cpu_time();
    let began = Instant::now();
    let load = http::flood(&target, &bodies, args.batch_connections).await?;
    stored(client, args.events).await?;
    let until_stored = began.elapsed();
    checkpointed(client, args.events).await?;
    let until_checkpointed = began.elapsed();
    let used = worker
        .cpu_time()
        .zip(cpu)
        .map(|(after, before)| after.saturating_sub(before));
    let events = to_usize(args.events);
    let stored_per_s = rate(events, until_stored);
    let checkpointed_per_s = rate(events, until_checkpointed);
    Ok(Batches {
        events: args.events,
        batch: args.batch,
        stored_per_s,
        checkpointed_per_s,
        bare_insert_per_s: bare.per_s,
        bare_insert_rows: bare.transaction_rows,
        ratio: checkpointed_per_s / bare.per_s,
        refusals: load.refused,
        worker_cpu_us_an_event: used.map(|used| used.as_secs_f64() * 1e6 / args.events as f64),
    })
}

async fn singles(
    args: &Args,
    address: std::net::SocketAddr,
    key: &str,
    client: &Client,
) -> Result<Requests, CliError> {
    let target = Target {
        address,
        path: "/v1/events?ack=queued",
        key: key.to_owned(),
    };
    let bodies = events::singles(2, args.singles);
    let load = http::flood(&target, &bodies, args.connections).await?;
    stored(client, args.events + args.singles).await?;
    Ok(requests(args, &load))
}

async fn singles_reference(args: &Args) -> Result<Requests, CliError> {
    let mut server = JoinSet::new();
    let address = http::reference_server(&mut server).await?;
    let target = Target {
        address,
        path: "/v1/events",
        key: "none".to_owned(),
    };
    let load = http::flood(&target, &events::singles(2, args.singles), args.connections).await?;
    server.shutdown().await;
    Ok(requests(args, &load))
}

/// The measurement, and how many events it stored.
struct SealedRun {
    shown: Sealed,
    events: u64,
}

async fn sealed(
    args: &Args,
    worker: &Process,
    sustained_per_s: f64,
) -> Result<SealedRun, CliError> {
    let target = Target {
        address: worker.address,
        path: "/v1/events?ack=sealed&timeoutMs=30000",
        key: worker.key()?,
    };
    let events_per_s = args
        .rate
        .map_or(sustained_per_s / 10.0, |rate| rate as f64)
        .max(1.0);
    // Small batches, so that a slow rate still gives enough samples for a 99th percentile: 50 requests a second.
    let batch = (events_per_s / 50.0).ceil().clamp(1.0, args.batch as f64) as u64;
    let every = Duration::from_secs_f64(batch as f64 / events_per_s);
    let requests = (args.seconds as f64 / every.as_secs_f64()).ceil().max(1.0) as u64;
    let events = requests * batch;
    let load = http::pace(&target, events::batches(3, events, batch), every).await?;
    Ok(SealedRun {
        shown: Sealed {
            events_per_s,
            requests: load.latencies.len(),
            p50_ms: millis(load.percentile(50)),
            p99_ms: millis(load.percentile(99)),
        },
        events,
    })
}

async fn verification(
    worker: &Process,
    client: &Client,
    bare_read_per_s: f64,
) -> Result<Verification, CliError> {
    idle(worker).await;
    let cpu = worker.cpu_time();
    let began = Instant::now();
    let started: Value = client
        .call(
            reqwest::Method::POST,
            "/v1/verify",
            Some(&serde_json::json!({})),
        )
        .await?;
    let run = started
        .get("run")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let path = format!("/v1/verify/{run}");
    let report = loop {
        let report: Value = client.get(&path, &Vec::new()).await?;
        if report.get("state").and_then(Value::as_str) != Some("running") {
            break report;
        }
        // Seldom, because the worker's processor time is what is measured.
        tokio::time::sleep(POLL * 10).await;
    };
    let elapsed = began.elapsed();
    let used = worker
        .cpu_time()
        .zip(cpu)
        .map(|(after, before)| after.saturating_sub(before));
    let checked = report
        .get("checked")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    Ok(Verification {
        result: report
            .get("result")
            .and_then(Value::as_str)
            .unwrap_or("failed")
            .to_owned(),
        checked,
        per_s: rate(to_usize(checked), elapsed),
        per_core_s: used.map(|used| rate(to_usize(checked), used)),
        bare_read_per_s,
    })
}

/// Waits until the worker has next to nothing left to do: its text index follows behind, and its processor time would count as
/// verification's.
async fn idle(worker: &Process) {
    const LOOK: Duration = Duration::from_millis(500);
    let began = Instant::now();
    while began.elapsed() < STALLED {
        let before = worker.cpu_time();
        tokio::time::sleep(LOOK).await;
        let used = worker.cpu_time().zip(before);
        if used.is_none_or(|(after, before)| after.saturating_sub(before) < LOOK / 20) {
            return;
        }
    }
}

/// Waits until so many producers' events are settled.
async fn stored(client: &Client, events: u64) -> Result<(), CliError> {
    wait(client, "/v1/status", events, |status| {
        ["stored", "duplicate", "conflict", "deadLettered"]
            .iter()
            .filter_map(|name| status.get(name).and_then(Value::as_u64))
            .sum()
    })
    .await
}

/// Waits until checkpoints of the event ledgers cover so many entries.
pub(super) async fn checkpointed(client: &Client, events: u64) -> Result<(), CliError> {
    wait(client, "/v1/ledgers", events, |answer| {
        let ledgers = answer
            .get("ledgers")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let of_events = ledgers
            .iter()
            .filter(|ledger| ledger.get("id").is_some_and(Value::is_u64));
        of_events
            .filter_map(|ledger| ledger.get("checkpointSize")?.as_u64())
            .sum()
    })
    .await
}

async fn wait(
    client: &Client,
    path: &str,
    wanted: u64,
    count: impl Fn(&Value) -> u64,
) -> Result<(), CliError> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let found = count(&client.get(path, &Vec::new()).await?);
        if found >= wanted {
            return Ok(());
        }
        if found > last {
            (last, moved) = (found, Instant::now());
        } else if moved.elapsed() > STALLED {
            return Err(CliError::Usage(format!(
                "{path} stays at {found} of {wanted} events"
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn requests(args: &Args, load: &Load) -> Requests {
    Requests {
        requests: load.latencies.len(),
        connections: args.connections,
        per_s: rate(load.latencies.len(), load.elapsed),
        p50_ms: millis(load.percentile(50)),
        p99_ms: millis(load.percentile(99)),
        refusals: load.refused,
    }
}

pub(super) fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(super) fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
