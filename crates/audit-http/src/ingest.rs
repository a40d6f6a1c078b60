//! `POST /v1/events`: from a body to per-item results.

use std::time::Duration;

use audit_event::Form;
use audit_event::read::split_batch;
use audit_pipeline::{AcceptError, AcceptRequest, Accepted, Ack, Item, ItemResult};
use audit_queue::Durability;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::answer::Answer;
use crate::auth::{Access, Principal, authenticate};
use crate::body::{self, Media};
use crate::budget::{Budget, Held};
use crate::ndjson::{self, Lines, Next};
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;

/// A body of lines may have so many times the items and bytes of one that is a document: it is never in memory whole,
/// only its results are.
const LINES_FACTOR: usize = 10;

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
    Extension(budget): Extension<Budget>,
    Params(params): Params<IngestParams>,
    request: Request,
) -> HttpResult {
    let (parts, body) = request.into_parts();
    let principal = authenticate(&state, &parts.headers, Access::Write).await?;
    let wish = wish(&state, params, &parts.headers)?;
    let mut held = budget.holder();
    let ingest = Ingest {
        state: &state,
        principal: &principal,
        wish: &wish,
    };
    let answer = match body::media(&parts.headers)? {
        Media::Json => ingest.whole(&parts.headers, body, &mut held).await?,
        Media::NdJson => ingest.lines(&parts.headers, body, &mut held).await?,
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
        .map_or(state.settings().ack_timeout, Duration::from_millis)
        .min(longest);
    Ok(Wish {
        form,
        ack,
        timeout,
        idempotency_key: idempotency_key(headers)?,
        traceparent: traceparent(headers),
    })
}

/// The `Idempotency-Key` of a request.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> HttpResult<Option<String>> {
    let key = text(headers, "idempotency-key");
    if key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.len() > 255)
    {
        return Err(HttpProblem::bad_request(
            "bad_idempotency_key",
            "Idempotency-Key has 1 to 255 characters",
        ));
    }
    Ok(key)
}

/// The trace context of a request.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    text(headers, "traceparent").filter(|text| text.len() <= 64)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// One request.
struct Ingest<'a> {
    state: &'a AppState,
    principal: &'a Principal,
    wish: &'a Wish,
}

impl Ingest<'_> {
    /// A body that is one document: cut into items, never copied.
    async fn whole(&self, headers: &HeaderMap, body: Body, held: &mut Held) -> HttpResult<Answer> {
        let settings = self.state.settings();
        let reading = body::read_whole(headers, body, settings.body_bytes_max, held);
        let body = tokio::time::timeout(settings.request_timeout, reading).await;
        let body = body.map_err(|_elapsed| body::slow())??;
        let items = split_batch(&body, settings.items_max).map_err(|problem| uncut(&problem))?;
        if items.is_empty() {
            return Err(empty());
        }
        let items = items
            .into_iter()
            .map(|item| Item::Bytes(body.slice_ref(item)))
            .collect();
        let accepted = self.accept(items, 0).await?;
        Ok(Answer::of(accepted, self.wish.ack))
    }

    /// A body of lines. When it cannot be read to its end, what was accepted before is answered all the same.
    async fn lines(&self, headers: &HeaderMap, body: Body, held: &mut Held) -> HttpResult<Answer> {
        held.grow(ndjson::MEMORY)?;
        let settings = self.state.settings();
        let bytes_max = settings.body_bytes_max.saturating_mul(LINES_FACTOR);
        let reader = body::reader(headers, body)?;
        let mut lines = Lines::new(reader, bytes_max, settings.request_timeout);
        let mut all: Option<Accepted> = None;
        let stopped = loop {
            let taken = all.as_ref().map_or(0, |all| all.results.len());
            let (items, next) = lines.group().await;
            if taken + items.len() > settings.items_max.saturating_mul(LINES_FACTOR) {
                break Some(too_many(taken));
            }
            if !items.is_empty() {
                match self.accept(items, taken).await {
                    Ok(more) => all = Some(join(all, more, taken)),
                    Err(problem) => break Some(problem),
                }
            }
            match next {
                Next::More => {}
                Next::End => break None,
                Next::Stop(problem) => break Some(problem),
            }
        };
        match (all, stopped) {
            (None, stopped) => Err(stopped.unwrap_or_else(empty)),
            (Some(all), None) => Ok(Answer::of(all, self.wish.ack)),
            (Some(all), Some(problem)) => {
                let taken = all.results.len();
                Ok(Answer::of(all, self.wish.ack).stopped(taken, &problem))
            }
        }
    }

    /// Counts the items against what the key may send.
    fn admit(&self, items: usize) -> HttpResult<()> {
        let Some(rates) = &self.state.rates else {
            return Ok(());
        };
        rates.admit(&self.principal.key_id, items).map_err(|wait| {
            let detail = "this API key sends too many events; nothing of them was looked at";
            HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_events", detail)
                .retry_after(wait.as_secs().saturating_add(1))
        })
    }

    /// Hands items to the pipeline; `offset` is where the first stands in the body.
    async fn accept(&self, items: Vec<Item>, offset: usize) -> HttpResult<Accepted> {
        // A group's index begins at 0 again, so its place in the body is part of the key.
        let key = self.wish.idempotency_key.as_ref();
        let idempotency_key = key.map(|key| match offset {
            0 => key.clone(),
            _ => format!("{key}#{offset}"),
        });
        let request = AcceptRequest {
            form: self.wish.form,
            items,
            caller: self.principal.caller(),
            idempotency_key,
            ack: self.wish.ack,
            timeout: self.wish.timeout,
            traceparent: self.wish.traceparent.clone(),
            internal: false,
        };
        self.admit(request.items.len())?;
        let accepted = self.state.acceptor.accept(request).await;
        accepted.map_err(busy)
    }
}

/// Nothing of a request was looked at.
pub(crate) fn busy(error: AcceptError) -> HttpProblem {
    match error {
        AcceptError::Busy { retry_after } => {
            HttpProblem::unavailable("too much is in work; try again")
                .retry_after(retry_after.as_secs().max(1))
        }
        _ => HttpProblem::unavailable("not taken; try again"),
    }
}

/// A body that cannot be cut into items.
pub(crate) fn uncut(problem: &audit_event::Problem) -> HttpProblem {
    let status = match problem.code {
        audit_event::Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    HttpProblem::new(status, problem.code.as_str(), problem.message.clone())
        .with_errors(vec![ItemProblem::from(problem)])
}

pub(crate) fn empty() -> HttpProblem {
    HttpProblem::bad_request("empty", "the body holds no events")
}

fn too_many(taken: usize) -> HttpProblem {
    let detail = format!("a request takes no more lines; {taken} were looked at");
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_lines", detail)
}

/// Adds the results of a later group.
fn join(before: Option<Accepted>, after: Accepted, offset: usize) -> Accepted {
    let Some(mut all) = before else { return after };
    let moved = after.results.into_iter().map(|result| ItemResult {
        index: result.index + offset,
        ..result
    });
    all.results.extend(moved);
    all.frame = all.frame.or(after.frame);
    all.durability = match (all.durability, after.durability) {
        (Some(Durability::Buffered), _) | (_, Some(Durability::Buffered)) => {
            Some(Durability::Buffered)
        }
        (before, after) => before.or(after),
    };
    all.retry_after = all.retry_after.or(after.retry_after);
    all
}
