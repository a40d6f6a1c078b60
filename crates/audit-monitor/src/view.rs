//! An event as rules see it: fields by path, without a copy of the event.
//!
//! A path is looked up in this order, and the first that is there counts:
//! 1. `derived.hour`, `derived.weekday`, `derived.workingHours` (`on`, `off`), `derived.addressScope` (`internal`, `external`) and
//!    `derived.actor` (the principal, else the address);
//! 2. the members of `docs/event-format.md` section 2 under their names;
//! 3. the members of `details` without that prefix: what producers sent under their own names, such as `recordCount`, or a CloudTrail
//!    record's `eventName` and `userIdentity.type`.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use audit_event::{AuditEvent, Number, Object, Value};
use rsigma_eval::{Event, EventValue};

use crate::calendar::{Customs, Moment};

/// Deeper than any stored event nests.
const DEPTH_MAX: usize = 40;

/// One event, and the customs of its organisation.
pub(crate) struct EventView<'e> {
    event: &'e AuditEvent,
    customs: &'e Customs,
    /// The first segments of our own paths that any rule asks for.
    roots: &'e [&'static str],
    /// Whether a name of a detail has a dot in it, which few have: a path's own name is looked for only then.
    dotted: OnceCell<bool>,
    /// Details that were found, by [`place`]: rules ask for the same few again and again.
    found: [Cell<Option<(&'e str, &'e Value)>>; PLACES],
    /// Worked out when the first rule asks.
    moment: OnceCell<Moment>,
    id: OnceCell<String>,
}

impl<'e> EventView<'e> {
    pub(crate) fn new(
        event: &'e AuditEvent,
        customs: &'e Customs,
        roots: &'e [&'static str],
    ) -> Self {
        Self {
            event,
            customs,
            roots,
            dotted: OnceCell::new(),
            found: Default::default(),
            moment: OnceCell::new(),
            id: OnceCell::new(),
        }
    }

    fn moment(&self) -> Moment {
        *self
            .moment
            .get_or_init(|| self.customs.moment(self.event.statement.timestamp))
    }

    fn id(&self) -> &str {
        self.id.get_or_init(|| self.event.id.to_string())
    }

    fn address(&self) -> Option<&str> {
        let context = self.event.statement.session_context.as_ref()?;
        context.ip_address.as_deref()
    }

    fn derived(&self, name: &str) -> Option<EventValue<'_>> {
        match name {
            "hour" => Some(EventValue::Int(self.moment().hour.into())),
            "weekday" => Some(text(self.moment().weekday)),
            "workingHours" => Some(text(if self.moment().at_work { "on" } else { "off" })),
            "addressScope" => {
                let internal = self.customs.is_internal(self.address()?)?;
                Some(text(if internal { "internal" } else { "external" }))
            }
            "actor" => {
                let principal = self.event.statement.principal_id.as_deref();
                principal.or_else(|| self.address()).map(text)
            }
            _ => None,
        }
    }

    /// A member of the table that is text, a number or a nested object of such; `None` for every other path.
    fn member(&self, path: &str) -> Option<EventValue<'_>> {
        let said = &self.event.statement;
        match path {
            "action" => Some(text(&said.action)),
            "status" => Some(text(said.status.as_str())),
            "principalId" => said.principal_id.as_deref().map(text),
            "principalType" => said.principal_type.as_deref().map(text),
            "organizationId" => Some(&self.event.organization_id)
                .filter(|organization| !organization.is_none())
                .map(|organization| text(organization.as_str())),
            "targetResourceType" => said.target_resource_type.as_deref().map(text),
            "targetResourceId" => said.target_resource_id.as_deref().map(text),
            "outcomeDescription" => said.outcome_description.as_deref().map(text),
            "severity" => said.severity.map(|level| text(level.as_str())),
            "dataClassification" => said.data_classification.map(|level| text(level.as_str())),
            "retentionPolicy" => said.retention_policy.as_deref().map(text),
            "correlationId" => said.correlation_id.as_deref().map(text),
            "traceparent" => said.traceparent.as_deref().map(text),
            "eventVersion" => said.event_version.as_deref().map(text),
            "durationMs" => said.duration_ms.as_ref().map(number),
            "id" => Some(text(self.id())),
            "timestamp" => Some(time(said.timestamp)),
            "receivedAt" => Some(time(self.event.received_at)),
            _ => None,
        }
    }

    fn nested_member(&self, root: &str, rest: &str) -> Option<EventValue<'_>> {
        let said = &self.event.statement;
        match root {
            "derived" => self.derived(rest),
            "sessionContext" => {
                let context = said.session_context.as_ref()?;
                let member = match rest {
                    "sessionId" => &context.session_id,
                    "ipAddress" => &context.ip_address,
                    "userAgent" => &context.user_agent,
                    "geolocation" => &context.geolocation,
                    _ => return None,
                };
                member.as_deref().map(text)
            }
            "source" => {
                let source = said.source.as_ref()?;
                let member = match rest {
                    "application" => &source.application,
                    "environment" => &source.environment,
                    "version" => &source.version,
                    _ => return None,
                };
                member.as_deref().map(text)
            }
            "producerProof" => {
                let proof = said.producer_proof.as_ref()?;
                match rest {
                    "verdict" => proof.verdict.map(|verdict| text(verdict.as_str())),
                    "scheme" => Some(text(&proof.scheme)),
                    "reason" => proof.reason.as_deref().map(text),
                    _ => None,
                }
            }
            "producer" if rest == "id" => said.producer.as_ref().map(|producer| text(&producer.id)),
            "annotations" => lookup(&self.event.annotations, rest),
            "details" => lookup(&said.details, rest),
            _ => None,
        }
    }

    fn detail(&self, root: &str, rest: &str, path: &str) -> Option<EventValue<'_>> {
        let details = &self.event.statement.details;
        let dotted = self.dotted.get_or_init(|| {
            let mut names = details.iter().map(|(name, _)| name);
            names.any(|name| name.as_bytes().contains(&b'.'))
        });
        if *dotted {
            lookup(details, path)
        } else {
            descend(self.detail_of(root)?, rest)
        }
    }

    fn detail_of(&self, name: &str) -> Option<&'e Value> {
        let details = &self.event.statement.details;
        let Some(found) = self.found.get(place(name)) else {
            return details.get(name);
        };
        if let Some((known, value)) = found.get()
            && known == name
        {
            return Some(value);
        }
        let entry = details.get_entry(name)?;
        found.set(Some(entry));
        Some(entry.1)
    }

    /// The texts of the members that are one, for rules that look for a word anywhere.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let said = &self.event.statement;
        let context = said.session_context.as_ref();
        let source = said.source.as_ref();
        let nested = [
            context.and_then(|context| context.session_id.as_deref()),
            context.and_then(|context| context.ip_address.as_deref()),
            context.and_then(|context| context.user_agent.as_deref()),
            context.and_then(|context| context.geolocation.as_deref()),
            source.and_then(|source| source.application.as_deref()),
            source.and_then(|source| source.environment.as_deref()),
            source.and_then(|source| source.version.as_deref()),
        ];
        let own = [
            Some(said.action.as_str()),
            Some(said.status.as_str()),
            said.principal_id.as_deref(),
            said.principal_type.as_deref(),
            said.target_resource_type.as_deref(),
            said.target_resource_id.as_deref(),
            said.outcome_description.as_deref(),
            said.correlation_id.as_deref(),
            Some(self.event.organization_id.as_str()).filter(|name| !name.is_empty()),
        ];
        own.into_iter().chain(nested).flatten()
    }
}

impl Event for EventView<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match path.split_once('.') {
            None => self.member(path).or_else(|| self.detail_of(path).map(view)),
            Some((root, rest)) => self
                .nested_member(root, rest)
                .or_else(|| self.detail(root, rest, path)),
        }
    }

    fn any_string_value(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        self.texts().any(wanted)
            || any_text(&self.event.statement.details, wanted)
            || any_text(&self.event.annotations, wanted)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut values = Vec::new();
        self.visit_string_values(&mut |value| values.push(Cow::Owned(value.to_owned())));
        values
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        let visit = std::cell::RefCell::new(visit);
        // Nothing is wanted, so everything is visited.
        self.any_string_value(&|value| {
            (visit.borrow_mut())(value);
            false
        });
    }

    /// Nothing asks: rules are loaded without the attribute that copies events into results.
    fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        for root in self.roots {
            visit(root);
        }
        for (name, _value) in self.event.statement.details.iter() {
            visit(name);
        }
        true
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        let details = self.event.statement.details.iter();
        let own = self.roots.iter().map(|root| Cow::Borrowed(*root));
        Some(
            own.chain(details.map(|(name, _)| Cow::Borrowed(name)))
                .collect(),
        )
    }
}

/// First segments of our own paths. The evaluator looks for a rule's fields only under segments that an event says it has; whether these
/// are there costs as much to say as to look.
pub(crate) const ROOTS: [&str; 25] = [
    "derived",
    "action",
    "status",
    "principalId",
    "principalType",
    "organizationId",
    "targetResourceType",
    "targetResourceId",
    "outcomeDescription",
    "severity",
    "dataClassification",
    "retentionPolicy",
    "correlationId",
    "traceparent",
    "eventVersion",
    "durationMs",
    "id",
    "timestamp",
    "receivedAt",
    "sessionContext",
    "source",
    "producerProof",
    "producer",
    "annotations",
    "details",
];

/// How many details are remembered; a power of two.
const PLACES: usize = 16;

/// Where a name is remembered: names differ in their lengths and ends.
fn place(name: &str) -> usize {
    let bytes = name.as_bytes();
    let last = bytes.last().copied().unwrap_or_default();
    let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
    (bytes.len() ^ usize::from(last) ^ (usize::from(middle) << 1)) % PLACES
}

fn text(value: &str) -> EventValue<'_> {
    EventValue::Str(Cow::Borrowed(value))
}

fn time(at: audit_event::Timestamp) -> EventValue<'static> {
    let text = at.canonical_text();
    EventValue::Str(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
}

fn number(value: &Number) -> EventValue<'static> {
    match value.as_str().parse() {
        Ok(integer) => EventValue::Int(integer),
        Err(_not_an_integer) => EventValue::Float(value.to_f64()),
    }
}

fn view(value: &Value) -> EventValue<'_> {
    match value {
        Value::Null => EventValue::Null,
        Value::Bool(flag) => EventValue::Bool(*flag),
        Value::Number(value) => number(value),
        Value::String(value) => text(value),
        Value::Array(items) => EventValue::Array(items.iter().map(view).collect()),
        Value::Object(members) => EventValue::Map(
            members
                .iter()
                .map(|(name, value)| (Cow::Borrowed(name), view(value)))
                .collect(),
        ),
    }
}

/// A member by its whole name, else by dots. A path that meets an array goes on in each of its items, and every value it ends at is
/// meant: rules match when any does. That is how `rsigma_eval::JsonEvent` reads JSON.
fn lookup<'v>(members: &'v Object, path: &str) -> Option<EventValue<'v>> {
    if let Some(value) = members.get(path) {
        return Some(view(value));
    }
    let (root, rest) = path.split_once('.')?;
    descend(members.get(root)?, rest)
}

fn descend<'v>(mut value: &'v Value, mut rest: &str) -> Option<EventValue<'v>> {
    // Most paths meet no array, and end at one value.
    while let Value::Object(members) = value {
        let Some((next, after)) = rest.split_once('.') else {
            return members.get(rest).map(view);
        };
        (value, rest) = (members.get(next)?, after);
    }
    let mut found = Vec::new();
    collect(value, rest, &mut found);
    match found.len() {
        0 | 1 => found.pop(),
        _ => Some(EventValue::Array(found)),
    }
}

/// A path has no empty rest: what follows the last dot is a name, even an empty one.
fn collect<'v>(value: &'v Value, path: &str, found: &mut Vec<EventValue<'v>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, found)),
        Value::Object(members) => match path.split_once('.') {
            None => found.extend(members.get(path).map(view)),
            Some((name, rest)) => {
                if let Some(inner) = members.get(name) {
                    collect(inner, rest, found);
                }
            }
        },
        _ => {}
    }
}

fn any_text(members: &Object, wanted: &dyn Fn(&str) -> bool) -> bool {
    members
        .iter()
        .any(|(_name, value)| holds(value, wanted, DEPTH_MAX))
}

fn holds(value: &Value, wanted: &dyn Fn(&str) -> bool, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Value::String(value) => wanted(value),
        Value::Array(items) => items.iter().any(|item| holds(item, wanted, depth)),
        Value::Object(members) => members.iter().any(|(_, value)| holds(value, wanted, depth)),
        _ => false,
    }
}
