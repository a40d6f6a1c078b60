//! The whole filter, checked on one candidate.

use audit_event::{AuditEvent, Value as Json};
use audit_store::StoredEvent;
use audit_store::query::{ActionMatch, DetailMatch, Filter};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::code::{classification_code, severity_code, status_code};
use crate::error::Failure;
use crate::row::{STORED, read_stored};
use crate::search::path::{Path, Words, prefix_end};

/// The filter as a statement over one row, and what is left to be looked at in the event itself.
#[derive(Debug)]
pub(super) struct Check {
    sql: String,
    /// Its first parameter is the position.
    values: Vec<Value>,
    details: Vec<DetailMatch>,
}

impl Check {
    pub(super) fn new(filter: &Filter, paths: &[Path], words: Option<Words>) -> Self {
        let sql = format!("SELECT {STORED} FROM audit_event WHERE position = ?1");
        let mut check = Self {
            sql,
            values: vec![Value::Null],
            details: filter.details.clone(),
        };
        check.time(filter);
        check.texts(filter);
        check.codes(filter);
        for detail in &filter.details {
            check.occurs(&detail.value);
        }
        if let Some(words) = words
            && !paths.iter().all(|path| path.by_words)
        {
            let exists =
                "EXISTS (SELECT 1 FROM search.event_text WHERE event_text MATCH {} AND rowid = ?1)";
            check.and(exists, [Value::Text(words.0)]);
        }
        check
    }

    /// The event at a position, when the filter holds for it.
    pub(super) fn event(
        &mut self,
        connection: &Connection,
        position: i64,
    ) -> Result<Option<StoredEvent>, Failure> {
        if let Some(first) = self.values.first_mut() {
            *first = Value::Integer(position);
        }
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let event = read_stored(row)?;
        Ok(self.details_hold(&event).then_some(event))
    }

    /// Adds a condition; each `{}` in it is one of the values.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        let mut values = values.into_iter();
        let mut parts = condition.split("{}");
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(&mut values) {
            self.values.push(value);
            self.sql.push_str(&format!("?{}{part}", self.values.len()));
        }
    }

    fn time(&mut self, filter: &Filter) {
        if let Some(since) = filter.since {
            self.and("timestamp >= {}", [Value::Integer(since.micros())]);
        }
        if let Some(until) = filter.until {
            self.and("timestamp < {}", [Value::Integer(until.micros())]);
        }
    }

    fn texts(&mut self, filter: &Filter) {
        let equal = [
            (
                "organization_id = {}",
                filter.organization_id.as_ref().map(|named| named.as_str()),
            ),
            ("principal_id = {}", filter.principal_id.as_deref()),
            (
                "target_resource_type = {}",
                filter.target_resource_type.as_deref(),
            ),
            (
                "target_resource_id = {}",
                filter.target_resource_id.as_deref(),
            ),
            ("correlation_id = {}", filter.correlation_id.as_deref()),
        ];
        for (condition, text) in equal {
            if let Some(text) = text {
                self.and(condition, [Value::Text(text.to_owned())]);
            }
        }
        match &filter.action {
            Some(ActionMatch::Exact(action)) => {
                self.and("action = {}", [Value::Text(action.clone())])
            }
            Some(ActionMatch::Prefix(prefix)) => {
                self.and("action >= {}", [Value::Text(prefix.clone())]);
                if let Some(end) = prefix_end(prefix) {
                    self.and("action < {}", [Value::Text(end)]);
                }
            }
            None => {}
        }
    }

    fn codes(&mut self, filter: &Filter) {
        let equal = [
            ("status = {}", filter.status.map(status_code)),
            ("severity = {}", filter.severity.map(severity_code)),
            (
                "data_classification = {}",
                filter.data_classification.map(classification_code),
            ),
        ];
        for (condition, code) in equal {
            if let Some(code) = code {
                self.and(condition, [Value::Integer(code.into())]);
            }
        }
    }

    /// What must stand at a path must at least stand somewhere in the canonical text; spares reading most events.
    fn occurs(&mut self, value: &str) {
        let written_as_it_is = !value.chars().any(|c| matches!(c, '"' | '\\') || c < ' ');
        if written_as_it_is && !value.is_empty() {
            self.and("instr(canonical, {}) > 0", [Value::Text(value.to_owned())]);
        }
    }

    /// Looked up in the event as it is parsed everywhere else: SQLite's JSON functions turn large numbers into doubles.
    fn details_hold(&self, event: &StoredEvent) -> bool {
        if self.details.is_empty() {
            return true;
        }
        let Some(canonical) = &event.canonical else {
            return false;
        };
        // Altered bytes match nothing; finding them is verification's work.
        let Ok(parsed) = AuditEvent::from_canonical(canonical) else {
            return false;
        };
        let details = Json::Object(parsed.statement.details);
        self.details
            .iter()
            .all(|wanted| holds(&details, &wanted.path, &wanted.value))
    }
}

/// Whether the scalar at `path` has this text.
fn holds(value: &Json, path: &[String], wanted: &str) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return is_scalar(value, wanted);
    };
    let inner = match value {
        Json::Object(members) => members.get(name),
        Json::Array(items) => index(name).and_then(|index| items.get(index)),
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

fn is_scalar(value: &Json, wanted: &str) -> bool {
    match value {
        Json::String(text) => text == wanted,
        Json::Number(number) => number.as_str() == wanted,
        Json::Bool(true) => wanted == "true",
        Json::Bool(false) => wanted == "false",
        Json::Null => wanted == "null",
        Json::Array(_) | Json::Object(_) => false,
    }
}
