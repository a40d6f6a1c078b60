//! The new leaves of a ledger, made again from its rows and compared with its chunks.

use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::digest::leaf_hash;
use audit_integrity::entry::{EntryHeader, EntryKind, body_digest};
use audit_integrity::head::CompactRange;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::row::Leaves;
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
        let listed: Vec<_> = digests_of(&chunk.leaf_hashes).collect();
        if listed.len() != bundle.len() {
            return Err(bad("entries and leaf hashes differ in number"));
        }
        let made = match ledger {
            LedgerId::Events(_) => self.event_leaves(ledger, chunk, bundle).await?,
            LedgerId::Directory => self.control_leaves(chunk, &bundle).await?,
        };
        if made.len() != listed.len() {
            return Err(bad("rows and entries differ in number"));
        }
        let mut pairs = made.iter().zip(&listed).zip(chunk.first_leaf.0..);
        match pairs.find(|((made, listed), _)| made != listed) {
            Some((_, leaf)) => Err(bad(&format!("entry and leaf hash disagree at leaf {leaf}"))),
            None => Ok(listed),
        }
    }

    /// Leaves made from the rows alone, each compared with the entry where it must stand.
    async fn event_leaves(
        &self,
        ledger: LedgerId,
        chunk: &Chunk,
        bundle: Bundle,
    ) -> Result<Vec<Digest>, SignError> {
        let first = chunk.first_leaf;
        let leaves = first..LeafIndex(first.0 + u64::from(chunk.count));
        let look = move |rows: &mut dyn Leaves| {
            let mut buffer = Vec::new();
            let mut made = Vec::with_capacity(bundle.len());
            for (entry, leaf) in bundle.iter().zip(first.0..) {
                made.push(event_leaf(
                    rows,
                    (ledger, LeafIndex(leaf)),
                    entry,
                    &mut buffer,
                )?);
                rows.skip();
            }
            Ok(made)
        };
        let events = &*self.ports.events;
        let made: Result<Vec<_>, String> = evidence(
            ledger,
            events
                .look_at_leaves(ledger, leaves, chunk.count, look)
                .await,
        )?;
        made.map_err(|what| diverged(ledger, &what))
    }

    async fn control_leaves(
        &self,
        chunk: &Chunk,
        bundle: &Bundle,
    ) -> Result<Vec<Digest>, SignError> {
        let ledger = LedgerId::Directory;
        let controls = self.ports.ledgers.controls(chunk.first_leaf, chunk.count);
        let rows = evidence(ledger, controls.await)?;
        let leaves = rows
            .iter()
            .zip(bundle.iter())
            .zip(chunk.first_leaf.0..)
            .map(|((row, entry), leaf)| {
                let header = EntryHeader::from_entry(entry).ok().filter(|header| {
                    matches!(header.kind, EntryKind::Control(_))
                        && (header.ledger, header.index.0) == (ledger, leaf)
                        && header.index == row.leaf_index
                        && header.body == body_digest(&row.salt, &row.document)
                });
                header.map(|_fits| leaf_hash(entry)).ok_or_else(|| {
                    let what = "the control document is not what its entry says";
                    diverged(ledger, &format!("{what}, at leaf {leaf}"))
                })
            });
        leaves.collect()
    }
}

/// The leaf that the next row makes; an error when row and entry are not what a commit wrote at this address.
fn event_leaf(
    rows: &dyn Leaves,
    address: (LedgerId, LeafIndex),
    entry: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<Digest, String> {
    let leaf = address.1.0;
    let row = rows
        .next_leaf()
        .ok_or_else(|| format!("the row at leaf {leaf} is gone or cannot be read"))?;
    if !row.write_entry(buffer) {
        return Err(format!("the body at leaf {leaf} is gone"));
    }
    let made = leaf_hash(buffer);
    if (row.ledger, row.leaf_index) != address || buffer != entry || row.leaf_hash != made {
        return Err(format!("row and entry at leaf {leaf} disagree"));
    }
    Ok(made)
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
