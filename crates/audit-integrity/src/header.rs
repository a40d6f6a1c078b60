//! The canonical text of an entry's header, written from borrowed values.

use std::io::Write as _;
use std::ops::Range;

use audit_event::{Classification, EventId, Timestamp};

use crate::entry::EntryKind;
use crate::json::write_string;
use crate::ledger::{Digest, LeafIndex, LedgerId};
use crate::said::HeaderSpans;

/// What a header says, borrowed from wherever it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderText<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) ledger: LedgerId,
    pub(crate) index: LeafIndex,
    pub(crate) id: EventId,
    /// "" when none.
    pub(crate) organization_id: &'a str,
    pub(crate) timestamp: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) sealed_at: Timestamp,
    pub(crate) data_classification: Classification,
    pub(crate) retention_policy: &'a str,
    pub(crate) body: Digest,
}

/// Where, in a buffer that a header was written to, the raw values stand that the canonical event says too.
#[derive(Debug)]
pub(crate) struct Written {
    data_classification: Range<usize>,
    id: Range<usize>,
    organization_id: Option<Range<usize>>,
    received_at: Range<usize>,
    retention_policy: Range<usize>,
    timestamp: Range<usize>,
}

impl HeaderText<'_> {
    /// Members in UTF-16 order; their names are ASCII, so that is the order of bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Written {
        out.extend_from_slice(b"{\"body\":\"");
        out.extend_from_slice(&hex_of(&self.body));
        out.extend_from_slice(b"\",\"dataClassification\":");
        let data_classification = value(out, |out| quote(out, self.data_classification.as_str()));
        out.extend_from_slice(b",\"id\":");
        let id = value(out, |out| quote(out, self.id.encode(&mut [0; 36])));
        out.extend_from_slice(b",\"index\":");
        write_number(out, self.index.0);
        out.extend_from_slice(b",\"kind\":");
        quote(out, self.kind.as_str());
        out.extend_from_slice(b",\"ledger\":");
        match self.ledger {
            LedgerId::Events(number) => write_number(out, u64::from(number)),
            LedgerId::Directory => out.extend_from_slice(b"\"directory\""),
        }
        let organization_id = (!self.organization_id.is_empty()).then(|| {
            out.extend_from_slice(b",\"organizationId\":");
            value(out, |out| write_string(out, self.organization_id))
        });
        out.extend_from_slice(b",\"receivedAt\":");
        let received_at = value(out, |out| write_time(out, self.received_at));
        out.extend_from_slice(b",\"retentionPolicy\":");
        let retention_policy = value(out, |out| write_string(out, self.retention_policy));
        out.extend_from_slice(b",\"sealedAt\":");
        write_time(out, self.sealed_at);
        out.extend_from_slice(b",\"timestamp\":");
        let timestamp = value(out, |out| write_time(out, self.timestamp));
        out.push(b'}');
        Written {
            data_classification,
            id,
            organization_id,
            received_at,
            retention_policy,
            timestamp,
        }
    }
}

impl Written {
    /// The raw values that a canonical event is compared with.
    pub(crate) fn spans<'a>(&self, buffer: &'a [u8]) -> HeaderSpans<'a> {
        HeaderSpans {
            data_classification: buffer.get(self.data_classification.clone()),
            id: buffer.get(self.id.clone()),
            organization_id: self
                .organization_id
                .clone()
                .and_then(|range| buffer.get(range)),
            received_at: buffer.get(self.received_at.clone()),
            retention_policy: buffer.get(self.retention_policy.clone()),
            timestamp: buffer.get(self.timestamp.clone()),
            ..HeaderSpans::default()
        }
    }
}

fn value(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    write(out);
    start..out.len()
}

/// Text that needs no escapes.
fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    out.push(b'"');
    out.extend_from_slice(&time.canonical_text());
    out.push(b'"');
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    let _infallible = write!(out, "{number}").is_ok();
}

fn hex_of(digest: &Digest) -> [u8; 64] {
    let mut text = [0; 64];
    // The buffer is exactly twice the digest, the only thing this could complain about.
    let _infallible = hex::encode_to_slice(digest.0, &mut text).is_ok();
    text
}
