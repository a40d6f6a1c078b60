//! PAKE producers: nested events (`actor`, `action`, `context`), and the flat items of `POST /api/audit/log`.

use crate::canonical::to_canonical;
use crate::event::{AuditEvent, ProducerProof, Statement, Status};
use crate::foreign::{self, Rest, Restored};
use crate::gather::{Gathered, Required};
use crate::js::Js;
use crate::problem::{Code, Problem};
use crate::timestamp::MissingZone;
use crate::value::{Object, Value};

/// Name of the scheme in `producerProof`. It covers id, timestamp, actor id and versions only.
pub const SCHEME: &str = "pake-v1";

/// Members that make an event a signed one.
pub(super) const PROOF_MEMBERS: [&str; 1] = ["signature"];

/// The only members that are signed, at every depth, in their order.
const SIGNED: [&str; 7] = [
    "action",
    "actor",
    "context",
    "id",
    "previousHash",
    "timestamp",
    "version",
];

/// Nested, or flat when `action` is a text.
pub(super) fn read(object: Object, bytes: &[u8]) -> Result<Statement, Vec<Problem>> {
    if object
        .get("action")
        .is_some_and(|action| action.as_str().is_some())
    {
        return read_flat(object);
    }
    let mut said = Gathered::default();
    let mut rest = Rest::new();
    for (name, value) in object {
        match name.as_str() {
            "id" => said.id = said.fit_id(name, value, &mut rest),
            "timestamp" => said.timestamp = said.time("/timestamp", value, MissingZone::Utc),
            "version" => {
                said.event_version = said.fit(foreign::EVENT_VERSION, name, value, &mut rest)
            }
            "actor" => take_nested(&mut said, name, value, take_actor),
            "action" => take_nested(&mut said, name, value, take_action),
            "context" => take_nested(&mut said, name, value, take_context),
            "signature" => take_signature(&mut said, name, value, bytes, &mut rest),
            _ => rest.push((name, value)),
        }
    }
    said.keep_all(rest);
    said.finish_as(&Required {
        timestamp: "/timestamp",
        action: "/action/type",
        status: "/action/result",
    })
}

type TakeMember = fn(&mut Gathered, String, Value, &mut Rest);

fn take_nested(said: &mut Gathered, name: String, value: Value, take: TakeMember) {
    let path = format!("/{name}");
    let Some(object) = said.object(&path, value) else {
        return;
    };
    let (mut rest, was_empty) = (Rest::new(), object.is_empty());
    for (name, value) in object {
        take(said, name, value, &mut rest);
    }
    said.keep_nested(name, was_empty, rest);
}

fn take_actor(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    match name.as_str() {
        "id" => said.principal_id = said.fit(foreign::PRINCIPAL_ID, name, value, rest),
        "type" => said.principal_type = said.fit(foreign::PRINCIPAL_TYPE, name, value, rest),
        "ip" => said.session_context.ip_address = said.fit(foreign::IP_ADDRESS, name, value, rest),
        "session" => {
            said.session_context.session_id = said.fit(foreign::SESSION_ID, name, value, rest)
        }
        "userAgent" => {
            said.session_context.user_agent = said.fit(foreign::USER_AGENT, name, value, rest)
        }
        _ => rest.push((name, value)),
    }
}

fn take_action(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    match name.as_str() {
        "type" => {
            said.action = said
                .text("/action/type", value)
                .map(|text| said.fit_text(foreign::ACTION, text))
        }
        "resource" => {
            said.target_resource_type = said.fit(foreign::RESOURCE_TYPE, name, value, rest)
        }
        "resourceId" => said.target_resource_id = said.fit(foreign::RESOURCE_ID, name, value, rest),
        "result" => take_result(said, name, value, rest),
        "details" => {
            said.outcome_description = said.fit(foreign::OUTCOME_DESCRIPTION, name, value, rest)
        }
        "duration" => said.duration_ms = said.fit_duration(name, value, rest),
        _ => rest.push((name, value)),
    }
}

/// PAKE's own reports count `failure`, `error` and `denied` as failed and `partial` as neither.
fn take_result(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    let Some(text) = said.text("/action/result", value) else {
        return;
    };
    said.status = match text.as_str() {
        "success" => Some(Status::Success),
        "failure" | "error" | "denied" => Some(Status::Failure),
        "partial" => Some(Status::Attempt),
        _ => {
            return said.problem(
                "/action/result",
                Code::UnknownValue,
                "not one of this member's values",
            );
        }
    };
    if said.status.is_some_and(|status| status.as_str() != text) {
        rest.push((name, Value::String(text)));
    }
}

fn take_context(said: &mut Gathered, name: String, value: Value, rest: &mut Rest) {
    match name.as_str() {
        "requestId" => said.correlation_id = said.fit(foreign::CORRELATION_ID, name, value, rest),
        "application" => {
            said.source.application = said.fit(foreign::APPLICATION, name, value, rest)
        }
        "environment" => {
            said.source.environment = said.fit(foreign::ENVIRONMENT, name, value, rest)
        }
        "version" => said.source.version = said.fit(foreign::SOURCE_VERSION, name, value, rest),
        _ => rest.push((name, value)),
    }
}

fn take_signature(said: &mut Gathered, name: String, value: Value, bytes: &[u8], rest: &mut Rest) {
    match value {
        Value::String(signature) => {
            said.producer_proof = Some(ProducerProof {
                signature: Some(signature),
                preimage: preimage(bytes),
                ..ProducerProof::of_scheme(SCHEME)
            });
        }
        Value::Null => {}
        other => rest.push((name, other)),
    }
}

/// Items of `POST /api/audit/log`; they carry no id and no proof, and their timestamp no zone.
fn read_flat(object: Object) -> Result<Statement, Vec<Problem>> {
    let mut said = Gathered::default();
    let mut rest = Rest::new();
    for (name, value) in object {
        match name.as_str() {
            "timestamp" => said.timestamp = said.time("/timestamp", value, MissingZone::Utc),
            "userId" => said.principal_id = said.fit(foreign::PRINCIPAL_ID, name, value, &mut rest),
            "action" => {
                said.action = said
                    .text("/action", value)
                    .map(|text| said.fit_text(foreign::ACTION, text))
            }
            "resource" => {
                said.target_resource_type = said.fit(foreign::RESOURCE_TYPE, name, value, &mut rest)
            }
            "resourceId" => {
                said.target_resource_id = said.fit(foreign::RESOURCE_ID, name, value, &mut rest)
            }
            "success" => take_success(&mut said, &value),
            "ipAddress" => {
                said.session_context.ip_address =
                    said.fit(foreign::IP_ADDRESS, name, value, &mut rest)
            }
            "userAgent" => {
                said.session_context.user_agent =
                    said.fit(foreign::USER_AGENT, name, value, &mut rest)
            }
            "error" => {
                said.outcome_description =
                    said.fit(foreign::OUTCOME_DESCRIPTION, name, value, &mut rest)
            }
            _ => rest.push((name, value)),
        }
    }
    said.keep_all(rest);
    said.finish_as(&Required {
        timestamp: "/timestamp",
        action: "/action",
        status: "/success",
    })
}

fn take_success(said: &mut Gathered, value: &Value) {
    match value {
        Value::Bool(success) => {
            said.status = Some(if *success {
                Status::Success
            } else {
                Status::Failure
            })
        }
        Value::Null => {}
        other => said.problem(
            "/success",
            Code::WrongType,
            format!("must be a boolean, not {}", other.type_name()),
        ),
    }
}

/// The text whose HMAC-SHA256 is the event's `signature`, from the producer's own bytes.
///
/// `previousHash` is what the event carries under that name, else null: producers drop it, so a genuine signature
/// can be checked only with a previous hash that is known from elsewhere. `None` when the bytes are no JSON object.
#[must_use]
pub fn preimage(bytes: &[u8]) -> Option<String> {
    let event = Js::parse(bytes).filter(|event| matches!(event, Js::Object(_)))?;
    let null = Js::Scalar("null".to_owned());
    let previous = event
        .get("previousHash")
        .filter(|hash| !hash.is_falsy())
        .unwrap_or(&null);
    let actor = event
        .get("actor")
        .and_then(|actor| actor.get("id"))
        .map(|id| ("\"id\"".to_owned(), id.clone()));
    let mut members = vec![
        ("\"action\"".to_owned(), Js::Object(Vec::new())),
        (
            "\"actor\"".to_owned(),
            Js::Object(actor.into_iter().collect()),
        ),
        ("\"previousHash\"".to_owned(), previous.clone()),
    ];
    for name in ["context", "id", "timestamp", "version"] {
        members.extend(
            event
                .get(name)
                .map(|value| (format!("\"{name}\""), value.clone())),
        );
    }
    let mut printed = String::new();
    Js::Object(members).print(Some(&SIGNED), &mut printed);
    Some(printed)
}

/// The same text from what is stored; the caller compares.
pub(super) fn rebuild(statement: &Statement) -> Option<String> {
    // An id that accept adds later would come to stand in the text.
    statement.id.as_ref()?;
    preimage(&to_canonical(&restore(statement)))
}

/// The event in PAKE's nested form, whichever form it came in. Nulls of optional members and the order of members
/// are not kept.
#[must_use]
pub fn to_pake(event: &AuditEvent) -> Value {
    restore(&event.statement)
}

fn restore(said: &Statement) -> Value {
    let mut restored = Restored::of(said);
    restored.id(&["id"], said.id.as_ref());
    restored.timestamp(&["timestamp"], said);
    restored.text(
        &["version"],
        foreign::EVENT_VERSION,
        said.event_version.as_deref(),
    );
    restored.text(
        &["actor", "id"],
        foreign::PRINCIPAL_ID,
        said.principal_id.as_deref(),
    );
    restored.text(
        &["actor", "type"],
        foreign::PRINCIPAL_TYPE,
        said.principal_type.as_deref(),
    );
    if let Some(context) = &said.session_context {
        restored.text(
            &["actor", "ip"],
            foreign::IP_ADDRESS,
            context.ip_address.as_deref(),
        );
        restored.text(
            &["actor", "session"],
            foreign::SESSION_ID,
            context.session_id.as_deref(),
        );
        restored.text(
            &["actor", "userAgent"],
            foreign::USER_AGENT,
            context.user_agent.as_deref(),
        );
    }
    restored.text(&["action", "type"], foreign::ACTION, Some(&said.action));
    restored.text(
        &["action", "resource"],
        foreign::RESOURCE_TYPE,
        said.target_resource_type.as_deref(),
    );
    restored.text(
        &["action", "resourceId"],
        foreign::RESOURCE_ID,
        said.target_resource_id.as_deref(),
    );
    restored.derived(&["action", "result"], Value::from(said.status.as_str()));
    restored.text(
        &["action", "details"],
        foreign::OUTCOME_DESCRIPTION,
        said.outcome_description.as_deref(),
    );
    if let Some(duration) = &said.duration_ms {
        restored.set(&["action", "duration"], Value::Number(duration.clone()));
    }
    restored.text(
        &["context", "requestId"],
        foreign::CORRELATION_ID,
        said.correlation_id.as_deref(),
    );
    if let Some(source) = &said.source {
        restored.text(
            &["context", "application"],
            foreign::APPLICATION,
            source.application.as_deref(),
        );
        restored.text(
            &["context", "environment"],
            foreign::ENVIRONMENT,
            source.environment.as_deref(),
        );
        restored.text(
            &["context", "version"],
            foreign::SOURCE_VERSION,
            source.version.as_deref(),
        );
    }
    let proof = said
        .producer_proof
        .as_ref()
        .filter(|proof| proof.scheme == SCHEME);
    if let Some(signature) = proof.and_then(|proof| proof.signature.as_deref()) {
        restored.set(&["signature"], Value::from(signature));
    }
    restored.into_value()
}
