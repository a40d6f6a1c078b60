//! Items of the Redis list worker: flat, snake case, without id or proof.

use crate::event::{AuditEvent, Severity, Statement, Status};
use crate::foreign::{self, Rest, Restored};
use crate::gather::{Gathered, Required};
use crate::problem::Problem;
use crate::timestamp::MissingZone;
use crate::value::{Object, Value};

pub(super) fn read(object: Object) -> Result<Statement, Vec<Problem>> {
    let mut said = Gathered::default();
    let mut rest = Rest::new();
    for (name, value) in object {
        match name.as_str() {
            "created_at" => said.timestamp = said.time("/created_at", value, MissingZone::Utc),
            "event_type" => {
                said.action = said
                    .text("/event_type", value)
                    .map(|text| said.fit_text(foreign::ACTION, text));
            }
            "user_id" => {
                said.principal_id = said.fit(foreign::PRINCIPAL_ID, name, value, &mut rest)
            }
            "resource_type" => {
                said.target_resource_type = said.fit(foreign::RESOURCE_TYPE, name, value, &mut rest)
            }
            "resource_id" => {
                said.target_resource_id = said.fit(foreign::RESOURCE_ID, name, value, &mut rest)
            }
            "event_category" => take_category(&mut said, name, value, &mut rest),
            "description" => {
                said.outcome_description =
                    said.fit(foreign::OUTCOME_DESCRIPTION, name, value, &mut rest)
            }
            "ip_address" => {
                said.session_context.ip_address =
                    said.fit(foreign::IP_ADDRESS, name, value, &mut rest)
            }
            "user_agent" => {
                said.session_context.user_agent =
                    said.fit(foreign::USER_AGENT, name, value, &mut rest)
            }
            _ => rest.push((name, value)),
        }
    }
    said.keep_all(rest);
    said.principal_type = Some(
        if said.principal_id.is_some() {
            "user"
        } else {
            "system"
        }
        .to_owned(),
    );
    said.status = said.action.as_deref().map(status_of);
    // The status is derived: it is missing only with the event type.
    said.finish_as(&Required {
        timestamp: "/created_at",
        action: "/event_type",
        status: "/event_type",
    })
}

fn take_category(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    said.severity = value.as_str().and_then(Severity::from_name);
    if said.severity.is_none() && value != Value::Null {
        rest.push((name, value));
    }
}

/// Limits that were hit and bans are refused access; that one of them ended is not.
fn status_of(event_type: &str) -> Status {
    let refused = ["ban_", "rate_limit_", "permanent_ban_", "temporary_ban_"];
    let denies = refused.iter().any(|prefix| event_type.starts_with(prefix));
    if denies && !event_type.ends_with("_expired") {
        Status::Failure
    } else {
        Status::Success
    }
}

/// The event as an item of the list. Nulls and the order of members are not kept.
#[must_use]
pub fn to_list_worker(event: &AuditEvent) -> Value {
    let said = &event.statement;
    let mut restored = Restored::of(said);
    restored.timestamp(&["created_at"], said);
    restored.text(&["event_type"], foreign::ACTION, Some(&said.action));
    restored.text(
        &["user_id"],
        foreign::PRINCIPAL_ID,
        said.principal_id.as_deref(),
    );
    restored.text(
        &["resource_type"],
        foreign::RESOURCE_TYPE,
        said.target_resource_type.as_deref(),
    );
    restored.text(
        &["resource_id"],
        foreign::RESOURCE_ID,
        said.target_resource_id.as_deref(),
    );
    if let Some(severity) = said.severity {
        restored.set(&["event_category"], Value::from(severity.as_str()));
    }
    restored.text(
        &["description"],
        foreign::OUTCOME_DESCRIPTION,
        said.outcome_description.as_deref(),
    );
    if let Some(context) = &said.session_context {
        restored.text(
            &["ip_address"],
            foreign::IP_ADDRESS,
            context.ip_address.as_deref(),
        );
        restored.text(
            &["user_agent"],
            foreign::USER_AGENT,
            context.user_agent.as_deref(),
        );
    }
    restored.into_value()
}
