//! `GET /api/audit/events`: PAKE's filters over our search, and events in PAKE's form.
//!
//! PAKE counted every match before each page. Here the count goes on for [`LOOKS_MAX`] events; `total` is exact or absent.

use audit_event::canonical::to_canonical;
use audit_event::forms::to_form;
use audit_event::timestamp::MissingZone;
use audit_event::{AuditEvent, Form, Status, Timestamp, Value};
use audit_store::query::{ActionMatch, DetailMatch};
use audit_store::{Filter, Order, PageRequest, StoredEvent};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::{Access, Principal, authenticate};
use crate::params::Params;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;

/// Events looked at for one answer.
const LOOKS_MAX: usize = 10_000;
/// Events read at a time.
const STEP: u32 = 1_000;
/// Events of a page when the request does not say (PAKE's number), and at most.
const LIMIT: (usize, usize) = (100, 1_000);

/// PAKE's parameters. Others are refused, so that a misspelt filter does not show everything.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Asked {
    start_time: Option<String>,
    end_time: Option<String>,
    actor_id: Option<String>,
    actor_type: Option<String>,
    action_type: Option<String>,
    resource: Option<String>,
    resource_id: Option<String>,
    result: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    page: Option<usize>,
    order_by: Option<String>,
    order_direction: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageBody {
    events: Vec<Box<RawValue>>,
    /// Absent when counting was given up; never an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    page: usize,
    has_more: bool,
}

/// The events of one page, out of all that match.
struct Window {
    limit: usize,
    offset: usize,
}

pub(crate) async fn get_events(
    State(state): State<AppState>,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Read).await?;
    let window = asked.window()?;
    let request = asked.request(&principal)?;
    let page = read(&state, &asked, &window, request).await?;
    state
        .read_audit
        .read(&state, &principal, "GET /api/audit/events");
    Ok(Json(page).into_response())
}

/// Goes through the matches until the page is full and all are counted, or until enough were looked at.
async fn read(
    state: &AppState,
    asked: &Asked,
    window: &Window,
    mut request: PageRequest,
) -> HttpResult<PageBody> {
    let (mut events, mut matched, mut looked) = (Vec::new(), 0, 0);
    let counted = loop {
        let page = state.store.query.search(&request).await?;
        for stored in page.events {
            looked += 1;
            let wanted = (window.offset..window.offset + window.limit).contains(&matched);
            if !wanted && !asked.looks_into_events() {
                matched += 1;
            } else if let Some(shown) = asked.shown(stored)? {
                if wanted {
                    events.push(shown);
                }
                matched += 1;
            }
        }
        match page.next {
            None => break true,
            Some(_) if looked >= LOOKS_MAX => break false,
            next => request.after = next,
        }
    };
    if !counted && matched < window.offset + window.limit {
        return Err(HttpProblem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "search_too_broad",
            "the page is not among the first 10000 events: narrow startTime and endTime",
        ));
    }
    Ok(PageBody {
        events,
        total: counted.then_some(matched),
        page: window.offset / window.limit + 1,
        has_more: !counted || matched > window.offset + window.limit,
    })
}

fn bad(detail: &str) -> HttpProblem {
    HttpProblem::bad_request("bad_parameter", detail)
}

impl Asked {
    fn window(&self) -> HttpResult<Window> {
        let limit = self.limit.unwrap_or(LIMIT.0);
        if !(1..=LIMIT.1).contains(&limit) {
            return Err(bad("limit: a number from 1 to 1000"));
        }
        let offset = match (self.offset, self.page) {
            (Some(_), Some(_)) => return Err(bad("offset or page, not both")),
            (None, Some(0)) => return Err(bad("page: a number from 1")),
            (offset, None) => offset.unwrap_or(0),
            (None, Some(page)) => (page - 1).saturating_mul(limit),
        };
        if offset.saturating_add(limit) > LOOKS_MAX {
            return Err(bad(
                "offset: pages end at the 10000th event; narrow startTime and endTime",
            ));
        }
        Ok(Window { limit, offset })
    }

    fn request(&self, principal: &Principal) -> HttpResult<PageRequest> {
        if self.order_by.as_deref().is_some_and(|by| by != "timestamp") {
            return Err(bad("orderBy: timestamp"));
        }
        let order = match self.order_direction.as_deref() {
            None | Some("desc" | "DESC") => Order::Newest,
            Some("asc" | "ASC") => Order::Oldest,
            Some(_) => return Err(bad("orderDirection: asc or desc")),
        };
        Ok(PageRequest {
            filter: self.filter()?,
            scope: principal.scope.clone(),
            order,
            limit: STEP,
            after: None,
        })
    }

    fn filter(&self) -> HttpResult<Filter> {
        let mut filter = Filter {
            since: time("startTime", self.start_time.as_deref())?,
            // PAKE's range includes its end.
            until: time("endTime", self.end_time.as_deref())?
                .map(|end| Timestamp::clamped(end.micros().saturating_add(1))),
            principal_id: self.actor_id.clone(),
            action: self.action_type.clone().map(ActionMatch::Exact),
            target_resource_type: self.resource.clone(),
            target_resource_id: self.resource_id.clone(),
            ..Filter::default()
        };
        let Some(result) = self.result.as_deref() else {
            return Ok(filter);
        };
        filter.status = Some(match result {
            "success" => Status::Success,
            "failure" | "denied" | "error" => Status::Failure,
            "partial" | "attempt" => Status::Attempt,
            _ => return Err(bad("result: success, failure, partial, denied or error")),
        });
        // These words are kept, because our three say less.
        if matches!(result, "denied" | "error" | "partial") {
            filter.details.push(DetailMatch {
                path: vec!["action".to_owned(), "result".to_owned()],
                value: result.to_owned(),
            });
        }
        Ok(filter)
    }

    /// Whether a condition is on what no index of ours has.
    fn looks_into_events(&self) -> bool {
        self.actor_type.is_some() || self.result.is_some()
    }

    /// The event in PAKE's form; `None` when it is not one of those asked for.
    fn shown(&self, stored: StoredEvent) -> HttpResult<Option<Box<RawValue>>> {
        let Some(canonical) = stored.canonical else {
            // Its body has expired: what is left says neither who nor what.
            let left = serde_json::json!({ "id": stored.id.to_string(), "timestamp": stored.timestamp.to_string() });
            let left = (!self.looks_into_events()).then(|| raw(left.to_string().into_bytes()));
            return left.transpose();
        };
        let event = AuditEvent::from_canonical(&canonical).ok();
        let event = event.and_then(|event| to_form(Form::Pake, &event));
        let event = event.ok_or_else(altered)?;
        let is = |asked: &Option<String>, path: [&str; 2]| {
            asked.is_none() || asked.as_deref() == text_at(&event, path)
        };
        let wanted =
            is(&self.actor_type, ["actor", "type"]) && is(&self.result, ["action", "result"]);
        wanted.then(|| raw(to_canonical(&event))).transpose()
    }
}

fn text_at<'e>(event: &'e Value, [outer, inner]: [&str; 2]) -> Option<&'e str> {
    event
        .as_object()?
        .get(outer)?
        .as_object()?
        .get(inner)?
        .as_str()
}

fn raw(json: Vec<u8>) -> HttpResult<Box<RawValue>> {
    let text = String::from_utf8(json).ok();
    text.and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(altered)
}

fn altered() -> HttpProblem {
    HttpProblem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "a stored event is not what was stored; verify the ledger",
    )
}

fn time(name: &str, text: Option<&str>) -> HttpResult<Option<Timestamp>> {
    let parsed = text.map(|text| Timestamp::parse(text, MissingZone::Utc));
    let parsed = parsed.transpose();
    parsed
        .map(|parsed| parsed.map(|(time, _)| time))
        .map_err(|_source| bad(&format!("{name}: an ISO 8601 time")))
}
