//! `/v1/alerts`: found, shown, counted, acknowledged, resolved; and the outbox of what is told of them.
//!
//! Who may is as with dead letters: looking after what went wrong begins with the analyst. A viewer, who reads the records of an
//! organisation, does not learn that somebody is suspected. Acting is the analyst's too, and so of all roles above: it changes no event,
//! and who acted is recorded.

mod search;

use audit_alert::{Alert, DeskError};
use audit_store::AlertId;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

pub(crate) use self::search::{get_alerts, get_statistics};
use crate::auth::{Access, Principal, authenticate};
use crate::body::read_json;
use crate::budget::Budget;
use crate::detection::{organizations, surface};
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::read_audit::Target;
use crate::state::AppState;

pub(crate) async fn get_alert(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let surface = surface(&state)?;
    let found = surface.desk.get(parse_id(&id)?, organizations(&principal));
    let alert = found
        .await?
        .ok_or_else(|| HttpProblem::not_found("alert"))?;
    state
        .read_audit
        .read(&state, &principal, "GET /v1/alerts/{id}");
    Ok(Json(alert).into_response())
}

/// Body of an act; its member may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActBody {
    note: Option<String>,
}

/// Who wants to do something to which alert, and says what.
struct Act {
    principal: Principal,
    id: AlertId,
    note: Option<String>,
}

impl Act {
    async fn read(
        state: &AppState,
        id: &str,
        budget: &Budget,
        headers: &HeaderMap,
        body: Body,
    ) -> HttpResult<Self> {
        let principal = authenticate(state, headers, Access::Operate).await?;
        let said: ActBody = read_json(headers, body, &mut budget.holder()).await?;
        Ok(Self {
            principal,
            id: parse_id(id)?,
            note: said.note,
        })
    }
}

pub(crate) async fn acknowledge(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let act = Act::read(&state, &id, &budget, &headers, body).await?;
    let (scope, by) = (organizations(&act.principal), &act.principal.key_id);
    let desk = &surface(&state)?.desk;
    acted(
        desk.acknowledge(act.id, scope, by, act.note.as_deref())
            .await,
    )
}

pub(crate) async fn resolve(
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let act = Act::read(&state, &id, &budget, &headers, body).await?;
    let (scope, by) = (organizations(&act.principal), &act.principal.key_id);
    let desk = &surface(&state)?.desk;
    acted(desk.resolve(act.id, scope, by, act.note.as_deref()).await)
}

/// The alert as it is now. The desk has told the trail of it, in one transaction with the change: no second event here.
fn acted(done: Result<Alert, DeskError>) -> HttpResult {
    let alert = done.map_err(|error| match error {
        DeskError::NotFound => HttpProblem::not_found("alert"),
        DeskError::AlreadyResolved => HttpProblem::new(
            StatusCode::CONFLICT,
            "already_resolved",
            "the alert is resolved already, and stays so",
        ),
        DeskError::NoteTooLong => {
            let most = audit_alert::NOTE_BYTES_MAX;
            HttpProblem::bad_request("bad_body", format!("note: at most {most} bytes"))
        }
        DeskError::Store(error) => error.into(),
        _ => HttpProblem::unavailable("nothing was changed; try later"),
    })?;
    Ok(Json(alert).into_response())
}

pub(crate) async fn get_outbox(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Operate).await?;
    let handlers: Vec<_> = surface(&state)?
        .alerts
        .outbox()
        .await?
        .into_iter()
        .map(|line| {
            json!({
                "handler": line.handler,
                "waiting": line.waiting,
                "dead": line.dead,
                "oldest": line.oldest.map(|at| at.to_string()),
            })
        })
        .collect();
    Ok(Json(json!({ "handlers": handlers })).into_response())
}

pub(crate) async fn revive(
    State(state): State<AppState>,
    PathParams(handler): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::AdminAll).await?;
    let revived = surface(&state)?.alerts.revive(&handler).await?;
    if revived > 0 {
        let target = Target {
            kind: "alert_handler",
            id: &handler,
        };
        state
            .read_audit
            .record(&state, &principal, "alert.outbox.revive", target);
    }
    Ok(Json(json!({ "handler": handler, "revived": revived })).into_response())
}

fn parse_id(text: &str) -> HttpResult<AlertId> {
    let bytes: Option<[u8; 32]> = hex::decode(text).ok().and_then(|id| id.try_into().ok());
    bytes
        .map(AlertId)
        .ok_or_else(|| HttpProblem::bad_request("bad_id", "an alert's id is 64 hexadecimal digits"))
}
