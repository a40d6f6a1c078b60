//! Verification of one event ledger: feeds the engine in steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_integrity::checkpoint::Checkpoint;
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::row::{Rows, StoredRow};
use audit_integrity::tile::{FullTile, TILE_WIDTH, TileId, digests_of};
use audit_integrity::verify::{
    ChunkBytes, Controls, FindingKind, LedgerCheck, Outcome, Report, Setup, Source,
};
use audit_store::{Chunk, StoreError};

use super::{Progress, SEAL_WAIT, Verification, VerifyError, VerifyRequest, finding, window};

/// Leaves read at a time: bounds memory and the length of one read.
const LEAVES_MAX: u32 = 4_096;
/// Stored notes read at a time.
const NOTES_MAX: u32 = 500;
/// Rows beyond the end that are told.
const SURPLUS_MAX: u32 = 1_000;
/// Levels that tiles can have in a tree of 2^47 leaves.
const LEVELS: u8 = 6;

impl Verification {
    pub(super) async fn ledger(
        &self,
        ledger: LedgerId,
        request: &VerifyRequest,
        controls: &Arc<Controls>,
        progress: &mut Progress<'_>,
        checked: u64,
    ) -> Result<Report, VerifyError> {
        let origin = Origin::new(&self.deployment_id, ledger);
        let verifier_key = self.verifier_key(&origin).await?;
        let setup = Setup {
            ledger,
            origin,
            verifier_key,
            window: window(request),
            controls: Arc::clone(controls),
        };
        let mut check = LedgerCheck::new(setup);
        if let Some(standing) = controls.standing(ledger) {
            check.snapshot(standing.tree);
        }
        let found = self.claims(&mut check, ledger, request).await?;
        let end = check.claimed();
        let mut notes = self.notes(ledger, end);
        let mut told = checked;
        while check.next_leaf().0 < end {
            let before = check.next_leaf();
            check = self.step(check, ledger, end, &mut notes).await?;
            self.compare_tiles(&mut check, ledger).await?;
            if check.next_leaf() == before {
                break;
            }
            told += check.next_leaf().0 - before.0;
            progress.at(told).await?;
            tokio::task::yield_now().await;
        }
        notes.feed(&mut check, end).await?;
        if found {
            self.surplus(&mut check, ledger).await?;
        }
        let mut report = check.finish();
        if !found {
            let detail =
                "the directory or a checkpoint names the ledger, the store has none".to_owned();
            report.find(finding(
                Outcome::Missing,
                FindingKind::LedgerMissing,
                ledger,
                detail,
            ));
        }
        Ok(report)
    }

    /// Feeds everything that claims to know the ledger's tree. The order matters while commits go on: newest stored note, anchor,
    /// head; each is at least as new as the one before. Gives back whether the ledger exists.
    pub(super) async fn claims(
        &self,
        check: &mut LedgerCheck,
        ledger: LedgerId,
        request: &VerifyRequest,
    ) -> Result<bool, VerifyError> {
        let newest = self.ports.checkpoints.newest(ledger).await?;
        match self.anchored(ledger).await {
            Ok(note) => check.anchor(note.as_deref(), newest.as_ref().map(|note| note.size)),
            Err(error) => check.anchor_unreadable(&error.to_string()),
        }
        for note in &request.checkpoints {
            if named_ledger(note) == Some(ledger) {
                check.note(Source::Request, None, note);
            }
        }
        if let Some(newest) = newest {
            check.look_up_to(newest.size);
        }
        let info = match self.ports.ledgers.ledger(ledger).await {
            Err(StoreError::Malformed { what }) => {
                check.unreadable_head(&what);
                return Ok(true);
            }
            info => info?,
        };
        let Some(info) = info else { return Ok(false) };
        let authentic = check.head(&info.head, &self.ports.keys.lane_key().await?);
        if authentic
            && info.state == LedgerState::Open
            && let Some(size) = self.await_seal(ledger, info.head.size).await?
        {
            // Commits that came meanwhile are under it too, and have no other.
            check.look_up_to(size);
        }
        Ok(true)
    }

    /// Gives the signer a moment to cover what was committed before the run began; the size of the checkpoint that does.
    async fn await_seal(&self, ledger: LedgerId, size: u64) -> Result<Option<u64>, VerifyError> {
        let deadline = tokio::time::Instant::now() + SEAL_WAIT;
        while size > 0 && tokio::time::Instant::now() < deadline {
            if let Some(note) = self.ports.checkpoints.covering(ledger, size).await? {
                return Ok(Some(note.size));
            }
            tokio::time::sleep(SEAL_WAIT / 20).await;
        }
        Ok(None)
    }

    /// Reads and feeds a few chunks with the rows behind them; where there are none, the rows alone.
    async fn step(
        &self,
        mut check: LedgerCheck,
        ledger: LedgerId,
        end: u64,
        notes: &mut Notes<'_>,
    ) -> Result<LedgerCheck, VerifyError> {
        let next = check.next_leaf().0;
        let (chunks, readable) = self.chunks(ledger, next).await?;
        let chunks: Vec<_> = chunks
            .into_iter()
            .filter(|chunk| chunk.first_leaf.0 < end)
            .collect();
        match (chunks.first(), chunks.last()) {
            (Some(first), Some(last)) if first.first_leaf.0 <= next => {
                let to = last.first_leaf.0.saturating_add(chunk_bytes(last).extent());
                notes.feed(&mut check, to).await?;
                self.chunks_with_rows(check, ledger, chunks, to).await
            }
            (Some(first), _) => {
                self.gap(&mut check, ledger, first.first_leaf.0, None, notes)
                    .await?;
                Ok(check)
            }
            _ => {
                // Leaf by leaf past a chunk that cannot be read, because where the next one begins is not known.
                let to = if readable {
                    end.min(next + u64::from(LEAVES_MAX))
                } else {
                    next + 1
                };
                let last = readable.then_some(end);
                self.gap(&mut check, ledger, to.min(end), last, notes)
                    .await?;
                Ok(check)
            }
        }
    }

    /// Feeds chunks with the rows below `to`, up to the first gap between chunks. The engine goes to where the rows are read,
    /// and comes back.
    async fn chunks_with_rows(
        &self,
        mut check: LedgerCheck,
        ledger: LedgerId,
        chunks: Vec<Chunk>,
        to: u64,
    ) -> Result<LedgerCheck, VerifyError> {
        let next = check.next_leaf();
        let max = u32::try_from(to.saturating_sub(next.0)).unwrap_or(u32::MAX);
        let look = move |rows: &mut dyn Rows| {
            for chunk in &chunks {
                if chunk.first_leaf > check.next_leaf() {
                    break;
                }
                check.chunk(&chunk_bytes(chunk), rows);
            }
            check
        };
        let events = &*self.ports.events;
        Ok(events
            .look_at(ledger, next..LeafIndex(to), max, look)
            .await?)
    }

    /// Chunks from the one that holds `next` on, and whether they could be read; one at a time where one cannot.
    async fn chunks(&self, ledger: LedgerId, next: u64) -> Result<(Vec<Chunk>, bool), VerifyError> {
        for leaves_max in [LEAVES_MAX, 1] {
            match self
                .ports
                .ledgers
                .chunks(ledger, LeafIndex(next), leaves_max)
                .await
            {
                Err(StoreError::Malformed { .. }) => {}
                chunks => return Ok((chunks?, true)),
            }
        }
        Ok((Vec::new(), false))
    }

    async fn rows(
        &self,
        ledger: LedgerId,
        from: u64,
        to: u64,
    ) -> Result<Vec<StoredRow>, VerifyError> {
        let max = u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
        Ok(self
            .ports
            .events
            .scan(ledger, LeafIndex(from), LeafIndex(to), max)
            .await?)
    }

    /// Leaves without a chunk. With `last`, nothing but rows is left up to there: when there are none either, the engine says
    /// that the ledger ends here.
    async fn gap(
        &self,
        check: &mut LedgerCheck,
        ledger: LedgerId,
        to: u64,
        last: Option<u64>,
        notes: &mut Notes<'_>,
    ) -> Result<(), VerifyError> {
        let mut to = to;
        while check.next_leaf().0 < to {
            let from = check.next_leaf().0;
            let step = to.min(from + u64::from(LEAVES_MAX));
            let rows = self.rows(ledger, from, step).await?;
            let known = self.tile_leaves(ledger, from, step).await?;
            if let Some(last) = last
                && rows.is_empty()
                && known.is_empty()
            {
                let further = self
                    .ports
                    .events
                    .scan(ledger, LeafIndex(step), LeafIndex(last), 1)
                    .await?;
                match further.first() {
                    None => return Ok(()),
                    Some(row) => to = row.address().1.0,
                }
            }
            notes.feed(check, step).await?;
            check.gap(step, rows, &known);
        }
        Ok(())
    }

    /// What stored full tiles say the leaves are.
    async fn tile_leaves(
        &self,
        ledger: LedgerId,
        from: u64,
        to: u64,
    ) -> Result<BTreeMap<u64, Digest>, VerifyError> {
        let mut known = BTreeMap::new();
        for index in from / TILE_WIDTH..=to.saturating_sub(1) / TILE_WIDTH {
            if let Some(tile) = self
                .ports
                .ledgers
                .tile(ledger, TileId { level: 0, index })
                .await?
            {
                known.extend((index * TILE_WIDTH..).zip(digests_of(&tile.hashes)));
            }
        }
        known.retain(|leaf, _| (from..to).contains(leaf));
        Ok(known)
    }

    async fn compare_tiles(
        &self,
        check: &mut LedgerCheck,
        ledger: LedgerId,
    ) -> Result<(), VerifyError> {
        let computed = check.take_full_tiles();
        let stored = self.stored_tiles(ledger, &computed).await?;
        for tile in &computed {
            check.compare_tile(tile, stored.get(&tile.id));
        }
        Ok(())
    }

    /// What is stored of these tiles; neighbours are read together, one by one where one cannot be read.
    async fn stored_tiles(
        &self,
        ledger: LedgerId,
        wanted: &[FullTile],
    ) -> Result<BTreeMap<TileId, FullTile>, VerifyError> {
        let mut ids: Vec<_> = wanted.iter().map(|tile| tile.id).collect();
        ids.sort_unstable();
        let mut stored = BTreeMap::new();
        for run in ids.chunk_by(|a, b| a.level == b.level && a.index + 1 == b.index) {
            let [first, ..] = run else { continue };
            let max = u32::try_from(run.len()).unwrap_or(u32::MAX);
            match self.ports.ledgers.tiles(ledger, first.before(), max).await {
                Err(StoreError::Malformed { .. }) => {
                    for id in run {
                        match self.ports.ledgers.tile(ledger, *id).await {
                            Err(StoreError::Malformed { .. }) => {}
                            tile => stored.extend(tile?.map(|tile| (*id, tile))),
                        }
                    }
                }
                tiles => stored.extend(tiles?.into_iter().map(|tile| (tile.id, tile))),
            }
        }
        Ok(stored)
    }

    /// Looks for rows, chunks and tiles beyond the end. The head is read after them: what was committed meanwhile is below it.
    async fn surplus(&self, check: &mut LedgerCheck, ledger: LedgerId) -> Result<(), VerifyError> {
        let ends = check.next_leaf().0.max(check.claimed());
        let mut from = ends;
        loop {
            let rows = self
                .ports
                .events
                .scan(ledger, LeafIndex(from), LeafIndex(u64::MAX), SURPLUS_MAX)
                .await?;
            let size = self.size_now(ledger).await?.max(ends);
            let beyond: Vec<_> = rows
                .iter()
                .filter(|row| row.address().1.0 >= size)
                .collect();
            beyond.iter().for_each(|row| check.surplus_row(row));
            if rows.is_empty() || !beyond.is_empty() {
                break;
            }
            from = size.max(from + 1);
        }
        let (chunks, _readable) = self.chunks(ledger, from).await?;
        let size = self.size_now(ledger).await?.max(ends);
        for chunk in chunks.iter().filter(|chunk| chunk.first_leaf.0 >= size) {
            check.surplus_chunk(chunk.first_leaf);
        }
        self.surplus_tiles(check, ledger, ends).await
    }

    async fn surplus_tiles(
        &self,
        check: &mut LedgerCheck,
        ledger: LedgerId,
        ends: u64,
    ) -> Result<(), VerifyError> {
        for level in 0..LEVELS {
            let full = |size: u64| size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            let first = TileId {
                level,
                index: full(ends),
            };
            let tiles = match self.ports.ledgers.tiles(ledger, first.before(), 1).await {
                Err(StoreError::Malformed { .. }) => Vec::new(),
                tiles => tiles?,
            };
            let size = self.size_now(ledger).await?.max(ends);
            for tile in tiles
                .iter()
                .filter(|tile| tile.id.level == level && tile.id.index >= full(size))
            {
                check.surplus_tile(tile.id);
            }
        }
        Ok(())
    }

    /// The head's size now; 0 when it cannot be read or is gone.
    pub(super) async fn size_now(&self, ledger: LedgerId) -> Result<u64, VerifyError> {
        match self.ports.ledgers.ledger(ledger).await {
            Err(StoreError::Malformed { .. }) => Ok(0),
            info => Ok(info?.map_or(0, |info| info.head.size)),
        }
    }

    pub(super) fn notes(&self, ledger: LedgerId, end: u64) -> Notes<'_> {
        Notes {
            this: self,
            ledger,
            end,
            page: Vec::new().into_iter(),
            after: None,
            held: None,
        }
    }
}

/// The stored notes of a ledger in order of size, read in pages, fed just before the leaves they cover.
pub(super) struct Notes<'a> {
    this: &'a Verification,
    ledger: LedgerId,
    end: u64,
    page: std::vec::IntoIter<audit_store::checkpoints::StoredNote>,
    after: Option<u64>,
    held: Option<audit_store::checkpoints::StoredNote>,
}

impl Notes<'_> {
    /// Feeds every note kept under a size up to `size`.
    pub(super) async fn feed(
        &mut self,
        check: &mut LedgerCheck,
        size: u64,
    ) -> Result<(), VerifyError> {
        loop {
            if self.held.is_none() {
                self.held = self.next().await?;
            }
            match self.held.take_if(|note| note.size <= size.min(self.end)) {
                Some(note) => check.note(Source::Database, Some(note.size), &note.note),
                None => return Ok(()),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<audit_store::checkpoints::StoredNote>, VerifyError> {
        if let Some(note) = self.page.next() {
            return Ok(Some(note));
        }
        let page = self
            .this
            .ports
            .checkpoints
            .after(self.ledger, self.after.unwrap_or(0), NOTES_MAX)
            .await?;
        self.after = page.last().map(|note| note.size).or(self.after);
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

/// The ledger that a note says it is of, before anything of it is believed.
pub(super) fn named_ledger(note: &str) -> Option<LedgerId> {
    let (body, _signatures) = note.split_once("\n\n")?;
    Checkpoint::from_body(&format!("{body}\n"))
        .ok()?
        .origin
        .ledger()
}

pub(super) fn chunk_bytes(chunk: &Chunk) -> ChunkBytes<'_> {
    ChunkBytes {
        first_leaf: chunk.first_leaf.0,
        count: chunk.count,
        entries: &chunk.entries,
        leaf_hashes: &chunk.leaf_hashes,
    }
}
