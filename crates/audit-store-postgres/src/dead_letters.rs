//! `DeadLetters`: list, inspect, mark as replayed, purge. They are written by a commit only.

use async_trait::async_trait;
use audit_event::{EventId, OrganizationId, Timestamp};
use audit_store::{DeadLetter, DeadLetterFilter, DeadLetters, NewDeadLetter, StoreError};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::code::{reason_of, reason_text, uint, uint32};
use crate::database::Database;
use crate::error::{malformed, refused};
use crate::value::{Micros, get, optional_time, time};

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
        let after = filter.after.map_or(Uuid::nil(), uuid);
        let organizations: Option<Vec<&str>> = filter
            .organizations
            .as_ref()
            .map(|named| named.iter().map(OrganizationId::as_str).collect());
        let reason = filter.reason.map(reason_text).transpose()?;
        let sql = format!(
            "SELECT {LETTER} FROM audit.dead_letter WHERE id > $1 AND ($2::text[] IS NULL OR organization_id = ANY ($2))
                AND ($3::text IS NULL OR reason = $3) AND ($4 OR replayed_at IS NULL) ORDER BY id LIMIT $5"
        );
        let limit = i64::from(filter.limit);
        let rows = self
            .query(
                "list dead letters",
                &sql,
                &[
                    &after,
                    &organizations,
                    &reason,
                    &filter.include_replayed,
                    &limit,
                ],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    async fn get(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        let sql = format!("SELECT {LETTER} FROM audit.dead_letter WHERE id = $1");
        let found = self
            .query_opt("read a dead letter", &sql, &[&uuid(id)])
            .await?;
        found.as_ref().map(read).transpose()
    }

    async fn mark_replayed(
        &self,
        id: EventId,
        at: Timestamp,
        frame_id: [u8; 16],
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE audit.dead_letter SET replayed_at = $2, replayed_as = $3 WHERE id = $1 AND replayed_at IS NULL";
        let marked = self
            .execute(
                "mark a dead letter",
                sql,
                &[&uuid(id), &Micros::from(at), &Uuid::from_bytes(frame_id)],
            )
            .await?;
        Ok(marked == 1)
    }

    async fn purge(&self, id: EventId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM audit.dead_letter WHERE id = $1";
        Ok(self
            .execute("purge a dead letter", sql, &[&uuid(id)])
            .await?
            == 1)
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM audit.dead_letter WHERE replayed_at IS NULL";
        let found = self.query_opt("count dead letters", sql, &[]).await?;
        let row = found.ok_or_else(|| malformed("dead letters: no count"))?;
        uint(get(&row, 0, "dead letters")?, "dead letters")
    }
}

fn uuid(id: EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn read(row: &Row) -> Result<DeadLetter, StoreError> {
    let event_id: Option<Uuid> = get(row, 3, "dead letter event id")?;
    let frame_index = get(row, 2, "dead letter frame index")?;
    let letter = NewDeadLetter {
        id: EventId::from_bytes(get::<Uuid>(row, 0, "dead letter id")?.into_bytes()),
        frame_id: get::<Uuid>(row, 1, "dead letter frame id")?.into_bytes(),
        frame_index: uint32(frame_index, "dead letter frame index")?,
        event_id: event_id.map(|id| EventId::from_bytes(id.into_bytes())),
        organization_id: OrganizationId::new(get(row, 4, "dead letter organization")?),
        reason: reason_of(get(row, 5, "dead letter reason")?)?,
        detail: get(row, 6, "dead letter detail")?,
        payload: get(row, 7, "dead letter payload")?,
        received_at: optional_time(row, 8, "dead letter time")?,
        dead_at: time(row, 9, "dead letter time")?,
    };
    let at = optional_time(row, 10, "dead letter time")?;
    let frame: Option<Uuid> = get(row, 11, "dead letter replayed as")?;
    let replayed = match (at, frame) {
        (Some(at), Some(frame)) => Some((at, frame.into_bytes())),
        (None, None) => None,
        _ => return Err(malformed("dead letter: half of a replay")),
    };
    Ok(DeadLetter { letter, replayed })
}
