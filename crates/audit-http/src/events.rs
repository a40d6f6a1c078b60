//! `/v1/events/{id}`: one event by its id, its bytes, its proof.

use audit_event::timestamp::MissingZone;
use audit_event::{EventId, OrganizationId, Timestamp};
use audit_store::StoredEvent;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::auth::{Access, Principal, authenticate};
use crate::ledgers::{EntryView, show_entry};
use crate::params::{Params, PathParams};
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;
use crate::stored::{LedgerName, StoredBody};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WhichParams {
    organization_id: Option<String>,
    timestamp: Option<String>,
}

pub(crate) async fn get_event(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    Params(params): Params<WhichParams>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Read).await?;
    let stored = one(&state, &principal, &id, &params).await?;
    state
        .read_audit
        .read(&state, &principal, "GET /v1/events/{id}");
    Ok(Json(StoredBody::of(stored)?).into_response())
}

pub(crate) async fn get_event_canonical(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    Params(params): Params<WhichParams>,
    headers: HeaderMap,
) -> HttpResult {
    entry(&state, &headers, &id, &params, EntryView::Canonical).await
}

pub(crate) async fn get_event_proof(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    Params(params): Params<WhichParams>,
    headers: HeaderMap,
) -> HttpResult {
    entry(&state, &headers, &id, &params, EntryView::Proof).await
}

async fn entry(
    state: &AppState,
    headers: &HeaderMap,
    id: &str,
    params: &WhichParams,
    view: EntryView,
) -> HttpResult {
    let principal = authenticate(state, headers, Access::Prove).await?;
    let stored = one(state, &principal, id, params).await?;
    show_entry(state, &principal, stored.ledger, stored.leaf_index, view).await
}

/// The one event that matches; 409 with all addresses when several do.
async fn one(
    state: &AppState,
    principal: &Principal,
    id: &str,
    params: &WhichParams,
) -> HttpResult<StoredEvent> {
    let id: EventId = id.parse().map_err(|_source| {
        HttpProblem::bad_request(
            "bad_id",
            "an event id is a hyphenated UUID; search by details for external ids",
        )
    })?;
    let timestamp = params
        .timestamp
        .as_deref()
        .map(|text| Timestamp::parse(text, MissingZone::Refuse));
    let timestamp = timestamp.transpose().map_err(|_source| {
        HttpProblem::bad_request("bad_parameter", "timestamp is an RFC 3339 time with a zone")
    })?;
    let mut found = state
        .store
        .events
        .by_id(id, timestamp.map(|(time, _)| time), &principal.scope)
        .await?;
    if let Some(organization) = &params.organization_id {
        let organization = OrganizationId::new(organization);
        found.retain(|stored| stored.organization_id == organization);
    }
    match found.len() {
        0 => Err(HttpProblem::not_found("event")),
        1 => found.pop().ok_or_else(|| HttpProblem::not_found("event")),
        _ => {
            let addresses = found.iter().map(|stored| {
                serde_json::json!({
                    "organizationId": stored.organization_id.as_str(),
                    "timestamp": stored.timestamp.to_string(),
                    "ledger": LedgerName(stored.ledger),
                    "leafIndex": stored.leaf_index.0,
                })
            });
            let detail = "several events have this id; add organizationId and timestamp";
            Err(
                HttpProblem::new(StatusCode::CONFLICT, "ambiguous_id", detail)
                    .with_addresses(addresses.collect()),
            )
        }
    }
}
