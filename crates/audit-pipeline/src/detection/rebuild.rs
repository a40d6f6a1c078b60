//! Where to begin when the windows know nothing: from the durable cursors, less the longest window.

use std::time::Duration;

use audit_integrity::ledger::{LeafIndex, LedgerId};

use super::{CALL_TIMEOUT, Detection, DetectionError, FOLLOWER};
use crate::outward::ask;

impl Detection {
    /// Begins windows that have no state: so far before the durable cursors that everything a window can still see is read again.
    pub(super) async fn begin(&mut self) -> Result<(), DetectionError> {
        let back = self.rules.borrow().engine().reach();
        let mut sources = Vec::new();
        for info in ask(CALL_TIMEOUT, self.parts.ledgers.ledgers()).await? {
            if matches!(info.ledger, LedgerId::Events(_)) {
                let cursor = self.parts.cursors.get(FOLLOWER, info.ledger);
                let cursor = ask(CALL_TIMEOUT, cursor).await?;
                let cursor = LeafIndex(cursor.0.min(info.head.size));
                sources.push((
                    info.ledger,
                    self.leaf_before(info.ledger, cursor, back).await?,
                ));
            }
        }
        tracing::info!(?sources, "detection begins");
        ask(CALL_TIMEOUT, self.parts.windows.begin(&sources)).await?;
        self.followed.clear();
        Ok(())
    }

    /// The first leaf that was sealed at most `back` before the one at `cursor`. Leaves are sealed in order, so this is a search by
    /// halves; a leaf whose row is gone counts as old.
    async fn leaf_before(
        &self,
        ledger: LedgerId,
        cursor: LeafIndex,
        back: Duration,
    ) -> Result<LeafIndex, DetectionError> {
        let Some(last) = cursor.0.checked_sub(1) else {
            return Ok(cursor);
        };
        let Some(newest) = self.sealed_at(ledger, last).await? else {
            return Ok(cursor);
        };
        let back = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
        let oldest = newest.saturating_sub(back);
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.sealed_at(ledger, middle).await? {
                Some(at) if at >= oldest => high = middle,
                _ => low = middle + 1,
            }
        }
        Ok(LeafIndex(low))
    }

    async fn sealed_at(&self, ledger: LedgerId, leaf: u64) -> Result<Option<i64>, DetectionError> {
        let row = self.parts.events.row(ledger, LeafIndex(leaf));
        let row = ask(CALL_TIMEOUT, row).await?;
        Ok(row.map(|row| row.sealed_at.micros()))
    }
}
