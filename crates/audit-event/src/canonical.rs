//! The canonical bytes: `docs/event-format.md` sections 1 and 2.

use crate::event::{AuditEvent, ProducerProof, ProducerRef, SessionContext, Source, StatedId};
use crate::limits::DEPTH_MAX;
use crate::number::Number;
use crate::timestamp::{Timestamp, TimestampForm};
use crate::value::{Object, Value};

/// The canonical form of any value.
#[must_use]
pub fn to_canonical(value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value, 1);
    writer.out
}

/// How many bytes a text takes as a JSON string, without its quotes.
#[must_use]
pub fn escaped_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| escape_of(byte).map_or(1, str::len))
        .sum()
}

/// Which members of an event are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All: what is stored.
    Whole,
    /// Those that the producer said: what the claim is the digest of; section 3.
    Claim,
}

/// Canonical bytes of an event, and what was seen while writing them.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// The size that is limited; section 1, "Size".
    pub(crate) size: usize,
    /// Something contains U+0000.
    pub(crate) nul: bool,
    /// Something is nested deeper than the limit.
    pub(crate) too_deep: bool,
}

pub(crate) fn write_event(event: &AuditEvent, scope: Scope) -> Written {
    // Most events are some hundred bytes; one that is larger grows twice at most.
    let mut writer = Writer {
        out: Vec::with_capacity(1_024),
        ..Writer::default()
    };
    writer.event(event, scope);
    let size = writer.out.len() + writer.uncounted;
    Written {
        bytes: writer.out,
        size,
        nul: writer.nul,
        too_deep: writer.too_deep,
    }
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// What numbers with large exponents count for beyond their text.
    uncounted: usize,
    nul: bool,
    too_deep: bool,
}

impl Writer {
    /// Members in their order: the names are ASCII, so bytes order as UTF-16 does.
    fn event(&mut self, event: &AuditEvent, scope: Scope) {
        let whole = scope == Scope::Whole;
        let said = &event.statement;
        let mut members = Members::open(self);
        members.text("action", &said.action);
        if whole {
            members.object("annotations", &event.annotations);
        }
        members.optional("correlationId", said.correlation_id.as_deref());
        members.optional(
            "dataClassification",
            said.data_classification.map(|level| level.as_str()),
        );
        members.object("details", &said.details);
        members.number("durationMs", said.duration_ms.as_ref());
        members.optional("eventVersion", said.event_version.as_deref());
        if let Some(StatedId::External(external)) = &said.id {
            members.text("externalId", external);
        }
        if whole {
            members.text("id", event.id.encode(&mut [0; 36]));
            let organization = event.organization_id.as_str();
            members.optional(
                "organizationId",
                Some(organization).filter(|name| !name.is_empty()),
            );
        }
        members.optional("outcomeDescription", said.outcome_description.as_deref());
        members.optional("principalId", said.principal_id.as_deref());
        members.optional("principalType", said.principal_type.as_deref());
        members.producer(said.producer.as_ref());
        members.proof(said.producer_proof.as_ref(), whole);
        if whole {
            members.time("receivedAt", event.received_at);
        }
        members.optional("retentionPolicy", said.retention_policy.as_deref());
        members.session_context(said.session_context.as_ref());
        members.optional("severity", said.severity.map(|level| level.as_str()));
        members.source(said.source.as_ref());
        members.text("status", said.status.as_str());
        members.optional("targetResourceId", said.target_resource_id.as_deref());
        members.optional("targetResourceType", said.target_resource_type.as_deref());
        members.time("timestamp", said.timestamp);
        members.timestamp_form(&said.timestamp_form);
        members.optional("traceparent", said.traceparent.as_deref());
        members.close();
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => self.number(number),
            Value::String(text) => self.string(text),
            Value::Array(items) => self.array(items, depth),
            Value::Object(object) => self.object(object, depth),
        }
    }

    fn array(&mut self, items: &[Value], depth: usize) {
        self.too_deep |= depth > DEPTH_MAX;
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(item, depth + 1);
        }
        self.out.push(b']');
    }

    fn object(&mut self, object: &Object, depth: usize) {
        self.too_deep |= depth > DEPTH_MAX;
        self.out.push(b'{');
        for (index, (name, value)) in object.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.string(name);
            self.out.push(b':');
            self.value(value, depth + 1);
        }
        self.out.push(b'}');
    }

    fn number(&mut self, number: &Number) {
        self.out.extend_from_slice(number.as_str().as_bytes());
        self.uncounted += number.counted_len().saturating_sub(number.as_str().len());
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some((plain, byte, after)) = split_at_escape(rest) {
            self.out.extend_from_slice(plain);
            self.out
                .extend_from_slice(escape_of(byte).unwrap_or_default().as_bytes());
            self.nul |= byte == 0;
            rest = after;
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }
}

/// The members of one object with fixed names, which need no escapes.
struct Members<'w> {
    writer: &'w mut Writer,
    first: bool,
}

impl<'w> Members<'w> {
    fn open(writer: &'w mut Writer) -> Self {
        writer.out.push(b'{');
        Self {
            writer,
            first: true,
        }
    }

    fn close(self) {
        self.writer.out.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        self.writer
            .out
            .extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.writer.out.extend_from_slice(name.as_bytes());
        self.writer.out.extend_from_slice(b"\":");
    }

    fn nested(&mut self, name: &'static str) -> Members<'_> {
        self.name(name);
        Members::open(self.writer)
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.writer.string(text);
    }

    fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &'static str, number: Option<&Number>) {
        if let Some(number) = number {
            self.name(name);
            self.writer.number(number);
        }
    }

    fn integer(&mut self, name: &'static str, value: u64) {
        self.number(name, Some(&Number::from(value)));
    }

    fn object(&mut self, name: &'static str, object: &Object) {
        if !object.is_empty() {
            self.name(name);
            self.writer.object(object, 2);
        }
    }

    fn time(&mut self, name: &'static str, time: Timestamp) {
        self.name(name);
        self.writer.out.push(b'"');
        self.writer.out.extend_from_slice(&time.canonical_text());
        self.writer.out.push(b'"');
    }

    fn timestamp_form(&mut self, form: &TimestampForm) {
        match form {
            TimestampForm::Canonical => {}
            TimestampForm::Seconds => self.integer("timestampDigits", 0),
            TimestampForm::Millis => self.integer("timestampDigits", 3),
            TimestampForm::Text(text) => self.text("timestampText", text),
        }
    }

    fn producer(&mut self, producer: Option<&ProducerRef>) {
        let Some(producer) = producer else { return };
        let mut members = self.nested("producer");
        members.integer("epoch", producer.epoch);
        members.text("id", &producer.id);
        members.integer("seq", producer.seq);
        members.close();
    }

    fn session_context(&mut self, context: Option<&SessionContext>) {
        let Some(context) = context.filter(|context| **context != SessionContext::default()) else {
            return;
        };
        let mut members = self.nested("sessionContext");
        members.optional("geolocation", context.geolocation.as_deref());
        members.optional("ipAddress", context.ip_address.as_deref());
        members.optional("sessionId", context.session_id.as_deref());
        members.optional("userAgent", context.user_agent.as_deref());
        members.close();
    }

    fn source(&mut self, source: Option<&Source>) {
        let Some(source) = source.filter(|source| **source != Source::default()) else {
            return;
        };
        let mut members = self.nested("source");
        members.optional("application", source.application.as_deref());
        members.optional("environment", source.environment.as_deref());
        members.optional("version", source.version.as_deref());
        members.close();
    }

    fn proof(&mut self, proof: Option<&ProducerProof>, whole: bool) {
        let Some(proof) = proof else { return };
        let preimage = proof
            .preimage
            .as_deref()
            .filter(|_| !proof.preimage_rebuildable);
        let mut members = self.nested("producerProof");
        members.optional("algorithm", proof.algorithm.as_deref());
        members.optional("hash", proof.hash.as_deref());
        members.optional("keyId", proof.key_id.as_deref());
        members.optional("preimage", preimage);
        members.optional("reason", proof.reason.as_deref().filter(|_| whole));
        members.text("scheme", &proof.scheme);
        members.optional("signature", proof.signature.as_deref());
        members.optional(
            "verdict",
            proof
                .verdict
                .filter(|_| whole)
                .map(|verdict| verdict.as_str()),
        );
        members.optional(
            "verifiedWith",
            proof.verified_with.as_deref().filter(|_| whole),
        );
        members.close();
    }
}

/// Cuts a text at its first byte that is escaped.
fn split_at_escape(text: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (chunks, _) = text.as_chunks::<8>();
    let plain = chunks
        .iter()
        .take_while(|chunk| !has_escape(u64::from_le_bytes(**chunk)))
        .count()
        * 8;
    let found = text
        .iter()
        .skip(plain)
        .position(|byte| escape_of(*byte).is_some())?;
    let (before, rest) = text.split_at(plain + found);
    let (byte, after) = rest.split_first()?;
    Some((before, *byte, after))
}

/// Whether one of eight bytes is below U+0020, a quote or a backslash. Eight at a time: most text has none. May say
/// yes for a byte above U+007F that stands after one of those; never no when there is one.
const fn has_escape(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quotes = bytes ^ (ONES * 0x22);
    let backslashes = bytes ^ (ONES * 0x5C);
    let low = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    let quote = quotes.wrapping_sub(ONES) & !quotes;
    let backslash = backslashes.wrapping_sub(ONES) & !backslashes;
    (low | quote | backslash) & HIGHS != 0
}

/// How a byte below U+0020, a quote or a backslash is written in a JSON string.
pub(crate) fn escape_of(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        _ => ESCAPES.get(usize::from(byte)).copied(),
    }
}

const ESCAPES: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b",
    "\\t", "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012",
    "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a",
    "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_jcs_does() {
        let text = "\u{20ac}$\u{f}\u{a}A'\u{42}\u{22}\u{5c}\\\"/\u{8}\u{9}\u{c}\u{d}\u{7f}\u{2028}\u{1f600}";
        let written = String::from_utf8(to_canonical(&Value::from(text))).unwrap();
        let expected =
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\b\\t\\f\\r\u{7f}\u{2028}\u{1f600}\"";
        assert_eq!(written, expected);
        assert_eq!(escaped_len(text), written.len() - 2);
    }

    #[test]
    fn an_escape_is_found_wherever_it_stands() {
        for len in 0..30 {
            for at in 0..len {
                for special in ['"', '\\', '\u{1}', '\u{1f}'] {
                    let text: String = (0..len)
                        .map(|i| if i == at { special } else { 'é' })
                        .collect();
                    let written =
                        String::from_utf8(to_canonical(&Value::from(text.as_str()))).unwrap();
                    assert_eq!(written, serde_json::to_string(&text).unwrap());
                }
            }
        }
    }

    #[test]
    fn every_control_character_has_its_escape() {
        for byte in 0..0x20_u8 {
            let text = char::from(byte).to_string();
            let written = String::from_utf8(to_canonical(&Value::from(text.as_str()))).unwrap();
            assert_eq!(written, serde_json::to_string(&text).unwrap());
        }
    }
}
