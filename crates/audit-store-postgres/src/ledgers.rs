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
use tokio_postgres::Row;

use crate::code::{self, address, bound, int, ledger_code, ledger_of, position, uint, uint32};
use crate::commit::HeadColumns;
use crate::database::Database;
use crate::error::{Failure, malformed, refused};
use crate::sqlstate::Meaning;
use crate::value::get;

/// Leaves that one statement reads at most, unless a single commit had more.
const STEP_LEAVES: u32 = 10_000;

#[async_trait]
impl LedgerWriter for Database {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        self.commit_batch(commit).await
    }

    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        if head.size != 0 {
            return Err(refused("a ledger is opened empty"));
        }
        position(ledger, 0)?;
        let (code, origin, head) = (ledger_code(ledger), origin.as_str(), HeadColumns::of(head)?);
        let sql = "WITH named AS (
                INSERT INTO audit.ledger (ledger, origin) VALUES ($1, $2) ON CONFLICT (ledger) DO NOTHING RETURNING ledger
            ) INSERT INTO audit.ledger_head (ledger, size, epoch, state, roots, mac)
            SELECT ledger, $3, $4, $5, $6, $7 FROM named";
        let done = self
            .try_execute(
                "open a ledger",
                sql,
                &[
                    &code,
                    &origin,
                    &head.size,
                    &head.epoch,
                    &head.state,
                    &head.roots,
                    &head.mac,
                ],
            )
            .await;
        match done {
            Ok(1) => return Ok(()),
            Ok(_) => {}
            Err(failure) if failure.meaning() == Some(Meaning::Taken) => {
                return Err(refused(format!("the name {origin} is taken")));
            }
            Err(failure) => return Err(failure.into_store("open a ledger")),
        }
        let sql = "SELECT origin FROM audit.ledger WHERE ledger = $1";
        let known = self.query_opt("read a ledger", sql, &[&code]).await?;
        let known: Option<String> = known.map(|row| get(&row, 0, "ledger origin")).transpose()?;
        match known {
            Some(known) if known != origin => {
                Err(refused(format!("ledger {ledger} is named {known}")))
            }
            _ => Ok(()),
        }
    }

    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        let bad = |error: StoreError| CommitError::Rejected {
            identity: None,
            reason: error.to_string(),
        };
        let (ledger, epoch) = (ledger_code(lease.ledger), int(lease.epoch).map_err(bad)?);
        let columns = HeadColumns::of(head).map_err(bad)?;
        let sql = "UPDATE audit.ledger_head SET epoch = $2, state = $3, roots = $4, mac = $5
            WHERE ledger = $1 AND size = $6 AND epoch <= $2 AND state = $7
                AND EXISTS (SELECT FROM audit.lease WHERE ledger = $1 AND epoch = $8 AND owner = $9)";
        let open = code::state_code(LedgerState::Open);
        let moved = self
            .try_execute(
                "change a ledger's state",
                sql,
                &[
                    &ledger,
                    &columns.epoch,
                    &columns.state,
                    &columns.roots,
                    &columns.mac,
                    &columns.size,
                    &open,
                    &epoch,
                    &lease.owner,
                ],
            )
            .await;
        match moved {
            Ok(1) => Ok(()),
            Ok(_) => Err(self.why_not(lease, epoch, head.size).await),
            // One statement, so it happened or not; an answer that was lost does not say which.
            Err(Failure::Link(source)) => Err(CommitError::Unknown(source)),
            Err(failure) => Err(failure.into_commit()),
        }
    }

    /// As many as there are connections on the server, as far as this store knows: each ledger commits on its own.
    fn writers(&self) -> usize {
        usize::from(u16::MAX >> 1)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit.probe (at) VALUES (clock_timestamp()) ON CONFLICT (one) DO UPDATE SET at = excluded.at";
        self.execute("probe", sql, &[]).await.map(|_rows| ())
    }
}

impl Database {
    /// Why a head was not changed.
    async fn why_not(&self, lease: &Lease, epoch: i64, expected: u64) -> CommitError {
        let ledger = ledger_code(lease.ledger);
        let found = self
            .query_opt(
                "read a head",
                crate::commit::CHECK,
                &[&ledger, &epoch, &lease.owner],
            )
            .await;
        let read = |row: Row| -> Result<(bool, Option<i64>), StoreError> {
            Ok((get(&row, 0, "lease")?, get(&row, 1, "head size")?))
        };
        match found.and_then(|row| row.map(read).transpose()) {
            Ok(Some((true, size))) if size != int(expected).ok() => {
                CommitError::HeadMoved { expected }
            }
            // A ledger that takes no more has no writer any more.
            Ok(_) => CommitError::Fenced,
            Err(error) => CommitError::Unavailable(Box::new(error)),
        }
    }
}

/// What [`read_info`] reads.
const INFO: &str = "SELECT ledger, origin, size, epoch, state, roots, mac
    FROM audit.ledger LEFT JOIN audit.ledger_head USING (ledger)";

#[async_trait]
impl LedgerRead for Database {
    async fn ledgers(&self) -> Result<Vec<LedgerInfo>, StoreError> {
        let sql = format!("{INFO} ORDER BY ledger < 0, ledger");
        let rows = self.query("read the ledgers", &sql, &[]).await?;
        rows.iter().map(read_info).collect()
    }

    async fn ledger(&self, ledger: LedgerId) -> Result<Option<LedgerInfo>, StoreError> {
        let sql = format!("{INFO} WHERE ledger = $1");
        let found = self
            .query_opt("read a ledger", &sql, &[&ledger_code(ledger)])
            .await?;
        found.as_ref().map(read_info).transpose()
    }

    async fn chunks(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        leaves_max: u32,
    ) -> Result<Vec<Chunk>, StoreError> {
        let (start, end) = (bound(ledger, from.0)?, bound(ledger, u64::MAX)?);
        let mut found: Vec<Chunk> = Vec::new();
        let (mut next, mut leaves) = (self.first_chunk(ledger, start).await?, 0_u64);
        loop {
            let room = u64::from(leaves_max).saturating_sub(leaves);
            let step = int(room.min(u64::from(STEP_LEAVES)).max(1))?;
            // Chunks until the leaves before them are enough: the first always.
            let sql = "SELECT position, count, entries, leaf_hashes FROM audit.ledger_chunk JOIN (
                    SELECT position, (sum(count) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - count)::bigint AS before
                    FROM (SELECT position, greatest(count, 1)::bigint AS count FROM audit.ledger_chunk
                        WHERE position >= $1 AND position < $2 ORDER BY position LIMIT 64) AS near
                ) AS summed USING (position) WHERE before < $3::bigint ORDER BY position";
            let rows = self
                .query("read chunks", sql, &[&next, &end, &step])
                .await?;
            for row in &rows {
                let chunk = read_chunk(row)?;
                leaves += u64::from(chunk.count);
                next = position(ledger, chunk.first_leaf.0)?.saturating_add(1);
                found.push(chunk);
            }
            if rows.is_empty() || leaves >= u64::from(leaves_max) {
                return Ok(found);
            }
        }
    }

    async fn tile(&self, ledger: LedgerId, id: TileId) -> Result<Option<FullTile>, StoreError> {
        let (ledger, level, index) = (ledger_code(ledger), i16::from(id.level), int(id.index)?);
        let sql =
            "SELECT hashes FROM audit.ledger_tile WHERE ledger = $1 AND level = $2 AND tile = $3";
        let found = self
            .query_opt("read a tile", sql, &[&ledger, &level, &index])
            .await?;
        let hashes = found.map(|row| get(&row, 0, "tile hashes")).transpose()?;
        Ok(hashes.map(|hashes| FullTile { id, hashes }))
    }

    async fn tiles(
        &self,
        ledger: LedgerId,
        after: Option<TileId>,
        max: u32,
    ) -> Result<Vec<FullTile>, StoreError> {
        let (level, index) = after.map_or(Ok((-1, 0)), |id| {
            int(id.index).map(|index| (i16::from(id.level), index))
        })?;
        let sql = "SELECT level, tile, hashes FROM audit.ledger_tile WHERE ledger = $1 AND (level, tile) > ($2, $3)
            ORDER BY level, tile LIMIT $4";
        let rows = self
            .query(
                "read tiles",
                sql,
                &[&ledger_code(ledger), &level, &index, &i64::from(max)],
            )
            .await?;
        rows.iter().map(read_tile).collect()
    }

    async fn controls(&self, from: LeafIndex, max: u32) -> Result<Vec<ControlRow>, StoreError> {
        let sql =
            "SELECT leaf_index, salt, document FROM audit.ledger_control WHERE leaf_index >= $1
            ORDER BY leaf_index LIMIT $2";
        let rows = self
            .query(
                "read control documents",
                sql,
                &[&int(from.0)?, &i64::from(max)],
            )
            .await?;
        rows.iter().map(read_control).collect()
    }

    async fn deployment_id(&self) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM audit.meta WHERE key = 'deployment_id'";
        let found = self.query_opt("read the deployment id", sql, &[]).await?;
        found.map(|row| get(&row, 0, "deployment id")).transpose()
    }

    async fn set_deployment_id(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO audit.meta (key, value) VALUES ('deployment_id', $1), ('deployed_at', $2)
            ON CONFLICT (key) DO NOTHING";
        self.execute("write the deployment id", sql, &[&id, &at.to_string()])
            .await?;
        match self.deployment_id().await? {
            Some(known) if known == id => Ok(()),
            Some(known) => Err(refused(format!("the deployment is {known}"))),
            None => Err(malformed("deployment id: gone")),
        }
    }
}

impl Database {
    /// Position of the chunk that contains `start`; `start` itself when none does.
    async fn first_chunk(&self, ledger: LedgerId, start: i64) -> Result<i64, StoreError> {
        let sql =
            "SELECT position, count FROM audit.ledger_chunk WHERE position >= $1 AND position <= $2
            ORDER BY position DESC LIMIT 1";
        let found = self
            .query_opt("find a chunk", sql, &[&position(ledger, 0)?, &start])
            .await?;
        let Some(row) = found else { return Ok(start) };
        let first: i64 = get(&row, 0, "chunk position")?;
        let count = uint32(get(&row, 1, "chunk count")?, "chunk count")?;
        match first.saturating_add(i64::from(count)) > start {
            true => Ok(first),
            false => Ok(start),
        }
    }
}

/// A ledger without a head was altered; saying so is verification's work, so here it is malformed.
fn read_info(row: &Row) -> Result<LedgerInfo, StoreError> {
    let ledger = ledger_of(get::<i16>(row, 0, "ledger number")?.into())?;
    let Some(size) = get::<Option<i64>>(row, 2, "head size")? else {
        return Err(malformed(format!("ledger {ledger} has no head")));
    };
    let size = uint(size, "head size")?;
    let state = code::state_of(i64::from(get::<i16>(row, 4, "head state")?))?;
    let roots: &[u8] = get(row, 5, "head roots")?;
    let roots = roots
        .chunks(32)
        .map(|root| code::digest(root, "head roots"))
        .collect::<Result<Vec<Digest>, _>>()?;
    let range = CompactRange::from_parts(size, roots)
        .map_err(|mismatch| malformed(format!("head of ledger {ledger}: {mismatch}")))?;
    let head = Head {
        size,
        epoch: uint(get(row, 3, "head epoch")?, "head epoch")?,
        state,
        range,
        mac: code::fixed(get(row, 6, "head mac")?, "head mac")?,
    };
    Ok(LedgerInfo {
        ledger,
        origin: get(row, 1, "ledger origin")?,
        state,
        head,
    })
}

fn read_chunk(row: &Row) -> Result<Chunk, StoreError> {
    let (_ledger, first_leaf) = address(get(row, 0, "chunk position")?)?;
    Ok(Chunk {
        first_leaf,
        count: uint32(get(row, 1, "chunk count")?, "chunk count")?,
        entries: get(row, 2, "chunk entries")?,
        leaf_hashes: get(row, 3, "chunk leaf hashes")?,
    })
}

fn read_tile(row: &Row) -> Result<FullTile, StoreError> {
    let level = u8::try_from(get::<i16>(row, 0, "tile level")?)
        .map_err(|_source| malformed("tile level"))?;
    let index = uint(get(row, 1, "tile index")?, "tile index")?;
    Ok(FullTile {
        id: TileId { level, index },
        hashes: get(row, 2, "tile hashes")?,
    })
}

fn read_control(row: &Row) -> Result<ControlRow, StoreError> {
    let leaf_index = LeafIndex(uint(get(row, 0, "control leaf")?, "control leaf")?);
    Ok(ControlRow {
        leaf_index,
        salt: Salt(code::fixed(get(row, 1, "control salt")?, "control salt")?),
        document: get::<String>(row, 2, "control document")?.into_bytes(),
    })
}
