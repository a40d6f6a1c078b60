//! Generators of events, biased to what breaks formats: numbers that no double holds, exponents, names that UTF-8 and
//! UTF-16 order differently, controls and escapes, empty containers, deep nesting.
//!
//! For property tests only; feature `arbitrary`. Every event generated is valid and in normal form.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::event::{
    AuditEvent, Classification, EventDraft, ProducerProof, ProducerRef, SessionContext, Severity,
    Source, Stamps, StatedId, Statement, Status, Verdict,
};
use crate::id::{EventId, OrganizationId};
use crate::limits;
use crate::number::Number;
use crate::timestamp::{Timestamp, TimestampForm};
use crate::value::{Object, Value};

/// Number tokens at the edges of doubles, of integers, and of the layout rules.
const NASTY_NUMBERS: [&str; 24] = [
    "0",
    "-0",
    "1.0",
    "1.10",
    "-1",
    "1e2",
    "0.1",
    "0.000001",
    "0.0000001",
    "1e20",
    "1e21",
    "1e22",
    "5e-324",
    "1e308",
    "1.7976931348623157e308",
    "9007199254740991",
    "9007199254740993",
    "18446744073709551616",
    "999999999999999999999",
    "1000000000000000000001",
    "12345678901234567.89",
    "1e40",
    "1e41",
    "1e-41",
];

/// Pieces of text at the edges of escaping, of encodings, and of member order.
const NASTY_PIECES: [&str; 24] = [
    "a",
    "Z",
    "0",
    " ",
    "/",
    "\"",
    "\\",
    "\u{1}",
    "\u{8}",
    "\t",
    "\n",
    "\u{1f}",
    "\u{7f}",
    "\u{80}",
    "é",
    "\u{2028}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fb33}",
    "\u{fffd}",
    "\u{ffff}",
    "😀",
    "\u{10ffff}",
    "e\u{301}",
];

/// Any number that an event may hold.
pub fn number() -> impl Strategy<Value = Number> {
    let token = prop_oneof![
        3 => select(NASTY_NUMBERS.as_slice()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|value| value.to_string()),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| format!("{value:e}")),
        1 => (any::<bool>(), vec(0..10_u8, 1..100), -200..200_i32).prop_map(decimal_token),
    ];
    token.prop_filter_map("in the range of a double", |token| {
        Number::parse(&token).ok()
    })
}

fn decimal_token((negative, digits, exponent): (bool, Vec<u8>, i32)) -> String {
    let digits: String = digits
        .into_iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    format!("{}1.{digits}e{exponent}", if negative { "-" } else { "" })
}

/// Text of at most `pieces_max` pieces of up to four bytes, without U+0000.
pub fn text(pieces_max: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => select(NASTY_PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|character| if character == '\0' { String::new() } else { character.to_string() }),
    ];
    vec(piece, 0..=pieces_max).prop_map(|pieces| pieces.concat())
}

/// Any value that `details` may hold.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text(12).prop_map(Value::String),
        Just(Value::Array(Vec::new())),
        Just(Value::Object(Object::new())),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            object_of(inner).prop_map(Value::Object)
        ]
    });
    // `details` is depth 2, its members 3, and a tree is five levels.
    let room = limits::DEPTH_MAX - 2 - 5;
    prop_oneof![9 => tree.clone(), 1 => (tree, 0..=room, any::<bool>()).prop_map(nest)]
}

fn nest((value, levels, in_arrays): (Value, usize, bool)) -> Value {
    (0..levels).fold(value, |value, _| {
        if in_arrays {
            Value::Array(vec![value])
        } else {
            Value::Object([("\u{fb33}", value)].into_iter().collect())
        }
    })
}

/// An object of such values.
pub fn object() -> impl Strategy<Value = Object> {
    object_of(value())
}

fn object_of(member: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    vec((text(4), member), 0..5).prop_map(|members| members.into_iter().collect())
}

/// Any time, with a way that a producer may have written it.
pub fn timestamp() -> impl Strategy<Value = (Timestamp, TimestampForm)> {
    let any_time = -62_135_596_800_000_000..253_402_300_800_000_000_i64;
    let recent = 1_600_000_000_000_000..1_900_000_000_000_000_i64;
    (prop_oneof![any_time, recent], 0..4_u8).prop_map(|(micros, form)| {
        let unit = match form {
            0 => 1_000_000,
            1 => 1_000,
            _ => 1,
        };
        let time =
            Timestamp::from_micros(micros - micros.rem_euclid(unit)).unwrap_or(Timestamp::EPOCH);
        let form = match form {
            0 => TimestampForm::Seconds,
            1 => TimestampForm::Millis,
            2 => TimestampForm::Text(time.to_string().replace('Z', "+00:00")),
            _ => TimestampForm::Canonical,
        };
        (time, form)
    })
}

/// A name of an organisation, or none.
pub fn organization() -> impl Strategy<Value = OrganizationId> {
    let name = text(8).prop_map(|name| {
        name.chars()
            .filter(|character| !character.is_control())
            .collect::<String>()
    });
    name.prop_map(|name| OrganizationId::new(&name))
}

/// Any event id.
pub fn event_id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId::from_bytes)
}

prop_compose! {
    fn session_context()(
        session_id in option::of(text(8)),
        ip_address in option::of(text(8)),
        user_agent in option::of(text(20)),
        geolocation in option::of(text(8)),
    ) -> SessionContext {
        SessionContext { session_id, ip_address, user_agent, geolocation }
    }
}

prop_compose! {
    fn source()(
        application in option::of(text(8)),
        environment in option::of(text(8)),
        version in option::of(text(8)),
    ) -> Source {
        Source { application, environment, version }
    }
}

prop_compose! {
    fn producer()(
        name in text(8),
        epoch in 0..=limits::PRODUCER_NUMBER_MAX,
        seq in 0..=limits::PRODUCER_NUMBER_MAX,
    ) -> ProducerRef {
        ProducerRef { id: format!("p{name}"), epoch, seq }
    }
}

prop_compose! {
    fn proof()(
        scheme in select(["smart-logs", "pake-v1", "other"].as_slice()),
        preimage in option::of(text(20)),
        hash in option::of(text(20)),
        signature in option::of(text(20)),
        verdict in option::of(select([Verdict::Verified, Verdict::Mismatch, Verdict::Unverifiable].as_slice())),
        reason in option::of(text(8)),
    ) -> ProducerProof {
        ProducerProof {
            preimage_rebuildable: preimage.is_none(),
            preimage,
            hash,
            signature,
            verdict,
            reason,
            ..ProducerProof::of_scheme(scheme)
        }
    }
}

prop_compose! {
    /// The typed texts, in the order of [`Texts`].
    fn texts()(
        action in text(12),
        rest in vec(option::of(text(12)), 6),
        event_version in option::of(text(6)),
        retention_policy in option::of(select(["standard", "permanent", "hipaa-6-years"].as_slice())),
        duration_ms in option::of(number().prop_filter("not negative", |number| !number.is_negative())),
    ) -> Texts {
        let mut rest = rest.into_iter().map(Option::unwrap_or_default);
        let mut next = || rest.next().filter(|text| !text.is_empty());
        Texts {
            action: format!("a{action}"),
            principal_id: next(),
            principal_type: next(),
            target_resource_type: next(),
            target_resource_id: next(),
            outcome_description: next(),
            correlation_id: next(),
            event_version,
            retention_policy: retention_policy.map(str::to_owned),
            duration_ms,
        }
    }
}

#[derive(Debug, Clone)]
struct Texts {
    action: String,
    principal_id: Option<String>,
    principal_type: Option<String>,
    target_resource_type: Option<String>,
    target_resource_id: Option<String>,
    outcome_description: Option<String>,
    correlation_id: Option<String>,
    event_version: Option<String>,
    retention_policy: Option<String>,
    duration_ms: Option<Number>,
}

fn stated_id() -> impl Strategy<Value = StatedId> {
    prop_oneof![
        event_id().prop_map(StatedId::Uuid),
        text(12).prop_map(|text| StatedId::External(format!("x{text}")))
    ]
}

/// Any valid statement.
pub fn statement() -> impl Strategy<Value = Statement> {
    let levels = [
        Classification::Public,
        Classification::Internal,
        Classification::Confidential,
        Classification::Phi,
    ];
    let handling = (
        select([Status::Attempt, Status::Success, Status::Failure].as_slice()),
        option::of(select(
            [Severity::Info, Severity::Warning, Severity::Critical].as_slice(),
        )),
        option::of(select(levels.to_vec())),
        option::of(Just(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )),
    );
    let origin = (
        option::of(stated_id()),
        option::of(organization()),
        timestamp(),
        option::of(producer()),
    );
    let context = (
        option::of(session_context()),
        option::of(source()),
        option::of(proof()),
    );
    (texts(), handling, origin, context, object()).prop_map(
        |(texts, handling, origin, context, details)| {
            let (status, severity, data_classification, traceparent) = handling;
            let (id, organization_id, (timestamp, timestamp_form), producer) = origin;
            let (session_context, source, producer_proof) = context;
            Statement {
                id,
                producer,
                event_version: texts.event_version,
                timestamp,
                timestamp_form,
                principal_id: texts.principal_id,
                principal_type: texts.principal_type,
                organization_id,
                session_context,
                action: texts.action,
                target_resource_type: texts.target_resource_type,
                target_resource_id: texts.target_resource_id,
                status,
                outcome_description: texts.outcome_description,
                duration_ms: texts.duration_ms,
                severity,
                data_classification,
                retention_policy: texts.retention_policy,
                correlation_id: texts.correlation_id,
                traceparent: traceparent.map(str::to_owned),
                source,
                producer_proof,
                details,
            }
        },
    )
}

/// Any stamps.
pub fn stamps() -> impl Strategy<Value = Stamps> {
    (event_id(), timestamp(), organization()).prop_map(
        |(fallback_id, (received_at, _), default_organization)| Stamps {
            fallback_id,
            received_at,
            default_organization,
        },
    )
}

/// Any valid event, as accept stamps it and processors annotate it.
pub fn event() -> impl Strategy<Value = AuditEvent> {
    (statement(), stamps(), object()).prop_map(|(statement, stamps, annotations)| AuditEvent {
        annotations,
        ..AuditEvent::stamp(statement, &stamps)
    })
}

/// Any valid event in normal form.
pub fn draft() -> impl Strategy<Value = EventDraft> {
    event().prop_filter_map("within the size limit", |event| EventDraft::new(event).ok())
}
