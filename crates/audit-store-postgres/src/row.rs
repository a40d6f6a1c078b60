//! Event rows: columns in one order, read in one place.

use audit_event::{EventId, Identity, OrganizationId};
use audit_integrity::entry::Salt;
use audit_integrity::ledger::{Digest, LeafIndex};
use audit_integrity::row::{EventRow, LeafRef, Leaves, RowRef, Rows, StoredRow};
use audit_store::{Found, StoreError, StoredEvent};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::code;
use crate::error::malformed;
use crate::value::{Micros, get};

/// The columns of [`read_row`], in order.
pub(crate) const ROW: &str = "position, id, organization_id, timestamp, received_at, sealed_at, principal_id, action,
    target_resource_type, target_resource_id, status, severity, data_classification, retention_policy, correlation_id,
    leaf_hash, claim, salt, canonical";

/// The columns of [`LeavesInAnswer`], in order.
pub(crate) const LEAF: &str =
    "position, id, organization_id, timestamp, received_at, sealed_at, data_classification,
    retention_policy, leaf_hash, salt, canonical";

/// The columns of [`read_stored`], in order.
pub(crate) const STORED: &str =
    "position, id, organization_id, timestamp, sealed_at, leaf_hash, canonical";

/// The columns of [`read_found`], in order.
pub(crate) const FOUND: &str = "position, id, organization_id, timestamp, claim, leaf_hash";

/// Reads one column; an error names the row's address and the column.
struct Reader<'a> {
    row: &'a Row,
    position: i64,
}

impl<'a> Reader<'a> {
    fn new(row: &'a Row) -> Result<Self, StoreError> {
        let position = get(row, 0, "event row: position")?;
        Ok(Self { row, position })
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

    fn value<T: FromSql<'a>>(&self, index: usize, column: &str) -> Result<T, StoreError> {
        self.row.try_get(index).map_err(|_source| self.bad(column))
    }

    fn id(&self) -> Result<EventId, StoreError> {
        let id: Uuid = self.value(1, "id")?;
        Ok(EventId::from_bytes(id.into_bytes()))
    }

    fn organization(&self) -> Result<OrganizationId, StoreError> {
        Ok(OrganizationId::new(self.value(2, "organization_id")?))
    }

    fn time(&self, index: usize, column: &str) -> Result<audit_event::Timestamp, StoreError> {
        let Micros(micros) = self.value(index, column)?;
        audit_event::Timestamp::from_micros(micros).ok_or_else(|| self.bad(column))
    }

    fn code<T>(
        &self,
        index: usize,
        column: &str,
        of: impl Fn(i64) -> Option<T>,
    ) -> Result<T, StoreError> {
        let code: i16 = self.value(index, column)?;
        of(i64::from(code)).ok_or_else(|| self.bad(column))
    }

    fn digest(&self, index: usize, column: &str) -> Result<Digest, StoreError> {
        let bytes: &[u8] = self.value(index, column)?;
        code::digest(bytes, column).map_err(|_length| self.bad(column))
    }

    fn salt(&self, index: usize) -> Result<Option<Salt>, StoreError> {
        let bytes: Option<&[u8]> = self.value(index, "salt")?;
        bytes
            .map(|bytes| code::fixed(bytes, "salt").map(Salt))
            .transpose()
            .map_err(|_length| self.bad("salt"))
    }

    fn canonical(&self, index: usize) -> Result<Option<&'a [u8]>, StoreError> {
        let text: Option<&str> = self.value(index, "canonical")?;
        Ok(text.map(str::as_bytes))
    }
}

/// A row of [`ROW`].
pub(crate) fn read_row(row: &Row) -> Result<EventRow, StoreError> {
    row_ref(row).map(|row| row.to_row())
}

/// A row of [`ROW`], as it lies in the server's answer.
pub(crate) fn row_ref(row: &Row) -> Result<RowRef<'_>, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    Ok(RowRef {
        ledger,
        leaf_index,
        id: read.id()?,
        organization_id: read.value(2, "organization_id")?,
        timestamp: read.time(3, "timestamp")?,
        received_at: read.time(4, "received_at")?,
        sealed_at: read.time(5, "sealed_at")?,
        principal_id: read.value(6, "principal_id")?,
        action: read.value(7, "action")?,
        target_resource_type: read.value(8, "target_resource_type")?,
        target_resource_id: read.value(9, "target_resource_id")?,
        status: read.code(10, "status", code::status_of)?,
        severity: read.code(11, "severity", code::severity_of)?,
        data_classification: read.code(12, "data_classification", code::classification_of)?,
        retention_policy: read.value(13, "retention_policy")?,
        correlation_id: read.value(14, "correlation_id")?,
        leaf_hash: read.digest(15, "leaf_hash")?,
        claim: read.digest(16, "claim")?,
        salt: read.salt(17)?,
        canonical: read.canonical(18)?,
    })
}

/// Rows of [`ROW`], shown where the server's answer has them. After one without a position there are no more.
pub(crate) struct RowsInAnswer {
    rows: std::vec::IntoIter<Row>,
    pub(crate) failure: Option<StoreError>,
}

impl RowsInAnswer {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self {
            rows: rows.into_iter(),
            failure: None,
        }
    }

    fn first(&self) -> Option<&Row> {
        self.rows.as_slice().first()
    }
}

/// Rows of [`LEAF`], shown where the server's answer has them.
pub(crate) struct LeavesInAnswer(std::vec::IntoIter<Row>);

impl LeavesInAnswer {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self(rows.into_iter())
    }
}

impl Leaves for LeavesInAnswer {
    fn next_leaf(&self) -> Option<LeafRef<'_>> {
        leaf_ref(self.0.as_slice().first()?).ok()
    }

    fn skip(&mut self) {
        self.0.next();
    }
}

/// A row of [`LEAF`], as it lies in the server's answer.
fn leaf_ref(row: &Row) -> Result<LeafRef<'_>, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    Ok(LeafRef {
        ledger,
        leaf_index,
        id: read.id()?,
        organization_id: read.value(2, "organization_id")?,
        timestamp: read.time(3, "timestamp")?,
        received_at: read.time(4, "received_at")?,
        sealed_at: read.time(5, "sealed_at")?,
        data_classification: read.code(6, "data_classification", code::classification_of)?,
        retention_policy: read.value(7, "retention_policy")?,
        leaf_hash: read.digest(8, "leaf_hash")?,
        salt: read.salt(9)?,
        canonical: read.canonical(10)?,
    })
}

impl Rows for RowsInAnswer {
    fn leaf(&self) -> Option<LeafIndex> {
        let position = Reader::new(self.first()?).ok()?.position;
        Some(code::scanned_address(position).1)
    }

    fn next_row(&self) -> Option<RowRef<'_>> {
        row_ref(self.first()?).ok()
    }

    fn take(&mut self) -> Option<StoredRow> {
        let row = scan_row(&self.rows.next()?);
        row.map_err(|failure| self.failure = Some(failure)).ok()
    }

    fn skip(&mut self) {
        self.rows.next();
    }
}

/// A row of [`ROW`] as verification meets it. Only its position must be readable.
pub(crate) fn scan_row(row: &Row) -> Result<StoredRow, StoreError> {
    let error = match read_row(row) {
        Ok(row) => return Ok(StoredRow::Readable(row)),
        Err(StoreError::Malformed { what }) => what,
        Err(error) => return Err(error),
    };
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::scanned_address(read.position);
    // `Reader::bad` names the column last.
    let column = error.rsplit(": ").next().unwrap_or_default().to_owned();
    Ok(StoredRow::Unreadable {
        ledger,
        leaf_index,
        column,
        event_id: read.id().ok(),
    })
}

/// A row of [`STORED`].
pub(crate) fn read_stored(row: &Row) -> Result<StoredEvent, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    Ok(StoredEvent {
        id: read.id()?,
        organization_id: read.organization()?,
        timestamp: read.time(3, "timestamp")?,
        sealed_at: read.time(4, "sealed_at")?,
        leaf_hash: read.digest(5, "leaf_hash")?,
        canonical: read.canonical(6)?.map(<[u8]>::to_vec),
        ledger,
        leaf_index,
    })
}

/// A row of [`FOUND`].
pub(crate) fn read_found(row: &Row) -> Result<Found, StoreError> {
    let read = Reader::new(row)?;
    let (ledger, leaf_index) = code::address(read.position)?;
    let identity = Identity {
        id: read.id()?,
        organization_id: read.organization()?,
        timestamp: read.time(3, "timestamp")?,
    };
    Ok(Found {
        identity,
        claim: read.digest(4, "claim")?,
        leaf_hash: read.digest(5, "leaf_hash")?,
        ledger,
        leaf_index,
    })
}

/// The position of a row of any of these.
pub(crate) fn position_of(row: &Row) -> Result<i64, StoreError> {
    get(row, 0, "event row: position")
}
