//! smart-logs producers: flat events with a hash over eight members and perhaps a signature over the hash.

use crate::canonical::to_canonical;
use crate::event::{AuditEvent, Classification, ProducerProof, SessionContext, Statement, Status};
use crate::foreign::{self, Rest, Restored};
use crate::gather::Gathered;
use crate::id::OrganizationId;
use crate::js::Js;
use crate::problem::{Code, Problem};
use crate::timestamp::MissingZone;
use crate::value::{Object, Value};

/// Name of the scheme in `producerProof`.
pub const SCHEME: &str = "smart-logs";

/// Members that make an event a signed one.
pub(super) const PROOF_MEMBERS: [&str; 2] = ["hash", "signature"];

/// Members under the hash, in its order.
const HASHED: [&str; 8] = [
    "action",
    "organizationId",
    "outcomeDescription",
    "principalId",
    "status",
    "targetResourceId",
    "targetResourceType",
    "timestamp",
];

pub(super) fn read(object: Object, bytes: &[u8]) -> Result<Statement, Vec<Problem>> {
    let mut said = Gathered::default();
    let mut proof = ProducerProof::of_scheme(SCHEME);
    let signed = PROOF_MEMBERS.iter().any(|name| {
        object
            .get(name)
            .is_some_and(|value| value.as_str().is_some())
    });
    let mut rest = Rest::new();
    for (name, value) in object {
        take(
            &mut said,
            name,
            value,
            signed.then_some(&mut proof),
            &mut rest,
        );
    }
    said.keep_all(rest);
    if signed {
        proof.preimage = preimage(bytes);
        said.producer_proof = Some(proof);
    }
    said.finish()
}

fn take(
    said: &mut Gathered,
    name: String,
    value: Value,
    proof: Option<&mut ProducerProof>,
    rest: &mut Rest,
) {
    match name.as_str() {
        "timestamp" => said.timestamp = said.time("/timestamp", value, MissingZone::Utc),
        "action" => {
            said.action = said
                .text("/action", value)
                .map(|text| said.fit_text(foreign::ACTION, text))
        }
        "status" => said.status = said.choice("/status", value, Status::from_name),
        "principalId" => said.principal_id = said.fit(foreign::PRINCIPAL_ID, name, value, rest),
        "organizationId" => {
            let organization = said.fit(foreign::ORGANIZATION_ID, name, value, rest);
            said.organization_id = organization.map(|name| OrganizationId::new(&name));
        }
        "targetResourceType" => {
            said.target_resource_type = said.fit(foreign::RESOURCE_TYPE, name, value, rest)
        }
        "targetResourceId" => {
            said.target_resource_id = said.fit(foreign::RESOURCE_ID, name, value, rest)
        }
        "outcomeDescription" => {
            said.outcome_description = said.fit(foreign::OUTCOME_DESCRIPTION, name, value, rest);
        }
        "eventVersion" => said.event_version = said.fit(foreign::EVENT_VERSION, name, value, rest),
        "correlationId" => {
            said.correlation_id = said.fit(foreign::CORRELATION_ID, name, value, rest)
        }
        "dataClassification" => take_classification(said, name, value, rest),
        "retentionPolicy" => take_retention_policy(said, name, value, rest),
        "sessionContext" => take_session_context(said, name, value, rest),
        "hash" | "signature" | "algorithm" => take_proof(name, value, proof, rest),
        _ => rest.push((name, value)),
    }
}

/// The producer's sanitiser upper-cases it, and is skipped when its validation fails: any case is understood. A
/// level that we do not know is refused, because guessing one could expose the event.
fn take_classification(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    let Value::String(text) = &value else {
        if value != Value::Null {
            said.problem("/dataClassification", Code::WrongType, "must be a string");
        }
        return;
    };
    said.data_classification = Classification::from_name(&text.to_ascii_uppercase());
    match said.data_classification {
        Some(level) if level.as_str() == text => {}
        Some(_) => rest.push((name, value)),
        None => said.problem(
            "/dataClassification",
            Code::UnknownValue,
            "not one of this member's values",
        ),
    }
}

/// Producers with a configured default send a number of days.
fn take_retention_policy(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    match value {
        Value::Number(days) => {
            said.retention_policy =
                Some(said.fit_text(foreign::RETENTION_POLICY, days.to_string()));
            rest.push((name, Value::Number(days)));
        }
        Value::String(text) if text.is_empty() => rest.push((name, Value::String(text))),
        other => said.retention_policy = said.fit(foreign::RETENTION_POLICY, name, other, rest),
    }
}

fn take_session_context(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    let object = match value {
        Value::Object(object) => object,
        Value::Null => return,
        other => return rest.push((name, other)),
    };
    let (mut context, mut inner, was_empty) =
        (SessionContext::default(), Rest::new(), object.is_empty());
    for (name, value) in object {
        match name.as_str() {
            "sessionId" => {
                context.session_id = said.fit(foreign::SESSION_ID, name, value, &mut inner)
            }
            "ipAddress" => {
                context.ip_address = said.fit(foreign::IP_ADDRESS, name, value, &mut inner)
            }
            "userAgent" => {
                context.user_agent = said.fit(foreign::USER_AGENT, name, value, &mut inner)
            }
            "geolocation" => {
                context.geolocation = said.fit(foreign::GEOLOCATION, name, value, &mut inner)
            }
            _ => inner.push((name, value)),
        }
    }
    said.session_context = context;
    said.keep_nested(name, was_empty, inner);
}

fn take_proof(name: String, value: Value, proof: Option<&mut ProducerProof>, rest: &mut Rest) {
    let (Some(proof), Value::String(text)) = (proof, &value) else {
        if value != Value::Null {
            rest.push((name, value));
        }
        return;
    };
    let slot = match name.as_str() {
        "hash" => &mut proof.hash,
        "signature" => &mut proof.signature,
        _ => &mut proof.algorithm,
    };
    *slot = Some(text.clone());
}

/// The text whose SHA-256 is the event's `hash`, from the producer's own bytes.
///
/// `None` when the bytes are no JSON object.
#[must_use]
pub fn preimage(bytes: &[u8]) -> Option<String> {
    let event = Js::parse(bytes).filter(|event| matches!(event, Js::Object(_)))?;
    let parts = HASHED.map(|name| {
        let mut part = format!("{name}:");
        match event.get(name) {
            Some(value) if keeps_falsy(name) || !value.is_falsy() => value.print(None, &mut part),
            None if keeps_falsy(name) => part.push_str("undefined"),
            _ => part.push_str("null"),
        }
        part
    });
    Some(parts.join("|"))
}

fn keeps_falsy(name: &str) -> bool {
    matches!(name, "action" | "status" | "timestamp")
}

/// The same text from what is stored. The producer's numbers and member order are not: the caller compares.
pub(super) fn rebuild(statement: &Statement) -> Option<String> {
    // An organisation that accept adds later would come to stand in the text.
    statement.organization_id.as_ref()?;
    preimage(&to_canonical(&restore(statement)))
}

/// The event in the form its producer wrote it in. Nulls of optional members, an empty `organizationId` and the order
/// of members are not kept.
#[must_use]
pub fn to_smart_logs(event: &AuditEvent) -> Value {
    restore(&event.statement)
}

fn restore(said: &Statement) -> Value {
    let mut restored = Restored::of(said);
    restored.timestamp(&["timestamp"], said);
    restored.text(&["action"], foreign::ACTION, Some(&said.action));
    restored.set(&["status"], Value::from(said.status.as_str()));
    restored.text(
        &["principalId"],
        foreign::PRINCIPAL_ID,
        said.principal_id.as_deref(),
    );
    let organization = said.organization_id.as_ref().map(OrganizationId::as_str);
    restored.text(&["organizationId"], foreign::ORGANIZATION_ID, organization);
    restored.text(
        &["targetResourceType"],
        foreign::RESOURCE_TYPE,
        said.target_resource_type.as_deref(),
    );
    restored.text(
        &["targetResourceId"],
        foreign::RESOURCE_ID,
        said.target_resource_id.as_deref(),
    );
    restored.text(
        &["outcomeDescription"],
        foreign::OUTCOME_DESCRIPTION,
        said.outcome_description.as_deref(),
    );
    restored.text(
        &["eventVersion"],
        foreign::EVENT_VERSION,
        said.event_version.as_deref(),
    );
    restored.text(
        &["correlationId"],
        foreign::CORRELATION_ID,
        said.correlation_id.as_deref(),
    );
    if let Some(level) = said.data_classification {
        restored.derived(&["dataClassification"], Value::from(level.as_str()));
    }
    if let Some(policy) = said
        .retention_policy
        .as_deref()
        .filter(|_| !said.details.contains("retentionPolicy"))
    {
        restored.text(
            &["retentionPolicy"],
            foreign::RETENTION_POLICY,
            Some(policy),
        );
    }
    if let Some(context) = &said.session_context {
        restored.text(
            &["sessionContext", "sessionId"],
            foreign::SESSION_ID,
            context.session_id.as_deref(),
        );
        restored.text(
            &["sessionContext", "ipAddress"],
            foreign::IP_ADDRESS,
            context.ip_address.as_deref(),
        );
        restored.text(
            &["sessionContext", "userAgent"],
            foreign::USER_AGENT,
            context.user_agent.as_deref(),
        );
        restored.text(
            &["sessionContext", "geolocation"],
            foreign::GEOLOCATION,
            context.geolocation.as_deref(),
        );
    }
    if let Some(proof) = said
        .producer_proof
        .as_ref()
        .filter(|proof| proof.scheme == SCHEME)
    {
        let members = [
            ("hash", &proof.hash),
            ("signature", &proof.signature),
            ("algorithm", &proof.algorithm),
        ];
        for (name, text) in members {
            if let Some(text) = text {
                restored.set(&[name], Value::from(text.as_str()));
            }
        }
    }
    restored.into_value()
}
