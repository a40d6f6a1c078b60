//! `/v1/verify`: start a verification run, read its report.

use audit_event::Timestamp;
use audit_event::timestamp::MissingZone;
use audit_integrity::ledger::LedgerId;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::json;

use crate::auth::{Access, authenticate};
use crate::body::read_json;
use crate::budget::Budget;
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::read_audit::Target;
use crate::state::{AppState, VerifyBody};

/// Signed notes of a request at most.
const CHECKPOINTS_MAX: usize = 1_000;

pub(crate) async fn post_verify(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::ProveAll).await?;
    let body: VerifyBody = read_json(&headers, body, &mut budget.holder()).await?;
    let errors = problems(&body);
    if !errors.is_empty() {
        let detail = "the body has members that cannot be read";
        return Err(HttpProblem::bad_request("bad_body", detail).with_errors(errors));
    }
    let run = state.verify.start(body).await.map_err(|reason| {
        tracing::warn!(reason, "a verification run was not begun");
        HttpProblem::unavailable("no run can be begun now")
    })?;
    let target = Target {
        kind: "verification_run",
        id: &run,
    };
    state
        .read_audit
        .record(&state, &principal, "ledger.verify", target);
    Ok((StatusCode::ACCEPTED, Json(json!({ "run": run }))).into_response())
}

pub(crate) async fn get_verify(
    State(state): State<AppState>,
    PathParams(run): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::ProveAll).await?;
    let report = state.verify.report(&run).await;
    let report = report.ok_or_else(|| HttpProblem::not_found("verification run"))?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], report).into_response())
}

/// Every member that cannot be read.
fn problems(body: &VerifyBody) -> Vec<ItemProblem> {
    let is_time = |text: &Option<String>| {
        text.as_deref()
            .is_none_or(|text| Timestamp::parse(text, MissingZone::Refuse).is_ok())
    };
    let is_ledger = body
        .ledger
        .as_deref()
        .is_none_or(|name| name.parse::<LedgerId>().is_ok());
    let few = body.checkpoints.len() <= CHECKPOINTS_MAX;
    let checks = [
        (
            "/ledger",
            is_ledger,
            "the number of a ledger, or \"directory\"",
        ),
        (
            "/since",
            is_time(&body.since),
            "an RFC 3339 time with a zone",
        ),
        (
            "/until",
            is_time(&body.until),
            "an RFC 3339 time with a zone",
        ),
        ("/checkpoints", few, "at most 1,000 signed notes"),
    ];
    let wrong = checks.into_iter().filter(|(_, fine, _)| !fine);
    wrong
        .map(|(path, _, message)| ItemProblem {
            path: path.to_owned(),
            code: "bad_format",
            message: message.to_owned(),
        })
        .collect()
}
