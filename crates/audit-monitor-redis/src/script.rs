//! The scripts, and the keys they work on.

use audit_redis::Script;

/// All of them; each is one change, whole or not at all.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) begin: Script,
    pub(crate) apply: Script,
    pub(crate) read: Script,
    pub(crate) keep: Script,
    pub(crate) lose: Script,
    pub(crate) leave: Script,
    pub(crate) standing: Script,
    pub(crate) now: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            begin: Script::new(include_str!("lua/begin.lua")),
            apply: Script::new(include_str!("lua/apply.lua")),
            read: Script::new(include_str!("lua/read.lua")),
            keep: Script::new(include_str!("lua/keep.lua")),
            lose: Script::new(include_str!("lua/lose.lua")),
            leave: Script::new(include_str!("lua/leave.lua")),
            standing: Script::new(include_str!("lua/standing.lua")),
            now: Script::new(include_str!("lua/now.lua")),
        }
    }
}

/// Names of the keys, all in one hash slot.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) state: String,
    pub(crate) log: String,
    pub(crate) snapshot: String,
    pub(crate) turn: String,
}

impl Keys {
    pub(crate) fn of(name: &str) -> Self {
        let key = |what| format!("{{{name}:detection}}:{what}");
        Self {
            state: key("state"),
            log: key("log"),
            snapshot: key("snapshot"),
            turn: key("turn"),
        }
    }

    pub(crate) fn all(&self) -> [&str; 4] {
        [&self.state, &self.log, &self.snapshot, &self.turn]
    }

    /// All that is lost together.
    pub(crate) fn kept(&self) -> [&str; 3] {
        [&self.state, &self.log, &self.snapshot]
    }
}
