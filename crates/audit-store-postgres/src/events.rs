//! `EventRead`: events by identity, id and address.

use async_trait::async_trait;
use audit_event::{EventId, Identity, OrganizationId, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::{EventRow, StoredRow};
use audit_store::query::OrganizationScope;
use audit_store::{EventRead, Found, Look, LookAtLeaves, StoreError, StoredEvent};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::code::{LEAF_BITS, bound, ledger_code, position};
use crate::database::Database;
use crate::error::refused;
use crate::row::{
    FOUND, LEAF, LeavesInAnswer, ROW, RowsInAnswer, STORED, position_of, read_found, read_row,
    read_stored, scan_row,
};
use crate::value::{Micros, get};

/// Identities a call may name (`EventRead::find`).
const IDENTITIES_MAX: usize = 10_000;
/// Rows of one statement; a long read is many short ones, so that none holds back the server's clean-up.
const STEP_ROWS: u32 = 10_000;

#[async_trait]
impl EventRead for Database {
    async fn find(&self, identities: &[Identity]) -> Result<Vec<Found>, StoreError> {
        if identities.len() > IDENTITIES_MAX {
            return Err(refused(format!("more than {IDENTITIES_MAX} identities")));
        }
        let ids: Vec<_> = identities.iter().map(|one| uuid(one.id)).collect();
        let organizations: Vec<_> = identities
            .iter()
            .map(|one| one.organization_id.as_str())
            .collect();
        let times: Vec<_> = identities
            .iter()
            .map(|one| Micros::from(one.timestamp))
            .collect();
        // LATERAL with a limit: one probe of the key in the one partition of its month, whatever the planner thinks.
        let sql = format!(
            "SELECT {FOUND} FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS wanted (i, o, t) CROSS JOIN LATERAL (
                SELECT {FOUND} FROM audit.audit_event WHERE id = i AND organization_id = o AND timestamp = t LIMIT 1) AS found"
        );
        let rows = self
            .query("find identities", &sql, &[&ids, &organizations, &times])
            .await?;
        rows.iter().map(read_found).collect()
    }

    async fn by_id(
        &self,
        id: EventId,
        timestamp: Option<Timestamp>,
        scope: &OrganizationScope,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let what = "read an event";
        let order = "ORDER BY organization_id, timestamp";
        let id = uuid(id);
        let rows = match timestamp.map(Micros::from) {
            // The time names the one partition.
            Some(at) => {
                let sql = format!(
                    "SELECT {STORED} FROM audit.audit_event WHERE id = $1 AND timestamp = $2 {order}"
                );
                self.now()
                    .primary
                    .query_everywhere(what, &sql, &[&id, &at])
                    .await?
            }
            None => {
                let sql = format!("SELECT {STORED} FROM audit.audit_event WHERE id = $1 {order}");
                self.now()
                    .primary
                    .query_everywhere(what, &sql, &[&id])
                    .await?
            }
        };
        let mut found = Vec::new();
        for row in &rows {
            let event = read_stored(row)?;
            if may_see(scope, &event.organization_id) {
                found.push(event);
            }
        }
        Ok(found)
    }

    async fn row(
        &self,
        ledger: LedgerId,
        index: LeafIndex,
    ) -> Result<Option<EventRow>, StoreError> {
        let at = position(ledger, index.0)?;
        let sql = format!("SELECT {ROW} FROM audit.audit_event WHERE position = $1");
        let rows = self
            .now()
            .primary
            .query_everywhere("read an event row", &sql, &[&at])
            .await?;
        rows.first().map(read_row).transpose()
    }

    async fn rows(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, to.0)?);
        self.rows_between("read event rows", start, end, max, read_row)
            .await
    }

    async fn scan(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, to.0)?);
        self.rows_between("scan event rows", start, end, max, scan_row)
            .await
    }

    async fn visit(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
        look: Look,
    ) -> Result<(), StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, to.0)?);
        let answers = self.answers_between("visit event rows", ROW, start, end, max);
        let mut rows = RowsInAnswer::new(answers.await?);
        look(&mut rows);
        rows.failure.map_or(Ok(()), Err)
    }

    async fn visit_leaves(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
        look: LookAtLeaves,
    ) -> Result<(), StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, to.0)?);
        let answers = self.answers_between("visit leaves", LEAF, start, end, max);
        look(&mut LeavesInAnswer::new(answers.await?));
        Ok(())
    }

    async fn strays(&self, ledgers: &[LedgerId], max: u32) -> Result<Vec<StoredRow>, StoreError> {
        let mut found = Vec::new();
        for (start, end) in gaps(ledgers)? {
            let room = max.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            let what = "look for stray event rows";
            found.extend(self.rows_between(what, start, end, room, scan_row).await?);
        }
        Ok(found)
    }

    async fn reused_ids(&self, max: u32) -> Result<Vec<Found>, StoreError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut walk = Walk::default();
        let mut last = (Uuid::nil(), String::new(), Micros(i64::MIN));
        // The nil id is before every other, and its own rows come after an empty organisation at minus infinity.
        let sql = "SELECT id, organization_id, timestamp FROM audit.audit_event WHERE (id, organization_id, timestamp) > ($1, $2, $3)
            ORDER BY id, organization_id, timestamp LIMIT $4";
        loop {
            let rows = self
                .now()
                .primary
                .query_range(
                    "look for reused ids",
                    sql,
                    &[
                        (&last.0, Type::UUID),
                        (&last.1, Type::TEXT),
                        (&last.2, Type::TIMESTAMPTZ),
                        (&i64::from(STEP_ROWS), Type::INT8),
                    ],
                )
                .await?;
            for row in &rows {
                last = (
                    get(row, 0, "event id")?,
                    get(row, 1, "event organization")?,
                    get(row, 2, "event time")?,
                );
                walk.see((last.0, &last.1), max);
            }
            if rows.len() < STEP_ROWS as usize || walk.reused.len() >= max {
                break;
            }
        }
        self.addresses(&walk.reused).await
    }
}

impl Database {
    /// Rows in the order of their positions. At most `max` positions; a position that several rows claim gives them all,
    /// because whoever scans goes on behind it.
    async fn rows_between<T>(
        &self,
        what: &'static str,
        start: i64,
        end: i64,
        max: u32,
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.answers_between(what, ROW, start, end, max).await?;
        rows.iter().map(read).collect()
    }

    async fn answers_between(
        &self,
        what: &'static str,
        columns: &str,
        start: i64,
        end: i64,
        max: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM audit.audit_event WHERE position >= $1 AND position < $2 ORDER BY position
            FETCH FIRST $3 ROWS WITH TIES"
        );
        let (mut found, mut next) = (Vec::new(), start);
        loop {
            let room = u64::from(max).saturating_sub(found.len() as u64);
            let step = i64::try_from(room)
                .unwrap_or(i64::MAX)
                .min(STEP_ROWS.into());
            if step == 0 || next >= end {
                return Ok(found);
            }
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&next, Type::INT8), (&end, Type::INT8), (&step, Type::INT8)];
            let rows = self.now().primary.query_range(what, &sql, &params).await?;
            let is_full = rows.len() as u64 >= step.unsigned_abs();
            found.extend(rows);
            match found.last() {
                Some(last) if is_full => next = position_of(last)?.saturating_add(1),
                _ => return Ok(found),
            }
        }
    }

    async fn addresses(&self, pairs: &[(Uuid, String)]) -> Result<Vec<Found>, StoreError> {
        let ids: Vec<_> = pairs.iter().map(|(id, _)| *id).collect();
        let organizations: Vec<_> = pairs.iter().map(|(_, named)| named.as_str()).collect();
        let sql = format!(
            "SELECT {FOUND} FROM unnest($1::uuid[], $2::text[]) AS reused (i, o)
            JOIN audit.audit_event ON id = i AND organization_id = o ORDER BY id, organization_id, timestamp"
        );
        let rows = self
            .query("read reused ids", &sql, &[&ids, &organizations])
            .await?;
        rows.iter().map(read_found).collect()
    }
}

fn uuid(id: EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Whether a scope includes an organisation.
pub(crate) fn may_see(scope: &OrganizationScope, organization: &OrganizationId) -> bool {
    match scope {
        OrganizationScope::All => true,
        OrganizationScope::Only(named) => named.contains(organization),
    }
}

/// Positions that are not leaves of these event ledgers, as ranges (end exclusive).
fn gaps(ledgers: &[LedgerId]) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut events: Vec<_> = ledgers
        .iter()
        .filter(|ledger| matches!(ledger, LedgerId::Events(_)))
        .collect();
    events.sort_unstable();
    let (mut gaps, mut next) = (Vec::new(), i64::MIN);
    for ledger in events {
        let first = i64::from(ledger_code(*ledger)) << LEAF_BITS;
        gaps.push((next, first));
        next = bound(*ledger, u64::MAX)?;
    }
    gaps.push((next, i64::MAX));
    Ok(gaps)
}

/// Walks the key in its order; equal neighbours in (id, organisation) are one reused id.
#[derive(Debug, Default)]
struct Walk {
    previous: Option<(Uuid, String)>,
    reused: Vec<(Uuid, String)>,
}

impl Walk {
    fn see(&mut self, (id, organization): (Uuid, &str), max: usize) {
        let is = |pair: &(Uuid, String)| pair.0 == id && pair.1 == organization;
        if self.previous.as_ref().is_some_and(is) {
            if !self.reused.last().is_some_and(is) && self.reused.len() < max {
                self.reused.push((id, organization.to_owned()));
            }
            return;
        }
        self.previous = Some((id, organization.to_owned()));
    }
}
