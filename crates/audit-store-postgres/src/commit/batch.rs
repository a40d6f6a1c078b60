//! Everything of one commit, checked and encoded before the transaction begins.

use audit_event::Timestamp;
use audit_integrity::ledger::LedgerId;
use audit_integrity::tile::FullTile;
use audit_store::{Chunk, Commit, CommitError, NewDeadLetter, Receipt, StoreError};
use uuid::Uuid;

use crate::code::{self, int, int32, ledger_code, via_code};
use crate::copy::Rows;
use crate::error::{Failure, refused};
use crate::lane::LaneSession;
use crate::value::Micros;

/// A commit as PostgreSQL takes it.
#[derive(Debug)]
pub(crate) struct Batch<'c> {
    pub(crate) ledger: LedgerId,
    pub(crate) owner: String,
    pub(crate) epoch: i64,
    pub(crate) expected_size: u64,
    pub(crate) rows: Rows,
    head: HeadColumns,
    chunk: Option<ChunkColumns>,
    controls: ControlColumns<'c>,
    tiles: &'c [FullTile],
    letters: &'c [NewDeadLetter],
    /// In the order of their frames, so that two lanes never wait for each other in a circle.
    receipts: Vec<&'c Receipt>,
}

/// The columns of a head.
#[derive(Debug)]
pub(crate) struct HeadColumns {
    pub(crate) size: i64,
    pub(crate) epoch: i64,
    pub(crate) state: i16,
    pub(crate) roots: Vec<u8>,
    pub(crate) mac: Vec<u8>,
}

#[derive(Debug)]
struct ChunkColumns {
    position: i64,
    count: i32,
    entries: Vec<u8>,
    leaf_hashes: Vec<u8>,
}

#[derive(Debug, Default)]
struct ControlColumns<'c> {
    leaves: Vec<i64>,
    salts: Vec<&'c [u8]>,
    documents: Vec<&'c str>,
}

impl HeadColumns {
    pub(crate) fn of(head: &audit_integrity::head::Head) -> Result<Self, StoreError> {
        Ok(Self {
            size: int(head.size)?,
            epoch: int(head.epoch)?,
            state: code::state_code(head.state),
            roots: head.range.roots().iter().flat_map(|root| root.0).collect(),
            mac: head.mac.to_vec(),
        })
    }
}

impl ChunkColumns {
    fn of(ledger: LedgerId, chunk: Chunk) -> Result<Self, StoreError> {
        Ok(Self {
            position: code::position(ledger, chunk.first_leaf.0)?,
            count: int32(chunk.count)?,
            entries: chunk.entries,
            leaf_hashes: chunk.leaf_hashes,
        })
    }
}

impl<'c> Batch<'c> {
    /// A commit that contradicts itself is refused here, before anything is written.
    pub(crate) fn encode(commit: Commit<'c>) -> Result<Self, CommitError> {
        commit.check()?;
        Self::columns(commit).map_err(|error| CommitError::Rejected {
            identity: None,
            reason: error.to_string(),
        })
    }

    fn columns(commit: Commit<'c>) -> Result<Self, StoreError> {
        let mut controls = ControlColumns::default();
        for control in commit.controls {
            controls.leaves.push(int(control.header.index.0)?);
            controls.salts.push(&control.salt.0);
            let document = std::str::from_utf8(&control.document);
            controls
                .documents
                .push(document.map_err(|_source| refused("a control document is not text"))?);
        }
        let mut receipts: Vec<_> = commit.receipts.iter().collect();
        receipts.sort_by_key(|receipt| receipt.frame_id);
        let chunk = commit.chunk;
        Ok(Self {
            ledger: commit.lease.ledger,
            owner: commit.lease.owner.clone(),
            epoch: int(commit.lease.epoch)?,
            expected_size: commit.expected_size,
            rows: Rows::encode(commit.events)?,
            head: HeadColumns::of(commit.head)?,
            chunk: chunk
                .map(|chunk| ChunkColumns::of(commit.lease.ledger, chunk))
                .transpose()?,
            controls,
            tiles: commit.tiles,
            letters: commit.dead_letters,
            receipts,
        })
    }

    pub(super) async fn write_receipts(&self, session: &LaneSession) -> Result<(), Failure> {
        let all = &self.receipts;
        if all.is_empty() {
            return Ok(());
        }
        let counts = |of: fn(&Receipt) -> u32| {
            all.iter()
                .map(|receipt| int32(of(receipt)))
                .collect::<Result<Vec<_>, _>>()
        };
        let frames: Vec<_> = all.iter().map(|r| Uuid::from_bytes(r.frame_id)).collect();
        let sources: Vec<_> = all.iter().map(|r| without_nul(&r.source)).collect();
        let ways: Vec<_> = all.iter().map(|r| via_code(r.via)).collect();
        let times: Vec<_> = all.iter().map(|r| Micros::from(r.committed_at)).collect();
        let (events, stored) = (counts(|r| r.events)?, counts(|r| r.stored)?);
        let (duplicate, conflict) = (counts(|r| r.duplicate)?, counts(|r| r.conflict)?);
        let dead_lettered = counts(|r| r.dead_lettered)?;
        session
            .client
            .execute(
                &session.statements.receipts,
                &[
                    &frames,
                    &sources,
                    &ways,
                    &events,
                    &stored,
                    &duplicate,
                    &conflict,
                    &dead_lettered,
                    &times,
                ],
            )
            .await?;
        Ok(())
    }

    pub(super) async fn write_totals(&self, session: &LaneSession) -> Result<(), Failure> {
        if self.receipts.is_empty() {
            return Ok(());
        }
        let mut ways: Vec<i16> = self.receipts.iter().map(|r| via_code(r.via)).collect();
        ways.sort_unstable();
        ways.dedup();
        let sums = |of: fn(&Receipt) -> u32| {
            let sum = |way: &i16| -> i64 {
                let of_way = self.receipts.iter().filter(|r| via_code(r.via) == *way);
                of_way.map(|receipt| i64::from(of(receipt))).sum()
            };
            ways.iter().map(sum).collect::<Vec<_>>()
        };
        session
            .client
            .execute(
                &session.statements.totals,
                &[
                    &ledger_code(self.ledger),
                    &ways,
                    &sums(|r| r.events),
                    &sums(|r| r.stored),
                    &sums(|r| r.duplicate),
                    &sums(|r| r.conflict),
                    &sums(|r| r.dead_lettered),
                ],
            )
            .await?;
        Ok(())
    }

    pub(super) async fn write_chunk(&self, session: &LaneSession) -> Result<(), Failure> {
        let Some(chunk) = &self.chunk else {
            return Ok(());
        };
        session
            .client
            .execute(
                &session.statements.chunk,
                &[
                    &chunk.position,
                    &chunk.count,
                    &chunk.entries,
                    &chunk.leaf_hashes,
                ],
            )
            .await?;
        Ok(())
    }

    pub(super) async fn write_tiles(&self, session: &LaneSession) -> Result<(), Failure> {
        if self.tiles.is_empty() {
            return Ok(());
        }
        let levels: Vec<_> = self.tiles.iter().map(|t| i16::from(t.id.level)).collect();
        let indexes = self.tiles.iter().map(|tile| int(tile.id.index));
        let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
        let hashes: Vec<_> = self.tiles.iter().map(|tile| &tile.hashes[..]).collect();
        session
            .client
            .execute(
                &session.statements.tiles,
                &[&ledger_code(self.ledger), &levels, &indexes, &hashes],
            )
            .await?;
        Ok(())
    }

    pub(super) async fn write_controls(&self, session: &LaneSession) -> Result<(), Failure> {
        let controls = &self.controls;
        if controls.leaves.is_empty() {
            return Ok(());
        }
        session
            .client
            .execute(
                &session.statements.controls,
                &[&controls.leaves, &controls.salts, &controls.documents],
            )
            .await?;
        Ok(())
    }

    pub(super) async fn write_letters(&self, session: &LaneSession) -> Result<(), Failure> {
        let all = self.letters;
        if all.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = all
            .iter()
            .map(|l| Uuid::from_bytes(*l.id.as_bytes()))
            .collect();
        let frames: Vec<_> = all.iter().map(|l| Uuid::from_bytes(l.frame_id)).collect();
        let indexes = all.iter().map(|letter| int32(letter.frame_index));
        let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
        let events: Vec<_> = all
            .iter()
            .map(|l| l.event_id.map(|id| Uuid::from_bytes(*id.as_bytes())))
            .collect();
        let organizations: Vec<_> = all
            .iter()
            .map(|l| without_nul(l.organization_id.as_str()))
            .collect();
        let reasons = all.iter().map(|letter| code::reason_text(letter.reason));
        let reasons = reasons.collect::<Result<Vec<_>, _>>()?;
        let details: Vec<_> = all.iter().map(|l| without_nul(&l.detail)).collect();
        let payloads: Vec<_> = all.iter().map(|l| l.payload.as_slice()).collect();
        let optional = |at: Option<Timestamp>| at.map(Micros::from);
        let received: Vec<_> = all.iter().map(|l| optional(l.received_at)).collect();
        let dead: Vec<_> = all.iter().map(|l| Micros::from(l.dead_at)).collect();
        session
            .client
            .execute(
                &session.statements.letters,
                &[
                    &ids,
                    &frames,
                    &indexes,
                    &events,
                    &organizations,
                    &reasons,
                    &details,
                    &payloads,
                    &received,
                    &dead,
                ],
            )
            .await?;
        Ok(())
    }

    /// Whether the head moved; nothing is to be moved when there are no entries.
    pub(super) async fn write_head(&self, session: &LaneSession) -> Result<bool, Failure> {
        if self.chunk.is_none() {
            return Ok(true);
        }
        let head = &self.head;
        let moved = session
            .client
            .execute(
                &session.statements.head,
                &[
                    &ledger_code(self.ledger),
                    &int(self.expected_size)?,
                    &head.size,
                    &head.epoch,
                    &head.state,
                    &head.roots,
                    &head.mac,
                    &self.epoch,
                    &self.owner,
                ],
            )
            .await?;
        Ok(moved == 1)
    }
}

/// PostgreSQL has no text with a NUL; what is for people only says so in its place.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
