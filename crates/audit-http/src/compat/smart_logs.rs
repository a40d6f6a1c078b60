//! The writing path of smart-logs, with the members that its HTTP client looks for.

use audit_event::Form;
use audit_pipeline::ItemResult;
use axum::Extension;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{evidence, is_taken, leaf_hash, take_one};
use crate::answer::{errors_of, status_name};
use crate::budget::Budget;
use crate::problem::HttpResult;
use crate::state::AppState;

/// `POST /events`: one event.
pub(crate) async fn post_event(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    request: Request,
) -> HttpResult {
    let (parts, result) = take_one(&state, &budget, request, Form::SmartLogs).await?;
    let answer = if is_taken(&result) {
        (StatusCode::CREATED, Json(taken(&result)))
    } else {
        (
            StatusCode::BAD_REQUEST,
            Json(refused(&state, &parts, &result)),
        )
    };
    Ok(answer.into_response())
}

fn taken(result: &ItemResult) -> Value {
    json!({
        "success": true,
        "id": result.id.map(|id| id.to_string()),
        "timestamp": result.received_at.map(|at| at.to_string()),
        "stored": result.address.is_some(),
        "status": status_name(result.status),
        "leafHash": leaf_hash(result),
        "error": evidence(result),
    })
}

/// The replaced server's shape of a failed validation.
fn refused(state: &AppState, parts: &Parts, result: &ItemResult) -> Value {
    json!({
        "code": "VALIDATION_ERROR",
        "message": "the event was refused; details.issues says why",
        "details": { "issues": errors_of(result) },
        "timestamp": state.now().to_string(),
        "requestId": request_id(&parts.headers),
        "path": parts.uri.path(),
    })
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id")?.to_str().ok()
}
