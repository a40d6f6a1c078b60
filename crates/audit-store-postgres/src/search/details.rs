//! Members of `details`: what an index can say about them, and the last word.

use audit_event::canonical::to_canonical;
use audit_event::number::Number;
use audit_event::{AuditEvent, Object, Value};
use audit_store::StoredEvent;
use audit_store::query::DetailMatch;

/// Documents that the index is asked for, for one match; a path with more digits than that is left to the last word.
const DOCUMENTS_MAX: usize = 16;

/// Documents of which every matching event contains at least one; `None` when they would be too many.
pub(super) fn documents(wanted: &DetailMatch) -> Option<Vec<String>> {
    let mut found = scalars(&wanted.value);
    for name in wanted.path.iter().rev() {
        found = found
            .into_iter()
            .flat_map(|inner| around(name, inner))
            .collect();
        if found.len() > DOCUMENTS_MAX {
            return None;
        }
    }
    let texts = found.iter().map(|document| {
        // PostgreSQL's documents have no NUL, and neither has an event.
        String::from_utf8(to_canonical(document)).ok()
    });
    texts.collect()
}

/// The values that have this text.
fn scalars(text: &str) -> Vec<Value> {
    let mut found = vec![Value::String(text.to_owned())];
    match text {
        "true" => found.push(Value::Bool(true)),
        "false" => found.push(Value::Bool(false)),
        "null" => found.push(Value::Null),
        _ => found.extend(Number::parse(text).ok().map(Value::Number)),
    }
    found
}

/// The member of that name, and the element of an array when the name is an index.
fn around(name: &str, inner: Value) -> Vec<Value> {
    let mut member = Object::new();
    member.insert(name, inner.clone());
    let mut found = vec![Value::Object(member)];
    if index(name).is_some() {
        found.push(Value::Array(vec![inner]));
    }
    found
}

/// Whether every member that is wanted is there, looked up in the event as it is parsed everywhere else.
pub(super) fn hold(wanted: &[DetailMatch], event: &StoredEvent) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Some(canonical) = &event.canonical else {
        return false;
    };
    // Altered bytes match nothing; finding them is verification's work.
    let Ok(parsed) = AuditEvent::from_canonical(canonical) else {
        return false;
    };
    let details = Value::Object(parsed.statement.details);
    wanted
        .iter()
        .all(|wanted| holds(&details, &wanted.path, &wanted.value))
}

/// Whether the scalar at `path` has this text.
fn holds(value: &Value, path: &[String], wanted: &str) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return is_scalar(value, wanted);
    };
    let inner = match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => index(name).and_then(|index| items.get(index)),
        _ => None,
    };
    inner.is_some_and(|inner| holds(inner, rest, wanted))
}

/// A name of digits, as an index.
fn index(name: &str) -> Option<usize> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        name.parse().ok()
    } else {
        None
    }
}

fn is_scalar(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.as_str() == wanted,
        Value::Bool(true) => wanted == "true",
        Value::Bool(false) => wanted == "false",
        Value::Null => wanted == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}
