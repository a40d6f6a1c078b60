//! What all foreign forms share: nothing that a producer wrote is refused for its length or type when it can be kept
//! as it is. `docs/forms.md`, "Rules of all foreign forms".

use crate::canonical::escaped_len;
use crate::event::{StatedId, Statement};
use crate::gather::{Gathered, stated_id};
use crate::id::EventId;
use crate::limits;
use crate::number::Number;
use crate::value::{Object, Value};

/// Member of `details` that holds what is too long for its typed member, whole, under the typed member's name. A
/// producer's own member of this name is kept inside it, under the same name.
pub(crate) const WHOLE: &str = "_whole";

/// Stands between the prefix of a shortened value and the UUIDv5 of the whole.
const SHORTENED: &str = "~uuid5:";
/// Length of [`SHORTENED`] and a UUID.
const SUFFIX_LEN: usize = SHORTENED.len() + 36;

/// A typed text member and its limit.
#[derive(Clone, Copy)]
pub(crate) struct TextMember {
    /// Its name, dotted where it is nested.
    pub(crate) name: &'static str,
    pub(crate) bytes_max: usize,
    /// It stands in the entry header: escapes count, control characters do not belong.
    pub(crate) in_header: bool,
}

impl TextMember {
    const fn new(name: &'static str, bytes_max: usize) -> Self {
        Self {
            name,
            bytes_max,
            in_header: false,
        }
    }

    const fn in_header(name: &'static str, bytes_max: usize) -> Self {
        Self {
            name,
            bytes_max,
            in_header: true,
        }
    }

    pub(crate) fn holds(self, text: &str) -> bool {
        if !self.in_header {
            return text.len() <= self.bytes_max;
        }
        escaped_len(text) <= self.bytes_max && !text.bytes().any(is_control)
    }

    /// Whether a shortened value fits; where it does not, a long value has no typed member.
    pub(crate) fn can_shorten(self) -> bool {
        self.bytes_max > SUFFIX_LEN
    }

    /// A prefix of the text and a digest of all of it: two values that differ stay different, and equal ones equal.
    pub(crate) fn shorten(self, text: &str) -> String {
        let mut short = String::new();
        let room = self.bytes_max.saturating_sub(SUFFIX_LEN);
        let mut used = 0;
        for character in text
            .chars()
            .filter(|character| !self.in_header || !u8::try_from(*character).is_ok_and(is_control))
        {
            used += if self.in_header {
                escaped_len(character.encode_utf8(&mut [0; 4]))
            } else {
                character.len_utf8()
            };
            if used > room {
                break;
            }
            short.push(character);
        }
        short.push_str(SHORTENED);
        short.push_str(&EventId::v5(text.as_bytes()).to_string());
        short
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7F
}

pub(crate) const ACTION: TextMember = TextMember::new("action", limits::INDEXED_TEXT_MAX);
pub(crate) const CORRELATION_ID: TextMember =
    TextMember::new("correlationId", limits::INDEXED_TEXT_MAX);
pub(crate) const EVENT_VERSION: TextMember =
    TextMember::new("eventVersion", limits::EVENT_VERSION_MAX);
pub(crate) const EXTERNAL_ID: TextMember = TextMember::new("id", limits::INDEXED_TEXT_MAX);
pub(crate) const ORGANIZATION_ID: TextMember =
    TextMember::in_header("organizationId", limits::INDEXED_TEXT_MAX);
pub(crate) const OUTCOME_DESCRIPTION: TextMember =
    TextMember::new("outcomeDescription", limits::OUTCOME_DESCRIPTION_MAX);
pub(crate) const PRINCIPAL_ID: TextMember =
    TextMember::new("principalId", limits::INDEXED_TEXT_MAX);
pub(crate) const PRINCIPAL_TYPE: TextMember =
    TextMember::new("principalType", limits::PRINCIPAL_TYPE_MAX);
pub(crate) const RETENTION_POLICY: TextMember =
    TextMember::in_header("retentionPolicy", limits::RETENTION_POLICY_MAX);
pub(crate) const RESOURCE_ID: TextMember =
    TextMember::new("targetResourceId", limits::INDEXED_TEXT_MAX);
pub(crate) const RESOURCE_TYPE: TextMember =
    TextMember::new("targetResourceType", limits::INDEXED_TEXT_MAX);
pub(crate) const GEOLOCATION: TextMember =
    TextMember::new("sessionContext.geolocation", limits::GEOLOCATION_MAX);
pub(crate) const IP_ADDRESS: TextMember =
    TextMember::new("sessionContext.ipAddress", limits::IP_ADDRESS_MAX);
pub(crate) const SESSION_ID: TextMember =
    TextMember::new("sessionContext.sessionId", limits::SESSION_ID_MAX);
pub(crate) const USER_AGENT: TextMember =
    TextMember::new("sessionContext.userAgent", limits::USER_AGENT_MAX);
pub(crate) const APPLICATION: TextMember =
    TextMember::new("source.application", limits::APPLICATION_MAX);
pub(crate) const ENVIRONMENT: TextMember =
    TextMember::new("source.environment", limits::ENVIRONMENT_MAX);
pub(crate) const SOURCE_VERSION: TextMember =
    TextMember::new("source.version", limits::SOURCE_VERSION_MAX);

/// Members that no typed member could hold, on their way to `details`.
pub(crate) type Rest = Vec<(String, Value)>;

impl Gathered {
    /// Fits a text into its member, keeping it whole when it is too long. Another type is handed to `rest`.
    pub(crate) fn fit(
        &mut self,
        member: TextMember,
        name: String,
        value: Value,
        rest: &mut Rest,
    ) -> Option<String> {
        match value {
            Value::String(text) if member.holds(&text) || member.can_shorten() => {
                Some(self.fit_text(member, text))
            }
            Value::Null => None,
            other => {
                rest.push((name, other));
                None
            }
        }
    }

    pub(crate) fn fit_text(&mut self, member: TextMember, text: String) -> String {
        if member.holds(&text) {
            return text;
        }
        let short = member.shorten(&text);
        self.whole.insert(member.name, Value::String(text));
        short
    }

    /// A foreign id. A UUID in another writing than ours, and an id that is too long, are kept whole.
    pub(crate) fn fit_id(
        &mut self,
        name: String,
        value: Value,
        rest: &mut Rest,
    ) -> Option<StatedId> {
        let text = match value {
            Value::Null => return None,
            Value::String(text) if !text.is_empty() => text,
            other => {
                rest.push((name, other));
                return None;
            }
        };
        let id = stated_id(text.clone());
        match id {
            StatedId::Uuid(id) if id.to_string() != text => {
                self.whole.insert(EXTERNAL_ID.name, Value::String(text));
            }
            StatedId::External(long) => {
                return Some(StatedId::External(self.fit_text(EXTERNAL_ID, long)));
            }
            StatedId::Uuid(_) => {}
        }
        Some(id)
    }

    /// A duration, when it is one.
    pub(crate) fn fit_duration(
        &mut self,
        name: String,
        value: Value,
        rest: &mut Rest,
    ) -> Option<Number> {
        match value {
            Value::Number(number) if !number.is_negative() => Some(number),
            Value::Null => None,
            other => {
                rest.push((name, other));
                None
            }
        }
    }

    /// Keeps members that have no typed place under their own names.
    pub(crate) fn keep_all(&mut self, rest: Rest) {
        for (name, value) in rest {
            if name == WHOLE {
                self.whole.insert(WHOLE, value);
            } else {
                self.keep(name, value);
            }
        }
    }

    /// Keeps what is left of a nested object, or the object itself when it was empty.
    pub(crate) fn keep_nested(&mut self, name: String, was_empty: bool, rest: Rest) {
        if was_empty || !rest.is_empty() {
            self.keep(name, Value::Object(rest.into_iter().collect()));
        }
    }
}

/// Writes a statement back in its foreign form: starts from `details`, then puts each typed member where it came from.
pub(crate) struct Restored {
    object: Object,
    whole: Object,
}

impl Restored {
    pub(crate) fn of(statement: &Statement) -> Self {
        let mut object = statement.details.clone();
        let mut whole = match object.remove(WHOLE) {
            Some(Value::Object(whole)) => whole,
            _ => Object::new(),
        };
        if let Some(own) = whole.remove(WHOLE) {
            object.insert(WHOLE, own);
        }
        Self { object, whole }
    }

    /// Sets a text at a path of one or two names, unless the producer's own value of another type stands there: then
    /// the text was stamped by accept.
    pub(crate) fn text(&mut self, path: &[&str], member: TextMember, text: Option<&str>) {
        let Some(text) = text else { return };
        let value = self
            .whole
            .get(member.name)
            .cloned()
            .unwrap_or_else(|| Value::from(text));
        self.derived(path, value);
    }

    pub(crate) fn id(&mut self, path: &[&str], id: Option<&StatedId>) {
        match id {
            Some(StatedId::Uuid(id)) => self.text(path, EXTERNAL_ID, Some(&id.to_string())),
            Some(StatedId::External(text)) => self.text(path, EXTERNAL_ID, Some(text)),
            None => {}
        }
    }

    pub(crate) fn timestamp(&mut self, path: &[&str], statement: &Statement) {
        self.set(
            path,
            Value::String(statement.timestamp.to_text(&statement.timestamp_form)),
        );
    }

    /// Sets a value that stands at this path only when nothing of the producer's own does.
    pub(crate) fn derived(&mut self, path: &[&str], value: Value) {
        if self.get(path).is_none() {
            self.set(path, value);
        }
    }

    pub(crate) fn set(&mut self, path: &[&str], value: Value) {
        match path {
            [name] => {
                self.object.insert(*name, value);
            }
            [outer, inner] => {
                let mut nested = match self.object.remove(outer) {
                    Some(Value::Object(nested)) => nested,
                    _ => Object::new(),
                };
                nested.insert(*inner, value);
                self.object.insert(*outer, Value::Object(nested));
            }
            _ => {}
        }
    }

    fn get(&self, path: &[&str]) -> Option<&Value> {
        match path {
            [name] => self.object.get(name),
            [outer, inner] => self.object.get(outer)?.as_object()?.get(inner),
            _ => None,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_shortened_within_its_limit_and_stays_distinct() {
        let long = "é".repeat(400);
        let other = format!("{long}x");
        let short = PRINCIPAL_ID.shorten(&long);
        assert!(short.len() <= limits::INDEXED_TEXT_MAX && short.starts_with("éé"));
        assert_ne!(short, PRINCIPAL_ID.shorten(&other));
        assert!(PRINCIPAL_ID.holds(&short) && !PRINCIPAL_ID.holds(&long));
    }

    #[test]
    fn a_header_text_loses_its_control_characters_and_counts_its_escapes() {
        let short = ORGANIZATION_ID.shorten(&"\n\"".repeat(300));
        assert!(ORGANIZATION_ID.holds(&short), "{short:?}");
        assert!(!ORGANIZATION_ID.holds("a\nb") && !ORGANIZATION_ID.holds(&"\"".repeat(257)));
        assert!(ORGANIZATION_ID.holds(&"\"".repeat(256)));
    }
}
