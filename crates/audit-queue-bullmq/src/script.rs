//! The scripts. Each is one change of the queue, whole or not at all, and leaves it as BullMQ's own scripts could have.

use audit_redis::{Call, Script};

macro_rules! with_common {
    ($file:literal) => {
        Script::new(concat!(include_str!("lua/common.lua"), include_str!($file)))
    };
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) fetch: Script,
    pub(crate) finish: Script,
    pub(crate) release: Script,
    pub(crate) extend: Script,
    pub(crate) stalled: Script,
    pub(crate) ours: Script,
    pub(crate) depth: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            fetch: with_common!("lua/fetch.lua"),
            finish: with_common!("lua/finish.lua"),
            release: with_common!("lua/release.lua"),
            extend: with_common!("lua/extend.lua"),
            stalled: with_common!("lua/stalled.lua"),
            ours: Script::new(include_str!("lua/ours.lua")),
            depth: Script::new(include_str!("lua/depth.lua")),
        }
    }
}

/// What the keys of a queue begin with.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) text: String,
    /// The key by which a Cluster finds the queue.
    pub(crate) meta: String,
}

impl Base {
    pub(crate) fn of(prefix: &str, queue: &str) -> Self {
        let text = format!("{prefix}:{queue}:");
        let meta = format!("{text}meta");
        Self { text, meta }
    }

    pub(crate) fn call(&self, script: &Script) -> Call {
        script.with(&[&self.meta]).arg(&self.text)
    }
}
