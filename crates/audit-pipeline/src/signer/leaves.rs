//! The new leaves of a ledger, made again from its rows and compared with its chunks.

use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::digest::leaf_hash;
use audit_integrity::entry::{EntryHeader, EntryKind, body_digest};
use audit_integrity::head::CompactRange;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::tile::digests_of;
use audit_store::{Chunk, LedgerInfo, StoreError};

use super::{SignError, Signer, diverged};

/// Leaves read at a time: bounds memory, not correctness.
const LEAVES_MAX: u32 = 2_048;

impl Signer {
    /// Appends the leaves from the end of `range` to the head, each reached from its row and found in its chunk.
    pub(super) async fn walk(
        &self,
        info: &LedgerInfo,
        mut range: CompactRange,
        anchored: Option<&SignedCheckpoint>,
    ) -> Result<CompactRange, SignError> {
        check_anchor(info.ledger, &range, anchored)?;
        while range.size() < info.head.size {
            let from = LeafIndex(range.size());
            let chunks = self
                .ports
                .ledgers
                .chunks(info.ledger, from, LEAVES_MAX)
                .await;
            let chunks = evidence(info.ledger, chunks)?;
            let before = range.size();
            for chunk in chunks
                .iter()
                .filter(|chunk| chunk.first_leaf.0 < info.head.size)
            {
                let leaves = self.leaves_of(info.ledger, chunk).await?;
                let skip = range
                    .size()
                    .checked_sub(chunk.first_leaf.0)
                    .and_then(|skip| usize::try_from(skip).ok());
                let skip = skip.ok_or_else(|| {
                    diverged(
                        info.ledger,
                        &format!("no chunk holds leaf {}", range.size()),
                    )
                })?;
                for leaf in leaves.into_iter().skip(skip) {
                    range.push(leaf);
                    check_anchor(info.ledger, &range, anchored)?;
                }
            }
            if range.size() == before {
                return Err(diverged(
                    info.ledger,
                    &format!("no chunk holds leaf {before}"),
                ));
            }
        }
        Ok(range)
    }

    /// The leaves of a chunk, from the rows behind it.
    async fn leaves_of(&self, ledger: LedgerId, chunk: &Chunk) -> Result<Vec<Digest>, SignError> {
        let bad = |what: &str| {
            diverged(
                ledger,
                &format!("the chunk at leaf {}: {what}", chunk.first_leaf.0),
            )
        };
        let bundle = Bundle::decompress(&chunk.entries, chunk.count)
            .map_err(|error| bad(&error.to_string()))?;
        let headers = match ledger {
            LedgerId::Events(_) => self.event_headers(ledger, chunk).await?,
            LedgerId::Directory => self.control_headers(chunk, &bundle).await?,
        };
        let listed: Vec<_> = digests_of(&chunk.leaf_hashes).collect();
        if headers.len() != bundle.len() || listed.len() != bundle.len() {
            return Err(bad("rows, entries and leaf hashes differ in number"));
        }
        let mut leaves = Vec::with_capacity(headers.len());
        for ((header, entry), (listed, index)) in headers
            .iter()
            .zip(bundle.iter())
            .zip(listed.into_iter().zip(chunk.first_leaf.0..))
        {
            let made = header.to_entry();
            let leaf = leaf_hash(&made);
            if header.ledger != ledger || header.index.0 != index || made != entry || leaf != listed
            {
                return Err(diverged(
                    ledger,
                    &format!("the row, the entry and the leaf hash at leaf {index} disagree"),
                ));
            }
            leaves.push(leaf);
        }
        Ok(leaves)
    }

    async fn event_headers(
        &self,
        ledger: LedgerId,
        chunk: &Chunk,
    ) -> Result<Vec<EntryHeader>, SignError> {
        let end = LeafIndex(chunk.first_leaf.0 + u64::from(chunk.count));
        let rows = self
            .ports
            .events
            .rows(ledger, chunk.first_leaf, end, chunk.count)
            .await;
        let rows = evidence(ledger, rows)?;
        let headers = rows.iter().map(|row| {
            let header = row.header().ok_or_else(|| {
                diverged(
                    ledger,
                    &format!("the body at leaf {} is gone", row.leaf_index.0),
                )
            })?;
            if row.leaf_hash == leaf_hash(&header.to_entry()) {
                Ok(header)
            } else {
                Err(diverged(
                    ledger,
                    &format!("the row at leaf {} was altered", row.leaf_index.0),
                ))
            }
        });
        headers.collect()
    }

    async fn control_headers(
        &self,
        chunk: &Chunk,
        bundle: &Bundle,
    ) -> Result<Vec<EntryHeader>, SignError> {
        let ledger = LedgerId::Directory;
        let rows = evidence(
            ledger,
            self.ports
                .ledgers
                .controls(chunk.first_leaf, chunk.count)
                .await,
        )?;
        let headers = rows.iter().zip(bundle.iter()).map(|(row, entry)| {
            let bad = || {
                diverged(
                    ledger,
                    &format!(
                        "the control document at leaf {} is not what its entry says",
                        row.leaf_index.0
                    ),
                )
            };
            let header = EntryHeader::from_entry(entry).map_err(|_entry| bad())?;
            let fits = matches!(header.kind, EntryKind::Control(_))
                && header.index == row.leaf_index
                && header.body == body_digest(&row.salt, &row.document);
            if fits { Ok(header) } else { Err(bad()) }
        });
        headers.collect()
    }
}

/// Stored data that cannot be read is evidence, not an outage.
fn evidence<T>(ledger: LedgerId, read: Result<T, StoreError>) -> Result<T, SignError> {
    match read {
        Err(StoreError::Malformed { what }) => Err(diverged(ledger, &what)),
        read => Ok(read?),
    }
}

/// When the tree is as large as the anchored one it must be the anchored one.
fn check_anchor(
    ledger: LedgerId,
    range: &CompactRange,
    anchored: Option<&SignedCheckpoint>,
) -> Result<(), SignError> {
    match anchored {
        Some(anchored)
            if anchored.checkpoint.size == range.size()
                && anchored.checkpoint.root != range.root() =>
        {
            Err(diverged(
                ledger,
                &format!("the anchor has another root at {} leaves", range.size()),
            ))
        }
        _ => Ok(()),
    }
}
