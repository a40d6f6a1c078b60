//! `/health` and what PAKE has below it, in its words: healthy, degraded, failed. 503 goes with failed.

use std::time::{Duration, Instant};

use audit_pipeline::Health;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::problem::HttpResult;
use crate::state::AppState;

/// How long a part that is asked may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The worst of all states, as a word.
fn word<'h>(states: impl IntoIterator<Item = &'h Health>) -> &'static str {
    let (mut failed, mut degraded) = (false, false);
    for state in states {
        failed |= matches!(state, Health::Failing(_));
        degraded |= matches!(state, Health::Degraded(_));
    }
    match (failed, degraded) {
        (true, _) => "failed",
        (false, true) => "degraded",
        (false, false) => "healthy",
    }
}

fn answer(state: &AppState, status: &str, members: Value) -> HttpResult {
    let mut body = Map::new();
    body.insert("status".to_owned(), status.into());
    if let Value::Object(members) = members {
        body.extend(members);
    }
    body.insert("timestamp".to_owned(), state.now().to_string().into());
    let code = match status {
        "failed" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    Ok((code, Json(body)).into_response())
}

/// `GET /health`.
pub(crate) async fn health(State(state): State<AppState>) -> HttpResult {
    let components = crate::health::all(&state);
    let status = word(components.iter().map(|(_, health)| health));
    let version = env!("CARGO_PKG_VERSION");
    answer(
        &state,
        status,
        json!({ "service": "audit-worker", "version": version }),
    )
}

/// `GET /health/detailed`: every component with its reason.
pub(crate) async fn detailed(State(state): State<AppState>) -> HttpResult {
    let components = crate::health::all(&state);
    let status = word(components.iter().map(|(_, health)| health));
    let shown = components.iter().map(|(name, health)| {
        let message = match health {
            Health::Working => None,
            Health::Degraded(reason) | Health::Failing(reason) => Some(reason),
        };
        (
            name.clone(),
            json!({ "status": word([health]), "message": message }),
        )
    });
    let shown: Map<String, Value> = shown.collect();
    answer(&state, status, json!({ "components": shown }))
}

/// Asks a part now. What it says when it fails is for the log only.
async fn asked<T, E: std::error::Error + 'static>(
    name: &'static str,
    question: impl Future<Output = Result<T, E>>,
) -> (Health, u64) {
    let started = Instant::now();
    let answered = tokio::time::timeout(ANSWERS_WITHIN, question).await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let health = match answered {
        Ok(Ok(_answer)) => Health::Working,
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                name,
                "does not answer"
            );
            Health::Failing("does not answer".to_owned())
        }
        Err(_elapsed) => Health::Failing("does not answer in time".to_owned()),
    };
    (health, millis)
}

fn shown((health, millis): &(Health, u64)) -> Value {
    let message = match health {
        Health::Working => None,
        Health::Degraded(reason) | Health::Failing(reason) => Some(reason),
    };
    json!({ "status": word([health]), "responseTime": millis, "message": message })
}

/// `GET /health/database`: asks the store.
pub(crate) async fn database(State(state): State<AppState>) -> HttpResult {
    let store = asked("the store", state.store.ledgers.ledgers()).await;
    answer(&state, word([&store.0]), shown(&store))
}

/// `GET /health/dependencies`: asks the store and the queue.
pub(crate) async fn dependencies(State(state): State<AppState>) -> HttpResult {
    let (store, queue) = tokio::join!(
        asked("the store", state.store.ledgers.ledgers()),
        asked("the queue", state.queue.depth()),
    );
    let dependencies = json!({ "database": shown(&store), "queue": shown(&queue) });
    let status = word([&store.0, &queue.0]);
    answer(&state, status, json!({ "dependencies": dependencies }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_stands() {
        let degraded = Health::Degraded(String::new());
        let failing = Health::Failing(String::new());
        assert_eq!(word([&Health::Working]), "healthy");
        assert_eq!(word([&degraded, &Health::Working]), "degraded");
        assert_eq!(word([&failing, &degraded, &Health::Working]), "failed");
        assert_eq!(word([]), "healthy");
    }
}
