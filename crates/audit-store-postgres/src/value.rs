//! Values of PostgreSQL that have no type of their own in Rust, and reading columns.

use audit_event::Timestamp;
use audit_store::StoreError;
use bytes::{BufMut, BytesMut};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::error::malformed;

/// From 1970-01-01 to 2000-01-01, in microseconds: PostgreSQL counts from there.
const SHIFT: i64 = 946_684_800_000_000;

type Error = Box<dyn std::error::Error + Sync + Send>;

/// A `timestamptz`, in microseconds since 1970. Read, it may be any value that PostgreSQL can hold, infinity too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Micros(pub(crate) i64);

impl Micros {
    /// As PostgreSQL writes it; a time before its beginning is minus infinity.
    pub(crate) fn to_wire(self) -> i64 {
        self.0.saturating_sub(SHIFT)
    }
}

impl From<Timestamp> for Micros {
    fn from(at: Timestamp) -> Self {
        Self(at.micros())
    }
}

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Error> {
        out.put_i64(self.to_wire());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Error> {
        let wire = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(wire.saturating_add(SHIFT)))
    }

    accepts!(TIMESTAMPTZ);
}

/// One column; an error says which it is.
pub(crate) fn get<'a, T: FromSql<'a>>(
    row: &'a Row,
    index: usize,
    what: &str,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_source| malformed(what))
}

/// A time.
pub(crate) fn time(row: &Row, index: usize, what: &str) -> Result<Timestamp, StoreError> {
    let Micros(micros) = get(row, index, what)?;
    Timestamp::from_micros(micros).ok_or_else(|| malformed(format!("{what}: no such time")))
}

/// A time, or none.
pub(crate) fn optional_time(
    row: &Row,
    index: usize,
    what: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let found: Option<Micros> = get(row, index, what)?;
    found
        .map(|Micros(micros)| {
            Timestamp::from_micros(micros).ok_or_else(|| malformed(format!("{what}: no such time")))
        })
        .transpose()
}
