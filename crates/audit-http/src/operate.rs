//! Operation: dead letters, keys, verification runs, frames, status.

use audit_event::timestamp::MissingZone;
use audit_event::{EventId, OrganizationId, Timestamp};
use audit_pipeline::dead_letters::{self, ReplayError};
use audit_pipeline::status::{self, Books};
use audit_queue::FrameId;
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, DeadLetter, DeadLetterFilter, DeadLetterReason};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::{Access, KeyRequest, Principal, authenticate, new_api_key, role_name, role_of};
use crate::body::read_whole;
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::{AppState, VerifyBody};
use crate::stored::LedgerName;

/// Bytes of a body that is not events.
const SMALL_BODY_MAX: usize = 1 << 20;

/// Reads a small JSON body; an empty one counts as `{}`.
async fn small<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: Body) -> HttpResult<T> {
    let bytes = read_whole(headers, body, SMALL_BODY_MAX).await?;
    let text = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        bytes.as_ref()
    };
    serde_json::from_slice(text)
        .map_err(|error| HttpProblem::bad_request("bad_body", error.to_string()))
}

// --- status ------------------------------------------------------------------------------------------------------

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
    components: Vec<Value>,
}

pub(crate) async fn get_status(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Operate).await?;
    let status = status::read(&*state.queue, &*state.store.receipts, &state.acceptor)
        .await
        .map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the status cannot be read"
            );
            HttpProblem::unavailable("the numbers cannot be read now")
        })?;
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
        }),
        ledgers,
        leases: leases.collect(),
        dead_letters_waiting: state.store.dead_letters.waiting().await?,
        components: crate::health::components(&state),
    };
    Ok(Json(body).into_response())
}

pub(crate) async fn get_frame(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::Write).await?;
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

// --- verification ------------------------------------------------------------------------------------------------

pub(crate) async fn post_verify(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Prove).await?;
    let request: VerifyBody = small(&headers, body).await?;
    let run = state
        .verify
        .start(request)
        .await
        .map_err(|reason| HttpProblem::bad_request("bad_request", reason))?;
    state.read_audit.note(&state, &principal, "POST /v1/verify");
    Ok((StatusCode::ACCEPTED, Json(json!({ "run": run }))).into_response())
}

pub(crate) async fn get_verify(
    State(state): State<AppState>,
    Path(run): Path<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::Prove).await?;
    let report = state
        .verify
        .report(&run)
        .await
        .ok_or_else(|| HttpProblem::not_found("run"))?;
    let json = axum::http::HeaderValue::from_static("application/json");
    Ok(([(axum::http::header::CONTENT_TYPE, json)], report).into_response())
}

// --- dead letters ------------------------------------------------------------------------------------------------

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
    Path(id): Path<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let letter = letter(&state, &principal, &id).await?;
    state
        .read_audit
        .note(&state, &principal, "GET /v1/dead-letters/{id}");
    Ok(Json(letter_body(&letter, true)).into_response())
}

pub(crate) async fn replay_dead_letter(
    State(state): State<AppState>,
    Path(id): Path<String>,
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
        ReplayError::Store(error) => error.into(),
        ReplayError::Queue(error) => error.into(),
        _ => HttpProblem::unavailable("not sent again; try later"),
    })?;
    state
        .read_audit
        .note(&state, &principal, "POST /v1/dead-letters/{id}/replay");
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({ "frame": Uuid::from_bytes(frame.0) })),
    )
        .into_response())
}

pub(crate) async fn purge_dead_letter(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let letter = letter(&state, &principal, &id).await?;
    if !state.store.dead_letters.purge(letter.letter.id).await? {
        return Err(HttpProblem::not_found("dead letter"));
    }
    state
        .read_audit
        .note(&state, &principal, "DELETE /v1/dead-letters/{id}");
    Ok(StatusCode::NO_CONTENT.into_response())
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

const REASONS: [(DeadLetterReason, &str); 5] = [
    (DeadLetterReason::Conflict, "conflict"),
    (DeadLetterReason::RejectedByStore, "rejectedByStore"),
    (DeadLetterReason::RejectedByProcessor, "rejectedByProcessor"),
    (DeadLetterReason::Unreadable, "unreadable"),
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

// --- keys --------------------------------------------------------------------------------------------------------

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewKeyBody {
    name: String,
    role: String,
    /// Absent: all organisations.
    organizations: Option<Vec<String>>,
    default_organization: Option<String>,
    expires_at: Option<String>,
}

pub(crate) async fn post_key(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let body: NewKeyBody = small(&headers, body).await?;
    let request = key_request(&principal, body)?;
    let (key, text) = new_api_key(&*state.random, &*state.clock, request);
    state.store.api_keys.create(&key).await?;
    state.key_cache.forget(&key.id);
    state.read_audit.note(&state, &principal, "POST /v1/keys");
    let mut shown = key_body(&ApiKey {
        key,
        revoked_at: None,
    });
    if let Some(members) = shown.as_object_mut() {
        members.insert("key".to_owned(), text.into());
    }
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

fn key_request(principal: &Principal, body: NewKeyBody) -> HttpResult<KeyRequest> {
    let bad = |detail: &str| HttpProblem::bad_request("bad_body", detail);
    let role = role_of(&body.role)
        .ok_or_else(|| bad("role: writer, viewer, analyst, compliance_officer or admin"))?;
    if body.name.is_empty() || body.name.len() > 128 {
        return Err(bad("name: 1 to 128 bytes"));
    }
    let scope = match body.organizations {
        None => OrganizationScope::All,
        Some(names) if names.is_empty() || names.len() > 100 => {
            return Err(bad("organizations: 1 to 100 names"));
        }
        Some(names) => {
            OrganizationScope::Only(names.iter().map(|name| OrganizationId::new(name)).collect())
        }
    };
    let within = match (&principal.scope, &scope) {
        (OrganizationScope::All, _) => true,
        (OrganizationScope::Only(_), OrganizationScope::All) => false,
        (_, OrganizationScope::Only(asked)) => asked
            .iter()
            .all(|organization| principal.sees(organization)),
    };
    if !within {
        let detail = "organizations: a key cannot give more than its own key has";
        return Err(HttpProblem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let default_organization = match (&scope, body.default_organization) {
        (_, Some(name)) => OrganizationId::new(&name),
        (OrganizationScope::Only(names), None) => names.first().cloned().unwrap_or_default(),
        (OrganizationScope::All, None) => OrganizationId::none(),
    };
    let default_in_scope = match &scope {
        OrganizationScope::All => true,
        OrganizationScope::Only(names) => names.contains(&default_organization),
    };
    if !default_in_scope {
        return Err(bad("defaultOrganization: one of organizations"));
    }
    let expires_at = body
        .expires_at
        .as_deref()
        .map(|text| Timestamp::parse(text, MissingZone::Refuse));
    let expires_at = expires_at
        .transpose()
        .map_err(|_source| bad("expiresAt: an RFC 3339 time with a zone"))?;
    Ok(KeyRequest {
        name: body.name,
        role,
        scope,
        default_organization,
        expires_at: expires_at.map(|(at, _)| at),
    })
}

pub(crate) async fn get_keys(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Admin).await?;
    let keys: Vec<Value> = state
        .store
        .api_keys
        .list()
        .await?
        .iter()
        .map(key_body)
        .collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}

pub(crate) async fn revoke_key(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let now = Timestamp::from_micros(state.clock.now_micros()).unwrap_or(Timestamp::EPOCH);
    if !state.store.api_keys.revoke(&id, now).await? {
        return Err(HttpProblem::not_found("key in force"));
    }
    state.key_cache.forget(&id);
    state
        .read_audit
        .note(&state, &principal, "DELETE /v1/keys/{id}");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn key_body(key: &ApiKey) -> Value {
    let organizations = match &key.key.scope {
        OrganizationScope::All => Value::Null,
        OrganizationScope::Only(names) => names.iter().map(OrganizationId::as_str).collect(),
    };
    json!({
        "id": key.key.id,
        "name": key.key.name,
        "role": role_name(key.key.role),
        "organizations": organizations,
        "defaultOrganization": key.key.default_organization.as_str(),
        "createdAt": key.key.created_at.to_string(),
        "expiresAt": key.key.expires_at.map(|at| at.to_string()),
        "revokedAt": key.revoked_at.map(|at| at.to_string()),
    })
}
