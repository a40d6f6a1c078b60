//! `/v1/status` and `/v1/frames/{id}`: where every accepted event is.

use audit_integrity::ledger::LedgerId;
use audit_pipeline::SourceStanding;
use audit_pipeline::status::{self, Books};
use audit_queue::FrameId;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::{Access, authenticate};
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;
use crate::stored::LedgerName;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BooksBody {
    accepted: u64,
    rejected: u64,
    stored: u64,
    duplicate: u64,
    conflict: u64,
    dead_lettered: u64,
    queued: u64,
}

impl From<Books> for BooksBody {
    fn from(books: Books) -> Self {
        Self {
            accepted: books.accepted,
            rejected: books.rejected,
            stored: books.stored,
            duplicate: books.duplicate,
            conflict: books.conflict,
            dead_lettered: books.dead_lettered,
            queued: books.queued,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody {
    #[serde(flatten)]
    producers: BooksBody,
    internal: BooksBody,
    queue: Value,
    ledgers: Vec<Value>,
    leases: Vec<Value>,
    dead_letters_waiting: u64,
    process: Value,
    components: Vec<Value>,
}

/// What this process is doing; the rest of the answer is of the whole deployment.
fn process(state: &AppState) -> Value {
    let process = (state.process)();
    let now = state.clock.now_micros();
    let lane = |(ledger, stopped): &(LedgerId, bool)| json!({ "ledger": LedgerName(*ledger), "stopped": stopped });
    let spool = process.overflow.map(|overflow| {
        let spool = overflow.spool;
        json!({
            "brokerAwayMs": overflow.away.as_ref().map(|(since, _)| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            "frames": spool.frames, "events": spool.events.saturating_add(spool.events_internal), "bytes": spool.bytes,
            "oldestMs": spool.oldest_micros.map(|oldest| (now - oldest).max(0) / 1_000),
        })
    });
    let source = |source: &SourceStanding| {
        json!({
            "name": source.name, "waiting": source.waiting, "held": source.held, "failed": source.failed,
            "dropped": source.dropped, "overflow": source.overflow,
        })
    };
    json!({
        "owner": process.owner, "breaker": process.breaker,
        "lanes": process.lanes.iter().map(lane).collect::<Vec<_>>(), "spool": spool,
        "sources": process.sources.iter().map(source).collect::<Vec<_>>(),
    })
}

/// The books, exact.
pub(crate) async fn read(state: &AppState) -> HttpResult<status::Status> {
    let read = status::read(&*state.queue, &*state.store.receipts, &state.acceptor).await;
    read.map_err(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the books cannot be read");
        HttpProblem::unavailable("the numbers cannot be read now")
    })
}

/// Frames that are handed out and not settled, where the queue counts them.
pub(crate) async fn pending(state: &AppState) -> HttpResult<Option<u64>> {
    state.queue.pending().await.map_err(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the queue cannot be asked");
        HttpProblem::unavailable("the numbers cannot be read now")
    })
}

pub(crate) async fn get_status(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Operate).await?;
    let status = read(&state).await?;
    let mut ledgers = Vec::new();
    for info in state.store.ledgers.ledgers().await? {
        let signed = state
            .store
            .checkpoints
            .newest(info.ledger)
            .await?
            .map_or(0, |note| note.size);
        ledgers.push(json!({
            "id": LedgerName(info.ledger), "state": info.head.state.as_str(),
            "size": info.head.size, "checkpointSize": signed,
        }));
    }
    let leases = state.store.leases.list().await?.into_iter().map(|info| {
        json!({
            "ledger": LedgerName(info.lease.ledger), "owner": info.lease.owner, "epoch": info.lease.epoch,
            "expiresInMs": info.expires_in_micros / 1_000,
        })
    });
    let now = state.clock.now_micros();
    let body = StatusBody {
        producers: status.producers.into(),
        internal: status.internal.into(),
        queue: json!({
            "frames": status.depth.frames, "events": status.depth.events, "bytes": status.depth.bytes,
            "oldestMs": status.depth.oldest_micros.map(|oldest| (now - oldest).max(0) / 1_000),
            "pending": pending(&state).await?,
        }),
        ledgers,
        leases: leases.collect(),
        dead_letters_waiting: state.store.dead_letters.waiting().await?,
        process: process(&state),
        components: crate::health::components(&state),
    };
    Ok(Json(body).into_response())
}

pub(crate) async fn get_frame(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::Any).await?;
    let id = Uuid::parse_str(&id)
        .map_err(|_source| HttpProblem::bad_request("bad_id", "a frame id is a UUID"))?;
    let found = state.store.receipts.find(&[*id.as_bytes()]).await?;
    let body = match found.first() {
        Some(receipt) => json!({
            "frame": id, "state": "settled", "events": receipt.events, "stored": receipt.stored,
            "duplicate": receipt.duplicate, "conflict": receipt.conflict, "deadLettered": receipt.dead_lettered,
            "committedAt": receipt.committed_at.to_string(),
        }),
        None if state.frames.is_waiting(FrameId(*id.as_bytes())).await? => {
            json!({ "frame": id, "state": "queued" })
        }
        None => return Err(HttpProblem::not_found("frame")),
    };
    Ok(Json(body).into_response())
}
