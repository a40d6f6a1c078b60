//! AWS CloudTrail records. `details` is the whole record, so that detection rules and searches find every member
//! under AWS's own name; the typed members are copies for the indexes.

use crate::event::{AuditEvent, Statement, Status};
use crate::foreign::{self, TextMember};
use crate::gather::{Gathered, Required, stated_id};
use crate::id::OrganizationId;
use crate::problem::Problem;
use crate::timestamp::MissingZone;
use crate::value::{Object, Value};

/// What names the caller of a record, most exact first.
const PRINCIPAL: [&str; 5] = ["arn", "principalId", "invokedBy", "accountId", "type"];

pub(super) fn read(record: Object) -> Result<Statement, Vec<Problem>> {
    let mut said = Gathered::default();
    let stated = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    said.timestamp = said.time("/eventTime", stated("eventTime"), MissingZone::Refuse);
    said.action = said
        .text("/eventName", stated("eventName"))
        .map(|text| shortened(foreign::ACTION, &text));
    said.id = text_of(&record, "eventID").map(|id| stated_id(shortened(foreign::EXTERNAL_ID, id)));
    let failed = record
        .get("errorCode")
        .is_some_and(|code| *code != Value::Null);
    said.status = Some(if failed {
        Status::Failure
    } else {
        Status::Success
    });
    let copy =
        |member: TextMember, name: &str| text_of(&record, name).map(|text| shortened(member, text));
    said.outcome_description = copy(foreign::OUTCOME_DESCRIPTION, "errorMessage");
    said.organization_id =
        copy(foreign::ORGANIZATION_ID, "recipientAccountId").map(|name| OrganizationId::new(&name));
    said.event_version = text_of(&record, "eventVersion")
        .filter(|text| foreign::EVENT_VERSION.holds(text))
        .map(str::to_owned);
    said.correlation_id = copy(foreign::CORRELATION_ID, "requestID");
    said.source.application = copy(foreign::APPLICATION, "eventSource");
    said.session_context.ip_address = copy(foreign::IP_ADDRESS, "sourceIPAddress");
    said.session_context.user_agent = copy(foreign::USER_AGENT, "userAgent");
    if let Some(identity) = record.get("userIdentity").and_then(Value::as_object) {
        let principal = PRINCIPAL
            .into_iter()
            .find_map(|name| text_of(identity, name));
        said.principal_id = principal.map(|text| shortened(foreign::PRINCIPAL_ID, text));
        said.principal_type =
            text_of(identity, "type").map(|text| shortened(foreign::PRINCIPAL_TYPE, text));
    }
    if let Some(resource) = first_resource(&record) {
        said.target_resource_type =
            text_of(resource, "type").map(|text| shortened(foreign::RESOURCE_TYPE, text));
        said.target_resource_id =
            text_of(resource, "ARN").map(|text| shortened(foreign::RESOURCE_ID, text));
    }
    said.details = record.into_iter().collect();
    said.finish_as(&Required {
        timestamp: "/eventTime",
        action: "/eventName",
        status: "/errorCode",
    })
}

/// A text that is not empty.
fn text_of<'r>(object: &'r Object, name: &str) -> Option<&'r str> {
    object
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn first_resource(record: &Object) -> Option<&Object> {
    match record.get("resources") {
        Some(Value::Array(resources)) => resources.first().and_then(Value::as_object),
        _ => None,
    }
}

/// The whole value stays in the record, so a shortened copy needs no other place.
fn shortened(member: TextMember, text: &str) -> String {
    if member.holds(text) {
        text.to_owned()
    } else {
        member.shorten(text)
    }
}

/// The record as AWS wrote it, but for the order of its members.
#[must_use]
pub fn to_cloudtrail(event: &AuditEvent) -> Value {
    Value::Object(event.statement.details.clone())
}
