//! The scripts. Each is one change of the queue, whole or not at all.

use audit_redis::Script;

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) enqueue: Script,
    pub(crate) receive: Script,
    pub(crate) settle: Script,
    pub(crate) renew: Script,
    pub(crate) release: Script,
    pub(crate) claim: Script,
    pub(crate) held: Script,
    pub(crate) leave: Script,
    pub(crate) depth: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            enqueue: Script::new(include_str!("lua/enqueue.lua")),
            receive: Script::new(include_str!("lua/receive.lua")),
            settle: Script::new(include_str!("lua/settle.lua")),
            renew: Script::new(include_str!("lua/renew.lua")),
            release: Script::new(include_str!("lua/release.lua")),
            claim: Script::new(include_str!("lua/claim.lua")),
            held: Script::new(include_str!("lua/held.lua")),
            leave: Script::new(include_str!("lua/leave.lua")),
            depth: Script::new(include_str!("lua/depth.lua")),
        }
    }
}

/// Names of the keys, all in one hash slot.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) frames: String,
    pub(crate) totals: String,
    pub(crate) ids: String,
    pub(crate) settled: String,
}

impl Keys {
    pub(crate) fn of(name: &str) -> Self {
        let key = |what| format!("{{{name}}}:{what}");
        Self {
            frames: key("frames"),
            totals: key("totals"),
            ids: key("ids"),
            settled: key("settled"),
        }
    }

    pub(crate) fn all(&self) -> [&str; 4] {
        [&self.frames, &self.totals, &self.ids, &self.settled]
    }

    pub(crate) fn two(&self) -> [&str; 2] {
        [&self.frames, &self.totals]
    }
}
