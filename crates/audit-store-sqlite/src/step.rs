//! Long reads go in steps, so that none holds the log: an open read transaction keeps it from being cut back.

use std::time::{Duration, Instant};

/// Rows a read transaction reads at most.
pub(crate) const STEP_ROWS: u64 = 10_000;
/// How long a read transaction lasts at most, as far as its rows come one by one.
const STEP_TIME: Duration = Duration::from_millis(200);

/// One read transaction's allowance.
#[derive(Debug)]
pub(crate) struct Step {
    began: Instant,
    rows: u64,
}

impl Step {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            rows: 0,
        }
    }

    /// Notes rows read.
    pub(crate) fn count(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Whether the transaction must end now; never before its first row.
    pub(crate) fn is_over(&self) -> bool {
        self.rows > 0 && (self.rows >= STEP_ROWS || self.began.elapsed() >= STEP_TIME)
    }
}
