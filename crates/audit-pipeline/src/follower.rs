//! Followers of the ledgers: what happens after a commit, in leaf order, each from its own durable cursor.
//!
//! A follower never delays an acknowledgement. After a crash it goes on where its cursor stands, so what it feeds sees every
//! event, and some perhaps twice unless it moves its cursor together with its own work, as the text index does.

use std::sync::Arc;
use std::time::Duration;

use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::{EventRow, StoredRow};
use audit_runtime::{Backoff, Random, ShutdownSignal};
use audit_store::{EventRead, LedgerRead, Store, StoreError, TextIndex};

use crate::metric;

/// How long to wait when there is nothing new: the greater part of the index's lag.
const IDLE: Duration = Duration::from_millis(250);
/// While the ledgers grow, the index rests so many times as long as a step took: what is acknowledged and stored goes before what
/// can be found by its words. At a quarter of a core it keeps up with some 10,000 events a second, and catches up afterwards.
const RESTS: u32 = 3;
/// Longest rest, so that one slow step does not stop it.
const REST_MAX: Duration = Duration::from_secs(1);
/// Rows indexed in one step: one transaction of the index.
const ROWS_MAX: u32 = 2_000;

/// What one step found.
#[derive(Debug, Clone, Copy)]
struct Step {
    indexed: u64,
    /// Sizes of all ledgers of events together.
    sizes: u64,
}

/// Keeps the full-text index behind the ledgers.
#[derive(Debug)]
pub struct TextFollower {
    ledgers: Arc<dyn LedgerRead>,
    events: Arc<dyn EventRead>,
    text: Arc<dyn TextIndex>,
    random: Arc<dyn Random>,
}

impl TextFollower {
    /// The follower of a store; `None` when it has no full-text index.
    #[must_use]
    pub fn of(store: &Store, random: Arc<dyn Random>) -> Option<Self> {
        let text = store.text.clone()?;
        Some(Self {
            ledgers: Arc::clone(&store.ledgers),
            events: Arc::clone(&store.events),
            text,
            random,
        })
    }

    /// Follows until shutdown begins. Failures wait and try again; search by other means is not affected.
    pub async fn run(self, shutdown: ShutdownSignal) {
        let mut backoff = Backoff::new(IDLE, Duration::from_secs(30));
        let mut sizes = 0;
        while !shutdown.is_begun() {
            let began = tokio::time::Instant::now();
            let wait = match self.look().await {
                Ok(step) => {
                    let grows = std::mem::replace(&mut sizes, step.sizes) != step.sizes;
                    match (step.indexed, grows) {
                        (0, _) => {
                            backoff.reset();
                            IDLE
                        }
                        (_, true) => (began.elapsed() * RESTS).min(REST_MAX),
                        (_, false) => Duration::ZERO,
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the full-text index falls behind"
                    );
                    backoff.next_wait(self.random.as_ref()).max(IDLE)
                }
            };
            shutdown.pause(wait).await;
        }
    }

    /// Indexes at most one step of every ledger; how many leaves that were.
    ///
    /// # Errors
    /// When store or index are away. What was indexed before stays.
    pub async fn step(&self) -> Result<u64, StoreError> {
        Ok(self.look().await?.indexed)
    }

    async fn look(&self) -> Result<Step, StoreError> {
        let (mut indexed, mut behind, mut sizes) = (0, 0, 0);
        for info in self.ledgers.ledgers().await? {
            if matches!(info.ledger, LedgerId::Events(_)) {
                let (done, left) = self.follow(info.ledger, info.head.size).await?;
                (indexed, behind, sizes) = (indexed + done, behind + left, sizes + info.head.size);
            }
        }
        metrics::gauge!(metric::FOLLOWER_BEHIND, "follower" => "text").set(behind as f64);
        Ok(Step { indexed, sizes })
    }

    /// One step of a ledger: leaves indexed, leaves left.
    async fn follow(&self, ledger: LedgerId, size: u64) -> Result<(u64, u64), StoreError> {
        let from = self.text.cursor(ledger).await?;
        let next = LeafIndex(size.min(from.0.saturating_add(u64::from(ROWS_MAX))));
        if next <= from {
            return Ok((0, 0));
        }
        let rows = self.readable(ledger, from, next).await?;
        self.text.index(ledger, from, next, &rows).await?;
        Ok((next.0 - from.0, size - next.0))
    }

    /// Rows that can be read: one that was tampered with is verification's business and must not stop the index.
    async fn readable(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
    ) -> Result<Vec<EventRow>, StoreError> {
        let rows = self.events.scan(ledger, from, to, ROWS_MAX).await?;
        let readable = rows.into_iter().filter_map(|row| match row {
            StoredRow::Readable(row) => Some(row),
            StoredRow::Unreadable { .. } => None,
        });
        Ok(readable.collect())
    }
}
