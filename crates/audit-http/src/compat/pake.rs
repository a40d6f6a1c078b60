//! PAKE's writing paths. Its Python client counts an answer of 201 as success and every other as a loss.

use audit_event::Form;
use audit_pipeline::ItemResult;
use axum::Extension;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::{Holds, evidence, is_taken, leaf_hash, take, take_one};
use crate::answer::{errors_of, status_name};
use crate::budget::Budget;
use crate::problem::{HttpResult, ItemProblem};
use crate::state::AppState;

/// The answer for one event: PAKE's five members, and what they leave unsaid.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventBody {
    success: bool,
    /// Our id of it; that of the producer when it is a UUID.
    event_id: Option<String>,
    /// Its leaf hash once it is stored. PAKE answered a MAC of its own, which nobody could check.
    signature: Option<String>,
    stored: bool,
    /// There are no streams.
    streamed: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemProblem>,
}

impl EventBody {
    fn of(result: &ItemResult) -> Self {
        let success = is_taken(result);
        Self {
            success,
            event_id: result.id.map(|id| id.to_string()),
            signature: leaf_hash(result),
            stored: result.address.is_some(),
            streamed: false,
            status: status_name(result.status),
            error: match success {
                true => evidence(result),
                false => Some("the event was refused; errors says why"),
            },
            errors: errors_of(result),
        }
    }
}

/// `POST /api/audit/events`: one event.
pub(crate) async fn post_event(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    request: Request,
) -> HttpResult {
    one(&state, &budget, request).await
}

/// `POST /api/audit/log`: one flat item.
pub(crate) async fn post_log(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    request: Request,
) -> HttpResult {
    one(&state, &budget, request).await
}

async fn one(state: &AppState, budget: &Budget, request: Request) -> HttpResult {
    let (_parts, result) = take_one(state, budget, request, Form::Pake).await?;
    let body = EventBody::of(&result);
    let status = match body.success {
        true => StatusCode::CREATED,
        false => StatusCode::BAD_REQUEST,
    };
    Ok((status, Json(body)).into_response())
}

/// What names a batch; the events are cut out without reading it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchName {
    batch_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchBody {
    success: bool,
    batch_id: String,
    /// Events that were taken.
    events_processed: usize,
    checksum: Option<String>,
    results: Vec<EventBody>,
}

/// `POST /api/audit/events/batch`.
pub(crate) async fn post_batch(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    request: Request,
) -> HttpResult {
    let (parts, body) = request.into_parts();
    let taken = take(&state, &budget, &parts, body, Form::Pake, Holds::Many).await?;
    let named: BatchName = serde_json::from_slice(&taken.body).unwrap_or_default();
    let results = &taken.results;
    let processed = results.iter().filter(|result| is_taken(result)).count();
    let body = BatchBody {
        success: processed == results.len(),
        batch_id: named.batch_id.unwrap_or_else(|| drawn(&state)),
        events_processed: processed,
        checksum: checksum(results),
        results: results.iter().map(EventBody::of).collect(),
    };
    Ok(answer(processed, body))
}

fn answer(processed: usize, body: BatchBody) -> Response {
    let status = match processed {
        0 => StatusCode::BAD_REQUEST,
        all if all == body.results.len() => StatusCode::CREATED,
        _ => StatusCode::MULTI_STATUS,
    };
    (status, Json(body)).into_response()
}

fn drawn(state: &AppState) -> String {
    let mut bytes = [0; 16];
    state.random.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// SHA-256 of the leaf hashes, one a line, in the batch's order; `None` unless every event is stored.
fn checksum(results: &[ItemResult]) -> Option<String> {
    let mut hash = digest::Context::new(&digest::SHA256);
    for result in results {
        hash.update(leaf_hash(result)?.as_bytes());
        hash.update(b"\n");
    }
    Some(hex::encode(hash.finish()))
}
