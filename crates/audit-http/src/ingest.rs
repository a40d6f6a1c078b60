//! `POST /v1/events`: from a body to per-item results.

use std::time::Duration;

use audit_event::Form;
use audit_event::read::split_batch;
use audit_pipeline::{AcceptError, AcceptRequest, Accepted, Ack, Item, ItemResult, ItemStatus};
use audit_queue::Durability;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufReadExt as _;
use uuid::Uuid;

use crate::auth::{Access, Principal, authenticate};
use crate::body::{self, Media};
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;
use crate::stored::LedgerName;

/// Lines of an NDJSON body that are accepted together.
const LINES_A_GROUP: usize = 1_000;
/// Bytes of such a group, so that memory stays bounded whatever the lines' lengths.
const GROUP_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IngestParams {
    ack: Option<String>,
    timeout_ms: Option<u64>,
    #[serde(alias = "format")]
    form: Option<String>,
}

/// How a request wants to be taken.
struct Wish {
    form: Form,
    ack: Ack,
    timeout: Duration,
    idempotency_key: Option<String>,
    traceparent: Option<String>,
}

pub(crate) async fn post_events(
    State(state): State<AppState>,
    Params(params): Params<IngestParams>,
    request: Request,
) -> HttpResult {
    let (parts, body) = request.into_parts();
    let principal = authenticate(&state, &parts.headers, Access::Write).await?;
    let wish = wish(&state, params, &parts.headers)?;
    let answer = match body::media(&parts.headers)? {
        Media::Json => whole(&state, &principal, &wish, &parts.headers, body).await?,
        Media::NdJson => lines(&state, &principal, &wish, &parts.headers, body).await?,
    };
    Ok(answer.into_response())
}

fn wish(state: &AppState, params: IngestParams, headers: &HeaderMap) -> HttpResult<Wish> {
    let form = params.form.or_else(|| text(headers, "x-audit-form"));
    let form = match form.as_deref() {
        None => Form::Native,
        Some(name) => Form::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Form::ALL.iter().map(|form| form.as_str()).collect();
            HttpProblem::bad_request(
                "unknown_form",
                format!("form is one of {}", known.join(", ")),
            )
        })?,
    };
    let ack = match params.ack.as_deref() {
        None | Some("queued") => Ack::Queued,
        Some("stored") => Ack::Stored,
        Some("sealed") => Ack::Sealed,
        Some(_) => {
            return Err(HttpProblem::bad_request(
                "unknown_ack",
                "ack is one of queued, stored, sealed",
            ));
        }
    };
    let longest = Duration::from_secs(60);
    let timeout = params
        .timeout_ms
        .map_or(state.settings.ack_timeout, Duration::from_millis)
        .min(longest);
    let idempotency_key = text(headers, "idempotency-key");
    if idempotency_key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.len() > 255)
    {
        return Err(HttpProblem::bad_request(
            "bad_idempotency_key",
            "Idempotency-Key has 1 to 255 characters",
        ));
    }
    Ok(Wish {
        form,
        ack,
        timeout,
        idempotency_key,
        traceparent: text(headers, "traceparent").filter(|t| t.len() <= 64),
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// A body that is one document: cut into items, never copied.
async fn whole(
    state: &AppState,
    principal: &Principal,
    wish: &Wish,
    headers: &HeaderMap,
    body: Body,
) -> HttpResult<Answer> {
    let max = state.settings.body_bytes_max;
    let reading = body::read_whole(headers, body, max);
    let body = tokio::time::timeout(state.settings.request_timeout, reading)
        .await
        .map_err(|_slow| slow())??;
    if body.len() > max {
        return Err(body::too_large(max));
    }
    let items = split_batch(&body, state.settings.items_max).map_err(|problem| {
        let status = match problem.code {
            audit_event::Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let detail = problem.message.clone();
        HttpProblem::new(status, problem.code.as_str(), detail)
            .with_errors(vec![ItemProblem::from(&problem)])
    })?;
    if items.is_empty() {
        return Err(HttpProblem::bad_request(
            "empty",
            "the body holds no events",
        ));
    }
    let items = items
        .into_iter()
        .map(|item| Item::Bytes(body.slice_ref(item)))
        .collect();
    let accepted = accept(state, principal, wish, items, None).await?;
    Ok(Answer::of(accepted, wish.ack))
}

/// A body of lines: accepted group by group while it arrives, so that its length does not matter.
async fn lines(
    state: &AppState,
    principal: &Principal,
    wish: &Wish,
    headers: &HeaderMap,
    body: Body,
) -> HttpResult<Answer> {
    let mut reader = tokio::io::BufReader::with_capacity(64 << 10, body::reader(headers, body)?);
    let mut answer: Option<Accepted> = None;
    let (mut group, mut bytes, mut ended) = (Vec::new(), 0, false);
    while !ended {
        let line =
            tokio::time::timeout(state.settings.request_timeout, next_line(&mut reader)).await;
        match line.map_err(|_slow| slow())?? {
            Some(line) => {
                bytes += line.len();
                if !line.iter().all(u8::is_ascii_whitespace) {
                    group.push(Item::Bytes(line));
                }
            }
            None => ended = true,
        }
        let full = group.len() >= LINES_A_GROUP || bytes >= GROUP_BYTES_MAX;
        if (full || ended) && !group.is_empty() {
            let taken = answer.as_ref().map_or(0, |answer| answer.results.len());
            if taken + group.len() > state.settings.items_max.saturating_mul(100) {
                let detail =
                    format!("after {taken} accepted lines: send the rest in another request");
                return Err(HttpProblem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_many_lines",
                    detail,
                ));
            }
            bytes = 0;
            let accepted = accept(
                state,
                principal,
                wish,
                std::mem::take(&mut group),
                Some(taken),
            )
            .await?;
            answer = Some(match answer {
                None => accepted,
                Some(before) => join(before, accepted, taken),
            });
        }
    }
    let accepted =
        answer.ok_or_else(|| HttpProblem::bad_request("empty", "the body holds no events"))?;
    Ok(Answer::of(accepted, wish.ack))
}

/// Longest line: an event, and some white space around it.
const LINE_BYTES_MAX: usize = 2 << 20;

async fn next_line(
    reader: &mut tokio::io::BufReader<body::BodyReader>,
) -> HttpResult<Option<Bytes>> {
    let mut line = Vec::new();
    loop {
        let buffered = reader
            .fill_buf()
            .await
            .map_err(|error| body::broken(&error))?;
        if buffered.is_empty() {
            return Ok((!line.is_empty()).then(|| line.into()));
        }
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let take = end.map_or(buffered.len(), |end| end + 1);
        line.extend(buffered.iter().take(take));
        reader.consume(take);
        if line.len() > LINE_BYTES_MAX {
            return Err(body::too_large(LINE_BYTES_MAX));
        }
        if end.is_some() {
            line.pop();
            return Ok(Some(line.into()));
        }
    }
}

/// Adds the results of a later group.
fn join(mut before: Accepted, after: Accepted, offset: usize) -> Accepted {
    before
        .results
        .extend(after.results.into_iter().map(|result| ItemResult {
            index: result.index + offset,
            ..result
        }));
    before.frame = before.frame.or(after.frame);
    before.durability = match (before.durability, after.durability) {
        (Some(Durability::Buffered), _) | (_, Some(Durability::Buffered)) => {
            Some(Durability::Buffered)
        }
        (before, after) => before.or(after),
    };
    before.retry_after = before.retry_after.or(after.retry_after);
    before
}

async fn accept(
    state: &AppState,
    principal: &Principal,
    wish: &Wish,
    items: Vec<Item>,
    group: Option<usize>,
) -> HttpResult<Accepted> {
    // A group's index begins at 0 again, so its place in the body is part of the key.
    let idempotency_key = wish.idempotency_key.as_ref().map(|key| match group {
        Some(offset) if offset > 0 => format!("{key}#{offset}"),
        _ => key.clone(),
    });
    let request = AcceptRequest {
        form: wish.form,
        items,
        caller: principal.caller(),
        idempotency_key,
        ack: wish.ack,
        timeout: wish.timeout,
        traceparent: wish.traceparent.clone(),
        internal: false,
    };
    state
        .acceptor
        .accept(request)
        .await
        .map_err(|error| match error {
            AcceptError::Busy { retry_after } => {
                HttpProblem::unavailable("too much is in work; try again")
                    .retry_after(retry_after.as_secs().max(1))
            }
            _ => HttpProblem::unavailable("not taken; try again"),
        })
}

fn slow() -> HttpProblem {
    HttpProblem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_too_slow",
        "the body did not arrive in time",
    )
}

/// The answer of DESIGN §3.9.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after: Option<u64>,
    accepted: usize,
    rejected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
    results: Vec<ResultBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultBody {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemProblem>,
}

impl Answer {
    fn of(accepted: Accepted, ack: Ack) -> Self {
        let count = |status: &[ItemStatus]| {
            accepted
                .results
                .iter()
                .filter(|r| status.contains(&r.status))
                .count()
        };
        let (rejected, retry) = (count(&[ItemStatus::Rejected]), count(&[ItemStatus::Retry]));
        let total = accepted.results.len();
        let reached = |result: &ItemResult| match ack {
            Ack::Queued => false,
            Ack::Stored => result.status != ItemStatus::Accepted || result.address.is_some(),
            Ack::Sealed => result.status != ItemStatus::Accepted || result.sealed,
        };
        let status = if rejected == total {
            StatusCode::BAD_REQUEST
        } else if rejected + retry == total {
            StatusCode::SERVICE_UNAVAILABLE
        } else if rejected + retry > 0 {
            StatusCode::MULTI_STATUS
        } else if accepted.results.iter().all(reached) {
            StatusCode::CREATED
        } else {
            StatusCode::ACCEPTED
        };
        let retry_after =
            (retry > 0).then(|| accepted.retry_after.map_or(1, |wait| wait.as_secs().max(1)));
        Self {
            status,
            retry_after,
            accepted: total - rejected - retry,
            rejected,
            frame: accepted.frame.map(|frame| Uuid::from_bytes(frame.0)),
            durability: accepted.durability.map(durability_name),
            results: accepted.results.into_iter().map(ResultBody::of).collect(),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        if let Some(secs) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl ResultBody {
    fn of(result: ItemResult) -> Self {
        let proof = result.address.filter(|_| result.sealed).map(|address| {
            format!(
                "/v1/ledgers/{}/entries/{}/proof",
                address.ledger, address.leaf_index.0
            )
        });
        Self {
            index: result.index,
            id: result.id.map(|id| id.to_string()),
            status: status_name(result.status),
            ledger: result.address.map(|address| LedgerName(address.ledger)),
            leaf_index: result.address.map(|address| address.leaf_index.0),
            leaf_hash: result.address.map(|address| address.leaf_hash.to_string()),
            received_at: result.received_at.map(|at| at.to_string()),
            proof,
            errors: result.errors.iter().map(ItemProblem::from).collect(),
        }
    }
}

fn status_name(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Accepted => "accepted",
        ItemStatus::Duplicate => "duplicate",
        ItemStatus::Conflict => "conflict",
        ItemStatus::Rejected => "rejected",
        ItemStatus::DeadLettered => "deadLettered",
        ItemStatus::Retry => "retry",
    }
}

fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsynced => "fsynced",
        Durability::Replicated(_) => "replicated",
        Durability::Buffered => "buffered",
    }
}
