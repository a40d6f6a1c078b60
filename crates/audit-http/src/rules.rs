//! `/v1/rules`: the rules in use, and what a rule makes of an event. Nothing that is tried is stored, raised or told.

use std::sync::Arc;

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, Stamps};
use audit_monitor::{Because, Explanation, Group, Matcher, Rule, RuleProblem, RuleSet, Settings};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::auth::{Access, Principal, authenticate};
use crate::body::read_json;
use crate::budget::Budget;
use crate::detection::surface;
use crate::problem::{HttpProblem, HttpResult, ItemProblem};
use crate::state::AppState;

/// Bytes of rules to try at most: more than all the rules that ship, and little enough to compile while somebody waits.
const RULES_BYTES_MAX: usize = 256 << 10;
/// The name under which problems of rules that came with the request are told.
const TRIED: &str = "rules";

pub(crate) async fn get_rules(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Operate).await?;
    let detector = surface(&state)?.detector();
    let rules = detector.matcher().rules();
    let shown: Vec<Value> = rules.rules().iter().map(rule_body).collect();
    let problems: Vec<Value> = rules.problems().iter().map(problem_body).collect();
    Ok(Json(json!({ "rules": shown, "problems": problems })).into_response())
}

/// Body of a trial.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// As a producer would send it.
    event: Box<RawValue>,
    /// The form it is written in; ours when absent.
    form: Option<String>,
    /// Sigma YAML to try instead of the rules in use.
    rules: Option<String>,
}

pub(crate) async fn post_test(
    State(state): State<AppState>,
    Extension(budget): Extension<Budget>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult {
    let principal = authenticate(&state, &headers, Access::Operate).await?;
    let surface = surface(&state)?;
    let trial: Trial = read_json(&headers, body, &mut budget.holder()).await?;
    let event = event_of(&state, &principal, &trial)?;
    if !principal.sees(&event.organization_id) {
        let detail = "the event names an organisation that this key is not for";
        return Err(HttpProblem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let detector = surface.detector();
    let text = trial.rules;
    if text
        .as_ref()
        .is_some_and(|text| text.len() > RULES_BYTES_MAX)
    {
        let detail = format!("rules: at most {RULES_BYTES_MAX} bytes");
        return Err(HttpProblem::bad_request("bad_body", detail));
    }
    // Compiling and trying rules takes as long as they are many; nobody else waits for it.
    let tried = tokio::task::spawn_blocking(move || match text {
        None => found(detector.matcher(), &event, None),
        Some(text) => {
            let (matcher, rules) = matcher_of(&text, detector.matcher().settings());
            found(&matcher, &event, Some(rules.problems()))
        }
    });
    let answer = tried.await.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "rules could not be tried"
        );
        HttpProblem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the rules could not be tried; the log says more",
        )
    })?;
    Ok(Json(answer).into_response())
}

fn matcher_of(text: &str, settings: &Settings) -> (Matcher, Arc<RuleSet>) {
    let rules = Arc::new(RuleSet::load([(TRIED, text)].into_iter()));
    (Matcher::new(Arc::clone(&rules), settings.clone()), rules)
}

/// The event as accept would stamp it, but for its id when it has none.
fn event_of(state: &AppState, principal: &Principal, trial: &Trial) -> HttpResult<AuditEvent> {
    let form = match trial.form.as_deref() {
        None => Form::Native,
        Some(name) => Form::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Form::ALL.iter().map(|form| form.as_str()).collect();
            let detail = format!("form is one of {}", known.join(", "));
            HttpProblem::bad_request("unknown_form", detail)
        })?,
    };
    let read = read_statement(form, trial.event.get().as_bytes());
    let statement = read.map_err(|problems| {
        let errors = problems.iter().map(ItemProblem::from).collect();
        HttpProblem::bad_request("bad_event", "the event would be rejected").with_errors(errors)
    })?;
    let stamps = Stamps {
        fallback_id: EventId::from_bytes([0; 16]),
        received_at: state.now(),
        default_organization: principal.default_organization.clone(),
    };
    Ok(AuditEvent::stamp(statement, &stamps))
}

fn found(matcher: &Matcher, event: &AuditEvent, problems: Option<&[RuleProblem]>) -> Value {
    let matches: Vec<Value> = matcher.explain(event).iter().map(match_body).collect();
    let mut body = json!({
        "organizationId": event.organization_id.as_str(),
        "matches": matches,
    });
    if let (Some(problems), Some(members)) = (problems, body.as_object_mut()) {
        let problems: Vec<Value> = problems.iter().map(problem_body).collect();
        members.insert("problems".to_owned(), problems.into());
    }
    body
}

fn rule_body(rule: &Rule) -> Value {
    json!({
        "key": rule.key(),
        "title": rule.title(),
        "level": rule.level().as_str(),
        "kind": if rule.is_correlation() { "correlation" } else { "detection" },
        "enabled": rule.is_enabled(),
        "file": rule.file(),
        "line": rule.line(),
        "hash": rule.hash().to_string(),
    })
}

fn problem_body(problem: &RuleProblem) -> Value {
    json!({ "file": problem.file, "line": problem.line, "reason": problem.reason })
}

fn match_body(explained: &Explanation<'_>) -> Value {
    let rule = explained.rule;
    let fields: Vec<Value> = explained.fields.iter().map(field_body).collect();
    let counts: Vec<Value> = explained
        .counts
        .iter()
        .map(|(rule, group)| count_body(rule, group))
        .collect();
    json!({
        "key": rule.key(),
        "title": rule.title(),
        "level": rule.level().as_str(),
        "file": rule.file(),
        "line": rule.line(),
        "raises": explained.raises,
        "selections": explained.selections,
        "fields": fields,
        "counts": counts,
    })
}

fn field_body(because: &Because) -> Value {
    json!({
        "field": because.field,
        "value": because.value,
        "selection": because.selection,
        "pattern": because.pattern,
        "negated": because.negated,
    })
}

fn count_body(rule: &Rule, group: &Group) -> Value {
    let values = group.values.iter();
    let values: Vec<Value> = values
        .map(|(field, value)| json!({ "field": field, "value": value }))
        .collect();
    json!({
        "key": rule.key(),
        "title": rule.title(),
        "level": rule.level().as_str(),
        "group": values,
    })
}
