//! `/v1/dead-letters`: list, show, send again, remove.

use audit_event::EventId;
use audit_pipeline::dead_letters::{self, ReplayError};
use audit_store::query::OrganizationScope;
use audit_store::{DeadLetter, DeadLetterFilter, DeadLetterReason};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::{Access, Principal, authenticate};
use crate::params::{Params, PathParams};
use crate::problem::{HttpProblem, HttpResult};
use crate::read_audit::Target;
use crate::state::AppState;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeadLetterParams {
    reason: Option<String>,
    #[serde(default)]
    include_replayed: bool,
    after: Option<String>,
    limit: Option<u32>,
}

pub(crate) async fn get_dead_letters(
    State(state): State<AppState>,
    Params(params): Params<DeadLetterParams>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let reason = params.reason.as_deref().map(|name| {
        reason_of(name)
            .ok_or_else(|| HttpProblem::bad_request("bad_parameter", "there is no such reason"))
    });
    let after = params.after.as_deref().map(parse_id).transpose()?;
    let limit = params.limit.unwrap_or(100).clamp(1, 1_000);
    let organizations = match &principal.scope {
        OrganizationScope::All => None,
        OrganizationScope::Only(allowed) => Some(allowed.clone()),
    };
    let filter = DeadLetterFilter {
        organizations,
        reason: reason.transpose()?,
        include_replayed: params.include_replayed,
        after,
        limit,
    };
    let letters = state.store.dead_letters.list(&filter).await?;
    let full = letters.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = letters
        .last()
        .filter(|_| full)
        .map(|last| last.letter.id.to_string());
    let letters: Vec<Value> = letters
        .iter()
        .map(|letter| letter_body(letter, false))
        .collect();
    Ok(Json(json!({ "deadLetters": letters, "next": next })).into_response())
}

pub(crate) async fn get_dead_letter(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let letter = letter(&state, &principal, &id).await?;
    state
        .read_audit
        .read(&state, &principal, "GET /v1/dead-letters/{id}");
    Ok(Json(letter_body(&letter, true)).into_response())
}

pub(crate) async fn replay_dead_letter(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let letter = letter(&state, &principal, &id).await?;
    let replayed = dead_letters::replay(
        &*state.store.dead_letters,
        &*state.queue,
        &*state.clock,
        letter.letter.id,
    )
    .await;
    let frame = replayed.map_err(|error| match error {
        ReplayError::Unknown => HttpProblem::not_found("dead letter"),
        ReplayError::AlreadyReplayed => HttpProblem::new(
            StatusCode::CONFLICT,
            "already_replayed",
            "it was sent again before",
        ),
        ReplayError::NotAnEvent => HttpProblem::new(
            StatusCode::CONFLICT,
            "not_an_event",
            "an item of another system in its own form; put it into that system's queue again when it is mended",
        ),
        ReplayError::Store(error) => error.into(),
        ReplayError::Queue(error) => error.into(),
        _ => HttpProblem::unavailable("not sent again; try later"),
    })?;
    record(&state, &principal, "dead-letter.replay", &letter);
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({ "frame": Uuid::from_bytes(frame.0) })),
    )
        .into_response())
}

pub(crate) async fn purge_dead_letter(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let letter = letter(&state, &principal, &id).await?;
    if !state.store.dead_letters.purge(letter.letter.id).await? {
        return Err(HttpProblem::not_found("dead letter"));
    }
    record(&state, &principal, "dead-letter.purge", &letter);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn record(state: &AppState, principal: &Principal, action: &'static str, letter: &DeadLetter) {
    let id = letter.letter.id.to_string();
    state.read_audit.record(
        state,
        principal,
        action,
        Target {
            kind: "dead_letter",
            id: &id,
        },
    );
}

async fn letter(state: &AppState, principal: &Principal, id: &str) -> HttpResult<DeadLetter> {
    let found = state.store.dead_letters.get(parse_id(id)?).await?;
    let found = found.filter(|found| principal.sees(&found.letter.organization_id));
    found.ok_or_else(|| HttpProblem::not_found("dead letter"))
}

fn parse_id(text: &str) -> HttpResult<EventId> {
    text.parse()
        .map_err(|_source| HttpProblem::bad_request("bad_id", "an id is a hyphenated UUID"))
}

const REASONS: [(DeadLetterReason, &str); 7] = [
    (DeadLetterReason::Conflict, "conflict"),
    (DeadLetterReason::RejectedByStore, "rejectedByStore"),
    (DeadLetterReason::RejectedByProcessor, "rejectedByProcessor"),
    (DeadLetterReason::Unreadable, "unreadable"),
    (DeadLetterReason::NotAnEvent, "notAnEvent"),
    (DeadLetterReason::ProofMismatch, "proofMismatch"),
    (DeadLetterReason::Poison, "poison"),
];

fn reason_of(name: &str) -> Option<DeadLetterReason> {
    REASONS
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(reason, _)| *reason)
}

fn letter_body(dead: &DeadLetter, with_payload: bool) -> Value {
    let letter = &dead.letter;
    let reason = REASONS
        .iter()
        .find(|(reason, _)| *reason == letter.reason)
        .map_or("other", |(_, name)| *name);
    let mut body = json!({
        "id": letter.id.to_string(),
        "frame": Uuid::from_bytes(letter.frame_id),
        "frameIndex": letter.frame_index,
        "eventId": letter.event_id.map(|id| id.to_string()),
        "organizationId": letter.organization_id.as_str(),
        "reason": reason,
        "detail": letter.detail,
        "receivedAt": letter.received_at.map(|at| at.to_string()),
        "deadAt": letter.dead_at.to_string(),
        "replayedAt": dead.replayed.as_ref().map(|(at, _)| at.to_string()),
        "replayFrame": dead.replayed.as_ref().map(|(_, frame)| Uuid::from_bytes(*frame)),
    });
    if with_payload && let Some(members) = body.as_object_mut() {
        // Whatever the bytes are; text when they are text, for reading.
        members.insert(
            "payload".to_owned(),
            STANDARD.encode(&letter.payload).into(),
        );
        if let Ok(text) = std::str::from_utf8(&letter.payload) {
            members.insert("payloadText".to_owned(), text.into());
        }
    }
    body
}
