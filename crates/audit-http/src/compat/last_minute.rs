//! What happened in the last minute: differences between counts that only grow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit_runtime::ShutdownSignal;
use audit_store::receipts::Via;
use audit_store::{Receipts, StoreError};

/// What it looks at.
const WINDOW: Duration = Duration::from_secs(60);
/// Between two looks that nobody asked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Counts as they are at one moment. The first two are of the deployment, the others of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    /// Producers' events stored.
    pub(crate) stored: u64,
    /// Producers' events that could not be stored.
    pub(crate) failed: u64,
    /// Commits of this process's lanes.
    pub(crate) commits: f64,
    /// Events in them.
    pub(crate) commit_events: f64,
    /// Seconds they took.
    pub(crate) commit_seconds: f64,
    /// Events that did not go the ordinary way.
    pub(crate) overflowed: f64,
}

impl Counts {
    /// Reads them from the store's books and the Prometheus page.
    pub(crate) async fn read(receipts: &dyn Receipts, page: &str) -> Result<Self, StoreError> {
        let totals = receipts.totals(Via::Queue).await? + receipts.totals(Via::Source).await?;
        Ok(Self {
            stored: totals.stored,
            failed: totals.conflict.saturating_add(totals.dead_lettered),
            commits: sum(page, "audit_worker_commit_seconds_count"),
            commit_events: sum(page, "audit_worker_commit_events_sum"),
            commit_seconds: sum(page, "audit_worker_commit_seconds_sum"),
            overflowed: sum(page, "audit_worker_events_overflowed_total"),
        })
    }

    /// What came since; a process that started again counts from its own zero.
    fn since(&self, before: &Self) -> Self {
        Self {
            stored: self.stored.saturating_sub(before.stored),
            failed: self.failed.saturating_sub(before.failed),
            commits: (self.commits - before.commits).max(0.0),
            commit_events: (self.commit_events - before.commit_events).max(0.0),
            commit_seconds: (self.commit_seconds - before.commit_seconds).max(0.0),
            overflowed: (self.overflowed - before.overflowed).max(0.0),
        }
    }
}

/// The sum over all labels of a metric on a Prometheus page.
fn sum(page: &str, name: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = rest.starts_with([' ', '{']).then_some(rest)?;
        value.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.sum()
}

/// Counts of the last minute and a little more, oldest first.
#[derive(Debug, Default)]
pub struct LastMinute {
    looks: Mutex<VecDeque<(Instant, Counts)>>,
}

impl LastMinute {
    /// Notes counts, and gives what came in the last minute with how long that was: less in the first minute of a process.
    pub(crate) fn note(&self, at: Instant, counts: Counts) -> (Counts, Duration) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        // The youngest look that is a minute old is what the others are compared with.
        while let Some((second, _)) = looks.get(1)
            && at.saturating_duration_since(*second) >= WINDOW
        {
            looks.pop_front();
        }
        let newest = looks.back().map(|(newest, _)| *newest);
        if newest.is_none_or(|newest| at.saturating_duration_since(newest) >= LOOK_EVERY / 2) {
            looks.push_back((at, counts));
        }
        let (first, before) = looks.front().copied().unwrap_or((at, counts));
        (counts.since(&before), at.saturating_duration_since(first))
    }

    /// Looks every few seconds, so that there is a minute to tell about whoever asks and whenever.
    pub async fn keep(
        self: Arc<Self>,
        receipts: Arc<dyn Receipts>,
        page: Arc<dyn Fn() -> String + Send + Sync>,
        stop: ShutdownSignal,
    ) {
        loop {
            match Counts::read(&*receipts, &page()).await {
                Ok(counts) => {
                    self.note(Instant::now(), counts);
                }
                // Whoever asks is told so; the store's own state is told elsewhere.
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no look taken");
                }
            }
            tokio::select! {
                () = stop.begun() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(stored: u64) -> Counts {
        Counts {
            stored,
            ..Counts::default()
        }
    }

    #[test]
    fn a_minute_is_told_and_no_more() {
        let (minute, start) = (LastMinute::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        let tell = |secs, count| {
            let (counts, length) = minute.note(at(secs), stored(count));
            (counts.stored, length.as_secs())
        };
        assert_eq!(tell(0, 100), (0, 0));
        assert_eq!(tell(1, 110), (10, 1), "too soon to be kept, and told");
        assert_eq!(tell(30, 150), (50, 30));
        assert_eq!(tell(60, 200), (100, 60));
        assert_eq!(
            tell(95, 260),
            (110, 65),
            "the look at 30 is the last that is a minute old"
        );
        assert_eq!(
            tell(300, 300),
            (40, 205),
            "nobody looked in between, and it says so"
        );
        assert_eq!(tell(360, 300), (0, 60));
    }

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_over_others() {
        let page = "# HELP a_total x\n# TYPE a_total counter\na_total{how=\"b c\"} 2\na_total{how=\"d\"} 3\na_total_more 9\n\na 1\n";
        assert!((sum(page, "a_total") - 5.0).abs() < 1e-9);
        assert!((sum(page, "a") - 1.0).abs() < 1e-9);
        assert!(sum(page, "none").abs() < 1e-9);
    }
}
