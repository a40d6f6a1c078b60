//! Verification of the directory ledger: first, because it says what else there must be.

use std::sync::Arc;

use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::verify::{
    ControlBytes, Controls, FindingKind, LedgerCheck, Outcome, Report, Setup, Window,
};
use audit_store::{Chunk, ControlRow, StoreError};

use super::ledger::chunk_bytes;
use super::{Verification, VerifyError, VerifyRequest, finding};

const LEDGER: LedgerId = LedgerId::Directory;
/// Control entries read at a time.
const PAGE: u32 = 500;

impl Verification {
    /// Checks the directory from its newest known checkpoint, and gives back what its sealed entries say.
    pub(super) async fn directory(
        &self,
        request: &VerifyRequest,
    ) -> Result<(Report, Controls), VerifyError> {
        let origin = Origin::new(&self.deployment_id, LEDGER);
        let verifier_key = self.verifier_key(&origin).await?;
        let setup = Setup {
            ledger: LEDGER,
            origin,
            verifier_key,
            window: Window::default(),
            controls: Arc::default(),
        };
        let mut check = LedgerCheck::new(setup);
        let found = self.claims(&mut check, LEDGER, request).await?;
        let end = check.claimed();
        let mut notes = self.notes(LEDGER, end);
        while check.next_leaf().0 < end {
            let next = check.next_leaf();
            let chunks = match self.ports.ledgers.chunks(LEDGER, next, PAGE).await {
                Err(StoreError::Malformed { .. }) => Vec::new(),
                chunks => chunks?,
            };
            let chunks: Vec<_> = chunks
                .into_iter()
                .filter(|chunk| chunk.first_leaf.0 < end)
                .collect();
            if chunks.is_empty() {
                break;
            }
            for chunk in chunks {
                if chunk.first_leaf.0 > check.next_leaf().0 {
                    check.control_gap(chunk.first_leaf.0);
                }
                notes
                    .feed(
                        &mut check,
                        chunk.first_leaf.0 + chunk_bytes(&chunk).extent(),
                    )
                    .await?;
                self.control_chunk(&mut check, &chunk).await?;
            }
            if check.next_leaf() == next {
                break;
            }
        }
        notes.feed(&mut check, end).await?;
        self.surplus_controls(&mut check).await?;
        let (mut report, controls) = check.finish_with_controls();
        if !found {
            report.find(finding(
                Outcome::Missing,
                FindingKind::LedgerMissing,
                LEDGER,
                "the store has no directory ledger".to_owned(),
            ));
        }
        Ok((report, controls))
    }

    async fn control_chunk(
        &self,
        check: &mut LedgerCheck,
        chunk: &Chunk,
    ) -> Result<(), VerifyError> {
        let bytes = chunk_bytes(chunk);
        let count = u32::try_from(bytes.extent()).unwrap_or(u32::MAX);
        let rows = self.controls_from(chunk.first_leaf, count).await?;
        let controls: Vec<_> = rows
            .iter()
            .map(|row| ControlBytes {
                leaf_index: row.leaf_index.0,
                salt: row.salt,
                document: &row.document,
            })
            .collect();
        check.control_chunk(&bytes, &controls);
        Ok(())
    }

    /// Control rows; those that cannot be read are left out, and so are missing where their entry is.
    async fn controls_from(
        &self,
        from: LeafIndex,
        count: u32,
    ) -> Result<Vec<ControlRow>, VerifyError> {
        match self.ports.ledgers.controls(from, count).await {
            Err(StoreError::Malformed { .. }) if count > 1 => {
                let mut readable = Vec::new();
                for leaf in from.0..from.0 + u64::from(count) {
                    match self.ports.ledgers.controls(LeafIndex(leaf), 1).await {
                        Err(StoreError::Malformed { .. }) => {}
                        rows => readable
                            .extend(rows?.into_iter().filter(|row| row.leaf_index.0 == leaf)),
                    }
                }
                Ok(readable)
            }
            Err(StoreError::Malformed { .. }) => Ok(Vec::new()),
            rows => Ok(rows?),
        }
    }

    /// Documents beyond the end. The head is read after them: what an honest writer added meanwhile is below it.
    async fn surplus_controls(&self, check: &mut LedgerCheck) -> Result<(), VerifyError> {
        let rows = self.controls_from(check.next_leaf(), PAGE).await?;
        let size = self.size_now(LEDGER).await?.max(check.next_leaf().0);
        for row in rows.iter().filter(|row| row.leaf_index.0 >= size) {
            check.surplus_control(row.leaf_index.0);
        }
        Ok(())
    }
}
