//! Health: alive, ready, component by component, and the Prometheus page.

use std::time::Duration;

use audit_pipeline::Health;
use audit_queue::Depth;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::metric;
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::{AppState, ComponentHealth};

/// Alive: this process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Every component now.
pub(crate) fn all(state: &AppState) -> Vec<ComponentHealth> {
    let mut components = (state.readiness)();
    components.extend(
        state
            .registry
            .health_checks()
            .iter()
            .map(|check| (check.name().to_owned(), check.check().into())),
    );
    components
}

fn body((name, health): &ComponentHealth) -> Value {
    match health {
        Health::Working => json!({ "component": name, "status": "ok" }),
        Health::Degraded(reason) => {
            json!({ "component": name, "status": "degraded", "reason": reason })
        }
        Health::Failing(reason) => {
            json!({ "component": name, "status": "failing", "reason": reason })
        }
    }
}

/// Every component as JSON.
pub(crate) fn components(state: &AppState) -> Vec<Value> {
    all(state).iter().map(body).collect()
}

/// Ready: events sent now would be taken and stored. A component that is degraded says what stands in for it.
pub(crate) async fn readyz(State(state): State<AppState>) -> HttpResult {
    let components = all(&state);
    let ready = components.iter().all(|(_, health)| health.is_ready());
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
    let status = if found.1.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(body(found))).into_response())
}

/// The Prometheus page. Scrapers send no key; the page holds counts and names of components, never content.
pub(crate) async fn metrics(State(state): State<AppState>) -> HttpResult {
    if let Err(problem) = set_books(&state).await {
        tracing::warn!(?problem, "the books are missing from the metrics");
    }
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

/// The numbers of the conservation law, read when they are asked for, so that they are exact.
async fn set_books(state: &AppState) -> HttpResult<()> {
    let status = crate::status::read(state).await?;
    for (origin, books) in [
        ("producer", status.producers),
        ("internal", status.internal),
    ] {
        let numbers = [
            ("accepted", books.accepted),
            ("stored", books.stored),
            ("duplicate", books.duplicate),
            ("conflict", books.conflict),
            ("deadLettered", books.dead_lettered),
            ("queued", books.queued),
        ];
        for (name, number) in numbers {
            set(
                &metrics::gauge!(metric::BOOKS, "state" => name, "origin" => origin),
                number,
            );
        }
    }
    set_queue(state, &status.depth).await?;
    let waiting = state.store.dead_letters.waiting().await?;
    set(&metrics::gauge!(metric::DEAD_LETTERS_WAITING), waiting);
    Ok(())
}

async fn set_queue(state: &AppState, depth: &Depth) -> HttpResult<()> {
    set(&metrics::gauge!(metric::QUEUE_FRAMES), depth.frames);
    set(&metrics::gauge!(metric::QUEUE_BYTES), depth.bytes);
    let events = depth.events.saturating_add(depth.events_internal);
    set(&metrics::gauge!(metric::QUEUE_EVENTS), events);
    let now = state.clock.now_micros();
    let age = depth
        .oldest_micros
        .map_or(0, |oldest| (now - oldest).max(0));
    let age = Duration::from_micros(age.unsigned_abs());
    metrics::gauge!(metric::QUEUE_OLDEST_SECONDS).set(age.as_secs_f64());
    if let Some(pending) = crate::status::pending(state).await? {
        set(&metrics::gauge!(metric::QUEUE_PENDING_FRAMES), pending);
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53 events, which no deployment reaches"
)]
fn set(gauge: &metrics::Gauge, number: u64) {
    gauge.set(number as f64);
}

/// The description of this API, made from the table of routes.
pub(crate) async fn openapi() -> Json<Value> {
    Json(crate::openapi::document())
}
