//! What a batch is to Redis: the parts that one script took each.

use tokio::time::Instant;

use crate::job::Job;

/// Jobs that one script took, under one lock token, in the order they were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) token: String,
    pub(crate) jobs: Vec<Job>,
    /// By Redis' clock (milliseconds), and by ours.
    pub(crate) taken: (i64, Instant),
}

impl Part {
    /// Now, by Redis' clock (microseconds).
    pub(crate) fn now_micros(&self) -> i64 {
        let (ms, at) = self.taken;
        let since = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        ms.saturating_mul(1000).saturating_add(since)
    }
}
