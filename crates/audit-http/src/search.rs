//! `GET /v1/events`: parameters, pages, cursors.

use std::collections::HashSet;

use audit_event::timestamp::MissingZone;
use audit_event::{Classification, OrganizationId, Severity, Status, Timestamp};
use audit_store::query::{ActionMatch, DetailMatch, OrganizationScope};
use audit_store::{Filter, Order, PageRequest};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::auth::{Access, Principal, authenticate};
use crate::cursor;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;
use crate::stored::StoredBody;

/// Events of a page when the request does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Events of a page at most.
const LIMIT_MAX: u32 = 1_000;
/// Conditions on `details` at most.
const DETAILS_MAX: usize = 8;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageBody {
    events: Vec<StoredBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(crate) async fn get_events(
    State(state): State<AppState>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Read).await?;
    let query = query.unwrap_or_default();
    let search = Search::read(&query).map_err(|errors| {
        HttpProblem::bad_request(
            "bad_parameter",
            "the query has parameters that cannot be read",
        )
        .with_errors(errors)
    })?;
    let scope = scope(&principal, search.filter.organization_id.as_ref());
    let after = match &search.cursor {
        Some(text) => Some(cursor::open(
            &state.settings().cursor_key,
            &search.binding(&principal),
            text,
        )?),
        None => None,
    };
    let binding = search.binding(&principal);
    let request = PageRequest {
        filter: search.filter,
        scope,
        order: search.order,
        limit: search.limit,
        after,
    };
    let page = state.store.query.search(&request).await?;
    state.read_audit.read(&state, &principal, "GET /v1/events");
    let events = page
        .events
        .into_iter()
        .map(StoredBody::of)
        .collect::<Result<_, _>>()?;
    let next_cursor = page
        .next
        .map(|position| cursor::seal(&state.settings().cursor_key, &binding, &position));
    Ok(Json(PageBody {
        events,
        next_cursor,
    })
    .into_response())
}

/// What the caller may see of what it asks for; nothing when it asks for another's.
fn scope(principal: &Principal, asked: Option<&OrganizationId>) -> OrganizationScope {
    match asked {
        Some(organization) if principal.sees(organization) => {
            OrganizationScope::Only(vec![organization.clone()])
        }
        Some(_) => OrganizationScope::Only(Vec::new()),
        None => principal.scope.clone(),
    }
}

/// A search as asked.
#[derive(Debug, Default)]
struct Search {
    filter: Filter,
    order: Order,
    limit: u32,
    cursor: Option<String>,
    /// The query without cursor and limit; a cursor works only with the search it came from.
    text: String,
}

impl Search {
    fn read(query: &str) -> Result<Self, Vec<ItemProblem>> {
        let mut search = Self {
            limit: LIMIT_DEFAULT,
            ..Self::default()
        };
        let (mut errors, mut bound) = (Vec::new(), Vec::new());
        let pairs: Vec<(String, String)> = match serde_urlencoded_pairs(query) {
            Ok(pairs) => pairs,
            Err(problem) => return Err(vec![problem]),
        };
        let mut seen = HashSet::new();
        for (name, value) in pairs {
            let read = match seen.insert(name.clone()) {
                true => search.set(&name, &value),
                false => Err(("duplicate_key", "this parameter stands twice")),
            };
            if let Err((code, message)) = read {
                errors.push(ItemProblem {
                    path: format!("/{name}"),
                    code,
                    message: message.to_owned(),
                });
            }
            if name != "cursor" && name != "limit" {
                bound.push(format!("{name}={value}"));
            }
        }
        bound.sort();
        search.text = bound.join("&");
        if errors.is_empty() {
            Ok(search)
        } else {
            Err(errors)
        }
    }

    fn binding(&self, principal: &Principal) -> String {
        format!("{:?}|{}", principal.scope, self.text)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), (&'static str, &'static str)> {
        let unknown = |message| ("unknown_value", message);
        let filter = &mut self.filter;
        match name {
            "since" => filter.since = Some(time(value)?),
            "until" => filter.until = Some(time(value)?),
            "principalId" => filter.principal_id = Some(value.to_owned()),
            "organizationId" => filter.organization_id = Some(OrganizationId::new(value)),
            "action" => filter.action = Some(action(value)),
            "targetResourceType" => filter.target_resource_type = Some(value.to_owned()),
            "targetResourceId" => filter.target_resource_id = Some(value.to_owned()),
            "status" => {
                filter.status =
                    Some(Status::from_name(value).ok_or(unknown("attempt, success or failure"))?)
            }
            "severity" => {
                filter.severity =
                    Some(Severity::from_name(value).ok_or(unknown("info, warning or critical"))?)
            }
            "dataClassification" => {
                let known = Classification::from_name(value);
                filter.data_classification =
                    Some(known.ok_or(unknown("PUBLIC, INTERNAL, CONFIDENTIAL or PHI"))?);
            }
            "correlationId" => filter.correlation_id = Some(value.to_owned()),
            "text" => filter.text = Some(value.to_owned()).filter(|text| !text.trim().is_empty()),
            "order" => {
                self.order = match value {
                    "newest" => Order::Newest,
                    "oldest" => Order::Oldest,
                    _ => return Err(unknown("newest or oldest")),
                };
            }
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit));
                self.limit = limit.ok_or(("bad_format", "a number from 1 to 1000"))?;
            }
            "cursor" => self.cursor = Some(value.to_owned()),
            _ => match name.strip_prefix("details.") {
                Some(path) if !path.is_empty() && filter.details.len() < DETAILS_MAX => {
                    let path = path.split('.').map(str::to_owned).collect();
                    filter.details.push(DetailMatch {
                        path,
                        value: value.to_owned(),
                    });
                }
                Some(_) => {
                    return Err((
                        "too_large",
                        "at most 8 conditions on details, each with a path",
                    ));
                }
                None => return Err(("unknown_parameter", "there is no such parameter")),
            },
        }
        Ok(())
    }
}

fn serde_urlencoded_pairs(query: &str) -> Result<Vec<(String, String)>, ItemProblem> {
    let uri = format!("/?{query}").parse::<axum::http::Uri>();
    let pairs = uri
        .ok()
        .and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
    pairs
        .map(|axum::extract::Query(pairs)| pairs)
        .ok_or_else(|| ItemProblem {
            path: String::new(),
            code: "syntax",
            message: "the query string cannot be read".to_owned(),
        })
}

fn time(value: &str) -> Result<Timestamp, (&'static str, &'static str)> {
    let parsed = Timestamp::parse(value, MissingZone::Refuse);
    parsed
        .map(|(time, _)| time)
        .map_err(|_source| ("bad_format", "an RFC 3339 time with a zone"))
}

/// `prefix*`, or the whole action.
fn action(value: &str) -> ActionMatch {
    match value.strip_suffix('*') {
        Some(prefix) => ActionMatch::Prefix(prefix.to_owned()),
        None => ActionMatch::Exact(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_parameter_is_named() {
        let errors = Search::read("since=yesterday&status=maybe&limit=0&colour=red&details.=x")
            .expect_err("all bad");
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/since", "/status", "/limit", "/colour", "/details."]
        );
    }

    #[test]
    fn a_star_at_the_end_is_a_prefix() {
        let search = Search::read("action=patient.*&details.a.b=1&order=oldest").expect("good");
        assert_eq!(
            search.filter.action,
            Some(ActionMatch::Prefix("patient.".to_owned()))
        );
        assert_eq!(
            search.filter.details,
            [DetailMatch {
                path: vec!["a".into(), "b".into()],
                value: "1".into()
            }]
        );
    }
}
