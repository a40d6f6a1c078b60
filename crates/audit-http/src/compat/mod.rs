//! The paths of three replaced systems, one file a system. `docs/http-api.md` has them for people.
//!
//! What they are not: another way for events. These handlers translate shapes; what an event is, whether it is stored and
//! what that means is decided where it is for the native routes.

pub(crate) mod anonymous;
pub(crate) mod health;
pub mod last_minute;
pub(crate) mod list_worker;
pub(crate) mod pake;
pub(crate) mod pake_query;
pub(crate) mod smart_logs;

use std::sync::Arc;
use std::time::Duration;

use audit_event::Form;
use audit_event::read::split_batch;
use audit_pipeline::{AcceptRequest, Ack, Item, ItemResult, ItemStatus};
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;

pub use anonymous::AnonymousWriters;
use anonymous::Peer;

use crate::auth::{Access, Principal, authenticate};
use crate::body::{self, Media};
use crate::budget::Budget;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;

/// How long an answer waits for the commit. The clients of these paths give up after five seconds and never send again.
const STORED_WITHIN: Duration = Duration::from_secs(4);

/// Who sends through one of these paths.
struct Sender {
    principal: Principal,
    /// Set when it sent no key: where it is, and by whose leave.
    anonymous: Option<(Peer, Arc<AnonymousWriters>)>,
}

impl Sender {
    /// By its API key; without any, by its address. A key that is not in force never falls back to the address.
    async fn of(state: &AppState, parts: &Parts) -> HttpResult<Self> {
        if !shows_a_key(&parts.headers)
            // A browser may be at a good address and send for a page from anywhere; it names the page here.
            && !parts.headers.contains_key(header::ORIGIN)
            && let Some(writers) = state.settings().anonymous_writers.clone()
            && let Some(peer) = parts.extensions.get::<Peer>().copied()
            && let Some(principal) = writers.principal(peer, &parts.headers)
        {
            let anonymous = Some((peer, writers));
            return Ok(Self {
                principal,
                anonymous,
            });
        }
        Ok(Self {
            principal: authenticate(state, &parts.headers, Access::Producer).await?,
            anonymous: None,
        })
    }

    /// Counts events against what this sender may send.
    fn admit(&self, state: &AppState, events: usize) -> HttpResult<()> {
        let admitted = match &self.anonymous {
            Some((peer, writers)) => writers.admit(*peer, events),
            None => state
                .rates
                .as_ref()
                .map_or(Ok(()), |rates| rates.admit(&self.principal.key_id, events)),
        };
        admitted.map_err(|wait| {
            let detail = "this sender sends too many events; nothing of them was looked at";
            HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_events", detail)
                .retry_after(wait.as_secs().saturating_add(1))
        })
    }
}

fn shows_a_key(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key")
}

/// Which events a body holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// It is one.
    One,
    /// A list, bare or as `events`.
    Many,
}

/// What became of a body's events, in their order, and the body itself.
struct Taken {
    results: Vec<ItemResult>,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Taken {
    /// 503 when nothing was taken for reasons that pass.
    fn unless_busy(self) -> HttpResult<Self> {
        let waits = |result: &ItemResult| result.status == ItemStatus::Retry;
        if !self.results.iter().any(waits) || self.results.iter().any(is_taken) {
            return Ok(self);
        }
        let wait = self.retry_after.map_or(1, |wait| wait.as_secs().max(1));
        Err(HttpProblem::unavailable("not taken for now; send it again").retry_after(wait))
    }
}

/// Whether an event is kept, be it as evidence.
fn is_taken(result: &ItemResult) -> bool {
    !matches!(result.status, ItemStatus::Rejected | ItemStatus::Retry)
}

/// Reads a body and has its events taken, stored if that is done in time.
async fn take(
    state: &AppState,
    budget: &Budget,
    parts: &Parts,
    body: Body,
    form: Form,
    holds: Holds,
) -> HttpResult<Taken> {
    let sender = Sender::of(state, parts).await?;
    if body::media(&parts.headers)? != Media::Json {
        let detail = "send application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(HttpProblem::new(status, "unsupported_media_type", detail));
    }
    let (settings, mut held) = (state.settings(), budget.holder());
    let reading = body::read_whole(&parts.headers, body, settings.body_bytes_max, &mut held);
    let read = tokio::time::timeout(settings.request_timeout, reading).await;
    let body = read.map_err(|_elapsed| body::slow())??;
    let items = match holds {
        Holds::One => vec![body.clone()],
        Holds::Many => split_batch(&body, settings.items_max)
            .map_err(|problem| crate::ingest::uncut(&problem))?
            .into_iter()
            .map(|item| body.slice_ref(item))
            .collect(),
    };
    if items.is_empty() {
        return Err(crate::ingest::empty());
    }
    sender.admit(state, items.len())?;
    let mut caller = sender.principal.caller();
    caller.authenticated = sender.anonymous.is_none();
    let request = AcceptRequest {
        form,
        items: items.into_iter().map(Item::Bytes).collect(),
        caller,
        idempotency_key: crate::ingest::idempotency_key(&parts.headers)?,
        ack: Ack::Stored,
        timeout: STORED_WITHIN,
        traceparent: crate::ingest::traceparent(&parts.headers),
        internal: false,
    };
    let accepted = state
        .acceptor
        .accept(request)
        .await
        .map_err(crate::ingest::busy)?;
    let taken = Taken {
        results: accepted.results,
        retry_after: accepted.retry_after,
        body,
    };
    taken.unless_busy()
}

/// The one event of a body of one, and what became of it.
async fn take_one(
    state: &AppState,
    budget: &Budget,
    request: Request,
    form: Form,
) -> HttpResult<(Parts, ItemResult)> {
    let (parts, body) = request.into_parts();
    let taken = take(state, budget, &parts, body, form, Holds::One).await?;
    let result = taken.results.into_iter().next();
    let result = result.ok_or_else(crate::ingest::empty)?;
    Ok((parts, result))
}

/// The leaf hash of a stored event: what proves it, where the replaced systems answered a MAC of theirs.
fn leaf_hash(result: &ItemResult) -> Option<String> {
    result.address.map(|address| address.leaf_hash.to_string())
}

/// Why an event that was taken is not in the ledger and will not be.
fn evidence(result: &ItemResult) -> Option<&'static str> {
    match result.status {
        ItemStatus::Conflict => Some(
            "other content is stored under this id; this event is kept as a dead letter, as evidence",
        ),
        ItemStatus::DeadLettered => {
            Some("this event could not be stored; it is kept as a dead letter")
        }
        _ => None,
    }
}
