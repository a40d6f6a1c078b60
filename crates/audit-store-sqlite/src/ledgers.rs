//! `LedgerWriter` and `LedgerRead`.

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::entry::Salt;
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::tile::{FullTile, TileId};
use audit_store::{
    Chunk, Commit, CommitError, ControlRow, Lease, LedgerInfo, LedgerRead, LedgerWriter, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::code::{self, address, bound, int, ledger_code, ledger_of, position, uint, uint32};
use crate::commit::{Batch, HeadColumns, check_head, check_lease, update_head};
use crate::database::Database;
use crate::error::{Failure, malformed, refused};
use crate::step::Step;

#[async_trait]
impl LedgerWriter for Database {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        let batch = Batch::encode(commit)?;
        self.commit_with(move |transaction| batch.write(transaction))
            .await
    }

    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        let (origin, size, head) = (
            origin.as_str().to_owned(),
            head.size,
            HeadColumns::of(head)?,
        );
        if size != 0 {
            return Err(refused("a ledger is opened empty"));
        }
        position(ledger, 0)?;
        self.write("open a ledger", move |transaction| {
            insert_ledger(transaction, ledger, &origin, &head)
        })
        .await
    }

    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        let bad = |error: StoreError| CommitError::Rejected {
            identity: None,
            reason: error.to_string(),
        };
        let (ledger, owner, size) = (lease.ledger, lease.owner.clone(), head.size);
        let (epoch, head) = (
            int(lease.epoch).map_err(bad)?,
            HeadColumns::of(head).map_err(bad)?,
        );
        self.commit_with(move |transaction| {
            check_lease(transaction, ledger, epoch, &owner)?;
            check_head(transaction, ledger, size)?;
            update_head(transaction, ledger, size, &head)
        })
        .await
    }

    fn writers(&self) -> usize {
        1
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let at = self.now()?;
        self.write("probe", move |transaction| {
            let sql = "INSERT INTO meta (key, value) VALUES ('probed_at', ?1)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            transaction.execute(sql, [at.to_string()])?;
            Ok(())
        })
        .await
    }
}

fn insert_ledger(
    connection: &Connection,
    ledger: LedgerId,
    origin: &str,
    head: &HeadColumns,
) -> Result<(), Failure> {
    let code = ledger_code(ledger);
    let sql = "SELECT origin FROM ledger WHERE ledger = ?1";
    let known: Option<String> = connection
        .query_row(sql, [code], |row| row.get(0))
        .optional()?;
    match known {
        Some(known) if known == origin => return Ok(()),
        Some(known) => return Err(refused(format!("ledger {ledger} is named {known}")).into()),
        None => {}
    }
    if connection
        .prepare("SELECT 1 FROM ledger WHERE origin = ?1")?
        .exists([origin])?
    {
        return Err(refused(format!("the name {origin} is taken")).into());
    }
    connection.execute(
        "INSERT INTO ledger (ledger, origin) VALUES (?1, ?2)",
        params![code, origin],
    )?;
    let sql = "INSERT INTO ledger_head (ledger, size, epoch, state, roots, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.execute(
        sql,
        params![
            code, head.size, head.epoch, head.state, head.roots, head.mac
        ],
    )?;
    Ok(())
}

/// What [`read_info`] reads.
const INFO: &str = "SELECT ledger.ledger, origin, size, epoch, state, roots, mac
    FROM ledger LEFT JOIN ledger_head USING (ledger)";

#[async_trait]
impl LedgerRead for Database {
    async fn ledgers(&self) -> Result<Vec<LedgerInfo>, StoreError> {
        self.read("read the ledgers", |connection| {
            let sql = format!("{INFO} ORDER BY ledger.ledger < 0, ledger.ledger");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(())?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_info(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn ledger(&self, ledger: LedgerId) -> Result<Option<LedgerInfo>, StoreError> {
        self.read("read a ledger", move |connection| {
            let sql = format!("{INFO} WHERE ledger.ledger = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([ledger_code(ledger)])?;
            match rows.next()? {
                Some(row) => Ok(Some(read_info(row)?)),
                None => Ok(None),
            }
        })
        .await
    }

    async fn chunks(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        leaves_max: u32,
    ) -> Result<Vec<Chunk>, StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, u64::MAX)?);
        self.read("read chunks", move |connection| {
            read_chunks(connection, start, end, leaves_max)
        })
        .await
    }

    async fn tile(&self, ledger: LedgerId, id: TileId) -> Result<Option<FullTile>, StoreError> {
        let key = (ledger_code(ledger), id.level, int(id.index)?);
        self.read("read a tile", move |connection| {
            let sql =
                "SELECT hashes FROM ledger_tile WHERE ledger = ?1 AND level = ?2 AND tile = ?3";
            let hashes = connection
                .prepare_cached(sql)?
                .query_row(key, |row| row.get(0))
                .optional()?;
            Ok(hashes.map(|hashes| FullTile { id, hashes }))
        })
        .await
    }

    async fn tiles(
        &self,
        ledger: LedgerId,
        after: Option<TileId>,
        max: u32,
    ) -> Result<Vec<FullTile>, StoreError> {
        let (level, index) = after.map_or(Ok((-1, 0)), |id| {
            int(id.index).map(|index| (i64::from(id.level), index))
        })?;
        self.read("read tiles", move |connection| {
            let sql = "SELECT level, tile, hashes FROM ledger_tile WHERE ledger = ?1 AND (level, tile) > (?2, ?3)
                 ORDER BY level, tile LIMIT ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![ledger_code(ledger), level, index, max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_tile(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn controls(&self, from: LeafIndex, max: u32) -> Result<Vec<ControlRow>, StoreError> {
        let from = int(from.0)?;
        self.read("read control documents", move |connection| {
            let sql = "SELECT leaf_index, salt, CAST(document AS BLOB) FROM ledger_control WHERE leaf_index >= ?1
                 ORDER BY leaf_index LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![from, max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_control(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn deployment_id(&self) -> Result<Option<String>, StoreError> {
        self.read("read the deployment id", |connection| {
            Ok(deployment_id(connection)?)
        })
        .await
    }

    async fn set_deployment_id(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write("write the deployment id", move |transaction| {
            match deployment_id(transaction)? {
                Some(known) if known == id => return Ok(()),
                Some(known) => return Err(refused(format!("the deployment is {known}")).into()),
                None => {}
            }
            let sql =
                "INSERT INTO meta (key, value) VALUES ('deployment_id', ?1), ('deployed_at', ?2)";
            transaction.execute(sql, params![id, at.to_string()])?;
            Ok(())
        })
        .await
    }
}

fn deployment_id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE key = 'deployment_id'";
    connection.query_row(sql, (), |row| row.get(0)).optional()
}

/// A ledger without a head was altered; saying so is verification's work, so here it is malformed.
fn read_info(row: &Row<'_>) -> Result<LedgerInfo, Failure> {
    let ledger = ledger_of(row.get(0)?)?;
    let Some(size) = row.get::<_, Option<i64>>(2)? else {
        return Err(malformed(format!("ledger {ledger} has no head")).into());
    };
    let (size, state): (u64, LedgerState) =
        (uint(size, "head size")?, code::state_of(row.get(4)?)?);
    let roots = row
        .get_ref(5)?
        .as_blob()
        .map_err(|_type| malformed("head roots"))?;
    let roots = roots
        .chunks(32)
        .map(|root| code::digest(root, "head roots"))
        .collect::<Result<Vec<Digest>, _>>()?;
    let range = CompactRange::from_parts(size, roots)
        .map_err(|mismatch| malformed(format!("head of ledger {ledger}: {mismatch}")))?;
    let mac = code::fixed(
        row.get_ref(6)?
            .as_blob()
            .map_err(|_type| malformed("head mac"))?,
        "head mac",
    )?;
    let head = Head {
        size,
        epoch: uint(row.get(3)?, "head epoch")?,
        state,
        range,
        mac,
    };
    Ok(LedgerInfo {
        ledger,
        origin: row.get(1)?,
        state,
        head,
    })
}

/// In steps: each read transaction is short, and what is read never changes.
fn read_chunks(
    connection: &mut Connection,
    start: i64,
    end: i64,
    leaves_max: u32,
) -> Result<Vec<Chunk>, Failure> {
    let mut found = Vec::new();
    let mut leaves = 0_u64;
    let mut next = first_chunk(connection, start)?;
    while let Some(from) = next.take() {
        let sql = "SELECT position, count, entries, leaf_hashes FROM ledger_chunk
             WHERE position >= ?1 AND position < ?2 ORDER BY position";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([from, end])?;
        let mut step = Step::begin();
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let chunk = read_chunk(row, position)?;
            if step.is_over() {
                next = Some(position);
                break;
            }
            leaves += u64::from(chunk.count);
            step.count(u64::from(chunk.count));
            found.push(chunk);
            if leaves >= u64::from(leaves_max) {
                break;
            }
        }
    }
    Ok(found)
}

/// Position of the chunk that contains `start`; `start` itself when none does.
fn first_chunk(connection: &Connection, start: i64) -> Result<Option<i64>, Failure> {
    let (ledger, index) = address(start)?;
    let sql = "SELECT position, count FROM ledger_chunk WHERE position >= ?1 AND position <= ?2
         ORDER BY position DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let found = connection
        .prepare_cached(sql)?
        .query_row([position(ledger, 0)?, start], read)
        .optional()?;
    match found {
        Some((first, count))
            if address(first)?
                .1
                .0
                .saturating_add(uint(count, "chunk count")?)
                > index.0 =>
        {
            Ok(Some(first))
        }
        _ => Ok(Some(start)),
    }
}

fn read_chunk(row: &Row<'_>, position: i64) -> Result<Chunk, Failure> {
    let (_ledger, first_leaf) = address(position)?;
    Ok(Chunk {
        first_leaf,
        count: uint32(row.get(1)?, "chunk count")?,
        entries: row.get(2)?,
        leaf_hashes: row.get(3)?,
    })
}

fn read_tile(row: &Row<'_>) -> Result<FullTile, Failure> {
    let level = u8::try_from(row.get::<_, i64>(0)?).map_err(|_source| malformed("tile level"))?;
    let index = uint(row.get(1)?, "tile index")?;
    Ok(FullTile {
        id: TileId { level, index },
        hashes: row.get(2)?,
    })
}

fn read_control(row: &Row<'_>) -> Result<ControlRow, Failure> {
    let leaf_index = LeafIndex(uint(row.get(0)?, "control leaf")?);
    let salt = code::fixed(
        row.get_ref(1)?
            .as_blob()
            .map_err(|_type| malformed("control salt"))?,
        "control salt",
    )?;
    Ok(ControlRow {
        leaf_index,
        salt: Salt(salt),
        document: row.get(2)?,
    })
}
