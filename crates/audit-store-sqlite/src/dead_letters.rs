//! `DeadLetters`: list, inspect, mark as replayed, purge. They are written by a commit only.

use async_trait::async_trait;
use audit_event::{EventId, OrganizationId, Timestamp};
use audit_store::{DeadLetter, DeadLetterFilter, DeadLetters, NewDeadLetter, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::code::{fixed, reason_of, reason_text, time, uint, uint32};
use crate::database::Database;
use crate::error::{Failure, malformed, refused};

/// Letters a page may have (`DeadLetterFilter::limit`).
const LIMIT_MAX: u32 = 1_000;

const LETTER: &str =
    "id, frame_id, frame_index, event_id, organization_id, reason, detail, payload, received_at,
    dead_at, replayed_at, replayed_as";

#[async_trait]
impl DeadLetters for Database {
    async fn list(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, StoreError> {
        if !(1..=LIMIT_MAX).contains(&filter.limit) {
            return Err(refused(format!("a page has 1 to {LIMIT_MAX} dead letters")));
        }
        let filter = filter.clone();
        self.read("list dead letters", move |connection| {
            list(connection, &filter)
        })
        .await
    }

    async fn get(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        self.read("read a dead letter", move |connection| {
            let sql = format!("SELECT {LETTER} FROM dead_letter WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([id.as_bytes()])?;
            match rows.next()? {
                Some(row) => Ok(Some(read(row)?)),
                None => Ok(None),
            }
        })
        .await
    }

    async fn mark_replayed(
        &self,
        id: EventId,
        at: Timestamp,
        frame_id: [u8; 16],
    ) -> Result<bool, StoreError> {
        self.write("mark a dead letter", move |transaction| {
            let sql = "UPDATE dead_letter SET replayed_at = ?2, replayed_as = ?3 WHERE id = ?1 AND replayed_at IS NULL";
            Ok(transaction.execute(sql, params![id.as_bytes(), at.micros(), frame_id])? == 1)
        })
        .await
    }

    async fn purge(&self, id: EventId) -> Result<bool, StoreError> {
        self.write("purge a dead letter", move |transaction| {
            Ok(transaction.execute("DELETE FROM dead_letter WHERE id = ?1", [id.as_bytes()])? == 1)
        })
        .await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.read("count dead letters", |connection| {
            let sql = "SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL";
            let count: i64 = connection
                .prepare_cached(sql)?
                .query_row((), |row| row.get(0))?;
            Ok(uint(count, "dead letters")?)
        })
        .await
    }
}

fn list(connection: &Connection, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Failure> {
    let after = filter
        .after
        .map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let mut sql = format!("SELECT {LETTER} FROM dead_letter WHERE id > ?");
    let mut values = vec![Value::Blob(after)];
    if let Some(organizations) = &filter.organizations {
        let marks = vec!["?"; organizations.len()].join(", ");
        sql.push_str(&format!(" AND organization_id IN ({marks})"));
        values.extend(
            organizations
                .iter()
                .map(|named| Value::Text(named.as_str().to_owned())),
        );
    }
    if let Some(reason) = filter.reason {
        sql.push_str(" AND reason = ?");
        values.push(Value::Text(reason_text(reason)?.to_owned()));
    }
    if !filter.include_replayed {
        sql.push_str(" AND replayed_at IS NULL");
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(Value::Integer(filter.limit.into()));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<DeadLetter, Failure> {
    let letter = NewDeadLetter {
        id: EventId::from_bytes(bytes(row, 0, "id")?),
        frame_id: bytes(row, 1, "frame id")?,
        frame_index: uint32(row.get(2)?, "dead letter frame index")?,
        event_id: optional_bytes(row, 3, "event id")?.map(EventId::from_bytes),
        organization_id: OrganizationId::new(&row.get::<_, String>(4)?),
        reason: reason_of(&row.get::<_, String>(5)?)?,
        detail: row.get(6)?,
        payload: row.get(7)?,
        received_at: optional_time(row, 8)?,
        dead_at: time(row.get(9)?, "dead letter time")?,
    };
    let replayed = match (
        optional_time(row, 10)?,
        optional_bytes(row, 11, "replayed as")?,
    ) {
        (Some(at), Some(frame)) => Some((at, frame)),
        (None, None) => None,
        _ => return Err(malformed("dead letter: half of a replay").into()),
    };
    Ok(DeadLetter { letter, replayed })
}

fn bytes<const N: usize>(row: &Row<'_>, index: usize, what: &str) -> Result<[u8; N], Failure> {
    let bytes = row
        .get_ref(index)?
        .as_blob()
        .map_err(|_type| malformed(format!("dead letter {what}")))?;
    Ok(fixed(bytes, what)?)
}

fn optional_bytes<const N: usize>(
    row: &Row<'_>,
    index: usize,
    what: &str,
) -> Result<Option<[u8; N]>, Failure> {
    let bytes = row
        .get_ref(index)?
        .as_blob_or_null()
        .map_err(|_type| malformed(format!("dead letter {what}")))?;
    Ok(bytes.map(|bytes| fixed(bytes, what)).transpose()?)
}

fn optional_time(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>, Failure> {
    let micros: Option<i64> = row.get(index)?;
    Ok(micros
        .map(|micros| time(micros, "dead letter time"))
        .transpose()?)
}
