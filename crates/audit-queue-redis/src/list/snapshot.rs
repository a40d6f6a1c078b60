//! What the replaced workers left in Redis for their dashboards every minute.

use std::time::Duration;

use audit_queue::QueueError;
use audit_redis::{Call, Lane};
use serde_json::json;

use super::RedisList;

/// How long Redis keeps a snapshot: so long a dashboard takes the worker for running. That of the replaced workers.
const KEPT: Duration = Duration::from_secs(120);

/// What a dashboard of the list worker reads of a worker, besides what Redis knows itself.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Name of the process; ends the key of its own. The replaced worker's is `worker_<host>_<process id>`.
    pub worker_id: String,
    /// Now, as a dashboard's JavaScript reads it: RFC 3339 in UTC with milliseconds.
    pub timestamp: String,
    /// Items stored in the last minute.
    pub inserts_last_minute: u64,
    /// Items that could not be stored in the last minute.
    pub failures_last_minute: u64,
    /// How long a commit took on average.
    pub batch_time: Duration,
    /// Items a commit may take at present.
    pub batch_size: u64,
}

impl RedisList {
    /// Leaves a snapshot under [`super::Settings::metrics`], which the first kind of worker wrote and the dashboard reads, and under the same
    /// with `:<worker id>`, which the second wrote. Lengths and counters are those of Redis. Gone after two minutes: to be
    /// called every minute. Called again it writes again.
    ///
    /// # Errors
    /// When Redis is away, or a key is of the wrong type.
    pub async fn publish_snapshot(&self, snapshot: &Snapshot) -> Result<(), QueueError> {
        let depth = self.depth().await?;
        let text = json!({
            "queueLength": depth.waiting,
            "insertsLastMinute": snapshot.inserts_last_minute,
            "failuresLastMinute": snapshot.failures_last_minute,
            "avgBatchTime": u64::try_from(snapshot.batch_time.as_millis()).unwrap_or(u64::MAX),
            "droppedEvents": depth.dropped,
            "overflowEvents": depth.overflow,
            "currentBatchSize": snapshot.batch_size,
            "worker_id": snapshot.worker_id,
            "failed_queue_depth": depth.failed,
            "timestamp": snapshot.timestamp,
        })
        .to_string();
        let shared = &self.settings.metrics;
        for key in [shared.clone(), format!("{shared}:{}", snapshot.worker_id)] {
            // One by one: on a Cluster these keys may be elsewhere than the list.
            let call = Call::plain("SET").arg(key).arg(&text);
            let call = call.arg("EX").arg(KEPT.as_secs());
            let _ok: String = self.link.ask(Lane::Ask, &call).await?;
        }
        Ok(())
    }
}
