//! Event rows: columns in one order, bound and read in one place.

use audit_event::{EventId, Identity, OrganizationId};
use audit_integrity::entry::Salt;
use audit_integrity::ledger::{Digest, LeafIndex};
use audit_integrity::row::{EventRow, RowRef, StoredRow};
use audit_store::{Found, StoreError, StoredEvent};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, Statement, ToSql};

use crate::code;
use crate::error::{Failure, malformed};

/// Inserts one event; parameters in the order of [`EventColumns::bind`].
pub(crate) const INSERT: &str = "INSERT INTO audit_event (position, id, organization_id, timestamp, received_at,
    sealed_at, principal_id, action, target_resource_type, target_resource_id, status, severity, data_classification,
    retention_policy, correlation_id, leaf_hash, claim, salt, canonical)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// The columns of [`read_row`], in order.
pub(crate) const ROW: &str = "position, id, organization_id, timestamp, received_at, sealed_at, principal_id, action,
    target_resource_type, target_resource_id, status, severity, data_classification, retention_policy, correlation_id,
    leaf_hash, claim, salt, canonical";

/// The columns of [`read_stored`], in order.
pub(crate) const STORED: &str =
    "position, id, organization_id, timestamp, sealed_at, leaf_hash, canonical";

/// The columns of [`read_found`], in order.
pub(crate) const FOUND: &str = "position, id, organization_id, timestamp, claim, leaf_hash";

/// Text whose bytes are known to be UTF-8, or came from the database; SQLite is told so without another look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// One event's columns, borrowed from wherever they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventColumns<'a> {
    pub(crate) position: i64,
    pub(crate) id: &'a [u8; 16],
    pub(crate) organization_id: Text<'a>,
    pub(crate) timestamp: i64,
    pub(crate) received_at: i64,
    pub(crate) sealed_at: i64,
    pub(crate) principal_id: Option<Text<'a>>,
    pub(crate) action: Text<'a>,
    pub(crate) target_resource_type: Option<Text<'a>>,
    pub(crate) target_resource_id: Option<Text<'a>>,
    pub(crate) status: i16,
    pub(crate) severity: i16,
    pub(crate) data_classification: i16,
    pub(crate) retention_policy: Text<'a>,
    pub(crate) correlation_id: Option<Text<'a>>,
    pub(crate) leaf_hash: &'a [u8; 32],
    pub(crate) claim: &'a [u8; 32],
    pub(crate) salt: Option<&'a [u8; 16]>,
    pub(crate) canonical: Option<Text<'a>>,
}

impl EventColumns<'_> {
    /// Inserts the row with a statement prepared from [`INSERT`].
    pub(crate) fn insert(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        self.bind(statement)?;
        statement.raw_execute().map(|_one| ())
    }

    fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.position)?;
        statement.raw_bind_parameter(2, self.id.as_slice())?;
        statement.raw_bind_parameter(3, self.organization_id)?;
        statement.raw_bind_parameter(4, self.timestamp)?;
        statement.raw_bind_parameter(5, self.received_at)?;
        statement.raw_bind_parameter(6, self.sealed_at)?;
        statement.raw_bind_parameter(7, self.principal_id)?;
        statement.raw_bind_parameter(8, self.action)?;
        statement.raw_bind_parameter(9, self.target_resource_type)?;
        statement.raw_bind_parameter(10, self.target_resource_id)?;
        statement.raw_bind_parameter(11, self.status)?;
        statement.raw_bind_parameter(12, self.severity)?;
        statement.raw_bind_parameter(13, self.data_classification)?;
        statement.raw_bind_parameter(14, self.retention_policy)?;
        statement.raw_bind_parameter(15, self.correlation_id)?;
        statement.raw_bind_parameter(16, self.leaf_hash.as_slice())?;
        statement.raw_bind_parameter(17, self.claim.as_slice())?;
        statement.raw_bind_parameter(18, self.salt.map(<[u8; 16]>::as_slice))?;
        statement.raw_bind_parameter(19, self.canonical)
    }
}

/// The columns of a row that is in memory.
pub(crate) fn columns_of(row: &EventRow) -> Result<EventColumns<'_>, StoreError> {
    Ok(EventColumns {
        position: code::position(row.ledger, row.leaf_index.0)?,
        id: row.id.as_bytes(),
        organization_id: Text(row.organization_id.as_str().as_bytes()),
        timestamp: row.timestamp.micros(),
        received_at: row.received_at.micros(),
        sealed_at: row.sealed_at.micros(),
        principal_id: optional(row.principal_id.as_deref()),
        action: Text(row.action.as_bytes()),
        target_resource_type: optional(row.target_resource_type.as_deref()),
        target_resource_id: optional(row.target_resource_id.as_deref()),
        status: code::status_code(row.status),
        severity: code::severity_code(row.severity),
        data_classification: code::classification_code(row.data_classification),
        retention_policy: Text(row.retention_policy.as_bytes()),
        correlation_id: optional(row.correlation_id.as_deref()),
        leaf_hash: &row.leaf_hash.0,
        claim: &row.claim.0,
        salt: row.salt.as_ref().map(|salt| &salt.0),
        canonical: row.canonical.as_deref().map(Text),
    })
}

fn optional(text: Option<&str>) -> Option<Text<'_>> {
    text.map(|text| Text(text.as_bytes()))
}

/// Reads one column; an error names the row's address and the column.
struct Reader<'a, 'stmt> {
    row: &'a Row<'stmt>,
    position: i64,
}

impl<'a> Reader<'a, '_> {
    fn new<'stmt>(row: &'a Row<'stmt>) -> Result<Reader<'a, 'stmt>, StoreError> {
        let position = match row.get_ref(0) {
            Ok(ValueRef::Integer(position)) => position,
            _ => return Err(malformed("event row: position")),
        };
        Ok(Reader { row, position })
    }

    fn bad(&self, column: &str) -> StoreError {
        match code::address(self.position) {
            Ok((ledger, index)) => malformed(format!(
                "event row at ledger {ledger}, leaf {}: {column}",
                index.0
            )),
            Err(error) => error,
        }
    }

    fn value(&self, index: usize, column: &str) -> Result<ValueRef<'a>, StoreError> {
        self.row.get_ref(index).map_err(|_source| self.bad(column))
    }

    fn int(&self, index: usize, column: &str) -> Result<i64, StoreError> {
        match self.value(index, column)? {
            ValueRef::Integer(value) => Ok(value),
            _ => Err(self.bad(column)),
        }
    }

    fn time(&self, index: usize, column: &str) -> Result<audit_event::Timestamp, StoreError> {
        audit_event::Timestamp::from_micros(self.int(index, column)?)
            .ok_or_else(|| self.bad(column))
    }

    fn code<T>(
        &self,
        index: usize,
        column: &str,
        of: impl Fn(i64) -> Option<T>,
    ) -> Result<T, StoreError> {
        of(self.int(index, column)?).ok_or_else(|| self.bad(column))
    }

    fn text(&self, index: usize, column: &str) -> Result<&'a str, StoreError> {
        self.text_of(self.value(index, column)?, column)
    }

    fn text_of(&self, value: ValueRef<'a>, column: &str) -> Result<&'a str, StoreError> {
        match value {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_source| self.bad(column)),
            _ => Err(self.bad(column)),
        }
    }

    fn optional_text(&self, index: usize, column: &str) -> Result<Option<&'a str>, StoreError> {
        match self.value(index, column)? {
            ValueRef::Null => Ok(None),
            value => self.text_of(value, column).map(Some),
        }
    }

    fn bytes<const N: usize>(&self, index: usize, column: &str) -> Result<[u8; N], StoreError> {
        self.bytes_of(self.value(index, column)?, column)
    }

    fn bytes_of<const N: usize>(
        &self,
        value: ValueRef<'a>,
        column: &str,
    ) -> Result<[u8; N], StoreError> {
        match value {
            ValueRef::Blob(bytes) => <[u8; N]>::try_from(bytes).map_err(|_source| self.bad(column)),
            _ => Err(self.bad(column)),
        }
    }

    fn salt(&self, index: usize) -> Result<Option<Salt>, StoreError> {
        match self.value(index, "salt")? {
            ValueRef::Null => Ok(None),
            value => self.bytes_of(value, "salt").map(|bytes| Some(Salt(bytes))),
        }
    }

    /// Not checked to be UTF-8: whoever parses it does, and verification must see the bytes as they are.
    fn canonical(&self, index: usize) -> Result<Option<&'a [u8]>, StoreError> {
        match self.value(index, "canonical")? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => Ok(Some(bytes)),
            _ => Err(self.bad("canonical")),
        }
    }
}

/// A row of [`ROW`].
pub(crate) fn read_row(row: &Row<'_>) -> Result<EventRow, StoreError> {
    row_ref(row).map(|row| row.to_row())
}

/// A row of [`ROW`], as it lies in SQLite's memory.
pub(crate) fn row_ref<'a>(row: &'a Row<'_>) -> Result<RowRef<'a>, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    Ok(RowRef {
        ledger,
        leaf_index,
        id: EventId::from_bytes(read.bytes(1, "id")?),
        organization_id: read.text(2, "organization_id")?,
        timestamp: read.time(3, "timestamp")?,
        received_at: read.time(4, "received_at")?,
        sealed_at: read.time(5, "sealed_at")?,
        principal_id: read.optional_text(6, "principal_id")?,
        action: read.text(7, "action")?,
        target_resource_type: read.optional_text(8, "target_resource_type")?,
        target_resource_id: read.optional_text(9, "target_resource_id")?,
        status: read.code(10, "status", code::status_of)?,
        severity: read.code(11, "severity", code::severity_of)?,
        data_classification: read.code(12, "data_classification", code::classification_of)?,
        retention_policy: read.text(13, "retention_policy")?,
        correlation_id: read.optional_text(14, "correlation_id")?,
        leaf_hash: Digest(read.bytes(15, "leaf_hash")?),
        claim: Digest(read.bytes(16, "claim")?),
        salt: read.salt(17)?,
        canonical: read.canonical(18)?,
    })
}

/// The leaf under whose address a row of [`ROW`] is stored; as [`scan_row`] has it where no ledger has such an address.
pub(crate) fn leaf_of(row: &Row<'_>) -> Option<LeafIndex> {
    let position = Reader::new(row).ok()?.position;
    Some(code::scanned_address(position).1)
}

/// A row of [`ROW`] as verification meets it. Only its position must be readable; a ledger number that none can have counts as
/// the greatest.
pub(crate) fn scan_row(row: &Row<'_>) -> Result<StoredRow, Failure> {
    let error = match read_row(row) {
        Ok(row) => return Ok(StoredRow::Readable(row)),
        Err(StoreError::Malformed { what }) => what,
        Err(error) => return Err(error.into()),
    };
    let position = Reader::new(row)?.position;
    let (ledger, leaf_index) = code::scanned_address(position);
    // `Reader::bad` names the column last.
    let column = error.rsplit(": ").next().unwrap_or_default().to_owned();
    let event_id = Reader::new(row)?.bytes(1, "id").ok();
    Ok(StoredRow::Unreadable {
        ledger,
        leaf_index,
        column,
        event_id: event_id.map(EventId::from_bytes),
    })
}

/// A row of [`STORED`].
pub(crate) fn read_stored(row: &Row<'_>) -> Result<StoredEvent, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    Ok(StoredEvent {
        id: EventId::from_bytes(read.bytes(1, "id")?),
        organization_id: OrganizationId::new(read.text(2, "organization_id")?),
        timestamp: read.time(3, "timestamp")?,
        sealed_at: read.time(4, "sealed_at")?,
        leaf_hash: Digest(read.bytes(5, "leaf_hash")?),
        canonical: read.canonical(6)?.map(<[u8]>::to_vec),
        ledger,
        leaf_index,
    })
}

/// A row of [`FOUND`].
pub(crate) fn read_found(row: &Row<'_>) -> Result<Found, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    let identity = Identity {
        id: EventId::from_bytes(read.bytes(1, "id")?),
        organization_id: OrganizationId::new(read.text(2, "organization_id")?),
        timestamp: read.time(3, "timestamp")?,
    };
    Ok(Found {
        identity,
        claim: Digest(read.bytes(4, "claim")?),
        leaf_hash: Digest(read.bytes(5, "leaf_hash")?),
        ledger,
        leaf_index,
    })
}
