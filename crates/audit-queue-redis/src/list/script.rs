//! The list's scripts and keys.

use audit_redis::Script;

use super::settings::{Settings, tag};

/// A script of the list: what it may do, what all of them begin with, itself.
macro_rules! script {
    ($flag:literal, $file:literal) => {
        Script::new(concat!(
            "#!lua flags=",
            $flag,
            "\n",
            include_str!("../lua/list/common.lua"),
            include_str!(concat!("../lua/list/", $file))
        ))
    };
}

/// All of them. Taking and settling go on when memory is full: they make room.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) receive: Script,
    pub(super) settle: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
    pub(super) recall: Script,
    pub(super) depth: Script,
    pub(super) retry: Script,
    pub(super) hand_back: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            receive: script!("allow-oom", "receive.lua"),
            settle: script!("allow-oom", "settle.lua"),
            renew: script!("allow-oom", "renew.lua"),
            release: script!("allow-oom", "release.lua"),
            recall: script!("allow-oom", "recall.lua"),
            depth: script!("no-writes", "depth.lua"),
            retry: script!("allow-oom", "retry.lua"),
            hand_back: script!("allow-oom", "hand_back.lua"),
        }
    }
}

/// Names of the keys.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) queue: String,
    failed: String,
    dropped: String,
    overflow: String,
    /// Ours, in the slot of the queue.
    items: String,
    batches: String,
    held: String,
    totals: String,
    settled: String,
    oversized: String,
}

impl Keys {
    pub(super) fn of(settings: &Settings) -> Self {
        let queue = &settings.queue;
        let key = |what| {
            if tag(queue) == queue {
                format!("{{{queue}}}:{what}")
            } else {
                format!("{queue}:{what}")
            }
        };
        Self {
            queue: queue.clone(),
            failed: settings.failed.clone(),
            dropped: settings.dropped.clone(),
            overflow: settings.overflow.clone(),
            items: key("items"),
            batches: key("batches"),
            held: key("held"),
            totals: key("totals"),
            settled: key("settled"),
            oversized: key("oversized"),
        }
    }

    /// As `common.lua` takes them.
    pub(super) fn eight(&self) -> [&str; 8] {
        [
            &self.queue,
            &self.failed,
            &self.items,
            &self.batches,
            &self.held,
            &self.totals,
            &self.settled,
            &self.oversized,
        ]
    }

    /// With the producers' counters.
    pub(super) fn ten(&self) -> [&str; 10] {
        let [
            queue,
            failed,
            items,
            batches,
            held,
            totals,
            settled,
            oversized,
        ] = self.eight();
        let (dropped, overflow) = (&self.dropped, &self.overflow);
        [
            queue, failed, items, batches, held, totals, settled, oversized, dropped, overflow,
        ]
    }
}
