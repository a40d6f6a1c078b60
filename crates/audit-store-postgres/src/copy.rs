//! Events as rows of a binary COPY, written before the transaction begins.

use audit_event::{Identity, Severity, Timestamp};
use audit_integrity::entry::SealedEvent;
use audit_store::StoreError;
use bytes::{BufMut, Bytes, BytesMut};

use crate::code;
use crate::error::refused;
use crate::value::Micros;

/// The statement, with the columns in the order of [`Rows::row`].
pub(crate) const COPY: &str = "COPY audit.audit_event (position, id, organization_id, timestamp, received_at, sealed_at,
    principal_id, action, target_resource_type, target_resource_id, status, severity, data_classification,
    retention_policy, correlation_id, leaf_hash, claim, salt, canonical) FROM STDIN (FORMAT binary)";

const COLUMNS: i16 = 19;
/// Signature, no flags, no extension ("COPY", "Binary Format" in PostgreSQL's manual).
const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = [0xff, 0xff];
/// Bytes handed to the connection at once.
const PIECE: usize = 256 << 10;

/// The rows of a commit.
#[derive(Debug)]
pub(crate) struct Rows {
    bytes: Bytes,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
    identities: Vec<Identity>,
}

impl Rows {
    pub(crate) fn encode(events: &[SealedEvent]) -> Result<Self, StoreError> {
        // Beside the canonical event: its copies, about half as much again, and 200 bytes of fixed columns.
        let canonical: usize = events.iter().map(|e| e.draft.canonical().len()).sum();
        let mut out = BytesMut::with_capacity(canonical + canonical / 2 + 200 * events.len());
        let mut ends = Vec::with_capacity(events.len());
        for event in events {
            row(&mut out, event)?;
            ends.push(out.len());
        }
        Ok(Self {
            bytes: out.freeze(),
            ends,
            identities: events
                .iter()
                .map(|event| event.draft.event().identity())
                .collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn identity(&self, row: usize) -> Option<&Identity> {
        self.identities.get(row)
    }

    /// When each event happened.
    pub(crate) fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.identities.iter().map(|identity| identity.timestamp)
    }

    /// What a COPY of these rows is sent, in pieces.
    pub(crate) fn pieces(&self, rows: std::ops::Range<usize>) -> Vec<Bytes> {
        let end_of = |row: usize| {
            row.checked_sub(1)
                .and_then(|row| self.ends.get(row))
                .copied()
        };
        let (start, end) = (
            end_of(rows.start).unwrap_or(0),
            end_of(rows.end).unwrap_or(0),
        );
        let mut pieces = vec![Bytes::from_static(&HEADER)];
        let mut rest = self.bytes.slice(start..end.max(start));
        while !rest.is_empty() {
            pieces.push(rest.split_to(rest.len().min(PIECE)));
        }
        pieces.push(Bytes::from_static(&TRAILER));
        pieces
    }
}

fn row(out: &mut BytesMut, sealed: &SealedEvent) -> Result<(), StoreError> {
    let header = &sealed.header;
    let statement = &sealed.draft.event().statement;
    out.put_i16(COLUMNS);
    eight(out, code::position(header.ledger, header.index.0)?);
    bytes(out, header.id.as_bytes())?;
    bytes(out, header.organization_id.as_str().as_bytes())?;
    time(out, header.timestamp);
    time(out, header.received_at);
    time(out, header.sealed_at);
    optional(out, statement.principal_id.as_deref())?;
    bytes(out, statement.action.as_bytes())?;
    optional(out, statement.target_resource_type.as_deref())?;
    optional(out, statement.target_resource_id.as_deref())?;
    two(out, code::status_code(statement.status));
    two(
        out,
        code::severity_code(statement.severity.unwrap_or(Severity::Info)),
    );
    two(out, code::classification_code(header.data_classification));
    bytes(out, header.retention_policy.as_bytes())?;
    optional(out, statement.correlation_id.as_deref())?;
    bytes(out, &sealed.leaf_hash.0)?;
    bytes(out, &sealed.claim.0)?;
    bytes(out, &sealed.salt.0)?;
    bytes(out, sealed.draft.canonical())
}

fn two(out: &mut BytesMut, value: i16) {
    out.put_i32(2);
    out.put_i16(value);
}

fn eight(out: &mut BytesMut, value: i64) {
    out.put_i32(8);
    out.put_i64(value);
}

fn time(out: &mut BytesMut, at: Timestamp) {
    eight(out, Micros::from(at).to_wire());
}

fn bytes(out: &mut BytesMut, value: &[u8]) -> Result<(), StoreError> {
    let length = i32::try_from(value.len()).map_err(|_source| refused("a column beyond 2 GiB"))?;
    out.put_i32(length);
    out.put_slice(value);
    Ok(())
}

fn optional(out: &mut BytesMut, value: Option<&str>) -> Result<(), StoreError> {
    match value {
        Some(text) => bytes(out, text.as_bytes()),
        None => {
            out.put_i32(-1);
            Ok(())
        }
    }
}
