//! `/admin/config/*` and `/observability/configuration-status`: what the process runs with, and changing it.

use async_trait::async_trait;
use audit_store::StoreError;
use audit_store::config::VERSIONS_KEPT;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Access, authenticate};
use crate::body::read_json;
use crate::budget::Budget;
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;

/// **Port.** The configuration of this process, as whoever reloads it offers it. No answer holds a secret.
#[async_trait]
pub trait ConfigurationControl: Send + Sync {
    /// Where the process stands, what holds in it, and the newest versions, at most so many.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn status(&self, versions: u32) -> Result<Value, StoreError>;

    /// Looks at the source now and takes what is there. `by` is told in the history.
    ///
    /// # Errors
    /// Why nothing changes.
    async fn reload(&self, by: &str) -> Result<Value, ConfigurationRefusal>;

    /// Brings an earlier version back; the one in force before the newest, when none is named.
    ///
    /// # Errors
    /// Why nothing changes.
    async fn roll_back(
        &self,
        by: &str,
        version: Option<u64>,
    ) -> Result<Value, ConfigurationRefusal>;
}

/// Why a configuration was not changed.
#[derive(Debug)]
pub struct ConfigurationRefusal {
    /// What of the caller's, or of the moment's, is in the way.
    pub because: ConfigurationObstacle,
    /// For people; no secrets.
    pub message: String,
    /// Each problem: the key's path, and what is wrong with it.
    pub problems: Vec<(String, String)>,
}

/// What is in the way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationObstacle {
    /// The configuration itself.
    Wrong,
    /// Another change.
    Conflict,
    /// There is nothing to go back to.
    Gone,
    /// The source or the store does not answer.
    Away,
}

impl From<ConfigurationRefusal> for HttpProblem {
    fn from(refusal: ConfigurationRefusal) -> Self {
        let (status, code) = match refusal.because {
            ConfigurationObstacle::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, "bad_configuration"),
            ConfigurationObstacle::Conflict => (StatusCode::CONFLICT, "another_change"),
            ConfigurationObstacle::Gone => (StatusCode::NOT_FOUND, "no_such_version"),
            ConfigurationObstacle::Away => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let problems = refusal.problems.into_iter();
        let errors = problems.map(|(key, message)| ItemProblem {
            path: format!("/{}", key.replace('.', "/")),
            code: "bad_configuration",
            message,
        });
        Self::new(status, code, refusal.message).with_errors(errors.collect())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StatusParams {
    versions: Option<u32>,
}

pub(crate) async fn get_status(
    State(state): State<AppState>,
    Params(params): Params<StatusParams>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::AdminAll).await?;
    let versions = params.versions.unwrap_or(20).clamp(1, VERSIONS_KEPT);
    let status = control(&state)?.status(versions).await?;
    state.read_audit.read(
        &state,
        &principal,
        "GET /observability/configuration-status",
    );
    Ok(Json(status).into_response())
}

pub(crate) async fn post_reload(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::AdminAll).await?;
    let by = format!("API key {}", principal.key_id);
    Ok(Json(control(&state)?.reload(&by).await?).into_response())
}

/// Body of a rollback; its member may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollBack {
    version: Option<u64>,
}

pub(crate) async fn post_rollback(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::AdminAll).await?;
    let wanted: RollBack = read_json(&headers, body, &mut budget.holder()).await?;
    let by = format!("API key {}", principal.key_id);
    let published = control(&state)?.roll_back(&by, wanted.version).await?;
    Ok(Json(published).into_response())
}

fn control(state: &AppState) -> Result<&dyn ConfigurationControl, HttpProblem> {
    state.configuration.as_deref().ok_or_else(|| {
        HttpProblem::new(
            StatusCode::NOT_FOUND,
            "no_configuration",
            "this process was started without a configuration: name one with --config or CONFIG_PATH",
        )
    })
}
