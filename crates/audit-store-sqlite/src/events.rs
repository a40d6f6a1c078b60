//! `EventRead`: events by identity, id and address.

use async_trait::async_trait;
use audit_event::{EventId, Identity, OrganizationId, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::{EventRow, RowRef, Rows, StoredRow};
use audit_store::query::OrganizationScope;
use audit_store::{EventRead, Found, Look, StoreError, StoredEvent};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{Connection, Row, params};

use crate::code::{LEAF_BITS, bound, ledger_code, position};
use crate::database::Database;
use crate::error::{Failure, refused};
use crate::row::{
    FOUND, ROW, STORED, leaf_of, read_found, read_row, read_stored, row_ref, scan_row,
};
use crate::step::Step;

/// Identities a call may name (`EventRead::find`).
const IDENTITIES_MAX: usize = 10_000;

#[async_trait]
impl EventRead for Database {
    async fn find(&self, identities: &[Identity]) -> Result<Vec<Found>, StoreError> {
        if identities.len() > IDENTITIES_MAX {
            return Err(refused(format!("more than {IDENTITIES_MAX} identities")));
        }
        let identities = identities.to_vec();
        self.read("find identities", move |connection| {
            find(connection, &identities)
        })
        .await
    }

    async fn by_id(
        &self,
        id: EventId,
        timestamp: Option<Timestamp>,
        scope: &OrganizationScope,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let scope = scope.clone();
        self.read("read an event", move |connection| {
            by_id(connection, id, timestamp, &scope)
        })
        .await
    }

    async fn row(
        &self,
        ledger: LedgerId,
        index: LeafIndex,
    ) -> Result<Option<EventRow>, StoreError> {
        let at = position(ledger, index.0)?;
        self.read("read an event row", move |connection| {
            let sql = format!("SELECT {ROW} FROM audit_event WHERE position = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([at])?;
            match rows.next()? {
                Some(row) => Ok(Some(read_row(row)?)),
                None => Ok(None),
            }
        })
        .await
    }

    async fn rows(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, to.0)?);
        self.read("read event rows", move |connection| {
            rows_between(connection, start, end, max, |row| Ok(read_row(row)?))
        })
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
        self.read("scan event rows", move |connection| {
            rows_between(connection, start, end, max, scan_row)
        })
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
        self.read("visit event rows", move |connection| {
            visit_between(connection, [start, end, i64::from(max)], look)
        })
        .await
    }

    async fn strays(&self, ledgers: &[LedgerId], max: u32) -> Result<Vec<StoredRow>, StoreError> {
        let gaps = gaps(ledgers)?;
        self.read("look for stray event rows", move |connection| {
            let mut found = Vec::new();
            for (start, end) in gaps {
                let room = max.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
                found.extend(rows_between(connection, start, end, room, scan_row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn reused_ids(&self, max: u32) -> Result<Vec<Found>, StoreError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        self.read("look for reused ids", move |connection| {
            reused_ids(connection, max)
        })
        .await
    }
}

fn find(connection: &Connection, identities: &[Identity]) -> Result<Vec<Found>, Failure> {
    let sql = format!(
        "SELECT {FOUND} FROM audit_event WHERE id = ?1 AND organization_id = ?2 AND timestamp = ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for identity in identities {
        let key = params![
            identity.id.as_bytes(),
            identity.organization_id.as_str(),
            identity.timestamp.micros()
        ];
        if let Some(row) = statement.query(key)?.next()? {
            found.push(read_found(row)?);
        }
    }
    Ok(found)
}

fn by_id(
    connection: &Connection,
    id: EventId,
    timestamp: Option<Timestamp>,
    scope: &OrganizationScope,
) -> Result<Vec<StoredEvent>, Failure> {
    let sql = format!(
        "SELECT {STORED} FROM audit_event WHERE id = ?1 ORDER BY organization_id, timestamp"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let event = read_stored(row)?;
        if may_see(scope, &event.organization_id)
            && timestamp.is_none_or(|at| at == event.timestamp)
        {
            found.push(event);
        }
    }
    Ok(found)
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

/// Rows for which room is made before they are read.
const AHEAD: usize = 4_096;

fn rows_between<T>(
    connection: &mut Connection,
    start: i64,
    end: i64,
    max: u32,
    read: impl Fn(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let sql = format!(
        "SELECT {ROW} FROM audit_event WHERE position >= ?1 AND position < ?2 ORDER BY position"
    );
    // As many as are asked for is what verification finds; growing would copy the large rows again and again.
    let mut found = Vec::with_capacity(max.min(AHEAD));
    let mut next = Some(start);
    while let Some(from) = next.take() {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([from, end])?;
        let mut step = Step::begin();
        while found.len() < max
            && let Some(row) = rows.next()?
        {
            if step.is_over() {
                next = Some(row.get(0)?);
                break;
            }
            found.push(read(row)?);
            step.count(1);
        }
    }
    Ok(found)
}

/// One read transaction, as long as `look` takes: its caller bounds it by the number of rows.
fn visit_between(
    connection: &mut Connection,
    [start, end, max]: [i64; 3],
    look: Look,
) -> Result<(), Failure> {
    let sql = format!(
        "SELECT {ROW} FROM audit_event WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = RowsInPlace::new(statement.query([start, end, max])?);
    look(&mut rows);
    rows.failure.map_or(Ok(()), Err)
}

/// Rows of a running statement, shown where SQLite has them. After a failure there are no more.
struct RowsInPlace<'stmt> {
    rows: rusqlite::Rows<'stmt>,
    /// Of the next row; asked for more often than the row.
    leaf: Option<LeafIndex>,
    failure: Option<Failure>,
}

impl<'stmt> RowsInPlace<'stmt> {
    fn new(rows: rusqlite::Rows<'stmt>) -> Self {
        let mut this = Self {
            rows,
            leaf: None,
            failure: None,
        };
        this.skip();
        this
    }
}

impl Rows for RowsInPlace<'_> {
    fn leaf(&self) -> Option<LeafIndex> {
        self.leaf
    }

    fn next_row(&self) -> Option<RowRef<'_>> {
        self.rows.get().and_then(|row| row_ref(row).ok())
    }

    fn take(&mut self) -> Option<StoredRow> {
        let row = scan_row(self.rows.get()?);
        self.skip();
        row.map_err(|failure| self.failure = Some(failure)).ok()
    }

    fn skip(&mut self) {
        if let Err(error) = self.rows.advance() {
            self.failure = Some(error.into());
        }
        self.leaf = self.rows.get().and_then(leaf_of);
    }
}

/// Walks the identity index in its order; equal neighbours in (id, organisation) are one reused id.
fn reused_ids(connection: &mut Connection, max: usize) -> Result<Vec<Found>, Failure> {
    let sql = "SELECT id, organization_id, timestamp FROM audit_event INDEXED BY event_identity
         WHERE (id, organization_id, timestamp) > (?1, ?2, ?3) ORDER BY id, organization_id, timestamp";
    let mut walk = Walk::default();
    let mut last: Option<(Vec<u8>, String, i64)> = Some((Vec::new(), String::new(), i64::MIN));
    while let Some((id, organization, timestamp)) = last.take() {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, organization, timestamp])?;
        let mut step = Step::begin();
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?, row.get(2)?);
            walk.see(&key, max);
            step.count(1);
            if step.is_over() {
                last = Some(key);
                break;
            }
        }
        if walk.reused.len() >= max {
            break;
        }
    }
    addresses(connection, &walk.reused)
}

/// Which ids the walk over the index has met twice.
#[derive(Debug, Default)]
struct Walk {
    previous: Option<(Vec<u8>, String)>,
    reused: Vec<(Vec<u8>, String)>,
}

impl Walk {
    fn see(&mut self, key: &(Vec<u8>, String, i64), max: usize) {
        let pair = (key.0.clone(), key.1.clone());
        if self.previous.as_ref() == Some(&pair) {
            if self.reused.last() != Some(&pair) && self.reused.len() < max {
                self.reused.push(pair);
            }
            return;
        }
        self.previous = Some(pair);
    }
}

fn addresses(connection: &Connection, pairs: &[(Vec<u8>, String)]) -> Result<Vec<Found>, Failure> {
    let sql = format!(
        "SELECT {FOUND} FROM audit_event WHERE id = ?1 AND organization_id = ?2 ORDER BY timestamp"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for (id, organization) in pairs {
        let mut rows = statement.query(params![id, organization])?;
        while let Some(row) = rows.next()? {
            found.push(read_found(row)?);
        }
    }
    Ok(found)
}
