//! `/v1/keys`: make, list and revoke API keys. A key's text is shown once, when it is made.

use audit_event::timestamp::MissingZone;
use audit_event::{OrganizationId, Timestamp};
use audit_store::ApiKey;
use audit_store::query::OrganizationScope;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Access, KeyRequest, Principal, authenticate, new_api_key, role_name, role_of};
use crate::body::read_json;
use crate::budget::Budget;
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::read_audit::Target;
use crate::state::AppState;

/// As long as an event may name one.
const ORGANIZATION_BYTES_MAX: usize = 512;

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
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let body: NewKeyBody = read_json(&headers, body, &mut budget.holder()).await?;
    let request = key_request(&principal, body)?;
    let (key, text) = new_api_key(&*state.random, &*state.clock, request);
    state.store.api_keys.create(&key).await?;
    state.key_cache.forget(&key.id);
    state.read_audit.record(
        &state,
        &principal,
        "api-key.create",
        Target {
            kind: "api_key",
            id: &key.id,
        },
    );
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
        Some(names)
            if names
                .iter()
                .any(|name| name.is_empty() || name.len() > ORGANIZATION_BYTES_MAX) =>
        {
            return Err(bad("organizations: names of 1 to 512 bytes"));
        }
        Some(names) => {
            OrganizationScope::Only(names.iter().map(|name| OrganizationId::new(name)).collect())
        }
    };
    if !principal.covers(&scope) {
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
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let keys = state.store.api_keys.list().await?;
    let seen = keys.iter().filter(|key| principal.covers(&key.key.scope));
    let keys: Vec<Value> = seen.map(key_body).collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}

pub(crate) async fn revoke_key(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Admin).await?;
    let known = state.store.api_keys.get(&id).await?;
    let known = known.is_some_and(|known| principal.covers(&known.key.scope));
    let now = Timestamp::clamped(state.clock.now_micros());
    if !known || !state.store.api_keys.revoke(&id, now).await? {
        return Err(HttpProblem::not_found("key in force"));
    }
    state.key_cache.forget(&id);
    state.read_audit.record(
        &state,
        &principal,
        "api-key.revoke",
        Target {
            kind: "api_key",
            id: &id,
        },
    );
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
