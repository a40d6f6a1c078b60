//! The two monitoring paths of the Redis-list worker, with its member names and thresholds and with numbers that are right.
//!
//! Its own rules overwrote each other, so that a critical queue was a mere warning once a counter of long ago was high, and
//! its answer was 200 all the same. Here the worst state stands, and 503 goes with it.

use std::time::Instant;

use audit_integrity::ledger::LedgerId;
use audit_pipeline::{Health, SourceStanding};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Value, json};

use super::last_minute::Counts;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;

/// How bad it is; the worst of all findings stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Healthy,
    Warning,
    Degraded,
    Critical,
}

impl Grade {
    fn code(self) -> StatusCode {
        match self {
            Self::Critical => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    }
}

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Default)]
struct Numbers {
    queued: u64,
    failures: u64,
    dropped: u64,
    batch_millis: Option<f64>,
    worker_runs: bool,
    components: Vec<(String, Health)>,
}

/// Every finding: how bad, and in which words.
fn findings(numbers: &Numbers) -> Vec<(Grade, String)> {
    use Grade::{Critical, Degraded, Warning};
    let mut found: Vec<(Grade, String)> = Vec::new();
    let mut find = |state, text: &str| found.push((state, text.to_owned()));
    match numbers.queued {
        8_001.. => find(Critical, "Queue severely backed up (>8K)"),
        5_001.. => find(Degraded, "Queue backed up (>5K)"),
        2_001.. => find(Warning, "Queue growing (>2K)"),
        _ => {}
    }
    match numbers.failures {
        101.. => find(Critical, "High failure rate (>100/min)"),
        51.. => find(Degraded, "Elevated failures (>50/min)"),
        _ => {}
    }
    if numbers.dropped > 1_000 {
        let text = format!("Events being dropped ({} total)", numbers.dropped);
        find(Warning, &text);
    }
    if !numbers.worker_runs {
        find(Critical, "No worker is running");
    }
    for (name, health) in &numbers.components {
        match health {
            Health::Working => {}
            Health::Degraded(reason) => find(Degraded, &format!("{name}: {reason}")),
            Health::Failing(reason) => find(Critical, &format!("{name}: {reason}")),
        }
    }
    found
}

fn worst(findings: &[(Grade, String)]) -> Grade {
    let states = findings.iter().map(|(state, _)| *state);
    states.max().unwrap_or(Grade::Healthy)
}

fn recommendations(numbers: &Numbers) -> Vec<Value> {
    let say = |severity: &str, message: &str, action: Option<&str>| json!({ "severity": severity, "message": message, "action": action });
    let mut said = Vec::new();
    if numbers.queued > 5_000 {
        let message = "Queue is backed up. Consider scaling workers.";
        said.push(say("high", message, Some("start another worker")));
    }
    if numbers.failures > 50 {
        let message = "High failure rate detected. Check the dead letters.";
        said.push(say("high", message, Some("auditctl dead-letters list")));
    }
    if numbers.dropped > 500 {
        let message = "Events are being dropped due to high load.";
        said.push(say("medium", message, Some("start another worker")));
    }
    if numbers.batch_millis.is_some_and(|millis| millis > 1_000.0) {
        let message = "Slow database writes detected.";
        said.push(say("medium", message, Some("look at the database")));
    }
    if said.is_empty() {
        said.push(say("info", "All systems operating normally.", None));
    }
    said
}

/// `GET /api/v1/monitoring/audit-metrics`.
pub(crate) async fn audit_metrics(State(state): State<AppState>) -> HttpResult {
    let (numbers, metrics) = match read(&state).await {
        Ok(read) => read,
        Err(_told_in_the_log) => return Ok(unread(&state).into_response()),
    };
    let findings = findings(&numbers);
    let status = worst(&findings);
    let issues: Vec<&String> = findings.iter().map(|(_, text)| text).collect();
    let body = json!({
        "health": { "status": status, "issues": issues },
        "metrics": metrics,
        "recommendations": recommendations(&numbers),
        "timestamp": state.now().to_string(),
    });
    Ok((status.code(), Json(body)).into_response())
}

fn unread(state: &AppState) -> (StatusCode, Json<Value>) {
    let body = json!({
        "status": "error", "error": "Failed to fetch metrics", "message": "the store or the queue does not answer",
        "timestamp": state.now().to_string(),
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

async fn read(state: &AppState) -> HttpResult<(Numbers, Value)> {
    let books = crate::status::read(state).await?;
    let counts = Counts::read(&*state.store.receipts, &(state.metrics)()).await?;
    let (minute, length) = state.last_minute.note(Instant::now(), counts);
    let batches = |sum: f64| (minute.commits > 0.0).then(|| sum / minute.commits);
    // What waits in another system's queue waits, too; what its producers dropped or wrote past it, they count there themselves.
    let process = (state.process)();
    let of_sources = |count: fn(&SourceStanding) -> u64| -> u64 {
        process
            .sources
            .iter()
            .map(count)
            .fold(0, u64::saturating_add)
    };
    let numbers = Numbers {
        queued: books
            .producers
            .queued
            .saturating_add(of_sources(|source| source.waiting)),
        failures: minute.failed,
        // Nothing that was acknowledged is ever dropped by us.
        dropped: of_sources(|source| source.dropped),
        batch_millis: batches(minute.commit_seconds * 1_000.0),
        worker_runs: worker_runs(state).await?,
        components: crate::health::all(state),
    };
    let metrics = json!({
        "queue_length": numbers.queued,
        "current_batch_size": batches(minute.commit_events).map(f64::round),
        "inserts_last_minute": minute.stored,
        "failures_last_minute": minute.failed,
        "avg_batch_time_ms": numbers.batch_millis,
        "total_dropped_events": numbers.dropped,
        "total_overflow_events": counts.overflowed + of_sources(|source| source.overflow) as f64,
        "worker_id": process.owner,
        "last_updated": state.now().to_string(),
        "window_seconds": length.as_secs(),
    });
    Ok((numbers, metrics))
}

/// Whether a worker holds a ledger of events. An ingest may hold one too; it stores nothing of what waits in the queue.
async fn worker_runs(state: &AppState) -> Result<bool, HttpProblem> {
    let leases = state.store.leases.list().await?;
    Ok(leases.iter().any(|info| {
        matches!(info.lease.ledger, LedgerId::Events(_))
            && info.expires_in_micros > 0
            && !info.lease.owner.starts_with("ingest-")
    }))
}

/// `GET /api/v1/monitoring/health`. `redis` is the queue, whatever stands behind it.
pub(crate) async fn health(State(state): State<AppState>) -> HttpResult {
    let queue = state.queue.depth().await.is_ok();
    let worker = worker_runs(&state).await;
    let numbers = Numbers {
        worker_runs: matches!(worker, Ok(true)),
        components: crate::health::all(&state),
        ..Numbers::default()
    };
    let status = match queue {
        true => worst(&findings(&numbers)),
        false => Grade::Critical,
    };
    let body = json!({
        "status": status,
        "services": {
            "redis": if queue { "connected" } else { "unavailable" },
            "audit_worker": match worker {
                Ok(true) => "running",
                Ok(false) => "stale_or_stopped",
                Err(_told_in_the_log) => "unknown",
            },
        },
        "timestamp": state.now().to_string(),
    });
    Ok((status.code(), Json(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        Numbers {
            worker_runs: true,
            ..Numbers::default()
        }
    }

    #[test]
    fn the_thresholds_are_those_of_the_list_worker() {
        use Grade::{Critical, Degraded, Healthy, Warning};
        let queued = [
            (2_000, Healthy),
            (2_001, Warning),
            (5_000, Warning),
            (5_001, Degraded),
            (8_000, Degraded),
            (8_001, Critical),
        ];
        for (queued, state) in queued {
            assert_eq!(
                worst(&findings(&Numbers {
                    queued,
                    ..numbers()
                })),
                state
            );
        }
        for (failures, state) in [
            (50, Healthy),
            (51, Degraded),
            (100, Degraded),
            (101, Critical),
        ] {
            assert_eq!(
                worst(&findings(&Numbers {
                    failures,
                    ..numbers()
                })),
                state
            );
        }
    }

    #[test]
    fn no_milder_finding_hides_a_worse_one() {
        use Grade::{Critical, Degraded};
        let old_drops = Numbers {
            queued: 9_000,
            dropped: 5_000,
            ..numbers()
        };
        let found = findings(&old_drops);
        assert_eq!((worst(&found), found.len()), (Critical, 2));
        let elevated = Numbers {
            queued: 9_000,
            failures: 60,
            components: vec![("store".to_owned(), Health::Degraded("slow".to_owned()))],
            ..numbers()
        };
        assert_eq!(worst(&findings(&elevated)), Critical);
        let slow = Numbers {
            components: vec![("store".to_owned(), Health::Degraded("slow".to_owned()))],
            dropped: 5_000,
            ..numbers()
        };
        assert_eq!(worst(&findings(&slow)), Degraded);
        let stopped = Numbers {
            worker_runs: false,
            ..numbers()
        };
        assert_eq!(worst(&findings(&stopped)), Critical);
        assert_eq!(Critical.code(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Degraded.code(), StatusCode::OK);
    }
}
