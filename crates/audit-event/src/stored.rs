//! Reads canonical bytes back, and nothing else.

use crate::canonical::{Scope, write_event};
use crate::event::{AuditEvent, StatedId};
use crate::gather::Gathered;
use crate::limits;
use crate::number::Number;
use crate::problem::{Code, Problem};
use crate::read::{LoneSurrogates, ReadLimits, read_members};
use crate::timestamp::{MissingZone, Timestamp, TimestampForm};
use crate::validate;
use crate::value::{Object, Value};

/// Bounds of canonical bytes. Their size rule is checked on the event; this only bounds the work.
const LIMITS: ReadLimits = ReadLimits {
    bytes_max: limits::INPUT_BYTES_MAX,
    depth_max: limits::DEPTH_MAX,
    lone_surrogates: LoneSurrogates::Refuse,
};

/// The event whose canonical form these bytes are, to the last byte.
pub(crate) fn read_event(bytes: &[u8]) -> Result<AuditEvent, Vec<Problem>> {
    let mut stored = Stored::default();
    // A member that stands twice is not written twice, which is found below.
    read_members(bytes, &LIMITS, |name, value| stored.take(name, value))
        .map_err(|problem| vec![problem])?;
    let event = stored.finish()?;
    let written = write_event(&event, Scope::Whole);
    let mut problems = validate::event(&event, &written);
    if written.bytes != bytes {
        problems.push(Problem::at(
            "",
            Code::BadFormat,
            "these bytes are not the canonical form of what they say",
        ));
    }
    if problems.is_empty() {
        Ok(event)
    } else {
        Err(problems)
    }
}

/// A statement, and the members that only the system writes.
#[derive(Default)]
struct Stored {
    said: Gathered,
    external_id: Option<String>,
    received_at: Option<Timestamp>,
    digits: Option<Number>,
    text: Option<String>,
    annotations: Object,
}

impl Stored {
    fn take(&mut self, name: &str, value: Value) {
        match name {
            "annotations" => {
                self.annotations = self.said.object("/annotations", value).unwrap_or_default();
            }
            "details" => {
                let details = self.said.object("/details", value).unwrap_or_default();
                self.said.details = details.into_iter().collect();
            }
            "externalId" => self.external_id = self.said.text("/externalId", value),
            "receivedAt" => {
                let time = self.said.time("/receivedAt", value, MissingZone::Refuse);
                self.received_at = time.map(|(time, _)| time);
            }
            "timestampDigits" => self.digits = self.said.number("/timestampDigits", value),
            "timestampText" => self.text = self.said.text("/timestampText", value),
            _ => {
                if self.said.take(name, value).is_some() {
                    let path = crate::Path::root().member(name);
                    self.said.problem(
                        path.as_str(),
                        Code::UnknownValue,
                        "no member of a canonical event",
                    );
                }
            }
        }
    }

    fn finish(mut self) -> Result<AuditEvent, Vec<Problem>> {
        self.said.require("/id", self.said.id.is_none());
        self.said.require("/receivedAt", self.received_at.is_none());
        let id = match &self.said.id {
            Some(StatedId::Uuid(id)) => Some(*id),
            Some(StatedId::External(_)) => {
                self.said
                    .problem("/id", Code::BadFormat, crate::id::NotAnEventId.to_string());
                None
            }
            None => None,
        };
        let form = self.timestamp_form();
        if let (Some((_, read)), Some(form)) = (&mut self.said.timestamp, form) {
            *read = form;
        }
        if let Some(external) = self.external_id.take() {
            self.said.id = Some(StatedId::External(external));
        }
        let statement = self.said.finish_unjudged()?;
        // Both are present: their absence was a problem.
        let (Some(id), Some(received_at)) = (id, self.received_at) else {
            return Err(Vec::new());
        };
        let organization_id = statement.organization_id.clone().unwrap_or_default();
        Ok(AuditEvent {
            id,
            received_at,
            organization_id,
            statement,
            annotations: self.annotations,
        })
    }

    fn timestamp_form(&mut self) -> Option<TimestampForm> {
        match (self.digits.take(), self.text.take()) {
            (Some(digits), None) if digits.as_str() == "0" => Some(TimestampForm::Seconds),
            (Some(digits), None) if digits.as_str() == "3" => Some(TimestampForm::Millis),
            (None, Some(text)) => Some(TimestampForm::Text(text)),
            (None, None) => None,
            _ => {
                self.said.problem(
                    "/timestampDigits",
                    Code::UnknownValue,
                    "must be 0 or 3, and stand without timestampText",
                );
                None
            }
        }
    }
}
