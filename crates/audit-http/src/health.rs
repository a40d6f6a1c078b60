//! Health: alive, ready, component by component, and the Prometheus page.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::{AppState, ComponentHealth};

/// Alive: this process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

fn all(state: &AppState) -> Vec<ComponentHealth> {
    let mut components = (state.readiness)();
    components.extend(
        state
            .registry
            .health_checks()
            .iter()
            .map(|check| (check.name().to_owned(), check.check())),
    );
    components
}

fn body((name, health): &ComponentHealth) -> Value {
    match health {
        Ok(()) => json!({ "component": name, "status": "ok" }),
        Err(reason) => json!({ "component": name, "status": "failing", "reason": reason }),
    }
}

/// Every component as JSON.
pub(crate) fn components(state: &AppState) -> Vec<Value> {
    all(state).iter().map(body).collect()
}

/// Ready: events sent now would be taken and stored.
pub(crate) async fn readyz(State(state): State<AppState>) -> HttpResult {
    let components = all(&state);
    let ready = components.iter().all(|(_, health)| health.is_ok());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let bodies: Vec<Value> = components.iter().map(body).collect();
    Ok((
        status,
        Json(json!({ "ready": ready, "components": bodies })),
    )
        .into_response())
}

/// One component.
pub(crate) async fn component(
    State(state): State<AppState>,
    PathParams(name): PathParams<String>,
) -> HttpResult {
    let components = all(&state);
    let found = components.iter().find(|(known, _)| *known == name);
    let found = found.ok_or_else(|| HttpProblem::not_found("component"))?;
    let status = if found.1.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(body(found))).into_response())
}

/// The Prometheus page. Scrapers send no key; the page holds counts and names of components, never content.
pub(crate) async fn metrics(State(state): State<AppState>) -> HttpResult {
    let page = (state.metrics)();
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        page,
    )
        .into_response())
}

/// The description of this API, made from the table of routes.
pub(crate) async fn openapi() -> Json<Value> {
    Json(crate::openapi::document())
}
