//! The whole filter as a condition on one row.

use audit_event::EventId;
use audit_integrity::ledger::LedgerId;
use audit_store::query::{ActionMatch, Order, OrganizationScope, Position};
use audit_store::{Filter, PageRequest, StoredEvent};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::details;
use crate::code::{LEAF_BITS, classification_code, ledger_code, severity_code, status_code};
use crate::value::Micros;

/// A parameter with its type: the statements of a search are not prepared.
#[derive(Debug, Clone)]
pub(super) enum Parameter {
    Text(String),
    Texts(Vec<String>),
    Time(Micros),
    Id(Uuid),
    Code(i16),
}

impl Parameter {
    pub(super) fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Text(text) => (text, Type::TEXT),
            Self::Texts(texts) => (texts, Type::TEXT_ARRAY),
            Self::Time(at) => (at, Type::TIMESTAMPTZ),
            Self::Id(id) => (id, Type::UUID),
            Self::Code(code) => (code, Type::INT2),
        }
    }
}

/// Where an event stands in the order of a search.
#[derive(Debug, Clone)]
pub(super) struct Key {
    at: Micros,
    id: Uuid,
    organization: String,
}

pub(super) fn key_of(position: &Position) -> Key {
    key(
        position.timestamp.into(),
        position.id,
        position.organization_id.as_str(),
    )
}

pub(super) fn key_of_event(event: &StoredEvent) -> Key {
    key(
        event.timestamp.into(),
        event.id,
        event.organization_id.as_str(),
    )
}

fn key(at: Micros, id: EventId, organization: &str) -> Key {
    Key {
        at,
        id: Uuid::from_bytes(*id.as_bytes()),
        organization: organization.to_owned(),
    }
}

/// Conditions joined by AND, and their parameters.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter>,
}

impl Conditions {
    /// Everything that an event of this page must be, but for its organisation.
    pub(super) fn of(
        request: &PageRequest,
        after: Option<&Key>,
        sizes: &[(LedgerId, u64)],
    ) -> Self {
        let mut all = Self::default();
        all.below(sizes);
        all.time(&request.filter);
        all.texts(&request.filter);
        all.codes(&request.filter);
        all.details(&request.filter);
        if let Some(after) = after {
            all.after(after, request.order);
        }
        all
    }

    /// Adds a condition; each `{}` in it is one of the values.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Parameter>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        let mut values = values.into_iter();
        let mut parts = condition.split("{}");
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(&mut values) {
            self.parameters.push(value);
            self.sql
                .push_str(&format!("${}{part}", self.parameters.len()));
        }
    }

    /// Rows that were there when the first page was read.
    fn below(&mut self, sizes: &[(LedgerId, u64)]) {
        let ranges: Vec<_> = sizes
            .iter()
            .map(|(ledger, size)| {
                let first = i64::from(ledger_code(*ledger)) << LEAF_BITS;
                let end = first.saturating_add(i64::try_from(*size).unwrap_or(i64::MAX));
                format!("position >= {first} AND position < {end}")
            })
            .collect();
        match ranges.is_empty() {
            true => self.and("false", []),
            false => self.and(&format!("({})", ranges.join(" OR ")), []),
        }
    }

    /// What the caller may see, for searches that no organisation leads.
    pub(super) fn scope(&mut self, request: &PageRequest) {
        if let OrganizationScope::Only(named) = &request.scope {
            let named = named.iter().map(|one| one.as_str().to_owned()).collect();
            self.and("organization_id = ANY ({})", [Parameter::Texts(named)]);
        }
        if let Some(named) = &request.filter.organization_id {
            let named = Parameter::Text(named.as_str().to_owned());
            self.and("organization_id = {}", [named]);
        }
    }

    pub(super) fn time(&mut self, filter: &Filter) {
        if let Some(since) = filter.since {
            self.and("timestamp >= {}", [Parameter::Time(since.into())]);
        }
        if let Some(until) = filter.until {
            self.and("timestamp < {}", [Parameter::Time(until.into())]);
        }
    }

    fn texts(&mut self, filter: &Filter) {
        let equal = [
            ("principal_id = {}", &filter.principal_id),
            ("target_resource_type = {}", &filter.target_resource_type),
            ("target_resource_id = {}", &filter.target_resource_id),
            ("correlation_id = {}", &filter.correlation_id),
        ];
        for (condition, text) in equal {
            if let Some(text) = text {
                self.and(condition, [Parameter::Text(text.clone())]);
            }
        }
        self.action(filter);
    }

    pub(super) fn action(&mut self, filter: &Filter) {
        match &filter.action {
            Some(ActionMatch::Exact(action)) => {
                self.and("action = {}", [Parameter::Text(action.clone())]);
            }
            Some(ActionMatch::Prefix(prefix)) => {
                self.and("action >= {}", [Parameter::Text(prefix.clone())]);
                if let Some(end) = prefix_end(prefix) {
                    self.and("action < {}", [Parameter::Text(end)]);
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
                self.and(condition, [Parameter::Code(code)]);
            }
        }
    }

    /// What every match contains. The events themselves are looked at as well: this leaves out most others.
    pub(super) fn details(&mut self, filter: &Filter) {
        for wanted in &filter.details {
            let Some(documents) = details::documents(wanted) else {
                continue;
            };
            let any = vec!["(canonical::jsonb -> 'details') @> {}::text::jsonb"; documents.len()];
            let any = format!("({})", any.join(" OR "));
            self.and(&any, documents.into_iter().map(Parameter::Text));
        }
    }

    fn after(&mut self, after: &Key, order: Order) {
        let key = || {
            [
                Parameter::Time(after.at),
                Parameter::Time(after.at),
                Parameter::Id(after.id),
                Parameter::Text(after.organization.clone()),
            ]
        };
        // The first comparison says nothing new; it is the one by which partitions are left out.
        match order {
            Order::Newest => self.and(
                "timestamp <= {} AND (timestamp, id, organization_id) < ({}, {}, {})",
                key(),
            ),
            Order::Oldest => self.and(
                "timestamp >= {} AND (timestamp, id, organization_id) > ({}, {}, {})",
                key(),
            ),
        }
    }
}

/// The least text that is greater than every text with this prefix; `None` when there is none.
///
/// `COLLATE "C"` compares UTF-8 bytes, whose order is that of code points; so the last character that has a successor is
/// raised and what follows it dropped.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let mut successors = last..=char::MAX;
        successors.next();
        if let Some(raised) = successors.next() {
            characters.push(raised);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_that_lacks_it() {
        let check = |prefix: &str, end: Option<&str>| {
            assert_eq!(prefix_end(prefix).as_deref(), end, "{prefix:?}");
        };
        check("patient.", Some("patient/"));
        check("a\u{7f}", Some("a\u{80}"));
        // The surrogates are no characters.
        check("\u{d7ff}", Some("\u{e000}"));
        check("b\u{10ffff}", Some("c"));
        check("\u{10ffff}", None);
        check("", None);
    }
}
