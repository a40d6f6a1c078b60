//! Finding alerts and counting them.

use std::collections::BTreeMap;

use audit_alert::{level_name, level_of, state_name, state_of};
use audit_event::timestamp::MissingZone;
use audit_event::{OrganizationId, Timestamp};
use audit_store::alerts::ALERTS_MAX;
use audit_store::{AlertCount, AlertFilter, AlertLevel, AlertState};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Access, Principal, authenticate};
use crate::cursor;
use crate::detection::{organizations, surface};
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;

/// Alerts of a page when the request does not say.
const LIMIT_DEFAULT: u32 = 50;

/// Parameters as they came.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AlertParams {
    state: Option<String>,
    at_least: Option<String>,
    rule: Option<String>,
    organization_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Each parameter that cannot be read, by its name.
#[derive(Debug, Default)]
struct Faults(Vec<ItemProblem>);

impl Faults {
    /// The value, once it is read; a fault when it is none.
    fn read<T>(
        &mut self,
        name: &str,
        text: Option<&str>,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(text?);
        if value.is_none() {
            self.0.push(ItemProblem {
                path: format!("/{name}"),
                code: "unknown_value",
                message: wanted.to_owned(),
            });
        }
        value
    }

    fn into_result(self) -> HttpResult<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(HttpProblem::bad_request(
                "bad_parameter",
                "the query has parameters that cannot be read",
            )
            .with_errors(self.0)),
        }
    }
}

impl AlertParams {
    /// What is asked for, within what the caller may see.
    fn filter(&self, principal: &Principal) -> HttpResult<AlertFilter> {
        let mut faults = Faults::default();
        let states = faults.read(
            "state",
            self.state.as_deref(),
            "open, acknowledged or resolved; several with commas between them",
            |text| text.split(',').map(state_of).collect(),
        );
        let at_least = faults.read(
            "atLeast",
            self.at_least.as_deref(),
            "informational, low, medium, high or critical",
            level_of,
        );
        let wanted = "an RFC 3339 time with a zone";
        let since = faults.read("since", self.since.as_deref(), wanted, time);
        let until = faults.read("until", self.until.as_deref(), wanted, time);
        let limit = faults.read(
            "limit",
            self.limit.as_deref(),
            "a number from 1 to 1000",
            |text| {
                text.parse()
                    .ok()
                    .filter(|limit| (1..=ALERTS_MAX).contains(limit))
            },
        );
        faults.into_result()?;
        Ok(AlertFilter {
            organizations: self.scope(principal),
            states: states.unwrap_or_default(),
            at_least,
            rule: self.rule.clone(),
            group: None,
            since,
            until,
            after: None,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
        })
    }

    /// What the caller may see of what it asks for; nothing when it asks for another's.
    fn scope(&self, principal: &Principal) -> Option<Vec<OrganizationId>> {
        let Some(asked) = self.organization_id.as_deref() else {
            return organizations(principal).map(<[_]>::to_vec);
        };
        let asked = OrganizationId::new(asked);
        Some(match principal.sees(&asked) {
            true => vec![asked],
            false => Vec::new(),
        })
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let read = Timestamp::parse(text, MissingZone::Refuse);
    read.ok().map(|(time, _form)| time)
}

/// What a cursor belongs to: the filter, with whom it shows, and no page of it.
fn binding(filter: &AlertFilter) -> String {
    let whole = AlertFilter {
        after: None,
        limit: 0,
        ..filter.clone()
    };
    format!("alerts|{whole:?}")
}

pub(crate) async fn get_alerts(
    State(state): State<AppState>,
    Params(params): Params<AlertParams>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let surface = surface(&state)?;
    let mut filter = params.filter(&principal)?;
    let (key, binding) = (state.settings().cursor_key, binding(&filter));
    let after = params.cursor.as_deref();
    filter.after = after
        .map(|text| cursor::open_alert(&key, &binding, text))
        .transpose()?;
    let alerts = surface.desk.list(&filter).await?;
    state.read_audit.read(&state, &principal, "GET /v1/alerts");
    let full = alerts.len() == usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let next = alerts
        .last()
        .filter(|_| full)
        .map(|last| cursor::seal_alert(&key, &binding, (last.raised_at, last.id)));
    let mut page = json!({ "alerts": alerts });
    if let (Some(next), Some(members)) = (next, page.as_object_mut()) {
        members.insert("nextCursor".to_owned(), next.into());
    }
    Ok(Json(page).into_response())
}

pub(crate) async fn get_statistics(
    State(state): State<AppState>,
    Params(params): Params<AlertParams>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let surface = surface(&state)?;
    if params.limit.is_some() || params.cursor.is_some() {
        let detail = "statistics have no pages: neither limit nor cursor";
        return Err(HttpProblem::bad_request("bad_parameter", detail));
    }
    let counts = surface.desk.count(&params.filter(&principal)?).await?;
    state
        .read_audit
        .read(&state, &principal, "GET /v1/alerts/statistics");
    Ok(Json(statistics(&counts)).into_response())
}

/// Levels and states that have none are told with 0; rules are those that have some.
fn statistics(counts: &[AlertCount]) -> Value {
    let mut total = 0;
    let mut by_state = BTreeMap::from(
        [
            AlertState::Open,
            AlertState::Acknowledged,
            AlertState::Resolved,
        ]
        .map(|state| (state_name(state), 0)),
    );
    let mut by_level = BTreeMap::from(
        [
            AlertLevel::Informational,
            AlertLevel::Low,
            AlertLevel::Medium,
            AlertLevel::High,
            AlertLevel::Critical,
        ]
        .map(|level| (level_name(level), 0)),
    );
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for one in counts {
        total += one.count;
        *by_state.entry(state_name(one.state)).or_default() += one.count;
        *by_level.entry(level_name(one.level)).or_default() += one.count;
        *by_rule.entry(&one.rule).or_default() += one.count;
    }
    json!({ "total": total, "byState": by_state, "byLevel": by_level, "byRule": by_rule })
}
